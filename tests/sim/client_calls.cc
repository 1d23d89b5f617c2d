#include "tests/sim/client_calls.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tests/sim/http_words.h"

namespace paxledger::sim {

Task<absl::StatusOr<HttpResponse>> ClientCalls::Ask(uint32_t machine, HttpRequest request) {
  ++http_requests_;
  request.request_timeout_ms = absl::StrCat(plan_.client_timeout_us / 1000);
  Door::Send<HttpResponse> send = [sent = std::move(request)](SimCluster::Gate gate, Deadline, auto done) {
    gate.api.Serve(sent, std::move(done));
  };
  absl::StatusOr<HttpResponse> response = co_await door_.Call(machine, std::move(send));
  co_return response;
}

Task<absl::StatusOr<TransactionResult>> ClientCalls::Execute(uint32_t machine, Transaction transaction) {
  if (transaction.transfers.size() == 1 && DrawsHttp()) {
    absl::StatusOr<HttpResponse> response = co_await Ask(machine, PostTransferRequest(transaction));
    if (!response.ok()) co_return response.status();
    co_return Understood(ReadPosted(*response));
  }
  Door::Send<std::vector<TransactionResult>> send = [transaction](SimCluster::Gate gate, Deadline deadline,
                                                                  auto done) {
    gate.node.Execute({transaction}, LogTime{}, deadline, std::move(done));
  };
  absl::StatusOr<std::vector<TransactionResult>> results = co_await door_.Call(machine, std::move(send));
  if (!results.ok()) co_return results.status();
  Check(results->size() == 1, "one result for each transaction");
  co_return results->front();
}

Task<absl::StatusOr<std::vector<OpenAccountResult>>> ClientCalls::OpenAccounts(
    uint32_t machine, std::vector<OpenAccountRequest> accounts) {
  if (DrawsHttp()) {
    absl::StatusOr<HttpResponse> response = co_await Ask(machine, OpenAccountsRequest(accounts));
    if (!response.ok()) co_return response.status();
    co_return Understood(ReadOpened(*response, accounts.size()));
  }
  Door::Send<std::vector<OpenAccountResult>> send = [accounts](SimCluster::Gate gate, Deadline deadline,
                                                               auto done) {
    gate.node.OpenAccounts(accounts, deadline, std::move(done));
  };
  absl::StatusOr<std::vector<OpenAccountResult>> results = co_await door_.Call(machine, std::move(send));
  co_return results;
}

Task<absl::StatusOr<absl::StatusOr<AccountRead>>> ClientCalls::ReadAccount(uint32_t machine, LedgerKey key) {
  if (DrawsHttp()) {
    absl::StatusOr<HttpResponse> response = co_await Ask(machine, GetAccountRequest(key));
    if (!response.ok()) co_return response.status();
    co_return Understood(ReadAccountAnswer(*response));
  }
  Door::Send<absl::StatusOr<AccountRead>> send = [key](SimCluster::Gate gate, Deadline deadline, auto done) {
    gate.node.ReadAccount(key, ReadMode::kStrong, LogTime{}, deadline, std::move(done));
  };
  absl::StatusOr<absl::StatusOr<AccountRead>> read = co_await door_.Call(machine, std::move(send));
  co_return read;
}

Task<absl::StatusOr<absl::StatusOr<TransferRead>>> ClientCalls::ReadTransaction(uint32_t machine,
                                                                                Transaction expected,
                                                                                std::string recovery_token) {
  LedgerKey key{expected.ledger, expected.id};
  if (expected.transfers.size() == 1 && DrawsHttp()) {
    absl::StatusOr<HttpResponse> response = co_await Ask(machine, GetTransferRequest(key, recovery_token));
    if (!response.ok()) co_return response.status();
    absl::StatusOr<absl::StatusOr<TransferRead>> read = Understood(ReadTransferAnswer(*response, key));
    // The answer names the accounts' asset where the client named none.
    bool found = read.ok() && read->ok() && !(*read)->transaction.transfers.empty();
    if (found && expected.transfers[0].asset.empty()) (*read)->transaction.transfers[0].asset.clear();
    co_return read;
  }
  Door::Send<absl::StatusOr<TransferRead>> send = [key, recovery_token](SimCluster::Gate gate,
                                                                        Deadline deadline, auto done) {
    gate.node.ReadTransaction(key, recovery_token, deadline, std::move(done));
  };
  absl::StatusOr<absl::StatusOr<TransferRead>> read = co_await door_.Call(machine, std::move(send));
  co_return read;
}

Task<absl::StatusOr<absl::StatusOr<AccountPage>>> ClientCalls::ListAccounts(uint32_t machine,
                                                                            std::string ledger) {
  Door::Send<absl::StatusOr<AccountPage>> send = [ledger](SimCluster::Gate gate, Deadline deadline,
                                                          auto done) {
    gate.node.ListAccounts(ledger, "", "", 1, ReadMode::kStrong, deadline, std::move(done));
  };
  absl::StatusOr<absl::StatusOr<AccountPage>> page = co_await door_.Call(machine, std::move(send));
  co_return page;
}

}  // namespace paxledger::sim
