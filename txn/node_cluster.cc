#include "txn/node_cluster.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "cluster/placement.h"

namespace paxledger {
namespace {

/// As the options say, or one node in each data centre, which bears its name.
Directory CreationOf(const NodeOptions& options) {
  if (!options.creation.nodes.empty()) return options.creation;
  Directory directory;
  for (ReplicaId number : options.members) {
    std::string name = absl::StrCat("dc", number.value);
    directory.nodes.push_back(NodeEntry{.number = number, .name = name, .data_centre = name});
    directory.next_number = uint32_t{number.value} + 1;
  }
  return directory;
}

}  // namespace

LogIndex NodeCluster::ShardZero::applied() const { return ledger_->applied(); }

void NodeCluster::ShardZero::Apply(LogIndex index, const Envelope& entry, const Digest& value_digest) {
  directory_.Apply(index, entry);
  ledger_->Apply(index, entry, value_digest);
}

void NodeCluster::ShardZero::Release(absl::AnyInvocable<void()> done) { ledger_->Release(std::move(done)); }

absl::Status NodeCluster::ShardZero::Reload() {
  absl::Status read = directory_.Recover();
  if (!read.ok()) return read;
  return ledger_->Reload();
}

NodeCluster::NodeCluster(NodeContext& node)
    : node_(node),
      machine_(CreationOf(node.options()), node.shards(), *node.ports().engine),
      shard_zero_(machine_),
      registrar_(RegistrarOptions{.self = node.options().self,
                                  .creation = CreationOf(node.options()),
                                  .creation_addresses = node.options().creation_addresses},
                 node.ports(), node.replica(), machine_),
      mover_(node.options().self, node.shards(), node.ports(), node.replica(), registrar_) {}

absl::Status NodeCluster::Recover() {
  absl::Status read = registrar_.Recover(node_.options().heard);
  if (!read.ok()) return read;
  return machine_.Recover();
}

void NodeCluster::Start() {
  registrar_.Start();
  // Without the nodes of a creation document nothing says where replicas are wanted.
  if (!node_.options().creation.nodes.empty()) mover_.Start();
}

StateMachine& NodeCluster::MachineOf(ShardId shard, StateMachine& ledger) {
  if (shard != ShardId{0}) return ledger;
  shard_zero_.set_ledger(ledger);
  return shard_zero_;
}

void NodeCluster::Handle(ReplicaId from, const AppMessage& message) {
  absl::StatusOr<ClusterMessage> decoded = DecodeClusterMessage(message.bytes);
  if (!decoded.ok()) return;
  registrar_.Handle(*decoded, [this, from](const ClusterMessage& answer) { registrar_.Send(from, answer); });
}

ClusterReport NodeCluster::Report() {
  const Directory& directory = registrar_.directory();
  ClusterReport report;
  report.cluster_id = node_.options().cluster_id;
  report.data_centre = node_.options().data_centre;
  report.self = node_.options().self;
  if (const NodeEntry* self = directory.Find(report.self)) report.node = self->name;
  report.has_quorum = node_.replica().HasQuorum();
  report.clock_offset_us = node_.replica().ClockOffsetMicros();
  report.directory = directory;
  for (ReplicaId node : registrar_.Up()) {
    if (node != report.self) report.peers_up.push_back(node);
  }
  for (uint32_t i = 0; i < node_.shards(); ++i) {
    ShardId shard{i};
    ShardStatus status = node_.replica().Status(shard);
    ShardPlace place;
    place.view = mover_.ViewOf(shard, MoverTask::Held::kDurable);
    place.owner = status.owner.replica;
    place.applied = status.chosen;
    place.voting = status.voting;
    place.wanted = WantedMembers(directory, shard);
    place.step = NextStep(directory, place.view);
    place.step_text = DescribeStep(place.step, directory);
    report.shards.push_back(std::move(place));
  }
  return report;
}

}  // namespace paxledger
