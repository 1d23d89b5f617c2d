// Words of the HTTPS contract: amounts, ids, assets, times, JSON, routes, keys, tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/auth.h"
#include "api/fields.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/router.h"
#include "api/tokens.h"
#include "base/limits.h"

namespace paxledger {
namespace {

std::string Text(Amount amount) {
  std::string out;
  AppendAmount(&out, amount);
  return out;
}

std::string TimeText(int64_t micros) {
  std::string out;
  AppendTime(&out, micros);
  return out;
}

TEST(Amounts, AreIntegersUpToTwoToThe127) {
  EXPECT_EQ(ParseAmount("0"), Amount{0});
  EXPECT_EQ(ParseAmount("1050"), Amount{1050});
  EXPECT_EQ(ParseAmount("999999999999999999"), Amount{999999999999999999});
  EXPECT_EQ(ParseAmount("1000000000000000000"), Amount{1000000000000000000});
  EXPECT_EQ(ParseAmount("170141183460469231731687303715884105727"), kTransferAmountMax);
  for (const char* wrong : {"",
                            " 1",
                            "1 ",
                            "+1",
                            "-1",
                            "-0",
                            "00",
                            "01",
                            "1.0",
                            "1e3",
                            "1E3",
                            "0x1",
                            "1_000",
                            "1,000",
                            ".5",
                            "170141183460469231731687303715884105728",
                            "999999999999999999999999999999999999999",
                            "1000000000000000000000000000000000000000",
                            "٣",
                            "NaN",
                            "null"}) {
    EXPECT_EQ(ParseAmount(wrong), std::nullopt) << wrong;
  }
}

TEST(Amounts, AsJsonIntegersEndWhereDoublesDo) {
  EXPECT_EQ(ParseJsonIntegerAmount("9007199254740992"), Amount{1} << 53);
  EXPECT_EQ(ParseJsonIntegerAmount("9007199254740993"), std::nullopt);
  EXPECT_EQ(ParseJsonIntegerAmount("1.0"), std::nullopt);
  EXPECT_EQ(ParseJsonIntegerAmount("1e2"), std::nullopt);
  EXPECT_EQ(ParseJsonIntegerAmount("-1"), std::nullopt);
}

TEST(Amounts, AreWrittenInFull) {
  EXPECT_EQ(Text(0), "0");
  EXPECT_EQ(Text(7), "7");
  EXPECT_EQ(Text(Amount{1'000'000'000'000'000'000}), "1000000000000000000");
  EXPECT_EQ(Text(Amount{1'000'000'000'000'000'000} * 10 + 5), "10000000000000000005");
  EXPECT_EQ(Text(kTransferAmountMax), "170141183460469231731687303715884105727");
  EXPECT_EQ(Text(~Amount{0}), "340282366920938463463374607431768211455");
  for (Amount amount = 1; amount < kTransferAmountMax / 7; amount = amount * 7 + 3) {
    EXPECT_EQ(ParseAmount(Text(amount)), amount);
  }
}

TEST(Amounts, GoBelowZeroOnlyAsBalances) {
  SignedAmount amount(5);
  amount -= 7;
  amount -= 1;
  std::string out;
  amount.AppendTo(&out);
  EXPECT_EQ(out, "-3");
  SignedAmount all(0);
  all -= ~Amount{0};
  all -= ~Amount{0};
  out.clear();
  all.AppendTo(&out);
  EXPECT_EQ(out, "-340282366920938463463374607431768211455");
}

TEST(Ids, HaveACharsetAndALength) {
  EXPECT_TRUE(IsId("a"));
  EXPECT_TRUE(IsId("ext:QR:12-3.4_5@Z"));
  EXPECT_TRUE(IsId(std::string(64, 'x')));
  EXPECT_FALSE(IsId(std::string(65, 'x')));
  for (const char* wrong : {"", "a b", "a/b", "a~1", "ä", "a\n", "a%20", "a\"b"})
    EXPECT_FALSE(IsId(wrong)) << wrong;
  EXPECT_FALSE(IsId(std::string_view("a\0b", 3)));
}

TEST(Assets, AreCodeAndScale) {
  for (const char* right : {"USD/2", "JPY/0", "BTC/8", "X1/30", "ABCDEFGHIJKLMNOP/10"})
    EXPECT_TRUE(IsAsset(right)) << right;
  for (const char* wrong : {"", "USD", "USD/", "/2", "usd/2", "USD/02", "USD/31", "USD/-1", "USD/2.0",
                            "1SD/2", "US D/2", "ABCDEFGHIJKLMNOPQ/2", "USD/2/2", "USD/100"}) {
    EXPECT_FALSE(IsAsset(wrong)) << wrong;
  }
}

TEST(Times, AreRfc3339InUtc) {
  EXPECT_EQ(TimeText(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(TimeText(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(TimeText(1'709'210'096'000'007), "2024-02-29T12:34:56.000007Z");
  for (const char* text :
       {"2024-02-29T12:34:56.000007Z", "2000-12-31T23:59:59.999999Z", "1900-03-01T00:00:00.000000Z",
        "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"}) {
    std::optional<int64_t> at = ParseTime(text);
    ASSERT_TRUE(at.has_value()) << text;
    EXPECT_EQ(TimeText(*at), text);
  }
  EXPECT_EQ(ParseTime("2026-01-31T12:00:00Z"), ParseTime("2026-01-31T12:00:00.000000+00:00"));
  EXPECT_EQ(ParseTime("2026-01-31T12:00:00.5Z"), ParseTime("2026-01-31T12:00:00.500000Z"));
  for (const char* wrong :
       {"", "2026-01-31", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00+01:00",
        "2026-02-29T12:00:00Z", "2026-13-01T12:00:00Z", "2026-00-01T12:00:00Z", "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z", "2026-01-31T12:00:60Z", "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567Z", "2026-01-31T12:00:00Zx", "26-01-31T12:00:00Z"}) {
    EXPECT_EQ(ParseTime(wrong), std::nullopt) << wrong;
  }
}

TEST(Json, KnowsTheSourceOfEveryValue) {
  JsonDocument document;
  const std::string text = R"( {"a" : [1, -2.50e+3 , "x\u00e4\ud83d\ude00\n"] ,"b":{ "c" : null } } )";
  ASSERT_TRUE(document.Parse(text).ok());
  auto at = document.root().begin();
  EXPECT_EQ((*at).text(), "a");
  ++at;
  std::vector<std::string> elements;
  for (JsonValue value : *at) elements.emplace_back(value.text());
  EXPECT_THAT(elements, testing::ElementsAre("1", "-2.50e+3", "xä😀\n"));
  ++at;
  EXPECT_EQ((*at).text(), "b");
  ++at;
  EXPECT_EQ((*at).raw(), R"({ "c" : null })");
  ++at;
  EXPECT_FALSE(at != document.root().end());
}

TEST(Json, RefusesWhatIsNotJson) {
  JsonDocument document;
  const std::vector<std::string> wrong = {"",
                                          " ",
                                          "{",
                                          "}",
                                          "[",
                                          "[1",
                                          "[1,",
                                          "[1,]",
                                          "{\"a\"}",
                                          "{\"a\":}",
                                          "{\"a\":1,}",
                                          "{a:1}",
                                          "{'a':1}",
                                          "01",
                                          "-",
                                          "+1",
                                          "1.",
                                          ".5",
                                          "1e",
                                          "1e+",
                                          "0x1",
                                          "tru",
                                          "nul",
                                          "True",
                                          "NaN",
                                          "Infinity",
                                          "\"",
                                          "\"\\\"",
                                          "\"\\x\"",
                                          "\"\\u12\"",
                                          "\"\\u12g4\"",
                                          "\"\\ud800\"",
                                          "\"\\ud800\\u0041\"",
                                          "\"\\udc00\"",
                                          "\"a\nb\"",
                                          "\"\x01\"",
                                          "1 2",
                                          "{} x",
                                          "[1 2]",
                                          "{\"a\" 1}",
                                          "\"\xff\"",
                                          "\"\xc0\xaf\"",
                                          "\"\xed\xa0\x80\"",
                                          "\"\xf4\x90\x80\x80\"",
                                          "\"\xe2\x82\"",
                                          "// c\n1",
                                          "\xef\xbb\xbf{}",
                                          std::string("\0", 1),
                                          std::string("\"\0\"", 3),
                                          "1\x0b"};
  for (const std::string& text : wrong) EXPECT_FALSE(document.Parse(text).ok()) << text;
}

TEST(Json, RefusesANameThatComesTwice) {
  JsonDocument document;
  EXPECT_FALSE(document.Parse(R"({"amount":"1","amount":"2"})").ok());
  EXPECT_FALSE(document.Parse(R"({"amount":"1","\u0061mount":"2"})").ok());
  EXPECT_FALSE(document.Parse(R"({"x":{"a":1,"b":2,"a":3}})").ok());
  EXPECT_TRUE(document.Parse(R"({"a":{"a":1},"b":{"a":1}})").ok());
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_TRUE(document.Parse(many + "\"z\":0}").ok());
  EXPECT_FALSE(document.Parse(many + "\"k42\":0}").ok());
}

TEST(Json, BoundsDepthAndSize) {
  JsonDocument document;
  const size_t most = limits::kJsonDepthMax;
  EXPECT_TRUE(document.Parse(std::string(most, '[') + std::string(most, ']')).ok());
  EXPECT_FALSE(document.Parse(std::string(most + 1, '[') + std::string(most + 1, ']')).ok());
  std::string many = "[0";
  for (size_t i = 0; i < limits::kJsonNodesMax; ++i) many += ",0";
  EXPECT_FALSE(document.Parse(many + "]").ok());
}

TEST(Json, WritesWhatItReads) {
  std::string out;
  AppendJsonString(&out, "a\"b\\c\n\r\t\x01ä");
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\r\\t\\u0001ä\"");
  JsonDocument document;
  ASSERT_TRUE(document.Parse(out).ok());
  EXPECT_EQ(document.root().text(), "a\"b\\c\n\r\t\x01ä");
}

TEST(Routes, MatchPathAndMethod) {
  RouteMatch match = MatchRoute("GET", "/v1/ledgers/main/accounts/ext%3Aa%40b");
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.route->id, RouteId::kReadAccount);
  EXPECT_EQ(match.ledger, "main");
  EXPECT_EQ(match.id, "ext:a@b");
  EXPECT_EQ(MatchRoute("POST", "/v1/ledgers/main/accounts/batch").route->id, RouteId::kOpenAccounts);
  EXPECT_EQ(MatchRoute("HEAD", "/livez").route->id, RouteId::kLive);
  EXPECT_EQ(MatchRoute("GET", "/").route->id, RouteId::kFrontPage);
  for (const char* unknown :
       {"", "x", "//", "/v1", "/v1/", "/v1/ledgers/", "/v1/ledgers/main/", "/v1/ledgers//accounts",
        "/v1/ledgers/main/accounts/a/b", "/livez/", "/LIVEZ", "/v1/ledgers/%zz"}) {
    EXPECT_EQ(MatchRoute("GET", unknown).route, nullptr) << unknown;
    EXPECT_EQ(MatchRoute("GET", unknown).allow, "") << unknown;
  }
}

TEST(Routes, SayWhatIsAllowed) {
  EXPECT_EQ(MatchRoute("DELETE", "/v1/ledgers/main/accounts").allow, "POST, GET, HEAD");
  EXPECT_EQ(MatchRoute("GET", "/v1/ledgers/main/transfers").allow, "POST");
  EXPECT_EQ(MatchRoute("POST", "/livez").allow, "GET, HEAD");
}

TEST(Keys, GrantTheirScopesOnly) {
  absl::StatusOr<Authenticator> keys = Authenticator::Create({
      {"reader", Sha256("secret-1"), {"accounts:read", "transfers:read"}},
      {"all", Sha256("secret-2"), {"*"}},
  });
  ASSERT_TRUE(keys.ok());
  EXPECT_EQ(keys->Admit("Bearer secret-1", Scope::kAccountsRead), Access::kGranted);
  EXPECT_EQ(keys->Admit("bearer  secret-1 ", Scope::kAccountsRead), Access::kGranted);
  EXPECT_EQ(keys->Admit("Bearer secret-1", Scope::kAccountsWrite), Access::kForbidden);
  EXPECT_EQ(keys->Admit("Bearer secret-2", Scope::kMetricsRead), Access::kGranted);
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "Bearer secret", "Bearer secret-11", "Basic secret-1", "secret-1"}) {
    EXPECT_EQ(keys->Admit(wrong, Scope::kAccountsRead), Access::kUnauthenticated) << wrong;
  }
  EXPECT_EQ(keys->Admit("", Scope::kNone), Access::kGranted);
}

TEST(Keys, OfAWrongConfigurationAreNamed) {
  EXPECT_EQ(Authenticator::Create({{"a", Sha256("x"), {"accounts:eat"}}}).status().message(),
            "API key 'a' has an unknown scope 'accounts:eat'");
  EXPECT_FALSE(Authenticator::Create({{"a", Digest{}, {}}}).ok());
  EXPECT_FALSE(Authenticator::Create({{"a", Sha256("x"), {}}, {"a", Sha256("y"), {}}}).ok());
}

TEST(Tokens, ComeBackAsTheyWere) {
  const LogTime at{1'767'225'600'123'456};
  std::string token = EncodeConsistencyToken(at);
  EXPECT_EQ(DecodeConsistencyToken(token), at);
  token[5] = token[5] == '0' ? '1' : '0';
  EXPECT_EQ(DecodeConsistencyToken(token), std::nullopt);
  EXPECT_EQ(DecodeConsistencyToken(""), std::nullopt);

  std::string cursor = EncodeCursor({"main", "acct:", "acct:17"});
  std::optional<AccountCursor> decoded = DecodeCursor(cursor);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->prefix, "acct:");
  EXPECT_EQ(decoded->after, "acct:17");
  for (size_t i = 0; i < cursor.size(); ++i) {
    std::string mangled = cursor;
    mangled[i] = mangled[i] == '7' ? '8' : '7';
    EXPECT_FALSE(DecodeCursor(mangled).has_value()) << i;
    EXPECT_FALSE(DecodeCursor(cursor.substr(0, i)).has_value()) << i;
  }
}

TEST(ServerMadeIds, AreUuidsOfVersion7InOrderOfTime) {
  IdMaker ids(1);
  std::string first = ids.Uuid7(1'767'225'600'000'000);
  std::string later = ids.Uuid7(1'767'225'600'001'000);
  EXPECT_THAT(first,
              testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_LT(first.substr(0, 13), later.substr(0, 13));
  EXPECT_NE(ids.Uuid7(0), ids.Uuid7(0));
  EXPECT_TRUE(IsId(first));
}

}  // namespace
}  // namespace paxledger
