#include "ops/ledgerctl/connection.h"

#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/client_requests.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "ops/ledgerctl/csv.h"

namespace paxledger {
namespace {

/// Lives as long as the process, so that a Flag may point to it.
std::string_view FromEnvironment(const char* name, std::string_view otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::string_view(value) : otherwise;
}

/// "https://127.0.0.1:7101,7102": a bare port takes the host of the one before.
absl::StatusOr<std::vector<std::string>> SplitEndpoints(const std::string& text) {
  std::vector<std::string> out;
  for (absl::string_view piece : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    piece = absl::StripAsciiWhitespace(piece);
    while (absl::EndsWith(piece, "/")) piece.remove_suffix(1);
    const bool bare_port = piece.find_first_not_of("0123456789") == absl::string_view::npos;
    if (!bare_port) {
      out.emplace_back(absl::StrContains(piece, "://") ? std::string(piece)
                                                       : absl::StrCat("https://", piece));
    } else if (!out.empty()) {
      out.push_back(absl::StrCat(out.back().substr(0, out.back().rfind(':') + 1), piece));
    } else {
      return absl::InvalidArgumentError(absl::StrCat("--endpoints begins with a bare port: '", text, "'"));
    }
  }
  return out;
}

}  // namespace

ExitCode ReportFailure(std::string_view name, const absl::Status& status) {
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(name.size()), name.data(),
               std::string(status.message()).c_str());
  const bool unreachable = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  return unreachable ? ExitCode::kUnreachable : ExitCode::kRefused;
}

ExitCode ReportUsage(std::string_view name, const absl::Status& status) {
  std::fprintf(stderr, "%.*s: %s (--help tells more)\n", static_cast<int>(name.size()), name.data(),
               std::string(status.message()).c_str());
  return ExitCode::kUsage;
}

std::vector<Flag> WithConnectionFlags(std::vector<Flag> own) {
  own.push_back({"endpoints", "URL,...",
                 FromEnvironment("PAXLEDGER_ENDPOINTS",
                                 "https://127.0.0.1:7101,https://127.0.0.1:7102,https://127.0.0.1:7103"),
                 "the data centres; a bare port takes the host before it"});
  own.push_back(
      {"ca", "FILE", FromEnvironment("PAXLEDGER_CA", "var/dev/ca.pem"), "who signed their certificates"});
  own.push_back({"api-key-file", "FILE", FromEnvironment("PAXLEDGER_API_KEY_FILE", "var/dev/api-key"),
                 "holds the API key; PAXLEDGER_API_KEY is the key itself"});
  own.push_back({"ledger", "NAME", "main", "the ledger to work on"});
  own.push_back({"json", "", "", "write JSON for programs"});
  own.push_back({"help", "", "", "explain"});
  return own;
}

absl::StatusOr<std::unique_ptr<Client>> Connect(const Arguments& arguments, size_t connections_max) {
  absl::StatusOr<std::vector<std::string>> endpoints = SplitEndpoints(arguments.Get("endpoints"));
  if (!endpoints.ok()) return endpoints.status();
  ClientOptions options;
  options.endpoints = *std::move(endpoints);
  options.ca_file = arguments.Get("ca");
  options.connections_per_endpoint_max = connections_max;
  options.api_key = FromEnvironment("PAXLEDGER_API_KEY", "");
  if (options.api_key.empty() || arguments.Given("api-key-file")) {
    const absl::StatusOr<std::string> key = ReadFile(arguments.Get("api-key-file"));
    if (!key.ok()) return absl::InvalidArgumentError(key.status().message());
    options.api_key = std::string(absl::StripAsciiWhitespace(*key));
  }
  return Client::Create(std::move(options));
}

std::string LedgerPath(const Arguments& arguments) {
  return absl::StrCat("/v1/ledgers/", UrlEncode(arguments.Get("ledger")));
}

absl::StatusOr<uint32_t> ReadShardCount(Client& client) {
  const ClientAnswer answer = client.Call({.target = "/v1/cluster", .timeout = absl::Seconds(10)});
  if (const absl::Status status = AnswerStatus(answer); !status.ok()) return status;
  boost::json::error_code error;
  const boost::json::value document = boost::json::parse(answer.body, error);
  const boost::json::object* cluster = error ? nullptr : document.if_object();
  const boost::json::value* shards = cluster == nullptr ? nullptr : cluster->if_contains("shards");
  int64_t count = 0;
  if (shards != nullptr && shards->is_int64()) count = shards->get_int64();
  if (shards != nullptr && shards->is_array()) count = static_cast<int64_t>(shards->get_array().size());
  if (count < 1 || count > static_cast<int64_t>(limits::kShardsMax)) {
    return absl::InternalError("GET /v1/cluster does not tell the number of shards");
  }
  return static_cast<uint32_t>(count);
}

std::string UrlEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                       std::string_view("-._~:@").find(c) != std::string_view::npos;
    if (plain) {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out.push_back(kHex[static_cast<unsigned char>(c) & 15]);
    }
  }
  return out;
}

absl::Status AnswerStatus(const ClientAnswer& answer) {
  if (!answer.failure.ok()) return answer.failure;
  if (answer.http_status >= 200 && answer.http_status < 300) return absl::OkStatus();
  const std::string text = DescribeProblem(answer.http_status, answer.body);
  if (answer.http_status == 401 || answer.http_status == 403) return absl::PermissionDeniedError(text);
  if (answer.http_status == 404) return absl::NotFoundError(text);
  if (answer.http_status == 503 || answer.http_status == 429) return absl::UnavailableError(text);
  return absl::FailedPreconditionError(text);
}

}  // namespace paxledger
