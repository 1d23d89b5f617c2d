#include "ledger/encoding.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace paxledger {
namespace {

constexpr uint8_t kAccountVersion = 1;
constexpr uint8_t kTransactionVersion = 1;

// Which of a transfer's optional fields follow. A field that is there is not empty.
constexpr uint8_t kHasId = 1;
constexpr uint8_t kHasAsset = 2;
constexpr uint8_t kHasEffectiveAt = 4;
constexpr uint8_t kHasCode = 8;
constexpr uint8_t kHasReference = 16;
constexpr uint8_t kHasMetadata = 32;
constexpr uint8_t kTransferFlags = 63;

// "{transaction}~{index}" is longer than an id may be.
constexpr size_t kTransferIdBytesMax = limits::kIdBytesMax + 8;
// A transfer takes at least its flags, two ids of one byte and an amount of one.
constexpr size_t kTransferBytesMin = 7;

std::string_view ReadBounded(ByteReader& in, size_t bytes_max) {
  std::string_view bytes = in.Bytes();
  if (bytes.empty() || bytes.size() > bytes_max) in.Fail();
  return bytes;
}

std::string_view ReadPrintable(ByteReader& in, size_t bytes_max) {
  std::string_view id = ReadBounded(in, bytes_max);
  for (char c : id) {
    if (static_cast<unsigned char>(c) <= 0x20) in.Fail();
  }
  return id;
}

uint8_t SpecFlags(const AccountSpec& spec) {
  return static_cast<uint8_t>(static_cast<unsigned>(spec.normal_side) | static_cast<unsigned>(spec.limit)
                                                                            << 1);
}

void SetSpecFlags(ByteReader& in, unsigned flags, AccountSpec* spec) {
  spec->normal_side = static_cast<Side>(flags & 1);
  unsigned limit = (flags >> 1) & 3;
  if (limit > static_cast<unsigned>(LimitRule::kCreditsMustNotExceedDebits)) in.Fail();
  spec->limit = static_cast<LimitRule>(limit);
}

void WriteSpecFields(ByteWriter& out, const AccountSpec& spec) {
  out.Bytes(spec.asset);
  WriteAmount(out, spec.overdraft);
  out.Bytes(spec.metadata);
}

void ReadSpecFields(ByteReader& in, AccountSpec* spec) {
  spec->asset = ReadId(in);
  spec->overdraft = ReadAmount(in);
  if (spec->overdraft > kTransferAmountMax) in.Fail();
  std::string_view metadata = in.Bytes();
  if (metadata.size() > limits::kMetadataBytesMax) in.Fail();
  spec->metadata = metadata;
}

void WriteTransfer(ByteWriter& out, const Transaction& transaction, size_t index) {
  const Transfer& t = transaction.transfers[index];
  bool derived =
      t.id.empty() || t.id == DerivedTransferId(transaction.id, index, transaction.transfers.size());
  unsigned flags = (derived ? 0u : kHasId) | (t.asset.empty() ? 0u : kHasAsset) |
                   (t.effective_at_us == 0 ? 0u : kHasEffectiveAt) | (t.code.empty() ? 0u : kHasCode) |
                   (t.reference.empty() ? 0u : kHasReference) | (t.metadata.empty() ? 0u : kHasMetadata);
  out.U8(static_cast<uint8_t>(flags));
  out.Bytes(t.debit_account);
  out.Bytes(t.credit_account);
  WriteAmount(out, t.amount);
  if (flags & kHasId) out.Bytes(t.id);
  if (flags & kHasAsset) out.Bytes(t.asset);
  if (flags & kHasEffectiveAt) out.I64(t.effective_at_us);
  if (flags & kHasCode) out.Bytes(t.code);
  if (flags & kHasReference) out.Bytes(t.reference);
  if (flags & kHasMetadata) out.Bytes(t.metadata);
}

TransferView ReadTransfer(ByteReader& in, std::string_view derived_id) {
  TransferView t;
  uint8_t flags = in.U8();
  if ((flags & ~kTransferFlags) != 0) in.Fail();
  t.debit_account = ReadId(in);
  t.credit_account = ReadId(in);
  t.amount = ReadAmount(in);
  if (t.amount == 0 || t.amount > kTransferAmountMax) in.Fail();
  if (flags & kHasId) {
    t.id = ReadPrintable(in, kTransferIdBytesMax);
    if (t.id == derived_id) in.Fail();
  }
  if (flags & kHasAsset) t.asset = ReadId(in);
  if (flags & kHasEffectiveAt) {
    t.effective_at_us = in.I64();
    if (t.effective_at_us == 0) in.Fail();
  }
  if (flags & kHasCode) t.code = ReadBounded(in, limits::kMetadataBytesMax);
  if (flags & kHasReference) t.reference = ReadBounded(in, limits::kMetadataBytesMax);
  if (flags & kHasMetadata) t.metadata = ReadBounded(in, limits::kMetadataBytesMax);
  return t;
}

}  // namespace

std::string DerivedTransferId(std::string_view transaction_id, size_t index, size_t count) {
  std::string id(transaction_id);
  if (count > 1) id.append("~").append(std::to_string(index));
  return id;
}

Transaction TransactionView::Own() const {
  Transaction owned{std::string(ledger), std::string(id), {}};
  owned.transfers.reserve(transfers.size());
  for (const TransferView& t : transfers) {
    Transfer& transfer = owned.transfers.emplace_back();
    transfer.id = t.id.empty() ? DerivedTransferId(id, owned.transfers.size() - 1, transfers.size())
                               : std::string(t.id);
    transfer.debit_account = t.debit_account;
    transfer.credit_account = t.credit_account;
    transfer.amount = t.amount;
    transfer.asset = t.asset;
    transfer.effective_at_us = t.effective_at_us;
    transfer.code = t.code;
    transfer.reference = t.reference;
    transfer.metadata = t.metadata;
  }
  return owned;
}

void WriteAmount(ByteWriter& out, Amount amount) {
  auto low = static_cast<uint64_t>(amount);
  auto high = static_cast<uint64_t>(amount >> 64);
  size_t bits = static_cast<size_t>(high != 0 ? 64 + std::bit_width(high) : std::bit_width(low));
  size_t n = (bits + 7) / 8;
  char raw[17];
  raw[0] = static_cast<char>(n);
  std::memcpy(raw + 1, &amount, 16);  // little-endian machines only, as base/bytes.cc asserts
  out.Raw({raw, n + 1});
}

Amount ReadAmount(ByteReader& in) {
  uint8_t n = in.U8();
  if (n > 16) in.Fail();
  if (!in.ok() || n == 0) return 0;
  std::string_view raw = in.Raw(n);
  if (!in.ok()) return 0;
  if (raw.back() == 0) in.Fail();  // a second encoding of a smaller number
  Amount amount = 0;
  std::memcpy(&amount, raw.data(), raw.size());
  return amount;
}

std::string_view ReadId(ByteReader& in) { return ReadPrintable(in, limits::kIdBytesMax); }

void WriteAccountSpec(ByteWriter& out, const AccountSpec& spec) {
  out.U8(SpecFlags(spec));
  WriteSpecFields(out, spec);
}

AccountSpec ReadAccountSpec(ByteReader& in) {
  AccountSpec spec;
  uint8_t flags = in.U8();
  if (flags > 7) in.Fail();
  SetSpecFlags(in, flags, &spec);
  ReadSpecFields(in, &spec);
  return spec;
}

void WriteAccount(ByteWriter& out, const Account& account) {
  out.U8(kAccountVersion);
  out.U8(static_cast<uint8_t>(SpecFlags(account.spec) | static_cast<unsigned>(account.frozen) << 3 |
                              (account.closed ? 1u : 0u) << 5));
  WriteSpecFields(out, account.spec);
  WriteAmount(out, account.totals.debits_posted);
  WriteAmount(out, account.totals.credits_posted);
  WriteAmount(out, account.totals.debits_pending);
  WriteAmount(out, account.totals.credits_pending);
  WriteAmount(out, account.debits_in_doubt);
  WriteAmount(out, account.credits_in_doubt);
  out.Varint(account.version);
  out.I64(account.opened_at.value);
}

Account ReadAccount(ByteReader& in) {
  Account account;
  if (in.U8() != kAccountVersion) in.Fail();
  uint8_t flags = in.U8();
  if (flags > 63) in.Fail();
  SetSpecFlags(in, flags, &account.spec);
  account.frozen = static_cast<Frozen>((flags >> 3) & 3);
  account.closed = (flags & 32) != 0;
  ReadSpecFields(in, &account.spec);
  account.totals.debits_posted = ReadAmount(in);
  account.totals.credits_posted = ReadAmount(in);
  account.totals.debits_pending = ReadAmount(in);
  account.totals.credits_pending = ReadAmount(in);
  account.debits_in_doubt = ReadAmount(in);
  account.credits_in_doubt = ReadAmount(in);
  account.version = in.Varint();
  account.opened_at = LogTime{in.I64()};
  return account;
}

void WriteTransaction(ByteWriter& out, const Transaction& transaction) {
  out.U8(kTransactionVersion);
  out.Bytes(transaction.ledger);
  out.Bytes(transaction.id);
  out.Varint(transaction.transfers.size());
  for (size_t i = 0; i < transaction.transfers.size(); ++i) WriteTransfer(out, transaction, i);
}

void ReadTransaction(ByteReader& in, TransactionView* view) {
  view->transfers.clear();
  if (in.U8() != kTransactionVersion) in.Fail();
  size_t before = in.remaining();
  view->ledger = ReadId(in);
  view->id = ReadId(in);
  uint64_t count = in.Varint();
  // Bounded by what is there as well, so that a lie about the count allocates nothing.
  if (count == 0 || count > limits::kTransfersPerTransactionMax ||
      count * kTransferBytesMin > in.remaining()) {
    in.Fail();
  }
  if (!in.ok()) return;
  view->transfers.reserve(count);
  std::string derived;
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    if (count > 1) derived = DerivedTransferId(view->id, i, count);
    view->transfers.push_back(ReadTransfer(in, count > 1 ? std::string_view(derived) : view->id));
  }
  if (before - in.remaining() > limits::kTransactionBytesMax) in.Fail();
}

void AppendLedgerKey(std::string* out, std::string_view ledger, std::string_view id) {
  out->append(ledger);
  out->push_back('\0');
  out->append(id);
}

LedgerKey SplitLedgerKey(std::string_view key) {
  size_t zero = key.find('\0');
  Check(zero != std::string_view::npos, "a ledger key holds a zero byte between its parts");
  return LedgerKey{std::string(key.substr(0, zero)), std::string(key.substr(zero + 1))};
}

}  // namespace paxledger
