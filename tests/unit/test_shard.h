#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/digest.h"
#include "replication/core/envelope.h"
#include "tests/unit/memory_engine.h"
#include "txn/command.h"
#include "txn/placement.h"
#include "txn/shard_machine.h"

namespace paxledger {

/// One shard's machine with its disk and its journal, without consensus: what is applied is chosen.
class TestShard : public ShardObserver {
 public:
  explicit TestShard(ShardId shard = ShardId{0}, uint32_t shards = 1,
                     uint32_t checkpoint_commands = 1'000'000, size_t cached_accounts_max = 1000)
      : options_{shard, shards, "cluster", checkpoint_commands, cached_accounts_max} {
    Start();
  }

  /// Applies one entry; returns its index.
  LogIndex Apply(const std::vector<TxnCommand>& commands, int64_t stamp_us = 0) {
    std::vector<std::string> encoded;
    for (const TxnCommand& command : commands) {
      encoded.push_back(EncodeCommand(MachineId::kTxn, EncodeTxnCommand(command)));
    }
    return ApplyEncoded(encoded, stamp_us);
  }
  LogIndex ApplyEncoded(const std::vector<std::string>& commands, int64_t stamp_us = 0) {
    std::vector<std::string_view> views(commands.begin(), commands.end());
    journal.push_back(EncodeEnvelope(Owner{}, stamp_us, views));
    votes.clear();
    opened.clear();
    Replay();
    return machine->applied();
  }
  /// Applies one command and returns what was said of it; the last vote there was.
  Vote Say(const TxnCommand& command, int64_t stamp_us = 0) {
    Apply({command}, stamp_us);
    Check(!votes.empty(), "the command was answered");
    return votes.back();
  }
  /// Applies what of the journal is not applied yet.
  void Replay() {
    while (machine->applied().value < journal.size()) {
      const std::string& value = journal[machine->applied().value];
      absl::StatusOr<Envelope> entry = DecodeEnvelope(value);
      Check(entry.ok(), "the journal holds envelopes");
      machine->Apply(Next(machine->applied()), *entry, Sha256(value));
    }
  }
  /// Stops as by a kill, starts on what was durable, without replaying.
  void Crash() {
    machine.reset();
    engine.Crash();
    Start();
  }
  void CheckpointNow() {
    machine->Checkpoint([] {});
    engine.PumpAll();
  }

  void OnVote(ShardId, const Vote& vote) override { votes.push_back(vote); }
  void OnOpened(ShardId, const LedgerKey&, const AccountSpec&, OpenStatus status) override {
    opened.push_back(status);
  }
  void OnApplied(ShardId, LogIndex, LogTime at) override {
    Check(at > last_at_ || machine_restarted_, "time goes forward");
    machine_restarted_ = false;
    last_at_ = at;
  }

  MemoryEngine engine;
  std::unique_ptr<ShardMachine> machine;
  std::vector<std::string> journal;  // entry i is at index i + 1
  std::vector<Vote> votes;           // of the last entry that was applied
  std::vector<OpenStatus> opened;

 private:
  void Start() {
    machine = std::make_unique<ShardMachine>(options_, engine, *this);
    absl::Status status = machine->Recover();
    Check(status.ok(), "a sound disk is recovered");
    machine_restarted_ = true;
  }

  ShardMachineOptions options_;
  LogTime last_at_;
  bool machine_restarted_ = true;
};

inline AccountSpec Limited(std::string asset = "USD/2") {
  AccountSpec spec;
  spec.asset = std::move(asset);
  spec.limit = LimitRule::kDebitsMustNotExceedCredits;
  return spec;
}
inline AccountSpec Unlimited(std::string asset = "USD/2") {
  AccountSpec spec;
  spec.asset = std::move(asset);
  return spec;
}
inline OpenAccountCommand Open(std::string id, AccountSpec spec) {
  return OpenAccountCommand{{"main", std::move(id)}, std::move(spec)};
}
inline Transaction Pay(std::string id, std::string debit, std::string credit, Amount amount) {
  Transaction body{"main", id, {}};
  Transfer transfer;
  transfer.id = std::move(id);
  transfer.debit_account = std::move(debit);
  transfer.credit_account = std::move(credit);
  transfer.amount = amount;
  body.transfers.push_back(std::move(transfer));
  return body;
}
inline Try TryOf(const Transaction& body, uint32_t attempt = 1) {
  return Try{{body.ledger, body.id}, TransactionDigest(body), attempt};
}
inline ExecuteCommand Execute(const Transaction& body, uint32_t attempt = 1) {
  return ExecuteCommand{TryOf(body, attempt), body, {}};
}
inline PrepareCommand Prepare(const Transaction& body, uint32_t shards, uint32_t attempt = 1,
                              std::string asset = "USD/2") {
  return PrepareCommand{TryOf(body, attempt),
                        Participants(body, shards),
                        1'000'000,
                        body,
                        std::vector<std::string>(body.transfers.size(), asset),
                        {}};
}
inline ResolveCommand Resolve(const Transaction& body, uint32_t shards, uint32_t attempt = 1) {
  return ResolveCommand{TryOf(body, attempt), Participants(body, shards)};
}
inline FinishCommand Finish(const Transaction& body, DecisionKind kind, LogTime committed_at = {},
                            uint32_t attempt = 1) {
  Decision decision;
  decision.kind = kind;
  if (kind == DecisionKind::kRefused) decision.refusal = Outcome::kInsufficientFunds;
  decision.committed_at = committed_at;
  return FinishCommand{TryOf(body, attempt), decision};
}
/// The first of `stem`0, `stem`1, … that lives on `shard`.
inline std::string AccountOn(ShardId shard, uint32_t shards, const std::string& stem) {
  for (int i = 0;; ++i) {
    std::string id = stem + std::to_string(i);
    if (ShardOfAccount("main", id, shards) == shard) return id;
  }
}

}  // namespace paxledger
