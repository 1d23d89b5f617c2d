#include "txn/recovery_token.h"

#include <gtest/gtest.h>

#include "txn/command_view.h"

namespace paxledger {
namespace {

RecoveryToken Token() {
  return RecoveryToken{
      Try{LedgerKey{"main", "pay-1"}, Sha256("body"), 3}, {ShardId{0}, ShardId{7}}, 1'700'000'000'000'000};
}

TEST(RecoveryToken, ReadsBackWhatItWrote) {
  absl::StatusOr<RecoveryToken> token = DecodeRecoveryToken(EncodeRecoveryToken(Token()));
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(token->of, Token().of);
  EXPECT_EQ(token->participants, Token().participants);
  EXPECT_EQ(token->deadline_us, Token().deadline_us);
}

TEST(RecoveryToken, IsUrlSafe) {
  std::string text = EncodeRecoveryToken(Token());
  EXPECT_EQ(text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
}

TEST(RecoveryToken, RefusesWhatIsNoToken) {
  std::string text = EncodeRecoveryToken(Token());
  EXPECT_EQ(DecodeRecoveryToken("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(DecodeRecoveryToken("not a token!").status().code(), absl::StatusCode::kInvalidArgument);
  for (size_t cut = 1; cut < text.size(); ++cut) {
    EXPECT_FALSE(DecodeRecoveryToken(std::string_view(text).substr(0, cut)).ok()) << cut;
  }
  EXPECT_FALSE(DecodeRecoveryToken("B" + text.substr(1)).ok()) << "another version";
  RecoveryToken forged = Token();
  forged.of.attempt = UINT32_MAX;
  EXPECT_FALSE(DecodeRecoveryToken(EncodeRecoveryToken(forged)).ok());
}

// It comes from outside: what it names goes into commands, whose encoding takes these for granted.
TEST(RecoveryToken, RefusesParticipantsThatDoNotAscend) {
  RecoveryToken descending = Token();
  descending.participants = {ShardId{7}, ShardId{0}};
  EXPECT_FALSE(DecodeRecoveryToken(EncodeRecoveryToken(descending)).ok());
  RecoveryToken twice = Token();
  twice.participants = {ShardId{7}, ShardId{7}};
  EXPECT_FALSE(DecodeRecoveryToken(EncodeRecoveryToken(twice)).ok());
}

TEST(RecoveryToken, RefusesTimesThatNoLogAccepts) {
  for (int64_t deadline_us : {INT64_MIN, int64_t{-1}, kLogTimeMaxUs + 1, INT64_MAX}) {
    RecoveryToken forged = Token();
    forged.deadline_us = deadline_us;
    EXPECT_FALSE(DecodeRecoveryToken(EncodeRecoveryToken(forged)).ok()) << deadline_us;
  }
}

}  // namespace
}  // namespace paxledger
