#include "ops/ledgerctl/json_read.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/fields.h"

namespace paxledger {
namespace json = boost::json;

absl::StatusOr<json::object> ParseJsonObject(std::string_view text) {
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_object()) {
    return absl::InternalError(absl::StrCat("the answer is no JSON object: ", ToAbsl(text.substr(0, 100))));
  }
  return std::move(value.get_object());
}

std::string JsonText(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}

bool JsonTrue(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

int64_t JsonInteger(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return 0;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64()) return static_cast<int64_t>(value->get_uint64());
  int64_t number = 0;
  return value->is_string() && absl::SimpleAtoi(JsonText(object, name), &number) ? number : 0;
}

Uint128 JsonAmount(const json::object& object, std::string_view name) {
  const std::string text = JsonText(object, name);
  if (text.empty()) return static_cast<Uint128>(JsonInteger(object, name));
  return ParseAmount(text).value_or(0);
}

const json::array& JsonArray(const json::object& object, std::string_view name) {
  static const json::array kEmpty;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->get_array() : kEmpty;
}

const json::object& JsonObject(const json::object& object, std::string_view name) {
  static const json::object kEmpty;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_object() ? value->get_object() : kEmpty;
}

}  // namespace paxledger
