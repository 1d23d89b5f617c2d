// What requests may say and what answers say, without a socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "api/admission.h"
#include "api/json.h"
#include "api/parse.h"
#include "api/problem.h"
#include "api/render.h"
#include "api/tokens.h"
#include "base/check.h"
#include "base/limits.h"

namespace paxledger {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FixedClock : public Clock {
 public:
  int64_t WallMicros() override { return 1'767'225'600'000'000; }
  int64_t MonotonicMicros() override { return 1'000'000; }
};

Transfer PayOne() {
  Transfer transfer;
  transfer.id = "pay-1";
  transfer.debit_account = "a";
  transfer.credit_account = "b";
  transfer.amount = 5;
  return transfer;
}

/// "pointer: code" of each error.
std::vector<std::string> Names(const std::vector<FieldError>& errors) {
  std::vector<std::string> names;
  for (const FieldError& error : errors)
    names.push_back(error.name + ": " + std::string(KindOf(error.code).code));
  return names;
}

ParsedTransfer Transfer1(const std::string& body) {
  static JsonDocument document;
  static std::string kept;
  kept = body;
  Check(document.Parse(kept).ok(), "a test body is JSON");
  return ParseTransfer(document.root(), "main");
}

ParsedAccount Account1(const std::string& body) {
  static JsonDocument document;
  static std::string kept;
  kept = body;
  Check(document.Parse(kept).ok(), "a test body is JSON");
  return ParseAccount(document.root(), "main");
}

std::string WithField(const std::string& field) {
  return R"({"debit_account":"a","credit_account":"b","amount":"1",)" + field + "}";
}

TEST(ParseTransfer, ReadsEveryField) {
  ParsedTransfer parsed = Transfer1(
      R"({"id":"pay-1","debit_account":"alice","credit_account":"bob","amount":"1050","asset":"USD/2","pending":false,
          "timeout_seconds":0,"effective_at":"2026-01-31T12:00:00Z","code":"invoice","reference":"inv-77",
          "metadata":{"k": [1, 2]},"amount_mode":"exact","conditions":[],"debit_ledger":null,"credit_ledger":"main"})");
  EXPECT_THAT(Names(parsed.errors), IsEmpty());
  const Transfer& transfer = parsed.transaction.transfers.at(0);
  EXPECT_EQ(parsed.transaction.ledger, "main");
  EXPECT_EQ(parsed.transaction.id, "pay-1");
  EXPECT_EQ(transfer.id, "pay-1");
  EXPECT_EQ(transfer.debit_account, "alice");
  EXPECT_EQ(transfer.credit_account, "bob");
  EXPECT_EQ(transfer.amount, Amount{1050});
  EXPECT_EQ(transfer.asset, "USD/2");
  EXPECT_EQ(transfer.effective_at_us, 1'769'860'800'000'000);
  EXPECT_EQ(transfer.code, "invoice");
  EXPECT_EQ(transfer.reference, "inv-77");
  EXPECT_EQ(transfer.metadata, R"({"k": [1, 2]})");
}

TEST(ParseTransfer, AcceptsAnAmountAsNumber) {
  ParsedTransfer parsed =
      Transfer1(R"({"debit_account":"a","credit_account":"b","amount":9007199254740992})");
  EXPECT_THAT(Names(parsed.errors), IsEmpty());
  EXPECT_EQ(parsed.transaction.transfers.at(0).amount, Amount{1} << 53);
}

TEST(ParseTransfer, RefusesWrongAmounts) {
  for (const char* wrong :
       {"\"0\"", "0", "-5", "\"-5\"", "1.5", "\"1.5\"", "1.0", "1e3", "\"1e3\"", "\"\"", "\"01\"", "null",
        "true", "[1]", "{}", "9007199254740993", "\"170141183460469231731687303715884105728\"", "\" 1\"",
        "123456789012345678901234567890"}) {
    ParsedTransfer parsed =
        Transfer1(R"({"debit_account":"a","credit_account":"b","amount":)" + std::string(wrong) + "}");
    EXPECT_THAT(Names(parsed.errors), ElementsAre("/amount: invalid_field")) << wrong;
  }
}

TEST(ParseTransfer, NamesEveryFieldAtFaultInOrder) {
  ParsedTransfer parsed =
      Transfer1(R"({"amuont":"1","debit_account":"a b","x/y~z":1,"metadata":[],"effective_at":"today"})");
  EXPECT_THAT(Names(parsed.errors), ElementsAre("/amuont: unknown_field", "/debit_account: invalid_field",
                                                "/x~1y~0z: unknown_field", "/metadata: invalid_field",
                                                "/effective_at: invalid_field",
                                                "/credit_account: invalid_field", "/amount: invalid_field"));
}

TEST(ParseTransfer, NeverIgnoresWhatIsNotSupportedYet) {
  for (const char* field :
       {"\"pending\":true", "\"timeout_seconds\":60", "\"amount_mode\":\"up_to\"",
        R"("conditions":[{"account":"a"}])", "\"debit_ledger\":\"other\"", "\"credit_ledger\":\"x\""}) {
    ParsedTransfer parsed = Transfer1(WithField(field));
    ASSERT_EQ(parsed.errors.size(), 1u) << field;
    EXPECT_EQ(parsed.errors[0].code, ApiCode::kInvalidField);
    EXPECT_EQ(parsed.errors[0].reason, "is not supported yet") << field;
  }
}

TEST(ParseTransfer, RefusesWrongTypesAndLengths) {
  const std::string long_code(limits::kCodeBytesMax + 1, 'c');
  const std::string big(limits::kMetadataBytesMax, 'm');
  for (const std::string& field :
       {std::string("\"id\":5"), std::string("\"id\":\"\""),
        std::string("\"id\":\"") + std::string(65, 'i') + "\"", std::string("\"asset\":\"usd\""),
        std::string("\"asset\":1"), std::string("\"pending\":\"false\""), std::string("\"pending\":0"),
        std::string("\"timeout_seconds\":\"0\""), std::string("\"timeout_seconds\":-1"),
        std::string("\"timeout_seconds\":0.5"), "\"code\":\"" + long_code + "\"", std::string("\"code\":{}"),
        "\"metadata\":{\"m\":\"" + big + "\"}", std::string("\"conditions\":{}"),
        std::string("\"status\":\"posted\""), std::string("\"effective_at\":\"1970-01-01T00:00:00Z\"")}) {
    EXPECT_EQ(Transfer1(WithField(field)).errors.size(), 1u) << field;
  }
  EXPECT_THAT(Names(Transfer1("[]").errors), ElementsAre(": invalid_field"));
}

TEST(ParseAccount, ReadsEveryFieldAndHasDefaults) {
  ParsedAccount parsed = Account1(
      R"({"id":"alice","asset":"USD/2","normal_side":"debit","limit":"credits_must_not_exceed_debits","overdraft":"50",
          "metadata":{"tier":"gold"},"frozen":"none"})");
  EXPECT_THAT(Names(parsed.errors), IsEmpty());
  EXPECT_EQ(parsed.account.key, (LedgerKey{"main", "alice"}));
  EXPECT_EQ(parsed.account.spec, (AccountSpec{"USD/2", Side::kDebit, LimitRule::kCreditsMustNotExceedDebits,
                                              50, R"({"tier":"gold"})"}));
  ParsedAccount least = Account1(R"({"asset":"JPY/0","metadata":{ }})");
  EXPECT_THAT(Names(least.errors), IsEmpty());
  EXPECT_EQ(least.account.spec, (AccountSpec{"JPY/0", Side::kCredit, LimitRule::kNone, 0, ""}));
}

TEST(ParseAccount, RefusesWhatMakesNoSense) {
  EXPECT_THAT(Names(Account1("{}").errors), ElementsAre("/asset: invalid_field"));
  for (const char* field :
       {"\"normal_side\":\"left\"", "\"limit\":\"some\"", "\"limit\":null", "\"overdraft\":\"-1\"",
        "\"overdraft\":\"5\"", "\"frozen\":\"both\"", "\"version\":1", "\"balances\":{}"}) {
    EXPECT_EQ(Account1(std::string("{\"asset\":\"USD/2\",") + field + "}").errors.size(), 1u) << field;
  }
}

TEST(ParseBatch, KeepsItemsApart) {
  JsonDocument document;
  const std::string text = R"({"transfers":[
      {"id":"t0","debit_account":"a","credit_account":"b","amount":"1"},
      {"id":"t1","debit_account":"a","credit_account":"b","amount":"1.5"},
      7,
      {"id":"t3","debit_account":"a","credit_account":"b","amount":"3","memo":"x"},
      {"debit_account":"a","credit_account":"b","amount":"4"}]})";
  ASSERT_TRUE(document.Parse(text).ok());
  ParsedBatch<Transaction> batch = ParseTransfers(document.root(), "main");
  EXPECT_THAT(batch.errors, IsEmpty());
  ASSERT_EQ(batch.items.size(), 2u);
  EXPECT_EQ(batch.items[0].id, "t0");
  EXPECT_EQ(batch.items[1].transfers[0].amount, Amount{4});
  ASSERT_EQ(batch.invalid.size(), 3u);
  EXPECT_EQ(batch.invalid[0].index, 1u);
  EXPECT_EQ(batch.invalid[0].id, "t1");
  EXPECT_THAT(Names(batch.invalid[0].errors), ElementsAre("/transfers/1/amount: invalid_field"));
  EXPECT_EQ(batch.invalid[1].id, std::nullopt);
  EXPECT_THAT(Names(batch.invalid[2].errors), ElementsAre("/transfers/3/memo: unknown_field"));

  std::vector<TransactionResult> results(2);
  results[0].state = TransactionState::kCommitted;
  results[1].state = TransactionState::kRefused;
  results[1].refusal = Outcome::kInsufficientFunds;
  HttpResponse response = RenderPostedBatch({"t0", "made"}, results, batch.invalid, "/p");
  EXPECT_EQ(response.status, 200);
  ASSERT_TRUE(document.Parse(response.body).ok()) << response.body;
  EXPECT_THAT(response.body,
              testing::StartsWith(R"({"data":[{"id":"t0","status":"posted"},{"id":"t1","status":"invalid",)"
                                  R"("code":"invalid_field","errors":[{"pointer":"/transfers/1/amount")"));
  EXPECT_THAT(response.body, HasSubstr(R"({"id":null,"status":"invalid")"));
  EXPECT_THAT(response.body,
              testing::EndsWith(R"({"id":"made","status":"refused","code":"insufficient_funds"}]})"));
}

TEST(ParseBatch, RefusesAWrongFrame) {
  JsonDocument document;
  for (const char* text :
       {"[]", "{}", R"({"transfers":{}})", R"({"transfers":[],"dry":1})", R"({"accounts":[]})"}) {
    ASSERT_TRUE(document.Parse(text).ok());
    EXPECT_FALSE(ParseTransfers(document.root(), "main").errors.empty()) << text;
  }
  std::string many = "{\"transfers\":[0";
  for (size_t i = 0; i < limits::kBatchItemsMax; ++i) many += ",0";
  many += "]}";
  ASSERT_TRUE(document.Parse(many).ok());
  EXPECT_FALSE(ParseTransfers(document.root(), "main").errors.empty());
}

TEST(Problems, HaveTheStatusOfTheContract) {
  const std::vector<std::pair<ApiCode, int>> expected = {{ApiCode::kMalformedRequest, 400},
                                                         {ApiCode::kInvalidField, 400},
                                                         {ApiCode::kUnknownField, 400},
                                                         {ApiCode::kUnauthenticated, 401},
                                                         {ApiCode::kForbidden, 403},
                                                         {ApiCode::kAccountNotFound, 404},
                                                         {ApiCode::kTransferNotFound, 404},
                                                         {ApiCode::kLedgerNotFound, 404},
                                                         {ApiCode::kNotFound, 404},
                                                         {ApiCode::kMethodNotAllowed, 405},
                                                         {ApiCode::kRequestTimeout, 408},
                                                         {ApiCode::kAccountExistsWithOtherFields, 409},
                                                         {ApiCode::kIdempotencyConflict, 409},
                                                         {ApiCode::kClusterChangeRefused, 409},
                                                         {ApiCode::kCursorExpired, 410},
                                                         {ApiCode::kPreconditionFailed, 412},
                                                         {ApiCode::kBodyTooLarge, 413},
                                                         {ApiCode::kUnsupportedMediaType, 415},
                                                         {ApiCode::kOverloaded, 429},
                                                         {ApiCode::kHeaderTooLarge, 431},
                                                         {ApiCode::kInternal, 500},
                                                         {ApiCode::kContended, 503},
                                                         {ApiCode::kUnavailable, 503}};
  for (const auto& [code, status] : expected) {
    HttpResponse response = RenderProblem(Problem{KindOf(code), "why", "/p", {}});
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(response.headers.find("Retry-After") != std::string::npos, status == 429 || status == 503);
    EXPECT_NE(StatusReason(status), "Unknown");
    JsonDocument document;
    EXPECT_TRUE(document.Parse(response.body).ok());
  }
  HttpResponse response =
      RenderFieldErrors({FieldError{ApiCode::kUnknownField, FieldPlace::kBody, "/\"x", "is no field"}},
                        "/v1/ledgers/main/transfers");
  EXPECT_EQ(response.content_type, "application/problem+json");
  EXPECT_EQ(
      response.body,
      R"({"type":"urn:paxledger:problem:unknown_field","title":"A field is not known","status":400,)"
      R"("detail":"/\"x: is no field","instance":"/v1/ledgers/main/transfers","code":"unknown_field",)"
      R"("retryable":false,"errors":[{"pointer":"/\"x","code":"unknown_field","reason":"is no field"}]})");
}

TEST(Problems, OfEveryRefusalAre422UnderItsOwnCode) {
  int refusals = 0;
  for (int number = 1; number < 256; ++number) {
    std::optional<Outcome> outcome = OutcomeFromNumber(static_cast<uint8_t>(number));
    if (!outcome.has_value()) continue;
    ++refusals;
    EXPECT_EQ(KindOf(*outcome).status, 422);
    EXPECT_EQ(KindOf(*outcome).code, OutcomeCode(*outcome));
    EXPECT_FALSE(KindOf(*outcome).retryable);
  }
  EXPECT_EQ(refusals, 14);
}

struct PostedCase {
  const char* name;
  TransactionState state;
  bool replayed;
  int status;
  const char* body;
  const char* header;
};

class RenderPostedStatus : public testing::TestWithParam<PostedCase> {};

TEST_P(RenderPostedStatus, FollowsTheTable) {
  const PostedCase& wanted = GetParam();
  Transaction transaction{"main", "pay-1", {PayOne()}};
  TransactionResult result;
  result.state = wanted.state;
  result.replayed = wanted.replayed;
  if (wanted.state == TransactionState::kRefused) result.refusal = Outcome::kInsufficientFunds;
  if (wanted.state == TransactionState::kInDoubt) result.recovery_token = "tok";
  if (wanted.state == TransactionState::kCommitted) result.committed_at = LogTime{1'767'225'600'000'001};
  result.shards = {ShardId{3}, ShardId{7}};
  HttpResponse response = RenderPosted(transaction, result, "/v1/ledgers/main/transfers/pay-1");
  EXPECT_EQ(response.status, wanted.status);
  EXPECT_THAT(response.body, HasSubstr(wanted.body));
  EXPECT_THAT(response.headers, HasSubstr(wanted.header));
  EXPECT_EQ(response.headers.find("Idempotent-Replayed: true") != std::string::npos, wanted.replayed);
  JsonDocument document;
  EXPECT_TRUE(document.Parse(response.body).ok()) << response.body;
}

INSTANTIATE_TEST_SUITE_P(
    Outcomes, RenderPostedStatus,
    testing::Values(
        PostedCase{
            "Committed", TransactionState::kCommitted, false, 201,
            R"("status":"posted","refusal":null,"transaction_id":"pay-1","committed_at":"2026-01-01T00:00:00.000001Z","shards":[3,7]})",
            "Location: /v1/ledgers/main/transfers/pay-1\r\n"},
        PostedCase{"Replayed", TransactionState::kCommitted, true, 200, R"("status":"posted")", ""},
        PostedCase{"Refused", TransactionState::kRefused, false, 422, R"("code":"insufficient_funds")", ""},
        PostedCase{"RefusedAgain", TransactionState::kRefused, true, 422, R"("code":"insufficient_funds")",
                   ""},
        PostedCase{"Conflict", TransactionState::kConflict, false, 409, R"("code":"idempotency_conflict")",
                   ""},
        PostedCase{"InDoubt", TransactionState::kInDoubt, false, 202, R"("status":"in_doubt","refusal":null)",
                   "Location: /v1/ledgers/main/transfers/pay-1?recovery=tok\r\n"},
        PostedCase{"Contended", TransactionState::kContended, false, 503,
                   R"("code":"contended","retryable":true)", "Retry-After"},
        PostedCase{"Unavailable", TransactionState::kUnavailable, false, 503,
                   R"("code":"unavailable","retryable":true)", "Retry-After"},
        PostedCase{"Overloaded", TransactionState::kOverloaded, false, 429,
                   R"("code":"overloaded","retryable":true)", "Retry-After"}),
    [](const auto& info) { return info.param.name; });

TEST(RenderOpened, FollowsTheTable) {
  const OpenAccountRequest request{{"main", "alice"},
                                   AccountSpec{"USD/2", Side::kCredit, LimitRule::kNone, 0, ""}};
  const auto render = [&](absl::Status failure, OpenStatus status) {
    OpenAccountResult result;
    result.failure = std::move(failure);
    result.status = status;
    result.account.spec = request.spec;
    return RenderOpened(request, result, "/v1/ledgers/main/accounts/alice");
  };
  EXPECT_EQ(render(absl::OkStatus(), OpenStatus::kOpened).status, 201);
  EXPECT_EQ(render(absl::OkStatus(), OpenStatus::kExists).status, 200);
  EXPECT_THAT(render(absl::OkStatus(), OpenStatus::kExistsWithOtherFields).body,
              HasSubstr("account_exists_with_other_fields"));
  EXPECT_EQ(render(absl::UnavailableError(""), OpenStatus::kOpened).status, 503);
  EXPECT_EQ(render(absl::ResourceExhaustedError(""), OpenStatus::kOpened).status, 429);
  HttpResponse unknown = render(absl::DeadlineExceededError(""), OpenStatus::kOpened);
  EXPECT_EQ(unknown.status, 202);
  EXPECT_THAT(unknown.headers, HasSubstr("Location: /v1/ledgers/main/accounts/alice\r\n"));
}

TEST(RenderBatch, IsAProblemWhereNothingHappenedToAnyItem) {
  std::vector<TransactionResult> results(2);
  results[0].state = TransactionState::kUnavailable;
  results[1].state = TransactionState::kUnavailable;
  EXPECT_EQ(RenderPostedBatch({"a", "b"}, results, {}, "/p").status, 503);
  results[1].state = TransactionState::kCommitted;
  HttpResponse mixed = RenderPostedBatch({"a", "b"}, results, {}, "/p");
  EXPECT_EQ(mixed.status, 200);
  EXPECT_EQ(
      mixed.body,
      R"({"data":[{"id":"a","status":"aborted","code":"unavailable","retryable":true},{"id":"b","status":"posted"}]})");
  EXPECT_EQ(RenderPostedBatch({}, {}, {}, "/p").body, R"({"data":[]})");
}

TEST(Balances, CountWhatIsInDoubtAgainstTheAccount) {
  Account account;
  account.spec.asset = "USD/2";
  account.totals = {.debits_posted = 100, .credits_posted = 150, .debits_pending = 10, .credits_pending = 7};
  account.debits_in_doubt = 45;
  account.credits_in_doubt = 3;
  std::string credit_side;
  AppendBalances(&credit_side, account);
  EXPECT_EQ(credit_side,
            R"({"debits_posted":"100","credits_posted":"150","debits_pending":"10","credits_pending":"7",)"
            R"("balance":"50","available":"-5"})");
  account.spec.normal_side = Side::kDebit;
  std::string debit_side;
  AppendBalances(&debit_side, account);
  EXPECT_THAT(debit_side, HasSubstr(R"("balance":"-50","available":"-60")"));
}

class Admission : public testing::Test {
 protected:
  HttpResponse Refused(const HttpRequest& head) {
    std::variant<Call, HttpResponse> admitted = Admit(head, authenticator_, clock_);
    EXPECT_TRUE(std::holds_alternative<HttpResponse>(admitted));
    return std::holds_alternative<HttpResponse>(admitted) ? std::get<HttpResponse>(admitted) : HttpResponse{};
  }
  Call Admitted(const HttpRequest& head) {
    std::variant<Call, HttpResponse> admitted = Admit(head, authenticator_, clock_);
    EXPECT_TRUE(std::holds_alternative<Call>(admitted)) << std::get<HttpResponse>(admitted).body;
    return std::holds_alternative<Call>(admitted) ? std::get<Call>(admitted) : Call{};
  }
  HttpRequest Post(std::string target = "/v1/ledgers/main/transfers") {
    HttpRequest head;
    head.method = "POST";
    head.target = std::move(target);
    head.authorization = "Bearer s";
    head.content_type = "application/json";
    return head;
  }

  FixedClock clock_;
  Authenticator authenticator_ =
      *Authenticator::Create({{"w", Sha256("s"), {"*"}}, {"r", Sha256("r"), {"accounts:read"}}});
};

TEST_F(Admission, ChecksInAFixedOrder) {
  HttpRequest head = Post("/v1/ledgers/other/transfers?dry_run=1\x01");
  head.method = "PUT";
  head.authorization = "";
  head.content_type = "text/plain";
  head.request_timeout_ms = "0";
  EXPECT_EQ(Refused(head).status, 400);  // form
  head.target = "/v1/nowhere?dry_run=1";
  EXPECT_EQ(Refused(head).status, 404);  // path
  head.target = "/v1/ledgers/other/transfers?dry_run=1";
  EXPECT_EQ(Refused(head).status, 405);  // method
  head.method = "POST";
  EXPECT_EQ(Refused(head).status, 401);  // key
  head.authorization = "Bearer r";
  EXPECT_EQ(Refused(head).status, 403);  // scope
  head.authorization = "Bearer s";
  EXPECT_THAT(Refused(head).body, HasSubstr("ledger_not_found"));
  head.target = "/v1/ledgers/main/transfers?dry_run=1";
  EXPECT_THAT(Refused(head).body, HasSubstr(R"({"parameter":"dry_run")"));
  EXPECT_THAT(Refused(head).body, HasSubstr(R"({"header":"Request-Timeout-Ms")"));
  head.target = "/v1/ledgers/main/transfers";
  head.request_timeout_ms = "";
  EXPECT_EQ(Refused(head).status, 415);  // media type
  head.content_type = "application/json; charset=UTF-8";
  EXPECT_EQ(Admitted(head).route, RouteId::kPostTransfer);
}

TEST_F(Admission, ReadsTheDeadline) {
  HttpRequest head = Post();
  EXPECT_EQ(Admitted(head).deadline.monotonic_us, 6'000'000);
  head.request_timeout_ms = "50";
  EXPECT_EQ(Admitted(head).deadline.monotonic_us, 1'050'000);
  head.request_timeout_ms = "60000";
  head.prefer = "respond-async, wait=2";
  EXPECT_EQ(Admitted(head).deadline.monotonic_us, 3'000'000);
  head.prefer = "wait=0";
  EXPECT_EQ(Admitted(head).deadline.monotonic_us, 1'050'000);
  for (const char* wrong : {"49", "60001", "x", "-1", "1e3", "50.0", "99999999999999999999"}) {
    head.request_timeout_ms = wrong;
    EXPECT_EQ(Refused(head).status, 400) << wrong;
  }
}

TEST_F(Admission, RefusesATokenFromTheFuture) {
  HttpRequest head = Post();
  head.consistency_token = EncodeConsistencyToken(LogTime{clock_.WallMicros() + 500'000});
  EXPECT_EQ(Admitted(head).after.value, clock_.WallMicros() + 500'000);
  head.consistency_token = EncodeConsistencyToken(LogTime{clock_.WallMicros() + 500'001});
  EXPECT_THAT(Refused(head).body, HasSubstr("lies in the future"));
  head.consistency_token = "what";
  EXPECT_EQ(Refused(head).status, 400);
}

TEST_F(Admission, KnowsWhereAnIdempotencyKeyBelongs) {
  HttpRequest head = Post();
  head.idempotency_key = "\"key-1\"";
  EXPECT_EQ(Admitted(head).idempotency_key, "key-1");
  head.idempotency_key = "key 1";
  EXPECT_EQ(Refused(head).status, 400);
  head.idempotency_key = "key-1";
  head.target = "/v1/ledgers/main/transfers/batch";
  EXPECT_THAT(Refused(head).body, HasSubstr("is not for batches"));
}

TEST_F(Admission, RefusesUnknownAndRepeatedParameters) {
  HttpRequest head = Post();
  head.method = "GET";
  for (const char* query : {"limit=1&limit=2", "limmit=1", "consistency=weak", "prefix=%zz", "=1"}) {
    head.target = std::string("/v1/ledgers/main/accounts?") + query;
    EXPECT_EQ(Refused(head).status, 400) << query;
  }
  head.target = "/v1/ledgers/main/accounts?consistency=local&prefix=acct%3A&limit=5";
  Call call = Admitted(head);
  EXPECT_EQ(call.mode, ReadMode::kLocal);
  EXPECT_EQ(*call.Parameter("prefix"), "acct:");
  head = Post();
  head.repeated_header = "Idempotency-Key";
  EXPECT_EQ(Refused(head).status, 400);
}

TEST(Headers, ThatAreSentBackAreChecked) {
  EXPECT_TRUE(IsTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
  EXPECT_FALSE(IsTraceparent("00-00000000000000000000000000000000-b7ad6b7169203331-01"));
  EXPECT_FALSE(IsTraceparent("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
  EXPECT_FALSE(IsTraceparent("x"));
  EXPECT_FALSE(IsRequestId("a\r\nSet-Cookie: x"));
}

}  // namespace
}  // namespace paxledger
