#include "txn/account_cache.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "ledger/encoding.h"
#include "txn/state_rows.h"

namespace paxledger {
namespace {

constexpr uint8_t kAccountElement = 1;
// The ledger of clearing accounts is the empty one, which no client can name.
constexpr std::string_view kClearingPrefix{"\0clearing:", 10};

std::string ClearingKey(ShardId counterpart, std::string_view asset) {
  std::string key(kClearingPrefix);
  key.append(std::to_string(counterpart.value)).append(":").append(asset);
  return key;
}

}  // namespace

AccountCache::AccountCache(ShardId shard, size_t clean_max, Engine& engine, Books& books,
                           MultisetDigest& digest)
    : shard_(shard), clean_max_(clean_max), engine_(engine), books_(books), digest_(digest) {}

CachedAccount* AccountCache::FindCached(std::string_view key) const {
  auto found = accounts_.find(ToAbsl(key));
  return found == accounts_.end() ? nullptr : found->second.get();
}

CachedAccount* AccountCache::Find(std::string_view key) {
  if (CachedAccount* cached = FindCached(key)) {
    cached->recent = true;
    return cached;
  }
  absl::StatusOr<std::optional<std::string>> row =
      engine_.Get(Table::kState, StateRowKey(shard_, StateRow::kAccount, key));
  if (!row.ok()) StopOnDamage(row.status());
  if (!row->has_value()) return nullptr;
  absl::StatusOr<StoredAccount> stored = DecodeRow(**row);
  if (!stored.ok()) StopOnDamage(stored.status());
  CachedAccount& loaded = Insert(key, *std::move(stored));
  loaded.in_digest = true;
  return &loaded;
}

absl::StatusOr<StoredAccount> AccountCache::DecodeRow(std::string_view value) {
  ByteReader in(value);
  StoredAccount stored;
  stored.account = ReadAccount(in);
  stored.chain = ReadPostingChain(in);
  if (!in.AtEnd()) return absl::DataLossError("the row of an account is damaged");
  return stored;
}

CachedAccount& AccountCache::Insert(std::string_view key, StoredAccount stored) {
  auto owned = std::make_unique<CachedAccount>();
  CachedAccount& inserted = *owned;
  inserted.key = key;
  inserted.account = std::move(stored.account);
  inserted.chain = stored.chain;
  inserted.book = &books_.Of(inserted.account.spec.asset);
  accounts_.emplace(inserted.key, std::move(owned));  // a view of the key in the account itself
  ring_.push_back(&inserted);
  return inserted;
}

CachedAccount& AccountCache::Create(std::string_view key, Account account) {
  CachedAccount& created = Insert(key, StoredAccount{std::move(account), {}});
  Touch(created);
  return created;
}

CachedAccount& AccountCache::Clearing(AssetBook& book, ShardId counterpart, LogTime at) {
  CachedAccount*& clearing = book.clearing[counterpart];
  if (clearing == nullptr) {
    Account account;
    account.spec.asset = book.asset;
    account.opened_at = at;
    clearing = &Create(ClearingKey(counterpart, book.asset), std::move(account));
    clearing->clearing = true;
  }
  return *clearing;
}

void AccountCache::Touch(CachedAccount& account) {
  if (account.touched) return;
  account.touched = true;
  if (account.in_digest && !account.element_known) {
    account.element = ElementOf(account);
    account.element_known = true;
  }
  touched_.push_back({&account, account.account.totals});
}

Digest AccountCache::ElementOf(const CachedAccount& account) {
  scratch_.clear();
  ByteWriter out(&scratch_);
  out.U8(kAccountElement);
  out.Bytes(account.key);
  WriteAccount(out, account.account);
  return digest_.Element(scratch_);
}

void AccountCache::EndEntry() {
  for (const Touched& t : touched_) {
    CachedAccount& account = *t.account;
    account.touched = false;
    if (account.in_digest) digest_.Remove(account.element);
    account.element = ElementOf(account);
    account.element_known = true;
    account.in_digest = true;
    digest_.Add(account.element);
    books_.Changed(*account.book, t.before, account.account.totals);
    if (!account.dirty) {
      account.dirty = true;
      dirty_.push_back(&account);
    }
  }
  touched_.clear();
  Shrink();
}

void AccountCache::Shrink() {
  // The first look at an account takes away `recent`, the second evicts it. Bounded, since all may be pinned.
  constexpr size_t kLooksMax = 1024;
  size_t looks = std::min(2 * ring_.size(), kLooksMax);
  size_t pinned = dirty_.size() + writing_.size();
  while (ring_.size() > clean_max_ + pinned && looks-- > 0) {
    if (hand_ >= ring_.size()) hand_ = 0;
    CachedAccount* account = ring_[hand_];
    bool kept = account->dirty || account->writing || account->clearing || !account->reservations.empty();
    if (kept || account->recent) {
      account->recent = false;
      ++hand_;
      continue;
    }
    ring_[hand_] = ring_.back();
    ring_.pop_back();
    accounts_.erase(accounts_.find(ToAbsl(account->key)));
  }
}

void AccountCache::AppendRows(EngineBatch* batch) {
  Check(writing_.empty(), "one checkpoint at a time");
  Check(touched_.empty(), "a checkpoint lies between entries");
  writing_.swap(dirty_);
  for (CachedAccount* account : writing_) {
    account->dirty = false;
    account->writing = true;
    std::string value;
    value.reserve(96 + account->account.spec.metadata.size());
    ByteWriter out(&value);
    WriteAccount(out, account->account);
    WritePostingChain(out, account->chain);
    batch->Add(EngineBatch::Put{Table::kState, StateRowKey(shard_, StateRow::kAccount, account->key),
                                std::move(value)});
  }
}

void AccountCache::RowsWritten() {
  for (CachedAccount* account : writing_) account->writing = false;
  writing_.clear();
}

absl::Status AccountCache::Recover() {
  std::string begin = StateRowKey(shard_, StateRow::kAccount, kClearingPrefix);
  std::unique_ptr<EngineCursor> rows = engine_.Scan(Table::kState, begin, PrefixEnd(begin));
  for (; rows->valid(); rows->Next()) {
    std::string_view key = rows->key().substr(kRowPrefixBytes);
    std::string_view number = key.substr(kClearingPrefix.size());
    uint32_t counterpart = 0;
    auto parsed = std::from_chars(number.data(), number.data() + number.size(), counterpart);
    absl::StatusOr<StoredAccount> stored = DecodeRow(rows->value());
    if (!stored.ok()) return stored.status();
    if (parsed.ec != std::errc{}) return absl::DataLossError("the key of a clearing account is damaged");
    CachedAccount& loaded = Insert(key, *std::move(stored));
    loaded.in_digest = true;
    loaded.clearing = true;
    loaded.book->clearing[ShardId{counterpart}] = &loaded;
  }
  return rows->status();
}

std::vector<CachedAccount*> AccountCache::NewerThanRows(std::string_view begin, std::string_view end) const {
  std::vector<CachedAccount*> newer;
  auto take = [&](const std::vector<CachedAccount*>& from) {
    for (CachedAccount* account : from) {
      if (account->key >= begin && (end.empty() || account->key < end)) newer.push_back(account);
    }
  };
  take(dirty_);
  take(writing_);
  std::sort(newer.begin(), newer.end(),
            [](const CachedAccount* a, const CachedAccount* b) { return a->key < b->key; });
  newer.erase(std::unique(newer.begin(), newer.end()), newer.end());
  return newer;
}

}  // namespace paxledger
