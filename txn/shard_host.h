#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/task.h"
#include "txn/account_opener.h"
#include "txn/event_reader.h"
#include "txn/node_context.h"
#include "txn/node_messages.h"
#include "txn/reader.h"
#include "txn/statement_reader.h"
#include "txn/transaction_reader.h"
#include "txn/vote_board.h"

namespace paxledger {

/// Answers the gateways of other nodes for the shards that are hosted here (ADR 0008): the other end of `RemoteShards`.
/// Questions are answered by the code that answers this node's own clients. What is too much is refused, and asked elsewhere.
/// Owns:    the watches of other nodes, which end, at the latest, limits::kVoteWatchUs after they began.
/// Threads: the node's strand.
class ShardHost : public VoteRelay {
 public:
  ShardHost(NodeContext& node, AccountOpener& opener, Reader& reader, TransactionReader& transaction_reader,
            StatementReader& statement_reader, EventReader& event_reader);
  ShardHost(const ShardHost&) = delete;
  ShardHost& operator=(const ShardHost&) = delete;

  void OnWatch(ReplicaId from, WatchTry watch);
  void OnEndWatch(ReplicaId from, EndWatch end);
  void OnQuestion(ReplicaId from, Question question);
  /// A planned stop: questions are refused from now on.
  void Stop() { stopped_ = true; }
  /// Questions that are being answered.
  size_t running() const { return running_; }

  // VoteRelay
  void OnVote(ShardId shard, const Vote& vote, LogTime clock_before) override;

 private:
  using WatchName = std::pair<ReplicaId, uint64_t>;
  struct Watcher {
    ReplicaId gateway;
    uint64_t watch;
    ShardId shard;
    TimerId timer;
  };

  void Forget(WatchName name);
  void Refuse(ReplicaId from, uint64_t watch);
  /// Ok: every shard that the question is about is hosted here.
  absl::Status Suits(const QuestionBody& body) const;
  Task<void> Serve(ReplicaId from, Question question);
  Task<absl::StatusOr<AnswerBody>> Reply(VotesQuestion question, Deadline deadline);
  Task<absl::StatusOr<AnswerBody>> Reply(AssetsQuestion question, Deadline deadline);
  Task<absl::StatusOr<AnswerBody>> Reply(OpenQuestion question, Deadline deadline);
  Task<absl::StatusOr<AnswerBody>> Reply(AccountQuestion question, Deadline deadline);
  Task<absl::StatusOr<AnswerBody>> Reply(TransactionQuestion question, Deadline deadline);
  Task<absl::StatusOr<AnswerBody>> Reply(ListQuestion question, Deadline deadline);
  Task<absl::StatusOr<AnswerBody>> Reply(StatementQuestion question, Deadline deadline);
  Task<absl::StatusOr<AnswerBody>> Reply(OutboxQuestion question, Deadline deadline);
  VotesAnswer VotesNow(const VotesQuestion& question);
  AssetsAnswer AssetsNow(const AssetsQuestion& question);

  NodeContext& node_;
  AccountOpener& opener_;
  Reader& reader_;
  TransactionReader& transaction_reader_;
  StatementReader& statement_reader_;
  EventReader& event_reader_;
  absl::flat_hash_map<Digest, std::vector<Watcher>> watchers_;
  absl::flat_hash_map<WatchName, Digest> names_;
  std::map<ReplicaId, size_t> watches_of_;
  size_t running_ = 0;
  bool stopped_ = false;
  Counter& questions_;
  Counter& refused_;
  Gauge& watches_;
};

}  // namespace paxledger
