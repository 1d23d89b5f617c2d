#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "api/client.h"
#include "api/client_requests.h"
#include "ops/ledgerctl/row_order.h"

namespace paxledger {

/// A list of items on its way to the cluster.
struct BatchWork {
  std::string single_path;  // "/v1/ledgers/main/transfers"; a batch goes to this and "/batch"
  std::string_view array;   // the name of the list in a batch
  size_t items = 0;
  RowOrder order;
  /// Appends the JSON of an item. The same item always gives the same bytes: its id makes a second sending
  /// harmless.
  absl::AnyInvocable<void(uint32_t item, std::string* out)> encode;
  /// Called once for each item that came to a final outcome.
  absl::AnyInvocable<void(uint32_t item, const ItemResult& result)> on_final;
  /// Called once for each item that has none after `give_up`.
  absl::AnyInvocable<void(uint32_t item, const std::string& why)> on_failed;
  /// Called now and then, for a progress bar.
  absl::AnyInvocable<void(uint64_t retried)> on_tick;
};

struct BatchLimits {
  size_t clients = 4;   // requests under way at once
  size_t batch = 1000;  // items in one; 1: each alone, without the batch call
  absl::Duration give_up = absl::Seconds(120);
};

/// Sends the items of a list, as many at once as order and limits allow. An item in doubt, aborted, or of a
/// batch without an answer is sent again under the same id until it has an outcome or its time is up.
/// Threads: the client's.
class BatchSender {
 public:
  BatchSender(Client& client, BatchWork work, BatchLimits limits);

  /// Errors: kPermissionDenied, kInvalidArgument, kInternal  the cluster will not take this list; what was
  /// sent before stands
  ///         kUnavailable  no data centre was reached from the beginning
  [[nodiscard]] absl::Status Run();

 private:
  struct Waiting {
    int64_t due_us = 0;
    uint32_t item = 0;
  };
  void Fill();
  void SendItems(std::vector<uint32_t> items);
  void OnAnswer(std::vector<uint32_t> items, ClientAnswer answer);
  absl::StatusOr<std::vector<ItemResult>> Read(size_t count, const ClientAnswer& answer) const;
  void OnResult(uint32_t item, const ItemResult& result);
  void TryAgain(uint32_t item, std::string why);
  void Settle(uint32_t item);
  void Stop(absl::Status status);
  void ArmTick();

  Client& client_;
  BatchWork work_;
  const BatchLimits limits_;
  std::vector<int64_t> first_sent_us_;  // per item; 0: not yet
  std::vector<uint8_t> tries_;
  std::vector<Waiting> again_;  // items to be sent again
  size_t under_way_ = 0;        // requests
  size_t settled_ = 0;
  uint64_t retried_ = 0;
  bool reached_ = false;
  bool stopped_ = false;
  absl::Status status_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // timers of the client outlive a run
};

}  // namespace paxledger
