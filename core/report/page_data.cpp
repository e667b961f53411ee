// SPDX-License-Identifier: Apache-2.0
#include "core/report/page_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/report/page_html.hpp"

namespace espalier {

namespace {

using nlohmann::json;
using Row = std::vector<double>;  // not a number where there is none

constexpr int kLevelCount = 64;

// How much of maps and curves is carried along.
struct Detail {
  std::size_t cells = 200'000, points = 12'000;
  bool layers_of_pairs = true;
};

std::vector<Row> rows_of(const json& lists) {
  std::vector<Row> rows;
  if (!lists.is_array()) return rows;
  for (const json& list : lists) {
    Row row;
    for (const json& value : list)
      row.push_back(value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN());
    rows.push_back(std::move(row));
  }
  return rows;
}

Row in_bins(const Row& row, std::size_t factor) {
  Row result;
  for (std::size_t begin = 0; begin < row.size(); begin += factor) {
    double sum = 0, count = 0;
    for (std::size_t i = begin; i < std::min(begin + factor, row.size()); ++i) {
      if (!std::isnan(row[i])) sum += row[i], ++count;
    }
    result.push_back(count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN());
  }
  return result;
}

std::string symbols(const Row& row, double low, double high) {
  std::string text;
  for (const double value : row) {
    const double part = high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) : 1.0;
    text += std::isnan(value) ? '.' : kLevels[static_cast<int>(std::lround(part * (kLevelCount - 1)))];
  }
  return text;
}

std::pair<double, double> range_of(const std::vector<Row>& rows) {
  Row all;
  for (const Row& row : rows)
    std::copy_if(row.begin(), row.end(), std::back_inserter(all), [](double v) { return !std::isnan(v); });
  if (all.empty()) return {0.0, 0.0};
  std::sort(all.begin(), all.end());
  const std::size_t beyond = all.size() / 100;
  return {all[beyond], all[all.size() - 1 - beyond]};
}

std::size_t cells_of(const json& map, std::size_t factor) {
  std::size_t cells = 0;
  for (const json& row : list_at(map, "layers")) cells += 2 * ((row.size() + factor - 1) / factor);
  return cells;
}

void quantise(json& map, std::size_t factor) {
  std::vector<Row> scores = rows_of(map["layers"]), kept = rows_of(list_at(map, "kept"));
  for (std::vector<Row>* rows : {&scores, &kept}) {
    for (Row& row : *rows) row = in_bins(row, factor);
  }
  const auto [low, high] = range_of(scores);
  map["low"] = low, map["high"] = high;
  map["bin"] = number_at(map, {"bin"}).value_or(1.0) * static_cast<double>(factor);
  map["layers"] = json::array(), map["kept"] = json::array();
  for (const Row& row : scores) map["layers"].push_back(symbols(row, low, high));
  for (const Row& row : kept) map["kept"].push_back(symbols(row, 0.0, 1.0));
}

void quantise_maps(json& maps, std::size_t budget) {
  std::size_t factor = 2;  // 128 columns of the 256 that a comparison has: more than a screen shows side by side
  std::size_t cells = 0;
  const auto widest = [&] {
    std::size_t width = 0;
    for (const json& map : maps)
      for (const json& row : list_at(map, "layers")) width = std::max(width, row.size());
    return width;
  }();
  const auto factor_for = [&](const json& map) {
    std::size_t width = 0;
    for (const json& row : list_at(map, "layers")) width = std::max(width, row.size());
    return width <= 128 && factor == 2 ? std::size_t{1} : factor;
  };
  for (;; factor *= 2) {
    cells = 0;
    for (const json& map : maps) cells += cells_of(map, factor_for(map));
    if (cells <= budget || factor >= widest) break;
  }
  for (json& map : maps) quantise(map, factor_for(map));
}

double six_digits(double value) {
  return value == 0 || !std::isfinite(value) ? value : std::stod(fmt::format("{:.6g}", value));
}

void round_numbers(json& value) {
  if (value.is_number_float()) value = six_digits(value.get<double>());
  if (value.is_structured()) {
    for (json& entry : value) round_numbers(entry);
  }
}

json every(const json& list, std::size_t step) {
  json result = json::array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i % step == 0 || i + 1 == list.size()) result.push_back(list[i]);
  }
  return result;
}

void thin_curves(json& curves, std::size_t budget) {
  std::size_t points = 0;
  for (const json& curve : curves)
    for (const json& run : list_at(curve, "runs")) points += list_at(run, "tokens").size();
  const std::size_t step = std::max<std::size_t>(1, (points + budget - 1) / budget);
  for (json& curve : curves) {
    curve["thinned"] = step;
    if (!curve.contains("runs")) continue;
    for (json& run : curve["runs"]) {
      for (const char* key : {"tokens", "loss"}) run[key] = every(list_at(run, key), step);
    }
  }
  round_numbers(curves);
}

json with_detail(const json& comparison, const Detail& detail) {
  json data = comparison;
  if (data.contains("scores") && data["scores"].is_array()) quantise_maps(data["scores"], detail.cells);
  if (data.contains("curves") && data["curves"].is_array()) thin_curves(data["curves"], detail.points);
  if (data.contains("metric_lab")) round_numbers(data["metric_lab"]);
  if (!detail.layers_of_pairs && at_path(data, {"metric_lab", "axes"}).is_array()) {
    for (json& axis : data["metric_lab"]["axes"]) {
      for (json& pair : axis["pairs"]) pair.erase("layers");
    }
  }
  return data;
}

}  // namespace

json page_data(const json& comparison, std::size_t bytes) {
  Detail detail;
  json data = with_detail(comparison, detail);
  while (script_json(data).size() > bytes && detail.cells > 1'000) {
    detail.cells /= 2, detail.points /= 2, detail.layers_of_pairs = false;
    data = with_detail(comparison, detail);
  }
  return data;
}

std::string script_json(const json& value) {
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  std::string result;
  for (const char c : text) {
    if (c == '<') {
      result += "\\u003c";
    } else {
      result += c;
    }
  }
  return result;
}

}  // namespace espalier
