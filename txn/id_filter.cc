#include "txn/id_filter.h"

#include "base/digest.h"

namespace paxledger {

/// The bits of a key: one block, and six of its 512 bits.
struct IdFilter::Probe {
  explicit Probe(std::string_view key) : hash(Checksum64(key)) {}

  size_t Block(const Layer& layer) const {
    // The high half picks the block, the low half the bits.
    return static_cast<size_t>(((hash >> 32) * (layer.words.size() / kBlockWords)) >> 32) * kBlockWords;
  }
  template <class Visit>
  void Bits(Visit visit) const {
    uint64_t bits = hash * 0x9e3779b97f4a7c15U;
    for (int i = 0; i < 6; ++i, bits >>= 9) visit((bits >> 6) & 7, uint64_t{1} << (bits & 63));
  }

  uint64_t hash;
};

void IdFilter::Add(std::string_view key) {
  if (given_up_) return;
  if (keys_ == kKeysMax) {
    given_up_ = true;
    layers_ = {};
    return;
  }
  if (layers_.empty() || layers_.back().room == 0) {
    size_t room = layers_.empty() ? kFirstLayerKeys : kFirstLayerKeys << layers_.size();
    size_t blocks = room * kBitsPerKey / (64 * kBlockWords) + 1;
    layers_.push_back({std::vector<uint64_t>(blocks * kBlockWords), room});
  }
  Layer& layer = layers_.back();
  --layer.room;
  ++keys_;
  Probe probe(key);
  size_t block = probe.Block(layer);
  probe.Bits([&](size_t word, uint64_t bit) { layer.words[block + word] |= bit; });
}

bool IdFilter::MayContain(std::string_view key) const {
  if (given_up_) return true;
  Probe probe(key);
  for (const Layer& layer : layers_) {
    size_t block = probe.Block(layer);
    bool all = true;
    probe.Bits([&](size_t word, uint64_t bit) { all = all && (layer.words[block + word] & bit) != 0; });
    if (all) return true;
  }
  return false;
}

}  // namespace paxledger
