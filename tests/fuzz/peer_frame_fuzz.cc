// The decoder of frames between nodes must refuse any bytes without a fault, and give back what it accepts.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "replication/net/peer_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace paxledger;
  static FrameReader reader;
  PeerFrame frame;
  if (!reader.Decode({reinterpret_cast<const char*>(data), size}, &frame).ok()) return 0;
  FrameWriter writer;
  for (const PeerMessage& message : frame.messages)
    Check(writer.Add(message), "what fitted a frame fits again");
  if (frame.hello.has_value()) writer.AddHello(*frame.hello);
  if (frame.reject.has_value()) writer.AddReject(*frame.reject);
  writer.EndFrame(frame.times);
  std::string buffer;
  writer.Exchange(&buffer);
  PeerFrame again;
  Check(reader.Decode(std::string_view(buffer).substr(kFrameHeadBytes), &again).ok(),
        "what was encoded decodes");
  Check(again.messages.size() == frame.messages.size(), "no message is lost");
  Check(again.times == frame.times, "times survive");
  Check(again.hello == frame.hello && again.reject == frame.reject, "greetings survive");
  return 0;
}
