#include "txn/node_messages.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "ledger/encoding.h"
#include "txn/command_view.h"
#include "txn/node.pb.h"

namespace paxledger {
namespace {

namespace wire = txn_wire;

constexpr uint32_t kVersion = 1;
constexpr size_t kReasonBytesMax = 256;
constexpr size_t kTokenBytesMax = 8 << 10;

// --- values in the canonical encoding -------------------------------------------------------------------------------

void WriteKey(ByteWriter& out, const LedgerKey& key) {
  out.Bytes(key.ledger);
  out.Bytes(key.id);
}
LedgerKey ReadKey(ByteReader& in) {
  LedgerKey key;
  key.ledger = std::string(ReadId(in));
  key.id = std::string(ReadId(in));
  return key;
}

void WriteTry(ByteWriter& out, const Try& of) {
  WriteKey(out, of.key);
  out.Raw(of.digest.view());
  out.Varint(of.attempt);
}
Try ReadTry(ByteReader& in) {
  Try of;
  of.key = ReadKey(in);
  of.digest = Digest::FromRaw(in.Raw(sizeof(Digest::bytes)));
  of.attempt = ReadAttempt(in);
  return of;
}

void WriteBlocker(ByteWriter& out, const Blocker& blocker) {
  WriteTry(out, blocker.of);
  WriteParticipants(out, blocker.participants);
  out.Varint(static_cast<uint64_t>(std::max<int64_t>(blocker.deadline_us, 0)));
}
Blocker ReadBlocker(ByteReader& in) {
  Blocker blocker;
  blocker.of = ReadTry(in);
  ReadParticipants(in, &blocker.participants);
  blocker.deadline_us = ReadTime(in);
  return blocker;
}

Transaction ReadBody(ByteReader& in) {
  TransactionView view;
  ReadTransaction(in, &view);
  return in.ok() ? view.Own() : Transaction{};
}

void WriteLineKey(ByteWriter& out, const LineKey& key) {
  out.Varint(static_cast<uint64_t>(key.committed_at.value));
  out.Bytes(key.transaction);
  out.Varint(key.transfer);
}
LineKey ReadLineKey(ByteReader& in) {
  LineKey key;
  key.committed_at = LogTime{ReadTime(in)};
  key.transaction = std::string(ReadId(in));
  uint64_t transfer = in.Varint();
  if (transfer >= limits::kTransfersPerTransactionMax) in.Fail();
  key.transfer = static_cast<uint32_t>(transfer);
  return key;
}

void WriteLine(ByteWriter& out, const StatementLine& line) {
  WriteLineKey(out, line.line.key);
  out.U8(static_cast<uint8_t>(line.line.side));
  WriteAmount(out, line.line.amount);
  WriteAmount(out, line.line.debits_after);
  WriteAmount(out, line.line.credits_after);
  out.Bytes(line.transfer_id);
  out.Bytes(line.counterpart);
  out.I64(line.effective_at_us);
  out.Bytes(line.code);
  out.Bytes(line.reference);
}
StatementLine ReadLine(ByteReader& in) {
  StatementLine line;
  line.line.key = ReadLineKey(in);
  uint8_t side = in.U8();
  if (side > static_cast<uint8_t>(Side::kCredit)) in.Fail();
  line.line.side = static_cast<Side>(side);
  line.line.amount = ReadAmount(in);
  line.line.debits_after = ReadAmount(in);
  line.line.credits_after = ReadAmount(in);
  line.transfer_id = std::string(in.Bytes());
  line.counterpart = std::string(ReadId(in));
  line.effective_at_us = in.I64();
  line.code = std::string(in.Bytes());
  line.reference = std::string(in.Bytes());
  return line;
}

template <class Value>
std::string Encoded(void (*write)(ByteWriter&, const Value&), const Value& value) {
  std::string bytes;
  ByteWriter out(&bytes);
  write(out, value);
  return bytes;
}

/// False: `bytes` are not one value.
template <class Value>
bool Decoded(const std::string& bytes, Value (*read)(ByteReader&), Value* value) {
  ByteReader in(bytes);
  *value = read(in);
  return in.AtEnd();
}

template <class Enum>
bool ReadEnum(uint32_t number, Enum last, Enum* to) {
  if (number > static_cast<uint32_t>(last)) return false;
  *to = static_cast<Enum>(number);
  return true;
}

bool ReadShard(uint32_t number, ShardId* shard) {
  shard->value = number;
  return number < limits::kShardsMax;
}

bool ReadLogTime(int64_t us, LogTime* at) {
  at->value = us;
  return us >= 0 && us <= kLogTimeMaxUs;
}

bool IsPartOfId(const std::string& text) {
  return text.size() <= limits::kIdBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > ' '; });
}

bool ReadOutcome(uint32_t number, Outcome* outcome) {
  if (number > UINT8_MAX) return false;
  std::optional<Outcome> known = OutcomeFromNumber(static_cast<uint8_t>(number));
  *outcome = known.value_or(Outcome::kCommitted);
  return known.has_value();
}

template <class List>
bool ReadShards(const List& numbers, std::vector<ShardId>* shards) {
  if (static_cast<size_t>(numbers.size()) > limits::kShardsMax) return false;
  for (uint32_t number : numbers) {
    if (!ReadShard(number, &shards->emplace_back())) return false;
  }
  return true;
}

absl::StatusCode CodeOf(uint32_t number) {
  bool known = number > 0 && number <= static_cast<uint32_t>(absl::StatusCode::kUnauthenticated);
  return known ? static_cast<absl::StatusCode>(number) : absl::StatusCode::kUnknown;
}

std::string ReasonOf(const absl::Status& status) {
  return std::string(ToStd(status.message()).substr(0, kReasonBytesMax));
}

absl::Status StatusFrom(uint32_t code, const std::string& reason) {
  return absl::Status(CodeOf(code), ToAbsl(std::string_view(reason).substr(0, kReasonBytesMax)));
}

// --- writing --------------------------------------------------------------------------------------------------------

void Write(const std::optional<Vote>& vote, wire::Vote& to) {
  if (!vote.has_value()) return;
  to.set_kind(static_cast<uint32_t>(vote->kind));
  to.set_attempt(vote->of.attempt);
  to.set_at(vote->at.value);
  to.set_refusal(static_cast<uint32_t>(vote->refusal));
  to.set_transfer(vote->transfer);
  for (const Blocker& blocker : vote->blockers) to.add_blockers(Encoded(WriteBlocker, blocker));
  if (vote->kind == VoteKind::kFinished) to.set_finished(Encoded(WriteDecision, vote->finished));
}

void Write(QueuePosition position, wire::OutboxPosition& to) {
  to.set_batch(position.batch.value);
  to.set_item(position.item);
}

struct QuestionWriter {
  wire::Question& to;

  void operator()(const VotesQuestion& q) const {
    wire::VotesQuestion& votes = *to.mutable_votes();
    votes.set_shard(q.shard.value);
    for (const Try& of : q.tries) votes.add_tries(Encoded(WriteTry, of));
    votes.set_freshness(static_cast<uint32_t>(q.freshness));
    votes.set_raise_to(q.raise_to.value);
  }
  void operator()(const AssetsQuestion& q) const {
    wire::AssetsQuestion& assets = *to.mutable_assets();
    assets.set_shard(q.shard.value);
    for (const LedgerKey& key : q.accounts) assets.add_accounts(Encoded(WriteKey, key));
    assets.set_freshness(static_cast<uint32_t>(q.freshness));
  }
  void operator()(const OpenQuestion& q) const {
    wire::OpenQuestion& open = *to.mutable_open();
    for (const OpenAccountRequest& request : q.requests) {
      wire::OpenRequest& one = *open.add_requests();
      one.set_key(Encoded(WriteKey, request.key));
      one.set_spec(Encoded(WriteAccountSpec, request.spec));
    }
  }
  void operator()(const AccountQuestion& q) const {
    wire::AccountQuestion& account = *to.mutable_account();
    account.set_key(Encoded(WriteKey, q.key));
    account.set_mode(static_cast<uint32_t>(q.mode));
    account.set_after(q.after.value);
  }
  void operator()(const TransactionQuestion& q) const {
    to.mutable_transaction()->set_key(Encoded(WriteKey, q.key));
    to.mutable_transaction()->set_recovery_token(q.recovery_token);
  }
  void operator()(const ListQuestion& q) const {
    wire::ListQuestion& list = *to.mutable_list();
    for (ShardId shard : q.shards) list.add_shards(shard.value);
    list.set_ledger(q.ledger);
    list.set_prefix(q.prefix);
    list.set_after(q.after);
    list.set_limit(q.limit);
    list.set_mode(static_cast<uint32_t>(q.mode));
  }
  void operator()(const StatementQuestion& q) const {
    wire::StatementQuestion& statement = *to.mutable_statement();
    statement.set_account(Encoded(WriteKey, q.request.account));
    statement.set_from(std::min(q.request.from.value, kLogTimeMaxUs));
    statement.set_until(std::min(q.request.until.value, kLogTimeMaxUs));
    statement.set_order(static_cast<uint32_t>(q.request.order));
    if (q.request.after.has_value()) statement.set_behind(Encoded(WriteLineKey, *q.request.after));
    statement.set_limit(static_cast<uint32_t>(q.request.limit));
    statement.set_mode(static_cast<uint32_t>(q.mode));
    statement.set_after(q.after.value);
  }
  void operator()(const OutboxQuestion& q) const {
    wire::OutboxQuestion& outbox = *to.mutable_outbox();
    outbox.set_shard(q.shard.value);
    outbox.set_ledger(q.ledger);
    outbox.set_start(static_cast<uint32_t>(q.start));
    Write(q.from, *outbox.mutable_from());
    outbox.set_limit(q.limit);
  }
};

struct AnswerWriter {
  wire::Answer& to;

  void operator()(const VotesAnswer& a) const {
    wire::VotesAnswer& answer = *to.mutable_votes();
    for (const std::optional<Vote>& vote : a.votes) Write(vote, *answer.add_votes());
  }
  void operator()(const AssetsAnswer& a) const {
    wire::AssetsAnswer& answer = *to.mutable_assets();
    for (const std::string& asset : a.assets) answer.add_assets(asset);
  }
  void operator()(const std::vector<OpenAccountResult>& results) const {
    wire::OpenAnswer& answer = *to.mutable_open();
    for (const OpenAccountResult& result : results) {
      wire::OpenResult& one = *answer.add_results();
      one.set_failure(static_cast<uint32_t>(result.failure.code()));
      if (!result.failure.ok()) {
        one.set_reason(ReasonOf(result.failure));
        continue;
      }
      one.set_status(static_cast<uint32_t>(result.status));
      one.set_account(Encoded(WriteAccount, result.account));
    }
  }
  void operator()(const AccountRead& read) const {
    wire::AccountAnswer& answer = *to.mutable_account();
    if (read.account.has_value()) answer.set_account(Encoded(WriteAccount, *read.account));
    answer.set_at(read.at.value);
    answer.set_staleness_us(read.staleness_us);
  }
  void operator()(const TransferRead& read) const {
    wire::TransactionAnswer& answer = *to.mutable_transaction();
    const TransactionResult& result = read.result;
    if (!read.transaction.transfers.empty()) answer.set_body(Encoded(WriteTransaction, read.transaction));
    answer.set_state(static_cast<uint32_t>(result.state));
    answer.set_refusal(static_cast<uint32_t>(result.refusal));
    answer.set_transfer(result.transfer);
    answer.set_committed_at(result.committed_at.value);
    for (ShardId shard : result.shards) answer.add_shards(shard.value);
    answer.set_replayed(result.replayed);
    answer.set_recovery_token(result.recovery_token);
    for (const std::string& asset : result.assets) answer.add_assets(asset);
  }
  void operator()(const AccountPage& page) const {
    wire::ListAnswer& answer = *to.mutable_list();
    for (const AccountRow& row : page.accounts) {
      wire::AccountRow& one = *answer.add_rows();
      one.set_key(Encoded(WriteKey, row.key));
      one.set_account(Encoded(WriteAccount, row.account));
    }
    answer.set_has_more(page.has_more);
    answer.set_staleness_us(page.staleness_us);
  }
  void operator()(const StatementPage& page) const {
    wire::StatementAnswer& answer = *to.mutable_statement();
    answer.set_spec(Encoded(WriteAccountSpec, page.spec));
    for (const StatementLine& line : page.lines) answer.add_lines(Encoded(WriteLine, line));
    answer.set_has_more(page.has_more);
    answer.set_closed_until(page.closed_until.value);
    answer.set_staleness_us(page.staleness_us);
  }
  void operator()(const OutboxPage& page) const {
    wire::OutboxAnswer& answer = *to.mutable_outbox();
    for (const CommittedEvent& event : page.events) {
      wire::OutboxEvent& one = *answer.add_events();
      Write(event.at, *one.mutable_at());
      one.set_committed_at(event.committed_at.value);
      one.set_body(Encoded(WriteTransaction, event.transaction));
    }
    Write(page.from, *answer.mutable_from());
    Write(page.next, *answer.mutable_next());
    answer.set_has_more(page.has_more);
  }
};

struct ItemWriter {
  wire::Item& to;

  void operator()(const WatchTry& m) const {
    to.mutable_watch()->set_watch(m.watch);
    to.mutable_watch()->set_shard(m.shard.value);
    to.mutable_watch()->set_of(Encoded(WriteTry, m.of));
  }
  void operator()(const EndWatch& m) const { to.mutable_end_watch()->set_watch(m.watch); }
  void operator()(const ToldVote& m) const {
    wire::ToldVote& told = *to.mutable_told();
    told.set_watch(m.watch);
    told.set_why(static_cast<uint32_t>(m.why));
    Write(m.vote, *told.mutable_vote());
    told.set_clock_before(m.clock_before.value);
  }
  void operator()(const Question& m) const {
    to.mutable_question()->set_call(m.call);
    to.mutable_question()->set_within_us(m.within_us);
    std::visit(QuestionWriter{*to.mutable_question()}, m.body);
  }
  void operator()(const Answer& m) const {
    wire::Answer& answer = *to.mutable_answer();
    answer.set_call(m.call);
    if (m.body.ok()) return std::visit(AnswerWriter{answer}, *m.body);
    answer.set_failure(static_cast<uint32_t>(m.body.status().code()));
    answer.set_reason(ReasonOf(m.body.status()));
  }
};

// --- reading: false where a bound is broken -------------------------------------------------------------------------

bool Read(const wire::Vote& from, std::optional<Vote>* to) {
  if (from.kind() == 0) return true;
  Vote& vote = to->emplace();
  if (!ReadEnum(from.kind(), VoteKind::kFinished, &vote.kind)) return false;
  vote.of.attempt = from.attempt();
  vote.transfer = from.transfer();
  if (from.attempt() == 0 || from.transfer() > limits::kTransfersPerTransactionMax) return false;
  if (!ReadLogTime(from.at(), &vote.at) || !ReadOutcome(from.refusal(), &vote.refusal)) return false;
  if (static_cast<size_t>(from.blockers_size()) > limits::kBlockersNamedMax) return false;
  for (const std::string& blocker : from.blockers()) {
    if (!Decoded(blocker, ReadBlocker, &vote.blockers.emplace_back())) return false;
  }
  bool finished = vote.kind == VoteKind::kFinished;
  return finished ? Decoded(from.finished(), ReadDecision, &vote.finished) : from.finished().empty();
}

bool Read(const wire::VotesQuestion& from, VotesQuestion* to) {
  if (static_cast<size_t>(from.tries_size()) > limits::kTriesAskedMax) return false;
  for (const std::string& of : from.tries()) {
    if (!Decoded(of, ReadTry, &to->tries.emplace_back())) return false;
  }
  return ReadShard(from.shard(), &to->shard) &&
         ReadEnum(from.freshness(), Freshness::kBarrier, &to->freshness) &&
         ReadLogTime(from.raise_to(), &to->raise_to);
}

bool Read(const wire::AssetsQuestion& from, AssetsQuestion* to) {
  if (static_cast<size_t>(from.accounts_size()) > limits::kTransfersPerTransactionMax) return false;
  for (const std::string& key : from.accounts()) {
    if (!Decoded(key, ReadKey, &to->accounts.emplace_back())) return false;
  }
  return ReadShard(from.shard(), &to->shard) &&
         ReadEnum(from.freshness(), Freshness::kBarrier, &to->freshness);
}

bool Read(const wire::OpenQuestion& from, OpenQuestion* to) {
  if (static_cast<size_t>(from.requests_size()) > limits::kBatchItemsMax) return false;
  for (const wire::OpenRequest& request : from.requests()) {
    OpenAccountRequest& one = to->requests.emplace_back();
    if (!Decoded(request.key(), ReadKey, &one.key) || !Decoded(request.spec(), ReadAccountSpec, &one.spec))
      return false;
  }
  return true;
}

bool Read(const wire::AccountQuestion& from, AccountQuestion* to) {
  return Decoded(from.key(), ReadKey, &to->key) && ReadEnum(from.mode(), ReadMode::kLocal, &to->mode) &&
         ReadLogTime(from.after(), &to->after);
}

bool Read(const wire::TransactionQuestion& from, TransactionQuestion* to) {
  to->recovery_token = from.recovery_token();
  return Decoded(from.key(), ReadKey, &to->key) && to->recovery_token.size() <= kTokenBytesMax;
}

bool Read(const wire::ListQuestion& from, ListQuestion* to) {
  to->ledger = from.ledger();
  to->prefix = from.prefix();
  to->after = from.after();
  to->limit = from.limit();
  bool ids = !to->ledger.empty() && IsPartOfId(to->ledger) && IsPartOfId(to->prefix) && IsPartOfId(to->after);
  return ids && to->limit <= limits::kPageItemsMax && ReadShards(from.shards(), &to->shards) &&
         ReadEnum(from.mode(), ReadMode::kLocal, &to->mode);
}

bool Read(const wire::StatementQuestion& from, StatementQuestion* to) {
  StatementRequest& request = to->request;
  request.limit = from.limit();
  bool behind = from.behind().empty() || Decoded(from.behind(), ReadLineKey, &request.after.emplace());
  return behind && request.limit > 0 && request.limit <= limits::kPageItemsMax &&
         Decoded(from.account(), ReadKey, &request.account) && ReadLogTime(from.from(), &request.from) &&
         ReadLogTime(from.until(), &request.until) &&
         ReadEnum(from.order(), LineOrder::kNewestFirst, &request.order) &&
         ReadEnum(from.mode(), ReadMode::kLocal, &to->mode) && ReadLogTime(from.after(), &to->after);
}

QueuePosition PositionOf(const wire::OutboxPosition& from) { return {LogIndex{from.batch()}, from.item()}; }

bool Read(const wire::OutboxQuestion& from, OutboxQuestion* to) {
  to->ledger = from.ledger();
  to->from = PositionOf(from.from());
  to->limit = from.limit();
  return !to->ledger.empty() && IsPartOfId(to->ledger) && to->limit > 0 &&
         to->limit <= limits::kPageItemsMax && ReadShard(from.shard(), &to->shard) &&
         ReadEnum(from.start(), EventsRequest::Start::kPositions, &to->start);
}

bool Read(const wire::StatementAnswer& from, StatementPage* to) {
  if (static_cast<size_t>(from.lines_size()) > limits::kPageItemsMax) return false;
  for (const std::string& line : from.lines()) {
    if (!Decoded(line, ReadLine, &to->lines.emplace_back())) return false;
  }
  to->has_more = from.has_more();
  to->staleness_us = from.staleness_us();
  return (!to->has_more || !to->lines.empty()) && Decoded(from.spec(), ReadAccountSpec, &to->spec) &&
         ReadLogTime(from.closed_until(), &to->closed_until);
}

bool Read(const wire::OutboxAnswer& from, OutboxPage* to) {
  if (static_cast<size_t>(from.events_size()) > limits::kPageItemsMax) return false;
  for (const wire::OutboxEvent& event : from.events()) {
    CommittedEvent& one = to->events.emplace_back();
    one.at = PositionOf(event.at());
    if (!Decoded(event.body(), ReadBody, &one.transaction) ||
        !ReadLogTime(event.committed_at(), &one.committed_at))
      return false;
  }
  to->from = PositionOf(from.from());
  to->next = PositionOf(from.next());
  to->has_more = from.has_more();
  // Who asks again must come further.
  return to->from <= to->next && (!to->has_more || to->from < to->next);
}

bool Read(const wire::VotesAnswer& from, VotesAnswer* to) {
  if (static_cast<size_t>(from.votes_size()) > limits::kTriesAskedMax) return false;
  for (const wire::Vote& vote : from.votes()) {
    if (!Read(vote, &to->votes.emplace_back())) return false;
  }
  return true;
}

bool Read(const wire::AssetsAnswer& from, AssetsAnswer* to) {
  to->assets.assign(from.assets().begin(), from.assets().end());
  return to->assets.size() <= limits::kTransfersPerTransactionMax &&
         std::all_of(to->assets.begin(), to->assets.end(), IsPartOfId);
}

bool Read(const wire::OpenAnswer& from, std::vector<OpenAccountResult>* to) {
  if (static_cast<size_t>(from.results_size()) > limits::kBatchItemsMax) return false;
  for (const wire::OpenResult& result : from.results()) {
    OpenAccountResult& one = to->emplace_back();
    if (result.failure() != 0) {
      one.failure = StatusFrom(result.failure(), result.reason());
      continue;
    }
    if (!ReadEnum(result.status(), OpenStatus::kExistsWithOtherFields, &one.status) ||
        !Decoded(result.account(), ReadAccount, &one.account))
      return false;
  }
  return true;
}

bool Read(const wire::AccountAnswer& from, AccountRead* to) {
  to->staleness_us = from.staleness_us();
  if (!from.account().empty() && !Decoded(from.account(), ReadAccount, &to->account.emplace())) return false;
  return ReadLogTime(from.at(), &to->at);
}

bool Read(const wire::TransactionAnswer& from, TransferRead* to) {
  TransactionResult& result = to->result;
  if (!from.body().empty() && !Decoded(from.body(), ReadBody, &to->transaction)) return false;
  result.transfer = from.transfer();
  result.replayed = from.replayed();
  result.recovery_token = from.recovery_token();
  result.assets.assign(from.assets().begin(), from.assets().end());
  bool assets = result.assets.empty() || result.assets.size() == to->transaction.transfers.size();
  return assets && result.recovery_token.size() <= kTokenBytesMax &&
         ReadEnum(from.state(), TransactionState::kOverloaded, &result.state) &&
         ReadOutcome(from.refusal(), &result.refusal) &&
         ReadLogTime(from.committed_at(), &result.committed_at) &&
         ReadShards(from.shards(), &result.shards) &&
         std::all_of(result.assets.begin(), result.assets.end(), IsPartOfId);
}

bool Read(const wire::ListAnswer& from, AccountPage* to) {
  if (static_cast<size_t>(from.rows_size()) > limits::kPageItemsMax) return false;
  for (const wire::AccountRow& row : from.rows()) {
    AccountRow& one = to->accounts.emplace_back();
    if (!Decoded(row.key(), ReadKey, &one.key) || !Decoded(row.account(), ReadAccount, &one.account))
      return false;
  }
  to->has_more = from.has_more();
  to->staleness_us = from.staleness_us();
  return true;
}

/// Reads `from` as the alternative `To` of `body`.
template <class To, class Body, class From>
bool ReadAs(const From& from, Body* body) {
  return Read(from, &body->template emplace<To>());
}

bool Read(const wire::Question& from, Question* to) {
  to->call = from.call();
  to->within_us = from.within_us();
  if (to->within_us < 0 || to->within_us > limits::kRequestTimeoutMaxUs) return false;
  int kinds = from.has_votes() + from.has_assets() + from.has_open() + from.has_account() +
              from.has_transaction() + from.has_list() + from.has_statement() + from.has_outbox();
  if (kinds != 1) return false;
  if (from.has_votes()) return ReadAs<VotesQuestion>(from.votes(), &to->body);
  if (from.has_assets()) return ReadAs<AssetsQuestion>(from.assets(), &to->body);
  if (from.has_open()) return ReadAs<OpenQuestion>(from.open(), &to->body);
  if (from.has_account()) return ReadAs<AccountQuestion>(from.account(), &to->body);
  if (from.has_transaction()) return ReadAs<TransactionQuestion>(from.transaction(), &to->body);
  if (from.has_list()) return ReadAs<ListQuestion>(from.list(), &to->body);
  if (from.has_statement()) return ReadAs<StatementQuestion>(from.statement(), &to->body);
  return ReadAs<OutboxQuestion>(from.outbox(), &to->body);
}

bool Read(const wire::Answer& from, Answer* to) {
  to->call = from.call();
  int kinds = from.has_votes() + from.has_assets() + from.has_open() + from.has_account() +
              from.has_transaction() + from.has_list() + from.has_statement() + from.has_outbox();
  if (from.failure() != 0) {
    to->body = StatusFrom(from.failure(), from.reason());
    return kinds == 0;
  }
  if (kinds != 1) return false;
  AnswerBody& body = to->body.emplace();
  if (from.has_votes()) return ReadAs<VotesAnswer>(from.votes(), &body);
  if (from.has_assets()) return ReadAs<AssetsAnswer>(from.assets(), &body);
  if (from.has_open()) return ReadAs<std::vector<OpenAccountResult>>(from.open(), &body);
  if (from.has_account()) return ReadAs<AccountRead>(from.account(), &body);
  if (from.has_transaction()) return ReadAs<TransferRead>(from.transaction(), &body);
  if (from.has_list()) return ReadAs<AccountPage>(from.list(), &body);
  if (from.has_statement()) return ReadAs<StatementPage>(from.statement(), &body);
  return ReadAs<OutboxPage>(from.outbox(), &body);
}

bool Read(const wire::WatchTry& from, WatchTry* to) {
  to->watch = from.watch();
  return ReadShard(from.shard(), &to->shard) && Decoded(from.of(), ReadTry, &to->of);
}

bool Read(const wire::EndWatch& from, EndWatch* to) {
  to->watch = from.watch();
  return true;
}

bool Read(const wire::ToldVote& from, ToldVote* to) {
  to->watch = from.watch();
  return ReadEnum(from.why(), ToldVote::Why::kRefused, &to->why) && Read(from.vote(), &to->vote) &&
         ReadLogTime(from.clock_before(), &to->clock_before);
}

bool Read(const wire::Item& from, NodeMessage* to) {
  int kinds =
      from.has_watch() + from.has_end_watch() + from.has_told() + from.has_question() + from.has_answer();
  if (kinds != 1) return false;
  if (from.has_watch()) return Read(from.watch(), &to->emplace<WatchTry>());
  if (from.has_end_watch()) return Read(from.end_watch(), &to->emplace<EndWatch>());
  if (from.has_told()) return Read(from.told(), &to->emplace<ToldVote>());
  if (from.has_question()) return Read(from.question(), &to->emplace<Question>());
  return Read(from.answer(), &to->emplace<Answer>());
}

}  // namespace

void AppendNodeMessage(const NodeMessage& message, std::string* frame) {
  // A frame grows by appending: Protobuf joins the fields of messages that stand one after the other.
  wire::NodeMessage one;
  if (frame->empty()) one.set_version(kVersion);
  std::visit(ItemWriter{*one.add_items()}, message);
  one.AppendToString(frame);
}

absl::StatusOr<std::vector<NodeMessage>> DecodeNodeMessages(std::string_view frame) {
  wire::NodeMessage from;
  bool parsed = frame.size() <= limits::kFrameBytesMax &&
                from.ParseFromArray(frame.data(), static_cast<int>(frame.size()));
  if (!parsed || from.version() != kVersion)
    return absl::InvalidArgumentError("not a message between nodes of a known version");
  std::vector<NodeMessage> messages;
  messages.reserve(static_cast<size_t>(from.items_size()));
  for (const wire::Item& item : from.items()) {
    if (!Read(item, &messages.emplace_back()))
      return absl::InvalidArgumentError("a message between nodes breaks its format");
  }
  return messages;
}

}  // namespace paxledger
