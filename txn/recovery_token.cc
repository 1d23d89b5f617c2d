#include "txn/recovery_token.h"

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "txn/command_view.h"

namespace paxledger {

namespace {
constexpr uint8_t kVersion = 1;
// No request lives for so many; a forged token may not bring the count near its end.
constexpr uint64_t kAttemptMax = 1'000'000;
}  // namespace

std::string EncodeRecoveryToken(const RecoveryToken& token) {
  std::string bytes;
  ByteWriter out(&bytes);
  out.U8(kVersion);
  out.Bytes(token.of.key.ledger);
  out.Bytes(token.of.key.id);
  out.Raw(token.of.digest.view());
  out.Varint(token.of.attempt);
  out.Varint(token.participants.size());
  for (ShardId shard : token.participants) out.Varint(shard.value);
  out.I64(token.deadline_us);
  return absl::WebSafeBase64Escape(bytes);
}

absl::StatusOr<RecoveryToken> DecodeRecoveryToken(std::string_view text) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(ToAbsl(text), &bytes)) {
    return absl::InvalidArgumentError("the recovery token is not base64url");
  }
  ByteReader in(bytes);
  RecoveryToken token;
  uint8_t version = in.U8();
  token.of.key.ledger = std::string(in.Bytes());
  token.of.key.id = std::string(in.Bytes());
  token.of.digest = Digest::FromRaw(in.Raw(sizeof(Digest::bytes)));
  uint64_t attempt = in.Varint();
  uint64_t participants = in.Varint();
  if (version != kVersion || !in.ok() || attempt == 0 || attempt > kAttemptMax || participants == 0 ||
      participants > limits::kShardsMax) {
    return absl::InvalidArgumentError("the recovery token is malformed");
  }
  token.of.attempt = static_cast<uint32_t>(attempt);
  for (uint64_t i = 0; i < participants; ++i) {
    uint64_t shard = in.Varint();
    // Strictly ascending, as commands have them: their encoding takes it for granted.
    if (shard >= limits::kShardsMax || (i > 0 && shard <= token.participants.back().value)) in.Fail();
    token.participants.push_back(ShardId{static_cast<uint32_t>(shard)});
  }
  token.deadline_us = in.I64();
  if (token.deadline_us < 0 || token.deadline_us > kLogTimeMaxUs) in.Fail();
  if (!in.AtEnd()) return absl::InvalidArgumentError("the recovery token is malformed");
  return token;
}

}  // namespace paxledger
