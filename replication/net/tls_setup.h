#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct ssl_ctx_st;
struct x509_st;

namespace paxledger {

struct TlsFiles {
  std::string certificate;  // PEM, the chain
  std::string key;          // PEM
  std::string ca;           // PEM; a peer's certificate must be signed by it
};

struct TlsContextDeleter {
  void operator()(ssl_ctx_st* context) const;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextDeleter>;

/// The name that a node's certificate carries, as common name or DNS name: `<node name>.<cluster id>`.
std::string PeerCertificateName(std::string_view node, std::string_view cluster_id);

/// Whether `certificate` carries `name`; wildcards do not count.
bool CertificateCarries(x509_st* certificate, std::string_view name);

/// A context for both ends of connections between nodes: TLS 1.3, certificates on both sides, nothing
/// resumed.
/// Errors: kInvalidArgument  a file cannot be read, the key does not fit, or the certificate has expired, is
///           not signed by `files.ca` or does not carry `own_name`
absl::StatusOr<TlsContext> MakePeerTlsContext(const TlsFiles& files, std::string_view own_name);

}  // namespace paxledger
