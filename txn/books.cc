#include "txn/books.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "ledger/encoding.h"
#include "txn/account_cache.h"

namespace paxledger {

AssetBook& Books::Of(std::string_view asset) {
  auto found = books_.find(asset);
  if (found == books_.end()) {
    found = books_.emplace(std::string(asset), AssetBook{}).first;
    found->second.asset = found->first;
  }
  return found->second;
}

void Books::Changed(AssetBook& book, const Totals& before, const Totals& after) {
  book.sums.debits_posted += after.debits_posted - before.debits_posted;
  book.sums.credits_posted += after.credits_posted - before.credits_posted;
  book.sums.debits_pending += after.debits_pending - before.debits_pending;
  book.sums.credits_pending += after.credits_pending - before.credits_pending;
  if (!book.changed) {
    book.changed = true;
    changed_.push_back(&book);
  }
}

void Books::CheckBalanced() {
  for (AssetBook* book : changed_) {
    Check(book->sums.debits_posted == book->sums.credits_posted,
          "posted debits equal posted credits per shard and asset");
    Check(book->sums.debits_pending == book->sums.credits_pending, "pending debits equal pending credits");
    book->changed = false;
  }
  changed_.clear();
}

std::vector<AssetTotals> Books::TotalsByAsset() const {
  std::vector<AssetTotals> totals;
  totals.reserve(books_.size());
  for (const auto& [asset, book] : books_) totals.push_back({asset, book.sums});
  return totals;
}

std::vector<ClearingTotals> Books::Clearing() const {
  std::vector<ClearingTotals> clearing;
  for (const auto& [asset, book] : books_) {
    for (const auto& [counterpart, account] : book.clearing) {
      clearing.push_back({counterpart, asset, account->account.totals});
    }
  }
  std::sort(clearing.begin(), clearing.end(), [](const ClearingTotals& a, const ClearingTotals& b) {
    return std::tie(a.counterpart, a.asset) < std::tie(b.counterpart, b.asset);
  });
  return clearing;
}

void Books::Write(ByteWriter& out) const {
  out.Varint(books_.size());
  for (const auto& [asset, book] : books_) {
    out.Bytes(asset);
    WriteAmount(out, book.sums.debits_posted);
    WriteAmount(out, book.sums.credits_posted);
    WriteAmount(out, book.sums.debits_pending);
    WriteAmount(out, book.sums.credits_pending);
  }
}

void Books::Read(ByteReader& in) {
  uint64_t count = in.Varint();
  for (uint64_t i = 0; i < count && in.ok(); ++i) {
    Totals& sums = Of(ReadId(in)).sums;
    sums.debits_posted = ReadAmount(in);
    sums.credits_posted = ReadAmount(in);
    sums.debits_pending = ReadAmount(in);
    sums.credits_pending = ReadAmount(in);
  }
}

}  // namespace paxledger
