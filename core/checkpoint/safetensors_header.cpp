// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/safetensors_header.hpp"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/base/error.hpp"
#include "core/checkpoint/text.hpp"

namespace espalier {
namespace {

constexpr const char* kMetadata = "__metadata__";
constexpr std::size_t kMostDimensions = 64;
constexpr std::uint64_t kMostBytes = std::numeric_limits<std::int64_t>::max();

// Where in the header the parser is: before a value of that kind, or inside it.
enum class Place { top, names, entry, fields, dtype, shape, sizes, offsets, ends, metadata, labels, label };

[[noreturn]] void fail_syntax(const std::string& source, std::size_t position) {
  fail("{}: header is damaged; got a syntax error at its byte {}; expected JSON", source, position);
}

class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& source) : source_(source) {}
  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { unexpected("a real number"); }
  bool binary(binary_t&) override { unexpected("bytes"); }

  bool number_unsigned(number_unsigned_t number) override {
    if (number > kMostBytes) unexpected("a number above 2^63");
    if (place_ == Place::sizes && tensor_.shape.size() < kMostDimensions) {
      tensor_.shape.push_back(static_cast<std::int64_t>(number));
    } else if (place_ == Place::ends && ends_.size() < 2) {
      ends_.push_back(number);
    } else {
      unexpected(place_ == Place::sizes || place_ == Place::ends ? "more of them" : "a number");
    }
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::dtype) {
      tensor_.dtype = dtype_from_name(text, tensor_source());
      place_ = Place::fields;
    } else if (place_ == Place::label) {
      header_.metadata[label_] = text;
      place_ = Place::labels;
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::top) {
      place_ = Place::names;
    } else if (place_ == Place::entry) {
      place_ = Place::fields;
    } else if (place_ == Place::metadata) {
      place_ = Place::labels;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& text) override {
    if (place_ == Place::names) {
      start_entry(text);
    } else if (place_ == Place::fields) {
      start_field(text);
    } else {
      if (header_.metadata.contains(text)) fail("{}: {} has {} twice", source_, kMetadata, in_quotes(text));
      label_ = text;
      place_ = Place::label;
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::fields) finish_tensor();
    place_ = place_ == Place::names ? Place::top : Place::names;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::shape) {
      place_ = Place::sizes;
    } else if (place_ == Place::offsets) {
      place_ = Place::ends;
    } else {
      unexpected("a list");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::ends && ends_.size() != 2) {
      fail("{}: data_offsets have the wrong length; got {}; expected 2", tensor_source(), ends_.size());
    }
    place_ = Place::fields;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail_syntax(source_, position);
  }

 private:
  std::string tensor_source() const { return source_ + ": tensor " + in_quotes(tensor_.name); }

  void start_entry(const std::string& name) {
    if (!names_.insert(name).second) fail("{}: {} is in the header twice", source_, in_quotes(name));
    place_ = name == kMetadata ? Place::metadata : Place::entry;
    tensor_ = {};
    tensor_.name = name;
    ends_.clear();
    fields_.clear();
  }

  void start_field(const std::string& name) {
    if (!fields_.insert(name).second) fail("{}: {} is given twice", tensor_source(), in_quotes(name));
    if (name == "dtype") {
      place_ = Place::dtype;
    } else if (name == "shape") {
      place_ = Place::shape;
    } else if (name == "data_offsets") {
      place_ = Place::offsets;
    } else {
      fail("{}: unknown field; got {}; expected 'dtype', 'shape' or 'data_offsets'", tensor_source(), in_quotes(name));
    }
  }

  void finish_tensor() {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_.contains(field)) fail("{}: {} is missing", tensor_source(), field);
    }
    if (ends_[0] > ends_[1]) {
      fail("{}: data ends before it begins; got data_offsets [{}, {}]", tensor_source(), ends_[0], ends_[1]);
    }
    std::uint64_t bytes = 0;
    if (!data_bytes(tensor_.dtype, tensor_.shape, bytes)) {
      fail("{}: shape is too large; got {}; expected less than 2^63 bytes", tensor_source(), shape_text(tensor_.shape));
    }
    tensor_.begin = ends_[0];
    tensor_.end = ends_[1];
    if (bytes != tensor_.bytes()) {
      fail("{}: data does not fit shape {} of {}; got {} bytes; expected {}", tensor_source(),
           shape_text(tensor_.shape), dtype_name(tensor_.dtype), tensor_.bytes(), bytes);
    }
    header_.tensors.push_back(std::move(tensor_));
  }

  [[noreturn]] void unexpected(const char* got) const {
    switch (place_) {
      case Place::entry:
        fail("{}: entry is damaged; got {}; expected an object", tensor_source(), got);
      case Place::dtype:
        fail("{}: dtype is damaged; got {}; expected a string", tensor_source(), got);
      case Place::shape:
      case Place::sizes:
        fail("{}: shape is damaged; got {}; expected a list of at most {} sizes", tensor_source(), got,
             kMostDimensions);
      case Place::offsets:
      case Place::ends:
        fail("{}: data_offsets are damaged; got {}; expected [begin, end]", tensor_source(), got);
      case Place::metadata:
        fail("{}: {} is damaged; got {}; expected an object", source_, kMetadata, got);
      case Place::label:
        fail("{}: {} has a value that is not text at {}; got {}; expected a string", source_, kMetadata,
             in_quotes(label_), got);
      default:
        fail("{}: header is damaged; got {}; expected an object", source_, got);
    }
  }

  const std::string& source_;
  SafetensorsHeader header_;
  Place place_ = Place::top;
  std::set<std::string> names_;
  TensorInfo tensor_;  // being read
  std::set<std::string> fields_;
  std::vector<std::uint64_t> ends_;
  std::string label_;
};

}  // namespace

bool data_bytes(at::ScalarType dtype, const std::vector<std::int64_t>& shape, std::uint64_t& bytes) {
  bool empty = false;
  std::uint64_t product = c10::elementSize(dtype);
  for (const std::int64_t extent : shape) {
    if (extent == 0) empty = true;
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(extent, 1));
    if (extent < 0 || __builtin_mul_overflow(product, factor, &product) || product > kMostBytes) return false;
  }
  bytes = empty ? 0 : product;
  return true;
}

SafetensorsHeader parse_header(std::string_view json, const std::string& source) {
  // The JSON parser would skip a byte order mark or spaces; the format does not have them.
  if (!json.starts_with('{')) {
    fail("{}: header is damaged; got no '{{' at its start; expected a JSON object (is it a safetensors file?)", source);
  }
  // And it would take a zero byte for the end of the text.
  const std::size_t zero = json.find('\0');
  if (zero != std::string_view::npos) fail_syntax(source, zero + 1);
  HeaderReader reader(source);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

void place_tensors(std::vector<TensorInfo>& tensors, std::uint64_t data_begin, std::uint64_t data_bytes,
                   const std::string& source) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t expected = 0;
  for (TensorInfo& tensor : tensors) {
    if (tensor.begin < expected) {
      fail("{}: tensor {}: data overlaps another tensor's; got begin {}; expected {}", source, in_quotes(tensor.name),
           tensor.begin, expected);
    }
    if (tensor.begin > expected) {
      fail("{}: tensor {}: unused bytes before its data; got begin {}; expected {}", source, in_quotes(tensor.name),
           tensor.begin, expected);
    }
    if (tensor.end > data_bytes) {
      fail("{}: tensor {}: data lies past the end of the file (is it complete?); got end {}; expected at most {}",
           source, in_quotes(tensor.name), tensor.end, data_bytes);
    }
    expected = tensor.end;
    tensor.begin += data_begin;
    tensor.end += data_begin;
  }
  if (expected != data_bytes) {
    fail("{}: unused bytes after the last tensor; got {} bytes of data; expected {}", source, data_bytes, expected);
  }
}

std::string header_text(const std::vector<TensorInfo>& tensors, const std::map<std::string, std::string>& metadata) {
  // By hand: nlohmann's objects are sorted by name, and a reader of the file wants the order of the data.
  std::string text = "{";
  if (!metadata.empty()) text += fmt::format("\"{}\":{},", kMetadata, nlohmann::json(metadata).dump());
  for (const TensorInfo& tensor : tensors) {
    text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}},",
                        nlohmann::json(tensor.name).dump(), dtype_name(tensor.dtype),
                        nlohmann::json(tensor.shape).dump(), tensor.begin, tensor.end);
  }
  if (text.back() == ',') text.pop_back();
  text += "}";
  return text + std::string((8 - text.size() % 8) % 8, ' ');
}

}  // namespace espalier
