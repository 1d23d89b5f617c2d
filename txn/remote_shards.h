#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/task.h"
#include "ledger/account.h"
#include "txn/node_mail.h"
#include "txn/node_messages.h"
#include "txn/tally.h"
#include "txn/vote_board.h"
#include "txn/wakeup.h"

namespace paxledger {

class NodeContext;

/// Shards whose replicas are on other nodes only, as a gateway sees them (ADR 0008): votes are watched at a host, everything
/// else is asked of one. Any host will do; the best is tried first, the next where it does not answer.
/// Owns:    the calls and watches under way. Borrows the node.
/// Threads: the node's strand.
class RemoteShards : public VoteSource {
 public:
  explicit RemoteShards(NodeContext& node);
  RemoteShards(const RemoteShards&) = delete;
  RemoteShards& operator=(const RemoteShards&) = delete;

  // VoteSource
  bool Hosts(ShardId shard) const override;
  uint64_t Watch(VoteBoard::TallyWatch& watch, ShardId shard, uint32_t round) override;
  void EndWatch(uint64_t id) override;
  void DoubtUnheard(uint64_t id) override;
  /// How long a host may take to say what it knows of a try before nobody waits for it.
  int64_t PatienceMicros() const;

  /// Other nodes that host `shard` and are up, best first; those that kept somebody waiting a moment ago come last.
  std::vector<ReplicaId> HostsOf(ShardId shard) const;
  /// Asks hosts of `shard` until one answers: a question is idempotent. The answer is of the question's kind.
  /// Errors: kUnavailable, kResourceExhausted, kDeadlineExceeded  no host answered; and what the answer says
  Task<absl::StatusOr<AnswerBody>> Ask(ShardId shard, QuestionBody question, Deadline deadline);
  /// Asks this host alone, for a bounded time.
  /// Errors: kDeadlineExceeded  it did not answer, and may have done anything; and what the answer says
  Task<absl::StatusOr<AnswerBody>> AskAt(ReplicaId host, QuestionBody question, Deadline deadline);
  /// Shards by the host to ask for each: the best one in round 0, another in each further one. Those without any are left out.
  std::map<ReplicaId, std::vector<ShardId>> ByHost(const std::vector<ShardId>& shards, uint32_t round) const;

  /// Asks each of `shards` what it knows of the tries, and shows it to the tallies (see VotesQuestion).
  Task<absl::Status> LearnVotes(std::vector<Tally*> tallies, std::vector<ShardId> shards, Freshness freshness,
                                LogTime raise_to, Deadline deadline);

  /// The asset of an account that does not live here, where it is known: an account keeps its asset for ever.
  const std::string* FindAsset(const LedgerKey& account) const;
  /// Asks for the assets of accounts. Those that are still not known then do not exist, or could not be asked for.
  Task<void> LearnAssets(std::vector<LedgerKey> accounts, Freshness freshness, Deadline deadline);

  void OnTold(ReplicaId from, const ToldVote& told);
  void OnAnswer(ReplicaId from, Answer answer);

 private:
  struct Watched {
    VoteBoard::TallyWatch* watch;
    ShardId shard;
    ReplicaId host;
    uint32_t turn = 0;  // of the hosts
    uint32_t refusals = 0;
    int64_t asked_at_us = 0;
    VoteBoard::TallyWatch::Hearing next = VoteBoard::TallyWatch::Hearing::kFirst;
  };
  struct Inquiry;
  struct Joined;

  void SendWatch(uint64_t id, Watched& watched);
  void SendQuestion(Inquiry& inquiry, ReplicaId host);
  void Doubt(ReplicaId host);
  int64_t HedgeMicros() const;
  /// Calls to hosts that are lost will not be answered.
  void CloseLost(Inquiry& inquiry);
  /// Until an answer or a failure comes, a peer is lost, or patience ends.
  Task<void> AwaitAnswer(Inquiry& inquiry, int64_t patience_us);
  Task<void> AskVotesOf(ShardId shard, std::shared_ptr<Joined> asked, std::vector<size_t> which);
  Task<void> AskAssetsOf(AssetsQuestion question, Deadline deadline, std::shared_ptr<Joined> asked);

  NodeContext& node_;
  uint64_t next_id_;  // of watches and calls; a new process begins elsewhere
  absl::flat_hash_map<uint64_t, Watched> watches_;
  absl::flat_hash_map<uint64_t, Inquiry*> calls_;
  std::map<ReplicaId, int64_t> doubted_until_us_;
  absl::flat_hash_map<LedgerKey, std::string> assets_;
  int64_t heard_us_ = 2'000;      // moving average: from a watch to its first answer
  int64_t answered_us_ = 20'000;  // moving average: from a question to its answer
  Counter& questions_;
  Counter& asked_again_;
};

}  // namespace paxledger
