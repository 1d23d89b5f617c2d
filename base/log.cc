#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace paxledger {
namespace {

std::atomic<LogLevel> least_level{LogLevel::kInfo};

std::string_view PaddedName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "DEBUG ";
    case LogLevel::kInfo:
      return "INFO  ";
    case LogLevel::kWarn:
      return "WARN  ";
    case LogLevel::kError:
      return "ERROR ";
  }
  return "?     ";
}

bool IsPlain(std::string_view value) {
  if (value.empty()) return false;
  for (char c : value) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  }
  return true;
}

// A message or value from outside may hold line breaks; a line of the log must stay one line. `quotes` are escaped too.
void AppendEscaped(std::string_view value, std::string_view quotes, std::string* out) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (char c : value) {
    auto byte = static_cast<unsigned char>(c);
    if (quotes.find(c) != std::string_view::npos) {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (byte < ' ' || byte == 0x7f) {
      out->append("\\u00");
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
    } else {
      out->push_back(c);
    }
  }
}

}  // namespace

std::optional<LogLevel> LogLevelFromName(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return std::nullopt;
}

void SetLogLevel(LogLevel level) { least_level.store(level, std::memory_order_relaxed); }

Log::Log(LogLevel level, std::string_view component, std::string_view message)
    : wanted_(level >= least_level.load(std::memory_order_relaxed)) {
  if (!wanted_) return;
  line_ = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ ", absl::Now(), absl::UTCTimeZone());
  line_.append(PaddedName(level)).append(component).append(": ");
  AppendEscaped(message, "", &line_);
}

Log& Log::With(std::string_view key, std::string_view value) {
  if (!wanted_) return *this;
  line_.append(" ").append(key).append("=");
  if (IsPlain(value)) {
    line_.append(value);
  } else {
    line_.push_back('"');
    AppendEscaped(value, "\"\\", &line_);
    line_.push_back('"');
  }
  return *this;
}

Log::~Log() {
  if (!wanted_) return;
  line_.push_back('\n');
  // One write per line, so that lines of several threads never mix. A log that cannot be written stops
  // nobody.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line_.data(), line_.size());
}

}  // namespace paxledger
