#include "ops/ledgerctl/batch_sender.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace paxledger {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(20);
constexpr int64_t kAgainUsMin = 20'000;
constexpr int64_t kAgainUsMax = 2'000'000;

int64_t NowMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

BatchSender::BatchSender(Client& client, BatchWork work, BatchLimits limits)
    : client_(client),
      work_(std::move(work)),
      limits_(limits),
      first_sent_us_(work_.items, 0),
      tries_(work_.items, 0) {}

absl::Status BatchSender::Run() {
  if (work_.items == 0) return absl::OkStatus();
  ArmTick();
  Fill();
  while (!stopped_) client_.Run();
  *alive_ = false;
  return status_;
}

void BatchSender::ArmTick() {
  client_.After(kTick, [this, alive = alive_] {
    if (!*alive || stopped_) return;
    work_.on_tick(retried_);
    Fill();
    ArmTick();
  });
}

void BatchSender::Fill() {
  const int64_t now_us = NowMicros();
  while (!stopped_ && under_way_ < limits_.clients) {
    std::vector<uint32_t> items;
    for (size_t i = 0; i < again_.size() && items.size() < limits_.batch;) {
      if (again_[i].due_us > now_us) {
        ++i;
        continue;
      }
      items.push_back(again_[i].item);
      again_[i] = again_.back();
      again_.pop_back();
    }
    work_.order.Take(limits_.batch - items.size(), &items);
    if (items.empty()) return;
    for (const uint32_t item : items) {
      if (first_sent_us_[item] == 0) first_sent_us_[item] = now_us;
    }
    SendItems(std::move(items));
  }
}

void BatchSender::SendItems(std::vector<uint32_t> items) {
  ClientRequest request;
  request.method = HttpMethod::kPost;
  request.timeout = limits_.give_up;
  request.target = work_.single_path;
  if (limits_.batch == 1) {
    work_.encode(items.front(), &request.body);
  } else {
    absl::StrAppend(&request.target, "/batch");
    request.body.reserve(items.size() * 160);
    absl::StrAppend(&request.body, "{\"", absl::string_view(work_.array.data(), work_.array.size()), "\":[");
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) request.body.push_back(',');
      work_.encode(items[i], &request.body);
    }
    request.body.append("]}");
  }
  ++under_way_;
  client_.Send(std::move(request),
               [this, alive = alive_, sent = std::move(items)](ClientAnswer answer) mutable {
                 if (*alive) OnAnswer(std::move(sent), std::move(answer));
               });
}

absl::StatusOr<std::vector<ItemResult>> BatchSender::Read(size_t count, const ClientAnswer& answer) const {
  if (limits_.batch > 1) {
    if (answer.http_status == 200) return ParseBatchAnswer(answer.body, count);
    const std::string problem = DescribeProblem(answer.http_status, answer.body);
    if (answer.http_status == 401 || answer.http_status == 403) return absl::PermissionDeniedError(problem);
    if (answer.http_status >= 400 && answer.http_status < 500) return absl::InvalidArgumentError(problem);
    return absl::InternalError(problem);
  }
  absl::StatusOr<ItemResult> single = ParseSingleAnswer(answer.http_status, answer.body);
  if (!single.ok()) return single.status();
  if (single->code == "ledger_not_found") {
    return absl::InvalidArgumentError(DescribeProblem(answer.http_status, answer.body));
  }
  single->replayed = answer.replayed;
  return std::vector<ItemResult>{*std::move(single)};
}

void BatchSender::OnAnswer(std::vector<uint32_t> items, ClientAnswer answer) {
  --under_way_;
  if (!answer.failure.ok()) {
    if (!reached_ && absl::IsUnavailable(answer.failure)) return Stop(answer.failure);
    for (const uint32_t item : items) TryAgain(item, std::string(answer.failure.message()));
    return Fill();
  }
  reached_ = true;
  absl::StatusOr<std::vector<ItemResult>> results = Read(items.size(), answer);
  if (!results.ok()) {
    if (!absl::IsInternal(results.status())) return Stop(results.status());
    for (const uint32_t item : items) TryAgain(item, std::string(results.status().message()));
    return Fill();
  }
  for (size_t i = 0; i < items.size(); ++i) OnResult(items[i], (*results)[i]);
  if (!stopped_) Fill();
}

void BatchSender::OnResult(uint32_t item, const ItemResult& result) {
  switch (result.status) {
    case ItemStatus::kInDoubt:
      return TryAgain(item, "in_doubt");
    case ItemStatus::kAborted:
      return TryAgain(item, result.code.empty() ? "aborted" : result.code);
    case ItemStatus::kPosted:
    case ItemStatus::kPending:
    case ItemStatus::kRefused:
    case ItemStatus::kInvalid:
    case ItemStatus::kOpened:
    case ItemStatus::kExists:
      work_.on_final(item, result);
      return Settle(item);
  }
}

void BatchSender::TryAgain(uint32_t item, std::string why) {
  const int64_t now_us = NowMicros();
  if (now_us - first_sent_us_[item] >= absl::ToInt64Microseconds(limits_.give_up)) {
    work_.on_failed(item, why);
    return Settle(item);
  }
  const int64_t pause_us = std::min(kAgainUsMin << std::min<int>(tries_[item], 8), kAgainUsMax);
  if (tries_[item] < UINT8_MAX) ++tries_[item];
  ++retried_;
  again_.push_back({now_us + pause_us, item});
}

void BatchSender::Settle(uint32_t item) {
  work_.order.Done(item);
  if (++settled_ == work_.items) Stop(absl::OkStatus());
}

void BatchSender::Stop(absl::Status status) {
  status_ = std::move(status);
  stopped_ = true;
  work_.on_tick(retried_);
  client_.Stop();
}

}  // namespace paxledger
