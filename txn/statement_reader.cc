#include "txn/statement_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "txn/body_reader.h"
#include "txn/placement.h"

namespace paxledger {
namespace {

// Between two turns of the strand: some 100 microseconds of work.
constexpr size_t kLinesPerTurn = 256;
constexpr size_t kEntriesPerTurn = 8;

absl::Status MovedAway() { return absl::UnavailableError("the shard moved to another node meanwhile"); }
absl::Status TooLate() { return absl::DeadlineExceededError("the statement could not be read in time"); }

}  // namespace

Task<absl::StatusOr<StatementPage>> StatementReader::Read(StatementRequest request, ReadMode mode,
                                                          LogTime after, Deadline deadline) {
  ShardId shard = ShardOfAccount(request.account.ledger, request.account.id, node_.shards());
  if (!node_.Hosts(shard)) {
    absl::StatusOr<StatementPage> page =
        co_await ReadElsewhere(shard, StatementQuestion{std::move(request), mode, after}, deadline);
    co_return page;
  }
  ShardMachine& machine = node_.machine(shard);
  if (mode == ReadMode::kLocal && machine.clock() >= after) {
    LogTime closed = machine.ClosedUntil(request.account);
    int64_t staleness_us = std::max<int64_t>(node_.wall_us() - closed.value, 0);
    absl::StatusOr<StatementPage> page = co_await ReadHere(shard, std::move(request), closed, deadline);
    if (page.ok()) page->staleness_us = staleness_us;
    co_return page;
  }
  absl::StatusOr<LogTime> closed = co_await reader_.CloseAccount(request.account, after, deadline);
  if (!closed.ok()) co_return closed.status();
  absl::StatusOr<StatementPage> page = co_await ReadHere(shard, std::move(request), *closed, deadline);
  co_return page;
}

Task<absl::StatusOr<StatementPage>> StatementReader::ReadElsewhere(ShardId shard, StatementQuestion question,
                                                                   Deadline deadline) {
  absl::StatusOr<AnswerBody> answer = co_await node_.remote().Ask(shard, std::move(question), deadline);
  if (!answer.ok()) co_return answer.status();
  co_return std::get<StatementPage>(*std::move(answer));
}

Task<absl::StatusOr<StatementPage>> StatementReader::ReadHere(ShardId shard, StatementRequest request,
                                                              LogTime closed, Deadline deadline) {
  if (!node_.Hosts(shard)) co_return MovedAway();
  const LedgerKey key = request.account;
  const Account* account = node_.machine(shard).FindAccount(key);
  if (account == nullptr) co_return absl::NotFoundError("no such account");
  StatementPage page;
  page.spec = account->spec;
  page.closed_until = closed;
  StatementRange range{request.from, std::min(request.until, closed), request.order, std::move(request.after),
                       request.limit};
  std::optional<StatementScan> scan = node_.machine(shard).ScanStatement(key, std::move(range));
  if (!scan.has_value()) co_return absl::NotFoundError("no such account");
  while (true) {
    if (!node_.Hosts(shard)) co_return MovedAway();
    absl::StatusOr<StatementScan::Progress> progress =
        node_.machine(shard).StepStatement(*scan, kLinesPerTurn);
    if (!progress.ok()) co_return progress.status();
    if (*progress == StatementScan::Progress::kDone) break;
    if (deadline.Passed(node_.now_us())) co_return TooLate();
    co_await LetOthersRun(*node_.ports().executor);
  }
  page.has_more = scan->has_more();
  absl::Status bodies = co_await ReadBodies(shard, &key, scan->TakeLines(), &page, deadline);
  if (!bodies.ok()) co_return bodies;
  co_return page;
}

Task<absl::Status> StatementReader::ReadBodies(ShardId shard, const LedgerKey* account,
                                               std::vector<LedgerLine> lines, StatementPage* page,
                                               Deadline deadline) {
  BodyReader bodies(node_, shard);
  size_t entries = 0;
  page->lines.reserve(lines.size());
  for (LedgerLine& line : lines) {
    absl::StatusOr<const TransactionView*> body = bodies.Read(line.body_at, line.command);
    if (absl::IsUnavailable(body.status()) || absl::IsDataLoss(body.status())) {
      absl::Status fetched = co_await bodies.Fetch(line.body_at, deadline);
      if (!fetched.ok()) co_return fetched;
      body = bodies.Read(line.body_at, line.command);
    }
    if (!body.ok()) co_return body.status();
    const TransactionView& transaction = **body;
    bool same = transaction.ledger == account->ledger && transaction.id == line.key.transaction &&
                line.key.transfer < transaction.transfers.size();
    if (!same) co_return absl::DataLossError("a line names a transfer that its body does not hold");
    const TransferView& transfer = transaction.transfers[line.key.transfer];
    StatementLine& out = page->lines.emplace_back();
    out.transfer_id = transfer.id.empty()
                          ? DerivedTransferId(transaction.id, line.key.transfer, transaction.transfers.size())
                          : std::string(transfer.id);
    out.counterpart =
        std::string(line.side == Side::kDebit ? transfer.credit_account : transfer.debit_account);
    out.effective_at_us = transfer.effective_at_us;
    out.code = std::string(transfer.code);
    out.reference = std::string(transfer.reference);
    out.line = std::move(line);
    if (bodies.entries_read() < entries + kEntriesPerTurn) continue;
    entries = bodies.entries_read();
    if (deadline.Passed(node_.now_us())) co_return TooLate();
    co_await LetOthersRun(*node_.ports().executor);
  }
  co_return absl::OkStatus();
}

}  // namespace paxledger
