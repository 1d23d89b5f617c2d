#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace paxledger {

void CheckFailed(std::string_view rule, std::source_location where) {
  std::fprintf(stderr, "CHECK failed: %.*s (%s:%u in %s)\n", static_cast<int>(rule.size()), rule.data(),
               where.file_name(), static_cast<unsigned>(where.line()), where.function_name());
  std::fflush(stderr);
  std::abort();
}

}  // namespace paxledger
