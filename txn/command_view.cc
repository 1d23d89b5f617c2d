#include "txn/command_view.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/planted.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;

uint32_t ReadSmall(ByteReader& in, uint64_t limit) {
  uint64_t v = in.Varint();
  if (v >= limit) in.Fail();
  return in.ok() ? static_cast<uint32_t>(v) : 0;
}

void ReadTry(ByteReader& in, CommandView* view) {
  view->digest = Digest::FromRaw(in.Raw(32));
  view->attempt = ReadAttempt(in);
}

void ReadKey(ByteReader& in, CommandView* view) {
  view->ledger = ReadId(in);
  view->id = ReadId(in);
}

void ReadAssets(ByteReader& in, std::vector<std::string_view>* assets) {
  uint32_t count = ReadSmall(in, limits::kTransfersPerTransactionMax + 1);
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    std::string_view asset = in.Bytes();
    if (asset.size() > limits::kIdBytesMax) in.Fail();
    assets->push_back(asset);
  }
}

void ReadBody(ByteReader& in, CommandView* view) {
  ReadTransaction(in, &view->body);
  view->ledger = view->body.ledger;
  view->id = view->body.id;
}

}  // namespace

uint32_t ReadAttempt(ByteReader& in) {
  uint64_t attempt = in.Varint();
  if (attempt == 0 || attempt >= UINT32_MAX) in.Fail();
  return in.ok() ? static_cast<uint32_t>(attempt) : 1;
}

int64_t ReadTime(ByteReader& in) {
  uint64_t us = in.Varint();
  if (us > static_cast<uint64_t>(kLogTimeMaxUs)) in.Fail();
  return in.ok() ? static_cast<int64_t>(us) : 0;
}

void WriteParticipants(ByteWriter& out, const std::vector<ShardId>& participants) {
  out.Varint(participants.size());
  uint32_t next = 0;
  for (ShardId shard : participants) {
    Check(shard.value >= next, "participants ascend");
    out.Varint(shard.value - next);
    next = shard.value + 1;
  }
}

void ReadParticipants(ByteReader& in, std::vector<ShardId>* participants) {
  participants->clear();
  uint32_t count = ReadSmall(in, limits::kShardsMax + 1);
  if (count == 0) in.Fail();
  uint32_t next = 0;
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    uint32_t shard = next + ReadSmall(in, limits::kShardsMax);
    if (shard >= limits::kShardsMax) in.Fail();
    participants->push_back(ShardId{shard});
    next = shard + 1;
  }
}

void WriteDecision(ByteWriter& out, const Decision& decision) {
  out.U8(static_cast<uint8_t>(decision.kind));
  switch (decision.kind) {
    case DecisionKind::kCommitted:
      out.Varint(static_cast<uint64_t>(decision.committed_at.value));
      return;
    case DecisionKind::kRefused:
      out.U8(static_cast<uint8_t>(decision.refusal));
      out.Varint(decision.transfer);
      return;
    case DecisionKind::kConflict:
    case DecisionKind::kAborted:
      return;
  }
}

Decision ReadDecision(ByteReader& in) {
  Decision decision;
  uint8_t kind = in.U8();
  if (kind < static_cast<uint8_t>(DecisionKind::kCommitted) ||
      kind > static_cast<uint8_t>(DecisionKind::kAborted)) {
    in.Fail();
    return decision;
  }
  decision.kind = static_cast<DecisionKind>(kind);
  if (decision.kind == DecisionKind::kCommitted) decision.committed_at = LogTime{ReadTime(in)};
  if (decision.kind == DecisionKind::kRefused) {
    std::optional<Outcome> refusal = OutcomeFromNumber(in.U8());
    if (!refusal.has_value() || *refusal == Outcome::kCommitted) in.Fail();
    decision.refusal = refusal.value_or(Outcome::kCommitted);
    decision.transfer = ReadSmall(in, limits::kTransfersPerTransactionMax);
  }
  return decision;
}

bool CommandView::Decode(std::string_view bytes) {
  if (bytes.size() > limits::kCommandBytesMax) return false;
  ByteReader in(bytes);
  uint8_t version = in.U8();
  uint8_t number = in.U8();
  if (!in.ok() || version != kVersion || number < static_cast<uint8_t>(CommandKind::kExecute) ||
      number > static_cast<uint8_t>(CommandKind::kOpenAccount)) {
    return false;
  }
  kind = static_cast<CommandKind>(number);
  not_before_us = 0;
  switch (kind) {
    case CommandKind::kExecute:
      ReadTry(in, this);
      not_before_us = ReadTime(in) + 1;
      ReadBody(in, this);
      break;
    case CommandKind::kPrepare:
      ReadTry(in, this);
      not_before_us = ReadTime(in) + 1;
      deadline_us = ReadTime(in);
      ReadParticipants(in, &participants);
      assets.clear();
      ReadAssets(in, &assets);
      ReadBody(in, this);
      if (!assets.empty() && assets.size() != body.transfers.size()) in.Fail();
      break;
    case CommandKind::kResolve:
      ReadKey(in, this);
      ReadTry(in, this);
      ReadParticipants(in, &participants);
      break;
    case CommandKind::kFinish:
      ReadKey(in, this);
      ReadTry(in, this);
      decision = ReadDecision(in);
      if (decision.kind == DecisionKind::kCommitted && !Bug("txn.finish_lifts_no_clock")) {
        not_before_us = decision.committed_at.value;
      }
      break;
    case CommandKind::kClose:
      not_before_us = ReadTime(in);
      break;
    case CommandKind::kOpenAccount:
      ReadKey(in, this);
      spec = ReadAccountSpec(in);
      break;
  }
  return in.AtEnd();
}

}  // namespace paxledger
