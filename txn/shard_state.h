#pragma once

#include <cstdint>

#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/store/engine.h"
#include "txn/account_cache.h"
#include "txn/books.h"
#include "txn/id_index.h"
#include "txn/outbox.h"
#include "txn/shard_machine.h"
#include "txn/statement_table.h"
#include "txn/try_table.h"

namespace paxledger {

/// All that a shard's journal folds into, at the index `applied`. The state digest is over accounts, tries in
/// doubt and finished ids; each of the three keeps its own part up to date. Statements and outbox follow from
/// the journal alone, and are in no digest.
/// Threads: the node's strand.
struct ShardState {
  ShardState(const ShardMachineOptions& options, Engine& engine)
      : shard(options.shard),
        shards(options.shards),
        digest(options.cluster_id),
        accounts(options.shard, options.cached_accounts_max, engine, books, digest),
        tries(options.shard, digest),
        ids(options.shard, engine, digest),
        statements(options.shard, engine),
        outbox(options.shard, options.events_kept_min, engine) {}

  const ShardId shard;
  const uint32_t shards;
  LogIndex applied;
  LogTime clock;   // of the entry at `applied`
  Digest journal;  // chain over the value digests; none at index 0
  MultisetDigest digest;
  Books books;
  AccountCache accounts;
  TryTable tries;
  IdIndex ids;
  StatementTable statements;
  Outbox outbox;
};

}  // namespace paxledger
