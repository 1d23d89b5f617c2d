#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace paxledger {

/// A SHA-256 value. All zeros means "none".
struct Digest {
  std::array<uint8_t, 32> bytes{};
  friend constexpr bool operator==(const Digest&, const Digest&) = default;
  friend constexpr auto operator<=>(const Digest&, const Digest&) = default;
  bool none() const { return *this == Digest{}; }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  std::string hex() const;
  /// `raw` must be 32 bytes, or the result is none.
  static Digest FromRaw(std::string_view raw);
  template <class H>
  friend H AbslHashValue(H state, const Digest& d) {
    uint64_t head;
    std::memcpy(&head, d.bytes.data(), sizeof(head));
    return H::combine(std::move(state), head);
  }
};

Digest Sha256(std::string_view bytes);
/// SHA-256 over the two parts one after the other.
Digest Sha256(std::string_view first, std::string_view second);

/// A digest of a multiset of byte strings that can be kept up to date in any order: the sum, modulo 2^256, of
/// SHA-256(key, element). The key is public within a cluster (its id); it keeps equal states of two clusters apart.
/// Format:  docs/formats.md#state-digest
class MultisetDigest {
 public:
  MultisetDigest() = default;
  explicit MultisetDigest(std::string key) : key_(std::move(key)) {}
  /// The hash of one element, to be kept by the caller where it will be removed later.
  Digest Element(std::string_view element) const { return Sha256(key_, element); }
  void Add(const Digest& element);
  void Remove(const Digest& element);
  Digest value() const;
  void set_value(const Digest& value);

 private:
  std::string key_;
  std::array<uint64_t, 4> sum_{};  // little-endian limbs
};

/// XXH3-64, for checksums of stored rows; no defence against malice.
uint64_t Checksum64(std::string_view bytes);
/// XXH64 with seed 0: the fixed hash that places keys on shards. Golden-tested; never change it.
uint64_t PlacementHash64(std::string_view bytes);

}  // namespace paxledger
