// SPDX-License-Identifier: Apache-2.0
#include "core/checkpoint/safetensors.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "core/base/error.hpp"
#include "core/base/files.hpp"
#include "tests/core/base/scratch.hpp"
#include "tests/core/checkpoint/raw_file.hpp"

namespace espalier {

using namespace std::string_literals;

TEST_CASE("a file written by hand is read") {
  const Scratch scratch;
  const std::string header = R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
  write_raw(scratch / "m.safetensors", raw_safetensors(header, "\0\0\x80\x3f\0\0\0\xc0\x01\x02\xff"s));
  const SafetensorsFile file(scratch / "m.safetensors");
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  REQUIRE(file.tensors().size() == 2);
  CHECK(file.tensors()[0].name == "w");
  CHECK(at::equal(file.tensor(*file.find("w")), at::tensor({1.0F, -2.0F})));
  CHECK(at::equal(file.tensor(*file.find("b")), at::tensor({1, 2, 255}, at::kByte)));
  CHECK(file.find("missing") == nullptr);
}

TEST_CASE("what is written has exactly the bytes of the format") {
  const Scratch scratch;
  save_tensors(scratch / "m.safetensors", {{"a\"b", at::tensor({1.0F, -2.0F})}, {"n", at::tensor({5}, at::kByte)}},
               {{"format", "pt"}});
  std::string header = R"({"__metadata__":{"format":"pt"},"a\"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                       R"("n":{"dtype":"U8","shape":[1],"data_offsets":[8,9]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  CHECK(read_text(scratch / "m.safetensors") == raw_safetensors(header, "\0\0\x80\x3f\0\0\0\xc0\x05"s));
}

TEST_CASE("every dtype comes back as it was") {
  const Scratch scratch;
  const at::Tensor values = at::tensor({0.0, 1.0, 2.0, 100.0, -3.0, 0.5}).reshape({2, 3});
  const std::vector<std::pair<at::ScalarType, std::string>> dtypes = {
      {at::kDouble, "F64"}, {at::kFloat, "F32"}, {at::kHalf, "F16"}, {at::kBFloat16, "BF16"}, {at::kLong, "I64"},
      {at::kInt, "I32"},    {at::kShort, "I16"}, {at::kChar, "I8"},  {at::kByte, "U8"},       {at::kBool, "BOOL"}};
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [dtype, name] : dtypes) {
    CHECK(dtype_name(dtype) == name);
    tensors.emplace_back(name, (dtype == at::kByte ? values.abs() : values).to(dtype));
  }
  save_tensors(scratch / "m.safetensors", tensors);
  const SafetensorsFile file(scratch / "m.safetensors");
  for (const auto& [name, tensor] : tensors) {
    CAPTURE(name);
    REQUIRE(file.find(name) != nullptr);
    CHECK((file.tensor(*file.find(name)).scalar_type() == tensor.scalar_type()));
    CHECK(at::equal(file.tensor(*file.find(name)), tensor));
  }
}

TEST_CASE("tensors without dimensions and without elements are stored") {
  const Scratch scratch;
  save_tensors(scratch / "m.safetensors", {{"empty_first", at::empty({0, 4})},
                                           {"scalar", at::scalar_tensor(7.5)},
                                           {"empty_between", at::empty({3, 0}, at::kLong)},
                                           {"one", at::ones({1})},
                                           {"empty_last", at::empty({0})}});
  const SafetensorsFile file(scratch / "m.safetensors");
  CHECK(file.tensors().size() == 5);
  CHECK(file.tensor(*file.find("scalar")).dim() == 0);
  CHECK(file.find("scalar")->elements() == 1);
  CHECK(file.tensor(*file.find("scalar")).item<double>() == 7.5);
  CHECK(file.tensor(*file.find("empty_between")).sizes() == at::IntArrayRef({3, 0}));
  CHECK(file.find("empty_first")->elements() == 0);
}

TEST_CASE("a file without tensors is a file") {
  const Scratch scratch;
  save_tensors(scratch / "m.safetensors", {});
  CHECK(read_text(scratch / "m.safetensors") == raw_safetensors("{}      ", ""));
  CHECK(SafetensorsFile(scratch / "m.safetensors").tensors().empty());
}

TEST_CASE("aligned data is not copied and misaligned data is") {
  const Scratch scratch;
  const std::string header = R"({"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})";
  const std::string data = "\x80\x3f\x00\xc0"s;
  for (const std::size_t shift : {0, 1}) {
    const std::string padded = header + std::string(8 - header.size() % 8 + shift, ' ');
    write_raw(scratch / "m.safetensors", raw_safetensors(padded, data));
    const SafetensorsFile file(scratch / "m.safetensors");
    const TensorInfo& info = *file.find("w");
    const at::Tensor tensor = file.tensor(info);
    CHECK((tensor.const_data_ptr() == file.map().bytes().data() + info.begin) == (shift == 0));
    CHECK(at::equal(tensor.to(at::kFloat), at::tensor({1.0F, -2.0F})));
  }
}

TEST_CASE("a tensor outlives the file object and can be read again after its pages were dropped") {
  const Scratch scratch;
  save_tensors(scratch / "m.safetensors", {{"w", at::arange(5000)}});
  at::Tensor tensor;
  {
    const SafetensorsFile file(scratch / "m.safetensors");
    tensor = file.tensor(*file.find("w"));
    CHECK(at::equal(tensor, at::arange(5000)));
    file.forget(*file.find("w"));
  }
  CHECK(at::equal(tensor, at::arange(5000)));
}

TEST_CASE("tensors are in the order of their data, whatever the order of the header") {
  const Scratch scratch;
  const std::string header = R"({"late":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
                             R"("early":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  write_raw(scratch / "m.safetensors", raw_safetensors(header, "\x01\x02"));
  const SafetensorsFile file(scratch / "m.safetensors");
  CHECK(file.tensors()[0].name == "early");
  CHECK(file.tensor(*file.find("late")).item<int>() == 2);
}

TEST_CASE("tensors with strides are stored in their logical order") {
  const Scratch scratch;
  const at::Tensor transposed = at::arange(6, at::kFloat).reshape({2, 3}).t();
  save_tensors(scratch / "m.safetensors", {{"w", transposed}});
  const SafetensorsFile file(scratch / "m.safetensors");
  CHECK(at::equal(file.tensor(*file.find("w")), transposed));
}

TEST_CASE("a tensor may be written in pieces and only a whole file is put in place") {
  const Scratch scratch;
  const fs::path path = scratch / "m.safetensors";
  const TensorInfo info{.name = "w", .dtype = at::kFloat, .shape = {4}, .begin = 0, .end = 0};
  const at::Tensor values = at::arange(4, at::kFloat);
  {
    SafetensorsWriter writer(path, {info}, {});
    writer.write(values.const_data_ptr(), 4);
    CHECK_THROWS_AS(writer.commit(), InternalError);
    CHECK_THROWS_AS(writer.write(values.const_data_ptr(), 16), InternalError);
  }
  CHECK(fs::is_empty(scratch.folder()));
  SafetensorsWriter writer(path, {info}, {});
  writer.write(values.const_data_ptr(), 4);
  writer.write(values.const_data_ptr<float>() + 1, 12);
  writer.commit();
  const SafetensorsFile file(path);
  CHECK(at::equal(file.tensor(*file.find("w")), values));
}

TEST_CASE("files follow the umask") {
  const Scratch scratch;
  const mode_t before = umask(0027);
  save_tensors(scratch / "m.safetensors", {{"w", at::ones({1})}});
  umask(before);
  struct stat status {};
  REQUIRE(stat((scratch / "m.safetensors").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

TEST_CASE("dtypes of weights are spelled as config.json spells them") {
  CHECK((dtype_from_config("bfloat16", "c") == at::kBFloat16));
  CHECK((dtype_from_config("torch.float16", "c") == at::kHalf));
  CHECK(dtype_to_config(at::kFloat) == "float32");
  CHECK(message_of([] { dtype_from_config("bfloat61", "config.json: dtype"); }) ==
        "config.json: dtype: dtype is not supported; got 'bfloat61'; expected 'float32', 'bfloat16' or 'float16'; "
        "did you mean 'bfloat16'?");
}

}  // namespace espalier
