#include "api/client_requests.h"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "api/json.h"
#include "base/bytes.h"
#include "txn/placement.h"

namespace paxledger {
namespace json = boost::json;
namespace {

std::string_view StdView(const json::string& s) { return {s.data(), s.size()}; }

/// The text of a member; empty where it is absent or of another type.
std::string_view TextOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : StdView(*text);
}

absl::StatusOr<ItemStatus> StatusFromName(std::string_view name) {
  if (name == "posted") return ItemStatus::kPosted;
  if (name == "refused") return ItemStatus::kRefused;
  if (name == "in_doubt") return ItemStatus::kInDoubt;
  if (name == "aborted") return ItemStatus::kAborted;
  if (name == "opened") return ItemStatus::kOpened;
  if (name == "exists") return ItemStatus::kExists;
  if (name == "pending") return ItemStatus::kPending;
  if (name == "invalid") return ItemStatus::kInvalid;
  return absl::InvalidArgumentError(absl::StrCat("unknown item status '", ToAbsl(name), "'"));
}

/// The `reason` of the first field at fault, for people.
std::string_view FirstReason(const json::object& object) {
  const json::value* errors = object.if_contains("errors");
  const json::array* list = errors == nullptr ? nullptr : errors->if_array();
  if (list == nullptr || list->empty() || !list->front().is_object()) return {};
  return TextOf(list->front().get_object(), "reason");
}

absl::StatusOr<ItemResult> ReadItem(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return absl::InvalidArgumentError("an item is no object");
  const absl::StatusOr<ItemStatus> status = StatusFromName(TextOf(*object, "status"));
  if (!status.ok()) return status.status();
  ItemResult result;
  result.status = *status;
  result.code = TextOf(*object, "code");
  if (result.code.empty()) result.code = TextOf(*object, "refusal");
  if (result.status == ItemStatus::kInvalid && result.code.empty()) result.code = "invalid_field";
  const json::value* replayed = object->if_contains("replayed");
  result.replayed = replayed != nullptr && replayed->is_bool() && replayed->get_bool();
  return result;
}

}  // namespace

void AppendTransferJson(std::string* out, const TransferFields& transfer) {
  out->append("{\"id\":");
  AppendJsonString(out, transfer.id);
  out->append(",\"debit_account\":");
  AppendJsonString(out, transfer.debit_account);
  out->append(",\"credit_account\":");
  AppendJsonString(out, transfer.credit_account);
  out->append(",\"amount\":\"");
  AppendAmount(out, transfer.amount);
  out->push_back('"');
  if (!transfer.asset.empty()) {
    out->append(",\"asset\":");
    AppendJsonString(out, transfer.asset);
  }
  out->push_back('}');
}

void AppendAccountJson(std::string* out, const AccountFields& account) {
  out->append("{\"id\":");
  AppendJsonString(out, account.id);
  out->append(",\"asset\":");
  AppendJsonString(out, account.asset);
  out->append(",\"normal_side\":");
  AppendJsonString(out, account.normal_side);
  out->append(",\"limit\":");
  AppendJsonString(out, account.limit);
  out->push_back('}');
}

absl::StatusOr<std::vector<ItemResult>> ParseBatchAnswer(std::string_view body, size_t count) {
  json::monotonic_resource memory;
  json::error_code error;
  const json::value document = json::parse(json::string_view(body.data(), body.size()), error, &memory);
  const json::object* object = error ? nullptr : document.if_object();
  const json::value* data = object == nullptr ? nullptr : object->if_contains("data");
  const json::array* list = data == nullptr ? nullptr : data->if_array();
  if (list == nullptr || list->size() != count) {
    return absl::InvalidArgumentError("a batch was answered with other than one result for each item");
  }
  std::vector<ItemResult> results;
  results.reserve(count);
  for (const json::value& value : *list) {
    absl::StatusOr<ItemResult> item = ReadItem(value);
    if (!item.ok()) return item.status();
    results.push_back(*std::move(item));
  }
  return results;
}

absl::StatusOr<ItemResult> ParseSingleAnswer(int http_status, std::string_view body) {
  if (http_status == 401 || http_status == 403) {
    return absl::PermissionDeniedError(DescribeProblem(http_status, body));
  }
  if (http_status == 200 || http_status == 201) {
    json::error_code error;
    const json::value document = json::parse(json::string_view(body.data(), body.size()), error);
    if (error || !document.is_object()) return absl::InvalidArgumentError("the answer is no JSON object");
    const std::string_view status = TextOf(document.get_object(), "status");
    ItemResult opened{.status = http_status == 201 ? ItemStatus::kOpened : ItemStatus::kExists};
    if (status == "open" || status == "closed") return opened;  // an account
    return ReadItem(document);
  }
  if (http_status == 202) return ItemResult{.status = ItemStatus::kInDoubt};
  std::string code = ProblemCode(body);
  if (http_status >= 400 && http_status < 500 && !code.empty()) {
    const bool malformed = http_status == 400 || http_status == 413;
    return ItemResult{.status = malformed ? ItemStatus::kInvalid : ItemStatus::kRefused,
                      .code = std::move(code)};
  }
  if (http_status == 503 || http_status == 429)
    return ItemResult{.status = ItemStatus::kAborted, .code = std::move(code)};
  return absl::InternalError(DescribeProblem(http_status, body));
}

std::string ProblemCode(std::string_view body) {
  json::error_code error;
  const json::value document = json::parse(json::string_view(body.data(), body.size()), error);
  if (error || !document.is_object()) return {};
  return std::string(TextOf(document.get_object(), "code"));
}

std::string DescribeProblem(int http_status, std::string_view body) {
  json::error_code error;
  const json::value document = json::parse(json::string_view(body.data(), body.size()), error);
  if (error || !document.is_object() || !document.get_object().contains("code")) {
    return absl::StrCat("HTTP ", http_status, " ", ToAbsl(body.substr(0, 200)));
  }
  const json::object& problem = document.get_object();
  std::string_view detail = TextOf(problem, "detail");
  if (detail.empty()) detail = TextOf(problem, "title");
  std::string text =
      absl::StrCat("HTTP ", http_status, " ", ToAbsl(TextOf(problem, "code")), ": ", ToAbsl(detail));
  const std::string_view reason = FirstReason(problem);
  if (!reason.empty()) absl::StrAppend(&text, " (", ToAbsl(reason), ")");
  return text;
}

std::string TransferIds::Make(std::string_view debit_account, int64_t unix_ms) {
  return PlacedTransactionId(Stem(unix_ms), ShardOfAccount(ledger_, debit_account, shards_));
}

std::string TransferIds::Stem(int64_t unix_ms) {
  static constexpr char kDigits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // Crockford's base 32
  if (unix_ms > last_ms_) {
    last_ms_ = unix_ms;
    high_ = random_.Next() & 0xFFFF;
    low_ = random_.Next();
  } else if (++low_ == 0) {
    high_ = (high_ + 1) & 0xFFFF;
  }
  std::string text(26, '0');
  auto time = static_cast<uint64_t>(last_ms_);
  for (size_t i = 10; i-- > 0; time >>= 5) text[i] = kDigits[time & 31];
  Uint128 entropy = (Uint128{high_} << 64) | low_;
  for (size_t i = 26; i-- > 10; entropy >>= 5) text[i] = kDigits[static_cast<size_t>(entropy & 31)];
  return text;
}

}  // namespace paxledger
