#pragma once

#include <string>

#include "api/client.h"
#include "ops/ledgerctl/arguments.h"
#include "ops/ledgerctl/connection.h"

namespace paxledger {

/// `ledgerctl account postings ID`: the statement as one list, whatever the number of its pages.
ExitCode PrintPostings(const Arguments& arguments, Client& client, const std::string& account);

}  // namespace paxledger
