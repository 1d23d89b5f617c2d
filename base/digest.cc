#include "base/digest.h"

#include <openssl/sha.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/bytes.h"

namespace paxledger {

std::string Digest::hex() const { return ToHex(view()); }

Digest Digest::FromRaw(std::string_view raw) {
  Digest d;
  if (raw.size() == d.bytes.size()) std::memcpy(d.bytes.data(), raw.data(), raw.size());
  return d;
}

Digest Sha256(std::string_view bytes) { return Sha256(bytes, {}); }

// The low-level calls: OpenSSL 3.0's EVP interface costs more than hashing 100 bytes does.
Digest Sha256(std::string_view first, std::string_view second) {
  Digest d;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, first.data(), first.size());
  SHA256_Update(&context, second.data(), second.size());
  SHA256_Final(d.bytes.data(), &context);
  return d;
}

namespace {
std::array<uint64_t, 4> Limbs(const Digest& d) {
  std::array<uint64_t, 4> limbs;
  std::memcpy(limbs.data(), d.bytes.data(), sizeof(limbs));
  return limbs;
}
}  // namespace

void MultisetDigest::Add(const Digest& element) {
  Uint128 carry = 0;
  std::array<uint64_t, 4> limbs = Limbs(element);
  for (size_t i = 0; i < 4; ++i) {
    carry += sum_[i];
    carry += limbs[i];
    sum_[i] = static_cast<uint64_t>(carry);
    carry >>= 64;
  }
}

void MultisetDigest::Remove(const Digest& element) {
  uint64_t borrow = 0;
  std::array<uint64_t, 4> limbs = Limbs(element);
  for (size_t i = 0; i < 4; ++i) {
    Uint128 take = static_cast<Uint128>(limbs[i]) + borrow;
    borrow = take > sum_[i] ? 1 : 0;
    sum_[i] -= static_cast<uint64_t>(take);
  }
}

Digest MultisetDigest::value() const {
  Digest d;
  std::memcpy(d.bytes.data(), sum_.data(), d.bytes.size());
  return d;
}

void MultisetDigest::set_value(const Digest& value) { sum_ = Limbs(value); }

uint64_t Checksum64(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }
uint64_t PlacementHash64(std::string_view bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

}  // namespace paxledger
