#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/strong_id.h"
#include "ledger/account.h"
#include "txn/command.h"

namespace paxledger::sim {

/// The checker's own books: what the chosen commands of all shards add up to, by other code than the product's. Of the
/// product it takes how an Execute ended; all else follows from the logs:
///   - decisions on one try never differ, wherever they are written
///   - an id has an effect at most once in each shard, and at most one body of it has any
///   - no limit is crossed after any transfer that is posted
///   - in the end a transaction has its effect on all of its accounts or on none, and every refusal was true: the rule was
///     broken in some order of what was then in doubt
/// Owns:    a copy of all that was done, for the check of serializability at the end.
class JournalFold {
 public:
  using Fail = std::function<void(std::string what)>;
  /// How the product says that an Execute ended in the entry at `index`; nullopt: not there.
  using Claim = std::function<std::optional<Decision>(const Try& of, LogIndex index)>;
  struct Sums {
    Amount debits = 0;
    Amount credits = 0;
    void Add(const Sums& other) {
      debits += other.debits;
      credits += other.credits;
    }
    friend bool operator==(const Sums&, const Sums&) = default;
  };
  /// A transaction body, by number.
  using BodyNo = uint32_t;
  /// What a transaction did to an account. Positions count the commands of the account's shard log.
  struct Effect {
    BodyNo of = 0;
    int64_t voted = 0;
    int64_t done = 0;
    Sums sums;
  };
  struct Committed {
    std::string id;
    Digest digest;
    LogTime at;
  };

  JournalFold(uint32_t shards, Fail fail) : shards_(shards), books_(shards), fail_(std::move(fail)) {}

  /// Takes in the next command of the shard's log.
  void Add(ShardId shard, LogIndex index, const TxnCommand& command, const Claim& claim);

  /// What is posted to the account up to here; nullptr: it was not opened.
  const Sums* PostedTo(const std::string& account) const;
  /// The sum over all accounts of the shard but the clearing ones, and those, by counterpart.
  const Sums& PostedIn(ShardId shard) const { return books_[shard.value].all; }
  const std::map<uint32_t, Sums>& ClearingOf(ShardId shard) const { return books_[shard.value].clearing; }
  /// nullptr: no log held it up to here.
  const Transaction* BodyOf(const Try& of) const;
  /// By account, in the order of its log.
  const std::map<std::string, std::vector<Effect>>& effects() const { return effects_; }
  /// Whatever had an effect somewhere.
  const std::map<BodyNo, Committed>& committed() const { return committed_; }

  /// When nothing is in doubt any more.
  void CheckEnd() const;

 private:
  using TryNo = std::pair<BodyNo, uint32_t>;  // with the attempt
  struct AccountFacts {
    AccountSpec spec;
    Sums posted;
    std::set<TryNo> in_doubt;
  };
  /// An account as a Prepare or Execute found it.
  struct Sight {
    const AccountFacts* account;
    Sums posted;
    std::vector<TryNo> in_doubt;
  };
  struct ShardBooks {
    int64_t commands = 0;
    std::map<TryNo, int64_t> prepared;   // the position of the first Prepare of the try in this log
    std::map<std::string, BodyNo> done;  // ids with an effect here
    std::map<uint32_t, Sums> clearing;
    Sums all;
  };
  BodyNo NumberOf(const Try& of);
  void Begin(ShardId shard, const Try& of, const Transaction& body);
  void Execute(ShardId shard, LogIndex index, const ExecuteCommand& command, const Claim& claim);
  void Finish(ShardId shard, LogIndex index, const FinishCommand& command);
  void Note(LogIndex index, const Try& of, const Decision& decision);
  void Post(ShardId shard, LogIndex index, const Try& of, int64_t voted, LogTime at);
  void PostTo(ShardId shard, LogIndex index, const std::string& account, const Sums& sums);
  void Leave(ShardId shard, TryNo number);
  bool CrossesLimit(const AccountSpec& spec, const Sums& sums) const;
  void CheckAtomicity(BodyNo number, const Committed& transaction) const;
  void CheckRefusal(TryNo number, const Decision& decision) const;
  bool LimitCanFail(TryNo number, const std::string& account, uint32_t transfer) const;
  ShardId ShardOf(const std::string& account) const;

  uint32_t shards_;
  std::vector<ShardBooks> books_;
  Fail fail_;
  std::map<std::string, AccountFacts> accounts_;
  std::map<std::pair<std::string, Digest>, BodyNo> numbers_;
  std::map<BodyNo, Transaction> bodies_;
  std::map<TryNo, Decision> decisions_;
  std::map<std::pair<TryNo, std::string>, Sight> sights_;  // by try and account
  std::map<std::string, std::vector<Effect>> effects_;
  std::map<BodyNo, Committed> committed_;
};

}  // namespace paxledger::sim
