#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/auth.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "txn/ledger_service.h"

namespace paxledger {

struct ApiServerOptions {
  std::string address = "127.0.0.1";
  uint16_t port = 0;             // 0: any free one
  std::string certificate_path;  // PEM, the chain
  std::string key_path;          // PEM
  std::string data_centre;       // shown on the front page
  std::vector<ApiKey> keys;
  size_t threads = 1;
  size_t connections_max = limits::kConnectionsMax;
  size_t requests_in_flight_max = limits::kRequestsInFlightMax;
  size_t body_bytes_in_flight_max = limits::kBodyBytesInFlightMax;
  absl::Duration handshake_deadline = absl::Seconds(10);
  absl::Duration header_deadline = absl::Seconds(10);  // from the first byte of a request
  absl::Duration body_deadline = absl::Seconds(10);    // and longer by what came at 64 KiB a second
  absl::Duration idle_deadline = absl::Seconds(60);
  absl::Duration write_deadline = absl::Seconds(30);
};

/// The HTTPS door (api.md): TLS, HTTP/1.1, JSON and the keys of clients on threads of its own;
/// `LedgerService` answers.
/// Owns:    its threads and connections. Borrows service, clock and metrics, which must outlive it; the
///          service may answer after `Stop`, and nobody hears it.
/// Threads: one caller, never one of its own threads.
class ApiServer {
 public:
  ApiServer(ApiServerOptions options, LedgerService& service, Clock& clock, Metrics& metrics);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  /// Reads certificate and keys, and takes the port. Nothing is answered before `Start`.
  /// Errors: kInvalidArgument  the certificate, its key, the address or an API key in the options cannot be
  /// used
  ///         kAlreadyExists    the port is taken
  ///         kUnavailable      another failure of the machine
  [[nodiscard]] absl::Status Listen();
  /// After Listen.
  uint16_t port() const;
  void Start();
  /// Accepts nobody new, says "not ready", closes idle connections and waits until the requests in flight are
  /// answered.
  /// Errors: kDeadlineExceeded  some were still open after `timeout`; `Stop` cuts them off
  [[nodiscard]] absl::Status Drain(absl::Duration timeout);
  /// Closes what is open and joins the threads. Does nothing the second time.
  void Stop();

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace paxledger
