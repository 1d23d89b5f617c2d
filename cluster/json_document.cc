#include "cluster/json_document.h"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/bytes.h"
#include "base/check.h"

namespace paxledger {
namespace {

// Protobuf says "(peers) listn: Cannot find field."; an operator wants to read which key is wrong.
std::string Explain(std::string text) {
  absl::string_view rest = text;
  if (!absl::ConsumeSuffix(&rest, ": Cannot find field.")) return text.substr(0, text.find('\n'));
  absl::string_view parent;
  if (size_t end = rest.find(") "); absl::StartsWith(rest, "(") && end != absl::string_view::npos) {
    parent = rest.substr(1, end - 1);
    rest.remove_prefix(end + 2);
  }
  return absl::StrCat("no such key: \"", parent, parent.empty() ? "" : ".", rest, "\"");
}

}  // namespace

absl::Status ParseJsonDocument(std::string_view json, std::string_view source,
                               google::protobuf::Message& document) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  auto status = google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &document, options);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      ToAbsl(source), ": ", Explain(std::string(status.message().data(), status.message().size()))));
}

std::string FormatJsonDocument(const google::protobuf::Message& document) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  auto status = google::protobuf::util::MessageToJsonString(document, &json, options);
  Check(status.ok(), "our own documents can be written as JSON");
  return json;
}

absl::StatusOr<std::string> ReadTextFile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (file && text) return std::move(text).str();
  std::string what = absl::StrCat(path, ": ", errno != 0 ? std::strerror(errno) : "cannot be read");
  if (errno == ENOENT) return absl::NotFoundError(what);
  if (errno == EACCES) return absl::PermissionDeniedError(what);
  return absl::UnavailableError(what);
}

}  // namespace paxledger
