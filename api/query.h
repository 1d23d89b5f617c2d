#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/admission.h"
#include "api/problem.h"
#include "txn/ledger_service.h"

namespace paxledger {

/// A query parameter with a wrong value.
FieldError WrongParameter(std::string_view name, std::string_view reason);

/// The parameter `limit`, or the default; adds to `errors` what is wrong with it.
size_t ReadLimit(const Call& call, std::vector<FieldError>* errors);

/// What a statement or a page of events was asked for; of no use where `errors` is not empty.
struct StatementQuery {
  StatementRequest request;
  std::vector<FieldError> errors;
};
StatementQuery ReadStatementQuery(const Call& call);

struct EventsQuery {
  EventsRequest request;
  int64_t wait_us = 0;  // for the first event
  std::vector<FieldError> errors;
};
/// `shards`: of the cluster; a cursor has a position for each.
EventsQuery ReadEventsQuery(const Call& call, uint32_t shards);

}  // namespace paxledger
