#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "api/problem.h"
#include "cluster/directory_command.h"

namespace paxledger {

/// What a body wishes of the directory; of no use where `errors` is not empty. `request` and `if_version` may be missing.
struct ParsedWish {
  DirectoryCommand command;
  std::vector<FieldError> errors;
};

/// `{"data_centre":…,"peer_address":…}` adds the node `name`, `{"state":…}` sets its state, addresses alone set those.
ParsedWish ParseNodeWish(JsonValue value, std::string_view name);
/// `{"peer_address":…}`, all of it optional.
ParsedWish ParseReplacement(JsonValue value, std::string_view name);
/// `{"pin":NAME}`, `{"unpin":NAME}` or `{"unpin":""}`.
ParsedWish ParseShardWish(JsonValue value, ShardId shard);

}  // namespace paxledger
