#include "cluster/node_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cluster/directory.h"
#include "cluster/json_document.h"

namespace paxledger {
namespace {

constexpr char kHead[] = "paxledger-node 1";

std::string PathOf(const std::string& data_dir) { return data_dir + "/NODE"; }

absl::Status Failed(std::string_view what, const std::string& path) {
  return absl::InternalError(absl::StrCat("cannot ", absl::string_view(what.data(), what.size()), " ", path,
                                          ": ", std::strerror(errno)));
}

absl::Status SyncPath(const std::string& path, int flags) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return Failed("open", path);
  bool synced = ::fsync(fd) == 0;
  ::close(fd);
  return synced ? absl::OkStatus() : Failed("sync", path);
}

}  // namespace

absl::StatusOr<std::optional<NodeIdentity>> ReadNodeIdentity(const std::string& data_dir) {
  absl::StatusOr<std::string> text = ReadTextFile(PathOf(data_dir));
  if (absl::IsNotFound(text.status())) return std::optional<NodeIdentity>();
  if (!text.ok()) return text.status();
  std::vector<std::string> lines = absl::StrSplit(*text, '\n', absl::SkipEmpty());
  std::map<std::string, std::string> fields;
  for (size_t i = 1; i < lines.size(); ++i) fields.insert(absl::StrSplit(lines[i], absl::MaxSplits(' ', 1)));
  NodeIdentity identity{fields["cluster"], fields["name"], fields["request"], ReplicaId{}};
  uint32_t number = 0;
  bool sound = !lines.empty() && lines[0] == kHead && IsNodeName(identity.name) &&
               absl::SimpleAtoi(fields["number"], &number) && number <= UINT16_MAX;
  if (!sound) return absl::DataLossError(PathOf(data_dir) + " is damaged: it does not name a node");
  identity.number = ReplicaId{static_cast<uint16_t>(number)};
  return std::optional<NodeIdentity>(std::move(identity));
}

absl::Status WriteNodeIdentity(const std::string& data_dir, const NodeIdentity& identity) {
  if (::mkdir(data_dir.c_str(), 0750) != 0 && errno != EEXIST) return Failed("create", data_dir);
  std::string text = absl::StrCat(kHead, "\ncluster ", identity.cluster_id, "\nname ", identity.name, "\n");
  if (!identity.request.empty()) absl::StrAppend(&text, "request ", identity.request, "\n");
  absl::StrAppend(&text, "number ", identity.number.value, "\n");
  std::string fresh = PathOf(data_dir) + ".new";
  int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return Failed("create", fresh);
  bool written =
      ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written) return Failed("write", fresh);
  if (::rename(fresh.c_str(), PathOf(data_dir).c_str()) != 0) return Failed("rename", fresh);
  return SyncPath(data_dir, O_RDONLY | O_DIRECTORY);
}

bool HoldsDatabase(const std::string& data_dir) {
  std::error_code ignored;
  return std::filesystem::exists(data_dir + "/db", ignored);
}

}  // namespace paxledger
