#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/check.h"

namespace paxledger {

/// A certificate authority for tests, and the certificates it signs, as PEM files in `directory`.
class TestCertificates {
 public:
  struct Files {
    std::string certificate;
    std::string key;
    std::string ca;
  };

  /// `name` keeps the files of two authorities in one directory apart.
  explicit TestCertificates(std::string directory, std::string name = "ca")
      : directory_(std::move(directory)), name_(std::move(name)), key_(EVP_EC_gen("P-256")) {
    certificate_ = Make(name_, key_.get(), "", "CA:TRUE", kDay);
    WriteCertificate(ca(), certificate_.get());
  }

  std::string ca() const { return directory_ + "/" + name_ + ".pem"; }

  /// A certificate with this common name and, for HTTPS, names such as "DNS:localhost,IP:127.0.0.1".
  Files Issue(const std::string& common_name, const std::string& alternative_names = "",
              long lifetime_s = kDay) {
    Key key(EVP_EC_gen("P-256"));
    Certificate certificate = Make(common_name, key.get(), alternative_names, "CA:FALSE", lifetime_s);
    std::string stem = directory_ + "/" + name_ + "." + common_name;
    Files files{stem + ".pem", stem + ".key", ca()};
    WriteCertificate(files.certificate, certificate.get());
    FILE* out = std::fopen(files.key.c_str(), "w");
    Check(out != nullptr, "a test can write its files");
    PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(out);
    return files;
  }

 private:
  static constexpr long kDay = 86400;
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  Certificate Make(const std::string& common_name, EVP_PKEY* key, const std::string& alternative_names,
                   const char* constraints, long lifetime_s) {
    Certificate made(X509_new());
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), lifetime_s);
    X509_set_pubkey(made.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
    X509* issuer = certificate_ == nullptr ? made.get() : certificate_.get();
    X509_set_issuer_name(made.get(), X509_get_subject_name(issuer));
    AddExtension(made.get(), issuer, NID_basic_constraints, constraints);
    if (!alternative_names.empty())
      AddExtension(made.get(), issuer, NID_subject_alt_name, alternative_names.c_str());
    Check(X509_sign(made.get(), key_.get(), EVP_sha256()) > 0, "a test certificate is signed");
    return made;
  }

  static void AddExtension(X509* to, X509* issuer, int kind, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
    Check(extension != nullptr, "a test certificate's extension is well formed");
    X509_add_ext(to, extension, -1);
    X509_EXTENSION_free(extension);
  }

  static void WriteCertificate(const std::string& path, X509* certificate) {
    FILE* out = std::fopen(path.c_str(), "w");
    Check(out != nullptr, "a test can write its files");
    PEM_write_X509(out, certificate);
    std::fclose(out);
  }

  std::string directory_;
  std::string name_;
  Key key_;
  Certificate certificate_;
  long serial_ = 0;
};

}  // namespace paxledger
