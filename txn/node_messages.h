#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "txn/command.h"
#include "txn/ledger_service.h"

namespace paxledger {

// What a gateway and a node that hosts a shard say to each other about it (ADR 0008).

/// Asks a host for the vote on a try: as it is recorded, at once, and again after every entry that says something of it, until
/// the watch is ended or limits::kVoteWatchUs have passed.
struct WatchTry {
  uint64_t watch = 0;  // chosen by the gateway
  ShardId shard;
  Try of;
};

struct EndWatch {
  uint64_t watch = 0;
};

struct ToldVote {
  enum class Why : uint8_t {
    kAsked = 0,    // what the host knew when the watch came
    kApplied = 1,  // an entry was applied
    kRefused = 2,  // the node does not host the shard, or has too much to do
  };
  uint64_t watch = 0;
  Why why = Why::kAsked;
  std::optional<Vote> vote;  // of `of` only the attempt; nullopt: nothing is known
  LogTime clock_before;      // where an entry was applied: the shard's clock before it
};

/// Whether a host learns first what was chosen before the question came (a read barrier).
enum class Freshness : uint8_t { kApplied = 0, kBarrier = 1 };

/// What the shard knows of tries, after its clock was raised to `raise_to` where a vote is missing (transactions.md rule 10).
struct VotesQuestion {
  ShardId shard;
  std::vector<Try> tries;
  Freshness freshness = Freshness::kBarrier;
  LogTime raise_to;  // 0: its clock stays
};
struct VotesAnswer {
  std::vector<std::optional<Vote>> votes;  // one for each try, of whose `of` only the attempt is told
};

/// The assets of accounts; a barrier only where one is not known.
struct AssetsQuestion {
  ShardId shard;
  std::vector<LedgerKey> accounts;
  Freshness freshness = Freshness::kBarrier;
};
struct AssetsAnswer {
  std::vector<std::string> assets;  // empty: no such account
};

// Whole requests, answered as LedgerService answers them. All keys of one live on shards that the host hosts.
struct OpenQuestion {
  std::vector<OpenAccountRequest> requests;
};
struct AccountQuestion {
  LedgerKey key;
  ReadMode mode = ReadMode::kStrong;
  LogTime after;
};
struct TransactionQuestion {
  LedgerKey key;
  std::string recovery_token;
};
struct ListQuestion {
  std::vector<ShardId> shards;
  std::string ledger;
  std::string prefix;
  std::string after;
  uint32_t limit = 0;
  ReadMode mode = ReadMode::kStrong;
};

struct StatementQuestion {
  StatementRequest request;
  ReadMode mode = ReadMode::kStrong;
  LogTime after;
};
/// What the outbox of one shard holds of a ledger.
struct OutboxQuestion {
  ShardId shard;
  std::string ledger;
  EventsRequest::Start start = EventsRequest::Start::kPositions;
  QueuePosition from;  // kPositions
  uint32_t limit = 0;  // events to look at, of whatever ledger
};
struct OutboxPage {
  std::vector<CommittedEvent> events;  // shard and participants are the asker's to add
  QueuePosition from;                  // where it began
  QueuePosition next;                  // where to go on
  bool has_more = false;
};

using QuestionBody = std::variant<VotesQuestion, AssetsQuestion, OpenQuestion, AccountQuestion,
                                  TransactionQuestion, ListQuestion, StatementQuestion, OutboxQuestion>;
/// In the order of the questions.
using AnswerBody = std::variant<VotesAnswer, AssetsAnswer, std::vector<OpenAccountResult>, AccountRead,
                                TransferRead, AccountPage, StatementPage, OutboxPage>;

struct Question {
  uint64_t call = 0;  // chosen by the gateway
  int64_t within_us = 0;
  QuestionBody body;
};

struct Answer {
  uint64_t call = 0;
  absl::StatusOr<AnswerBody> body;
};

using NodeMessage = std::variant<WatchTry, EndWatch, ToldVote, Question, Answer>;

/// Adds `message` to a frame that is empty or was made by earlier calls.
/// Format:  docs/formats.md#node-messages
void AppendNodeMessage(const NodeMessage& message, std::string* frame);
/// Checks every bound but whether shards, keys and hosts fit together.
/// Errors: kInvalidArgument  not a frame of a known version
absl::StatusOr<std::vector<NodeMessage>> DecodeNodeMessages(std::string_view frame);

}  // namespace paxledger
