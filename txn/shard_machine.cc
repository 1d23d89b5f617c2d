#include "txn/shard_machine.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "ledger/encoding.h"
#include "txn/account_list.h"
#include "txn/applier.h"
#include "txn/checkpoint.h"
#include "txn/command_view.h"
#include "txn/digest_ring.h"
#include "txn/shard_state.h"

namespace paxledger {
namespace {

// Decoded commands keep their room from entry to entry, up to this many of them.
constexpr size_t kDecodedKeptMax = 512;

std::string Key(const LedgerKey& key) {
  std::string bytes;
  AppendLedgerKey(&bytes, key.ledger, key.id);
  return bytes;
}

}  // namespace

class ShardMachine::State {
 public:
  State(const ShardMachineOptions& options, Engine& engine_port, ShardObserver& observer_port)
      : engine(engine_port),
        observer(observer_port),
        shard(options, engine_port),
        applier(shard, observer_port),
        checkpoints(shard, engine_port, options.checkpoint_commands) {}

  void Apply(LogIndex index, const Envelope& entry, const Digest& value_digest);
  DigestsAtIndex Digests() const { return {shard.applied, shard.journal, shard.digest.value()}; }

  Engine& engine;
  ShardObserver& observer;
  ShardState shard;
  Applier applier;
  Checkpoints checkpoints;
  DigestRing ring;
  std::vector<CommandView> decoded;

 private:
  /// Decodes into `decoded`; returns how many. What cannot be decoded counts as nothing.
  size_t Decode(const Envelope& entry);
  LogTime Timestamp(const Envelope& entry, size_t commands) const;
};

size_t ShardMachine::State::Decode(const Envelope& entry) {
  size_t count = 0;
  for (size_t i = 0; i < entry.commands.size(); ++i) {
    const Command& command = entry.commands[i];
    if (command.machine != MachineId::kTxn) continue;
    if (count == decoded.size()) decoded.emplace_back();
    if (!decoded[count].Decode(command.bytes)) continue;
    decoded[count++].position = static_cast<uint32_t>(i);
  }
  return count;
}

// transactions.md rule 9; the bounds of rules 10 and 11 come with the commands.
LogTime ShardMachine::State::Timestamp(const Envelope& entry, size_t commands) const {
  int64_t at = std::max(std::min(entry.stamp_us, kLogTimeMaxUs), shard.clock.value + 1);
  for (size_t i = 0; i < commands; ++i) at = std::max(at, decoded[i].not_before_us);
  return LogTime{at};
}

void ShardMachine::State::Apply(LogIndex index, const Envelope& entry, const Digest& value_digest) {
  Check(index == Next(shard.applied), "entries are applied in order, each once");
  size_t commands = Decode(entry);
  LogTime at = Timestamp(entry, commands);
  for (size_t i = 0; i < commands; ++i) applier.Apply(decoded[i], index, at);
  shard.statements.EndEntry(index);
  shard.outbox.EndEntry(index);
  shard.accounts.EndEntry();
  shard.books.CheckBalanced();
  shard.clock = at;
  shard.applied = index;
  shard.journal = Sha256(shard.journal.view(), value_digest.view());
  ring.Add(Digests());
  if (decoded.size() > kDecodedKeptMax) decoded.resize(kDecodedKeptMax);
  observer.OnApplied(shard.shard, index, at);
  checkpoints.AfterEntry(static_cast<uint32_t>(commands));
}

ShardMachine::ShardMachine(ShardMachineOptions options, Engine& engine, ShardObserver& observer)
    : options_(std::move(options)), state_(std::make_unique<State>(options_, engine, observer)) {
  Check(options_.shard.value < options_.shards && options_.shards <= limits::kShardsMax,
        "a shard machine is of one of the cluster's shards");
}

ShardMachine::~ShardMachine() = default;

absl::Status ShardMachine::Recover() {
  absl::Status status = state_->checkpoints.Recover();
  if (status.ok()) state_->ring.Add(state_->Digests());
  return status;
}

void ShardMachine::Release(absl::AnyInvocable<void()> done) { state_->checkpoints.Release(std::move(done)); }

absl::Status ShardMachine::Reload() {
  state_ = std::make_unique<State>(options_, state_->engine, state_->observer);
  return Recover();
}

LogIndex ShardMachine::applied() const { return state_->shard.applied; }

void ShardMachine::Apply(LogIndex index, const Envelope& entry, const Digest& value_digest) {
  state_->Apply(index, entry, value_digest);
}

void ShardMachine::Checkpoint(absl::AnyInvocable<void()> done) {
  state_->checkpoints.Request(std::move(done));
}

Digest ShardMachine::journal() const { return state_->shard.journal; }

absl::StatusOr<CheckpointMark> ShardMachine::CheckpointIn(EngineSnapshot& rows) const {
  return Checkpoints::In(options_.shard, rows);
}

LogTime ShardMachine::clock() const { return state_->shard.clock; }

const Account* ShardMachine::FindAccount(const LedgerKey& key) {
  state_->shard.accounts.Shrink();
  const CachedAccount* found = state_->shard.accounts.Find(Key(key));
  return found == nullptr ? nullptr : &found->account;
}

std::vector<InDoubt> ShardMachine::InDoubtOn(const LedgerKey& account) const {
  std::vector<InDoubt> in_doubt;
  // An account with reservations is always in memory.
  const CachedAccount* found = state_->shard.accounts.FindCached(Key(account));
  if (found == nullptr) return in_doubt;
  in_doubt.reserve(found->reservations.size());
  for (const OpenTry* t : found->reservations) in_doubt.push_back(t->AsInDoubt());
  return in_doubt;
}

std::optional<Vote> ShardMachine::FindVote(const Try& of) { return state_->applier.FindVote(of); }

std::vector<TransactionRecord> ShardMachine::FindTransaction(const LedgerKey& key) {
  std::vector<TransactionRecord> records;
  std::vector<TransactionRecord> conflicts;
  std::string bytes = Key(key);
  const TryTable::OfId* tries = state_->shard.tries.Find(bytes);
  if (tries != nullptr) {
    for (const OpenTry* t : *tries) {
      std::vector<TransactionRecord>& into = t->kind == VoteKind::kConflict ? conflicts : records;
      int64_t deadline_us = t->kind == VoteKind::kResolved ? 0 : t->deadline_us;
      into.push_back({t->OfTry(), t->participants, t->body_at, std::nullopt, deadline_us});
    }
  }
  if (const IdEntry* entry = state_->shard.ids.Find(bytes)) {
    for (const IdRecord& record : entry->records) {
      // A later attempt of the same digest is in doubt: it is the newest.
      if (state_->shard.tries.Find(bytes, record.digest) != nullptr) continue;
      std::vector<TransactionRecord>& into =
          record.decision.kind == DecisionKind::kConflict ? conflicts : records;
      into.push_back({Try{key, record.digest, record.attempt}, {}, record.body_at, record.decision, 0});
    }
  }
  records.insert(records.end(), std::make_move_iterator(conflicts.begin()),
                 std::make_move_iterator(conflicts.end()));
  return records;
}

std::vector<AccountRow> ShardMachine::ListAccounts(std::string_view ledger, std::string_view prefix,
                                                   std::string_view after, size_t limit) {
  return paxledger::ListAccounts(state_->shard.shard, state_->engine, state_->shard.accounts, ledger, prefix,
                                 after, limit);
}

std::optional<StatementScan> ShardMachine::ScanStatement(const LedgerKey& account, StatementRange range) {
  std::string key = Key(account);
  state_->shard.accounts.Shrink();
  const CachedAccount* found = state_->shard.accounts.Find(key);
  if (found == nullptr) return std::nullopt;
  return StatementScan(std::move(key), found->chain, state_->shard.applied, std::move(range));
}

absl::StatusOr<StatementScan::Progress> ShardMachine::StepStatement(StatementScan& scan, size_t lines_max) {
  return scan.Step(state_->shard.statements, lines_max);
}

LogTime ShardMachine::ClosedUntil(const LedgerKey& account) const {
  LogTime until = state_->shard.clock;
  const CachedAccount* found = state_->shard.accounts.FindCached(Key(account));
  if (found == nullptr || found->reservations.empty()) return until;
  // The oldest was prepared first, and is committed then or later.
  return std::min(until, LogTime{found->reservations.front()->at.value - 1});
}

const Outbox& ShardMachine::outbox() const { return state_->shard.outbox; }

std::vector<InDoubt> ShardMachine::Overdue(int64_t now_us) const {
  std::vector<InDoubt> overdue;
  for (const OpenTry& t : state_->shard.tries.all()) {
    if (t.deadline_us + limits::kRecoveryGraceUs < now_us) overdue.push_back(t.AsInDoubt());
  }
  return overdue;
}

size_t ShardMachine::in_doubt() const { return state_->shard.tries.all().size(); }
std::vector<AssetTotals> ShardMachine::TotalsByAsset() const { return state_->shard.books.TotalsByAsset(); }
std::vector<ClearingTotals> ShardMachine::Clearing() const { return state_->shard.books.Clearing(); }
DigestsAtIndex ShardMachine::digests() const { return state_->Digests(); }
std::optional<DigestsAtIndex> ShardMachine::DigestsAt(LogIndex index) const { return state_->ring.At(index); }

}  // namespace paxledger
