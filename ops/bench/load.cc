#include "ops/bench/load.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ops/ledgerctl/import.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

constexpr Amount kFunds = 1'000'000'00;  // per account: a million transfers of the mean amount
constexpr uint64_t kAmountMax = 200;
constexpr absl::Duration kPace = absl::Milliseconds(1);
constexpr uint64_t kUnderWayMax = 100'000;

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t WallMillis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

Load::Load(Client& client, LoadOptions options)
    : client_(client),
      options_(std::move(options)),
      random_(options_.seed),
      ids_(options_.ledger, options_.shards, options_.seed ^ static_cast<uint64_t>(WallMillis())) {
  for (uint32_t i = 0; i < options_.accounts; ++i) {
    accounts_.push_back(absl::StrCat(options_.prefix, i));
    shard_of_.push_back(ShardOfAccount(options_.ledger, accounts_.back(), options_.shards).value);
  }
}

absl::Status Load::Prepare() {
  ImportOptions setup;
  setup.asset = options_.asset;
  setup.open_limit = "debits_must_not_exceed_credits";
  setup.funding_account = absl::StrCat(options_.prefix, "world");
  ImportPlan plan;
  for (const std::string& account : accounts_) {
    const uint32_t number = plan.AccountNumber(account);
    plan.fundings.push_back({absl::StrCat("fund-", account), number, kFunds});
  }
  Import import(client_, options_.ledger_path, setup, plan, BatchLimits{.clients = 4, .batch = 1000});
  if (absl::Status status = import.OpenAccounts(); !status.ok()) return status;
  return import.Fund();
}

LoadResult Load::Run() {
  started_us_ = NowMicros();
  measure_us_ = started_us_ + absl::ToInt64Microseconds(options_.warmup);
  end_us_ = measure_us_ + absl::ToInt64Microseconds(options_.duration);
  now_ms_ = WallMillis();
  if (options_.rate > 0) {
    SendDue();
  } else {
    for (size_t loop = 0; loop < options_.connections; ++loop) SendOne(NowMicros(), loop);
  }
  client_.Run();
  result_.seconds = absl::ToDoubleSeconds(options_.duration);
  return std::move(result_);
}

/// Sends all requests that are due by now, and comes back in a millisecond.
void Load::SendDue() {
  const int64_t now_us = NowMicros();
  now_ms_ = WallMillis();
  while (under_way_ < kUnderWayMax) {
    const int64_t due_us =
        started_us_ + static_cast<int64_t>(static_cast<double>(due_) * 1e6 / options_.rate);
    if (due_us > now_us || due_us >= end_us_) break;
    SendOne(due_us, due_ % client_.endpoints());
    ++due_;
  }
  if (now_us < end_us_) {
    client_.After(kPace, [this] { SendDue(); });
  } else if (under_way_ == 0) {
    client_.Stop();
  }
}

void Load::AppendTransfer(std::string* out, Shape* shape) {
  const uint64_t debit = random_.Below(accounts_.size());
  uint64_t credit = random_.Below(accounts_.size() - 1);
  if (credit >= debit) ++credit;
  const bool placed = options_.ids == IdKind::kPlaced;
  const std::string id = placed ? ids_.Make(accounts_[debit], now_ms_) : ids_.Stem(now_ms_);
  uint32_t home = shard_of_[debit];
  if (!placed) home = ShardOfTransaction(options_.ledger, id, options_.shards).value;
  const bool apart = shard_of_[debit] != shard_of_[credit];
  const bool away = home != shard_of_[debit] && home != shard_of_[credit];
  ++shape->transfers;
  if (apart || away) ++shape->crossing;
  if (apart && away) ++shape->three;
  shape->debit = static_cast<uint32_t>(debit);
  shape->credit = static_cast<uint32_t>(credit);
  shape->amount = 1 + random_.Below(kAmountMax);
  AppendTransferJson(out, {.id = id,
                           .debit_account = accounts_[debit],
                           .credit_account = accounts_[credit],
                           .amount = shape->amount,
                           .asset = options_.asset});
}

void Load::SendOne(int64_t due_us, size_t loop) {
  ClientRequest request;
  request.method = HttpMethod::kPost;
  request.prefer = loop;
  Shape shape;
  if (options_.batch == 1) {
    request.target = absl::StrCat(options_.ledger_path, "/transfers");
    AppendTransfer(&request.body, &shape);
  } else {
    request.target = absl::StrCat(options_.ledger_path, "/transfers/batch");
    request.body.reserve(options_.batch * 150);
    request.body.append("{\"transfers\":[");
    for (size_t i = 0; i < options_.batch; ++i) {
      if (i > 0) request.body.push_back(',');
      AppendTransfer(&request.body, &shape);
    }
    request.body.append("]}");
  }
  ++under_way_;
  client_.Send(std::move(request),
               [this, due_us, loop, shape](ClientAnswer answer) { OnAnswer(due_us, loop, shape, answer); });
}

void Load::OnAnswer(int64_t due_us, size_t loop, const Shape& shape, const ClientAnswer& answer) {
  --under_way_;
  result_.transfers_all += shape.transfers;
  const int64_t now_us = NowMicros();
  if (options_.events != nullptr) Note(due_us, now_us, loop, shape, answer);
  if (now_us >= measure_us_ && cpu_before_ < 0) cpu_before_ = CpuSeconds();
  // The closed loop counts what was answered while measured; the open loop what was due, however late its
  // answer.
  const bool open = options_.rate > 0;
  const int64_t counted_us = open ? due_us : now_us;
  if (counted_us >= measure_us_ && counted_us < end_us_) {
    result_.latency_us.Record(static_cast<uint64_t>(now_us - due_us));
    Count(shape, answer);
    result_.cpu_seconds = CpuSeconds() - cpu_before_;
  }
  if (!open && now_us < end_us_) {
    now_ms_ = WallMillis();
    SendOne(now_us, loop);
  } else if (now_us >= end_us_ && under_way_ == 0) {
    client_.Stop();
  }
}

void Load::Note(int64_t due_us, int64_t now_us, size_t loop, const Shape& shape, const ClientAnswer& answer) {
  std::string outcome = "failed";
  if (!answer.failure.ok()) {
    if (absl::IsDeadlineExceeded(answer.failure)) outcome = "unknown";
  } else if (answer.http_status == 201) {
    outcome = "posted";
  } else if (const absl::StatusOr<ItemResult> item = ParseSingleAnswer(answer.http_status, answer.body);
             item.ok()) {
    const bool posted = item->status == ItemStatus::kPosted;
    outcome = posted ? "posted" : absl::StrCat("refused:", item->code);
  }
  options_.events->Write({.sent_us = due_us,
                          .done_us = now_us,
                          .client = loop,
                          .endpoint = answer.endpoint,
                          .attempts = answer.attempts,
                          .debit = shape.debit,
                          .credit = shape.credit,
                          .debit_shard = shard_of_[shape.debit],
                          .credit_shard = shard_of_[shape.credit],
                          .amount = shape.amount,
                          .outcome = outcome});
}

void Load::Count(const Shape& shape, const ClientAnswer& answer) {
  ++result_.requests;
  const auto fail = [&](const absl::Status& why) {
    result_.failed += shape.transfers;
    if (result_.first_failure.empty()) result_.first_failure = std::string(why.message());
  };
  if (!answer.failure.ok()) return fail(answer.failure);
  if (options_.batch == 1) {
    absl::StatusOr<ItemResult> item = answer.http_status == 201
                                          ? ItemResult{.status = ItemStatus::kPosted}
                                          : ParseSingleAnswer(answer.http_status, answer.body);
    if (!item.ok()) return fail(item.status());
    CountItem(*item);
  } else {
    if (answer.http_status != 200) {
      return fail(absl::InternalError(DescribeProblem(answer.http_status, answer.body)));
    }
    const absl::StatusOr<std::vector<ItemResult>> items = ParseBatchAnswer(answer.body, shape.transfers);
    if (!items.ok()) return fail(items.status());
    for (const ItemResult& item : *items) CountItem(item);
  }
  result_.transfers += shape.transfers;
  result_.crossing += shape.crossing;
  result_.three += shape.three;
}

void Load::CountItem(const ItemResult& item) {
  switch (item.status) {
    case ItemStatus::kPosted:
    case ItemStatus::kPending:
      ++result_.accepted;
      return;
    case ItemStatus::kRefused:
    case ItemStatus::kInvalid:
      ++result_.refused[item.code];
      return;
    case ItemStatus::kInDoubt:
    case ItemStatus::kAborted:
    case ItemStatus::kOpened:
    case ItemStatus::kExists:
      ++result_.failed;
      if (result_.first_failure.empty()) result_.first_failure = item.code.empty() ? "in_doubt" : item.code;
      return;
  }
}

}  // namespace paxledger
