#include "tests/sim/http_words.h"

#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "api/fields.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/tokens.h"
#include "base/bytes.h"
#include "tests/sim/sim_api.h"

namespace paxledger::sim {
namespace {

HttpRequest To(std::string_view method, std::string target) {
  HttpRequest request;
  request.method = method;
  request.target = std::move(target);
  request.host = "simulated";
  request.authorization = SimApi::Authorization();
  if (method == "POST") request.content_type = "application/json";
  return request;
}

absl::Status Odd(const HttpResponse& response, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("HTTP ", response.status, " ", ToAbsl(what), ": ", response.body.substr(0, 300)));
}

std::optional<JsonValue> Member(JsonValue object, std::string_view name) {
  if (!object.is_object()) return std::nullopt;
  for (auto at = object.begin(); at != object.end(); ++at) {
    bool here = (*at).text() == name;
    ++at;
    if (here) return *at;
  }
  return std::nullopt;
}

/// A string member; empty where it is absent or null.
std::string Text(JsonValue object, std::string_view name) {
  std::optional<JsonValue> value = Member(object, name);
  return value.has_value() && value->is_string() ? std::string(value->text()) : std::string();
}

std::optional<Amount> AmountOf(JsonValue object, std::string_view name) {
  return ParseAmount(Text(object, name));
}

std::string Header(const HttpResponse& response, std::string_view name) {
  std::string line = absl::StrCat(ToAbsl(name), ": ");
  size_t at = response.headers.find(line);
  if (at == std::string::npos) return "";
  at += line.size();
  return response.headers.substr(at, response.headers.find('\r', at) - at);
}

std::optional<Outcome> RefusalOf(std::string_view code) {
  for (uint8_t number = 1; number < UINT8_MAX; ++number) {
    std::optional<Outcome> outcome = OutcomeFromNumber(number);
    if (!outcome.has_value()) return std::nullopt;
    if (OutcomeCode(*outcome) == code) return outcome;
  }
  return std::nullopt;
}

std::optional<LogTime> TimeOf(JsonValue object, std::string_view name) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, Text(object, name), &time, &error)) return std::nullopt;
  return LogTime{absl::ToUnixMicros(time)};
}

/// The outcome that a record of a transfer or transaction states.
absl::Status ReadRecord(const HttpResponse& response, JsonValue record, TransactionResult* result) {
  std::string status = Text(record, "status");
  if (status == "posted") {
    std::optional<LogTime> at = TimeOf(record, "committed_at");
    if (!at.has_value()) return Odd(response, "names no time of commit");
    // The token orders what comes after it, so it must say the same (transactions.md rule 9).
    std::optional<LogTime> token = DecodeConsistencyToken(Header(response, "Consistency-Token"));
    if (token != at) return Odd(response, "has a token of another time than the commit");
    result->state = TransactionState::kCommitted;
    result->committed_at = *at;
  } else if (status == "refused") {
    std::optional<Outcome> refusal = RefusalOf(Text(record, "refusal"));
    if (!refusal.has_value()) return Odd(response, "names no refusal");
    result->state = TransactionState::kRefused;
    result->refusal = *refusal;
  } else if (status == "in_doubt") {
    result->state = TransactionState::kInDoubt;
  } else if (status == "aborted") {
    result->state = TransactionState::kContended;
  } else {
    return Odd(response, "has an unknown status");
  }
  return absl::OkStatus();
}

std::string RecoveryTokenOf(const HttpResponse& response) {
  std::string location = Header(response, "Location");
  size_t at = location.find("?recovery=");
  return at == std::string::npos ? "" : location.substr(at + std::string_view("?recovery=").size());
}

/// Of a problem document; kOk in `state` where it says how the transaction ended.
absl::StatusOr<TransactionResult> ReadProblemAnswer(const HttpResponse& response, JsonValue problem) {
  std::string code = Text(problem, "code");
  TransactionResult result;
  if (code == KindOf(ApiCode::kIdempotencyConflict).code) {
    result.state = TransactionState::kConflict;
  } else if (code == KindOf(ApiCode::kContended).code) {
    result.state = TransactionState::kContended;
  } else if (code == KindOf(ApiCode::kUnavailable).code) {
    result.state = TransactionState::kUnavailable;
  } else if (code == KindOf(ApiCode::kOverloaded).code) {
    result.state = TransactionState::kOverloaded;
  } else if (std::optional<Outcome> refusal = RefusalOf(code); refusal.has_value()) {
    result.state = TransactionState::kRefused;
    result.refusal = *refusal;
  } else {
    return Odd(response, "is no answer to a well-formed request");
  }
  return result;
}

absl::StatusOr<JsonDocument> ParseBody(const HttpResponse& response) {
  JsonDocument document;
  absl::Status parsed = document.Parse(response.body);
  if (!parsed.ok()) return Odd(response, "has a body that is no JSON");
  return document;
}

/// Of a read that failed: it may be asked again, or found nothing.
absl::StatusOr<absl::Status> ReadFailure(const HttpResponse& response, JsonValue problem) {
  std::string code = Text(problem, "code");
  if (code == KindOf(ApiCode::kAccountNotFound).code || code == KindOf(ApiCode::kTransferNotFound).code) {
    return absl::NotFoundError(code);
  }
  if (code == KindOf(ApiCode::kUnavailable).code || code == KindOf(ApiCode::kOverloaded).code) {
    return absl::UnavailableError(code);
  }
  return Odd(response, "is no answer to a well-formed read");
}

std::string_view LimitText(LimitRule limit) {
  switch (limit) {
    case LimitRule::kNone:
      return "none";
    case LimitRule::kDebitsMustNotExceedCredits:
      return "debits_must_not_exceed_credits";
    case LimitRule::kCreditsMustNotExceedDebits:
      return "credits_must_not_exceed_debits";
  }
  return "";
}

void AppendMember(std::string* out, std::string_view name, std::string_view value) {
  AppendJsonString(&out->append(out->back() == '{' ? "" : ","), name);
  AppendJsonString(&out->append(":"), value);
}

void AppendAmountMember(std::string* out, std::string_view name, Amount amount) {
  std::string digits;
  AppendAmount(&digits, amount);
  AppendMember(out, name, digits);
}

}  // namespace

HttpRequest PostTransferRequest(const Transaction& transaction) {
  HttpRequest request = To("POST", absl::StrCat("/v1/ledgers/", transaction.ledger, "/transfers"));
  const Transfer& transfer = transaction.transfers.front();
  request.body = "{";
  AppendMember(&request.body, "id", transaction.id);
  AppendMember(&request.body, "debit_account", transfer.debit_account);
  AppendMember(&request.body, "credit_account", transfer.credit_account);
  AppendAmountMember(&request.body, "amount", transfer.amount);
  if (!transfer.asset.empty()) AppendMember(&request.body, "asset", transfer.asset);
  request.body += "}";
  return request;
}

absl::StatusOr<TransactionResult> ReadPosted(const HttpResponse& response) {
  absl::StatusOr<JsonDocument> document = ParseBody(response);
  if (!document.ok()) return document.status();
  TransactionResult result;
  bool record = response.status == 200 || response.status == 201 || response.status == 202;
  if (!record) {
    absl::StatusOr<TransactionResult> problem = ReadProblemAnswer(response, document->root());
    return problem;
  }
  absl::Status read = ReadRecord(response, document->root(), &result);
  if (!read.ok()) return read;
  if ((response.status == 202) != (result.state == TransactionState::kInDoubt)) {
    return Odd(response, "does not fit its status");
  }
  result.recovery_token = RecoveryTokenOf(response);
  return result;
}

HttpRequest OpenAccountsRequest(const std::vector<OpenAccountRequest>& accounts) {
  HttpRequest request =
      To("POST", absl::StrCat("/v1/ledgers/", accounts.front().key.ledger, "/accounts/batch"));
  request.body = "{\"accounts\":[";
  for (const OpenAccountRequest& account : accounts) {
    request.body += &account == &accounts.front() ? "{" : ",{";
    AppendMember(&request.body, "id", account.key.id);
    AppendMember(&request.body, "asset", account.spec.asset);
    AppendMember(&request.body, "normal_side", account.spec.normal_side == Side::kDebit ? "debit" : "credit");
    AppendMember(&request.body, "limit", LimitText(account.spec.limit));
    if (account.spec.overdraft > 0) AppendAmountMember(&request.body, "overdraft", account.spec.overdraft);
    request.body += "}";
  }
  request.body += "]}";
  return request;
}

absl::StatusOr<std::vector<OpenAccountResult>> ReadOpened(const HttpResponse& response, size_t count) {
  absl::StatusOr<JsonDocument> document = ParseBody(response);
  if (!document.ok()) return document.status();
  std::vector<OpenAccountResult> results;
  std::optional<JsonValue> data = Member(document->root(), "data");
  if (!data.has_value()) {
    absl::StatusOr<absl::Status> failure = ReadFailure(response, document->root());
    if (!failure.ok()) return failure.status();
    results.resize(count);
    for (OpenAccountResult& result : results) result.failure = *failure;
    return results;
  }
  for (JsonValue item : *data) {
    OpenAccountResult& result = results.emplace_back();
    std::string status = Text(item, "status");
    if (status == "exists") {
      result.status = OpenStatus::kExists;
    } else if (status == "aborted" || status == "in_doubt") {
      result.failure = absl::UnavailableError(status);
    } else if (status != "opened") {
      return Odd(response, "refuses an account");
    }
  }
  if (results.size() != count) return Odd(response, "answers for another number of accounts");
  return results;
}

HttpRequest GetAccountRequest(const LedgerKey& key) {
  return To("GET", absl::StrCat("/v1/ledgers/", key.ledger, "/accounts/", key.id));
}

absl::StatusOr<absl::StatusOr<AccountRead>> ReadAccountAnswer(const HttpResponse& response) {
  absl::StatusOr<JsonDocument> document = ParseBody(response);
  if (!document.ok()) return document.status();
  AccountRead read;
  if (response.status != 200) {
    absl::StatusOr<absl::Status> failure = ReadFailure(response, document->root());
    if (!failure.ok()) return failure.status();
    if (failure->code() == absl::StatusCode::kNotFound) return absl::StatusOr<AccountRead>(read);
    return absl::StatusOr<AccountRead>(*failure);
  }
  std::optional<JsonValue> balances = Member(document->root(), "balances");
  if (!balances.has_value()) return Odd(response, "shows no balances");
  std::optional<Amount> debits = AmountOf(*balances, "debits_posted");
  std::optional<Amount> credits = AmountOf(*balances, "credits_posted");
  std::optional<LogTime> at = DecodeConsistencyToken(Header(response, "Consistency-Token"));
  if (!debits.has_value() || !credits.has_value() || !at.has_value())
    return Odd(response, "lacks a balance or a token");
  Account& account = read.account.emplace();
  account.totals.debits_posted = *debits;
  account.totals.credits_posted = *credits;
  read.at = *at;
  return absl::StatusOr<AccountRead>(std::move(read));
}

HttpRequest GetTransferRequest(const LedgerKey& key, const std::string& recovery_token) {
  std::string target = absl::StrCat("/v1/ledgers/", key.ledger, "/transfers/", key.id);
  if (!recovery_token.empty()) absl::StrAppend(&target, "?recovery=", recovery_token);
  return To("GET", std::move(target));
}

absl::StatusOr<absl::StatusOr<TransferRead>> ReadTransferAnswer(const HttpResponse& response,
                                                                const LedgerKey& key) {
  absl::StatusOr<JsonDocument> document = ParseBody(response);
  if (!document.ok()) return document.status();
  JsonValue record = document->root();
  TransferRead read;
  if (response.status == 409) {
    absl::StatusOr<TransactionResult> conflict = ReadProblemAnswer(response, record);
    if (!conflict.ok()) return conflict.status();
    read.result = *std::move(conflict);
    return absl::StatusOr<TransferRead>(std::move(read));
  }
  if (response.status != 200) {
    absl::StatusOr<absl::Status> failure = ReadFailure(response, record);
    if (!failure.ok()) return failure.status();
    return absl::StatusOr<TransferRead>(*failure);
  }
  absl::Status outcome = ReadRecord(response, record, &read.result);
  if (!outcome.ok()) return outcome;
  read.transaction.ledger = key.ledger;
  read.transaction.id = Text(record, "transaction_id");
  if (Member(record, "amount").has_value()) {
    Transfer& transfer = read.transaction.transfers.emplace_back();
    transfer.id = Text(record, "id");
    transfer.debit_account = Text(record, "debit_account");
    transfer.credit_account = Text(record, "credit_account");
    transfer.asset = Text(record, "asset");
    std::optional<Amount> amount = AmountOf(record, "amount");
    if (!amount.has_value()) return Odd(response, "has an amount that is none");
    transfer.amount = *amount;
  }
  return absl::StatusOr<TransferRead>(std::move(read));
}

}  // namespace paxledger::sim
