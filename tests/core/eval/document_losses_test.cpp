// SPDX-License-Identifier: Apache-2.0
#include "core/eval/document_losses.hpp"

#include <map>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/checkpoint/safetensors.hpp"
#include "tests/core/eval/tiny.hpp"

using doctest::Approx;
using espalier::DocumentLosses;
using espalier::EvalOptions;
using espalier::EvalResult;
using espalier::evaluate;
using espalier::load_documents;
using espalier::Model;
using espalier::save_documents;
using espalier::save_tensors;
using espalier::Scratch;
using espalier::TokenSource;
using espalier::testing::documents_of;
using espalier::testing::options_of;
using espalier::testing::tiny_model;

namespace {

const std::map<std::string, std::string> kMetadata = {
    {"model", "m"}, {"protocol", "{}"}, {"sources", R"([{"name": "a", "digest": "d"}])"}};

at::Tensor longs(const std::vector<std::int64_t>& values) { return at::tensor(values, at::kLong); }

void save_rows(const espalier::fs::path& path, const at::Tensor& document, const at::Tensor& source,
               const at::Tensor& nll, const at::Tensor& tokens) {
  save_tensors(path, {{"document", document}, {"source", source}, {"nll", nll}, {"tokens", tokens}}, kMetadata);
}

}  // namespace

TEST_CASE("the losses of documents are the dumped losses of their tokens, added up") {
  const Scratch scratch;
  Model model = tiny_model();
  const std::vector<TokenSource> data = {documents_of(scratch, "a", 20, 0), documents_of(scratch, "b", 9, 100)};
  EvalOptions options = options_of(12);  // documents of 8 tokens lie across windows
  options.dump = scratch / "dump.safetensors";
  options.micro_batch = 3;
  const EvalResult result = evaluate(model, data, options);
  const espalier::SafetensorsFile dump(options.dump);
  const at::Tensor nll = dump.tensor(*dump.find("nll"));
  std::map<std::pair<std::int32_t, std::int64_t>, std::pair<double, std::int64_t>> expected;
  for (std::int64_t w = 0; w < nll.size(0); ++w) {
    const std::int32_t source = w < 160 / 12 ? 0 : 1;
    const std::int64_t first = (source == 0 ? w : w - 160 / 12) * 12;
    for (std::int64_t t = 0; t < 11; ++t) {
      auto& [sum, count] = expected[{source, (first + t + 1) / 8}];
      sum += nll[w][t].item<double>();
      ++count;
    }
  }
  const DocumentLosses& rows = result.documents;
  REQUIRE(rows.size() == expected.size());
  CHECK(static_cast<std::int64_t>(rows.size()) == result.all.documents);
  std::size_t i = 0;
  for (const auto& [place, sums] : expected) {
    CHECK(rows.source[i] == place.first);
    CHECK(rows.document[i] == place.second);
    CHECK(rows.nll[i] == Approx(sums.first).epsilon(1e-12));  // both add float32 losses in float64
    CHECK(rows.tokens[i] == sums.second);
    ++i;
  }
}

TEST_CASE("a file of losses by document says what was saved") {
  const Scratch scratch;
  espalier::DocumentsFile file{"export", {{"seq_length", 16}, {"data", {{{"name", "a"}, {"digest", "d"}}}}}, {}};
  file.losses.add(0, 3, 1.5);
  file.losses.add(0, 3, 0.25);
  file.losses.add(0, 7, 2.0);
  save_documents(scratch / "d.safetensors", file);
  const espalier::DocumentsFile read = load_documents(scratch / "d.safetensors");
  CHECK(read.model == "export");
  CHECK(read.protocol == file.protocol);
  CHECK(read.losses.document == std::vector<std::int64_t>{3, 7});
  CHECK(read.losses.nll == std::vector<double>{1.75, 2.0});
  CHECK(read.losses.tokens == std::vector<std::int64_t>{2, 1});
  CHECK(read.losses.source == std::vector<std::int32_t>{0, 0});
}

TEST_CASE("a damaged file of losses is refused with its path and what is wrong") {
  const Scratch scratch;
  const espalier::fs::path path = scratch / "d.safetensors";
  const auto text = [&](const std::string& what) { return path.string() + ": " + what; };
  const at::Tensor source = at::zeros({2}, at::kInt), nll = at::ones({2}, at::kDouble);
  save_rows(path, longs({4, 3}), source, nll, longs({1, 1}));
  CHECK_THROWS_WITH_AS(load_documents(path),
                       text("row 1 is out of order; expected rows that ascend by source and document").c_str(),
                       espalier::Error);
  save_rows(path, longs({3, 4}), source + 1, nll, longs({1, 1}));
  CHECK_THROWS_WITH_AS(load_documents(path),
                       text("row 0 is of a source without a name; got 1; expected below 1").c_str(), espalier::Error);
  save_rows(path, longs({3, 4}), source, nll / 0, longs({1, 1}));
  CHECK_THROWS_WITH_AS(load_documents(path), text("row 0 has no finite loss; got inf").c_str(), espalier::Error);
  save_rows(path, longs({3, 4}), source, nll, longs({1, 0}));
  CHECK_THROWS_WITH_AS(load_documents(path), text("row 1 has no tokens; got 0; expected at least 1").c_str(),
                       espalier::Error);
  save_rows(path, longs({3, 4, 5}), source, nll, longs({1, 1}));
  CHECK_THROWS_WITH_AS(load_documents(path),
                       text("tensors of unequal lengths; expected one row for each document").c_str(), espalier::Error);
  save_rows(path, longs({3, 4}), source, nll.to(at::kFloat), longs({1, 1}));
  CHECK_THROWS_WITH_AS(
      load_documents(path),
      text("tensor 'nll' is of the wrong kind; got F32 with 1 dimensions; expected F64 with 1").c_str(),
      espalier::Error);
  save_tensors(path, {{"document", longs({3})}}, kMetadata);
  CHECK_THROWS_WITH_AS(load_documents(path), text("tensor 'nll' is missing").c_str(), espalier::Error);
}
