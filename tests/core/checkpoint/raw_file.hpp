// SPDX-License-Identifier: Apache-2.0
// Safetensors files written by hand, byte by byte: what the reader is held against.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace espalier {

// Length, header and data as they lie in a file; the header needs neither be true nor JSON.
inline std::string raw_safetensors(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((header.size() >> (8 * i)) & 0xff);
  return bytes + header + data;
}

inline void write_raw(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::remove(path);  // ext4 writes to the disk at once what replaces the content of a file
  std::ofstream(path, std::ios::binary) << bytes;
}

// The whole message of what `call` throws, or "".
template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace espalier
