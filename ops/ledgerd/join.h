#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "cluster/directory.h"
#include "cluster/node_config.h"

namespace paxledger {

/// How a node comes into the cluster: with what its disk holds, or with an empty one in the place of what it lost.
enum class Entry : uint8_t { kRun, kRejoin };

/// Finds out under which number the node runs, before it is made, and writes it into `setup.self`: that of the creation
/// document; or the one that its data directory names; or, of a node that joins, the one that the directory of its peers
/// has; or, to rejoin, a new one that the cluster gives out, once, however often this is tried. What is learned is durable
/// in the data directory when this returns. Returns the directory where peers were asked, else one of version 0.
/// Blocks for up to a minute while no peer answers.
/// Errors: kInvalidArgument     a certificate or key is bad
///         kNotFound            the cluster has no node of this name
///         kFailedPrecondition  the data directory is another node's, or holds data and is to be emptied first
///         kDataLoss            its file NODE is damaged
///         kUnavailable         no peer answers
///         kInternal            the machine refused
absl::StatusOr<Directory> FindIdentity(Entry entry, NodeSetup& setup);

}  // namespace paxledger
