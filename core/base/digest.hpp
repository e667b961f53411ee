// SPDX-License-Identifier: Apache-2.0
// SHA-256, in hexadecimal. A stage is named by the digest of everything that went into it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace espalier {

class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  Digest& add(const void* data, std::size_t bytes);
  Digest& add(std::string_view text);  // with its length, so that ("ab","c") differs from ("a","bc")
  std::string hex();                   // ends the digest; 64 characters

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string digest_of(std::string_view text);
std::string digest_of_file(const std::filesystem::path& path);

}  // namespace espalier
