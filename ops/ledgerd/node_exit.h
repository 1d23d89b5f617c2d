#pragma once

namespace paxledger {

/// How `ledgerd` ends; numbers as in sysexits.h where it has one. Documented by `ledgerd --help`, relied on
/// by scripts.
enum class NodeExit : int {
  kOk = 0,
  kUsage = 64,            // the command line
  kData = 65,             // data damaged, or of a newer format
  kNoPeer = 68,           // a node that joins or rejoins reaches no other
  kPortTaken = 69,        // or an address that this machine does not have
  kRefusedByPeers = 70,   // they know a newer process of this replica
  kMachine = 71,          // the file system or another part of the machine refused
  kNoRoom = 73,           // no space on the disk of the data directory
  kDisk = 74,             // a write or sync failed, or may have
  kDirectoryLocked = 75,  // another process uses the data directory
  kConfiguration = 78,    // a wrong key or value, a file or certificate that cannot be used
};

}  // namespace paxledger
