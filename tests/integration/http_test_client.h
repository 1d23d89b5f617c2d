#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger {

struct HttpAnswer {
  int status = 0;                              // 0: the connection ended without one
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

/// A client that sends bytes as told and reads answers one by one.
class HttpClient {
 public:
  explicit HttpClient(uint16_t port) : stream_(io_, tls_) {
    stream_.next_layer().connect(
        boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), port));
    stream_.handshake(boost::asio::ssl::stream_base::client);
  }

  bool Send(std::string_view bytes) {
    boost::system::error_code error;
    boost::asio::write(stream_, boost::asio::buffer(bytes.data(), bytes.size()), error);
    return !error;
  }

  HttpAnswer Read() {
    HttpAnswer answer;
    size_t end = 0;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
      if (!Fill()) return answer;
    }
    std::string head = in_.substr(0, end);
    in_.erase(0, end + 4);
    size_t line_end = head.find("\r\n");
    answer.status = std::stoi(head.substr(9, 3));
    while (line_end != std::string::npos) {
      const size_t begin = line_end + 2;
      line_end = head.find("\r\n", begin);
      const std::string line =
          head.substr(begin, line_end == std::string::npos ? line_end : line_end - begin);
      const size_t colon = line.find(": ");
      answer.headers[absl::AsciiStrToLower(line.substr(0, colon))] = line.substr(colon + 2);
    }
    size_t length = 0;
    if (answer.headers.contains("transfer-encoding")) return answer;  // its chunks are read by ReadChunk
    if (answer.status >= 200 && !head_only_) length = std::stoul(answer.headers["content-length"]);
    while (in_.size() < length) {
      if (!Fill()) return {};
    }
    answer.body = in_.substr(0, length);
    in_.erase(0, length);
    return answer;
  }

  /// The next chunk of a chunked body; empty: the last one, or the end of the connection.
  std::string ReadChunk() {
    size_t end = 0;
    while ((end = in_.find("\r\n")) == std::string::npos) {
      if (!Fill()) return "";
    }
    const size_t length = std::stoul(in_.substr(0, end), nullptr, 16);
    in_.erase(0, end + 2);
    while (in_.size() < length + 2) {
      if (!Fill()) return "";
    }
    std::string chunk = in_.substr(0, length);
    in_.erase(0, length + 2);
    return chunk;
  }

  HttpAnswer Call(std::string_view method, std::string_view target, std::string_view body = "",
                  std::string_view extra = "") {
    head_only_ = method == "HEAD";
    Send(Request(method, target, body, extra));
    HttpAnswer answer = Read();
    head_only_ = false;
    return answer;
  }

  static std::string Request(std::string_view method, std::string_view target, std::string_view body = "",
                             std::string_view extra = "") {
    std::string request = absl::StrCat(ToAbsl(method), " ", ToAbsl(target), " HTTP/1.1\r\nHost: x\r\n");
    if (extra.find("Authorization") == std::string_view::npos)
      absl::StrAppend(&request, "Authorization: Bearer all\r\n");
    if (method == "POST" && extra.find("Content-Type") == std::string_view::npos) {
      absl::StrAppend(&request, "Content-Type: application/json\r\n");
    }
    if (method == "POST") absl::StrAppend(&request, "Content-Length: ", body.size(), "\r\n");
    absl::StrAppend(&request, ToAbsl(extra), "\r\n", ToAbsl(body));
    return request;
  }

  bool AtEnd() { return in_.empty() && !Fill(); }

 private:
  bool Fill() {
    char buffer[16384];
    boost::system::error_code error;
    const size_t n = stream_.read_some(boost::asio::buffer(buffer), error);
    in_.append(buffer, n);
    return !error;
  }

  boost::asio::io_context io_;
  boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_client};
  boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
  std::string in_;
  bool head_only_ = false;
};

}  // namespace paxledger
