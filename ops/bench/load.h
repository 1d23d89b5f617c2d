#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/client.h"
#include "api/client_requests.h"
#include "base/random.h"
#include "ops/bench/event_log.h"
#include "ops/bench/histogram.h"

namespace paxledger {

enum class IdKind : uint8_t { kPlaced, kArbitrary };

struct LoadOptions {
  std::string ledger;
  std::string ledger_path;
  std::string asset = "USD/2";
  std::string prefix = "bench:";  // accounts are prefix + number
  uint32_t accounts = 10'000;
  uint32_t shards = 1;
  IdKind ids = IdKind::kPlaced;
  size_t batch = 1;  // transfers in one request; 1: the single call
  size_t connections = 64;
  double rate = 0;  // requests a second in the open loop; 0: closed loop, one request per connection
  absl::Duration warmup = absl::Seconds(3);
  absl::Duration duration = absl::Seconds(15);
  uint64_t seed = 1;
  EventLog* events = nullptr;  // outlives the load; only where `batch` is 1
};

struct LoadResult {
  Histogram latency_us;  // of requests
  double seconds = 0;    // measured
  uint64_t requests = 0;
  uint64_t accepted = 0;
  std::map<std::string, uint64_t> refused;
  uint64_t failed = 0;
  uint64_t transfers = 0;      // of answered requests
  uint64_t transfers_all = 0;  // with the warm-up and the end
  uint64_t crossing = 0;       // with more than one participant
  uint64_t three = 0;          // with three
  std::string first_failure;
  double cpu_seconds = 0;  // of this process, while measured
};

/// Posts transfers between accounts drawn uniformly. In the closed loop every connection sends its next
/// request when the last is answered; in the open loop requests are due at a fixed rate, and their latency
/// counts from when they were due, so that a stalled server is charged for the requests that it held up. What
/// counts is what was due (open) or sent (closed) between the end of the warm-up and the end of the run.
/// Threads: the client's.
class Load {
 public:
  Load(Client& client, LoadOptions options);

  /// Opens the accounts with limits on and funds each; again: no change.
  /// Errors: as BatchSender::Run, kFailedPrecondition
  [[nodiscard]] absl::Status Prepare();
  LoadResult Run();

 private:
  struct Shape {
    uint32_t transfers = 0;
    uint32_t crossing = 0;
    uint32_t three = 0;
    uint32_t debit = 0;  // of the last transfer
    uint32_t credit = 0;
    uint64_t amount = 0;
  };
  void SendOne(int64_t due_us, size_t loop);
  void SendDue();
  void AppendTransfer(std::string* out, Shape* shape);
  void OnAnswer(int64_t due_us, size_t loop, const Shape& shape, const ClientAnswer& answer);
  void Count(const Shape& shape, const ClientAnswer& answer);
  void CountItem(const ItemResult& item);
  void Note(int64_t due_us, int64_t now_us, size_t loop, const Shape& shape, const ClientAnswer& answer);

  Client& client_;
  const LoadOptions options_;
  Random random_;
  TransferIds ids_;
  std::vector<std::string> accounts_;
  std::vector<uint32_t> shard_of_;
  LoadResult result_;
  int64_t now_ms_ = 0;  // wall clock, for ids
  int64_t started_us_ = 0;
  int64_t measure_us_ = 0;
  int64_t end_us_ = 0;
  double cpu_before_ = -1;
  uint64_t due_ = 0;  // requests sent in the open loop
  uint64_t under_way_ = 0;
};

}  // namespace paxledger
