// Runs the protocol scripts of this folder against the real core. A file is a list of blocks:
//
//   # a comment
//   commands, one a line
//   ----
//   what they are expected to show, up to an empty line
//
// Disks are prompt unless held. Nothing is delivered unless a command says so. Run with --rewrite to write what was shown
// into the files, and review the difference like code.
//
//   replicas N            three unless said; only as the first command
//   propose R NAME        a command at replica R
//   deliver [A->B [N]]    what is in flight now (from A to B; the first N of it)
//   drop [A->B [N]]       likewise lost
//   duplicate A->B        likewise once more
//   hold-disk R, sync R   writes of R wait; those that wait become durable
//   release-disk R
//   crash R, restart R    what waits at the disk is lost
//   wipe R                the disk is found empty; its next process is refused
//   lose-records R        the records are gone, and nothing else
//   wait US               time passes, timers run
//   read R                begins a read barrier
//   hand-over A B
//   stabilize             everything is delivered and timers run until all that live agree, or two seconds have passed
//   messages, records     what is in flight; what is durable above the chosen indexes
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tests/sim/core_world.h"

namespace paxledger::sim {
namespace {

bool g_rewrite = false;

std::string OwnerName(Owner owner) {
  if (owner.replica == ReplicaId{}) return "nobody";
  std::string name = absl::StrCat(owner.replica.value);
  if (owner.incarnation.value > 1) absl::StrAppend(&name, "#", owner.incarnation.value);
  return name;
}

/// The state of one script.
class Script {
 public:
  /// Runs one command; what it shows is appended to the output.
  void Run(const std::string& line) {
    std::istringstream in(line);
    std::string verb;
    in >> verb;
    if (verb == "replicas") {
      uint32_t count = 0;
      in >> count;
      world_ = std::make_unique<CoreWorld>(count, 1);
      return;
    }
    if (world_ == nullptr) world_ = std::make_unique<CoreWorld>(3, 1);
    Dispatch(verb, in);
    SyncDisks();
    for (const std::string& read : world_->TakeReadResults()) Show(read);
    if (!world_->failure().empty()) Show("FAILED: " + world_->failure());
  }

  /// What was shown since the last call, with the indexes chosen meanwhile.
  std::string TakeOutput() {
    if (world_ != nullptr) {
      for (const ChosenFact& fact : world_->Chosen()) {
        if (!shown_.insert(fact.index.value).second) continue;
        Show(absl::StrFormat("index %d: %s chosen at %s, owner %s", fact.index.value, ValueName(fact.value),
                             BallotName(fact.at), OwnerName(PeekEnvelope(*fact.value).owner)));
      }
    }
    return std::exchange(output_, {});
  }
  bool failed() const { return world_ != nullptr && !world_->failure().empty(); }

 private:
  struct Pair {
    uint16_t from = 0;  // 0: any
    uint16_t to = 0;
    size_t count = SIZE_MAX;
  };

  static Pair ReadPair(std::istream& in) {
    Pair pair;
    std::string text;
    if (!(in >> text)) return pair;
    if (std::sscanf(text.c_str(), "%hu->%hu", &pair.from, &pair.to) != 2)
      ADD_FAILURE() << "not a pair: " << text;
    if (size_t count = 0; in >> count) pair.count = count;
    return pair;
  }

  void Show(const std::string& line) { absl::StrAppend(&output_, line, "\n"); }

  void Dispatch(const std::string& verb, std::istream& in) {
    uint32_t replica = 0;
    auto read_replica = [&] { in >> replica; };
    if (verb == "deliver") {
      ForEach(ReadPair(in), [this](size_t flight) { world_->Deliver(flight); });
    } else if (verb == "drop") {
      ForEach(ReadPair(in), [this](size_t flight) { world_->Drop(flight); });
    } else if (verb == "duplicate") {
      Duplicate(ReadPair(in));
    } else if (verb == "messages") {
      for (const Flight& flight : world_->flights()) Show(FlightName(flight));
    } else if (verb == "records") {
      ShowRecords();
    } else if (verb == "stabilize") {
      Stabilize();
    } else if (verb == "wait") {
      int64_t us = 0;
      in >> us;
      Wait(us);
    } else {
      read_replica();
      ASSERT_TRUE(replica >= 1 && replica <= world_->replicas()) << verb;
      OfReplica(verb, replica, in);
    }
  }

  void OfReplica(const std::string& verb, uint32_t replica, std::istream& in) {
    if (verb == "propose") {
      std::string name;
      in >> name;
      world_->Propose(replica, name);
    } else if (verb == "hold-disk") {
      held_.insert(replica);
    } else if (verb == "release-disk") {
      held_.erase(replica);
    } else if (verb == "sync") {
      world_->Sync(replica, world_->writes_waiting(replica));
    } else if (verb == "crash") {
      world_->Crash(replica, 0);
    } else if (verb == "restart") {
      held_.erase(replica);
      world_->Restart(replica);
    } else if (verb == "wipe") {
      world_->Wipe(replica);
    } else if (verb == "lose-records") {
      world_->LoseRecords(replica);
    } else if (verb == "read") {
      world_->StartRead(replica);
    } else if (verb == "hand-over") {
      uint32_t to = 0;
      in >> to;
      world_->HandOver(replica, to);
    } else {
      ADD_FAILURE() << "unknown command: " << verb;
    }
  }

  /// Calls `act` for each message that is in flight now and matches, in order.
  template <class Act>
  void ForEach(Pair pair, Act act) {
    size_t in_flight = world_->flights().size();
    size_t at = 0;
    size_t taken = 0;
    for (size_t seen = 0; seen < in_flight && taken < pair.count; ++seen) {
      const Flight& flight = world_->flights()[at];
      bool matches = pair.from == 0 || (flight.from.value == pair.from && flight.to.value == pair.to);
      if (!matches) {
        ++at;
        continue;
      }
      act(at);
      ++taken;
      SyncDisks();
    }
  }

  void Duplicate(Pair pair) {
    size_t in_flight = world_->flights().size();
    for (size_t i = 0; i < in_flight; ++i) {
      const Flight& flight = world_->flights()[i];
      if (flight.from.value == pair.from && flight.to.value == pair.to) world_->Duplicate(i);
    }
  }

  void SyncDisks() {
    for (uint32_t r = 1; r <= world_->replicas(); ++r) {
      if (!held_.contains(r)) world_->Sync(r, world_->writes_waiting(r));
    }
  }

  /// The next timer, or `until` where none is due before.
  void ToNextTimer(int64_t until) {
    int64_t wake = until;
    for (uint32_t r = 1; r <= world_->replicas(); ++r) wake = std::min(wake, world_->wake_at_us(r));
    world_->Advance(std::max<int64_t>(0, wake - world_->now_us()));
    for (uint32_t r = 1; r <= world_->replicas(); ++r) {
      if (world_->up(r) && world_->wake_at_us(r) <= world_->now_us()) world_->Tick(r);
    }
    SyncDisks();
  }

  void Wait(int64_t us) {
    int64_t until = world_->now_us() + us;
    while (world_->now_us() < until) ToNextTimer(until);
  }

  bool Settled() const {
    for (uint32_t r = 1; r <= world_->replicas(); ++r) {
      if (!world_->up(r)) continue;
      bool busy = !world_->log(r).idle() || world_->reading(r) || world_->writes_waiting(r) > 0;
      if (busy && world_->log(r).voting()) return false;
      if (world_->log(r).chosen() != world_->highest_chosen()) return false;
    }
    return true;
  }

  void Stabilize() {
    int64_t until = world_->now_us() + 2'000'000;
    while (world_->now_us() < until) {
      while (!world_->flights().empty()) {
        world_->Deliver(0);
        SyncDisks();
      }
      if (Settled()) return;
      ToNextTimer(until);
    }
  }

  void ShowRecords() {
    for (uint32_t r = 1; r <= world_->replicas(); ++r) {
      std::string line = absl::StrCat("replica ", r, ":");
      if (world_->up(r)) {
        absl::StrAppend(&line, " chosen ", world_->log(r).chosen().value, " owner ",
                        OwnerName(world_->log(r).owner()));
        if (!world_->log(r).voting()) line += " refuses to vote";
      } else {
        line += " down";
      }
      uint64_t next = world_->up(r) ? world_->log(r).chosen().value + 1 : 1;
      for (uint64_t i = next; i < next + 8; ++i) {
        const CoreNode::Row* row = world_->DiskRow(r, LogIndex{i});
        if (row == nullptr) continue;
        absl::StrAppend(&line, "; index ", i, " promised ", BallotName(row->record.promised), " accepted ",
                        BallotName(row->record.accepted));
        if (row->value != nullptr) absl::StrAppend(&line, " ", ValueName(row->value));
      }
      Show(line);
    }
  }

  std::unique_ptr<CoreWorld> world_;
  std::set<uint32_t> held_;
  std::set<uint64_t> shown_;
  std::string output_;
};

class TraceFile : public testing::Test {
 public:
  explicit TraceFile(std::filesystem::path path) : path_(std::move(path)) {}

  void TestBody() override {
    std::ifstream in(path_);
    ASSERT_TRUE(in.good()) << path_;
    Script script;
    std::string result;
    std::string expected;
    bool in_script = true;
    int block = 1;
    auto finish_block = [&] {
      std::string output = script.TakeOutput();
      if (!g_rewrite) EXPECT_EQ(output, expected) << path_.filename() << ", block " << block;
      absl::StrAppend(&result, output);
      expected.clear();
      ++block;
      in_script = true;
    };
    for (std::string line; std::getline(in, line);) {
      if (!in_script) {
        if (line.empty()) {
          finish_block();
          absl::StrAppend(&result, "\n");
        } else {
          absl::StrAppend(&expected, line, "\n");
        }
        continue;
      }
      absl::StrAppend(&result, line, "\n");
      if (line == "----") {
        in_script = false;
      } else if (!line.empty() && line[0] != '#') {
        script.Run(line);
      }
    }
    if (!in_script) finish_block();
    EXPECT_FALSE(script.failed());
    if (g_rewrite) std::ofstream(path_) << result;
  }

 private:
  std::filesystem::path path_;
};

std::string TestName(const std::filesystem::path& path) {
  std::string name;
  bool upper = true;
  for (char c : path.stem().string()) {
    if (c == '_') {
      upper = true;
      continue;
    }
    name += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return name;
}

void RegisterTraces() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(PAXLEDGER_TRACES)) {
    if (entry.path().extension() == ".trace") paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  for (const std::filesystem::path& path : paths) {
    testing::RegisterTest("CoreTrace", TestName(path).c_str(), nullptr, nullptr, path.c_str(), 1,
                          [path]() -> testing::Test* { return new TraceFile(path); });
  }
}

}  // namespace
}  // namespace paxledger::sim

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--rewrite") paxledger::sim::g_rewrite = true;
  }
  paxledger::sim::RegisterTraces();
  return RUN_ALL_TESTS();
}
