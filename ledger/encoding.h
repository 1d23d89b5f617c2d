#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "ledger/account.h"
#include "ledger/transfer.h"

namespace paxledger {

/// A transfer that points into the bytes it was decoded from.
struct TransferView {
  std::string_view id;  // empty: the derived one, see DerivedTransferId
  std::string_view debit_account;
  std::string_view credit_account;
  Amount amount = 0;
  std::string_view asset;
  int64_t effective_at_us = 0;
  std::string_view code;
  std::string_view reference;
  std::string_view metadata;
};

/// A transaction that points into the bytes it was decoded from.
struct TransactionView {
  std::string_view ledger;
  std::string_view id;
  std::vector<TransferView> transfers;

  Transaction Own() const;
};

/// The id of transfer `index` (from 0) in a transaction of `count`: the transaction's own where there is one,
/// else
/// "{transaction}~{index}".
std::string DerivedTransferId(std::string_view transaction_id, size_t index, size_t count);

/// One length byte and as many little-endian bytes, the last of them not zero: most amounts take four bytes,
/// not sixteen.
void WriteAmount(ByteWriter& out, Amount amount);
Amount ReadAmount(ByteReader& in);

/// A ledger, account or transaction id: 1..64 bytes, none a space or a control character, so that keys may
/// use those.
std::string_view ReadId(ByteReader& in);

/// Each of these has one encoding per value. The readers check every bound (base/limits.h); what breaks one
/// makes `in.ok()` false.
/// Format:  docs/formats.md#canonical-encoding
void WriteAccountSpec(ByteWriter& out, const AccountSpec& spec);
AccountSpec ReadAccountSpec(ByteReader& in);
void WriteAccount(ByteWriter& out, const Account& account);
Account ReadAccount(ByteReader& in);
void WriteTransaction(ByteWriter& out, const Transaction& transaction);
/// Reuses the room of `view`.
void ReadTransaction(ByteReader& in, TransactionView* view);

/// `ledger`, a zero byte, `id`: how keys are hashed and stored.
void AppendLedgerKey(std::string* out, std::string_view ledger, std::string_view id);
LedgerKey SplitLedgerKey(std::string_view key);

}  // namespace paxledger
