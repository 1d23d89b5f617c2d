#pragma once

#include <openssl/ssl.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/parse.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

/// Part of client.cc, which alone includes it: Asio and Beast are compiled there once.
namespace paxledger {

struct ClientCall;

struct ClientResponse {
  int status = 0;
  std::string body;
  std::string location;
  std::string retry_after;
  bool replayed = false;
  bool keep_alive = true;
};

/// Where a connection leads, and the TLS session that shortens the next handshake.
struct ClientEndpointAddress {
  std::string url;
  std::string host;
  uint16_t port = 0;
  bool numeric = false;  // an IP address: connected without a name lookup, and no SNI
  std::shared_ptr<SSL_SESSION> session;
};

/// Errors: kInvalidArgument
inline absl::StatusOr<ClientEndpointAddress> ParseEndpoint(const std::string& url) {
  const auto parsed = boost::urls::parse_uri(url);
  if (!parsed || parsed->scheme() != "https" || parsed->encoded_host().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("endpoint '", url, "' is not of the form https://host:port"));
  }
  ClientEndpointAddress address;
  address.url = url;
  address.host = parsed->host_address();
  address.port = parsed->has_port() && parsed->port_number() != 0 ? parsed->port_number() : uint16_t{443};
  boost::system::error_code error;
  boost::asio::ip::make_address(address.host, error);
  address.numeric = !error;
  return address;
}

/// Where an SSL object keeps the address that it was made for.
inline int SessionSlot() {
  static const int slot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return slot;
}

/// Keeps the newest ticket of an endpoint for its next connection.
inline int KeepSession(SSL* ssl, SSL_SESSION* session) {
  auto* address = static_cast<ClientEndpointAddress*>(SSL_get_ex_data(ssl, SessionSlot()));
  if (address == nullptr) return 0;
  address->session = std::shared_ptr<SSL_SESSION>(session, SSL_SESSION_free);
  return 1;  // the reference is ours now
}

/// One TLS connection with one exchange at a time.
/// Owns:    the socket. Keeps itself alive while an operation is under way.
/// Threads: the client's.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void OnReady(ClientConnection& connection) = 0;
    virtual void OnResponse(ClientConnection& connection, ClientResponse response) = 0;
    /// Called once; the connection does nothing more.
    virtual void OnLost(ClientConnection& connection, std::string reason) = 0;
  };

  ClientConnection(boost::asio::io_context& io, boost::asio::ssl::context& tls,
                   ClientEndpointAddress& address, Owner& owner, size_t endpoint_index)
      : endpoint(endpoint_index), address_(address), owner_(owner), resolver_(io), stream_(io, tls) {}
  ~ClientConnection();

  void Open();
  /// Only when ready and idle.
  void Exchange(std::string request) {
    Check(ready_ && !lost_, "an exchange needs a ready connection");
    out_ = std::move(request);
    boost::asio::async_write(stream_, boost::asio::buffer(out_),
                             [self = shared_from_this()](boost::system::error_code error, size_t) {
                               if (self->lost_) return;
                               if (error) return self->Lose(error.message());
                               self->parser_.emplace();
                               self->parser_->eager(true);
                               self->parser_->body_limit(kResponseBytesMax);
                               self->Read();
                             });
  }
  /// Reports the loss and closes.
  void Lose(std::string reason) {
    if (lost_) return;
    Close();
    owner_.OnLost(*this, std::move(reason));
  }
  /// Closes without a report.
  void Close() {
    lost_ = true;
    boost::system::error_code ignored;
    resolver_.cancel();
    stream_.lowest_layer().close(ignored);
  }
  bool ready() const { return ready_; }
  SSL* ssl() { return stream_.native_handle(); }

  // The owner's notes.
  const size_t endpoint;
  std::shared_ptr<ClientCall> call;  // the exchange under way
  int64_t began_us = 0;              // the exchange
  bool reads_location = false;       // it reads the Location of a 202, so its answer is not the request's
  int64_t expires_us = 0;            // when opening, or the exchange, has taken too long
  int64_t idle_since_us = 0;

 private:
  using Tcp = boost::asio::ip::tcp;
  static constexpr uint64_t kResponseBytesMax = 64 << 20;
  static constexpr size_t kReadBytes = 32 << 10;

  void Connect(const Tcp::resolver::results_type& addresses);
  void Handshake();
  void Read();
  void Take(size_t bytes);
  void Deliver();

  ClientEndpointAddress& address_;
  Owner& owner_;
  Tcp::resolver resolver_;
  boost::asio::ssl::stream<Tcp::socket> stream_;
  std::string out_;
  boost::beast::flat_buffer in_;
  std::optional<boost::beast::http::response_parser<boost::beast::http::string_body>> parser_;
  bool ready_ = false;
  bool lost_ = false;
};

inline void ClientConnection::Open() {
  if (address_.numeric) {
    boost::system::error_code error;
    const auto ip = boost::asio::ip::make_address(address_.host, error);
    Check(!error, "a numeric endpoint was parsed before");
    return Connect(Tcp::resolver::results_type::create(Tcp::endpoint(ip, address_.port), address_.host,
                                                       std::to_string(address_.port)));
  }
  resolver_.async_resolve(
      address_.host, std::to_string(address_.port),
      [self = shared_from_this()](boost::system::error_code error, const Tcp::resolver::results_type& found) {
        if (self->lost_) return;
        if (error) return self->Lose(error.message());
        self->Connect(found);
      });
}

inline void ClientConnection::Connect(const Tcp::resolver::results_type& addresses) {
  boost::asio::async_connect(
      stream_.lowest_layer(), addresses,
      [self = shared_from_this()](boost::system::error_code error, const Tcp::endpoint&) {
        if (self->lost_) return;
        if (error) return self->Lose(error.message());
        self->Handshake();
      });
}

inline void ClientConnection::Handshake() {
  boost::system::error_code ignored;
  stream_.lowest_layer().set_option(Tcp::no_delay(true), ignored);
  stream_.set_verify_callback(boost::asio::ssl::host_name_verification(address_.host), ignored);
  SSL* ssl = stream_.native_handle();
  if (!address_.numeric) {
    SSL_set_tlsext_host_name(ssl, address_.host.c_str());
  }
  if (address_.session != nullptr) {
    SSL_set_session(ssl, address_.session.get());
  }
  stream_.async_handshake(boost::asio::ssl::stream_base::client,
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (self->lost_) return;
                            if (error) return self->Lose("TLS: " + error.message());
                            self->ready_ = true;
                            self->owner_.OnReady(*self);
                          });
}

inline void ClientConnection::Read() {
  stream_.async_read_some(in_.prepare(kReadBytes),
                          [self = shared_from_this()](boost::system::error_code error, size_t bytes) {
                            if (self->lost_) return;
                            if (error) return self->Lose(error.message());
                            self->Take(bytes);
                          });
}

inline void ClientConnection::Take(size_t bytes) {
  in_.commit(bytes);
  while (in_.size() > 0 && !parser_->is_done()) {
    boost::system::error_code error;
    in_.consume(parser_->put(in_.data(), error));
    if (error == boost::beast::http::error::need_more) break;
    if (error) return Lose("not HTTP: " + error.message());
  }
  if (!parser_->is_done()) return Read();
  Deliver();
}

inline void ClientConnection::Deliver() {
  auto message = parser_->release();
  parser_.reset();
  ClientResponse response;
  response.status = static_cast<int>(message.result_int());
  response.keep_alive = message.keep_alive();
  for (const auto& field : message) {
    const std::string_view name(field.name_string().data(), field.name_string().size());
    const std::string_view value(field.value().data(), field.value().size());
    if (field.name() == boost::beast::http::field::location) {
      response.location = value;
    } else if (field.name() == boost::beast::http::field::retry_after) {
      response.retry_after = value;
    } else if (boost::beast::iequals(name, "Idempotent-Replayed")) {
      response.replayed = value == "true";
    }
  }
  response.body = std::move(message.body());
  owner_.OnResponse(*this, std::move(response));
}

}  // namespace paxledger
