#include "ops/ledgerd/join.h"

#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/log.h"
#include "cluster/cluster_message.h"
#include "cluster/node_identity.h"
#include "replication/net/guest.h"

namespace paxledger {
namespace {

constexpr int kRounds = 12;  // over all peers
constexpr std::chrono::seconds kPauseBetweenRounds{3};

std::string NewRequest() {
  std::random_device device;
  std::string raw;
  ByteWriter out(&raw);
  for (int i = 0; i < 4; ++i) out.U32(device());
  return ToHex(raw);
}

/// Asks the nodes of the creation document, one after the other, until one answers.
absl::StatusOr<ClusterMessage> AskPeers(const NodeSetup& setup, const ClusterMessage& question) {
  GuestOptions guest{.cluster_id = setup.genesis.cluster_id,
                     .name = setup.self.name,
                     .files = TlsFiles{setup.config.peers.certificate_path,
                                       setup.config.peers.private_key_path, setup.config.peer_ca_path},
                     .timeout = absl::Seconds(8)};
  absl::Status last = absl::UnavailableError("the creation document names no other node");
  for (int round = 0; round < kRounds; ++round) {
    if (round > 0)
      std::this_thread::sleep_for(kPauseBetweenRounds);  // tidy:allow(sleep) nothing runs here yet
    for (const Member& peer : setup.genesis.members) {
      if (peer.name == setup.self.name) continue;
      absl::StatusOr<std::pair<std::string, uint16_t>> address = ParseHostPort(peer.peer_address);
      if (!address.ok()) return address.status();
      absl::StatusOr<std::string> bytes =
          AskAsGuest(guest, address->first, address->second,
                     AppMessage{static_cast<uint32_t>(MachineId::kCluster), EncodeClusterMessage(question)});
      if (absl::IsInvalidArgument(bytes.status())) return bytes.status();
      absl::StatusOr<ClusterMessage> answer =
          bytes.ok() ? DecodeClusterMessage(*bytes) : absl::StatusOr<ClusterMessage>(bytes.status());
      const auto* done = answer.ok() ? std::get_if<CommandDone>(&*answer) : nullptr;
      if (done != nullptr && !done->result.has_value()) {
        last = absl::UnavailableError(absl::StrCat(peer.peer_address, ": no majority answered"));
        continue;
      }
      if (answer.ok()) return answer;
      last = answer.status();
      Log(LogLevel::kInfo, "ledgerd", "a peer does not answer").With("why", ToStd(last.message()));
    }
  }
  return absl::UnavailableError(absl::StrCat("no node of the cluster answers: ", last.message()));
}

absl::Status Settle(NodeSetup& setup, NodeIdentity identity, ReplicaId number) {
  identity.number = setup.self.replica = number;
  Log(LogLevel::kInfo, "ledgerd", "the cluster knows this node")
      .With("node", identity.name)
      .With("number", number.value);
  return WriteNodeIdentity(setup.config.data_dir, identity);
}

absl::StatusOr<Directory> Join(NodeSetup& setup) {
  absl::StatusOr<ClusterMessage> answer = AskPeers(setup, AskDirectory{});
  if (!answer.ok()) return answer.status();
  auto* news = std::get_if<DirectoryNews>(&*answer);
  if (news == nullptr) return absl::UnavailableError("a peer answered something else");
  const NodeEntry* self = news->directory.FindName(setup.self.name);
  if (self == nullptr) {
    return absl::NotFoundError(absl::StrCat("the cluster has no node \"", setup.self.name,
                                            "\": ledgerctl cluster add-node makes it one"));
  }
  if (self->data_centre != setup.self.data_centre) {
    return absl::FailedPreconditionError(absl::StrCat("the cluster knows ", self->name, " in data centre ",
                                                      self->data_centre, ", not ", setup.self.data_centre));
  }
  NodeIdentity identity{setup.genesis.cluster_id, setup.self.name, "", ReplicaId{}};
  if (absl::Status settled = Settle(setup, std::move(identity), self->number); !settled.ok()) return settled;
  return std::move(news->directory);
}

absl::StatusOr<Directory> Rejoin(NodeSetup& setup, NodeIdentity identity) {
  // Durable before it is asked: a retry names the same wish, so no second number is given out for it.
  absl::Status noted = WriteNodeIdentity(setup.config.data_dir, identity);
  if (!noted.ok()) return noted;
  DirectoryCommand command{.request = identity.request, .change = ReplaceNode{.name = identity.name}};
  absl::StatusOr<ClusterMessage> answer = AskPeers(setup, ProposeCommand{1, std::move(command)});
  if (!answer.ok()) return answer.status();
  auto* done = std::get_if<CommandDone>(&*answer);
  if (done == nullptr) return absl::UnavailableError("a peer answered something else");
  if (done->result->outcome != DirectoryOutcome::kDone) {
    return absl::NotFoundError(absl::StrCat("the cluster gives node \"", identity.name, "\" no new number: ",
                                            ToAbsl(DirectoryOutcomeText(done->result->outcome))));
  }
  ReplicaId number = done->result->number;
  if (absl::Status settled = Settle(setup, std::move(identity), number); !settled.ok()) return settled;
  return std::move(done->directory);
}

}  // namespace

absl::StatusOr<Directory> FindIdentity(Entry entry, NodeSetup& setup) {
  const std::string& data_dir = setup.config.data_dir;
  absl::StatusOr<std::optional<NodeIdentity>> found = ReadNodeIdentity(data_dir);
  if (!found.ok()) return found.status();
  if (found->has_value()) {
    NodeIdentity& identity = **found;
    if (identity.cluster_id != setup.genesis.cluster_id || identity.name != setup.self.name) {
      return absl::FailedPreconditionError(absl::StrCat("data directory ", data_dir, " is that of node ",
                                                        identity.name, " of cluster ", identity.cluster_id));
    }
    setup.self.replica = identity.number;
    if (identity.number != ReplicaId{}) return Directory{};
    if (entry == Entry::kRejoin) return Rejoin(setup, std::move(identity));
    return absl::FailedPreconditionError(absl::StrCat(
        "data directory ", data_dir,
        " waits for a number that was asked for: ledgerd rejoin --config FILE goes on with that"));
  }
  if (entry == Entry::kRun) {
    if (setup.self.replica != ReplicaId{}) return Directory{};
    return Join(setup);
  }
  if (HoldsDatabase(data_dir)) {
    return absl::FailedPreconditionError(
        absl::StrCat("data directory ", data_dir,
                     " holds data. ledgerd run starts from it; to rejoin without it, move it away"));
  }
  return Rejoin(setup, NodeIdentity{setup.genesis.cluster_id, setup.self.name, NewRequest(), ReplicaId{}});
}

}  // namespace paxledger
