#include "ops/bench/event_log.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace paxledger {

namespace {
constexpr size_t kBufferBytes = 1 << 20;  // the load must not wait for the disk at every line
}

absl::StatusOr<std::unique_ptr<EventLog>> EventLog::Create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot write '", path, "': ", std::strerror(errno)));
  }
  std::setvbuf(file, nullptr, _IOFBF, kBufferBytes);
  std::fputs(
      "sent_us,done_us,client,endpoint,attempts,debit,credit,debit_shard,credit_shard,amount,outcome\n",
      file);
  return std::unique_ptr<EventLog>(new EventLog(file));
}

EventLog::~EventLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void EventLog::Write(const TransferEvent& e) {
  std::fprintf(file_,
               "%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32
               ",%" PRIu32 ",%" PRIu64 ",%.*s\n",
               e.sent_us, e.done_us, e.client, e.endpoint, e.attempts, e.debit, e.credit, e.debit_shard,
               e.credit_shard, e.amount, static_cast<int>(e.outcome.size()), e.outcome.data());
}

absl::Status EventLog::Close() {
  const bool failed = std::ferror(file_) != 0;
  const bool unwritten = std::fclose(std::exchange(file_, nullptr)) != 0;
  if (failed || unwritten) return absl::UnavailableError("not all events could be written");
  return absl::OkStatus();
}

}  // namespace paxledger
