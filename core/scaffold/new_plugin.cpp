// SPDX-License-Identifier: Apache-2.0
#include "core/scaffold/new_plugin.hpp"

#include <boost/dll/runtime_symbol_info.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "core/base/error.hpp"
#include "core/base/strings.hpp"
#include "core/scaffold/plugin_name.hpp"
#include "core/scaffold/template_files.hpp"

namespace espalier {
namespace {

struct Kind {
  const char* name;
  const char* title;  // in the project's README
  bool kernels;       // whether it sees tensors on a GPU in a way that a kernel of its own can serve
};

constexpr std::array kKinds = {
    Kind{"metric", "An importance metric", true}, Kind{"axis", "A pruning axis", false},
    Kind{"loss", "A loss on logits", true},       Kind{"feature-loss", "A loss on hidden states", true},
    Kind{"scheduler", "A scheduler", false},
};

std::vector<std::string> kind_names(bool with_kernels) {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if (kind.kernels || !with_kernels) names.emplace_back(kind.name);
  }
  return names;
}

const Kind& kind_named(const std::string& name) {
  for (const Kind& kind : kKinds) {
    if (name == kind.name) return kind;
  }
  const std::vector<std::string> names = kind_names(false);
  reject("espalier plugins new: unknown kind; got '{}'; expected {}{}", name, any_of(names), did_you_mean(name, names));
}

// The header that holds a kind's contract, without its ending.
std::string header_of(std::string kind) {
  std::replace(kind.begin(), kind.end(), '-', '_');
  return kind;
}

std::string replaced(std::string_view text, const std::map<std::string, std::string>& words) {
  std::string result(text);
  for (const auto& [word, value] : words) {
    for (std::size_t at = 0; (at = result.find(word, at)) != std::string::npos; at += value.size()) {
      result.replace(at, word.size(), value);
    }
  }
  return result;
}

// Lines between "@if cuda@" and "@end@" stay with `cuda`, those behind an "@else@" without.
std::string chosen_lines(std::string_view text, bool cuda) {
  std::string result;
  bool keep = true;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    const std::string_view line = text.substr(begin, end - begin);
    begin = end;
    if (line == "@if cuda@\n") {
      keep = cuda;
    } else if (line == "@else@\n") {
      keep = !cuda;
    } else if (line == "@end@\n") {
      keep = true;
    } else if (keep) {
      result += line;
    }
  }
  return result;
}

// The files of the project: path and text.
std::map<std::string, std::string> project_files(const NewPlugin& wanted) {
  const std::map<std::string, std::string> words = {{"@name@", wanted.name},
                                                    {"@Class@", class_name(wanted.name)},
                                                    {"@Title@", kind_named(wanted.kind).title},
                                                    {"@header@", header_of(wanted.kind)}};
  std::map<std::string, std::string> files;
  for (const TemplateFile& file : template_files()) {
    for (const std::string& folder : {std::string("common/"), wanted.kind + "/cuda/", wanted.kind + "/"}) {
      if (!file.path.starts_with(folder)) continue;
      const std::string_view path = file.path.substr(folder.size(), file.path.size() - folder.size() - 3);  // .in
      if (path.find('/') != std::string_view::npos || (folder.ends_with("/cuda/") && !wanted.cuda)) continue;
      files[replaced(path, words)] = replaced(chosen_lines(file.text, wanted.cuda), words);
    }
  }
  return files;
}

fs::path settled(const fs::path& folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

// Someone's shell may stand in the empty folder that exists already: it keeps its place, and the files move in.
void move_into(const fs::path& from, const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(from)) fs::rename(entry.path(), folder / entry.path().filename());
}

}  // namespace

void check_new_plugin(const NewPlugin& wanted) {
  const Kind& kind = kind_named(wanted.kind);
  check_plugin_name(wanted.name);
  if (wanted.cuda && !kind.kernels) {
    reject("espalier plugins new: no use for a kernel; got --cuda with kind '{}'; expected it with {}", kind.name,
           any_of(kind_names(true)));
  }
  std::error_code error;
  const fs::file_status status = fs::status(wanted.folder, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status) || !fs::is_empty(wanted.folder, error) || error) {
    reject("espalier plugins new: the place is taken; got {}, {}; expected a new or an empty folder (-o FOLDER)",
           wanted.folder.string(), fs::is_directory(status) ? "which is not empty" : "which is a file");
  }
}

std::vector<std::string> write_new_plugin(const NewPlugin& wanted) {
  const fs::path folder = settled(wanted.folder);
  std::vector<std::string> written;
  const bool exists = fs::exists(folder);
  PendingFolder pending(exists ? folder / "new" : folder);
  for (const auto& [path, text] : project_files(wanted)) {
    write_text(pending.path() / path, text);
    written.push_back(path);
  }
  if (exists) {
    move_into(pending.path(), folder);
  } else {
    pending.commit();
  }
  return written;
}

fs::path package_prefix() {
  const fs::path program = fs::path(boost::dll::program_location().string()).parent_path();
  std::error_code ignored;
  return fs::exists(program / "EspalierConfig.cmake", ignored) ? program : program.parent_path();
}

}  // namespace espalier
