#include "cluster/cluster_machine.h"

#include <utility>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
constexpr char kRowKind = 64;  // beside the rows of shard 0's ledger

std::string RowKey() {
  std::string key;
  AppendBigEndian32(&key, 0);
  key.push_back(kRowKind);
  return key;
}

}  // namespace

ClusterMachine::ClusterMachine(Directory creation, uint32_t shards, Engine& engine)
    : creation_(std::move(creation)), shards_(shards), engine_(engine), directory_(creation_) {}

void ClusterMachine::Reset() {
  directory_ = creation_;
  results_.clear();
  changed_at_ = LogIndex{};
}

absl::Status ClusterMachine::Recover() {
  Reset();
  absl::StatusOr<std::optional<std::string>> row = engine_.Get(Table::kState, RowKey());
  if (!row.ok()) return row.status();
  if (row->has_value() && !DecodeRow(**row)) {
    Reset();
    return absl::DataLossError("the row of the cluster's directory is damaged");
  }
  if (observer_) observer_();
  return absl::OkStatus();
}

void ClusterMachine::Apply(LogIndex index, const Envelope& entry) {
  if (index <= changed_at_) return;  // replayed: it is in the row
  bool decided = false;
  for (const Command& command : entry.commands) {
    if (command.machine != MachineId::kCluster) continue;
    absl::StatusOr<DirectoryCommand> decoded = DecodeDirectoryCommand(command.bytes);
    // What cannot be decoded counts as nothing, on all replicas alike.
    if (!decoded.ok() || FindResult(decoded->request).has_value()) continue;
    DirectoryResult result = ApplyDirectoryCommand(*decoded, shards_, directory_);
    results_.push_back({std::move(decoded->request), result});
    if (results_.size() > kResultsKept) results_.pop_front();
    decided = true;
  }
  if (!decided) return;
  changed_at_ = index;
  Write();
  if (observer_) observer_();
}

void ClusterMachine::Write() {
  EngineBatch batch;
  batch.Add(EngineBatch::Put{Table::kState, RowKey(), EncodeRow()});
  // Batches become durable in order, and the ledger's checkpoint of this entry comes later.
  engine_.Write(std::move(batch), Durability::kLazy, [] {});
}

std::optional<DirectoryResult> ClusterMachine::FindResult(std::string_view request) const {
  for (const Remembered& remembered : results_) {
    if (remembered.request == request) return remembered.result;
  }
  return std::nullopt;
}

std::string ClusterMachine::EncodeRow() const {
  std::string row;
  ByteWriter out(&row);
  out.U8(kVersion);
  out.Varint(changed_at_.value);
  out.Bytes(EncodeDirectory(directory_));
  out.Varint(results_.size());
  for (const Remembered& remembered : results_) {
    out.Bytes(remembered.request);
    out.U8(static_cast<uint8_t>(remembered.result.outcome));
    out.U16(remembered.result.number.value);
    out.Varint(remembered.result.version);
  }
  out.U64(Checksum64(row));
  return row;
}

bool ClusterMachine::DecodeRow(std::string_view row) {
  if (row.size() < sizeof(uint64_t)) return false;
  std::string_view body = row.substr(0, row.size() - sizeof(uint64_t));
  ByteReader sum(row.substr(body.size()));
  if (sum.U64() != Checksum64(body)) return false;
  ByteReader in(body);
  if (in.U8() != kVersion) return false;
  changed_at_ = LogIndex{in.Varint()};
  absl::StatusOr<Directory> directory = DecodeDirectory(in.Bytes());
  if (!directory.ok()) return false;
  directory_ = *std::move(directory);
  uint64_t results = in.Varint();
  if (results > kResultsKept) return false;
  for (uint64_t i = 0; i < results; ++i) {
    Remembered remembered;
    remembered.request = in.Bytes();
    uint8_t outcome = in.U8();
    if (outcome < 1 || outcome > 9) in.Fail();
    remembered.result.outcome = static_cast<DirectoryOutcome>(outcome);
    remembered.result.number = ReplicaId{in.U16()};
    remembered.result.version = in.Varint();
    results_.push_back(std::move(remembered));
  }
  return in.AtEnd();
}

}  // namespace paxledger
