#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/journal_fold.h"
#include "tests/sim/serializability.h"
#include "tests/sim/sim_cluster.h"
#include "txn/ledger_service.h"

namespace paxledger::sim {

/// What clients sent and were told, and whether it can all be true:
///   - a body has one outcome, whoever asks and how often; of two bodies under one id at most one has an effect
///   - a strong read shows what was acknowledged before it began, and nothing that was not yet sent when it ended;
///     a later read never shows less than an earlier one
///   - in the end, on every replica: what was acknowledged stands as acknowledged, and each account holds exactly the sum
///     of the transactions that committed, so none was lost, doubled or done by halves
///   - one order of all transactions and strong reads explains all of it (tests/sim/serializability)
/// Threads: one.
class History {
 public:
  using Fail = std::function<void(std::string what)>;
  History(SimCluster& cluster, Fail fail) : cluster_(cluster), fail_(std::move(fail)) {}

  /// Names a body of an id.
  struct BodyId {
    size_t id = 0;
    size_t body = 0;
  };
  /// A client is about to send a new body; `body.id` may be known already.
  BodyId Begin(Transaction body);
  void Acknowledged(BodyId body, const TransactionResult& result);
  const Transaction& BodyOf(BodyId body) const { return ids_[body.id].bodies[body.body].body; }
  size_t ids() const { return ids_.size(); }
  bool IsAcknowledged(BodyId body) const { return ids_[body.id].bodies[body.body].acknowledged.has_value(); }

  void OpenedAccount(const std::string& id, const AccountSpec& spec) { accounts_[id].spec = spec; }
  /// A strong read of `account` that began and ended at these times.
  void Read(const std::string& account, int64_t began_us, int64_t ended_us, const AccountRead& read);
  /// A strong read of a transaction by id.
  void ReadTransaction(BodyId body, const absl::StatusOr<TransferRead>& read);

  /// After everything settled: against the books of a data centre, and against the logs.
  void CheckFinal(uint32_t machine);
  SerialVerdict CheckOrder(const JournalFold& fold);

  uint64_t committed() const { return committed_; }
  uint64_t refused() const { return refused_; }
  uint64_t conflicts() const { return conflicts_; }
  uint64_t reads() const { return reads_; }

 private:
  struct Acknowledgement {
    TransactionState state;
    Outcome refusal;
    LogTime committed_at;
    int64_t at_us;
  };
  struct Body {
    Transaction body;
    Digest digest;
    int64_t sent_us;
    std::optional<Acknowledgement> acknowledged;
    std::optional<int64_t> seen_committed_us;  // by a read of it
  };
  struct Id {
    std::string id;
    std::vector<Body> bodies;
  };
  struct Sums {
    Amount debits = 0;
    Amount credits = 0;
  };
  struct PastRead {
    int64_t began_us;
    int64_t ended_us;
    Sums sums;
  };
  struct AccountFacts {
    AccountSpec spec;
    std::vector<BodyId> bodies;  // that touch it
    std::vector<PastRead> reads;
  };
  static std::string Shown(const Sums& sums);
  std::string NewestOn(const AccountFacts& facts, int64_t before_us) const;
  static Sums EffectOn(const std::string& account, const Transaction& body);
  /// Of `machine`, or, where it does not host the shard, of the next one that does: all agree by then.
  ShardMachine& BooksOf(uint32_t machine, ShardId shard);
  std::optional<Decision> DecisionOf(uint32_t machine, const Id& id, const Body& body);
  const Body* Find(const std::string& id, const Digest& digest) const;
  void CheckOutcome(const Id& id, const Body& body, const std::optional<Decision>& decision);
  void CheckClearing(uint32_t machine);

  SimCluster& cluster_;
  Fail fail_;
  std::vector<Id> ids_;
  std::map<std::string, size_t> by_name_;
  std::map<std::string, AccountFacts> accounts_;
  uint64_t committed_ = 0;
  uint64_t refused_ = 0;
  uint64_t conflicts_ = 0;
  uint64_t reads_ = 0;
};

}  // namespace paxledger::sim
