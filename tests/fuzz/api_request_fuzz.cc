// Bodies of requests: no input crashes a parser; what json.h takes, Boost.JSON takes too; what is rendered is
// JSON.
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/json.h"
#include "api/parse.h"
#include "api/render.h"
#include "api/router.h"
#include "api/tokens.h"
#include "base/check.h"
#include "base/limits.h"

namespace paxledger {
namespace {

void ExpectJson(const std::string& text) {
  JsonDocument document;
  Check(document.Parse(text).ok(), "what is rendered is JSON");
}

void Compare(std::string_view text, const absl::Status& ours) {
  boost::json::parse_options options;
  options.max_depth = limits::kJsonDepthMax + 1;
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(boost::json::string_view(text.data(), text.size()), error,
                                                boost::json::storage_ptr(), options);
  Check(!ours.ok() || !error, "json.h takes only JSON");
}

void Bodies(JsonValue root) {
  ParsedTransfer transfer = ParseTransfer(root, "main");
  if (transfer.errors.empty()) {
    std::string out;
    AppendTransfer(&out, transfer.transaction, 0, TransactionResult{});
    ExpectJson(out);
  } else {
    ExpectJson(RenderFieldErrors(transfer.errors, "/p").body);
  }
  ParsedAccount account = ParseAccount(root, "main");
  if (account.errors.empty()) {
    std::string out;
    Account opened;
    opened.spec = account.account.spec;
    AppendAccount(&out, account.account.key.id, opened);
    ExpectJson(out);
  }
  ParsedBatch<Transaction> transfers = ParseTransfers(root, "main");
  if (transfers.errors.empty()) {
    std::vector<std::string> ids(transfers.items.size());
    std::vector<TransactionResult> results(ids.size());
    ExpectJson(RenderPostedBatch(ids, results, transfers.invalid, "/p").body);
  }
  (void)ParseAccounts(root, "main");
}

}  // namespace
}  // namespace paxledger

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace paxledger;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  JsonDocument document;
  absl::Status status = document.Parse(text);
  Compare(text, status);
  if (status.ok()) Bodies(document.root());
  (void)MatchRoute("GET", text);
  std::vector<QueryParameter> query;
  (void)ParseQuery(text, &query);
  (void)DecodeCursor(text);
  (void)DecodeConsistencyToken(text);
  return 0;
}
