#include "replication/net/peer_codec.h"

#include <memory>
#include <string>
#include <variant>

#include "base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace paxledger {
namespace {

SharedBytes Shared(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

/// The one frame in the writer, without its head.
std::string Body(FrameWriter& writer) {
  std::string buffer;
  writer.Exchange(&buffer);
  EXPECT_EQ(FrameLength(buffer), buffer.size() - kFrameHeadBytes);
  return buffer.substr(kFrameHeadBytes);
}

PaxosMessage FullPaxosMessage() {
  return {.shard = ShardId{7},
          .index = LogIndex{1234567890123},
          .mine = {Ballot::Of(3, ReplicaId{2}), Ballot::Of(0, ReplicaId{1}), Sha256("mine")},
          .yours = {Ballot::Of(2, ReplicaId{3}), Ballot::Of(1, ReplicaId{3}), Sha256("yours")},
          .proposed = Ballot::Of(4, ReplicaId{2}),
          .proposed_digest = Sha256("proposed"),
          .value = Shared(std::string(100'000, 'v')),
          .ask = true,
          .chosen = LogIndex{1234567890122},
          .chosen_digest = Sha256("chosen")};
}

TEST(PeerCodec, GivesBackEveryFieldOfEveryMessageInOrder) {
  FrameWriter writer;
  PaxosMessage paxos = FullPaxosMessage();
  ASSERT_TRUE(writer.Add(paxos));
  ASSERT_TRUE(writer.Add(FetchRequest{ShardId{1}, LogIndex{2}, LogIndex{3}}));
  ASSERT_TRUE(writer.Add(
      FetchAnswer{ShardId{1}, {{LogIndex{2}, Shared("two")}, {LogIndex{3}, Shared("")}}, LogIndex{2}}));
  ASSERT_TRUE(writer.Add(BarrierRequest{ShardId{4}, 99}));
  ASSERT_TRUE(writer.Add(BarrierAnswer{ShardId{4}, 99, LogIndex{12}, LogIndex{11}}));
  ASSERT_TRUE(
      writer.Add(ForwardedCommands{ShardId{5}, 2, Urgency::kLazy, {Shared("a"), Shared("b")}, LogIndex{9}}));
  ASSERT_TRUE(writer.Add(DiskNotice{true}));
  ASSERT_TRUE(writer.Add(AppMessage{17, std::string("\0x", 2)}));
  ShardNotice notice{ShardId{6}, Configuration{LogIndex{40}, {ReplicaId{1}, ReplicaId{2}, ReplicaId{9}}},
                     LogIndex{41}, LogIndex{30}, Owner{ReplicaId{2}, Incarnation{77}}};
  ASSERT_TRUE(writer.Add(Notices{{notice}}));
  FrameTimes times{.wall_us = -5, .sent_us = 1'000, .echo_us = 2'000, .held_us = 3};
  writer.EndFrame(times);

  FrameReader reader;
  PeerFrame frame;
  ASSERT_TRUE(reader.Decode(Body(writer), &frame).ok());
  EXPECT_EQ(frame.times, times);
  ASSERT_EQ(frame.messages.size(), 9u);
  const auto& got = std::get<PaxosMessage>(frame.messages[0]);
  EXPECT_EQ(got.shard, paxos.shard);
  EXPECT_EQ(got.index, paxos.index);
  EXPECT_EQ(got.mine, paxos.mine);
  EXPECT_EQ(got.yours, paxos.yours);
  EXPECT_EQ(got.proposed, paxos.proposed);
  EXPECT_EQ(got.proposed_digest, paxos.proposed_digest);
  EXPECT_EQ(*got.value, *paxos.value);
  EXPECT_TRUE(got.ask);
  EXPECT_EQ(got.chosen, paxos.chosen);
  EXPECT_EQ(got.chosen_digest, paxos.chosen_digest);
  EXPECT_EQ(std::get<FetchRequest>(frame.messages[1]).to, LogIndex{3});
  const auto& answer = std::get<FetchAnswer>(frame.messages[2]);
  ASSERT_EQ(answer.entries.size(), 2u);
  EXPECT_EQ(answer.entries[1].index, LogIndex{3});
  EXPECT_EQ(*answer.entries[0].value, "two");
  EXPECT_EQ(*answer.entries[1].value, "");
  EXPECT_EQ(answer.from, LogIndex{2});
  EXPECT_FALSE(answer.lacks);
  EXPECT_EQ(std::get<BarrierRequest>(frame.messages[3]).round, 99u);
  EXPECT_EQ(std::get<BarrierAnswer>(frame.messages[4]).highest, LogIndex{12});
  EXPECT_EQ(std::get<BarrierAnswer>(frame.messages[4]).chosen, LogIndex{11});
  const auto& forwarded = std::get<ForwardedCommands>(frame.messages[5]);
  EXPECT_EQ(forwarded.urgency, Urgency::kLazy);
  EXPECT_EQ(forwarded.hops, 2u);
  EXPECT_EQ(forwarded.chosen, LogIndex{9});
  ASSERT_EQ(forwarded.commands.size(), 2u);
  EXPECT_EQ(*forwarded.commands[1], "b");
  EXPECT_TRUE(std::get<DiskNotice>(frame.messages[6]).full);
  EXPECT_EQ(std::get<AppMessage>(frame.messages[7]).bytes, std::string("\0x", 2));
  const auto& notices = std::get<Notices>(frame.messages[8]);
  ASSERT_EQ(notices.shards.size(), 1u);
  EXPECT_EQ(notices.shards[0].members, notice.members);
  EXPECT_EQ(notices.shards[0].durable, notice.durable);
  EXPECT_EQ(notices.shards[0].whole, notice.whole);
  EXPECT_EQ(notices.shards[0].owner, notice.owner);
}

TEST(PeerCodec, RowsInBulkComeBackAsTheyWere) {
  RowsRequest request;
  request.shard = ShardId{3};
  request.session = 77;
  request.kind = RowsKind::kLog;
  request.from = LogIndex{5};
  request.to = LogIndex{9};
  request.part = 2;
  request.parts_end = 8;
  request.again = true;
  request.position = std::string("\0key", 4);
  RowsHead head{ShardId{3},         77,
                RowsRefusal::kNone, LogIndex{9},
                Shared("value"),    Configuration{LogIndex{4}, {ReplicaId{1}, ReplicaId{3}}},
                Sha256("journal")};
  RowsHead refusal;
  refusal.refusal = RowsRefusal::kGone;
  RowsPart part{ShardId{3}, 77, 2, 4, std::string("\4next"), 99, Shared("rows")};
  FetchAnswer lacks;
  lacks.lacks = true;
  FrameWriter writer;
  ASSERT_TRUE(writer.Add(request));
  ASSERT_TRUE(writer.Add(head));
  ASSERT_TRUE(writer.Add(refusal));
  ASSERT_TRUE(writer.Add(part));
  ASSERT_TRUE(writer.Add(lacks));
  writer.EndFrame({.wall_us = 1});

  FrameReader reader;
  PeerFrame frame;
  ASSERT_TRUE(reader.Decode(Body(writer), &frame).ok());
  ASSERT_EQ(frame.messages.size(), 5u);
  const auto& asked = std::get<RowsRequest>(frame.messages[0]);
  EXPECT_EQ(asked.shard, request.shard);
  EXPECT_EQ(asked.session, request.session);
  EXPECT_EQ(asked.kind, request.kind);
  EXPECT_EQ(asked.from, request.from);
  EXPECT_EQ(asked.to, request.to);
  EXPECT_EQ(asked.part, request.part);
  EXPECT_EQ(asked.parts_end, request.parts_end);
  EXPECT_TRUE(asked.again);
  EXPECT_EQ(asked.position, request.position);
  const auto& stands = std::get<RowsHead>(frame.messages[1]);
  EXPECT_EQ(stands.session, head.session);
  EXPECT_EQ(stands.index, head.index);
  EXPECT_EQ(*stands.value, "value");
  EXPECT_EQ(stands.members, head.members);
  EXPECT_EQ(stands.journal, head.journal);
  EXPECT_EQ(std::get<RowsHead>(frame.messages[2]).refusal, RowsRefusal::kGone);
  EXPECT_EQ(std::get<RowsHead>(frame.messages[2]).value, nullptr);
  const auto& got = std::get<RowsPart>(frame.messages[3]);
  EXPECT_EQ(got.session, part.session);
  EXPECT_EQ(got.part, part.part);
  EXPECT_EQ(got.table, part.table);
  EXPECT_EQ(got.next, part.next);
  EXPECT_EQ(got.checksum, part.checksum);
  EXPECT_EQ(*got.rows, "rows");
  EXPECT_TRUE(std::get<FetchAnswer>(frame.messages[4]).lacks);
}

TEST(PeerCodec, KeepsAnEmptyValueApartFromNone) {
  FrameWriter writer;
  PaxosMessage none;
  PaxosMessage empty;
  empty.value = Shared("");
  ASSERT_TRUE(writer.Add(none));
  ASSERT_TRUE(writer.Add(empty));
  writer.EndFrame({.wall_us = 1});
  FrameReader reader;
  PeerFrame frame;
  ASSERT_TRUE(reader.Decode(Body(writer), &frame).ok());
  EXPECT_EQ(std::get<PaxosMessage>(frame.messages[0]).value, nullptr);
  EXPECT_TRUE(std::get<PaxosMessage>(frame.messages[0]).mine.digest.none());
  ASSERT_NE(std::get<PaxosMessage>(frame.messages[1]).value, nullptr);
}

TEST(PeerCodec, GreetsAndRejects) {
  FrameWriter writer;
  Lineage lineage{Incarnation{41}, {Incarnation{40}, Incarnation{7}}};
  PeerHello hello{kPeerProtocol, "0123456789abcdef", ReplicaId{2}, "dc2-a", ReplicaId{3},
                  lineage,       0xfeedfacecafebeef};
  PeerReject reject{RejectCode::kOldIncarnation, "older incarnation"};
  writer.AddHello(hello);
  writer.AddReject(reject);
  writer.EndFrame({.wall_us = 7});
  FrameReader reader;
  PeerFrame frame;
  ASSERT_TRUE(reader.Decode(Body(writer), &frame).ok());
  EXPECT_EQ(frame.hello, hello);
  EXPECT_EQ(frame.reject, reject);
  writer.AddReject({RejectCode::kGone, "given up"});
  writer.EndFrame({.wall_us = 8});
  ASSERT_TRUE(reader.Decode(Body(writer), &frame).ok());
  EXPECT_EQ(frame.reject->code, RejectCode::kGone);
}

TEST(PeerCodec, RefusesALineageThatIsTooLong) {
  FrameWriter writer;
  PeerHello hello;
  hello.lineage.before.resize(Lineage::kBeforeMax);
  writer.AddHello(hello);
  writer.EndFrame({.wall_us = 7});
  FrameReader reader;
  PeerFrame frame;
  EXPECT_TRUE(reader.Decode(Body(writer), &frame).ok());
  hello.lineage.before.emplace_back();
  writer.AddHello(hello);
  writer.EndFrame({.wall_us = 7});
  EXPECT_FALSE(reader.Decode(Body(writer), &frame).ok());
}

TEST(PeerCodec, AReaderForgetsThePreviousFrame) {
  FrameWriter writer;
  FrameReader reader;
  PeerFrame frame;
  ASSERT_TRUE(writer.Add(FullPaxosMessage()));
  writer.AddHello({});
  writer.EndFrame({.wall_us = 1});
  ASSERT_TRUE(reader.Decode(Body(writer), &frame).ok());
  ASSERT_TRUE(writer.Add(PaxosMessage{}));
  writer.EndFrame({.wall_us = 2});
  ASSERT_TRUE(reader.Decode(Body(writer), &frame).ok());
  ASSERT_EQ(frame.messages.size(), 1u);
  EXPECT_FALSE(frame.hello.has_value());
  EXPECT_EQ(std::get<PaxosMessage>(frame.messages[0]).value, nullptr);
  EXPECT_FALSE(std::get<PaxosMessage>(frame.messages[0]).ask);
}

TEST(PeerCodec, LeavesOutWhatIsLargerThanAFrame) {
  FrameWriter writer;
  EXPECT_FALSE(writer.Add(AppMessage{1, std::string(limits::kFrameBytesMax, 'x')}));
  EXPECT_FALSE(writer.building());
  EXPECT_EQ(writer.bytes(), 0u);
}

TEST(PeerCodec, RefusesGarbageAndBrokenFormats) {
  FrameReader reader;
  PeerFrame frame;
  EXPECT_EQ(reader.Decode("garbage", &frame).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(reader.Decode("", &frame).ok()) << "an empty frame has no version";
  EXPECT_FALSE(reader.Decode(std::string("\x08\x03", 2), &frame).ok()) << "an unknown version";
  EXPECT_FALSE(reader.Decode(std::string("\x08\x01\x1a\x00", 4), &frame).ok()) << "a message of no kind";
  EXPECT_FALSE(reader.Decode(std::string("\x08\x01\x1a\x04\x12\x00\x22\x00", 8), &frame).ok())
      << "of two kinds";
  EXPECT_FALSE(reader.Decode(std::string("\x08\x01\x1a\x05\x12\x03\x08\x80\x08", 9), &frame).ok())
      << "a shard out of range";
  EXPECT_FALSE(reader.Decode(std::string("\x08\x01\x1a\x05\x0a\x03\x2a\x01x", 9), &frame).ok())
      << "a short digest";
  EXPECT_FALSE(reader.Decode(std::string("\x08\x01\x1a\x02\x3a\x00", 6), &frame).ok())
      << "an app message without bytes";
  EXPECT_TRUE(reader.Decode(std::string("\x08\x02", 2), &frame).ok()) << "a sign of life";
}

TEST(PeerCodec, EveryTruncationIsRefusedOrShorter) {
  FrameWriter writer;
  ASSERT_TRUE(writer.Add(FetchAnswer{ShardId{1}, {{LogIndex{2}, Shared("two")}}, LogIndex{2}}));
  writer.EndFrame({.wall_us = 1});
  std::string body = Body(writer);
  FrameReader reader;
  PeerFrame frame;
  for (size_t n = 0; n < body.size(); ++n) {
    absl::Status status = reader.Decode(body.substr(0, n), &frame);
    if (status.ok()) EXPECT_LE(frame.messages.size(), 1u);
  }
}

}  // namespace
}  // namespace paxledger
