#include "api/render.h"

#include "api/fields.h"
#include "api/json.h"
#include "api/problem.h"
#include "base/check.h"

namespace paxledger {

namespace {

std::string_view SideName(Side side) {
  switch (side) {
    case Side::kDebit:
      return "debit";
    case Side::kCredit:
      return "credit";
  }
  return "";
}

std::string_view LimitName(LimitRule limit) {
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

std::string_view FrozenName(Frozen frozen) {
  switch (frozen) {
    case Frozen::kNone:
      return "none";
    case Frozen::kDebits:
      return "debits";
    case Frozen::kCredits:
      return "credits";
    case Frozen::kBoth:
      return "both";
  }
  return "";
}

/// `,"name":"value"`, for values that need no escape.
void AppendPlainMember(std::string* out, std::string_view name, std::string_view value) {
  out->append(",\"").append(name).append("\":\"").append(value).append("\"");
}

void AppendSignedMember(std::string* out, std::string_view name, const SignedAmount& amount) {
  out->append(",\"").append(name).append("\":\"");
  amount.AppendTo(out);
  out->push_back('"');
}

void AppendMetadata(std::string* out, std::string_view metadata) {
  out->append(",\"metadata\":").append(metadata.empty() ? std::string_view("{}") : metadata);
}

/// `,"status":…,"refusal":…,"transaction_id":…,"committed_at":…,"shards":[…]`
void AppendOutcome(std::string* out, std::string_view transaction_id, const TransactionResult& result) {
  AppendPlainMember(out, "status", StatusName(result.state));
  const bool refused = result.state == TransactionState::kRefused;
  AppendTextMember(out, "refusal", refused ? OutcomeCode(result.refusal) : std::string_view());
  out->append(",\"transaction_id\":");
  AppendJsonString(out, transaction_id);
  AppendTimeMember(out, "committed_at",
                   result.state == TransactionState::kCommitted ? result.committed_at.value : 0);
  out->append(",\"shards\":[");
  for (size_t i = 0; i < result.shards.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendUint64(out, result.shards[i].value);
  }
  out->push_back(']');
}

}  // namespace

void AppendTextMember(std::string* out, std::string_view name, std::string_view text) {
  out->append(",\"").append(name).append("\":");
  if (text.empty()) {
    out->append("null");
  } else {
    AppendJsonString(out, text);
  }
}

void AppendTimeMember(std::string* out, std::string_view name, int64_t micros) {
  out->append(",\"").append(name).append("\":");
  if (micros == 0) {
    out->append("null");
    return;
  }
  out->push_back('"');
  AppendTime(out, micros);
  out->push_back('"');
}

void AppendAmountMember(std::string* out, std::string_view name, Amount amount) {
  out->append(",\"").append(name).append("\":\"");
  AppendAmount(out, amount);
  out->push_back('"');
}

void AppendBalances(std::string* out, const Account& account) {
  const Totals& totals = account.totals;
  const bool credit_side = account.spec.normal_side == Side::kCredit;
  SignedAmount balance(credit_side ? totals.credits_posted : totals.debits_posted);
  balance -= credit_side ? totals.debits_posted : totals.credits_posted;
  SignedAmount available = balance;
  available -= credit_side ? totals.debits_pending : totals.credits_pending;
  available -= credit_side ? account.debits_in_doubt : account.credits_in_doubt;

  out->append("{\"debits_posted\":\"");
  AppendAmount(out, totals.debits_posted);
  out->push_back('"');
  AppendAmountMember(out, "credits_posted", totals.credits_posted);
  AppendAmountMember(out, "debits_pending", totals.debits_pending);
  AppendAmountMember(out, "credits_pending", totals.credits_pending);
  AppendSignedMember(out, "balance", balance);
  AppendSignedMember(out, "available", available);
  out->push_back('}');
}

void AppendAccount(std::string* out, std::string_view id, const Account& account) {
  const AccountSpec& spec = account.spec;
  out->append("{\"id\":");
  AppendJsonString(out, id);
  AppendPlainMember(out, "asset", spec.asset);
  AppendPlainMember(out, "normal_side", SideName(spec.normal_side));
  AppendPlainMember(out, "limit", LimitName(spec.limit));
  AppendAmountMember(out, "overdraft", spec.overdraft);
  AppendMetadata(out, spec.metadata);
  AppendPlainMember(out, "frozen", FrozenName(account.frozen));
  AppendPlainMember(out, "status", account.closed ? "closed" : "open");
  out->append(",\"balances\":");
  AppendBalances(out, account);
  out->append(",\"version\":");
  AppendUint64(out, account.version);
  AppendTimeMember(out, "created_at", account.opened_at.value);
  out->push_back('}');
}

std::string_view StatusName(TransactionState state) {
  switch (state) {
    case TransactionState::kCommitted:
      return "posted";
    case TransactionState::kRefused:
      return "refused";
    case TransactionState::kConflict:
      return "refused";  // of this body; the id keeps its own outcome
    case TransactionState::kInDoubt:
      return "in_doubt";
    case TransactionState::kContended:
      return "aborted";
    case TransactionState::kUnavailable:
      return "aborted";
    case TransactionState::kOverloaded:
      return "aborted";
  }
  return "";
}

void AppendTransfer(std::string* out, const Transaction& transaction, size_t n,
                    const TransactionResult& result) {
  Check(n < transaction.transfers.size(), "a transfer that is shown is one of its transaction");
  const Transfer& transfer = transaction.transfers[n];
  out->append("{\"id\":");
  AppendJsonString(out, transfer.id);
  out->append(",\"debit_account\":");
  AppendJsonString(out, transfer.debit_account);
  out->append(",\"credit_account\":");
  AppendJsonString(out, transfer.credit_account);
  AppendAmountMember(out, "amount", transfer.amount);
  AppendTextMember(out, "asset", transfer.asset);
  out->append(",\"pending\":false,\"timeout_seconds\":0");
  AppendTimeMember(out, "effective_at", transfer.effective_at_us);
  AppendTextMember(out, "code", transfer.code);
  AppendTextMember(out, "reference", transfer.reference);
  AppendMetadata(out, transfer.metadata);
  out->append(",\"amount_mode\":\"exact\",\"conditions\":[],\"debit_ledger\":null,\"credit_ledger\":null");
  AppendOutcome(out, transaction.id, result);
  out->push_back('}');
}

void AppendOutcomeOf(std::string* out, std::string_view id, std::string_view transaction_id,
                     const TransactionResult& result) {
  out->append("{\"id\":");
  AppendJsonString(out, id);
  AppendOutcome(out, transaction_id, result);
  out->push_back('}');
}

void AppendTransaction(std::string* out, std::string_view id, const Transaction& transaction,
                       const TransactionResult& result) {
  out->append("{\"id\":");
  AppendJsonString(out, id);
  AppendOutcome(out, id, result);
  out->append(",\"refused_transfer\":");
  if (result.state == TransactionState::kRefused && result.transfer < transaction.transfers.size()) {
    AppendJsonString(out, transaction.transfers[result.transfer].id);
  } else {
    out->append("null");
  }
  out->append(",\"transfers\":[");
  for (size_t i = 0; i < transaction.transfers.size(); ++i) {
    if (i > 0) out->push_back(',');
    AppendTransfer(out, transaction, i, result);
  }
  out->append("]}");
}

HttpResponse RenderAccountPage(const AccountPage& page, std::string_view next_cursor) {
  HttpResponse response;
  std::string& out = response.body;
  out.reserve(64 + 512 * page.accounts.size());
  out.append("{\"data\":[");
  for (size_t i = 0; i < page.accounts.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendAccount(&out, page.accounts[i].key.id, page.accounts[i].account);
  }
  out.append("],\"has_more\":").append(page.has_more ? "true" : "false");
  AppendTextMember(&out, "next_cursor", page.has_more ? next_cursor : std::string_view());
  out.push_back('}');
  return response;
}

}  // namespace paxledger
