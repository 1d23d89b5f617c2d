#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "api/client.h"
#include "ops/ledgerctl/arguments.h"

namespace paxledger {

/// How the tools end. Documented in their help text; scripts rely on it.
enum class ExitCode : int {
  kOk = 0,
  kRefused = 1,      // the cluster refused the request, or a file could not be read or written
  kUsage = 2,        // the command line is wrong
  kUnfinished = 3,   // rows without a known outcome; an audit that could not compare everything
  kUnreachable = 4,  // no data centre answers
  kDifference = 5,   // an audit found a difference
};

/// Prints "name: message" and gives the exit code that fits the status.
ExitCode ReportFailure(std::string_view name, const absl::Status& status);
ExitCode ReportUsage(std::string_view name, const absl::Status& status);

/// --endpoints, --ca, --api-key-file, --ledger, --json and --help, with defaults from the environment:
/// PAXLEDGER_ENDPOINTS, PAXLEDGER_CA, PAXLEDGER_API_KEY_FILE; PAXLEDGER_API_KEY is the key itself. `own`
/// comes first.
std::vector<Flag> WithConnectionFlags(std::vector<Flag> own);

/// `connections_max` is per endpoint.
/// Errors: kInvalidArgument  flags, files
[[nodiscard]] absl::StatusOr<std::unique_ptr<Client>> Connect(const Arguments& arguments,
                                                              size_t connections_max);

/// "/v1/ledgers/main" for the --ledger of the command line.
std::string LedgerPath(const Arguments& arguments);

/// The number of shards of the cluster, which placement needs.
/// Errors: kUnavailable, kDeadlineExceeded  no data centre answers; kPermissionDenied; kInternal
[[nodiscard]] absl::StatusOr<uint32_t> ReadShardCount(Client& client);

/// Percent-encodes what may not stand in a path segment or query value.
std::string UrlEncode(std::string_view text);

/// The status of an answer that is not 2xx; OK otherwise.
absl::Status AnswerStatus(const ClientAnswer& answer);

}  // namespace paxledger
