// SPDX-License-Identifier: Apache-2.0
#include "core/base/digest.hpp"

#include <openssl/evp.h>

#include <array>

#include "core/base/error.hpp"
#include "core/base/files.hpp"

namespace espalier {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Digest::Digest() : state_(std::make_unique<State>()) {
  ESPALIER_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

Digest& Digest::add(const void* data, std::size_t bytes) {
  ESPALIER_CHECK(EVP_DigestUpdate(state_->context, data, bytes) == 1);
  return *this;
}

Digest& Digest::add(std::string_view text) {
  const std::uint64_t length = text.size();
  add(&length, sizeof length);
  return add(text.data(), text.size());
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int length = 0;
  ESPALIER_CHECK(EVP_DigestFinal_ex(state_->context, bytes.data(), &length) == 1);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string digest_of(std::string_view text) { return Digest().add(text).hex(); }

std::string digest_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  Digest digest;
  constexpr std::size_t kBlock = std::size_t{64} << 20;
  const std::span<const std::byte> bytes = file.bytes();
  for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
    const std::size_t size = std::min(kBlock, bytes.size() - at);
    digest.add(bytes.data() + at, size);
    file.forget(at, size);
  }
  return digest.hex();
}

}  // namespace espalier
