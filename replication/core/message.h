#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/digest.h"
#include "base/strong_id.h"
#include "replication/core/ballot.h"
#include "replication/core/configuration.h"
#include "replication/core/envelope.h"

namespace paxledger {

/// Immutable bytes that are shared by the log, the messages and the disk queue without a copy.
using SharedBytes = std::shared_ptr<const std::string>;

/// What a replica holds for one index above its chosen ones.
struct Record {
  Ballot promised;
  Ballot accepted;
  Digest digest;  // of the accepted value; none where `accepted` is none
  friend bool operator==(const Record&, const Record&) = default;
};

/// The one message of consensus (design §3, semi-symmetric message passing): "my record as it is durable, and yours as I
/// believe it", plus a proposal where the sender is proposing.
struct PaxosMessage {
  ShardId shard;
  LogIndex index;
  Record mine;      // durable at the sender before this was sent (consensus.md rule 2)
  Record yours;     // the newest durable record of the receiver that the sender was told
  Ballot proposed;  // none = no proposal; it is not evidence of its sender's vote (rule 3)
  Digest proposed_digest;
  SharedBytes
      value;  // of the proposal, or else of `mine.accepted`; null where the receiver is known to hold it
  bool ask = false;      // the receiver answers even if it has nothing new
  LogIndex chosen;       // everything up to here is chosen at the sender...
  Digest chosen_digest;  // ...and this is the digest of the value at `chosen`; none at index 0
};

/// Asks for chosen entries from..to.
struct FetchRequest {
  ShardId shard;
  LogIndex from;
  LogIndex to;
};

struct ChosenValue {
  LogIndex index;
  SharedBytes value;
};

/// Chosen entries, contiguous from the `from` asked for; fewer than asked, or none, where bytes ran out or they are not known.
struct FetchAnswer {
  ShardId shard;
  std::vector<ChosenValue> entries;
  LogIndex from;
  bool lacks = false;  // the first is applied there, but its row is not there (yet, or any more)
};

/// Asks for the highest index at which the receiver durably holds an accepted or chosen value (consensus.md rule 9).
struct BarrierRequest {
  ShardId shard;
  uint64_t round = 0;  // chosen by the asker, returned in the answer
};

struct BarrierAnswer {
  ShardId shard;
  uint64_t round = 0;
  LogIndex highest;
  LogIndex chosen;
};

/// Commands for the receiver to propose. `hops` bounds forwarding in a circle. Who forwards knew the entries up to `chosen`: one of
/// them may have made the receiver the owner before it knows itself.
struct ForwardedCommands {
  ShardId shard;
  uint32_t hops = 0;
  Urgency urgency = Urgency::kNow;    // of all of them
  std::vector<SharedBytes> commands;  // encoded `Command`s, see replication/core/envelope.h
  LogIndex chosen{};
};

/// What a node says of one shard that it hosts, so that others find it and know how far it is.
struct ShardNotice {
  ShardId shard;
  Configuration members;  // in force for the next index
  LogIndex durable;       // everything up to here is applied and durable there...
  LogIndex
      whole;    // ...and up to here so is each entry: a snapshot leaves the journal before it to be filled in
  Owner owner;  // of the next index
};

/// Sent when a connection stands, when something of it changes, and now and then.
struct Notices {
  std::vector<ShardNotice> shards;
};

/// Whether the sender's disk takes writes. Said when that changes, and again and again while it does not.
struct DiskNotice {
  bool full = false;
};

/// What is asked for in bulk.
enum class RowsKind : uint8_t {
  kState = 1,  // all rows of the shard's state machine, as of one checkpoint (consensus.md rule 20)
  kLog = 2,    // rows of the log, of entries that are chosen
};

/// Asks for rows of a shard in parts, as they stand at the source when a session begins. The asker makes sessions up; it says
/// which parts it takes, and where the first of them begins, so that a lost one is sent again.
struct RowsRequest {
  ShardId shard;
  uint64_t session = 0;
  RowsKind kind = RowsKind::kState;
  LogIndex from;  // of kLog: entries from..to
  LogIndex to;
  uint64_t part = 0;       // the first that the asker lacks; 0 begins the session
  uint64_t parts_end = 0;  // it takes parts below this one; 0 after the first part: it is done
  bool again = false;      // `part` was lost, go back to it...
  std::string position;    // ...where it begins: `RowsPart::next` of the part before; empty for the first
};

enum class RowsRefusal : uint8_t {
  kNone = 0,
  kNotHere = 1,  // the source has not got them itself (yet)
  kBusy = 2,     // it serves as many sessions as it may
  kGone = 3,     // it does not know the session any more
};

/// The first answer to a session. Of kState: the rows are those of a checkpoint at `index`, and this is the value chosen there
/// and the configuration in force after it. Of kLog: rows up to `index` follow.
struct RowsHead {
  ShardId shard;
  uint64_t session = 0;
  RowsRefusal refusal = RowsRefusal::kNone;
  LogIndex index;
  SharedBytes value;  // of kState, and so are the next two
  Configuration members;
  Digest journal;  // the machine's hash chain at `index`
};

/// Some rows, in order of table and key.
struct RowsPart {
  ShardId shard;
  uint64_t session = 0;
  uint64_t part = 0;
  uint32_t table = 0;     // of all rows in it
  std::string next;       // where the next part begins: a table (byte) and a key; empty: this is the last
  uint64_t checksum = 0;  // XXH3-64 of `rows`
  SharedBytes rows;       // packed
};

/// A message of a layer above; opaque here.
struct AppMessage {
  uint32_t machine = 0;
  std::string bytes;
};

using PeerMessage =
    std::variant<PaxosMessage, FetchRequest, FetchAnswer, BarrierRequest, BarrierAnswer, ForwardedCommands,
                 Notices, DiskNotice, RowsRequest, RowsHead, RowsPart, AppMessage>;

}  // namespace paxledger
