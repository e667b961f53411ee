// SPDX-License-Identifier: Apache-2.0
#include "core/eval/evaluate.hpp"

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "core/checkpoint/safetensors.hpp"
#include "tests/core/eval/tiny.hpp"

using doctest::Approx;
using espalier::EvalOptions;
using espalier::EvalResult;
using espalier::evaluate;
using espalier::Measure;
using espalier::Model;
using espalier::Scratch;
using espalier::TokenSource;
using espalier::Windows;
using espalier::testing::documents_of;
using espalier::testing::options_of;
using espalier::testing::Reference;
using espalier::testing::reference;
using espalier::testing::Streamed;
using espalier::testing::tiny_model;

namespace {

at::Tensor all_of(const TokenSource& source, std::int64_t seq_length) {
  const Windows windows(source, seq_length);
  return windows.tokens(0, windows.size());
}

}  // namespace

TEST_CASE("nll is the mean over all predicted tokens, perplexity its exponential, bytes exact for byte tokens") {
  const Scratch scratch;
  Model model = tiny_model();
  const TokenSource a = documents_of(scratch, "a", 20, 0), b = documents_of(scratch, "b", 9, 100);
  const EvalResult result = evaluate(model, {a, b}, options_of(16));
  const at::Tensor tokens_a = all_of(a, 16), tokens_b = all_of(b, 16);
  const at::Tensor nll_a = reference(model, tokens_a).nll, nll_b = reference(model, tokens_b).nll;
  const double sum_a = nll_a.sum().item<double>(), sum_b = nll_b.sum().item<double>();
  CHECK(result.windows == 14);
  CHECK(result.available == 14);
  CHECK(result.all.tokens == 14 * 15);
  CHECK(result.nll == Approx((sum_a + sum_b) / (14 * 15)).epsilon(1e-6));
  CHECK(result.all.perplexity() == Approx(std::exp(result.nll)));
  // A window is two documents of 7 bytes and an end; the first byte is not predicted.
  REQUIRE(result.all.bits_per_byte);
  CHECK(*result.all.bits_per_byte == Approx((sum_a + sum_b) / std::numbers::ln2 / (14 * 13)).epsilon(1e-6));
  CHECK(result.bytes == espalier::ByteCount::exact);
  REQUIRE(result.sources.size() == 2);
  CHECK(result.sources[0].first == "a");
  CHECK(result.sources[0].second.nll == Approx(sum_a / 150).epsilon(1e-6));
  CHECK(result.sources[1].second.nll == Approx(sum_b / 60).epsilon(1e-6));
  CHECK(result.sources[0].second.documents == 20);
  CHECK(result.sources[1].second.documents == 8);  // the ninth does not fill a window
  CHECK(result.all.documents == 28);
}

TEST_CASE("batches and residency do not change the result beyond rounding; the same run twice gives the same bits") {
  const Scratch scratch;
  Model model = tiny_model();
  const std::vector<TokenSource> data = {documents_of(scratch, "a", 30, 0)};
  const double whole = evaluate(model, data, options_of(16)).nll;
  CHECK(evaluate(model, data, options_of(16)).nll == whole);
  EvalOptions options = options_of(16);
  for (const std::int64_t micro_batch : {1, 4, 100}) {
    options.micro_batch = micro_batch;
    CHECK(evaluate(model, data, options).nll == Approx(whole).epsilon(1e-6));
  }
  Streamed streamed(model);
  options.micro_batch = 2;
  CHECK(evaluate(streamed, data, options).nll == Approx(whole).epsilon(1e-6));
  CHECK(streamed.fetched == 3);
  options.tile_bytes = 3 * 2 * 16 * 12 * 4;  // three batches of two windows: 15 windows in three walks
  streamed.fetched = 0;
  CHECK(evaluate(streamed, data, options).nll == Approx(whole).epsilon(1e-6));
  CHECK(streamed.fetched == 9);
}

TEST_CASE("a smaller number of windows is spread evenly over all of them") {
  const Scratch scratch;
  Model model = tiny_model();
  const TokenSource a = documents_of(scratch, "a", 20, 0), b = documents_of(scratch, "b", 10, 100);
  EvalOptions options = options_of(16);
  options.windows = 4;  // windows 0, 3, 7, 11 of 15, the last one in b
  const EvalResult result = evaluate(model, {a, b}, options);
  CHECK(result.windows == 4);
  CHECK(result.available == 15);
  const at::Tensor nll_a = reference(model, all_of(a, 16)).nll, nll_b = reference(model, all_of(b, 16)).nll;
  const double expected = (nll_a[0].sum() + nll_a[3].sum() + nll_a[7].sum() + nll_b[1].sum()).item<double>() / 60;
  CHECK(result.nll == Approx(expected).epsilon(1e-6));
  options.windows = 1000;
  CHECK(evaluate(model, {a, b}, options).windows == 15);
}

TEST_CASE("masked tokens do not count") {
  const Scratch scratch;
  Model model = tiny_model();
  documents_of(scratch, "a", 4, 0);
  std::string mask;
  for (int token = 0; token < 32; ++token) mask += static_cast<char>(token % 8 >= 5);  // the last two bytes and the end
  espalier::write_text(scratch / "a.mask", mask);
  const TokenSource source{"a", std::nullopt, espalier::TokenFile(scratch / "a", "")};
  REQUIRE(source.tokens.has_loss_mask());
  const EvalResult result = evaluate(model, {source}, options_of(16));
  const at::Tensor nll = reference(model, all_of(source, 16)).nll;
  double sum = 0;
  for (std::int64_t window = 0; window < 2; ++window) {
    for (const std::int64_t token : {5, 6, 7, 13, 14, 15}) sum += nll[window][token - 1].item<double>();
  }
  CHECK(result.all.tokens == 12);
  CHECK(result.nll == Approx(sum / 12).epsilon(1e-6));
  CHECK(*result.all.bits_per_byte == Approx(sum / std::numbers::ln2 / 8).epsilon(1e-6));
}

TEST_CASE("the dump has every token's nll and every window's last logits") {
  const Scratch scratch;
  Model model = tiny_model();
  const TokenSource a = documents_of(scratch, "a", 11, 0);
  EvalOptions options = options_of(16);
  options.micro_batch = 2;
  options.dump = scratch / "dump.safetensors";
  evaluate(model, {a}, options);
  const espalier::SafetensorsFile file(options.dump);
  REQUIRE(file.find("nll") != nullptr);
  REQUIRE(file.find("last_logits") != nullptr);
  const Reference expected = reference(model, all_of(a, 16));
  CHECK((file.tensor(*file.find("nll")).sizes() == at::IntArrayRef({5, 15})));
  CHECK(at::allclose(file.tensor(*file.find("nll")), expected.nll.to(at::kFloat), 1e-5, 1e-5));
  CHECK(at::allclose(file.tensor(*file.find("last_logits")), expected.last_logits.to(at::kFloat), 1e-5, 1e-5));
}
