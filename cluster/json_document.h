#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace google::protobuf {
class Message;
}

namespace paxledger {

/// Reads `json` into `document`. A key that the message does not have is an error: a misspelt one must not be
/// ignored.
/// Errors: kInvalidArgument  malformed JSON, an unknown key, a wrong type; the text names `source` and the
///           key
[[nodiscard]] absl::Status ParseJsonDocument(std::string_view json, std::string_view source,
                                             google::protobuf::Message& document);

/// Keys as in the .proto, indented, with a line break at the end.
std::string FormatJsonDocument(const google::protobuf::Message& document);

/// The whole file.
/// Errors: kNotFound, kPermissionDenied, kUnavailable (reading failed); the text names the path
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace paxledger
