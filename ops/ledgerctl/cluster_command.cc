#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/json.h"
#include "ops/ledgerctl/cluster_view.h"
#include "ops/ledgerctl/commands.h"
#include "ops/ledgerctl/json_read.h"

namespace paxledger {
namespace {

constexpr std::string_view kName = "ledgerctl cluster";
constexpr absl::Duration kTimeout = absl::Seconds(30);
constexpr absl::Duration kLook = absl::Milliseconds(500);
constexpr char kHelp[] = R"(ledgerctl cluster COMMAND [flags]

  status                       nodes, shards, and what moves
  add-node NAME --dc DC --peer HOST:PORT [--https HOST:PORT]
                               makes it a node of the cluster and says what to start there
  grow --dc DC --peer HOST:PORT [--node NAME]
                               add-node in a data centre that is new; every shard gets a replica there
  drain NAME                   its replicas go to other nodes of its data centre
  activate NAME                takes a drain back
  remove NAME                  takes a drained node out of the cluster, for ever
  replace NAME [--peer HOST:PORT]
                               gives up the number of a dead node; the machine in its place starts by `ledgerd rejoin`
  move SHARD --to NAME         the shard's replica in the data centre of NAME is on NAME from now on
  unpin SHARD                  takes moves of the shard back: it goes where it hashes to
  wait                         until every shard is where it is to be

Replicas move by themselves, and go on after a crash of anything. The same command again changes nothing. Commands that move
replicas wait for them, unless --no-wait; to give up waiting stops nothing.

Flags:
)";
constexpr char kExitCodes[] = R"(
Exit codes: 0 done; 1 refused; 2 wrong usage; 3 not everything is in place within --timeout; 4 none answers
)";

std::vector<Flag> ClusterFlags() {
  return WithConnectionFlags(
      {{"dc", "NAME", "", "the data centre of a new node"},
       {"node", "NAME", "", "of `grow`; the data centre's name where it is not given"},
       {"peer", "HOST:PORT", "", "where the node listens for the others"},
       {"https", "HOST:PORT", "", "where it listens for clients"},
       {"to", "NAME", "", "the node that a shard moves to"},
       {"give-up-data-centre", "", "", "drain a node although it is the last of its data centre"},
       {"no-wait", "", "", "do not wait for replicas to move"},
       {"timeout", "DURATION", "600s", "how long to wait"}});
}

/// A JSON object that is being written.
class Body {
 public:
  Body& Text(std::string_view name, std::string_view value) {
    if (value.empty()) return *this;
    absl::StrAppend(&out_, out_.empty() ? "{" : ",", "\"", ToAbsl(name), "\":");
    AppendJsonString(&out_, value);
    return *this;
  }
  Body& True(std::string_view name) { return Add(name, "true"); }
  Body& Empty(std::string_view name) { return Add(name, "\"\""); }
  std::string str() const { return out_.empty() ? "{}" : out_ + "}"; }

 private:
  Body& Add(std::string_view name, std::string_view json) {
    absl::StrAppend(&out_, out_.empty() ? "{" : ",", "\"", ToAbsl(name), "\":", ToAbsl(json));
    return *this;
  }
  std::string out_;
};

/// One run of the command.
class ClusterCommand {
 public:
  ClusterCommand(const Arguments& arguments, Client& client) : arguments_(arguments), client_(client) {}

  ExitCode Status();
  ExitCode AddNode(const std::string& name, const std::string& data_centre);
  ExitCode Grow();
  ExitCode SetState(const std::string& name, std::string_view state);
  ExitCode Remove(const std::string& name);
  ExitCode Replace(const std::string& name);
  ExitCode Pin(const std::string& shard);
  ExitCode Unpin(const std::string& shard);
  ExitCode Wait();

 private:
  absl::StatusOr<ClusterView> Read();
  ExitCode Change(HttpMethod method, std::string target, const Body& body);
  ExitCode Finish(const std::string& said);
  void ShowProgress(const ClusterView& view, size_t total);

  const Arguments& arguments_;
  Client& client_;
  uint64_t version_ = 0;  // of the directory after the change
  uint64_t number_ = 0;   // of the node that was changed
  std::string raw_;       // what `Read` read
  absl::Time shown_ = absl::InfinitePast();
};

absl::StatusOr<ClusterView> ClusterCommand::Read() {
  ClientAnswer answer = client_.Call({.target = "/v1/cluster", .timeout = kTimeout});
  if (absl::Status status = AnswerStatus(answer); !status.ok()) return status;
  raw_ = std::move(answer.body);
  return ParseClusterView(raw_);
}

ExitCode ClusterCommand::Change(HttpMethod method, std::string target, const Body& body) {
  ClientAnswer answer =
      client_.Call({.method = method, .target = std::move(target), .body = body.str(), .timeout = kTimeout});
  if (absl::Status status = AnswerStatus(answer); !status.ok()) return ReportFailure(kName, status);
  absl::StatusOr<boost::json::object> result = ParseJsonObject(answer.body);
  if (!result.ok()) return ReportFailure(kName, result.status());
  version_ = static_cast<uint64_t>(JsonInteger(*result, "version"));
  number_ = static_cast<uint64_t>(JsonInteger(*result, "number"));
  return ExitCode::kOk;
}

ExitCode ClusterCommand::Status() {
  absl::StatusOr<ClusterView> view = Read();
  if (!view.ok()) return ReportFailure(kName, view.status());
  std::printf("%s", arguments_.Given("json") ? (raw_ + "\n").c_str() : RenderClusterView(*view).c_str());
  return ExitCode::kOk;
}

ExitCode ClusterCommand::AddNode(const std::string& name, const std::string& data_centre) {
  Body body;
  body.Text("data_centre", data_centre).Text("peer_address", arguments_.Get("peer"));
  body.Text("https_address", arguments_.Get("https"));
  ExitCode added = Change(HttpMethod::kPut, absl::StrCat("/v1/cluster/nodes/", UrlEncode(name)), body);
  if (added != ExitCode::kOk) return added;
  if (arguments_.Given("json")) {
    std::printf("{\"node\":\"%s\",\"number\":%llu,\"version\":%llu}\n", name.c_str(),
                static_cast<unsigned long long>(number_), static_cast<unsigned long long>(version_));
    return ExitCode::kOk;
  }
  std::printf(
      "%s is node %llu of the cluster. On its machine, listening for peers at %s:\n"
      "  ledgerd run --config FILE     with \"node\": \"%s\", \"data_centre\": \"%s\", the cluster's "
      "genesis.json\n"
      "  and a peer certificate for %s.<cluster id>, signed by the cluster's CA\n"
      "Then: ledgerctl cluster wait\n",
      name.c_str(), static_cast<unsigned long long>(number_), arguments_.Get("peer").c_str(), name.c_str(),
      data_centre.c_str(), name.c_str());
  return ExitCode::kOk;
}

ExitCode ClusterCommand::Grow() {
  const std::string& data_centre = arguments_.Get("dc");
  const std::string name = arguments_.Get("node").empty() ? data_centre : arguments_.Get("node");
  absl::StatusOr<ClusterView> view = Read();
  if (!view.ok()) return ReportFailure(kName, view.status());
  for (const ClusterView::Node& node : view->nodes) {
    if (node.data_centre != data_centre || node.name == name) continue;
    return ReportFailure(kName, absl::FailedPreconditionError(
                                    absl::StrCat(data_centre, " has nodes already: add-node adds another")));
  }
  return AddNode(name, data_centre);
}

ExitCode ClusterCommand::SetState(const std::string& name, std::string_view state) {
  Body body;
  body.Text("state", state);
  if (arguments_.Given("give-up-data-centre")) body.True("give_up_data_centre");
  ExitCode changed = Change(HttpMethod::kPut, absl::StrCat("/v1/cluster/nodes/", UrlEncode(name)), body);
  if (changed != ExitCode::kOk) return changed;
  return Finish(absl::StrCat(name, " is ", ToAbsl(state)));
}

ExitCode ClusterCommand::Remove(const std::string& name) {
  absl::StatusOr<ClusterView> view = Read();
  if (!view.ok()) return ReportFailure(kName, view.status());
  const ClusterView::Node* node = view->FindNode(name);
  if (node == nullptr) {
    std::printf("%s\n",
                arguments_.Given("json") ? "{\"removed\":true}" : "the cluster has no such node (any more)");
    return ExitCode::kOk;
  }
  if (node->replicas > 0) {
    return ReportFailure(kName, absl::FailedPreconditionError(absl::StrCat(
                                    name, " still holds ", node->replicas, " replicas: drain it, and wait")));
  }
  Body body;
  body.Text("state", "gone");
  ExitCode changed = Change(HttpMethod::kPut, absl::StrCat("/v1/cluster/nodes/", UrlEncode(name)), body);
  if (changed != ExitCode::kOk) return changed;
  std::printf("%s\n", arguments_.Given("json") ? "{\"removed\":true}" : (name + " is gone").c_str());
  return ExitCode::kOk;
}

ExitCode ClusterCommand::Replace(const std::string& name) {
  absl::StatusOr<ClusterView> view = Read();
  if (!view.ok()) return ReportFailure(kName, view.status());
  const ClusterView::Node* node = view->FindNode(name);
  if (node == nullptr) return ReportFailure(kName, absl::NotFoundError("no node has this name"));
  if (node->up) {
    return ReportFailure(kName, absl::FailedPreconditionError(absl::StrCat(
                                    name, " answers; who is to leave while it lives is drained")));
  }
  number_ = node->number;
  // A number that holds nothing yet is one that waits for its machine: the same command again gives out no other.
  if (node->replicas > 0) {
    Body body;
    body.Text("request", absl::StrCat("replace:", name, ":", node->number));
    body.Text("peer_address", arguments_.Get("peer")).Text("https_address", arguments_.Get("https"));
    ExitCode replaced =
        Change(HttpMethod::kPost, absl::StrCat("/v1/cluster/nodes/", UrlEncode(name), "/replace"), body);
    if (replaced != ExitCode::kOk) return replaced;
  }
  if (arguments_.Given("json")) {
    std::printf("{\"node\":\"%s\",\"number\":%llu}\n", name.c_str(),
                static_cast<unsigned long long>(number_));
    return ExitCode::kOk;
  }
  std::printf(
      "the old number of %s is gone, with what it promised. On the machine in its place, with an empty data "
      "directory:\n"
      "  ledgerd rejoin --config FILE\nThen: ledgerctl cluster wait\n",
      name.c_str());
  return ExitCode::kOk;
}

ExitCode ClusterCommand::Pin(const std::string& shard) {
  Body body;
  body.Text("pin", arguments_.Get("to"));
  ExitCode changed = Change(HttpMethod::kPut, absl::StrCat("/v1/cluster/shards/", UrlEncode(shard)), body);
  if (changed != ExitCode::kOk) return changed;
  return Finish(absl::StrCat("shard ", shard, " is to be on ", arguments_.Get("to")));
}

ExitCode ClusterCommand::Unpin(const std::string& shard) {
  Body body;
  body.Empty("unpin");  // whatever it is pinned to
  ExitCode changed = Change(HttpMethod::kPut, absl::StrCat("/v1/cluster/shards/", UrlEncode(shard)), body);
  if (changed != ExitCode::kOk) return changed;
  return Finish(absl::StrCat("shard ", shard, " goes where it hashes to"));
}

ExitCode ClusterCommand::Finish(const std::string& said) {
  if (!arguments_.Given("json")) std::printf("%s\n", said.c_str());
  if (!arguments_.Given("no-wait")) return Wait();
  if (arguments_.Given("json"))
    std::printf("{\"version\":%llu}\n", static_cast<unsigned long long>(version_));
  return ExitCode::kOk;
}

void ClusterCommand::ShowProgress(const ClusterView& view, size_t total) {
  if (arguments_.Given("json")) return;
  const bool terminal = isatty(STDERR_FILENO) == 1;
  if (!terminal && absl::Now() - shown_ < absl::Seconds(3)) return;
  shown_ = absl::Now();
  constexpr size_t kWidth = 24;
  const size_t done = view.in_place();
  std::string bar(kWidth * done / total, '#');
  bar.resize(kWidth, '.');
  std::string step = view.next_step();
  std::fprintf(stderr, "%s[%s] %zu of %zu shards in place%s%s%s", terminal ? "\r\033[K" : "", bar.c_str(),
               done, total, step.empty() ? "" : "; ", step.c_str(), terminal && done < total ? "" : "\n");
}

ExitCode ClusterCommand::Wait() {
  absl::StatusOr<absl::Duration> timeout = arguments_.GetDuration("timeout");
  if (!timeout.ok()) return ReportUsage(kName, timeout.status());
  const absl::Time give_up = absl::Now() + *timeout;
  while (true) {
    absl::StatusOr<ClusterView> view = Read();
    // A node that has not heard of the change yet does not know what is to move.
    const bool current = view.ok() && view->version >= version_;
    if (current) ShowProgress(*view, view->shards.size());
    if (current && view->in_place() == view->shards.size()) {
      if (arguments_.Given("json")) std::printf("%s\n", raw_.c_str());
      return ExitCode::kOk;
    }
    if (absl::Now() > give_up) {
      if (!view.ok()) return ReportFailure(kName, view.status());
      std::fprintf(stderr, "%s: not everything is in place: %s\n", std::string(kName).c_str(),
                   view->next_step().c_str());
      return ExitCode::kUnfinished;
    }
    client_.After(kLook, [this] { client_.Stop(); });
    client_.Run();
  }
}

/// Words that a command needs after its name, and flags.
struct Needs {
  std::string_view command;
  size_t words;
  std::vector<std::string_view> flags;
};

}  // namespace

ExitCode RunCluster(const Words& words) {
  const absl::StatusOr<Arguments> arguments = Arguments::Parse(ClusterFlags(), words);
  if (!arguments.ok()) return ReportUsage(kName, arguments.status());
  if (arguments->Given("help")) {
    std::printf("%s%s%s", kHelp, DescribeFlags(ClusterFlags()).c_str(), kExitCodes);
    return ExitCode::kOk;
  }
  const std::vector<std::string>& given = arguments->positional();
  const std::string verb = given.empty() ? "" : given[0];
  const std::vector<Needs> commands = {{"status", 0, {}},
                                       {"add-node", 1, {"dc", "peer"}},
                                       {"grow", 0, {"dc", "peer"}},
                                       {"drain", 1, {}},
                                       {"activate", 1, {}},
                                       {"remove", 1, {}},
                                       {"replace", 1, {}},
                                       {"move", 1, {"to"}},
                                       {"unpin", 1, {}},
                                       {"wait", 0, {}}};
  const Needs* needs = nullptr;
  for (const Needs& each : commands) {
    if (each.command == verb) needs = &each;
  }
  if (needs == nullptr) return ReportUsage(kName, absl::InvalidArgumentError("no such command"));
  if (given.size() != needs->words + 1) {
    return ReportUsage(kName,
                       absl::InvalidArgumentError(absl::StrCat(verb, " takes ", needs->words, " words")));
  }
  for (std::string_view flag : needs->flags) {
    if (!arguments->Get(flag).empty()) continue;
    return ReportUsage(kName, absl::InvalidArgumentError(absl::StrCat(verb, " needs --", ToAbsl(flag))));
  }
  absl::StatusOr<std::unique_ptr<Client>> client = Connect(*arguments, 1);
  if (!client.ok()) return ReportUsage(kName, client.status());
  ClusterCommand command(*arguments, **client);
  if (verb == "status") return command.Status();
  if (verb == "wait") return command.Wait();
  if (verb == "grow") return command.Grow();
  if (verb == "add-node") return command.AddNode(given[1], arguments->Get("dc"));
  if (verb == "drain") return command.SetState(given[1], "draining");
  if (verb == "activate") return command.SetState(given[1], "active");
  if (verb == "remove") return command.Remove(given[1]);
  if (verb == "replace") return command.Replace(given[1]);
  if (verb == "move") return command.Pin(given[1]);
  return command.Unpin(given[1]);
}

}  // namespace paxledger
