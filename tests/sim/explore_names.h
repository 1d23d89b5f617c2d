#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "replication/core/state_writer.h"

namespace paxledger::sim {

/// Two hashes of a state: as it is, and with the two commands exchanged. Sums of them hash multisets.
struct StateHash {
  std::array<uint64_t, 2> plain{};
  std::array<uint64_t, 2> exchanged{};

  void Add(const StateHash& other, uint64_t weight) {
    for (size_t i = 0; i < 2; ++i) {
      plain[i] += other.plain[i] * weight;
      exchanged[i] += other.exchanged[i] * weight;
    }
  }
  /// The same for both of a pair of mirror images.
  std::array<uint64_t, 2> canonical() const { return std::min(plain, exchanged); }
  friend bool operator==(const StateHash&, const StateHash&) = default;
};

/// What values are made of, so that they can be named by content: who owns the next index, and which commands are in it.
class ValueNames {
 public:
  enum class Naming : uint8_t { kPlain, kExchanged };
  /// Commands are "a" and "b".
  static std::string CommandName(std::string_view encoded, Naming naming);
  void Learn(const Digest& digest, std::string_view value);
  /// "-" for none, "?" for a digest whose value was never seen.
  std::string Name(const Digest& digest, Naming naming) const;

 private:
  std::map<Digest, std::array<std::string, 2>> names_;
};

/// Takes down a state under one of the two namings.
class NamedState : public StateWriter {
 public:
  NamedState(const ValueNames& names, ValueNames::Naming naming, int64_t now_us)
      : names_(names), naming_(naming), now_us_(now_us) {}

  void Number(uint64_t number) override;
  void Time(int64_t us) override;
  void Tries(uint64_t) override {}
  void Bytes(std::string_view bytes) override { Text(ValueNames::CommandName(bytes, naming_)); }
  void Value(const Digest& digest) override { Text(names_.Name(digest, naming_)); }
  void Values(const std::vector<Digest>& digests) override;
  void Text(std::string_view text);
  const std::string& text() const { return text_; }

 private:
  const ValueNames& names_;
  ValueNames::Naming naming_;
  int64_t now_us_;
  std::string text_;
};

/// How far a tick lets time jump: beyond every wait of the core.
constexpr int64_t kExploreJumpUs = 1'000'000'000;

std::array<uint64_t, 2> HashOf(std::string_view text);

/// Hashes what `write(writer)` takes down, under both namings.
template <class Write>
StateHash HashState(const ValueNames& names, int64_t now_us, Write write) {
  StateHash hash;
  NamedState plain(names, ValueNames::Naming::kPlain, now_us);
  write(plain);
  hash.plain = HashOf(plain.text());
  NamedState exchanged(names, ValueNames::Naming::kExchanged, now_us);
  write(exchanged);
  hash.exchanged = HashOf(exchanged.text());
  return hash;
}

}  // namespace paxledger::sim
