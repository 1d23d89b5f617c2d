#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "base/digest.h"
#include "base/strong_id.h"
#include "ledger/posting.h"
#include "replication/store/engine.h"
#include "txn/account_cache.h"
#include "txn/command.h"

namespace paxledger {

/// What a Prepared try does to one account of this shard.
struct ReservedLeg {
  CachedAccount* account = nullptr;
  ShardId counterpart;    // of the transfer's other account; this shard: nothing is cleared
  uint32_t transfer = 0;  // its number in the body
  Leg leg;
};

/// A try in doubt: its vote is recorded and it is not finished here.
struct OpenTry {
  uint64_t sequence = 0;  // age: of two, the lower was recorded first
  std::string key;        // ledger key of the id
  Digest digest;
  uint32_t attempt = 1;
  VoteKind kind = VoteKind::kBlocked;  // the vote, in its parts
  LogTime at;
  Outcome refusal = Outcome::kCommitted;
  uint32_t transfer = 0;
  std::vector<Blocker> blockers;
  std::vector<ShardId> participants;
  int64_t deadline_us = 0;
  LogIndex body_at;
  uint32_t body_command = 0;                 // of the entry at `body_at`
  absl::InlinedVector<ReservedLeg, 2> legs;  // where Prepared
  Digest element;                            // its part of the state digest
  bool id_row_possible = true;               // the index of ids may hold a record of the id
  bool persisted = false;                    // a checkpoint holds its row
  std::list<OpenTry>::iterator self;

  Try OfTry() const;
  Vote AsVote() const;
  InDoubt AsInDoubt() const;
};

/// The tries in doubt of a shard, by id and by age (transactions.md rule 1: a vote belongs to a whole try).
/// Owns:    the tries; addresses stay good until `Remove`.
/// Threads: the node's strand.
/// Format:  docs/formats.md#shard-state, #state-digest
class TryTable {
 public:
  using OfId = absl::InlinedVector<OpenTry*, 1>;

  TryTable(ShardId shard, MultisetDigest& digest) : shard_(shard), digest_(digest) {}

  /// The tries of an id, one per digest; nullptr: none.
  const OfId* Find(std::string_view key) const;
  OpenTry* Find(std::string_view key, const Digest& digest) const;
  /// Takes the next sequence number, and enters the reservations on their accounts and the try in the state
  /// digest.
  OpenTry& Add(OpenTry opened);
  /// Undoes `Add`.
  void Remove(OpenTry& opened);
  /// Oldest first.
  const std::list<OpenTry>& all() const { return tries_; }
  uint64_t next_sequence() const { return next_sequence_; }

  /// Adds rows for what was opened, and deletions for what was removed, since the last call.
  void AppendRows(EngineBatch* batch);
  /// Loads the rows; the accounts' own sums must agree with the reservations.
  [[nodiscard]] absl::Status Recover(Engine& engine, AccountCache& accounts, uint64_t next_sequence);

 private:
  OpenTry& Enter(OpenTry opened);
  Digest ElementOf(const OpenTry& opened) const;
  absl::Status CheckSums() const;

  ShardId shard_;
  MultisetDigest& digest_;
  uint64_t next_sequence_ = 1;
  std::list<OpenTry> tries_;
  absl::flat_hash_map<std::string, OfId> by_id_;
  std::vector<uint64_t> removed_;  // sequences of persisted tries that are gone
};

}  // namespace paxledger
