#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "base/timer_wheel.h"

namespace paxledger {
namespace {

TEST(Bytes, ReadsBackWhatWasWritten) {
  std::string out;
  ByteWriter writer(&out);
  writer.U8(7);
  writer.U16(0xbeef);
  writer.U64(uint64_t{1} << 63);
  writer.U128((Uint128{1} << 100) + 5);
  writer.Varint(300);
  writer.Bytes("hello");
  ByteReader reader(out);
  EXPECT_EQ(reader.U8(), 7);
  EXPECT_EQ(reader.U16(), 0xbeef);
  EXPECT_EQ(reader.U64(), uint64_t{1} << 63);
  EXPECT_TRUE(reader.U128() == (Uint128{1} << 100) + 5);
  EXPECT_EQ(reader.Varint(), 300u);
  EXPECT_EQ(reader.Bytes(), "hello");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(Bytes, AnyCutIsNoticed) {
  std::string out;
  ByteWriter writer(&out);
  writer.U32(1);
  writer.Bytes("payload");
  writer.U128(9);
  for (size_t cut = 0; cut < out.size(); ++cut) {
    ByteReader reader(std::string_view(out).substr(0, cut));
    reader.U32();
    reader.Bytes();
    reader.U128();
    EXPECT_FALSE(reader.ok()) << cut;
  }
}

TEST(Bytes, VarintHasOneEncoding) {
  for (std::string_view bad :
       {std::string_view("\x80\x00", 2), std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10),
        std::string_view("\x80", 1)}) {
    ByteReader reader(bad);
    reader.Varint();
    EXPECT_FALSE(reader.ok());
  }
  ByteReader largest(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10));
  EXPECT_EQ(largest.Varint(), UINT64_MAX);
  EXPECT_TRUE(largest.AtEnd());
}

TEST(Bytes, BigEndianKeysSortByNumber) {
  std::string low, high;
  AppendBigEndian64(&low, 255);
  AppendBigEndian64(&high, 256);
  EXPECT_LT(low, high);
  EXPECT_EQ(ReadBigEndian64(high), 256u);
}

TEST(DigestTest, IsSha256OfTheParts) {
  EXPECT_EQ(Sha256("abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256("a", "bc"), Sha256("abc"));
}

TEST(DigestTest, PlacementHashNeverChanges) {
  EXPECT_EQ(PlacementHash64(""), 0xef46db3751d8e999u);
  EXPECT_EQ(PlacementHash64("paxledger"), PlacementHash64(std::string("pax") + "ledger"));
}

TEST(MultisetDigestTest, OrderDoesNotMatterAndRemovalUndoes) {
  MultisetDigest one("key"), two("key"), other("other key");
  for (int i = 0; i < 100; ++i) one.Add(one.Element(std::to_string(i)));
  for (int i = 99; i >= 0; --i) two.Add(two.Element(std::to_string(i)));
  for (int i = 0; i < 100; ++i) other.Add(other.Element(std::to_string(i)));
  EXPECT_EQ(one.value(), two.value());
  EXPECT_NE(one.value(), other.value());
  Digest before = one.value();
  one.Add(one.Element("x"));
  EXPECT_NE(one.value(), before);
  one.Remove(one.Element("x"));
  EXPECT_EQ(one.value(), before);
  for (int i = 0; i < 100; ++i) one.Remove(one.Element(std::to_string(i)));
  EXPECT_TRUE(one.value().none());
}

TEST(TimerWheelTest, FiresWhatIsDueAndNothingElse) {
  TimerWheel wheel(1'000'000);
  std::vector<int> fired;
  wheel.Set(1'005'000, [&] { fired.push_back(5); });
  TimerId cancelled = wheel.Set(1'006'000, [&] { fired.push_back(6); });
  wheel.Set(1'000'000 + 3'600'000'000, [&] { fired.push_back(3600); });
  wheel.Cancel(cancelled);
  wheel.Advance(1'004'000);
  EXPECT_TRUE(fired.empty());
  wheel.Advance(1'010'000);
  EXPECT_EQ(fired, std::vector<int>({5}));
  wheel.Advance(60'000'000);
  EXPECT_EQ(fired.size(), 1u) << "a timer of a later turn of the wheel waits";
  wheel.Advance(1'000'000 + 3'600'100'000);
  EXPECT_EQ(fired, std::vector<int>({5, 3600}));
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheelTest, ATimerSetByATimerRunsLater) {
  TimerWheel wheel(0);
  int fired = 0;
  wheel.Set(1'000, [&] { wheel.Set(1'000, [&] { ++fired; }); });
  wheel.Advance(5'000);
  wheel.Advance(10'000);
  EXPECT_EQ(fired, 1);
}

TEST(MetricsTest, RendersPrometheusText) {
  Metrics metrics;
  metrics.counter("a_total{x=\"1\"}").Add(3);
  metrics.gauge("b").Set(-4);
  metrics.latency("c_seconds").Record(100);
  std::string text = metrics.Render();
  EXPECT_NE(text.find("# TYPE a_total counter\na_total{x=\"1\"} 3\n"), std::string::npos);
  EXPECT_NE(text.find("b -4\n"), std::string::npos);
  EXPECT_NE(text.find("c_seconds_bucket{le=\"+Inf\"} 1\n"), std::string::npos);
}

}  // namespace
}  // namespace paxledger
