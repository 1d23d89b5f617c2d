#include "tests/sim/explore_names.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "replication/core/envelope.h"

namespace paxledger::sim {

std::string ValueNames::CommandName(std::string_view encoded, Naming naming) {
  std::string name(encoded);
  if (naming == Naming::kPlain || name.empty()) return name;
  if (name.back() == 'a') {
    name.back() = 'b';
  } else if (name.back() == 'b') {
    name.back() = 'a';
  }
  return name;
}

void ValueNames::Learn(const Digest& digest, std::string_view value) {
  auto [at, fresh] = names_.try_emplace(digest);
  if (!fresh) return;
  absl::StatusOr<Envelope> envelope = DecodeEnvelope(value);
  if (!envelope.ok()) return;
  for (Naming naming : {Naming::kPlain, Naming::kExchanged}) {
    std::string& name = at->second[static_cast<size_t>(naming)];
    name = absl::StrCat(envelope->owner.replica.value, "#", envelope->owner.incarnation.value, ":");
    for (const Command& command : envelope->commands) {
      absl::StrAppend(&name, ToAbsl(CommandName(command.bytes, naming)), "+");
    }
  }
}

std::string ValueNames::Name(const Digest& digest, Naming naming) const {
  if (digest.none()) return "-";
  auto at = names_.find(digest);
  return at == names_.end() ? "?" : at->second[static_cast<size_t>(naming)];
}

void NamedState::Number(uint64_t number) { AppendBigEndian64(&text_, number); }

// Whether a wait that counts from there is over is all that matters: nothing waits as long as a tick jumps.
void NamedState::Time(int64_t us) {
  if (us > now_us_) {
    text_ += 'f';
  } else {
    text_ += now_us_ - us < kExploreJumpUs / 2 ? 'n' : 'p';
  }
}

void NamedState::Values(const std::vector<Digest>& digests) {
  std::vector<std::string> names;
  for (const Digest& digest : digests) names.push_back(names_.Name(digest, naming_));
  std::ranges::sort(names);
  Number(names.size());
  for (const std::string& name : names) Text(name);
}

void NamedState::Text(std::string_view text) {
  Number(text.size());
  text_.append(text);
}

std::array<uint64_t, 2> HashOf(std::string_view text) {
  Digest digest = Sha256(text);
  std::array<uint64_t, 2> hash;
  std::memcpy(hash.data(), digest.bytes.data(), sizeof(hash));
  return hash;
}

}  // namespace paxledger::sim
