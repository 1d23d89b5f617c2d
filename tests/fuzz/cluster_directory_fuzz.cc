// Directories, their commands and the messages that carry them: what is accepted is encoded as it was, and can be carried out.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "cluster/cluster_message.h"
#include "cluster/directory.h"
#include "cluster/directory_command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace paxledger;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<Directory> directory = DecodeDirectory(bytes);
  if (directory.ok()) Check(EncodeDirectory(*directory) == bytes, "a directory has one encoding");
  absl::StatusOr<DirectoryCommand> command = DecodeDirectoryCommand(bytes);
  if (command.ok()) {
    Check(EncodeDirectoryCommand(*command) == bytes, "a command has one encoding");
    Directory changed;
    ApplyDirectoryCommand(*command, 12, changed);
    Check(DecodeDirectory(EncodeDirectory(changed)).ok(), "commands make sound directories");
  }
  absl::StatusOr<ClusterMessage> message = DecodeClusterMessage(bytes);
  if (message.ok()) Check(EncodeClusterMessage(*message) == bytes, "a message has one encoding");
  return 0;
}
