#include "ops/ledgerctl/import.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ops/ledgerctl/progress.h"

namespace paxledger {
namespace {

/// Collects what stopped the setup: the first few are named.
class Complaints {
 public:
  void Add(const std::string& id, const std::string& why) {
    if (count_++ < 3) absl::StrAppend(&text_, text_.empty() ? "" : "; ", id, ": ", why);
  }
  uint64_t count() const { return count_; }
  const std::string& text() const { return text_; }

 private:
  uint64_t count_ = 0;
  std::string text_;
};

}  // namespace

uint64_t ImportResult::refused_total() const {
  uint64_t total = 0;
  for (const auto& [code, count] : refused) total += count;
  return total;
}

/// Accounts and fundings: each must end well, or the rows would mean something else than the user said.
absl::Status Import::RunSetup(std::string what, BatchWork work) {
  Progress progress(what, work.items);
  Complaints unknown;
  uint64_t done = 0;
  auto count = std::move(work.on_final);
  work.on_final = [&](uint32_t item, const ItemResult& result) {
    ++done;
    count(item, result);
  };
  work.on_failed = [&](uint32_t item, const std::string& why) {
    unknown.Add(absl::StrCat("item ", item + 1), why);
  };
  work.on_tick = [&](uint64_t retried) { progress.Show({.done = done, .refused = 0, .retried = retried}); };
  BatchLimits limits = limits_;
  limits.batch =
      std::max<size_t>(limits.batch, 2);  // a list is set up in batches even where rows go one by one
  BatchSender sender(client_, std::move(work), limits);
  absl::Status status = sender.Run();
  if (status.ok() && unknown.count() > 0) {
    status = absl::UnavailableError(absl::StrCat(
        what, ": ", unknown.count(), " without a known outcome, run it again (", unknown.text(), ")"));
  }
  return status;
}

absl::Status Import::OpenAccounts() {
  if (options_.open_limit.empty()) return absl::OkStatus();
  std::vector<std::string_view> ids(plan_.accounts.begin(), plan_.accounts.end());
  const std::string& funder = options_.funding_account;
  if (!funder.empty() && std::find(ids.begin(), ids.end(), funder) == ids.end()) ids.push_back(funder);
  Complaints refusals;
  BatchWork work;
  work.single_path = absl::StrCat(path_, "/accounts");
  work.array = "accounts";
  work.items = ids.size();
  work.order = RowOrder::Free(ids.size());
  work.encode = [&](uint32_t item, std::string* out) {
    const std::string_view limit = ids[item] == funder ? std::string_view("none") : options_.open_limit;
    AppendAccountJson(out, {.id = ids[item], .asset = options_.asset, .limit = limit});
  };
  work.on_final = [&](uint32_t item, const ItemResult& account) {
    if (account.status == ItemStatus::kOpened) {
      ++result_.accounts_opened;
    } else if (account.status == ItemStatus::kExists) {
      ++result_.accounts_existing;
    } else {
      refusals.Add(std::string(ids[item]), account.code);
    }
  };
  if (absl::Status status = RunSetup("accounts", std::move(work)); !status.ok()) return status;
  if (refusals.count() == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(refusals.count(), " accounts cannot be opened: ", refusals.text()));
}

absl::Status Import::Fund() {
  Complaints refusals;
  BatchWork work;
  work.single_path = absl::StrCat(path_, "/transfers");
  work.array = "transfers";
  work.items = plan_.fundings.size();
  work.order = RowOrder::Free(plan_.fundings.size());
  work.encode = [&](uint32_t item, std::string* out) {
    const ImportPlan::Funding& funding = plan_.fundings[item];
    AppendTransferJson(out, {.id = funding.id,
                             .debit_account = options_.funding_account,
                             .credit_account = plan_.accounts[funding.account],
                             .amount = funding.amount,
                             .asset = options_.asset});
  };
  work.on_final = [&](uint32_t item, const ItemResult& transfer) {
    if (transfer.status == ItemStatus::kPosted) {
      ++result_.funded;
    } else {
      refusals.Add(plan_.fundings[item].id, transfer.code);
    }
  };
  if (absl::Status status = RunSetup("funding", std::move(work)); !status.ok()) return status;
  if (refusals.count() == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      refusals.count(), " accounts cannot be funded as asked (funded otherwise before?): ", refusals.text()));
}

void Import::CountRow(uint32_t row, const ItemResult& item) {
  if (item.replayed) ++result_.replayed;
  if (item.status == ItemStatus::kPosted || item.status == ItemStatus::kPending) {
    ++result_.accepted;
    return;
  }
  const std::string code = item.code.empty() ? "refused" : item.code;
  ++result_.refused[code];
  rejects_.push_back({plan_.rows[row].number, plan_.rows[row].id, code});
}

absl::Status Import::PostRows(Order order) {
  result_.rows = plan_.rows.size() + plan_.bad_rows.size();
  for (const ImportPlan::BadRow& bad : plan_.bad_rows) {
    ++result_.refused[bad.code];
    rejects_.push_back({bad.number, bad.id, bad.code});
  }
  Progress progress("transfers", plan_.rows.size());
  BatchWork work;
  work.single_path = absl::StrCat(path_, "/transfers");
  work.array = "transfers";
  work.items = plan_.rows.size();
  if (order == Order::kPerAccount) {
    std::vector<RowOrder::Pair> pairs;
    pairs.reserve(plan_.rows.size());
    for (const ImportPlan::Row& row : plan_.rows) pairs.push_back({row.debit, row.credit});
    work.order = RowOrder::PerAccount(pairs, plan_.accounts.size());
  } else {
    work.order = RowOrder::Free(plan_.rows.size());
  }
  work.encode = [&](uint32_t item, std::string* out) {
    const ImportPlan::Row& row = plan_.rows[item];
    AppendTransferJson(out, {.id = row.id,
                             .debit_account = plan_.accounts[row.debit],
                             .credit_account = plan_.accounts[row.credit],
                             .amount = row.amount,
                             .asset = options_.asset});
  };
  work.on_final = [&](uint32_t item, const ItemResult& transfer) { CountRow(item, transfer); };
  work.on_failed = [&](uint32_t item, const std::string&) {
    ++result_.failed;
    rejects_.push_back({plan_.rows[item].number, plan_.rows[item].id, "outcome_unknown"});
  };
  work.on_tick = [&](uint64_t retried) {
    result_.retried = retried;
    const uint64_t refused = result_.refused_total();
    progress.Show({.done = result_.accepted + refused + result_.failed - plan_.bad_rows.size(),
                   .refused = refused,
                   .retried = retried});
  };
  BatchSender sender(client_, std::move(work), limits_);
  absl::Status status = sender.Run();
  result_.seconds = progress.seconds();
  return status;
}

std::vector<Import::Reject> Import::rejects() const {
  std::vector<Reject> sorted = rejects_;
  std::sort(sorted.begin(), sorted.end(), [](const Reject& a, const Reject& b) { return a.row < b.row; });
  return sorted;
}

}  // namespace paxledger
