#pragma once

#include <cstddef>
#include <cstdint>

/// Every bound of the product, in one place. Design §2 and api.md "limits" give the reasons for most.
namespace paxledger::limits {

// Replication
inline constexpr size_t kReplicasMax = 7;
inline constexpr size_t kShardsMax = 1024;
inline constexpr size_t kNodesMax = 128;                 // of a cluster, at one time
inline constexpr size_t kNodesGoneKept = 128;            // named in the directory
inline constexpr size_t kNodeNameBytesMax = 32;          // of a node or a data centre
inline constexpr size_t kEntryBytesMax = 1 << 20;        // one log value
inline constexpr size_t kCommandBytesMax = 384 << 10;    // one command: a Prepare of the largest transaction
inline constexpr size_t kShardQueueBytesMax = 64 << 20;  // commands waiting at one shard's proposer
inline constexpr size_t kFetchEntriesMax = 256;          // in one answer
inline constexpr size_t kFetchBytesMax = 512 << 10;      // chosen entries in one answer: a turn of the strand
inline constexpr size_t kFrameBytesMax = 32 << 20;       // one frame between nodes
inline constexpr size_t kPeerQueueBytesMax = 128 << 20;  // unsent bytes towards one peer; more is dropped
inline constexpr size_t kDiskQueueBytesMax = 64 << 20;   // waiting to be written; more is not taken in
inline constexpr int64_t kHeartbeatUs = 50'000;          // longest silence of a healthy node towards a peer
inline constexpr size_t kRowsPartBytes = 1 << 20;        // one part of rows that are sent in bulk
inline constexpr uint64_t kRowsPartsAhead = 8;           // parts asked for before they are wanted
inline constexpr size_t kRowsSessionsMax = 16;           // served at a time
inline constexpr size_t kIngestBytes = 16 << 20;         // rows that are gathered for one file
inline constexpr size_t kIngestsAhead = 2;               // such files on their way to the disk, of one shard
inline constexpr uint64_t kSnapshotBehindEntries = 8192;  // a replica further behind takes a snapshot instead
inline constexpr uint64_t kSnapshotEmptyEntries = 64;     // and an empty one already then
inline constexpr uint64_t kBackfillBytesPerSecond = 256 << 20;
inline constexpr size_t kBackfillShardsMax = 2;  // at a time
inline constexpr uint64_t kScrubBytesPerSecond = 4 << 20;
inline constexpr size_t kInstallsMax = 4;               // snapshots that a node takes at a time
inline constexpr int64_t kLazyCommandDelayUs = 10'000;  // how long a lazy command waits for company
inline constexpr int64_t kClockSkewMaxUs = 500'000;     // transactions.md rule 9

// Transactions
inline constexpr size_t kTransfersPerTransactionMax = 1000;
inline constexpr size_t kTransactionBytesMax = 256 << 10;
inline constexpr size_t kBlockersNamedMax = 16;
inline constexpr size_t kTransactionsInFlightMax = 65'536;  // at one gateway
inline constexpr uint64_t kEventsKeptMin =
    1 << 20;  // committed transactions in the outbox of a shard; older ones may go
inline constexpr int64_t kRecoveryGraceUs = 2'000'000;  // transactions.md rule 18

// Shards that are hosted on other nodes
inline constexpr int64_t kVoteWatchUs = 90'000'000;  // after it a watch that was not ended is forgotten
inline constexpr size_t kVoteWatchesPerPeerMax = 2 * 65'536;  // at one host, of one gateway
inline constexpr size_t kPeerQuestionsMax = 4096;  // being answered by one host; of the rest another is asked
inline constexpr size_t kTriesAskedMax = 1024;     // in one question
inline constexpr size_t kAccountsAskedMax = 1024;  // in one question that opens them
inline constexpr size_t kAssetsKnownMax = 65'536;  // of accounts on other nodes, remembered by a gateway

// HTTPS
inline constexpr size_t kIdBytesMax = 64;
inline constexpr size_t kMetadataBytesMax = 4 << 10;
inline constexpr size_t kBatchItemsMax = 8192;
inline constexpr size_t kPageItemsMax = 1000;
inline constexpr size_t kPageItemsDefault = 100;
inline constexpr size_t kBodyBytesMax = 8 << 20;
inline constexpr size_t kEventsPageBytesMax = 1 << 20;  // about; one more event may stand above it
inline constexpr size_t kEventStreamsMax = 64;          // of one API thread of the HTTPS door
inline constexpr int64_t kEventsWaitMaxUs = 30'000'000;
inline constexpr size_t kHeaderBytesMax = 16 << 10;
inline constexpr size_t kCodeBytesMax = 64;        // a transfer's `code`
inline constexpr size_t kReferenceBytesMax = 256;  // a transfer's `reference`
inline constexpr size_t kJsonDepthMax = 32;
inline constexpr size_t kJsonNodesMax = 2 << 20;  // values and member names in one body
inline constexpr size_t kFieldErrorsMax = 16;     // named of one object; the rest are left out
inline constexpr size_t kConnectionsMax = 4096;   // of one node's HTTPS door
inline constexpr size_t kRequestsInFlightMax = 2048;
inline constexpr size_t kBodyBytesInFlightMax =
    256 << 20;  // announced by requests that are being read or answered
inline constexpr int64_t kRequestTimeoutDefaultUs = 5'000'000;
inline constexpr int64_t kRequestTimeoutMinUs = 50'000;
inline constexpr int64_t kRequestTimeoutMaxUs = 60'000'000;

}  // namespace paxledger::limits
