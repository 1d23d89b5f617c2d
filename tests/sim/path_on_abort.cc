#include "tests/sim/path_on_abort.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/check.h"

namespace paxledger::sim {
namespace {

std::function<std::string()> g_path;

void OnAbort(int) {
  std::fprintf(stderr, "the path to it:\n%s", g_path().c_str());
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

}  // namespace

PathOnAbort::PathOnAbort(std::function<std::string()> path) {
  Check(g_path == nullptr, "one explorer at a time");
  g_path = std::move(path);
  before_ = std::signal(SIGABRT, OnAbort);
}

PathOnAbort::~PathOnAbort() {
  std::signal(SIGABRT, before_);
  g_path = nullptr;
}

}  // namespace paxledger::sim
