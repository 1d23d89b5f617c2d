#include "replication/store/write_ahead_check.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger {
namespace {

// RocksDB's log format: blocks of 32 KiB; records, which never cross a block, of a masked CRC-32C over type
// and payload, the payload's length, a type and the payload. Less than a header's room at the end of a block
// stays unused.
constexpr size_t kBlockBytes = 32768;
constexpr size_t kHeaderBytes = 7;
constexpr uint8_t kFirstType = 1;  // full, first, middle, last: we use neither recycled nor compressed logs
constexpr uint8_t kLastType = 4;

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

uint32_t ExtendCrc(uint32_t state, char byte) {
  return (state >> 8) ^ kCrcTable[(state ^ static_cast<uint8_t>(byte)) & 0xff];
}

struct Header {
  uint32_t crc;
  size_t length;
  uint8_t type;
  bool known_type() const { return type >= kFirstType && type <= kLastType; }
};

Header ReadHeader(std::string_view at) {
  ByteReader reader(at);
  uint32_t masked = reader.U32();
  size_t length = reader.U16();
  uint8_t type = reader.U8();
  uint32_t rotated = masked - 0xa282ead8u;
  return {(rotated >> 17) | (rotated << 15), length, type};
}

/// The lengths up to `longest` with which the record at the start of `at` has the checksum in its header: is
/// there one?
bool FitsSomeLength(std::string_view at, size_t shortest, size_t longest) {
  Header header = ReadHeader(at);
  if (!header.known_type()) return false;
  uint32_t state = ExtendCrc(~0u, static_cast<char>(header.type));
  for (size_t length = 0;; ++length) {
    if (length >= shortest && ~state == header.crc) return true;
    if (length == longest) return false;
    state = ExtendCrc(state, at[kHeaderBytes + length]);
  }
}

/// The rest of the last block starts with a record that is longer than what is there. Torn, or whole with a
/// damaged length? It is damage if the record is good at another length, or a good record comes later.
bool IsDamageNotTear(std::string_view rest) {
  if (FitsSomeLength(rest, 0, rest.size() - kHeaderBytes)) return true;
  for (size_t at = 1; at + kHeaderBytes <= rest.size(); ++at) {
    std::string_view candidate = rest.substr(at);
    size_t length = ReadHeader(candidate).length;
    if (length > 0 && length <= candidate.size() - kHeaderBytes && FitsSomeLength(candidate, length, length))
      return true;
  }
  return false;
}

enum class LogEnd { kClean, kTorn, kDamaged };

struct LogVerdict {
  LogEnd end = LogEnd::kClean;
  size_t at = 0;
};

LogVerdict Judge(std::string_view log) {
  size_t at = 0;
  while (at < log.size()) {
    size_t block_end = std::min(log.size(), (at / kBlockBytes + 1) * kBlockBytes);
    size_t room = block_end - at;
    if (room < kHeaderBytes) {
      if (block_end == log.size() && block_end % kBlockBytes != 0) return {LogEnd::kTorn, at};
      at = block_end;
      continue;
    }
    Header header = ReadHeader(log.substr(at));
    if (header.type == 0 && header.length == 0) {
      // Zeros to the end were never written; recovery skips those in the middle without a word.
      bool zeros = log.find_first_not_of('\0', at) == std::string_view::npos;
      return {zeros ? LogEnd::kTorn : LogEnd::kDamaged, at};
    }
    if (!header.known_type()) return {LogEnd::kDamaged, at};
    if (kHeaderBytes + header.length > room) {
      bool last_block = block_end == log.size();
      bool damaged = !last_block || IsDamageNotTear(log.substr(at));
      return {damaged ? LogEnd::kDamaged : LogEnd::kTorn, at};
    }
    at += kHeaderBytes + header.length;
  }
  return {LogEnd::kClean, at};
}

}  // namespace

absl::Status CheckWriteAheadLogs(const std::string& database) {
  namespace fs = std::filesystem;
  std::map<uint64_t, fs::path> logs;
  std::error_code error;
  if (!fs::exists(database, error)) return absl::OkStatus();
  for (const fs::directory_entry& entry : fs::directory_iterator(database, error)) {
    uint64_t number = 0;
    if (entry.path().extension() == ".log" && absl::SimpleAtoi(entry.path().stem().string(), &number)) {
      logs.emplace(number, entry.path());
    }
  }
  if (error) return absl::InternalError(absl::StrCat("cannot list ", database, ": ", error.message()));
  std::string torn;  // the earlier log that ended early, if any
  for (const auto& [number, path] : logs) {
    std::ifstream in(path, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (in.bad() || !in.is_open()) return absl::InternalError(absl::StrCat("cannot read ", path.string()));
    if (bytes.empty()) continue;
    if (!torn.empty()) {
      return absl::DataLossError(
          absl::StrCat(torn, " ends early, but ", path.string(), " holds what came after it"));
    }
    LogVerdict verdict = Judge(bytes);
    if (verdict.end == LogEnd::kDamaged) {
      return absl::DataLossError(
          absl::StrCat("write-ahead log ", path.string(), " is damaged at byte ", verdict.at));
    }
    if (verdict.end == LogEnd::kTorn) torn = absl::StrCat("write-ahead log ", path.string());
  }
  return absl::OkStatus();
}

}  // namespace paxledger
