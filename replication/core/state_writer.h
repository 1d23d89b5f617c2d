#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace paxledger {

/// Takes down all that the future of an object of the core depends on, in an order of its own: two objects that write the same
/// do the same on equal events, whatever their past. For the explorer of tests/sim, which looks at each state once; an object
/// that leaves something out is found there.
class StateWriter {
 public:
  virtual ~StateWriter() = default;
  virtual void Number(uint64_t number) = 0;
  /// A point on the monotonic clock: what counts is how far it lies from now.
  virtual void Time(int64_t us) = 0;
  /// How often something was tried in vain: nothing but the length of a wait depends on it.
  virtual void Tries(uint64_t tries) = 0;
  virtual void Bytes(std::string_view bytes) = 0;
  /// The digest of a value; none: no value.
  virtual void Value(const Digest& digest) = 0;
  /// A set of them: their order means nothing.
  virtual void Values(const std::vector<Digest>& digests) = 0;
};

}  // namespace paxledger
