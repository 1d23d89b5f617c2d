#include "txn/command.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted.h"
#include "ledger/encoding.h"
#include "txn/command_view.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;

class CommandEncoder {
 public:
  explicit CommandEncoder(std::string* out) : out_(out) {}

  void operator()(const ExecuteCommand& c) {
    Head(CommandKind::kExecute);
    CheckBody(c.of, c.body);
    OfTry(c.of);
    Time(c.after.value);
    WriteTransaction(out_, c.body);
  }

  void operator()(const PrepareCommand& c) {
    Head(CommandKind::kPrepare);
    CheckBody(c.of, c.body);
    Check(c.assets.empty() || c.assets.size() == c.body.transfers.size(),
          "assets are one per transfer, or none");
    OfTry(c.of);
    Time(c.after.value);
    Time(c.deadline_us);
    WriteParticipants(out_, c.participants);
    out_.Varint(c.assets.size());
    for (const std::string& asset : c.assets) out_.Bytes(asset);
    WriteTransaction(out_, c.body);
  }

  void operator()(const ResolveCommand& c) {
    Head(CommandKind::kResolve);
    Key(c.of.key);
    OfTry(c.of);
    WriteParticipants(out_, c.participants);
  }

  void operator()(const FinishCommand& c) {
    Head(CommandKind::kFinish);
    Key(c.of.key);
    OfTry(c.of);
    WriteDecision(out_, c.decision);
  }

  void operator()(const CloseCommand& c) {
    Head(CommandKind::kClose);
    Time(c.at.value);
  }

  void operator()(const OpenAccountCommand& c) {
    Head(CommandKind::kOpenAccount);
    Key(c.key);
    WriteAccountSpec(out_, c.spec);
  }

 private:
  void Head(CommandKind kind) {
    out_.U8(kVersion);
    out_.U8(static_cast<uint8_t>(kind));
  }
  void Key(const LedgerKey& key) {
    out_.Bytes(key.ledger);
    out_.Bytes(key.id);
  }
  void OfTry(const Try& of) {
    Check(of.attempt > 0, "attempts count from 1");
    out_.Raw(of.digest.view());
    out_.Varint(of.attempt);
  }
  void Time(int64_t us) {
    Check(us >= 0 && us <= kLogTimeMaxUs, "a time in a command is one that a log accepts");
    out_.Varint(static_cast<uint64_t>(us));
  }
  // The key of the try is not sent twice: it is the body's.
  static void CheckBody(const Try& of, const Transaction& body) {
    Check(of.key.ledger == body.ledger && of.key.id == body.id, "a try is of its body's id");
  }

  ByteWriter out_;
};

}  // namespace

std::string EncodeTxnCommand(const TxnCommand& command) {
  std::string out;
  out.reserve(192);
  std::visit(CommandEncoder(&out), command);
  return out;
}

absl::StatusOr<TxnCommand> DecodeTxnCommand(std::string_view bytes) {
  CommandView view;
  if (!view.Decode(bytes))
    return absl::InvalidArgumentError("not a transaction command of a known kind and version");
  LedgerKey key{std::string(view.ledger), std::string(view.id)};
  Try of{key, view.digest, view.attempt};
  LogTime after{view.not_before_us == 0 ? 0 : view.not_before_us - 1};
  switch (view.kind) {
    case CommandKind::kExecute:
      return TxnCommand(ExecuteCommand{std::move(of), view.body.Own(), after});
    case CommandKind::kPrepare: {
      std::vector<std::string> assets(view.assets.begin(), view.assets.end());
      return TxnCommand(PrepareCommand{std::move(of), std::move(view.participants), view.deadline_us,
                                       view.body.Own(), std::move(assets), after});
    }
    case CommandKind::kResolve:
      return TxnCommand(ResolveCommand{std::move(of), std::move(view.participants)});
    case CommandKind::kFinish:
      return TxnCommand(FinishCommand{std::move(of), view.decision});
    case CommandKind::kClose:
      return TxnCommand(CloseCommand{LogTime{view.not_before_us}});
    case CommandKind::kOpenAccount:
      return TxnCommand(OpenAccountCommand{std::move(key), std::move(view.spec)});
  }
  return absl::InvalidArgumentError("unknown kind of command");
}

Digest TransactionDigest(const Transaction& transaction) {
  std::string bytes;
  bytes.reserve(160);
  ByteWriter out(&bytes);
  WriteTransaction(out, transaction);
  return Sha256(bytes);
}

Decision Decide(const std::vector<ShardVote>& votes) {
  Check(!votes.empty(), "a transaction has participants");
  Decision refused{DecisionKind::kRefused, Outcome::kCommitted, 0, {}};
  bool all_prepared = true;
  bool conflict = false;
  bool any_refused = false;
  LogTime latest;
  for (const ShardVote& shard_vote : votes) {
    const Vote& vote = shard_vote.vote;
    if (vote.kind == VoteKind::kPrepared) {
      latest = Bug("txn.committed_at_a_vote") ? vote.at : std::max(latest, vote.at);
      continue;
    }
    all_prepared = false;
    switch (vote.kind) {
      case VoteKind::kPrepared:
        break;
      case VoteKind::kRefused: {
        bool first = !any_refused || vote.transfer < refused.transfer ||
                     (vote.transfer == refused.transfer && vote.refusal < refused.refusal);
        if (first) {
          refused.refusal = vote.refusal;
          refused.transfer = vote.transfer;
        }
        any_refused = true;
        break;
      }
      case VoteKind::kConflict:
        conflict = true;
        break;
      case VoteKind::kBlocked:
      case VoteKind::kResolved:
        break;
      case VoteKind::kSuperseded:
      case VoteKind::kFinished:
        Check(false, "a decision is made from recorded votes");
    }
  }
  if (all_prepared) return Decision{DecisionKind::kCommitted, Outcome::kCommitted, 0, latest};
  if (conflict) return Decision{DecisionKind::kConflict, Outcome::kCommitted, 0, {}};
  if (any_refused) return refused;
  return Decision{DecisionKind::kAborted, Outcome::kCommitted, 0, {}};
}

}  // namespace paxledger
