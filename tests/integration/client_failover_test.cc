// The client library between two doors of which one stands still.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "api/client.h"
#include "api/server.h"
#include "base/metrics.h"
#include "base/system_clock.h"
#include "tests/integration/fake_ledger_service.h"
#include "tests/integration/test_certificates.h"

namespace paxledger {
namespace {

constexpr char kPath[] = "/v1/ledgers/main/transfers";

class ClientFailover : public testing::Test {
 protected:
  struct Door {
    FakeService service;
    Metrics metrics;
    std::unique_ptr<ApiServer> server;
    ~Door() {
      service.Release();
      server.reset();
    }
  };

  void SetUp() override {
    directory_ =
        absl::StrCat(std::filesystem::temp_directory_path().string(), "/client_failover_test.", ::getpid());
    std::filesystem::create_directories(directory_);
    TestCertificates authority(directory_);
    TestCertificates::Files files = authority.Issue("localhost", "DNS:localhost,IP:127.0.0.1");
    ClientOptions options;
    options.ca_file = files.ca;
    options.api_key = "all";
    for (Door& door : doors_) {
      ApiServerOptions server;
      server.certificate_path = files.certificate;
      server.key_path = files.key;
      server.data_centre = "dc1";
      server.keys = {{"all", Sha256("all"), {"*"}}};
      door.server = std::make_unique<ApiServer>(std::move(server), door.service, clock_, door.metrics);
      absl::Status listening = door.server->Listen();
      ASSERT_TRUE(listening.ok()) << listening;
      door.server->Start();
      options.endpoints.push_back(absl::StrCat("https://127.0.0.1:", door.server->port()));
    }
    absl::StatusOr<std::unique_ptr<Client>> client = Client::Create(std::move(options));
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  ClientRequest Pay(int n) {
    return {.method = HttpMethod::kPost,
            .target = kPath,
            .body = absl::StrCat(R"({"id":"pay-)", n,
                                 R"(","debit_account":"a","credit_account":"b","amount":"5"})"),
            .prefer = 0};
  }
  static double Seconds(std::chrono::steady_clock::time_point since) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
  }

  std::string directory_;
  SystemClock clock_;
  Door doors_[2];
  std::unique_ptr<Client> client_;
};

TEST_F(ClientFailover, PassesOverAFrozenDoorUnderTheSameIdAndComesBackToIt) {
  EXPECT_EQ(client_->Call(Pay(1)).endpoint, 0u);
  doors_[0].service.Hold();
  auto began = std::chrono::steady_clock::now();
  ClientAnswer answer = client_->Call(Pay(2));
  ASSERT_TRUE(answer.failure.ok()) << answer.failure;
  EXPECT_EQ(answer.http_status, 201);
  EXPECT_EQ(answer.endpoint, 1u);
  EXPECT_EQ(answer.attempts, 2u);
  EXPECT_LT(Seconds(began), 2) << "long before the server's deadline of 5 s";
  std::vector<Transaction> moved = doors_[1].service.executed_transactions();
  ASSERT_EQ(moved.size(), 1u);
  EXPECT_EQ(moved[0].id, "pay-2");

  for (int n = 3; n < 20; ++n) {
    answer = client_->Call(Pay(n));
    EXPECT_EQ(answer.endpoint, 1u);
    EXPECT_EQ(answer.attempts, 1u) << "a door that stands still is not asked again and again";
  }
  doors_[0].service.Release();
  began = std::chrono::steady_clock::now();
  bool back = false;
  for (int n = 20; !back && Seconds(began) < 10; ++n) {
    answer = client_->Call(Pay(n));
    ASSERT_TRUE(answer.failure.ok()) << answer.failure;
    back = answer.endpoint == 0;
  }
  EXPECT_TRUE(back);
}

TEST_F(ClientFailover, LeavesADoorThatIsNotReadyToOthers) {
  doors_[0].service.set_ready(absl::UnavailableError("shards are catching up"));
  doors_[0].service.set_state(TransactionState::kUnavailable);
  ClientAnswer answer = client_->Call(Pay(1));
  ASSERT_TRUE(answer.failure.ok()) << answer.failure;
  EXPECT_EQ(answer.endpoint, 1u);
  client_->After(absl::Milliseconds(50), [this] { client_->Stop(); });
  client_->Run();  // the probe is answered
  size_t asked = doors_[0].service.executed();
  for (int n = 2; n < 10; ++n) EXPECT_EQ(client_->Call(Pay(n)).attempts, 1u);
  EXPECT_EQ(doors_[0].service.executed(), asked);
}

TEST_F(ClientFailover, NeverSendsTwiceWhatMayNotBe) {
  doors_[0].service.Hold();
  ClientRequest request = Pay(1);
  request.repeat = Repeat::kNever;
  request.timeout = absl::Milliseconds(800);
  ClientAnswer answer = client_->Call(std::move(request));
  EXPECT_EQ(answer.failure.code(), absl::StatusCode::kDeadlineExceeded) << answer.failure;
  EXPECT_EQ(answer.attempts, 1u);
  EXPECT_EQ(doors_[1].service.executed(), 0u);
}

}  // namespace
}  // namespace paxledger
