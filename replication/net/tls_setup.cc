#include "replication/net/tls_setup.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace paxledger {
namespace {

std::string OpenSslError() {
  unsigned long code = ERR_get_error();
  char text[256] = "unknown error";
  if (code != 0) ERR_error_string_n(code, text, sizeof(text));
  ERR_clear_error();
  return text;
}

absl::Status Bad(std::string_view what, const std::string& file, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(ToAbsl(what), " ", file, ": ", ToAbsl(why)));
}

absl::Status CheckOwnCertificate(SSL_CTX* context, const TlsFiles& files, std::string_view own_name) {
  X509* own = SSL_CTX_get0_certificate(context);
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check(X509_STORE_CTX_new(),
                                                                        &X509_STORE_CTX_free);
  if (X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), own, chain) != 1) {
    return Bad("certificate", files.certificate, OpenSslError());
  }
  if (X509_verify_cert(check.get()) != 1) {
    return Bad("certificate", files.certificate,
               absl::StrCat("not valid under ", files.ca, ": ",
                            X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get()))));
  }
  if (!CertificateCarries(own, own_name)) {
    return Bad("certificate", files.certificate, absl::StrCat("is not of ", ToAbsl(own_name)));
  }
  return absl::OkStatus();
}

}  // namespace

void TlsContextDeleter::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

std::string PeerCertificateName(std::string_view node, std::string_view cluster_id) {
  return absl::StrCat(ToAbsl(node), ".", ToAbsl(cluster_id));
}

bool CertificateCarries(x509_st* certificate, std::string_view name) {
  return X509_check_host(certificate, name.data(), name.size(),
                         X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT, nullptr) == 1;
}

absl::StatusOr<TlsContext> MakePeerTlsContext(const TlsFiles& files, std::string_view own_name) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_method()));
  SSL_CTX* raw = context.get();
  if (raw == nullptr || SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) != 1) {
    return absl::InternalError(absl::StrCat("cannot set up TLS: ", OpenSslError()));
  }
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1) {
    return Bad("certificate", files.certificate, OpenSslError());
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1) {
    return Bad("private key", files.key, OpenSslError());
  }
  if (SSL_CTX_load_verify_locations(raw, files.ca.c_str(), nullptr) != 1)
    return Bad("CA", files.ca, OpenSslError());
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  absl::Status usable = CheckOwnCertificate(raw, files, own_name);
  if (!usable.ok()) return usable;
  return context;
}

}  // namespace paxledger
