#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <vector>

namespace paxledger {

/// Which rows of a list may be under way at once.
/// `PerAccount`: rows that share an account run one after another, in order of the list; all others may
/// overlap. Since a transfer reads and changes nothing but its two accounts, every row then ends as if all
/// had run one by one. Of the ready rows those come first that the longest chain of others waits for.
class RowOrder {
 public:
  struct Pair {
    uint32_t debit = 0;  // numbers of accounts, dense from 0
    uint32_t credit = 0;
  };

  /// Any order; handed out in order of the list.
  static RowOrder Free(size_t rows);
  static RowOrder PerAccount(const std::vector<Pair>& rows, size_t accounts);

  /// Appends up to `max` rows that may start now.
  void Take(size_t max, std::vector<uint32_t>* out);
  /// A row that was taken has its outcome: the next on its accounts may start.
  void Done(uint32_t row);
  /// None is ready. More may be once others are done.
  bool NoneReady() const { return free_next_ >= free_end_ && ready_.empty(); }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Ready {
    uint32_t height = 0;
    uint32_t row = 0;
    friend bool operator<(const Ready& a, const Ready& b) {
      return a.height != b.height ? a.height < b.height : a.row > b.row;
    }
  };
  /// A row within the chains of its accounts.
  struct Link {
    uint32_t next_on_debit = kNone;
    uint32_t next_on_credit = kNone;
    uint32_t height = 0;  // rows on the longest chain that waits for this one
    uint8_t waits = 0;    // for how many rows before it
  };
  void Release(uint32_t row);

  size_t free_next_ = 0;
  size_t free_end_ = 0;
  std::vector<Link> links_;
  std::priority_queue<Ready> ready_;
};

}  // namespace paxledger
