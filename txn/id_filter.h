#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace paxledger {

/// Says of most ids that were never seen that they were not, without a look at the disk: nearly every new transaction asks
/// that of each of its shards, and a lookup in RocksDB, its own filters included, took a fifth of a busy node's time.
/// Blocked Bloom filters in layers, each twice as large as the one before. Past `kKeysMax` ids it is given up, and all
/// lookups go to the disk: it saves time, and no answer depends on it.
/// Threads: the node's strand.
class IdFilter {
 public:
  static constexpr size_t kKeysMax = 1'000'000;  // about 2 MiB

  void Add(std::string_view key);
  /// False: `key` was never added.
  bool MayContain(std::string_view key) const;
  bool given_up() const { return given_up_; }

 private:
  static constexpr size_t kFirstLayerKeys = 1 << 12;
  static constexpr size_t kBitsPerKey = 12;
  static constexpr size_t kBlockWords = 8;  // one cache line
  struct Layer {
    std::vector<uint64_t> words;
    size_t room;
  };
  struct Probe;

  std::vector<Layer> layers_;
  size_t keys_ = 0;
  bool given_up_ = false;
};

}  // namespace paxledger
