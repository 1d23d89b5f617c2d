#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ledger/account.h"

namespace paxledger {

/// One movement of money as the client asked for it.
struct Transfer {
  std::string id;             // of a transaction of one: the transaction's; else "{transaction}~{n}"
  std::string debit_account;  // in the transaction's ledger
  std::string credit_account;
  Amount amount = 0;
  std::string asset;            // empty: the accounts' own
  int64_t effective_at_us = 0;  // bookkeeping date; 0: none
  std::string code;
  std::string reference;
  std::string metadata;  // a JSON object as the client wrote it, or empty
  friend bool operator==(const Transfer&, const Transfer&) = default;
};

/// A list of transfers that commits as a whole. Its canonical encoding is hashed into the idempotency digest.
struct Transaction {
  std::string ledger;
  std::string id;
  std::vector<Transfer> transfers;
  friend bool operator==(const Transaction&, const Transaction&) = default;
};

}  // namespace paxledger
