#include "txn/try_table.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "ledger/encoding.h"
#include "txn/command_view.h"
#include "txn/state_rows.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 2;
constexpr uint8_t kTryElement = 2;
constexpr size_t kKeyBytesMax = 2 * limits::kIdBytesMax + 1;

std::string RowKey(ShardId shard, uint64_t sequence) {
  std::string rest;
  AppendBigEndian64(&rest, sequence);
  return StateRowKey(shard, StateRow::kTry, rest);
}

void WriteBlocker(ByteWriter& out, const Blocker& blocker) {
  std::string key;
  AppendLedgerKey(&key, blocker.of.key.ledger, blocker.of.key.id);
  out.Bytes(key);
  out.Raw(blocker.of.digest.view());
  out.Varint(blocker.of.attempt);
  WriteParticipants(out, blocker.participants);
  out.Varint(static_cast<uint64_t>(blocker.deadline_us));
}

std::string_view ReadLedgerKey(ByteReader& in) {
  std::string_view key = in.Bytes();
  if (key.size() > kKeyBytesMax || key.find('\0') == std::string_view::npos) in.Fail();
  return key;
}

Blocker ReadBlocker(ByteReader& in) {
  Blocker blocker;
  std::string_view key = ReadLedgerKey(in);
  if (in.ok()) blocker.of.key = SplitLedgerKey(key);
  blocker.of.digest = Digest::FromRaw(in.Raw(32));
  blocker.of.attempt = ReadAttempt(in);
  ReadParticipants(in, &blocker.participants);
  blocker.deadline_us = ReadTime(in);
  return blocker;
}

std::string EncodeTry(const OpenTry& t) {
  std::string value;
  ByteWriter out(&value);
  out.U8(kVersion);
  out.Bytes(t.key);
  out.Raw(t.digest.view());
  out.Varint(t.attempt);
  out.U8(static_cast<uint8_t>(t.kind));
  out.Varint(static_cast<uint64_t>(t.at.value));
  out.U8(static_cast<uint8_t>(t.refusal));
  out.Varint(t.transfer);
  WriteParticipants(out, t.participants);
  out.Varint(static_cast<uint64_t>(t.deadline_us));
  out.Varint(t.body_at.value);
  out.Varint(t.body_command);
  out.Varint(t.blockers.size());
  for (const Blocker& blocker : t.blockers) WriteBlocker(out, blocker);
  out.Varint(t.legs.size());
  for (const ReservedLeg& leg : t.legs) {
    out.Bytes(leg.account->key);
    out.Varint(leg.counterpart.value);
    out.Varint(leg.transfer);
    out.U8(static_cast<uint8_t>(leg.leg.side));
    WriteAmount(out, leg.leg.amount);
  }
  return value;
}

void ReadLeg(ByteReader& in, AccountCache& accounts, OpenTry* t) {
  ReservedLeg leg;
  std::string_view account = in.Bytes();
  uint64_t counterpart = in.Varint();
  uint64_t transfer = in.Varint();
  uint8_t side = in.U8();
  leg.leg.amount = ReadAmount(in);
  if (counterpart >= limits::kShardsMax || transfer >= limits::kTransfersPerTransactionMax || side > 1)
    in.Fail();
  if (!in.ok()) return;
  leg.counterpart = ShardId{static_cast<uint32_t>(counterpart)};
  leg.transfer = static_cast<uint32_t>(transfer);
  leg.leg.side = static_cast<Side>(side);
  leg.account = accounts.Find(account);
  if (leg.account == nullptr) return in.Fail();
  t->legs.push_back(leg);
}

absl::StatusOr<OpenTry> DecodeTry(std::string_view value, AccountCache& accounts) {
  ByteReader in(value);
  OpenTry t;
  if (in.U8() != kVersion) in.Fail();
  t.key = ReadLedgerKey(in);
  t.digest = Digest::FromRaw(in.Raw(32));
  t.attempt = ReadAttempt(in);
  uint8_t kind = in.U8();
  if (kind < static_cast<uint8_t>(VoteKind::kPrepared) || kind > static_cast<uint8_t>(VoteKind::kResolved))
    in.Fail();
  t.kind = static_cast<VoteKind>(kind);
  t.at = LogTime{static_cast<int64_t>(in.Varint())};
  std::optional<Outcome> refusal = OutcomeFromNumber(in.U8());
  if (!refusal.has_value()) in.Fail();
  t.refusal = refusal.value_or(Outcome::kCommitted);
  t.transfer = static_cast<uint32_t>(in.Varint());
  ReadParticipants(in, &t.participants);
  t.deadline_us = static_cast<int64_t>(in.Varint());
  t.body_at = LogIndex{in.Varint()};
  t.body_command = static_cast<uint32_t>(in.Varint());
  uint64_t blockers = in.Varint();
  for (uint64_t i = 0; i < blockers && in.ok(); ++i) t.blockers.push_back(ReadBlocker(in));
  uint64_t legs = in.Varint();
  for (uint64_t i = 0; i < legs && in.ok(); ++i) ReadLeg(in, accounts, &t);
  if (!in.AtEnd()) return absl::DataLossError("the row of a try in doubt is damaged");
  return t;
}

}  // namespace

Try OpenTry::OfTry() const { return Try{SplitLedgerKey(key), digest, attempt}; }

Vote OpenTry::AsVote() const {
  Vote vote;
  vote.kind = kind;
  vote.of = OfTry();
  vote.at = at;
  vote.refusal = refusal;
  vote.transfer = transfer;
  vote.blockers = blockers;
  return vote;
}

InDoubt OpenTry::AsInDoubt() const { return InDoubt{AsVote(), participants, deadline_us}; }

const TryTable::OfId* TryTable::Find(std::string_view key) const {
  auto found = by_id_.find(ToAbsl(key));
  return found == by_id_.end() ? nullptr : &found->second;
}

OpenTry* TryTable::Find(std::string_view key, const Digest& digest) const {
  const OfId* tries = Find(key);
  if (tries == nullptr) return nullptr;
  for (OpenTry* t : *tries) {
    if (t->digest == digest) return t;
  }
  return nullptr;
}

Digest TryTable::ElementOf(const OpenTry& opened) const {
  std::string bytes;
  bytes.reserve(128);
  ByteWriter out(&bytes);
  out.U8(kTryElement);
  out.Bytes(opened.key);
  out.Raw(opened.digest.view());
  out.Varint(opened.attempt);
  out.U8(static_cast<uint8_t>(opened.kind));
  out.Varint(static_cast<uint64_t>(opened.at.value));
  out.U8(static_cast<uint8_t>(opened.refusal));
  out.Varint(opened.transfer);
  out.Varint(opened.body_at.value);
  return digest_.Element(bytes);
}

OpenTry& TryTable::Enter(OpenTry opened) {
  OpenTry& entered = tries_.emplace_back(std::move(opened));
  entered.self = std::prev(tries_.end());
  by_id_[entered.key].push_back(&entered);
  for (const ReservedLeg& leg : entered.legs) {
    std::vector<OpenTry*>& reservations = leg.account->reservations;
    if (reservations.empty() || reservations.back() != &entered) reservations.push_back(&entered);
  }
  return entered;
}

OpenTry& TryTable::Add(OpenTry opened) {
  Check(Find(opened.key, opened.digest) == nullptr, "one try of an id and digest is open at a time");
  opened.sequence = next_sequence_++;
  opened.element = ElementOf(opened);
  digest_.Add(opened.element);
  return Enter(std::move(opened));
}

void TryTable::Remove(OpenTry& opened) {
  digest_.Remove(opened.element);
  for (const ReservedLeg& leg : opened.legs) {
    std::vector<OpenTry*>& reservations = leg.account->reservations;
    auto found = std::find(reservations.begin(), reservations.end(), &opened);
    if (found != reservations.end()) reservations.erase(found);  // gone already: another leg of the same try
  }
  auto of_id = by_id_.find(opened.key);
  OfId& tries = of_id->second;
  tries.erase(std::find(tries.begin(), tries.end(), &opened));
  if (tries.empty()) by_id_.erase(of_id);
  if (opened.persisted) removed_.push_back(opened.sequence);
  tries_.erase(opened.self);
}

void TryTable::AppendRows(EngineBatch* batch) {
  for (uint64_t sequence : removed_) batch->Add(EngineBatch::Delete{Table::kState, RowKey(shard_, sequence)});
  removed_.clear();
  // A try never changes, and the persisted ones are the oldest.
  for (auto t = tries_.rbegin(); t != tries_.rend() && !t->persisted; ++t) {
    batch->Add(EngineBatch::Put{Table::kState, RowKey(shard_, t->sequence), EncodeTry(*t)});
    t->persisted = true;
  }
}

absl::Status TryTable::Recover(Engine& engine, AccountCache& accounts, uint64_t next_sequence) {
  std::string begin = StateRowKey(shard_, StateRow::kTry, {});
  std::unique_ptr<EngineCursor> rows = engine.Scan(Table::kState, begin, PrefixEnd(begin));
  for (; rows->valid(); rows->Next()) {
    absl::StatusOr<OpenTry> t = DecodeTry(rows->value(), accounts);
    if (!t.ok()) return t.status();
    if (rows->key().size() != kRowPrefixBytes + 8)
      return absl::DataLossError("the key of a try in doubt is damaged");
    t->sequence = ReadBigEndian64(rows->key().substr(kRowPrefixBytes));
    t->persisted = true;
    t->element = ElementOf(*t);
    if (Find(t->key, t->digest) != nullptr) return absl::DataLossError("a try is in doubt twice");
    Enter(*std::move(t));
  }
  if (!rows->status().ok()) return rows->status();
  next_sequence_ = next_sequence;
  if (!tries_.empty() && tries_.back().sequence >= next_sequence) {
    return absl::DataLossError("a try in doubt is newer than its checkpoint");
  }
  return CheckSums();
}

absl::Status TryTable::CheckSums() const {
  struct Sums {
    const Account* account = nullptr;
    Amount debits = 0;
    Amount credits = 0;
  };
  std::map<std::string_view, Sums> sums;
  for (const OpenTry& t : tries_) {
    for (const ReservedLeg& leg : t.legs) {
      Sums& of = sums[leg.account->key];
      of.account = &leg.account->account;
      (leg.leg.side == Side::kDebit ? of.debits : of.credits) += leg.leg.amount;
    }
  }
  for (const auto& [key, of] : sums) {
    if (of.account->debits_in_doubt != of.debits || of.account->credits_in_doubt != of.credits) {
      return absl::DataLossError("an account's sums in doubt differ from its reservations");
    }
  }
  return absl::OkStatus();
}

}  // namespace paxledger
