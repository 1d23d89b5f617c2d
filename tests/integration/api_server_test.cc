// The HTTPS door over a real TLS socket, before a service that answers from another thread.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/cursors.h"
#include "api/json.h"
#include "api/server.h"
#include "api/tokens.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/system_clock.h"
#include "tests/integration/fake_ledger_service.h"
#include "tests/integration/http_test_client.h"
#include "tests/integration/test_certificates.h"

namespace paxledger {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::HasSubstr;

constexpr char kTransfers[] = "/v1/ledgers/main/transfers";
constexpr char kPay[] = R"({"id":"pay-1","debit_account":"a","credit_account":"b","amount":"5"})";

class ApiServerTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/api_server_test." + std::to_string(getpid());
    std::filesystem::create_directories(directory_);
    TestCertificates authority(directory_);
    files_ = authority.Issue("localhost", "DNS:localhost,IP:127.0.0.1");
    StartWith(Options());
  }
  void TearDown() override {
    service_.Release();
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  ApiServerOptions Options() {
    ApiServerOptions options;
    options.certificate_path = files_.certificate;
    options.key_path = files_.key;
    options.data_centre = "dc1";
    options.keys = {{"all", Sha256("all"), {"*"}}, {"reader", Sha256("reader"), {"accounts:read"}}};
    options.header_deadline = absl::Milliseconds(400);
    options.body_deadline = absl::Milliseconds(400);
    options.idle_deadline = absl::Seconds(20);
    return options;
  }
  void StartWith(ApiServerOptions options) {
    server_.reset();
    server_ = std::make_unique<ApiServer>(std::move(options), service_, clock_, metrics_);
    absl::Status status = server_->Listen();
    ASSERT_TRUE(status.ok()) << status;
    server_->Start();
  }

  /// Checks that the answer is a whole problem document of this status and code.
  void ExpectProblem(const HttpAnswer& answer, int status, std::string_view code) {
    EXPECT_EQ(answer.status, status) << answer.body;
    auto type = answer.headers.find("content-type");
    ASSERT_NE(type, answer.headers.end()) << status << " " << code;
    EXPECT_EQ(type->second, "application/problem+json");
    EXPECT_TRUE(answer.headers.contains("request-id"));
    JsonDocument document;
    ASSERT_TRUE(document.Parse(answer.body).ok()) << answer.body;
    for (const char* member :
         {"type", "title", "status", "detail", "instance", "code", "retryable", "errors"}) {
      EXPECT_THAT(answer.body, HasSubstr(absl::StrCat("\"", member, "\":"))) << answer.body;
    }
    EXPECT_THAT(answer.body, HasSubstr(absl::StrCat("\"code\":\"", ToAbsl(code), "\",\"retryable\"")));
  }

  std::string directory_;
  TestCertificates::Files files_;
  FakeService service_;
  SystemClock clock_;
  Metrics metrics_;
  std::unique_ptr<ApiServer> server_;
};

TEST_F(ApiServerTest, PostsATransfer) {
  HttpClient client(server_->port());
  HttpAnswer answer = client.Call("POST", kTransfers, kPay,
                                  "Request-Id: r-1\r\n"
                                  "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.headers["location"], "/v1/ledgers/main/transfers/pay-1");
  EXPECT_EQ(answer.headers["request-id"], "r-1");
  EXPECT_EQ(answer.headers["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  EXPECT_EQ(DecodeConsistencyToken(answer.headers["consistency-token"]), LogTime{1'767'225'600'000'000});
  EXPECT_EQ(
      answer.body,
      R"({"id":"pay-1","debit_account":"a","credit_account":"b","amount":"5","asset":null,"pending":false,)"
      R"("timeout_seconds":0,"effective_at":null,"code":null,"reference":null,"metadata":{},"amount_mode":"exact",)"
      R"("conditions":[],"debit_ledger":null,"credit_ledger":null,"status":"posted","refusal":null,)"
      R"("transaction_id":"pay-1","committed_at":"2026-01-01T00:00:00.000000Z","shards":[1]})");
}

TEST_F(ApiServerTest, MakesIdsThatLiveWithTheDebitAccount) {
  HttpClient client(server_->port());
  const std::string body = R"({"debit_account":"a","credit_account":"b","amount":"5"})";
  EXPECT_EQ(client.Call("POST", kTransfers, body).status, 201);
  EXPECT_EQ(client.Call("POST", kTransfers, body, "Idempotency-Key: key-1\r\n").status, 201);
  ExpectProblem(client.Call("POST", kTransfers, kPay, "Idempotency-Key: key-1\r\n"), 400, "invalid_field");
  std::vector<Transaction> executed = service_.executed_transactions();
  ASSERT_EQ(executed.size(), 2u);
  EXPECT_THAT(executed[0].id, testing::MatchesRegex("[0-9a-f-]{36}@[0-9a-z]{4}"));
  EXPECT_EQ(executed[0].transfers[0].id, executed[0].id);
  EXPECT_EQ(executed[1].id, "key-1");
}

TEST_F(ApiServerTest, SaysWhatBecameOfATransfer) {
  HttpClient client(server_->port());
  service_.set_state(TransactionState::kRefused);
  ExpectProblem(client.Call("POST", kTransfers, kPay), 422, "insufficient_funds");
  service_.set_state(TransactionState::kConflict);
  ExpectProblem(client.Call("POST", kTransfers, kPay), 409, "idempotency_conflict");
  service_.set_state(TransactionState::kInDoubt);
  HttpAnswer unknown = client.Call("POST", kTransfers, kPay);
  EXPECT_EQ(unknown.status, 202);
  EXPECT_EQ(unknown.headers["location"], "/v1/ledgers/main/transfers/pay-1?recovery=tok-1");
  EXPECT_THAT(unknown.body, HasSubstr(R"("status":"in_doubt")"));
  service_.set_state(TransactionState::kUnavailable);
  HttpAnswer unavailable = client.Call("POST", kTransfers, kPay);
  ExpectProblem(unavailable, 503, "unavailable");
  EXPECT_EQ(unavailable.headers["retry-after"], "1");
}

TEST_F(ApiServerTest, AnswersBatchesInOrder) {
  HttpClient client(server_->port());
  std::string body = "{\"transfers\":[";
  for (int i = 0; i < 1000; ++i) {
    const char* amount = i == 500 ? "-5" : "5";
    absl::StrAppend(&body, i == 0 ? "" : ",", R"({"id":"t)", i,
                    R"(","debit_account":"a","credit_account":"b","amount":")", amount, "\"}");
  }
  body += "]}";
  HttpAnswer answer = client.Call("POST", "/v1/ledgers/main/transfers/batch", body);
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body,
              testing::StartsWith(R"({"data":[{"id":"t0","status":"posted"},{"id":"t1","status":"posted"})"));
  EXPECT_THAT(answer.body,
              HasSubstr(R"({"id":"t500","status":"invalid","code":"invalid_field","errors":[{"pointer":)"
                        R"("/transfers/500/amount")"));
  EXPECT_EQ(service_.executed(), 999u);
  answer = client.Call("POST", "/v1/ledgers/main/accounts/batch",
                       R"({"accounts":[{"id":"new","asset":"USD/2"},{"id":"exists","asset":"USD/2"},)"
                       R"({"id":"other","asset":"USD/2"},{"id":"x"}]})");
  EXPECT_THAT(
      answer.body,
      testing::StartsWith(R"({"data":[{"id":"new","status":"opened"},{"id":"exists","status":"exists"},)"
                          R"({"id":"other","status":"refused","code":"account_exists_with_other_fields"},)"
                          R"({"id":"x","status":"invalid","code":"invalid_field","errors":)"));
}

TEST_F(ApiServerTest, OpensAndReadsAccounts) {
  HttpClient client(server_->port());
  HttpAnswer answer = client.Call("POST", "/v1/ledgers/main/accounts",
                                  R"({"id":"new","asset":"USD/2","metadata":{ "tier" : "gold" }})");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.headers["location"], "/v1/ledgers/main/accounts/new");
  EXPECT_EQ(answer.headers["etag"], "\"1\"");
  EXPECT_THAT(answer.body, HasSubstr(R"("metadata":{ "tier" : "gold" })"));
  EXPECT_EQ(client.Call("POST", "/v1/ledgers/main/accounts", R"({"id":"exists","asset":"USD/2"})").status,
            200);
  ExpectProblem(client.Call("POST", "/v1/ledgers/main/accounts", R"({"id":"other","asset":"USD/2"})"), 409,
                "account_exists_with_other_fields");

  answer = client.Call("GET", "/v1/ledgers/main/accounts/alice");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers["etag"], "\"7\"");
  EXPECT_FALSE(answer.headers.contains("staleness-ms"));
  EXPECT_THAT(answer.body, HasSubstr(R"("balance":"1050","available":"1050")"));
  answer = client.Call("GET", "/v1/ledgers/main/accounts/alice/balance?consistency=local");
  EXPECT_EQ(answer.headers["staleness-ms"], "2");
  EXPECT_THAT(answer.body, testing::StartsWith(
                               R"({"account":"alice","asset":"USD/2","at":"2026-01-01T00:00:00.000000Z",)"));
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts/alice/balance?at=2026-01-01T00:00:00Z"), 400,
                "invalid_field");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts/nobody"), 404, "account_not_found");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts/no%20body"), 404, "account_not_found");
  ExpectProblem(client.Call("GET", "/v1/ledgers/mine/accounts/alice"), 404, "ledger_not_found");
}

TEST_F(ApiServerTest, ListsAccountsPageByPage) {
  HttpClient client(server_->port());
  std::string target = "/v1/ledgers/main/accounts?prefix=acct:&limit=4";
  std::vector<size_t> sizes;
  while (!target.empty()) {
    HttpAnswer answer = client.Call("GET", target);
    ASSERT_EQ(answer.status, 200) << answer.body;
    size_t count = 0;
    for (size_t at = 0; (at = answer.body.find("{\"id\":\"acct:", at)) != std::string::npos; ++at) ++count;
    sizes.push_back(count);
    const std::string marker = "\"next_cursor\":\"";
    const size_t at = answer.body.find(marker);
    target.clear();
    if (at == std::string::npos) break;
    std::string cursor = answer.body.substr(at + marker.size());
    cursor.resize(cursor.find('"'));
    target = "/v1/ledgers/main/accounts?limit=4&cursor=" + cursor;
    ExpectProblem(client.Call("GET", target + "&prefix=other"), 400, "invalid_field");
  }
  EXPECT_THAT(sizes, testing::ElementsAre(4, 4, 2));
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts?limit=0"), 400, "invalid_field");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts?limit=1001"), 400, "invalid_field");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts?cursor=00"), 400, "invalid_field");
}

TEST_F(ApiServerTest, ReadsTransfersAndTransactions) {
  HttpClient client(server_->port());
  HttpAnswer answer = client.Call("GET", "/v1/ledgers/main/transfers/pay-1~1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, testing::StartsWith(R"({"id":"pay-1~1","debit_account":"b")"));
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/transfers/pay-1~2"), 404, "transfer_not_found");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/transfers/nothing"), 404, "transfer_not_found");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/transfers/nothing?recovery=bad"), 400, "invalid_field");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/transfers/nothing?recovery=taken"), 409,
                "idempotency_conflict");
  answer = client.Call("GET", "/v1/ledgers/main/transfers/nothing?recovery=tok");
  EXPECT_THAT(answer.body, HasSubstr(R"({"id":"nothing","status":"aborted","refusal":null)"));
  answer = client.Call("GET", "/v1/ledgers/main/transactions/pay-1");
  EXPECT_THAT(answer.body, HasSubstr(R"("refused_transfer":null,"transfers":[{"id":"pay-1~0")"));
}

TEST_F(ApiServerTest, AnswersOperators) {
  HttpClient client(server_->port());
  EXPECT_EQ(client.Call("GET", "/livez", "", "Authorization: no\r\n").status, 200);
  EXPECT_EQ(client.Call("GET", "/readyz", "", "Authorization: no\r\n").status, 200);
  service_.set_ready(absl::UnavailableError("no quorum"));
  HttpAnswer answer = client.Call("GET", "/readyz");
  ExpectProblem(answer, 503, "unavailable");
  EXPECT_THAT(answer.body, HasSubstr("no quorum"));
  EXPECT_THAT(client.Call("GET", "/").body, HasSubstr("data centre dc1"));
  EXPECT_EQ(client.Call("GET", "/v1/ledgers").body,
            R"({"data":[{"id":"main"}],"has_more":false,"next_cursor":null})");
  EXPECT_EQ(client.Call("GET", "/v1/ledgers/main").body, R"({"id":"main"})");
  EXPECT_THAT(client.Call("GET", "/v1/audit/status").body, HasSubstr(R"("digests_at":null)"));
  EXPECT_THAT(client.Call("GET", "/v1/audit/status?indexes=5,7").body,
              HasSubstr(R"("digests_at":{"index":5,)"));
  ExpectProblem(client.Call("GET", "/v1/audit/status?indexes=5"), 400, "invalid_field");
  EXPECT_THAT(client.Call("GET", "/v1/cluster").body, HasSubstr(R"("cluster_id":"c-1")"));
  JsonDocument document;
  answer = client.Call("GET", "/openapi.json");
  EXPECT_TRUE(document.Parse(answer.body).ok());
  EXPECT_THAT(answer.body, testing::StartsWith(R"({"openapi":"3.1.0")"));
  EXPECT_THAT(client.Call("GET", "/metrics").body,
              HasSubstr("paxledger_http_requests_total{status=\"200\"}"));
  answer = client.Call("HEAD", "/livez");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers["content-length"], "18");
  EXPECT_EQ(client.Call("GET", "/livez").body, R"({"status":"alive"})");
}

TEST_F(ApiServerTest, RefusesBadBodiesAndChangesNothing) {
  HttpClient client(server_->port());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "malformed_request"},
      {"{", "malformed_request"},
      {"{\"id\":\"\xff\"}", "malformed_request"},
      {R"({"amount":"1","amount":"2"})", "malformed_request"},
      {std::string(100, '['), "malformed_request"},
      {"[]", "invalid_field"},
      {R"({"debit_account":"a","credit_account":"b","amount":"1.50"})", "invalid_field"},
      {R"({"debit_account":"a","credit_account":"b","amount":1.5})", "invalid_field"},
      {R"({"debit_account":"a","credit_account":"b","amount":"-5"})", "invalid_field"},
      {R"({"debit_account":"a","credit_account":"b","amount":"170141183460469231731687303715884105728"})",
       "invalid_field"},
      {R"({"debit_account":"a","credit_account":"b","amount":true})", "invalid_field"},
      {R"({"debit_account":7,"credit_account":"b","amount":"1"})", "invalid_field"},
      {R"({"debit_account":"a","credit_account":"b","amount":"1","timeout":5})", "unknown_field"},
      {R"({"debit_account":"a","credit_account":"b","amount":"1","pending":true})", "invalid_field"},
  };
  for (const auto& [body, code] : cases) ExpectProblem(client.Call("POST", kTransfers, body), 400, code);
  ExpectProblem(client.Call("POST", "/v1/ledgers/main/transfers/batch", "{\"transfers\":[{}"), 400,
                "malformed_request");
  ExpectProblem(
      client.Call("POST", "/v1/ledgers/main/transfers/batch", "{\"transfers\":[]}", "Idempotency-Key: k\r\n"),
      400, "invalid_field");
  ExpectProblem(client.Call("POST", absl::StrCat(kTransfers, "?dry_run=true"), kPay), 400, "invalid_field");
  EXPECT_EQ(service_.executed(), 0u);
}

TEST_F(ApiServerTest, AsksForKeyPathMethodAndMediaType) {
  HttpClient client(server_->port());
  HttpAnswer answer = client.Call("POST", kTransfers, kPay, "Authorization: Bearer guess\r\n");
  ExpectProblem(answer, 401, "unauthenticated");
  EXPECT_THAT(answer.headers["www-authenticate"], HasSubstr("Bearer"));
  answer = client.Call("POST", kTransfers, kPay, "Authorization: Bearer reader\r\n");
  ExpectProblem(answer, 403, "forbidden");
  EXPECT_THAT(answer.headers["www-authenticate"], HasSubstr("transfers:write"));
  ExpectProblem(client.Call("GET", "/metrics", "", "Authorization: Bearer reader\r\n"), 403, "forbidden");
  ExpectProblem(client.Call("GET", "/v1/nothing"), 404, "not_found");
  answer = client.Call("DELETE", "/v1/ledgers/main/accounts/alice");
  ExpectProblem(answer, 405, "method_not_allowed");
  EXPECT_EQ(answer.headers["allow"], "GET, HEAD");
  ExpectProblem(client.Call("POST", kTransfers, kPay, "Content-Type: text/xml\r\n"), 415,
                "unsupported_media_type");
  ExpectProblem(client.Call("POST", kTransfers, kPay, "Content-Encoding: gzip\r\n"), 415,
                "unsupported_media_type");
  EXPECT_EQ(service_.executed(), 0u);
}

TEST_F(ApiServerTest, BoundsBodiesAndHeaders) {
  {
    HttpClient client(server_->port());
    std::string body = R"({"debit_account":"a","credit_account":"b","amount":"1"})";
    body += std::string(limits::kTransactionBytesMax, ' ');
    ExpectProblem(client.Call("POST", kTransfers, body), 413, "body_too_large");
    EXPECT_EQ(client.Call("GET", "/livez").status, 200);  // the connection goes on
  }
  {
    HttpClient client(server_->port());
    ExpectProblem(client.Call("POST", kTransfers, std::string(limits::kBodyBytesMax + 1, ' ')), 413,
                  "body_too_large");
    EXPECT_TRUE(client.AtEnd());
  }
  {
    HttpClient client(server_->port());
    client.Send(
        "POST /v1/ledgers/main/transfers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "100000\r\n" + std::string(1 << 20, ' ') + "\r\n";
    for (int i = 0; i < 9; ++i) client.Send(chunk);
    ExpectProblem(client.Read(), 413, "body_too_large");
  }
  {
    HttpClient client(server_->port());
    ExpectProblem(
        client.Call("GET", "/livez", "", "X: " + std::string(limits::kHeaderBytesMax, 'x') + "\r\n"), 431,
        "header_too_large");
  }
  {
    HttpClient client(server_->port());
    client.Send("GET /" + std::string(limits::kHeaderBytesMax, 'x'));
    ExpectProblem(client.Read(), 431, "header_too_large");
  }
}

TEST_F(ApiServerTest, ReadsChunkedBodiesAndContinues) {
  HttpClient client(server_->port());
  client.Send(
      "POST /v1/ledgers/main/transfers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
      "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Read().status, 100);
  client.Send(absl::StrCat("5\r\n", std::string(kPay).substr(0, 5), "\r\n"));
  client.Send(
      absl::StrCat(absl::Hex(sizeof(kPay) - 1 - 5), "\r\n", std::string(kPay).substr(5), "\r\n0\r\n\r\n"));
  EXPECT_EQ(client.Read().status, 201);
}

TEST_F(ApiServerTest, RefusesWhatIsNotHttp) {
  for (const char* bytes :
       {"\x16\x03\x01 nonsense\r\n\r\n", "GET /livez\r\n\r\n", "GET /livez HTTP/3.0\r\n\r\n",
        "GET /livez HTTP/1.1\r\n\r\n",
        "POST /v1/ledgers/main/transfers HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        "POST /v1/ledgers/main/transfers HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /v1/ledgers/main/transfers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
        "GET /liv\xc3\xa4z HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    HttpClient client(server_->port());
    client.Send(bytes);
    ExpectProblem(client.Read(), 400, "malformed_request");
    EXPECT_TRUE(client.AtEnd()) << "nothing more can be understood of such a connection";
  }
}

TEST_F(ApiServerTest, CutsOffAClientThatSendsAByteAtATime) {
  HttpClient head(server_->port());
  const std::string request = HttpClient::Request("GET", "/livez");
  for (int i = 0; i < 10; ++i) {
    head.Send(request.substr(static_cast<size_t>(i), 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
  ExpectProblem(head.Read(), 408, "request_timeout");
  EXPECT_TRUE(head.AtEnd());

  HttpClient body(server_->port());
  const std::string whole = HttpClient::Request("POST", kTransfers, kPay);
  const size_t begin = whole.size() - sizeof(kPay) + 1;
  body.Send(whole.substr(0, begin));
  for (size_t i = 0; i < 10; ++i) {
    body.Send(whole.substr(begin + i, 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  }
  ExpectProblem(body.Read(), 408, "request_timeout");
  EXPECT_TRUE(body.AtEnd());
  EXPECT_EQ(service_.executed(), 0u);
}

TEST_F(ApiServerTest, ClosesIdleAndSilentConnections) {
  ApiServerOptions options = Options();
  options.idle_deadline = absl::Milliseconds(200);
  options.handshake_deadline = absl::Milliseconds(200);
  StartWith(options);
  HttpClient idle(server_->port());
  EXPECT_EQ(idle.Call("GET", "/livez").status, 200);
  EXPECT_TRUE(idle.AtEnd());

  asio::io_context io;
  tcp::socket silent(io);
  silent.connect(tcp::endpoint(asio::ip::make_address("127.0.0.1"), server_->port()));
  char byte;
  boost::system::error_code error;
  silent.read_some(asio::buffer(&byte, 1), error);
  EXPECT_TRUE(error);
}

TEST_F(ApiServerTest, AnswersPipelinedRequestsInOrder) {
  HttpClient client(server_->port());
  std::string many;
  for (int i = 0; i < 200; ++i) {
    many += HttpClient::Request("GET", i % 2 == 0 ? "/livez" : "/readyz", "",
                                absl::StrCat("Request-Id: r", i, "\r\n"));
  }
  client.Send(many);
  for (int i = 0; i < 200; ++i) {
    HttpAnswer answer = client.Read();
    ASSERT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers["request-id"], absl::StrCat("r", i));
  }
}

TEST_F(ApiServerTest, ClosesWhereTheClientAsksForIt) {
  HttpClient client(server_->port());
  HttpAnswer answer = client.Call("GET", "/livez", "", "Connection: close\r\n");
  EXPECT_EQ(answer.headers["connection"], "close");
  EXPECT_TRUE(client.AtEnd());
  HttpClient old(server_->port());
  old.Send("GET /livez HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.Read().status, 200);
  EXPECT_TRUE(old.AtEnd());
}

TEST_F(ApiServerTest, BoundsRequestsInFlightAndConnections) {
  ApiServerOptions options = Options();
  options.requests_in_flight_max = 1;
  options.connections_max = 2;
  StartWith(options);
  service_.Hold();
  HttpClient first(server_->port());
  HttpClient second(server_->port());
  first.Send(HttpClient::Request("POST", kTransfers, kPay));
  service_.AwaitCalls(1);
  HttpAnswer answer = second.Call("POST", kTransfers, kPay);
  ExpectProblem(answer, 429, "overloaded");
  EXPECT_EQ(answer.headers["retry-after"], "1");
  EXPECT_ANY_THROW(HttpClient third(server_->port()));
  service_.Release();
  EXPECT_EQ(first.Read().status, 201);
}

TEST_F(ApiServerTest, DrainFinishesWhatIsUnderWay) {
  HttpClient busy(server_->port());
  HttpClient idle(server_->port());
  EXPECT_EQ(idle.Call("GET", "/livez").status, 200);
  service_.Hold();
  busy.Send(HttpClient::Request("POST", kTransfers, kPay));
  service_.AwaitCalls(1);
  absl::Status drained;
  std::thread drain([&] { drained = server_->Drain(absl::Seconds(10)); });
  EXPECT_TRUE(idle.AtEnd());
  boost::system::error_code refused;
  asio::io_context io;
  tcp::socket late(io);
  late.connect(tcp::endpoint(asio::ip::make_address("127.0.0.1"), server_->port()), refused);
  EXPECT_TRUE(refused);
  service_.Release();
  HttpAnswer answer = busy.Read();
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.headers["connection"], "close");
  EXPECT_TRUE(busy.AtEnd());
  drain.join();
  EXPECT_TRUE(drained.ok()) << drained;
}

TEST_F(ApiServerTest, StopsWhileRequestsAreUnanswered) {
  service_.Hold();
  HttpClient client(server_->port());
  client.Send(HttpClient::Request("POST", kTransfers, kPay));
  service_.AwaitCalls(1);
  EXPECT_EQ(server_->Drain(absl::Milliseconds(50)).code(), absl::StatusCode::kDeadlineExceeded);
  server_->Stop();
  EXPECT_EQ(client.Read().status, 0);
  server_.reset();
  service_.Release();  // the answer comes when nobody is there to hear it
}

TEST_F(ApiServerTest, ServesFromSeveralThreads) {
  ApiServerOptions options = Options();
  options.threads = 3;
  StartWith(options);
  std::vector<std::thread> clients;
  std::atomic<int> posted{0};
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&] {
      HttpClient client(server_->port());
      for (int i = 0; i < 50; ++i) posted += client.Call("POST", kTransfers, kPay).status == 201 ? 1 : 0;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(posted, 400);
}

TEST_F(ApiServerTest, SaysWhyItCannotListen) {
  ApiServerOptions options = Options();
  options.port = server_->port();
  absl::Status taken = ApiServer(options, service_, clock_, metrics_).Listen();
  EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(taken.message()), HasSubstr(absl::StrCat("127.0.0.1:", server_->port())));
  options = Options();
  options.certificate_path = "/nowhere.pem";
  absl::Status missing = ApiServer(options, service_, clock_, metrics_).Listen();
  EXPECT_EQ(missing.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("/nowhere.pem"));
  options = Options();
  options.key_path = TestCertificates(directory_, "other").Issue("other").key;
  EXPECT_EQ(ApiServer(options, service_, clock_, metrics_).Listen().code(),
            absl::StatusCode::kInvalidArgument);
  options = Options();
  options.keys.push_back({"typo", Sha256("x"), {"acounts:read"}});
  EXPECT_THAT(std::string(ApiServer(options, service_, clock_, metrics_).Listen().message()),
              HasSubstr("acounts:read"));
}

std::string Member(const std::string& body, const std::string& name) {
  const size_t at = body.find("\"" + name + "\":\"");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 4;
  return body.substr(begin, body.find('"', begin) - begin);
}

TEST_F(ApiServerTest, PagesThroughAStatement) {
  HttpClient client(server_->port());
  const std::string path = "/v1/ledgers/main/accounts/alice/postings";
  HttpAnswer first = client.Call("GET", path + "?limit=1");
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(DecodeConsistencyToken(first.headers["consistency-token"]), LogTime{1'767'225'600'000'000});
  EXPECT_THAT(
      first.body,
      testing::StartsWith(
          R"({"account":"alice","asset":"USD/2","closed_until":"2026-01-01T00:00:00.000000Z","data":[)"
          R"({"transfer_id":"t1","transaction_id":"t1","side":"credit","amount":"5","counterpart":"bob",)"
          R"("committed_at":"1970-01-01T00:00:00.001000Z","effective_at":null,"code":null,"reference":null,)"
          R"("debits_posted":"0","credits_posted":"5","balance":"5"}],"has_more":true,"next_cursor":")"));
  for (const char* order : {"oldest_first", "newest_first"}) {
    std::string all, query = absl::StrCat("?limit=3&order=", order, "&from=1970-01-01T00:00:00.002Z");
    for (int page = 0; page < 4; ++page) {
      HttpAnswer answer = client.Call("GET", path + query);
      ASSERT_EQ(answer.status, 200) << answer.body;
      for (size_t at = answer.body.find("\"transfer_id\":\"t"); at != std::string::npos;
           at = answer.body.find("\"transfer_id\":\"t", at + 1)) {
        const size_t begin = at + 15;
        absl::StrAppend(&all, answer.body.substr(begin, answer.body.find('"', begin) - begin), " ");
      }
      const std::string cursor = Member(answer.body, "next_cursor");
      if (cursor.empty()) break;
      query = "?limit=3&cursor=" + cursor;
    }
    EXPECT_EQ(all, std::string_view(order) == "oldest_first" ? "t2 t3 t4 t5 t6 t7 t8 t9 t10 "
                                                             : "t10 t9 t8 t7 t6 t5 t4 t3 t2 ");
  }
}

TEST_F(ApiServerTest, RefusesStatementsThatMakeNoSense) {
  HttpClient client(server_->port());
  const std::string path = "/v1/ledgers/main/accounts/alice/postings";
  const std::string cursor = Member(client.Call("GET", path + "?limit=1").body, "next_cursor");
  ASSERT_FALSE(cursor.empty());
  for (const std::string& query :
       {std::string("?from=yesterday"), std::string("?until=1969-01-01T00:00:00Z"), std::string("?order=up"),
        std::string("?limit=0"), std::string("?limit=1001"), std::string("?cursor=abc"),
        "?cursor=" + cursor.substr(1), "?cursor=" + cursor + "&order=newest_first",
        "?cursor=" + cursor + "&from=2026-01-01T00:00:00Z"}) {
    ExpectProblem(client.Call("GET", path + query), 400, "invalid_field");
  }
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts/bob/postings?cursor=" + cursor), 400,
                "invalid_field");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts/bob/postings"), 404, "account_not_found");
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/accounts/-!-/postings"), 404, "account_not_found");
  EXPECT_EQ(
      client.Call("GET", path + "?limit=1&cursor=" + cursor, "", "Authorization: Bearer reader\r\n").status,
      200);
  ExpectProblem(client.Call("GET", "/v1/ledgers/main/events", "", "Authorization: Bearer reader\r\n"), 403,
                "forbidden");
}

TEST_F(ApiServerTest, EventsGoOnFromTheirCursor) {
  HttpClient client(server_->port());
  const std::string path = "/v1/ledgers/main/events";
  service_.Commit(3);
  HttpAnswer first = client.Call("GET", path + "?limit=2");
  EXPECT_EQ(first.status, 200);
  EXPECT_THAT(first.body, testing::StartsWith(
                              R"({"data":[{"id":"1-1-0","type":"transaction.committed","shard":1,)"
                              R"("committed_at":"2026-01-01T00:00:00.000000Z","transaction":{"id":"e1",)"));
  EXPECT_THAT(first.body, HasSubstr(R"("has_more":true)"));
  HttpAnswer second = client.Call("GET", path + "?cursor=" + Member(first.body, "next_cursor"));
  EXPECT_THAT(second.body, testing::StartsWith(R"({"data":[{"id":"1-1-2")"));
  std::string end = Member(second.body, "next_cursor");
  HttpAnswer nothing = client.Call("GET", path + "?cursor=" + end);
  EXPECT_EQ(nothing.body, R"({"data":[],"has_more":false,"next_cursor":")" + end + R"("})");
  EXPECT_EQ(client.Call("GET", path + "?start=newest").body, nothing.body);
  // A wait ends with the first event.
  client.Send(HttpClient::Request("GET", path + "?wait=30&cursor=" + end));
  service_.Commit(1);
  EXPECT_THAT(client.Read().body, testing::StartsWith(R"({"data":[{"id":"1-1-3")"));
  for (const std::string& query :
       {std::string("?start=middle"), std::string("?wait=31"), std::string("?wait=x"),
        std::string("?cursor=x"), "?start=oldest&cursor=" + end}) {
    ExpectProblem(client.Call("GET", path + query), 400, "invalid_field");
  }
  const std::string old = EncodeEventsCursor({"main", {{LogIndex{1}, 0}, {LogIndex{0}, 0}}});
  ExpectProblem(client.Call("GET", path + "?cursor=" + old), 410, "cursor_expired");
  ExpectProblem(client.Call("GET", path + "?cursor=" + old, "", "Accept: text/event-stream\r\n"), 410,
                "cursor_expired");
  const std::string few = EncodeEventsCursor({"main", {{LogIndex{1}, 0}}});
  ExpectProblem(client.Call("GET", path + "?cursor=" + few), 400, "invalid_field");
}

TEST_F(ApiServerTest, EventsStreamAndAreResumed) {
  const std::string path = "/v1/ledgers/main/events";
  const std::string accept = "Accept: text/html, text/event-stream;q=0.9\r\n";
  service_.Commit(2);
  std::string last_id;
  {
    HttpClient client(server_->port());
    HttpAnswer head = client.Call("GET", path, "", accept);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.headers["content-type"], "text/event-stream");
    EXPECT_EQ(head.headers["transfer-encoding"], "chunked");
    const std::string first = client.ReadChunk();
    EXPECT_THAT(first,
                testing::MatchesRegex("retry: 1000\n\nid: [A-Za-z0-9_=-]+\nevent: transaction.committed\n"
                                      "data: .*\"e1\".*\n\nid: .*\"e2\".*\n\n"));
    service_.Commit(1);
    const std::string second = client.ReadChunk();
    EXPECT_THAT(second, HasSubstr("\"e3\""));
    last_id = second.substr(4, second.find('\n') - 4);
  }
  service_.Commit(1);
  HttpClient again(server_->port());
  again.Call("GET", path, "", absl::StrCat(accept, "Last-Event-ID: ", last_id, "\r\n"));
  const std::string resumed = again.ReadChunk();
  EXPECT_THAT(resumed, HasSubstr("\"e4\""));
  EXPECT_THAT(resumed, testing::Not(HasSubstr("\"e3\"")));
  // A drain ends the stream, and with it the body.
  std::thread drain([this] { EXPECT_TRUE(server_->Drain(absl::Seconds(5)).ok()); });
  EXPECT_EQ(again.ReadChunk(), "");
  EXPECT_TRUE(again.AtEnd());
  drain.join();
}

TEST_F(ApiServerTest, StreamsOfEventsAreBounded) {
  const std::string request =
      HttpClient::Request("GET", "/v1/ledgers/main/events", "", "Accept: text/event-stream\r\n");
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (size_t i = 0; i < limits::kEventStreamsMax; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server_->port()));
    clients.back()->Send(request);
    ASSERT_EQ(clients.back()->Read().status, 200);
  }
  HttpClient late(server_->port());
  ExpectProblem(late.Call("GET", "/v1/ledgers/main/events", "", "Accept: text/event-stream\r\n"), 429,
                "overloaded");
  EXPECT_EQ(late.Call("GET", "/v1/ledgers/main/events").status, 200) << "pages are not bounded by it";
}

}  // namespace
}  // namespace paxledger
