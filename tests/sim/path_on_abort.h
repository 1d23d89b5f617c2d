#pragma once

#include <functional>
#include <string>

namespace paxledger::sim {

/// While it lives, a Check that fails first says on stderr by which path an explorer came to the state that it tried.
/// Threads: one at a time in the process.
class PathOnAbort {
 public:
  explicit PathOnAbort(std::function<std::string()> path);
  ~PathOnAbort();
  PathOnAbort(const PathOnAbort&) = delete;
  PathOnAbort& operator=(const PathOnAbort&) = delete;

 private:
  void (*before_)(int);
};

}  // namespace paxledger::sim
