#include "replication/net/guest.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "replication/net/peer_codec.h"

namespace paxledger {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Stream = asio::ssl::stream<tcp::socket>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr size_t kAnswerBytesMax = size_t{1} << 20;

struct Visit {
  Visit(asio::io_context& context, asio::ssl::context& tls) : stream(context, tls) {}
  Stream stream;
  FrameWriter frames;
  FrameReader reader;
  std::string in;
  PeerFrame frame;
  std::string why;  // it failed
  std::optional<PeerReject> reject;
  std::optional<std::string> answer;
};

asio::awaitable<bool> SendFrames(Visit& visit) {
  std::string out;
  visit.frames.Exchange(&out);
  auto [error, bytes] = co_await asio::async_write(visit.stream, asio::buffer(out), kTuple);
  if (error) visit.why = error.message();
  co_return !error;
}

/// The next frame, in `visit.frame`.
asio::awaitable<bool> ReadFrame(Visit& visit) {
  visit.in.resize(kFrameHeadBytes);
  auto [failed, head_bytes] = co_await asio::async_read(visit.stream, asio::buffer(visit.in), kTuple);
  if (failed) {
    visit.why = failed.message();
    co_return false;
  }
  size_t length = FrameLength(visit.in);
  if (length > kAnswerBytesMax) {
    visit.why = "not a frame of a node";
    co_return false;
  }
  visit.in.resize(length);
  auto [error, bytes] = co_await asio::async_read(visit.stream, asio::buffer(visit.in), kTuple);
  if (error) {
    visit.why = error.message();
    co_return false;
  }
  absl::Status decoded = visit.reader.Decode(visit.in, &visit.frame);
  if (!decoded.ok()) visit.why = std::string(decoded.message());
  if (visit.frame.reject.has_value()) visit.reject = visit.frame.reject;
  co_return decoded.ok() && !visit.reject.has_value();
}

asio::awaitable<ErrorCode> Reach(Visit& visit, std::string host, uint16_t port) {
  tcp::resolver resolver(visit.stream.get_executor());
  auto [failed, found] = co_await resolver.async_resolve(host, std::to_string(port), kTuple);
  if (failed) co_return failed;
  auto [refused] = co_await visit.stream.next_layer().async_connect(*found.begin(), kTuple);
  if (refused) co_return refused;
  auto [error] = co_await visit.stream.async_handshake(asio::ssl::stream_base::client, kTuple);
  co_return error;
}

asio::awaitable<void> Ask(Visit& visit, const GuestOptions& options, std::string host, uint16_t port,
                          AppMessage question) {
  ErrorCode error = co_await Reach(visit, host, port);
  if (error) {
    visit.why = error.message();
    co_return;
  }
  PeerHello hello;
  hello.cluster_id = options.cluster_id;
  hello.name = options.name;
  visit.frames.AddHello(hello);
  visit.frames.EndFrame(FrameTimes{});
  bool sent = co_await SendFrames(visit);
  if (!sent) co_return;
  bool greeted = co_await ReadFrame(visit);
  if (!greeted) co_return;
  std::unique_ptr<X509, decltype(&X509_free)> certificate(
      SSL_get1_peer_certificate(visit.stream.native_handle()), &X509_free);
  bool known =
      visit.frame.hello.has_value() && visit.frame.hello->cluster_id == options.cluster_id &&
      CertificateCarries(certificate.get(), PeerCertificateName(visit.frame.hello->name, options.cluster_id));
  if (!known) {
    visit.why = "who answers there is not a node of this cluster";
    co_return;
  }
  if (!visit.frames.Add(std::move(question))) co_return;
  visit.frames.EndFrame(FrameTimes{});
  bool asked = co_await SendFrames(visit);
  while (asked && !visit.answer.has_value()) {
    asked = co_await ReadFrame(visit);
    if (!asked) co_return;
    for (PeerMessage& message : visit.frame.messages) {
      if (auto* app = std::get_if<AppMessage>(&message)) visit.answer = std::move(app->bytes);
    }
  }
}

}  // namespace

absl::StatusOr<std::string> AskAsGuest(const GuestOptions& options, const std::string& host, uint16_t port,
                                       AppMessage question) {
  absl::StatusOr<TlsContext> made =
      MakePeerTlsContext(options.files, PeerCertificateName(options.name, options.cluster_id));
  if (!made.ok()) return made.status();
  asio::ssl::context tls(made->release());
  asio::io_context context{1};
  Visit visit(context, tls);
  asio::co_spawn(context, Ask(visit, options, host, port, std::move(question)), asio::detached);
  context.run_for(absl::ToChronoMilliseconds(options.timeout));
  if (!context.stopped()) {
    if (visit.why.empty()) visit.why = "no answer in time";
    ErrorCode ignored;
    visit.stream.next_layer().close(ignored);
    context.run_for(std::chrono::seconds(1));  // what is under way ends with an error
  }
  std::string where = absl::StrCat(host, ":", port, ": ");
  if (visit.reject.has_value()) return absl::PermissionDeniedError(where + visit.reject->reason);
  if (!visit.answer.has_value()) return absl::UnavailableError(where + visit.why);
  return *std::move(visit.answer);
}

}  // namespace paxledger
