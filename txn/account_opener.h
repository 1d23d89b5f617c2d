#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/task.h"
#include "txn/ledger_service.h"
#include "txn/node_context.h"

namespace paxledger {

/// Opens accounts: a command of the account's shard, idempotent by id and fields (transactions.md, Words).
/// Threads: the node's strand.
class AccountOpener {
 public:
  explicit AccountOpener(NodeContext& node);

  /// See LedgerService::OpenAccounts.
  void Open(std::vector<OpenAccountRequest> requests, Deadline deadline,
            absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done);
  size_t in_flight() const { return in_flight_; }

 private:
  struct Batch;
  struct Split;
  void OpenHere(std::vector<OpenAccountRequest> requests, Deadline deadline,
                absl::AnyInvocable<void(std::vector<OpenAccountResult>)> done);
  Task<void> OpenElsewhere(std::shared_ptr<Split> split, std::vector<size_t> items, Deadline deadline);
  /// Marks `items` as failed, until a host says more.
  std::map<ReplicaId, std::vector<size_t>> ByHost(Split& split, const std::vector<size_t>& items,
                                                  uint32_t round);
  Task<void> OpenAt(ReplicaId host, std::shared_ptr<Split> split, std::vector<size_t> items,
                    Deadline deadline, std::shared_ptr<Completion<bool>> done,
                    std::shared_ptr<size_t> running);
  Task<void> Drive(std::unique_ptr<Batch> owned);
  std::vector<ShardId> AnswerKnown(Batch& batch);
  void FailUnanswered(Batch& batch, const absl::Status& failure);
  void Answer(Batch& batch);
  bool AnswerHere(const OpenAccountRequest& request, OpenAccountResult* result);
  bool SendOpen(Batch& batch, uint32_t round);

  NodeContext& node_;
  size_t in_flight_ = 0;
  Counter& opened_;
};

}  // namespace paxledger
