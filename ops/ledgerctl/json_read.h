#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/bytes.h"

/// Reads members of answers. What is absent or of another type reads as empty or zero: answers may grow, and
/// the callers print what is there.
namespace paxledger {

/// Errors: kInternal  not a JSON object
[[nodiscard]] absl::StatusOr<boost::json::object> ParseJsonObject(std::string_view text);

std::string JsonText(const boost::json::object& object, std::string_view name);
bool JsonTrue(const boost::json::object& object, std::string_view name);
/// A number, or a decimal string of one.
int64_t JsonInteger(const boost::json::object& object, std::string_view name);
Uint128 JsonAmount(const boost::json::object& object, std::string_view name);
/// Empty ones where the member is absent.
const boost::json::array& JsonArray(const boost::json::object& object, std::string_view name);
const boost::json::object& JsonObject(const boost::json::object& object, std::string_view name);

}  // namespace paxledger
