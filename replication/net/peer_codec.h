#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/strong_id.h"
#include "replication/core/message.h"
#include "replication/lineage.h"

namespace paxledger {

inline constexpr uint32_t kPeerProtocol = 2;

/// The first words on a connection, in both directions.
struct PeerHello {
  uint32_t protocol = kPeerProtocol;
  std::string cluster_id;
  ReplicaId from;    // 0: a guest that has no number
  std::string name;  // of the node that speaks
  ReplicaId to;      // 0: a guest does not know whom it reaches
  Lineage lineage;
  uint64_t process = 0;  // random, one per process
  friend bool operator==(const PeerHello&, const PeerHello&) = default;
};

enum class RejectCode : uint8_t {
  kProtocol = 1,
  kCluster = 2,
  kIdentity = 3,
  kOldIncarnation = 4,
  kGone = 5,
};

/// The last words of who refuses a connection.
struct PeerReject {
  RejectCode code = RejectCode::kProtocol;
  std::string reason;
  friend bool operator==(const PeerReject&, const PeerReject&) = default;
};

/// When a frame was sent, and what tells its receiver how long the way there and back is.
struct FrameTimes {
  int64_t wall_us = 0;  // the sender's wall clock
  int64_t sent_us = 0;  // the sender's monotonic clock
  int64_t echo_us = 0;  // `sent_us` of the last frame that it had from the receiver; 0: none
  int64_t held_us = 0;  // how long ago that came
  friend bool operator==(const FrameTimes&, const FrameTimes&) = default;
};

struct PeerFrame {
  FrameTimes times;
  std::vector<PeerMessage> messages;
  std::optional<PeerHello> hello;
  std::optional<PeerReject> reject;
};

/// Appends frames to one buffer, from which they are sent.
/// Format:  docs/formats.md#peer-frames
class FrameWriter {
 public:
  FrameWriter();
  ~FrameWriter();
  /// Adds to the frame that is being built, or begins one. False: it is larger than a frame may be, and was
  /// left out.
  [[nodiscard]] bool Add(const PeerMessage& message);
  void AddHello(const PeerHello& hello);
  void AddReject(const PeerReject& reject);
  /// Ends the frame that is being built; an empty one is a sign of life.
  void EndFrame(const FrameTimes& times);
  bool building() const { return building_; }
  size_t building_bytes() const { return building_ ? buffer_.size() - frame_at_ : 0; }
  size_t bytes() const { return buffer_.size(); }
  /// Gives the frames built so far in exchange for an empty buffer, whose memory is used again. No frame may
  /// be being built.
  void Exchange(std::string* buffer);

 private:
  struct Scratch;
  void Begin();
  void AddNested(uint32_t field, std::string_view bytes);
  std::string buffer_;
  size_t frame_at_ = 0;
  bool building_ = false;
  std::unique_ptr<Scratch> scratch_;
};

/// Bytes before each frame: its length, not counting themselves.
inline constexpr size_t kFrameHeadBytes = 4;
uint32_t FrameLength(std::string_view head);

/// Decodes frames, one after the other, with the same scratch objects.
class FrameReader {
 public:
  FrameReader();
  ~FrameReader();
  /// `body` is what follows the head. On an error `frame` is unspecified.
  /// Errors: kInvalidArgument  not a frame of a known version
  absl::Status Decode(std::string_view body, PeerFrame* frame);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace paxledger
