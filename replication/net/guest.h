#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "replication/core/message.h"
#include "replication/net/tls_setup.h"

namespace paxledger {

struct GuestOptions {
  std::string cluster_id;
  std::string name;  // of this node; its certificate carries it
  TlsFiles files;
  absl::Duration timeout = absl::Seconds(5);
};

/// Asks a node of the cluster as one that has no number yet: dials, greets, sends `question` and returns the bytes of the
/// first answer. Blocks; for a process that has not started its node.
/// Errors: kInvalidArgument   a certificate or key is bad; the message names it
///         kPermissionDenied  refused; the message says why
///         kUnavailable       not reached, no answer in time, or not a node
absl::StatusOr<std::string> AskAsGuest(const GuestOptions& options, const std::string& host, uint16_t port,
                                       AppMessage question);

}  // namespace paxledger
