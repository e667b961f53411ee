// SPDX-License-Identifier: Apache-2.0
#include "core/plugin/abi_check.hpp"

#include <elf.h>

#include <boost/dll/library_info.hpp>

#include <cstring>
#include <exception>
#include <fstream>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "espalier/sdk/abi.hpp"

namespace espalier {
namespace {

[[noreturn]] void foreign(const fs::path& library, const std::string& what) {
  fail("{}: is not a plugin; got {}; expected a shared library (ELF, 64 bits, little-endian)", library.string(), what);
}

[[noreturn]] void damaged(const fs::path& library, const std::string& what) {
  fail("{}: is a damaged library; got {}; expected a whole file: build or copy it again", library.string(), what);
}

template <class T>
T read_at(std::ifstream& file, std::uint64_t offset) {
  T record{};
  file.seekg(static_cast<std::streamoff>(offset));
  file.read(reinterpret_cast<char*>(&record), sizeof record);
  return record;
}

// boost::dll::library_info trusts every offset and size of the file; this makes them worthy of it.
void check_elf(const fs::path& library) {
  std::error_code error;
  const fs::file_status status = fs::status(library, error);
  if (!fs::exists(status)) fail("{}: no such file; expected a plugin (lib….so)", library.string());
  if (!fs::is_regular_file(status)) foreign(library, fs::is_directory(status) ? "a folder" : "a special file");
  std::ifstream file(library, std::ios::binary);
  if (!file) fail("{}: cannot be read; got {}", library.string(), std::strerror(errno));
  const std::uint64_t size = fs::file_size(library);
  if (size < SELFMAG) foreign(library, size == 0 ? "an empty file" : fmt::format("{} bytes", size));
  const auto header = read_at<Elf64_Ehdr>(file, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) foreign(library, "another kind of file");
  if (size < sizeof header) damaged(library, fmt::format("{} bytes", size));
  if (header.e_ident[EI_CLASS] != ELFCLASS64) foreign(library, "a 32-bit ELF file");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) foreign(library, "a big-endian ELF file");
  if (header.e_type != ET_DYN) foreign(library, "an ELF file that is no shared library");
  const auto inside = [size](std::uint64_t offset, std::uint64_t bytes) {
    return offset <= size && bytes <= size - offset;
  };
  const std::uint64_t sections = std::uint64_t{header.e_shnum} * sizeof(Elf64_Shdr);
  if (header.e_shentsize != sizeof(Elf64_Shdr) || header.e_shstrndx >= header.e_shnum ||
      !inside(header.e_shoff, sections)) {
    damaged(library, fmt::format("{} bytes, which end before the section table", size));
  }
  const auto names = read_at<Elf64_Shdr>(file, header.e_shoff + header.e_shstrndx * sizeof(Elf64_Shdr));
  if (names.sh_size == 0 || !inside(names.sh_offset, names.sh_size) ||
      read_at<char>(file, names.sh_offset + names.sh_size - 1) != '\0') {
    damaged(library, "section names outside the file");
  }
}

using Stamp = std::vector<std::pair<std::string, std::string>>;

Stamp parse_stamp(const std::string& text) {
  Stamp stamp;
  std::size_t begin = std::strlen(ESPALIER_STAMP_PREFIX);
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(':', begin), text.size());
    const std::string field = text.substr(begin, end - begin);
    const std::size_t equals = std::min(field.find('='), field.size());
    stamp.emplace_back(field.substr(0, equals), field.substr(std::min(equals + 1, field.size())));
    begin = end + 1;
  }
  return stamp;
}

std::string value_of(const Stamp& stamp, const std::string& field) {
  for (const auto& [name, value] : stamp) {
    if (name == field) return value;
  }
  return "nothing";
}

}  // namespace

std::string read_stamp(const fs::path& library) {
  check_elf(library);
  std::vector<std::string> sections;
  try {
    sections = boost::dll::library_info(library.string()).sections();
  } catch (const std::exception& error) {
    damaged(library, error.what());
  }
  std::vector<std::string> stamps;
  for (const std::string& section : sections) {
    if (section.starts_with(ESPALIER_STAMP_PREFIX)) stamps.push_back(section);
  }
  if (stamps.empty()) {
    fail(
        "{}: has no build stamp; expected a section named {}…: it is not a plugin of espalier, or not built with its "
        "SDK",
        library.string(), ESPALIER_STAMP_PREFIX);
  }
  if (stamps.size() > 1) {
    fail("{}: has {} build stamps; expected one: its objects come from different builds", library.string(),
         stamps.size());
  }
  return stamps.front();
}

std::string stamp_differences(const std::string& plugin, const std::string& host) {
  const Stamp got = parse_stamp(plugin);
  const Stamp wanted = parse_stamp(host);
  std::vector<std::string> fields;
  for (const auto& [name, value] : wanted) fields.push_back(name);
  for (const auto& [name, value] : got) {
    if (std::find(fields.begin(), fields.end(), name) == fields.end()) fields.push_back(name);
  }
  std::string text;
  for (const std::string& field : fields) {
    const std::string got_value = value_of(got, field);
    const std::string wanted_value = value_of(wanted, field);
    if (got_value == wanted_value || (field == "cuda" && (got_value == "none" || wanted_value == "none"))) continue;
    text += fmt::format("\n         {:<9}got {:<15}expected {}", field, got_value, wanted_value);
  }
  return text;
}

void check_stamp(const fs::path& library) {
  const std::string differences = stamp_differences(read_stamp(library), ESPALIER_STAMP);
  if (differences.empty()) return;
  std::string target = library.stem().string();
  if (target.starts_with("lib")) target.erase(0, 3);
  fail(
      "{}: was built for a different host{}\n  note: rebuild it with this program's SDK: cmake --build BUILD_FOLDER "
      "--target {}",
      library.string(), differences, target);
}

}  // namespace espalier
