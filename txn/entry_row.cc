#include "txn/entry_row.h"

#include "base/check.h"
#include "base/limits.h"
#include "ledger/encoding.h"
#include "txn/command_view.h"

namespace paxledger {
namespace {

constexpr uint8_t kVersion = 1;
// Of the byte that begins a posting; the number of the transfer stands above them.
constexpr uint64_t kCreditFlag = 1;
constexpr uint64_t kLateFlag = 2;  // an older line was committed at its time or later

void WritePlaceBefore(ByteWriter& out, LogIndex index, PostingPlace place) {
  if (place.index.value == 0) return out.Varint(0);
  out.Varint(index.value - place.index.value + 1);
  out.Varint(place.slot);
}

PostingPlace ReadPlaceBefore(ByteReader& in, LogIndex index) {
  uint64_t distance = in.Varint();
  if (distance == 0) return {};
  if (distance > index.value) {
    in.Fail();
    return {};
  }
  return {LogIndex{index.value - (distance - 1)}, static_cast<uint32_t>(in.Varint())};
}

void WritePosting(ByteWriter& out, LogIndex index, LogTime committed_at, const Posting& posting) {
  bool late = posting.older_until >= committed_at;
  uint64_t flags = (posting.side == Side::kCredit ? kCreditFlag : 0) | (late ? kLateFlag : 0);
  out.Varint(uint64_t{posting.transfer} << 2 | flags);
  if (late) out.Varint(static_cast<uint64_t>(posting.older_until.value - committed_at.value));
  WriteAmount(out, posting.amount);
  WritePlaceBefore(out, index, posting.previous);
  WriteAmount(out, posting.debits_posted);
  WriteAmount(out, posting.credits_posted);
}

Posting ReadPosting(ByteReader& in, LogIndex index, LogTime committed_at) {
  Posting posting;
  uint64_t head = in.Varint();
  if (head >> 2 >= limits::kTransfersPerTransactionMax) in.Fail();
  posting.transfer = static_cast<uint32_t>(head >> 2);
  posting.side = (head & kCreditFlag) != 0 ? Side::kCredit : Side::kDebit;
  int64_t late_us = (head & kLateFlag) != 0 ? ReadTime(in) : -1;
  posting.amount = ReadAmount(in);
  posting.previous = ReadPlaceBefore(in, index);
  posting.debits_posted = ReadAmount(in);
  posting.credits_posted = ReadAmount(in);
  if (posting.previous.index.value != 0) posting.older_until = LogTime{committed_at.value + late_us};
  return posting;
}

}  // namespace

std::string EncodeEntryRow(LogIndex index, const EntryRow& row) {
  std::string bytes;
  bytes.reserve(8 + row.transactions.size() * 56 + row.postings.size() * 24);
  ByteWriter out(&bytes);
  out.U8(kVersion);
  out.Varint(row.transactions.size());
  size_t next = 0;
  for (uint32_t n = 0; n < row.transactions.size(); ++n) {
    const PostedTransaction& transaction = row.transactions[n];
    Check(transaction.body_at <= index, "a body stands in the entry that commits it, or before");
    out.Bytes(transaction.id);
    out.Varint(static_cast<uint64_t>(transaction.committed_at.value));
    out.Varint(index.value - transaction.body_at.value);
    out.Varint(transaction.command);
    size_t end = next;
    while (end < row.postings.size() && row.postings[end].transaction == n) ++end;
    out.Varint(end - next);
    for (; next < end; ++next) WritePosting(out, index, transaction.committed_at, row.postings[next]);
  }
  Check(next == row.postings.size(), "postings stand in the order of their transactions");
  return bytes;
}

absl::StatusOr<EntryRow> DecodeEntryRow(LogIndex index, std::string_view bytes) {
  ByteReader in(bytes);
  EntryRow row;
  if (in.U8() != kVersion) in.Fail();
  uint64_t transactions = in.Varint();
  for (uint32_t n = 0; n < transactions && in.ok(); ++n) {
    PostedTransaction& transaction = row.transactions.emplace_back();
    transaction.id = std::string(in.Bytes());
    transaction.committed_at = LogTime{ReadTime(in)};
    uint64_t distance = in.Varint();
    if (distance > index.value) in.Fail();
    transaction.body_at = LogIndex{index.value - distance};
    transaction.command = static_cast<uint32_t>(in.Varint());
    uint64_t postings = in.Varint();
    for (uint64_t i = 0; i < postings && in.ok(); ++i) {
      row.postings.push_back(ReadPosting(in, index, transaction.committed_at));
      row.postings.back().transaction = n;
    }
  }
  if (!in.AtEnd()) return absl::DataLossError("the row of what an entry did is damaged");
  return row;
}

void WritePostingChain(ByteWriter& out, const PostingChain& chain) {
  out.Varint(chain.lines);
  if (chain.lines == 0) return;
  out.Varint(chain.newest.index.value);
  out.Varint(chain.newest.slot);
  out.Varint(static_cast<uint64_t>(chain.latest.value));
  out.Varint(static_cast<uint64_t>(chain.indexed_until.value));
  out.Varint(chain.unindexed);
}

PostingChain ReadPostingChain(ByteReader& in) {
  PostingChain chain;
  chain.lines = in.Varint();
  if (chain.lines == 0) return chain;
  chain.newest.index = LogIndex{in.Varint()};
  chain.newest.slot = static_cast<uint32_t>(in.Varint());
  chain.latest = LogTime{ReadTime(in)};
  chain.indexed_until = LogTime{ReadTime(in)};
  chain.unindexed = static_cast<uint32_t>(in.Varint());
  return chain;
}

}  // namespace paxledger
