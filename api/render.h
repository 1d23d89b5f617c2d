#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/message.h"
#include "api/parse.h"
#include "ledger/account.h"
#include "ledger/transfer.h"
#include "txn/ledger_service.h"

namespace paxledger {

/// `,"name":"text"`, or null where there is none.
void AppendTextMember(std::string* out, std::string_view name, std::string_view text);
/// `,"name":"2026-01-31T12:00:00.000000Z"`, or null at 0.
void AppendTimeMember(std::string* out, std::string_view name, int64_t micros);
/// `,"name":"250"`: amounts are strings.
void AppendAmountMember(std::string* out, std::string_view name, Amount amount);

/// `{"id":…}` of api.md, "Shapes".
void AppendAccount(std::string* out, std::string_view id, const Account& account);
/// `{"debits_posted":…,"available":…}`. The balance is on the account's normal side. `available` counts what
/// is in doubt and would lessen it as gone, and what would add to it as not there.
void AppendBalances(std::string* out, const Account& account);

/// How a transaction stands, on the wire: "posted", "refused", "in_doubt", "aborted".
std::string_view StatusName(TransactionState state);

/// Transfer `n` of the transaction as a record with its outcome.
void AppendTransfer(std::string* out, const Transaction& transaction, size_t n,
                    const TransactionResult& result);
/// A transaction with all its transfers, where they are known.
void AppendTransaction(std::string* out, std::string_view id, const Transaction& transaction,
                       const TransactionResult& result);
/// Only how it ended, for a transfer whose body nobody knows.
void AppendOutcomeOf(std::string* out, std::string_view id, std::string_view transaction_id,
                     const TransactionResult& result);

/// The answer to one transfer that was posted. `path`: of the transfer.
HttpResponse RenderPosted(const Transaction& transaction, const TransactionResult& result,
                          std::string_view path);
/// The answer to one account that was opened.
HttpResponse RenderOpened(const OpenAccountRequest& request, const OpenAccountResult& result,
                          std::string_view path);

/// `{"data":[…]}` in the order of the request. Where nothing happened to any item for want of capacity or of
/// a majority, the problem document that says so.
HttpResponse RenderPostedBatch(const std::vector<std::string>& ids,
                               const std::vector<TransactionResult>& results,
                               const std::vector<InvalidItem>& invalid, std::string_view path);
HttpResponse RenderOpenedBatch(const std::vector<std::string>& ids,
                               const std::vector<OpenAccountResult>& results,
                               const std::vector<InvalidItem>& invalid, std::string_view path);

HttpResponse RenderAccountPage(const AccountPage& page, std::string_view next_cursor);

/// A page of `request`'s statement, with the cursor behind it.
HttpResponse RenderStatement(const StatementRequest& request, const StatementPage& page);

HttpResponse RenderEvents(const std::string& ledger, const EventsPage& page);
/// The same as Server-Sent Events, each with the cursor behind it as its id; without an event, a comment and the cursor.
std::string RenderEventStream(const std::string& ledger, const EventsPage& page);

/// `GET /v1/audit/status`.
HttpResponse RenderAuditStatus(const NodeReport& report);
/// `GET /v1/cluster`, `GET /v1/cluster/nodes`, and what a change of the directory answers.
HttpResponse RenderCluster(const ClusterReport& report);
HttpResponse RenderClusterNodes(const ClusterReport& report);
HttpResponse RenderDirectoryResult(const DirectoryResult& result);

}  // namespace paxledger
