#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/planted.h"
#include "base/strong_id.h"
#include "txn/command_view.h"
#include "txn/shard_machine.h"
#include "txn/shard_state.h"

namespace paxledger {

/// Applies commands to a shard: transactions.md rules 1-6, 8, 16 and 18.
/// Owns:    nothing but scratch room. Borrows the state and the observer.
/// Threads: the node's strand.
class Applier {
 public:
  Applier(ShardState& state, ShardObserver& observer) : state_(state), observer_(observer) {}

  /// Applies one command of the entry at `index`, whose timestamp is `at`. What makes no sense for this shard
  /// (an account of another one, participants that are not the body's) counts as nothing, on all replicas
  /// alike.
  void Apply(const CommandView& command, LogIndex index, LogTime at);

  /// See ShardMachine::FindVote.
  std::optional<Vote> FindVote(const Try& of);

 private:
  enum class Home : uint8_t { kHere, kElsewhere };
  /// What this shard knows of an id and digest.
  struct Standing {
    OpenTry* open = nullptr;
    std::optional<IdRecord> record;  // of an earlier attempt, where one is open
    bool bound_elsewhere = false;    // this shard is the id's home, and bound it to another digest (rule 1)
    bool id_row_possible = true;
  };
  /// A side of a transfer, and where its account lives.
  struct SideAt {
    ShardId shard;
    CachedAccount* account = nullptr;  // nullptr: elsewhere, or not found
  };
  struct TransferAt {
    SideAt debit;
    SideAt credit;
  };
  struct Verdict {
    VoteKind kind = VoteKind::kPrepared;  // or kRefused, kBlocked
    Outcome refusal = Outcome::kCommitted;
    uint32_t transfer = 0;
    std::vector<CachedAccount*> blocked_on;
  };

  void OpenAccount(const CommandView& command);
  /// Execute, Prepare and Resolve: all three begin an attempt, or join one.
  void BeginAttempt(const CommandView& command);
  /// Judges the body and records what comes of it: `opened`, or for an Execute the end of the transaction.
  void CastVote(const CommandView& command, OpenTry opened);
  void Open(OpenTry opened);
  void Finish(const CommandView& command);

  Home HomeOf(std::string_view ledger, std::string_view id) const;
  Standing Look(std::string_view key, const Digest& digest, Home home);
  std::optional<Vote> Told(const Standing& standing, std::string_view key, const Digest& digest,
                           uint32_t attempt) const;
  bool Fits(const OpenTry& open, const CommandView& command) const;

  /// Finds the accounts of the body; false: it is not for this shard or not for these participants.
  bool Locate(const CommandView& command);
  SideAt LocateSide(std::string_view ledger, std::string_view account);
  Verdict Judge(const CommandView& command);
  void ForgetOwnLegs();
  std::vector<Blocker> OldestOn(const std::vector<CachedAccount*>& accounts) const;

  void ReserveLegs(const CommandView& command, OpenTry* opened);
  void PostBody(const CommandView& command);
  void EndLegs(const OpenTry& open, const Decision& decision);
  void EndTry(OpenTry& open, const Decision& decision);
  void Record(std::string_view key, const IdRecord& record, uint32_t body_command, RowHint hint);

  ShardState& state_;
  ShardObserver& observer_;
  LogIndex index_;
  LogTime at_;
  std::string key_;      // of the command being applied
  std::string account_;  // scratch for the key of an account
  std::vector<TransferAt> located_;
};

}  // namespace paxledger
