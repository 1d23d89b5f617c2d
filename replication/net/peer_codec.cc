#include "replication/net/peer_codec.h"

#include <array>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "replication/net/peer.pb.h"

namespace paxledger {
namespace {

// Wire tags of fields that are written by hand: (field << 3) | wire type.
constexpr uint8_t kVersionTag = (1 << 3) | 0;
constexpr uint8_t kWallTag = (2 << 3) | 1;
constexpr uint8_t kSentTag = (6 << 3) | 1;
constexpr uint8_t kEchoTag = (7 << 3) | 1;
constexpr uint8_t kHeldTag = (8 << 3) | 1;
constexpr uint8_t kValueTag = (15 << 3) | 2;
constexpr uint32_t kMessagesField = 3;
constexpr uint32_t kHelloField = 4;
constexpr uint32_t kRejectField = 5;
constexpr size_t kFrameTailBytes = 2 + 9;
// A scratch object that once held more messages than this is thrown away.
constexpr size_t kScratchMessagesMax = 4096;

constexpr uint8_t NestedTag(uint32_t field) { return static_cast<uint8_t>((field << 3) | 2); }

size_t VarintBytes(uint64_t v) {
  size_t n = 1;
  for (; v >= 0x80; v >>= 7) ++n;
  return n;
}

std::string DigestBytes(const Digest& digest) {
  return digest.none() ? std::string() : std::string(digest.view());
}

/// Fills the head of each kind of message and notes the byte strings that follow it.
struct HeadWriter {
  wire::Message& head;
  std::vector<std::string_view>& values;

  void operator()(const PaxosMessage& m) const {
    wire::Paxos& to = *head.mutable_paxos();
    to.set_shard(m.shard.value);
    to.set_index(m.index.value);
    to.set_mine_promised(m.mine.promised.packed);
    to.set_mine_accepted(m.mine.accepted.packed);
    to.set_mine_digest(DigestBytes(m.mine.digest));
    to.set_yours_promised(m.yours.promised.packed);
    to.set_yours_accepted(m.yours.accepted.packed);
    to.set_yours_digest(DigestBytes(m.yours.digest));
    to.set_proposed(m.proposed.packed);
    to.set_proposed_digest(DigestBytes(m.proposed_digest));
    to.set_ask(m.ask);
    to.set_chosen(m.chosen.value);
    to.set_chosen_digest(DigestBytes(m.chosen_digest));
    if (m.value != nullptr) values.push_back(*m.value);
  }
  void operator()(const FetchRequest& m) const {
    wire::FetchRequest& to = *head.mutable_fetch_request();
    to.set_shard(m.shard.value);
    to.set_from(m.from.value);
    to.set_to(m.to.value);
  }
  void operator()(const FetchAnswer& m) const {
    wire::FetchAnswer& to = *head.mutable_fetch_answer();
    to.set_shard(m.shard.value);
    to.set_from(m.from.value);
    to.set_lacks(m.lacks);
    for (const ChosenValue& entry : m.entries) {
      Check(entry.value != nullptr, "a fetched entry has its value");
      to.add_indexes(entry.index.value);
      values.push_back(*entry.value);
    }
  }
  void operator()(const BarrierRequest& m) const {
    wire::BarrierRequest& to = *head.mutable_barrier_request();
    to.set_shard(m.shard.value);
    to.set_round(m.round);
  }
  void operator()(const BarrierAnswer& m) const {
    wire::BarrierAnswer& to = *head.mutable_barrier_answer();
    to.set_shard(m.shard.value);
    to.set_round(m.round);
    to.set_highest(m.highest.value);
    to.set_chosen(m.chosen.value);
  }
  void operator()(const ForwardedCommands& m) const {
    wire::ForwardedCommands& to = *head.mutable_forwarded_commands();
    to.set_shard(m.shard.value);
    to.set_hops(m.hops);
    to.set_urgency(static_cast<uint32_t>(m.urgency));
    to.set_chosen(m.chosen.value);
    for (const SharedBytes& command : m.commands) {
      Check(command != nullptr, "a forwarded command has its bytes");
      values.push_back(*command);
    }
  }
  void operator()(const Notices& m) const {
    wire::Notices& to = *head.mutable_notices();
    for (const ShardNotice& notice : m.shards) {
      wire::Notice& one = *to.add_shards();
      one.set_shard(notice.shard.value);
      one.set_since(notice.members.since.value);
      for (ReplicaId member : notice.members.members) one.add_members(member.value);
      one.set_durable(notice.durable.value);
      one.set_whole(notice.whole.value);
      one.set_owner(notice.owner.replica.value);
      one.set_owner_incarnation(notice.owner.incarnation.value);
    }
  }
  void operator()(const DiskNotice& m) const { head.mutable_disk()->set_full(m.full); }
  void operator()(const RowsRequest& m) const {
    wire::RowsRequest& to = *head.mutable_rows_request();
    to.set_shard(m.shard.value);
    to.set_session(m.session);
    to.set_kind(static_cast<uint32_t>(m.kind));
    to.set_from(m.from.value);
    to.set_to(m.to.value);
    to.set_part(m.part);
    to.set_parts_end(m.parts_end);
    to.set_position(m.position);
    to.set_again(m.again);
  }
  void operator()(const RowsHead& m) const {
    wire::RowsHead& to = *head.mutable_rows_head();
    to.set_shard(m.shard.value);
    to.set_session(m.session);
    to.set_refusal(static_cast<uint32_t>(m.refusal));
    to.set_index(m.index.value);
    to.set_since(m.members.since.value);
    for (ReplicaId member : m.members.members) to.add_members(member.value);
    to.set_journal(DigestBytes(m.journal));
    if (m.value != nullptr) values.push_back(*m.value);
  }
  void operator()(const RowsPart& m) const {
    Check(m.rows != nullptr, "a part has its rows");
    wire::RowsPart& to = *head.mutable_rows_part();
    to.set_shard(m.shard.value);
    to.set_session(m.session);
    to.set_part(m.part);
    to.set_table(m.table);
    to.set_next(m.next);
    to.set_checksum(m.checksum);
    values.push_back(*m.rows);
  }
  void operator()(const AppMessage& m) const {
    head.mutable_app()->set_machine(m.machine);
    values.push_back(m.bytes);
  }
};

SharedBytes TakeShared(std::string* from) { return std::make_shared<const std::string>(std::move(*from)); }

bool TakeDigest(const std::string& from, Digest* to) {
  if (from.empty()) {
    *to = Digest();
    return true;
  }
  *to = Digest::FromRaw(from);
  return from.size() == to->bytes.size();
}

/// Each returns false where the message breaks its format. Takes the values out of `from`.
bool Read(const wire::Paxos& head, wire::Message& from, PaxosMessage* to) {
  to->shard.value = head.shard();
  to->index.value = head.index();
  to->mine.promised.packed = head.mine_promised();
  to->mine.accepted.packed = head.mine_accepted();
  to->yours.promised.packed = head.yours_promised();
  to->yours.accepted.packed = head.yours_accepted();
  to->proposed.packed = head.proposed();
  to->ask = head.ask();
  to->chosen.value = head.chosen();
  if (from.values_size() > 1) return false;
  if (from.values_size() == 1) to->value = TakeShared(from.mutable_values(0));
  return TakeDigest(head.mine_digest(), &to->mine.digest) &&
         TakeDigest(head.yours_digest(), &to->yours.digest) &&
         TakeDigest(head.proposed_digest(), &to->proposed_digest) &&
         TakeDigest(head.chosen_digest(), &to->chosen_digest);
}

bool Read(const wire::FetchRequest& head, wire::Message&, FetchRequest* to) {
  to->shard.value = head.shard();
  to->from.value = head.from();
  to->to.value = head.to();
  return true;
}

bool Read(const wire::FetchAnswer& head, wire::Message& from, FetchAnswer* to) {
  to->shard.value = head.shard();
  to->from.value = head.from();
  to->lacks = head.lacks();
  if (head.indexes_size() != from.values_size()) return false;
  to->entries.reserve(static_cast<size_t>(head.indexes_size()));
  for (int i = 0; i < head.indexes_size(); ++i) {
    to->entries.push_back({LogIndex{head.indexes(i)}, TakeShared(from.mutable_values(i))});
  }
  return true;
}

bool Read(const wire::BarrierRequest& head, wire::Message&, BarrierRequest* to) {
  to->shard.value = head.shard();
  to->round = head.round();
  return true;
}

bool Read(const wire::BarrierAnswer& head, wire::Message&, BarrierAnswer* to) {
  to->shard.value = head.shard();
  to->round = head.round();
  to->highest.value = head.highest();
  to->chosen.value = head.chosen();
  return true;
}

bool Read(const wire::ForwardedCommands& head, wire::Message& from, ForwardedCommands* to) {
  to->shard.value = head.shard();
  to->hops = head.hops();
  if (head.urgency() > static_cast<uint32_t>(Urgency::kLazy)) return false;
  to->urgency = static_cast<Urgency>(head.urgency());
  to->chosen.value = head.chosen();
  to->commands.reserve(static_cast<size_t>(from.values_size()));
  for (std::string& command : *from.mutable_values()) to->commands.push_back(TakeShared(&command));
  return true;
}

/// Sorted, each once, none of them nobody.
template <class Numbers>
bool ReadMembers(const Numbers& from, std::vector<ReplicaId>* to) {
  if (from.size() > static_cast<int>(limits::kReplicasMax)) return false;
  for (uint32_t member : from) {
    ReplicaId id{static_cast<uint16_t>(member)};
    if (member == 0 || member > UINT16_MAX || !(to->empty() || to->back() < id)) return false;
    to->push_back(id);
  }
  return true;
}

bool ReadNotice(const wire::Notice& from, ShardNotice* to) {
  if (from.shard() >= limits::kShardsMax || from.owner() > UINT16_MAX) return false;
  to->shard.value = from.shard();
  to->members.since.value = from.since();
  if (!ReadMembers(from.members(), &to->members.members) || to->members.members.empty()) return false;
  to->durable.value = from.durable();
  to->whole.value = from.whole();
  to->owner.replica.value = static_cast<uint16_t>(from.owner());
  to->owner.incarnation.value = from.owner_incarnation();
  return true;
}

bool Read(const wire::Notices& head, wire::Message&, Notices* to) {
  to->shards.resize(static_cast<size_t>(head.shards_size()));
  for (int i = 0; i < head.shards_size(); ++i) {
    if (!ReadNotice(head.shards(i), &to->shards[static_cast<size_t>(i)])) return false;
  }
  return true;
}

bool Read(const wire::DiskNotice& head, wire::Message&, DiskNotice* to) {
  to->full = head.full();
  return true;
}

bool Read(const wire::RowsRequest& head, wire::Message&, RowsRequest* to) {
  bool known = head.kind() == static_cast<uint32_t>(RowsKind::kState) ||
               head.kind() == static_cast<uint32_t>(RowsKind::kLog);
  if (!known) return false;
  to->shard.value = head.shard();
  to->session = head.session();
  to->kind = static_cast<RowsKind>(head.kind());
  to->from.value = head.from();
  to->to.value = head.to();
  to->part = head.part();
  to->parts_end = head.parts_end();
  to->position = head.position();
  to->again = head.again();
  return true;
}

bool Read(const wire::RowsHead& head, wire::Message& from, RowsHead* to) {
  if (head.refusal() > static_cast<uint32_t>(RowsRefusal::kGone) || from.values_size() > 1) return false;
  to->shard.value = head.shard();
  to->session = head.session();
  to->refusal = static_cast<RowsRefusal>(head.refusal());
  to->index.value = head.index();
  to->members.since.value = head.since();
  if (from.values_size() == 1) to->value = TakeShared(from.mutable_values(0));
  return ReadMembers(head.members(), &to->members.members) && TakeDigest(head.journal(), &to->journal);
}

bool Read(const wire::RowsPart& head, wire::Message& from, RowsPart* to) {
  if (from.values_size() != 1) return false;
  to->shard.value = head.shard();
  to->session = head.session();
  to->part = head.part();
  to->table = head.table();
  to->next = head.next();
  to->checksum = head.checksum();
  to->rows = TakeShared(from.mutable_values(0));
  return true;
}

bool Read(const wire::App& head, wire::Message& from, AppMessage* to) {
  to->machine = head.machine();
  if (from.values_size() != 1) return false;
  to->bytes = std::move(*from.mutable_values(0));
  return true;
}

template <class To, class Head>
bool ReadAs(const Head& head, wire::Message& from, std::vector<PeerMessage>* out) {
  PeerMessage& message = out->emplace_back(std::in_place_type<To>);
  To& to = std::get<To>(message);
  if (!Read(head, from, &to)) return false;
  if constexpr (requires { to.shard; }) {
    if (to.shard.value >= limits::kShardsMax) return false;
  }
  return true;
}

bool ReadMessage(wire::Message& from, std::vector<PeerMessage>* out) {
  int kinds = from.has_paxos() + from.has_fetch_request() + from.has_fetch_answer() +
              from.has_barrier_request() + from.has_barrier_answer() + from.has_forwarded_commands() +
              from.has_app() + from.has_notices() + from.has_disk() + from.has_rows_request() +
              from.has_rows_head() + from.has_rows_part();
  if (kinds != 1) return false;
  if (from.has_paxos()) return ReadAs<PaxosMessage>(from.paxos(), from, out);
  if (from.has_fetch_request()) return ReadAs<FetchRequest>(from.fetch_request(), from, out);
  if (from.has_fetch_answer()) return ReadAs<FetchAnswer>(from.fetch_answer(), from, out);
  if (from.has_barrier_request()) return ReadAs<BarrierRequest>(from.barrier_request(), from, out);
  if (from.has_barrier_answer()) return ReadAs<BarrierAnswer>(from.barrier_answer(), from, out);
  if (from.has_forwarded_commands()) return ReadAs<ForwardedCommands>(from.forwarded_commands(), from, out);
  if (from.has_notices()) return ReadAs<Notices>(from.notices(), from, out);
  if (from.has_disk()) return ReadAs<DiskNotice>(from.disk(), from, out);
  if (from.has_rows_request()) return ReadAs<RowsRequest>(from.rows_request(), from, out);
  if (from.has_rows_head()) return ReadAs<RowsHead>(from.rows_head(), from, out);
  if (from.has_rows_part()) return ReadAs<RowsPart>(from.rows_part(), from, out);
  return ReadAs<AppMessage>(from.app(), from, out);
}

bool ReadHello(wire::Hello& from, PeerHello* to) {
  if (from.from() > UINT16_MAX || from.to() > UINT16_MAX) return false;
  to->protocol = from.protocol();
  to->cluster_id = std::move(*from.mutable_cluster_id());
  to->from.value = static_cast<uint16_t>(from.from());
  to->to.value = static_cast<uint16_t>(from.to());
  if (static_cast<size_t>(from.before_size()) > Lineage::kBeforeMax) return false;
  to->lineage.incarnation.value = from.incarnation();
  for (uint64_t earlier : from.before()) to->lineage.before.push_back(Incarnation{earlier});
  to->process = from.process();
  to->name = std::move(*from.mutable_name());
  return true;
}

bool ReadReject(wire::Reject& from, PeerReject* to) {
  if (from.code() < wire::REJECT_PROTOCOL || from.code() > wire::REJECT_GONE) return false;
  to->code = static_cast<RejectCode>(from.code());
  to->reason = std::move(*from.mutable_reason());
  return true;
}

absl::Status Malformed(const char* what) {
  return absl::InvalidArgumentError(std::string("malformed frame: ") + what);
}

}  // namespace

struct FrameWriter::Scratch {
  wire::Message head;
  std::vector<std::string_view> values;
};

FrameWriter::FrameWriter() : scratch_(std::make_unique<Scratch>()) {}
FrameWriter::~FrameWriter() = default;

void FrameWriter::Begin() {
  if (building_) return;
  building_ = true;
  frame_at_ = buffer_.size();
  buffer_.append(kFrameHeadBytes, '\0');
}

bool FrameWriter::Add(const PeerMessage& message) {
  wire::Message& head = scratch_->head;
  std::vector<std::string_view>& values = scratch_->values;
  head.Clear();
  values.clear();
  std::visit(HeadWriter{head, values}, message);
  size_t head_bytes = head.ByteSizeLong();
  size_t bytes = head_bytes;
  for (std::string_view value : values) bytes += 1 + VarintBytes(value.size()) + value.size();
  size_t overhead = 1 + VarintBytes(bytes) + kFrameTailBytes;
  if (building_bytes() + bytes + overhead > limits::kFrameBytesMax) return false;
  Begin();
  ByteWriter out(&buffer_);
  out.U8(NestedTag(kMessagesField));
  out.Varint(bytes);
  size_t at = buffer_.size();
  buffer_.resize(at + head_bytes);
  head.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(buffer_.data() + at));
  for (std::string_view value : values) {
    out.U8(kValueTag);
    out.Bytes(value);
  }
  return true;
}

void FrameWriter::AddNested(uint32_t field, std::string_view bytes) {
  Begin();
  ByteWriter out(&buffer_);
  out.U8(NestedTag(field));
  out.Bytes(bytes);
}

void FrameWriter::AddHello(const PeerHello& hello) {
  wire::Hello to;
  to.set_protocol(hello.protocol);
  to.set_cluster_id(hello.cluster_id);
  to.set_from(hello.from.value);
  to.set_to(hello.to.value);
  to.set_incarnation(hello.lineage.incarnation.value);
  for (Incarnation earlier : hello.lineage.before) to.add_before(earlier.value);
  to.set_process(hello.process);
  to.set_name(hello.name);
  AddNested(kHelloField, to.SerializeAsString());
}

void FrameWriter::AddReject(const PeerReject& reject) {
  wire::Reject to;
  to.set_code(static_cast<wire::RejectCode>(reject.code));
  to.set_reason(reject.reason);
  AddNested(kRejectField, to.SerializeAsString());
}

void FrameWriter::EndFrame(const FrameTimes& times) {
  Begin();
  ByteWriter out(&buffer_);
  out.U8(kVersionTag);
  out.U8(static_cast<uint8_t>(kPeerProtocol));
  out.U8(kWallTag);
  out.I64(times.wall_us);
  out.U8(kSentTag);
  out.I64(times.sent_us);
  out.U8(kEchoTag);
  out.I64(times.echo_us);
  out.U8(kHeldTag);
  out.I64(times.held_us);
  std::string length;
  ByteWriter(&length).U32(static_cast<uint32_t>(buffer_.size() - frame_at_ - kFrameHeadBytes));
  buffer_.replace(frame_at_, kFrameHeadBytes, length);
  building_ = false;
}

void FrameWriter::Exchange(std::string* buffer) {
  Check(!building_, "a frame is sent when it is whole");
  buffer->clear();
  buffer_.swap(*buffer);
}

uint32_t FrameLength(std::string_view head) { return ByteReader(head).U32(); }

struct FrameReader::Scratch {
  wire::PeerFrame frame;
};

FrameReader::FrameReader() : scratch_(std::make_unique<Scratch>()) {}
FrameReader::~FrameReader() = default;

absl::Status FrameReader::Decode(std::string_view body, PeerFrame* frame) {
  if (body.size() > limits::kFrameBytesMax) return Malformed("too long");
  wire::PeerFrame& from = scratch_->frame;
  if (!from.ParseFromArray(body.data(), static_cast<int>(body.size())))
    return Malformed("not of its Protobuf type");
  if (from.version() != kPeerProtocol) return Malformed("of an unknown version");
  frame->times = {from.sent_wall_us(), from.sent_us(), from.echo_us(), from.held_us()};
  frame->messages.clear();
  frame->hello.reset();
  frame->reject.reset();
  frame->messages.reserve(static_cast<size_t>(from.messages_size()));
  for (wire::Message& message : *from.mutable_messages()) {
    if (!ReadMessage(message, &frame->messages)) return Malformed("a message breaks its format");
  }
  if (from.has_hello() && !ReadHello(*from.mutable_hello(), &frame->hello.emplace()))
    return Malformed("hello");
  if (from.has_reject() && !ReadReject(*from.mutable_reject(), &frame->reject.emplace()))
    return Malformed("reject");
  if (static_cast<size_t>(from.messages_size()) > kScratchMessagesMax) scratch_ = std::make_unique<Scratch>();
  return absl::OkStatus();
}

}  // namespace paxledger
