#include "base/metrics.h"

#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger {
namespace {

template <class Map>
auto& Find(Map& map, std::string_view name) {
  auto it = map.find(name);
  if (it == map.end()) {
    it = map.emplace(std::string(name), std::make_unique<typename Map::mapped_type::element_type>()).first;
  }
  return *it->second;
}

std::string_view Family(std::string_view name) { return name.substr(0, name.find('{')); }

void AppendType(std::string_view name, std::string_view type, std::string_view* last, std::string* out) {
  if (Family(name) == *last) return;
  *last = Family(name);
  absl::StrAppend(out, "# TYPE ", ToAbsl(*last), " ", ToAbsl(type), "\n");
}

}  // namespace

void LatencyHistogram::Record(int64_t micros) {
  int i = 0;
  while (i < kBuckets - 1 && micros > BoundMicros(i)) ++i;
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(static_cast<uint64_t>(micros < 0 ? 0 : micros), std::memory_order_relaxed);
}

Counter& Metrics::counter(std::string_view name) {
  std::lock_guard lock(mutex_);
  return Find(counters_, name);
}
Gauge& Metrics::gauge(std::string_view name) {
  std::lock_guard lock(mutex_);
  return Find(gauges_, name);
}
LatencyHistogram& Metrics::latency(std::string_view name) {
  std::lock_guard lock(mutex_);
  return Find(latencies_, name);
}

std::string Metrics::Render() const {
  std::lock_guard lock(mutex_);
  std::string out;
  std::string_view last;
  for (const auto& [name, counter] : counters_) {
    AppendType(name, "counter", &last, &out);
    absl::StrAppend(&out, name, " ", counter->value(), "\n");
  }
  for (const auto& [name, gauge] : gauges_) {
    AppendType(name, "gauge", &last, &out);
    absl::StrAppend(&out, name, " ", gauge->value(), "\n");
  }
  for (const auto& [name, histogram] : latencies_) {
    AppendType(name, "histogram", &last, &out);
    uint64_t below = 0;
    for (int i = 0; i < LatencyHistogram::kBuckets - 1; ++i) {
      below += histogram->bucket(i);
      absl::StrAppend(&out, name, "_bucket{le=\"",
                      static_cast<double>(LatencyHistogram::BoundMicros(i)) / 1e6, "\"} ", below, "\n");
    }
    // Read last: counts grow while we render, and +Inf may not be less than the buckets before it.
    uint64_t all = histogram->count();
    absl::StrAppend(&out, name, "_bucket{le=\"+Inf\"} ", all < below ? below : all, "\n");
    absl::StrAppend(&out, name, "_sum ", static_cast<double>(histogram->sum_micros()) / 1e6, "\n");
    absl::StrAppend(&out, name, "_count ", all < below ? below : all, "\n");
  }
  return out;
}

}  // namespace paxledger
