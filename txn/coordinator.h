#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/task.h"
#include "txn/ledger_service.h"
#include "txn/node_context.h"
#include "txn/settler.h"

namespace paxledger {

/// Runs transactions to their outcome: Execute or Prepare to all participants at once, votes, decision,
/// answer, Finish (transactions.md rules 2-4, 7, 17). Calls for one body on one node share one run. Threads:
/// the node's strand.
class Coordinator {
 public:
  Coordinator(NodeContext& node, Settler& settler);
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  /// See LedgerService::Execute.
  void Execute(std::vector<Transaction> transactions, LogTime after, Deadline deadline,
               absl::AnyInvocable<void(std::vector<TransactionResult>)> done);
  /// Transactions that were not answered, or not seen finished everywhere.
  size_t in_flight() const { return in_flight_; }

 private:
  struct Batch;
  struct Caller;
  struct Run;
  using Whom = VoteBoard::TallyWatch::Whom;
  enum class Collected : uint8_t { kSettled, kTimedOut, kNothingProposed };

  void Start(const std::shared_ptr<Batch>& batch, size_t item, Transaction body, LogTime after,
             Deadline deadline);
  void Join(Run& run, const std::shared_ptr<Batch>& batch, size_t item, Deadline deadline);
  Task<void> Drive(std::unique_ptr<Run> owned);
  Task<void> HearHosts(Run& run);
  Task<void> LearnAssets(Run& run, Freshness freshness);
  Task<Collected> Collect(Run& run);
  Task<void> FillAssets(Run& run);
  Task<bool> GiveWay(Run& run);
  Task<void> FinishEverywhere(Run& run);
  Task<void> Linger(Run& run);

  void AskHere(Run& run, Whom whom);
  void NoteOthers(Run& run);
  bool BoundElsewhere(Run& run);
  std::vector<ShardId> ReadAssets(Run& run);
  void Send(Run& run, const std::vector<ShardId>& shards, uint32_t tries);
  void SendFinish(Run& run, Urgency urgency, uint32_t round);
  void Answer(Run& run, TransactionResult result);
  void AnswerDecided(Run& run);
  void AnswerInDoubt(Run& run);
  void Leave(Run& run);

  NodeContext& node_;
  Settler& settler_;
  absl::flat_hash_map<Digest, Run*> running_;
  size_t in_flight_ = 0;
  Counter* outcomes_[7];
  Counter& attempts_;
  Counter& resubmissions_;
  Counter& blocked_;
  LatencyHistogram& latency_;
};

}  // namespace paxledger
