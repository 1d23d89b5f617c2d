#include "api/cluster_wish.h"

#include <map>
#include <optional>
#include <utility>

#include "api/fields.h"
#include "base/limits.h"

namespace paxledger {
namespace {

/// The members of a body, each of which is asked for once; what nobody asked for is unknown.
class Body {
 public:
  Body(JsonValue value, std::vector<FieldError>* errors) : errors_(errors) {
    if (!value.is_object()) {
      errors_->push_back({ApiCode::kInvalidField, FieldPlace::kBody, "", "must be an object"});
      return;
    }
    std::optional<std::string_view> name;
    for (JsonValue part : value) {
      if (name.has_value()) {
        members_.emplace(*name, part);
        name.reset();
      } else {
        name = part.text();
      }
    }
  }

  bool Has(std::string_view name) const { return members_.contains(name); }
  std::string Text(std::string_view name) {
    auto at = members_.find(name);
    if (at == members_.end()) return "";
    JsonValue value = at->second;
    members_.erase(at);
    if (!value.is_string() || value.text().size() > kTextBytesMax) {
      Wrong(name, "must be a short string");
      return "";
    }
    return std::string(value.text());
  }
  uint64_t Number(std::string_view name) {
    auto at = members_.find(name);
    if (at == members_.end()) return 0;
    std::optional<uint64_t> number = ParseUint64(at->second.raw());
    members_.erase(at);
    if (!number.has_value()) Wrong(name, "must be a whole number");
    return number.value_or(0);
  }
  bool True(std::string_view name) {
    auto at = members_.find(name);
    if (at == members_.end()) return false;
    JsonKind kind = at->second.kind();
    members_.erase(at);
    if (kind != JsonKind::kTrue && kind != JsonKind::kFalse) Wrong(name, "must be true or false");
    return kind == JsonKind::kTrue;
  }
  void Wrong(std::string_view name, std::string_view why) { Add(ApiCode::kInvalidField, name, why); }
  /// What is left over is not known.
  void End() {
    for (const auto& [name, value] : members_) Add(ApiCode::kUnknownField, name, "is not known here");
  }

 private:
  static constexpr size_t kTextBytesMax = 255;
  void Add(ApiCode code, std::string_view name, std::string_view why) {
    if (errors_->size() >= limits::kFieldErrorsMax) return;
    errors_->push_back({code, FieldPlace::kBody, "/" + std::string(name), std::string(why)});
  }

  std::map<std::string_view, JsonValue> members_;
  std::vector<FieldError>* errors_;
};

/// The members that every wish may have.
void ReadCommon(Body& body, DirectoryCommand* command, std::vector<FieldError>* errors) {
  bool named = body.Has("request");
  command->request = body.Text("request");
  if (named && !IsId(command->request) && errors->empty()) body.Wrong("request", "must be an id");
  command->if_version = body.Number("if_version");
}

std::string Address(Body& body, std::string_view name) {
  bool given = body.Has(name);
  std::string address = body.Text(name);
  if (given && !IsHostPort(address)) body.Wrong(name, "must be host:port");
  return address;
}

}  // namespace

ParsedWish ParseNodeWish(JsonValue value, std::string_view name) {
  ParsedWish wish;
  Body body(value, &wish.errors);
  ReadCommon(body, &wish.command, &wish.errors);
  if (body.Has("state")) {
    SetNodeState set{.name = std::string(name)};
    std::string state = body.Text("state");
    bool known = false;
    for (NodeState each : {NodeState::kActive, NodeState::kDraining, NodeState::kGone}) {
      if (state != NodeStateName(each)) continue;
      set.state = each;
      known = true;
    }
    if (!known) body.Wrong("state", "must be active, draining or gone");
    if (body.True("give_up_data_centre")) set.last = LastOfDataCentre::kAllow;
    wish.command.change = std::move(set);
  } else if (body.Has("data_centre")) {
    AddNode add{.name = std::string(name), .data_centre = body.Text("data_centre"), .peer_address = {}};
    if (!IsNodeName(add.data_centre)) body.Wrong("data_centre", "must be 1..32 letters, digits, '-' or '_'");
    if (!body.Has("peer_address")) body.Wrong("peer_address", "must be there");
    add.peer_address = Address(body, "peer_address");
    add.https_address = Address(body, "https_address");
    wish.command.change = std::move(add);
  } else {
    SetNodeAddresses set{.name = std::string(name)};
    set.peer_address = Address(body, "peer_address");
    set.https_address = Address(body, "https_address");
    if (set.peer_address.empty() && set.https_address.empty()) {
      body.Wrong("", "must have a data_centre, a state or an address");
    }
    wish.command.change = std::move(set);
  }
  body.End();
  return wish;
}

ParsedWish ParseReplacement(JsonValue value, std::string_view name) {
  ParsedWish wish;
  Body body(value, &wish.errors);
  ReadCommon(body, &wish.command, &wish.errors);
  ReplaceNode replace{.name = std::string(name)};
  replace.peer_address = Address(body, "peer_address");
  replace.https_address = Address(body, "https_address");
  wish.command.change = std::move(replace);
  body.End();
  return wish;
}

ParsedWish ParseShardWish(JsonValue value, ShardId shard) {
  ParsedWish wish;
  Body body(value, &wish.errors);
  ReadCommon(body, &wish.command, &wish.errors);
  if (body.Has("pin")) {
    wish.command.change = PinShard{shard, body.Text("pin")};
  } else if (body.Has("unpin")) {
    wish.command.change = UnpinShard{shard, body.Text("unpin")};
  } else if (wish.errors.empty()) {
    body.Wrong("", "must have pin or unpin");
  }
  body.End();
  return wish;
}

}  // namespace paxledger
