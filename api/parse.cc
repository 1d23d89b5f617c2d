#include "api/parse.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/fields.h"
#include "base/limits.h"

namespace paxledger {

namespace {

constexpr std::string_view kNotYet = "is not supported yet";
constexpr std::string_view kReadOnly = "is read-only";
constexpr std::string_view kIdRule = "must be 1 to 64 of A-Z a-z 0-9 . _ : @ -";
constexpr std::string_view kAssetRule = "must be an asset such as \"USD/2\"";
constexpr std::string_view kAmountRule =
    "must be a positive integer of minor units as a decimal string, up to 2^127-1 (as a number up to 2^53)";

/// Where a value stands in the body; written out as a JSON Pointer (RFC 6901) only where something is wrong.
struct Path {
  const Path* parent = nullptr;
  std::string_view name;
  std::optional<size_t> index;

  std::string Pointer() const {
    std::string out = parent == nullptr ? std::string() : parent->Pointer();
    if (parent == nullptr && name.empty() && !index.has_value()) return out;
    out.push_back('/');
    if (index.has_value()) {
      AppendUint64(&out, *index);
      return out;
    }
    for (char c : name) {
      if (c == '~') {
        out.append("~0");
      } else if (c == '/') {
        out.append("~1");
      } else {
        out.push_back(c);
      }
    }
    return out;
  }
};

/// The members of one object, and what is wrong with them.
class Fields {
 public:
  Fields(const Path* path, std::vector<FieldError>* errors) : path_(path), errors_(errors) {}

  void Wrong(std::string_view name, std::string_view reason) { Add(ApiCode::kInvalidField, name, reason); }
  void Unknown(std::string_view name) { Add(ApiCode::kUnknownField, name, "is not a field of this"); }

  void Id(std::string_view name, JsonValue value, std::string* out) {
    if (!value.is_string() || !IsId(value.text())) return Wrong(name, kIdRule);
    *out = value.text();
  }
  void Asset(std::string_view name, JsonValue value, std::string* out) {
    if (!value.is_string() || !IsAsset(value.text())) return Wrong(name, kAssetRule);
    *out = value.text();
  }
  static std::optional<Amount> AmountOf(JsonValue value) {
    if (value.is_string()) return ParseAmount(value.text());
    if (value.is_number()) return ParseJsonIntegerAmount(value.raw());
    return std::nullopt;
  }
  void Text(std::string_view name, JsonValue value, size_t bytes_max, std::string* out) {
    if (value.kind() == JsonKind::kNull) return;
    if (!value.is_string() || value.text().size() > bytes_max) {
      return Wrong(name, absl::StrCat("must be a string of up to ", bytes_max, " bytes"));
    }
    *out = value.text();
  }
  void Metadata(JsonValue value, std::string* out) {
    if (value.kind() == JsonKind::kNull) return;
    if (!value.is_object()) return Wrong("metadata", "must be an object");
    if (value.raw().size() > limits::kMetadataBytesMax) {
      return Wrong("metadata", absl::StrCat("must have up to ", limits::kMetadataBytesMax, " bytes"));
    }
    if (value.begin() != value.end()) *out = value.raw();  // an empty one is as good as none
  }
  /// A field of a later version: only the value that changes nothing is understood.
  void Later(std::string_view name, JsonValue value, std::string_view neutral) {
    if (value.text() != neutral) Wrong(name, kNotYet);
  }
  void LaterLedger(std::string_view name, JsonValue value, std::string_view ledger) {
    if (value.kind() == JsonKind::kNull || (value.is_string() && value.text() == ledger)) return;
    Wrong(name, kNotYet);
  }

 private:
  void Add(ApiCode code, std::string_view name, std::string_view reason) {
    if (errors_->size() >= limits::kFieldErrorsMax) return;
    const Path at{path_, name, std::nullopt};
    errors_->push_back(FieldError{code, FieldPlace::kBody, at.Pointer(), std::string(reason)});
  }

  const Path* path_;
  std::vector<FieldError>* errors_;
};

void NotAnObject(const Path& path, std::vector<FieldError>* errors) {
  errors->push_back(
      FieldError{ApiCode::kInvalidField, FieldPlace::kBody, path.Pointer(), "must be an object"});
}

// ------------------------------------------------------------------------------------------------------
// accounts

void NormalSide(Fields& fields, JsonValue value, Side* out) {
  if (value.is_string() && value.text() == "credit") {
    *out = Side::kCredit;
  } else if (value.is_string() && value.text() == "debit") {
    *out = Side::kDebit;
  } else {
    fields.Wrong("normal_side", "must be \"debit\" or \"credit\"");
  }
}

void Limit(Fields& fields, JsonValue value, LimitRule* out) {
  const std::string_view text = value.is_string() ? value.text() : std::string_view();
  if (text == "none") {
    *out = LimitRule::kNone;
  } else if (text == "debits_must_not_exceed_credits") {
    *out = LimitRule::kDebitsMustNotExceedCredits;
  } else if (text == "credits_must_not_exceed_debits") {
    *out = LimitRule::kCreditsMustNotExceedDebits;
  } else {
    fields.Wrong(
        "limit",
        "must be \"none\", \"debits_must_not_exceed_credits\" or \"credits_must_not_exceed_debits\"");
  }
}

void Overdraft(Fields& fields, JsonValue value, Amount* out) {
  std::optional<Amount> amount = Fields::AmountOf(value);
  if (!amount.has_value())
    return fields.Wrong("overdraft", "must be an integer of minor units, 0 to 2^127-1");
  *out = *amount;
}

void AccountField(Fields& fields, std::string_view name, JsonValue value, OpenAccountRequest* out) {
  AccountSpec& spec = out->spec;
  if (name == "id") return fields.Id(name, value, &out->key.id);
  if (name == "asset") return fields.Asset(name, value, &spec.asset);
  if (name == "normal_side") return NormalSide(fields, value, &spec.normal_side);
  if (name == "limit") return Limit(fields, value, &spec.limit);
  if (name == "overdraft") return Overdraft(fields, value, &spec.overdraft);
  if (name == "metadata") return fields.Metadata(value, &spec.metadata);
  if (name == "frozen") return fields.Later(name, value, "none");
  for (std::string_view read_only : {"status", "balances", "version", "created_at"}) {
    if (name == read_only) return fields.Wrong(name, kReadOnly);
  }
  fields.Unknown(name);
}

void ReadAccount(JsonValue value, const Path& path, OpenAccountRequest* out,
                 std::vector<FieldError>* errors) {
  if (!value.is_object()) return NotAnObject(path, errors);
  Fields fields(&path, errors);
  bool has_asset = false;
  for (auto at = value.begin(); at != value.end(); ++at) {
    const std::string_view name = (*at).text();
    ++at;
    has_asset = has_asset || name == "asset";
    AccountField(fields, name, *at, out);
  }
  if (!has_asset) fields.Wrong("asset", "is missing");
  if (errors->empty() && out->spec.limit == LimitRule::kNone && out->spec.overdraft > 0) {
    fields.Wrong("overdraft", "needs a limit");
  }
}

// -----------------------------------------------------------------------------------------------------
// transfers

void TransferAmount(Fields& fields, JsonValue value, Amount* out) {
  std::optional<Amount> amount = Fields::AmountOf(value);
  if (!amount.has_value() || *amount == 0) return fields.Wrong("amount", kAmountRule);
  *out = *amount;
}

void EffectiveAt(Fields& fields, JsonValue value, int64_t* out) {
  if (value.kind() == JsonKind::kNull) return;
  std::optional<int64_t> at = value.is_string() ? ParseTime(value.text()) : std::nullopt;
  // 0 means "none" in the journal.
  if (!at.has_value() || *at == 0) {
    return fields.Wrong("effective_at", "must be a time such as \"2026-01-31T12:00:00.000000Z\", in UTC");
  }
  *out = *at;
}

void Conditions(Fields& fields, JsonValue value) {
  if (!value.is_array()) return fields.Wrong("conditions", "must be an array");
  if (value.begin() != value.end()) fields.Wrong("conditions", kNotYet);
}

void Pending(Fields& fields, JsonValue value) {
  if (value.kind() == JsonKind::kTrue) return fields.Wrong("pending", kNotYet);
  if (value.kind() != JsonKind::kFalse) fields.Wrong("pending", "must be true or false");
}

void TimeoutSeconds(Fields& fields, JsonValue value) {
  if (!value.is_number() || !ParseUint64(value.raw()).has_value()) {
    return fields.Wrong("timeout_seconds", "must be an integer, 0 or more");
  }
  if (value.raw() != "0") fields.Wrong("timeout_seconds", kNotYet);
}

struct TransferSeen {
  bool debit_account = false;
  bool credit_account = false;
  bool amount = false;
};

void TransferField(Fields& fields, std::string_view name, JsonValue value, std::string_view ledger,
                   Transfer* out, TransferSeen* seen) {
  if (name == "id") return fields.Id(name, value, &out->id);
  if (name == "debit_account") {
    seen->debit_account = true;
    return fields.Id(name, value, &out->debit_account);
  }
  if (name == "credit_account") {
    seen->credit_account = true;
    return fields.Id(name, value, &out->credit_account);
  }
  if (name == "amount") {
    seen->amount = true;
    return TransferAmount(fields, value, &out->amount);
  }
  if (name == "asset") {
    if (value.kind() != JsonKind::kNull) fields.Asset(name, value, &out->asset);
    return;
  }
  if (name == "code") return fields.Text(name, value, limits::kCodeBytesMax, &out->code);
  if (name == "reference") return fields.Text(name, value, limits::kReferenceBytesMax, &out->reference);
  if (name == "metadata") return fields.Metadata(value, &out->metadata);
  if (name == "effective_at") return EffectiveAt(fields, value, &out->effective_at_us);
  if (name == "pending") return Pending(fields, value);
  if (name == "timeout_seconds") return TimeoutSeconds(fields, value);
  if (name == "amount_mode") return fields.Later(name, value, "exact");
  if (name == "conditions") return Conditions(fields, value);
  if (name == "debit_ledger" || name == "credit_ledger") return fields.LaterLedger(name, value, ledger);
  for (std::string_view read_only : {"status", "refusal", "transaction_id", "committed_at", "shards"}) {
    if (name == read_only) return fields.Wrong(name, kReadOnly);
  }
  fields.Unknown(name);
}

void ReadTransfer(JsonValue value, const Path& path, std::string_view ledger, Transaction* out,
                  std::vector<FieldError>* errors) {
  if (!value.is_object()) return NotAnObject(path, errors);
  Fields fields(&path, errors);
  out->ledger = ledger;
  Transfer& transfer = out->transfers.emplace_back();
  TransferSeen seen;
  for (auto at = value.begin(); at != value.end(); ++at) {
    const std::string_view name = (*at).text();
    ++at;
    TransferField(fields, name, *at, ledger, &transfer, &seen);
  }
  if (!seen.debit_account) fields.Wrong("debit_account", "is missing");
  if (!seen.credit_account) fields.Wrong("credit_account", "is missing");
  if (!seen.amount) fields.Wrong("amount", "is missing");
  out->id = transfer.id;
}

// -------------------------------------------------------------------------------------------------------
// batches

std::optional<std::string> IdOf(JsonValue item) {
  if (!item.is_object()) return std::nullopt;
  for (auto at = item.begin(); at != item.end(); ++at) {
    const bool is_id = (*at).text() == "id";
    ++at;
    if (is_id && (*at).is_string() && (*at).raw().size() <= 4 * limits::kIdBytesMax)
      return std::string((*at).text());
  }
  return std::nullopt;
}

/// Calls `read(value, path, &item, &errors)` for each item of the array `name`, the only member of a batch.
template <class Item, class Read>
ParsedBatch<Item> ReadBatch(JsonValue root, std::string_view name, Read read) {
  ParsedBatch<Item> batch;
  const Path top;
  if (!root.is_object()) {
    NotAnObject(top, &batch.errors);
    return batch;
  }
  Fields fields(&top, &batch.errors);
  std::optional<JsonValue> items;
  for (auto at = root.begin(); at != root.end(); ++at) {
    const std::string_view member = (*at).text();
    ++at;
    if (member == name) {
      items = *at;
    } else {
      fields.Unknown(member);
    }
  }
  if (!items.has_value()) fields.Wrong(name, "is missing");
  if (items.has_value() && !items->is_array()) fields.Wrong(name, "must be an array");
  if (!batch.errors.empty()) return batch;

  const Path array{nullptr, name, std::nullopt};
  size_t index = 0;
  for (JsonValue value : *items) {
    if (index == limits::kBatchItemsMax) {
      fields.Wrong(name, absl::StrCat("must have up to ", limits::kBatchItemsMax, " items"));
      return batch;
    }
    const Path path{&array, {}, index};
    std::vector<FieldError> errors;
    Item& item = batch.items.emplace_back();
    read(value, path, &item, &errors);
    if (!errors.empty()) {
      batch.items.pop_back();
      batch.invalid.push_back(InvalidItem{index, IdOf(value), std::move(errors)});
    }
    ++index;
  }
  return batch;
}

}  // namespace

ParsedAccount ParseAccount(JsonValue value, std::string_view ledger) {
  ParsedAccount parsed;
  const Path top;
  parsed.account.key.ledger = ledger;
  ReadAccount(value, top, &parsed.account, &parsed.errors);
  return parsed;
}

ParsedTransfer ParseTransfer(JsonValue value, std::string_view ledger) {
  ParsedTransfer parsed;
  const Path top;
  ReadTransfer(value, top, ledger, &parsed.transaction, &parsed.errors);
  return parsed;
}

ParsedBatch<OpenAccountRequest> ParseAccounts(JsonValue root, std::string_view ledger) {
  return ReadBatch<OpenAccountRequest>(
      root, "accounts",
      [ledger](JsonValue value, const Path& path, OpenAccountRequest* out, std::vector<FieldError>* errors) {
        out->key.ledger = ledger;
        ReadAccount(value, path, out, errors);
      });
}

ParsedBatch<Transaction> ParseTransfers(JsonValue root, std::string_view ledger) {
  return ReadBatch<Transaction>(
      root, "transfers",
      [ledger](JsonValue value, const Path& path, Transaction* out, std::vector<FieldError>* errors) {
        ReadTransfer(value, path, ledger, out, errors);
        // A transaction must fit in one entry (api.md, limits).
        if (value.raw().size() > limits::kTransactionBytesMax) {
          errors->push_back(
              FieldError{ApiCode::kInvalidField, FieldPlace::kBody, path.Pointer(),
                         absl::StrCat("must have up to ", limits::kTransactionBytesMax, " bytes")});
        }
      });
}

}  // namespace paxledger
