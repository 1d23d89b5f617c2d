#pragma once

#include <array>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/metrics.h"

namespace paxledger {

/// What the HTTPS door counts; finds a counter without looking up its name.
/// Threads: one owner; the counters themselves belong to the registry.
class HttpMetrics {
 public:
  HttpMetrics(Metrics& metrics, size_t thread)
      : connections(metrics.gauge(absl::StrCat("paxledger_http_connections{thread=\"", thread, "\"}"))),
        request_seconds(metrics.latency("paxledger_http_request_seconds")),
        connections_total(metrics.counter("paxledger_http_connections_total")),
        connections_refused(metrics.counter("paxledger_http_connections_refused_total")),
        handshakes_failed(metrics.counter("paxledger_http_handshakes_failed_total")),
        deadlines_passed(metrics.counter("paxledger_http_deadlines_passed_total")),
        metrics_(metrics) {}

  void CountRequest(int status) {
    if (status < 100 || status >= 100 + static_cast<int>(by_status_.size())) return;
    Counter*& counter = by_status_[static_cast<size_t>(status - 100)];
    if (counter == nullptr) {
      counter = &metrics_.counter(absl::StrCat("paxledger_http_requests_total{status=\"", status, "\"}"));
    }
    counter->Add();
  }

  Gauge& connections;
  LatencyHistogram& request_seconds;
  Counter& connections_total;
  Counter& connections_refused;
  Counter& handshakes_failed;
  Counter& deadlines_passed;

 private:
  Metrics& metrics_;
  std::array<Counter*, 500> by_status_{};
};

}  // namespace paxledger
