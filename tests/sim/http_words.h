#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "api/message.h"
#include "txn/ledger_service.h"

namespace paxledger::sim {

/// The requests of the simulated clients as HTTP, and what its answers say in the words of `LedgerService`. Nothing is taken
/// from the cluster but the answer itself.
/// Errors: kInvalidArgument  the answer is none that api.md allows for a well-formed request
HttpRequest PostTransferRequest(const Transaction& transaction);
absl::StatusOr<TransactionResult> ReadPosted(const HttpResponse& response);

HttpRequest OpenAccountsRequest(const std::vector<OpenAccountRequest>& accounts);
absl::StatusOr<std::vector<OpenAccountResult>> ReadOpened(const HttpResponse& response, size_t count);

HttpRequest GetAccountRequest(const LedgerKey& key);
/// The inner status is that of the read.
absl::StatusOr<absl::StatusOr<AccountRead>> ReadAccountAnswer(const HttpResponse& response);

/// Of a transaction of one transfer.
HttpRequest GetTransferRequest(const LedgerKey& key, const std::string& recovery_token);
absl::StatusOr<absl::StatusOr<TransferRead>> ReadTransferAnswer(const HttpResponse& response,
                                                                const LedgerKey& key);

}  // namespace paxledger::sim
