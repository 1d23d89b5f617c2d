#include "ops/ledgerctl/row_order.h"

#include <algorithm>

#include "base/check.h"

namespace paxledger {

RowOrder RowOrder::Free(size_t rows) {
  RowOrder out;
  out.free_end_ = rows;
  return out;
}

RowOrder RowOrder::PerAccount(const std::vector<Pair>& rows, size_t accounts) {
  RowOrder out;
  out.links_.resize(rows.size());
  std::vector<uint32_t> following(accounts, kNone);  // the nearest later row on each account
  for (size_t i = rows.size(); i-- > 0;) {
    const Pair pair = rows[i];
    Link& link = out.links_[i];
    link.next_on_debit = following[pair.debit];
    link.next_on_credit = following[pair.credit];
    if (link.next_on_credit == link.next_on_debit) link.next_on_credit = kNone;  // one row, waited for once
    for (const uint32_t next : {link.next_on_debit, link.next_on_credit}) {
      if (next == kNone) continue;
      ++out.links_[next].waits;
      link.height = std::max(link.height, out.links_[next].height + 1);
    }
    following[pair.debit] = static_cast<uint32_t>(i);
    following[pair.credit] = static_cast<uint32_t>(i);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (out.links_[i].waits == 0) out.ready_.push({out.links_[i].height, static_cast<uint32_t>(i)});
  }
  return out;
}

void RowOrder::Take(size_t max, std::vector<uint32_t>* out) {
  for (; max > 0 && free_next_ < free_end_; --max) out->push_back(static_cast<uint32_t>(free_next_++));
  for (; max > 0 && !ready_.empty(); --max) {
    out->push_back(ready_.top().row);
    ready_.pop();
  }
}

void RowOrder::Done(uint32_t row) {
  if (links_.empty()) return;
  Release(links_[row].next_on_debit);
  Release(links_[row].next_on_credit);
}

void RowOrder::Release(uint32_t row) {
  if (row == kNone) return;
  Link& link = links_[row];
  Check(link.waits > 0, "a row that is waited for has not started");
  if (--link.waits == 0) ready_.push({link.height, row});
}

}  // namespace paxledger
