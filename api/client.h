#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace paxledger {

struct ClientOptions {
  std::vector<std::string> endpoints;  // "https://127.0.0.1:7101"; one per data centre, at least one
  std::string ca_file;                 // PEM; who may sign the servers' certificates
  std::string api_key;                 // sent as `Authorization: Bearer`; empty: none
  size_t connections_per_endpoint_max = 64;
  absl::Duration connect_timeout = absl::Seconds(2);  // with the TLS handshake
  absl::Duration answer_grace =
      absl::Seconds(1);             // an answer is given up this long after the server's own deadline
  double retries_burst = 500;       // the retry budget: how many at once...
  double retries_per_second = 50;   // ...how fast they come back...
  double retries_per_answer = 0.1;  // ...and what every answer adds
};

enum class HttpMethod : uint8_t { kGet, kPost, kPut };

/// Whether a request may be sent again when its first sending may have had an effect. Everything that carries
/// its own id may (api.md, idempotency), and so may reads.
enum class Repeat : uint8_t { kSafe, kNever };

struct ClientRequest {
  HttpMethod method = HttpMethod::kGet;
  std::string target{};  // path and query
  std::string body{};    // JSON
  Repeat repeat = Repeat::kSafe;
  absl::Duration timeout = absl::Seconds(30);  // for all attempts together
  absl::Duration server_deadline =
      absl::Seconds(5);            // of one attempt, told to the server (`Request-Timeout-Ms`)
  std::optional<size_t> prefer{};  // the endpoint to try first; nullopt: they take turns
  std::optional<size_t>
      only{};  // this endpoint and no other, one attempt: for what is asked of a data centre
};

struct ClientAnswer {
  /// Not OK: no final HTTP answer within the timeout.
  ///   kUnavailable       no server was reached, or each said that nothing happened
  ///   kDeadlineExceeded  outcome UNKNOWN: some attempt may have had an effect; ask again with the same id
  absl::Status failure;
  int http_status = 0;
  std::string body;
  bool replayed = false;  // the id had its outcome before (`Idempotent-Replayed`)
  uint32_t attempts = 0;
  size_t endpoint = 0;  // which one answered last
};

struct ClientCounters {
  uint64_t answers = 0;
  uint64_t retries = 0;      // attempts after a request that may have been seen
  uint64_t failovers = 0;    // attempts moved to another endpoint
  uint64_t connections = 0;  // opened
};

/// A client of the cluster's HTTPS door: keep-alive connections to every data centre, deadlines, retries
/// within a budget and failover. A refused connection moves a request to the next data centre at once, a lost
/// or late answer and a 503 or 429 that says `retryable` do after a pause; of a 202 the Location is read
/// (which drives recovery, transactions.md rule 18) and the request then sent again under its id. An empty
/// budget delays retries, so that a cluster in trouble is not hit harder.
/// Owns:    its sockets and its event loop.
/// Threads: one. `Send` only notes the request; all happens, callbacks too, inside `Run` and `Call`.
class Client {
 public:
  /// Errors: kInvalidArgument  an endpoint is no https URL, or the CA file cannot be read
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Client>> Create(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// `done` is called once, unless the client is destroyed before. It may send more and may call `Stop`.
  void Send(ClientRequest request, absl::AnyInvocable<void(ClientAnswer)> done);
  /// Sends and runs the loop until the answer is there. Not from inside a callback.
  ClientAnswer Call(ClientRequest request);
  /// `then` is called once, about `delay` from now (a millisecond or so late).
  void After(absl::Duration delay, absl::AnyInvocable<void()> then);
  /// Runs the loop until `Stop`.
  void Run();
  void Stop();

  size_t endpoints() const;
  const std::string& endpoint(size_t i) const;
  const ClientCounters& counters() const;

 private:
  class Pool;
  explicit Client(std::unique_ptr<Pool> pool);
  std::unique_ptr<Pool> pool_;
};

}  // namespace paxledger
