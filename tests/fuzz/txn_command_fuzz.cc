// The decoder of commands must refuse any bytes without a fault, and what it accepts has one encoding.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/check.h"
#include "txn/command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace paxledger;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<TxnCommand> command = DecodeTxnCommand(bytes);
  if (command.ok()) Check(EncodeTxnCommand(*command) == bytes, "a command has one encoding");
  return 0;
}
