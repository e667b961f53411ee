// SPDX-License-Identifier: Apache-2.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "core/checkpoint/safetensors.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"

namespace espalier {

using namespace std::string_literals;

namespace {

// What opening these bytes says, without the path at its start.
std::string complaint(const std::string& bytes) {
  const Scratch scratch;
  const fs::path path = scratch / "m.safetensors";
  write_raw(path, bytes);
  const std::string message = message_of([&] { const SafetensorsFile file(path); });
  REQUIRE(message.starts_with(path.string() + ": "));
  return message.substr(path.string().size() + 2);
}

// Of a header that has `data` bytes behind it.
std::string complaint(const std::string& header, std::size_t data) {
  return complaint(raw_safetensors(header, std::string(data, 'x')));
}

// Of one tensor 'w' with this entry.
std::string about_entry(const std::string& entry, std::size_t data = 4) {
  return complaint("{\"w\":" + entry + "}", data);
}

std::string about_field(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return about_entry("{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}");
}

}  // namespace

TEST_CASE("a file that is too short or no safetensors file at all is refused") {
  CHECK(complaint("") == "not a safetensors file; got 0 bytes; expected more than 8");
  CHECK(complaint("{}") == "not a safetensors file; got 2 bytes; expected more than 8");
  CHECK(complaint("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n") ==
        "not a safetensors file; got a Git LFS pointer to it; expected the file itself (git lfs pull)");
  CHECK(complaint("\x03\0\0\0\0\0\0\0{}"s) ==
        "header lies past the end of the file (is it complete?); got a length of 3 bytes; expected at most 2");
  CHECK(complaint("\xff\xff\xff\xff\xff\xff\xff\xff{}"s) ==
        "header lies past the end of the file (is it complete?); got a length of 18446744073709551615 bytes; "
        "expected at most 2");
  CHECK(message_of([] { SafetensorsFile("/nonexistent/m.safetensors"); }) ==
        "/nonexistent/m.safetensors: cannot read; got No such file or directory");
}

TEST_CASE("a header that is longer than the format allows is refused before it is parsed") {
  CHECK(complaint(std::string(100'000'001, '['), 0) ==
        "header is too long; got 100000001 bytes; expected at most 100000000");
}

TEST_CASE("a header that is not a JSON object is refused") {
  const std::string not_json =
      "header is damaged; got no '{' at its start; expected a JSON object (is it a safetensors file?)";
  CHECK(complaint("", 0) == not_json);
  CHECK(complaint("[]", 0) == not_json);
  CHECK(complaint(" {}", 0) == not_json);
  CHECK(complaint("\xef\xbb\xbf{}", 0) == not_json);
  CHECK(complaint("{\"w\":", 0) == "header is damaged; got a syntax error at its byte 6; expected JSON");
  CHECK(complaint("{} x", 0) == "header is damaged; got a syntax error at its byte 4; expected JSON");
  CHECK(complaint("{}\0"s, 0) == "header is damaged; got a syntax error at its byte 3; expected JSON");
  CHECK(complaint("{\"\xff\":{}}", 0) == "header is damaged; got a syntax error at its byte 3; expected JSON");
}

TEST_CASE("a name that is there twice is refused") {
  const std::string entry = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  CHECK(complaint("{\"w\":" + entry + ",\"w\":" + entry + "}", 0) == "'w' is in the header twice");
  CHECK(complaint(R"({"__metadata__":{},"__metadata__":{}})", 0) == "'__metadata__' is in the header twice");
  CHECK(complaint(R"({"__metadata__":{"a":"1","a":"2"}})", 0) == "__metadata__ has 'a' twice");
  CHECK(about_entry(R"({"dtype":"U8","dtype":"U8"})") == "tensor 'w': 'dtype' is given twice");
}

TEST_CASE("an entry with the wrong fields is refused") {
  CHECK(about_entry("3") == "tensor 'w': entry is damaged; got a number; expected an object");
  CHECK(about_entry("null") == "tensor 'w': entry is damaged; got null; expected an object");
  CHECK(about_entry("[[]]") == "tensor 'w': entry is damaged; got a list; expected an object");
  CHECK(about_entry("{}") == "tensor 'w': dtype is missing");
  CHECK(about_entry(R"({"dtype":"F32","shape":[1]})") == "tensor 'w': data_offsets is missing");
  CHECK(about_entry(R"({"strides":[1]})") ==
        "tensor 'w': unknown field; got 'strides'; expected 'dtype', 'shape' or 'data_offsets'");
}

TEST_CASE("a field of the wrong kind is refused") {
  CHECK(about_field("7", "[1]", "[0,4]") == "tensor 'w': dtype is damaged; got a number; expected a string");
  CHECK(about_field("\"F8_E4M3\"", "[1]", "[0,4]") ==
        "tensor 'w': dtype is not supported; got 'F8_E4M3'; "
        "expected 'F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8' or 'BOOL'");
  CHECK(about_field("\"F32\"", "1", "[0,4]") ==
        "tensor 'w': shape is damaged; got a number; expected a list of at most 64 sizes");
  CHECK(about_field("\"F32\"", "[-1]", "[0,4]") ==
        "tensor 'w': shape is damaged; got a negative number; expected a list of at most 64 sizes");
  CHECK(about_field("\"F32\"", "[1.0]", "[0,4]") ==
        "tensor 'w': shape is damaged; got a real number; expected a list of at most 64 sizes");
  CHECK(about_field("\"F32\"", "[[1]]", "[0,4]") ==
        "tensor 'w': shape is damaged; got a list; expected a list of at most 64 sizes");
  CHECK(about_field("\"F32\"", "[true]", "[0,4]") ==
        "tensor 'w': shape is damaged; got a boolean; expected a list of at most 64 sizes");
  CHECK(about_field("\"F32\"", "[9223372036854775808]", "[0,4]") ==
        "tensor 'w': shape is damaged; got a number above 2^63; expected a list of at most 64 sizes");
  CHECK(about_field("\"F32\"", "[1]", "{}") ==
        "tensor 'w': data_offsets are damaged; got an object; expected [begin, end]");
  CHECK(about_field("\"F32\"", "[1]", "[\"0\",4]") ==
        "tensor 'w': data_offsets are damaged; got a string; expected [begin, end]");
  CHECK(about_field("\"F32\"", "[1]", "[0]") == "tensor 'w': data_offsets have the wrong length; got 1; expected 2");
  CHECK(about_field("\"F32\"", "[1]", "[0,4,8]") ==
        "tensor 'w': data_offsets are damaged; got more of them; expected [begin, end]");
}

TEST_CASE("a shape with too many dimensions is refused") {
  std::string shape = "[1";
  for (int i = 0; i < 64; ++i) shape += ",1";
  CHECK(about_field("\"F32\"", shape + "]", "[0,4]") ==
        "tensor 'w': shape is damaged; got more of them; expected a list of at most 64 sizes");
}

TEST_CASE("metadata that is not text is refused") {
  CHECK(complaint(R"({"__metadata__":[]})", 0) == "__metadata__ is damaged; got a list; expected an object");
  CHECK(complaint(R"({"__metadata__":{"step":3}})", 0) ==
        "__metadata__ has a value that is not text at 'step'; got a number; expected a string");
}

TEST_CASE("data that does not fit the shape is refused") {
  CHECK(about_field("\"F32\"", "[2,3]", "[0,20]") ==
        "tensor 'w': data does not fit shape [2, 3] of F32; got 20 bytes; expected 24");
  CHECK(about_field("\"F32\"", "[1]", "[8,4]") == "tensor 'w': data ends before it begins; got data_offsets [8, 4]");
}

TEST_CASE("a shape whose size overflows is refused, even beside a zero") {
  CHECK(about_field("\"F32\"", "[4294967296,4294967296]", "[0,0]") ==
        "tensor 'w': shape is too large; got [4294967296, 4294967296]; expected less than 2^63 bytes");
  CHECK(about_field("\"F32\"", "[2305843009213693952]", "[0,0]") ==
        "tensor 'w': shape is too large; got [2305843009213693952]; expected less than 2^63 bytes");
  CHECK(about_field("\"U8\"", "[0,4294967296,4294967296]", "[0,0]") ==
        "tensor 'w': shape is too large; got [0, 4294967296, 4294967296]; expected less than 2^63 bytes");
}

TEST_CASE("tensors that overlap, leave holes or do not end with the file are refused") {
  const auto two = [](const std::string& a, const std::string& b, std::size_t data) {
    return complaint(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                         R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                     data);
  };
  CHECK(two("[0,4]", "[4,8]", 9) == "unused bytes after the last tensor; got 9 bytes of data; expected 8");
  CHECK(two("[0,4]", "[2,6]", 6) == "tensor 'b': data overlaps another tensor's; got begin 2; expected 4");
  CHECK(two("[0,4]", "[0,4]", 4) == "tensor 'b': data overlaps another tensor's; got begin 0; expected 4");
  CHECK(two("[6,10]", "[0,4]", 10) == "tensor 'a': unused bytes before its data; got begin 6; expected 4");
  CHECK(two("[1,5]", "[5,9]", 9) == "tensor 'a': unused bytes before its data; got begin 1; expected 0");
  CHECK(two("[0,4]", "[4,8]", 7) ==
        "tensor 'b': data lies past the end of the file (is it complete?); got end 8; expected at most 7");
  CHECK(about_field("\"U8\"", "[4]", "[9223372036854775803,9223372036854775807]") ==
        "tensor 'w': unused bytes before its data; got begin 9223372036854775803; expected 0");
}

TEST_CASE("an empty tensor cannot hide inside another one") {
  CHECK(complaint(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                  R"("e":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}})",
                  4) == "tensor 'e': data overlaps another tensor's; got begin 2; expected 4");
}

TEST_CASE("names are shown without control characters and not without end") {
  CHECK(complaint(R"({"a\u001b[31m\n":{}})", 0) == "tensor 'a\\x1b[31m\\x0a': dtype is missing");
  CHECK(complaint("{\"" + std::string(1000, 'a') + "\":{}}", 0) ==
        "tensor '" + std::string(200, 'a') + "…': dtype is missing");
}

TEST_CASE("a boolean that is neither true nor false is refused when it is read") {
  const Scratch scratch;
  const fs::path path = scratch / "m.safetensors";
  write_raw(path, raw_safetensors(R"({"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", "\x01\x02"));
  const SafetensorsFile file(path);
  CHECK(message_of([&] { file.tensor(*file.find("w")); }) ==
        path.string() + ": tensor 'w': a boolean is neither 0 nor 1");
}

}  // namespace espalier
