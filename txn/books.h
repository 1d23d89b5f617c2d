#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/strong_id.h"
#include "ledger/account.h"
#include "txn/shard_machine.h"

namespace paxledger {

struct CachedAccount;

/// The accounts of one asset in one shard, summed, and its clearing accounts by counterpart.
struct AssetBook {
  std::string asset;
  Totals sums;  // modulo 2^128
  std::map<ShardId, CachedAccount*> clearing;
  bool changed = false;  // by the entry that is being applied
};

/// Sums per asset, kept from the changes of accounts, whatever caused them: so they catch a posting that was
/// forgotten.
/// Threads: the node's strand.
class Books {
 public:
  /// The book of `asset`; it lives as long as this.
  AssetBook& Of(std::string_view asset);
  /// An account of `book` went from `before` to `after`.
  void Changed(AssetBook& book, const Totals& before, const Totals& after);
  /// Ends an entry: every book that it changed balances (design §1.4).
  void CheckBalanced();

  std::vector<AssetTotals> TotalsByAsset() const;
  std::vector<ClearingTotals> Clearing() const;

  /// As they stand in the head row of a checkpoint.
  void Write(ByteWriter& out) const;
  void Read(ByteReader& in);

 private:
  std::map<std::string, AssetBook, std::less<>> books_;
  std::vector<AssetBook*> changed_;
};

}  // namespace paxledger
