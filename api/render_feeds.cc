#include "api/cursors.h"
#include "api/fields.h"
#include "api/json.h"
#include "api/render.h"

namespace paxledger {

namespace {

void AppendLine(std::string* out, const StatementLine& line, Side normal_side) {
  const LedgerLine& posting = line.line;
  out->append("{\"transfer_id\":");
  AppendJsonString(out, line.transfer_id);
  AppendTextMember(out, "transaction_id", posting.key.transaction);
  out->append(posting.side == Side::kDebit ? ",\"side\":\"debit\"" : ",\"side\":\"credit\"");
  AppendAmountMember(out, "amount", posting.amount);
  AppendTextMember(out, "counterpart", line.counterpart);
  AppendTimeMember(out, "committed_at", posting.key.committed_at.value);
  AppendTimeMember(out, "effective_at", line.effective_at_us);
  AppendTextMember(out, "code", line.code);
  AppendTextMember(out, "reference", line.reference);
  AppendAmountMember(out, "debits_posted", posting.debits_after);
  AppendAmountMember(out, "credits_posted", posting.credits_after);
  const bool credit_side = normal_side == Side::kCredit;
  SignedAmount balance(credit_side ? posting.credits_after : posting.debits_after);
  balance -= credit_side ? posting.debits_after : posting.credits_after;
  out->append(",\"balance\":\"");
  balance.AppendTo(out);
  out->append("\"}");
}

}  // namespace

HttpResponse RenderStatement(const StatementRequest& request, const StatementPage& page) {
  HttpResponse response;
  std::string& out = response.body;
  out.reserve(256 + 400 * page.lines.size());
  out.append("{\"account\":");
  AppendJsonString(&out, request.account.id);
  AppendTextMember(&out, "asset", page.spec.asset);
  AppendTimeMember(&out, "closed_until", page.closed_until.value);
  out.append(",\"data\":[");
  for (size_t i = 0; i < page.lines.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendLine(&out, page.lines[i], page.spec.normal_side);
  }
  out.append("],\"has_more\":").append(page.has_more ? "true" : "false");
  std::string next;
  if (page.has_more) {
    next = EncodeStatementCursor(
        {request.account, request.from, request.until, request.order, page.lines.back().line.key});
  }
  AppendTextMember(&out, "next_cursor", next);
  out.push_back('}');
  return response;
}

void AppendEvent(std::string* out, const CommittedEvent& event) {
  out->append("{\"id\":\"");
  AppendUint64(out, event.shard.value);
  out->push_back('-');
  AppendUint64(out, event.at.batch.value);
  out->push_back('-');
  AppendUint64(out, event.at.item);
  out->append("\",\"type\":\"transaction.committed\",\"shard\":");
  AppendUint64(out, event.shard.value);
  AppendTimeMember(out, "committed_at", event.committed_at.value);
  out->append(",\"transaction\":");
  TransactionResult result;
  result.state = TransactionState::kCommitted;
  result.committed_at = event.committed_at;
  result.shards = event.participants;
  AppendTransaction(out, event.transaction.id, event.transaction, result);
  out->push_back('}');
}

HttpResponse RenderEvents(const std::string& ledger, const EventsPage& page) {
  HttpResponse response;
  std::string& out = response.body;
  out.append("{\"data\":[");
  for (size_t i = 0; i < page.events.size(); ++i) {
    if (i > 0) out.push_back(',');
    AppendEvent(&out, page.events[i]);
  }
  out.append("],\"has_more\":").append(page.has_more ? "true" : "false");
  AppendTextMember(&out, "next_cursor", EncodeEventsCursor({ledger, page.next}));
  out.push_back('}');
  return response;
}

std::string RenderEventStream(const std::string& ledger, const EventsPage& page) {
  std::string out;
  if (page.events.empty()) {
    // Its place moves on all the same, past the events of other ledgers.
    out.append(": still here\nid: ").append(EncodeEventsCursor({ledger, page.next})).append("\n\n");
    return out;
  }
  EventsCursor cursor{ledger, page.from};
  for (const CommittedEvent& event : page.events) {
    // Behind this event: who saw it last goes on there.
    cursor.positions[event.shard.value] = {event.at.batch, event.at.item + 1};
    out.append("id: ").append(EncodeEventsCursor(cursor));
    out.append("\nevent: transaction.committed\ndata: ");
    AppendEvent(&out, event);
    out.append("\n\n");
  }
  return out;
}

}  // namespace paxledger
