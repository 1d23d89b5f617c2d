#include "cluster/registrar.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/log.h"

namespace paxledger {
namespace {

constexpr char kRow[] = "directory";
constexpr absl::Duration kLookInterval = absl::Milliseconds(200);
constexpr int64_t kPatienceUs =
    1'000'000;  // after which a command is proposed again, or through another node
constexpr int64_t kProposalForOtherUs = 5'000'000;
constexpr size_t kProposalsForOthersMax = 64;

std::string EncodeRow(const Directory& directory) {
  std::string row;
  ByteWriter out(&row);
  std::string bytes = EncodeDirectory(directory);
  out.Bytes(bytes);
  out.U64(Checksum64(bytes));
  return row;
}

absl::StatusOr<Directory> DecodeRow(std::string_view row) {
  ByteReader in(row);
  std::string_view bytes = in.Bytes();
  if (in.U64() != Checksum64(bytes) || !in.AtEnd())
    return absl::DataLossError("the stored directory is damaged");
  absl::StatusOr<Directory> directory = DecodeDirectory(bytes);
  if (!directory.ok()) return absl::DataLossError("the stored directory is damaged");
  return directory;
}

PeerAddress AddressOf(const NodeEntry& node, const std::map<std::string, std::string>& creation) {
  std::string address = node.peer_address;
  if (auto at = creation.find(node.name); address.empty() && at != creation.end()) address = at->second;
  size_t colon = address.rfind(':');
  uint32_t port = 0;
  PeerAddress peer{node.number, "", 0, node.name};
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) return peer;
  peer.host = address.substr(0, colon);
  peer.port = static_cast<uint16_t>(port);
  return peer;
}

}  // namespace

Registrar::Registrar(RegistrarOptions options, ReplicaPorts ports, Replica& replica, ClusterMachine& machine)
    : options_(std::move(options)),
      ports_(ports),
      replica_(replica),
      machine_(machine),
      directory_(options_.creation) {
  machine_.set_observer([this] {
    Learn(machine_.directory());
    Wake();
  });
}

Registrar::~Registrar() { tasks_.Abandon(); }

absl::Status Registrar::Recover(Directory heard) {
  absl::StatusOr<std::optional<std::string>> row = ports_.engine->Get(Table::kMeta, kRow);
  if (!row.ok()) return row.status();
  if (row->has_value()) {
    absl::StatusOr<Directory> stored = DecodeRow(**row);
    if (!stored.ok()) return stored.status();
    Learn(*std::move(stored));
  }
  Learn(std::move(heard));
  return absl::OkStatus();
}

void Registrar::Start() {
  started_ = true;
  Write();
  ShowNodes();
  Look();
}

void Registrar::Learn(Directory directory) {
  if (directory.version <= directory_.version) return;
  directory_ = std::move(directory);
  if (!started_) return;
  Log(LogLevel::kInfo, "cluster", "the directory changed").With("version", directory_.version);
  Write();
  ShowNodes();
  for (ReplicaId node : seen_up_) Send(node, DirectoryNews{directory_});
  Wake();
}

void Registrar::Write() {
  if (directory_.version == 0) return;
  EngineBatch batch;
  batch.Add(EngineBatch::Put{Table::kMeta, kRow, EncodeRow(directory_)});
  ports_.engine->Write(std::move(batch), Durability::kSync, [] {});
}

void Registrar::ShowNodes() {
  std::vector<ReplicaId> nodes;
  std::vector<ReplicaId> near;
  std::vector<PeerAddress> peers;
  const NodeEntry* self = directory_.Find(options_.self);
  for (const NodeEntry& node : directory_.nodes) {
    if (node.state == NodeState::kGone && node.number != options_.self) continue;
    nodes.push_back(node.number);
    if (self != nullptr && node.data_centre == self->data_centre) near.push_back(node.number);
    if (node.number == options_.self) continue;
    peers.push_back(AddressOf(node, options_.creation_addresses));
  }
  // The replica must be able to admit all that the transport greets: those who leave it forgets last.
  std::vector<ReplicaId> all = nodes;
  all.insert(all.end(), shown_.begin(), shown_.end());
  replica_.SetNodes(std::move(all), near);
  ports_.transport->SetPeers(std::move(peers));
  shown_ = nodes;
  replica_.SetNodes(std::move(nodes), std::move(near));
}

std::set<ReplicaId> Registrar::Up() const {
  std::set<ReplicaId> up{options_.self};
  for (const NodeEntry& node : directory_.nodes) {
    if (node.state != NodeState::kGone && ports_.transport->IsUp(node.number)) up.insert(node.number);
  }
  return up;
}

/// Who came up since the last look is told what version there is here.
void Registrar::Look() {
  std::set<ReplicaId> up = Up();
  up.erase(options_.self);
  for (ReplicaId node : up) {
    if (!seen_up_.contains(node)) Send(node, HaveDirectory{directory_.version});
  }
  seen_up_ = std::move(up);
  ports_.executor->After(kLookInterval, [this] { Look(); });
}

void Registrar::Send(ReplicaId to, const ClusterMessage& message) {
  replica_.SendApp(to, AppMessage{static_cast<uint32_t>(MachineId::kCluster), EncodeClusterMessage(message)});
}

void Registrar::Handle(const ClusterMessage& message,
                       const std::function<void(const ClusterMessage&)>& reply) {
  if (const auto* have = std::get_if<HaveDirectory>(&message)) {
    if (have->version < directory_.version) reply(DirectoryNews{directory_});
    if (have->version > directory_.version) reply(HaveDirectory{directory_.version});
  } else if (std::holds_alternative<AskDirectory>(message)) {
    reply(DirectoryNews{directory_});
  } else if (const auto* news = std::get_if<DirectoryNews>(&message)) {
    Learn(news->directory);
  } else if (const auto* propose = std::get_if<ProposeCommand>(&message)) {
    if (proposals_for_others_ >= kProposalsForOthersMax) return;
    tasks_.Spawn(ProposeFor(propose->command, propose->ticket, reply));
  } else if (const auto* done = std::get_if<CommandDone>(&message)) {
    auto asked = asked_.find(done->ticket);
    if (asked == asked_.end() || !done->result.has_value()) return;
    asked->second = done->result;
    Learn(done->directory);
    Wake();
  } else if (const auto* host = std::get_if<HostShard>(&message)) {
    if (host_handler_) host_handler_(*host);
  }
}

void Registrar::HandleGuest(std::string_view name, std::string_view bytes,
                            const std::function<void(const ClusterMessage&)>& reply) {
  absl::StatusOr<ClusterMessage> message = DecodeClusterMessage(bytes);
  if (!message.ok()) return;
  if (const auto* propose = std::get_if<ProposeCommand>(&*message)) {
    // It may ask for a number of its own, in the place of the one that it had.
    const auto* replace = std::get_if<ReplaceNode>(&propose->command.change);
    if (replace == nullptr || replace->name != name) return;
  }
  if (std::holds_alternative<HostShard>(*message) || std::holds_alternative<CommandDone>(*message)) return;
  Handle(*message, reply);
}

Task<void> Registrar::ProposeFor(DirectoryCommand command, uint64_t ticket,
                                 std::function<void(const ClusterMessage&)> reply) {
  ++proposals_for_others_;
  Deadline deadline{now_us() + kProposalForOtherUs};
  absl::StatusOr<DirectoryResult> result = co_await Propose(std::move(command), deadline);
  --proposals_for_others_;
  CommandDone done{.ticket = ticket, .result = {}, .directory = {}};
  if (result.ok()) {
    done.result = *result;
    done.directory = directory_;
  }
  reply(done);
}

Task<absl::StatusOr<DirectoryResult>> Registrar::Propose(DirectoryCommand command, Deadline deadline) {
  const std::string encoded = EncodeDirectoryCommand(command);
  const ShardId shard{0};
  const uint64_t ticket = next_ticket_++;
  size_t asked = 0;
  for (uint32_t attempt = 0; !deadline.Passed(now_us()); ++attempt) {
    // A member learns the outcome by applying the entry; who is none asks one.
    bool own = replica_.Hosts(shard) && replica_.MembersOf(shard).Contains(options_.self);
    if (own) {
      absl::Status submitted = replica_.Submit(shard, MachineId::kCluster, encoded, Urgency::kNow, attempt);
      (void)submitted;
    } else {
      std::vector<ReplicaId> hosts = replica_.HostsOf(shard);
      std::erase(hosts, options_.self);
      if (!hosts.empty()) {
        asked_[ticket] = std::nullopt;
        Send(hosts[asked++ % hosts.size()], ProposeCommand{ticket, command});
      }
    }
    int64_t until_us = std::min(deadline.monotonic_us, now_us() + kPatienceUs);
    bool waiting = true;
    while (waiting) {
      std::optional<DirectoryResult> result = machine_.FindResult(command.request);
      if (auto at = asked_.find(ticket); !result.has_value() && at != asked_.end()) result = at->second;
      if (result.has_value()) {
        asked_.erase(ticket);
        co_return *result;
      }
      waiting = now_us() < until_us;
      if (!waiting) break;
      bool news = co_await WaitForNews(until_us);
      (void)news;
    }
  }
  asked_.erase(ticket);
  co_return absl::DeadlineExceededError("whether the directory was changed is not known yet; ask again");
}

Task<bool> Registrar::WaitForNews(int64_t until_us) {
  Completion<bool> news(*ports_.executor);
  waiting_.push_back(news);
  ports_.executor->After(absl::Microseconds(std::max<int64_t>(1, until_us - now_us())),
                         [news] { news.Set(false); });
  bool woken = co_await news;
  std::erase_if(waiting_, [](const Completion<bool>& one) { return one.is_set(); });
  co_return woken;
}

void Registrar::Wake() {
  for (const Completion<bool>& waiting : waiting_) waiting.Set(true);
}

}  // namespace paxledger
