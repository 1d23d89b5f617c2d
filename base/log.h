#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace paxledger {

enum class LogLevel : uint8_t { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };

/// "debug", "info", "warn", "error"; nullopt: no such level.
std::optional<LogLevel> LogLevelFromName(std::string_view name);

/// Lines below `level` are dropped from now on; kInfo at first.
void SetLogLevel(LogLevel level);

/// One line of the log, written to standard error with a single write when the statement ends:
///     2026-01-31T12:00:00.000000Z INFO  ledgerd: serving https=127.0.0.1:7101 shards=12
/// For the shell only: pure code returns what it has to say.
/// Threads: any; lines never mix.
/// Format:  time, level, component, message, then key=value; a value that holds a space, a quote, '=' or a
/// control
///          character stands in double quotes, escaped as in JSON.
/// Example: Log(LogLevel::kInfo, "ledgerd", "serving").With("shards", 12);
class Log {
 public:
  Log(LogLevel level, std::string_view component, std::string_view message);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  Log& With(std::string_view key, std::string_view value);
  template <class T>
    requires std::is_integral_v<T>
  Log& With(std::string_view key, T value) {
    return With(key, std::string_view(std::to_string(value)));
  }

 private:
  bool wanted_;
  std::string line_;
};

}  // namespace paxledger
