// SPDX-License-Identifier: Apache-2.0
#include "core/model/counts.hpp"

#include <doctest/doctest.h>

#include "configs.hpp"
#include "core/model/family.hpp"

using namespace espalier;
using namespace espalier::test;

namespace {

Counts of(const nlohmann::json& config) { return count(read_spec(config, "config.json"), 2, 4096); }
std::int64_t total(const nlohmann::json& config) { return of(config).parameters; }
std::int64_t body(const nlohmann::json& config) { return of(config).non_embedding_parameters; }

}  // namespace

TEST_CASE("published nemotron totals follow from config.json") {
  const nlohmann::json b15 = nemotron({32, 6144, 48, 8, 128, 24576, 256000});
  CHECK(total(b15) == 15'628'775'424);
  CHECK(body(b15) == 12'483'047'424);
  const nlohmann::json b8 = nemotron({32, 4096, 32, 32, 128, 16384, 256000});
  CHECK(total(b8) == 8'540'135'424);
  CHECK(body(b8) == 6'442'983'424);
  const nlohmann::json minitron8 = nemotron({32, 4096, 48, 8, 128, 16384, 256000});
  CHECK(total(minitron8) == 8'271'699'968);
  CHECK(body(minitron8) == 6'174'547'968);
  const nlohmann::json minitron4 = nemotron({32, 3072, 24, 8, 128, 9216, 256000});
  CHECK(total(minitron4) == 4'190'509'056);
  CHECK(body(minitron4) == 2'617'645'056);
  CHECK(total(nemotron({32, 3072, 32, 8, 128, 9216, 256000})) == 4'391'835'648);
  CHECK(total(nemotron({16, 6144, 48, 8, 128, 24576, 256000})) == 9'387'257'856);
  CHECK(total(nemotron({32, 4096, 32, 8, 128, 16384, 256000})) == 7'734'829'056);
}

TEST_CASE("published llama and mistral totals follow from config.json") {
  CHECK(total(llama31(32, 4096, 14336)) == 8'030'261'248);
  CHECK(body(llama31(32, 4096, 14336)) == 6'979'588'096);
  CHECK(total(llama31(32, 3072, 9216)) == 4'512'746'496);
  CHECK(body(llama31(32, 3072, 9216)) == 3'724'741'632);
  CHECK(total(llama31(16, 4096, 14336)) == 4'540'469'248);
  CHECK(body(llama31(16, 4096, 14336)) == 3'489'796'096);
  CHECK(total(mistral_nemo(5120, 14336)) == 12'247'782'400);
  CHECK(body(mistral_nemo(5120, 14336)) == 10'905'605'120);
  CHECK(total(mistral_nemo(4096, 11520)) == 8'414'105'600);
  CHECK(body(mistral_nemo(4096, 11520)) == 7'340'363'776);
}

TEST_CASE("published qwen3 totals follow from config.json") {
  CHECK(total(qwen3(36, 4096, 12288)) == 8'190'735'360);
  CHECK(total(qwen3(32, 3840, 12288)) == 6'955'265'792);
  CHECK(total(qwen3(28, 4096, 12288)) == 6'647'163'904);
  CHECK(total(qwen3(30, 3584, 11776)) == 5'988'774'912);
  CHECK(total(qwen3(22, 4096, 12288)) == 5'489'485'312);
}

TEST_CASE("bytes, FLOPs and KV cache follow from the same table") {
  nlohmann::json config = shaped({2, 8, 4, 2, 6, 10, 16});
  config["model_type"] = "llama";
  const ModelSpec spec = read_spec(config, "config.json");
  // q 24×8, k and v 12×8, o 8×24, three of 10×8; two norms of 8; final norm; two of 16×8.
  const std::int64_t matrices = 2 * (24 * 8 * 2 + 12 * 8 * 2 + 3 * 80), norms = 2 * 16 + 8;
  const Counts counts = count(spec, 4, 100);
  CHECK(counts.parameters == matrices + norms + 2 * 128);
  CHECK(counts.non_embedding_parameters == matrices + norms);
  CHECK(counts.bytes == 4 * counts.parameters);
  CHECK(counts.flops_per_token == 2 * (matrices + 128) + 2 * (2 * 4 * 6 * 100));
  CHECK(counts.kv_bytes_per_token == 2 * (2 * 2 * 6 * 4));

  ModelSpec tied = spec;
  tied.tied = true;
  CHECK(count(tied, 4, 100).parameters == counts.parameters - 128);
  CHECK(count(tied, 4, 100).flops_per_token == counts.flops_per_token);
}

TEST_CASE("a sliding window lowers attention FLOPs to the keys that are seen") {
  nlohmann::json config = shaped({1, 8, 4, 2, 6, 10, 16});
  config["model_type"] = "mistral";
  config["sliding_window"] = nullptr;
  const std::int64_t full = count(read_spec(config, "c"), 2, 100).flops_per_token;
  config["sliding_window"] = 10;
  const std::int64_t windowed = count(read_spec(config, "c"), 2, 100).flops_per_token;
  CHECK(full - windowed == 4 * 24 * 50 - static_cast<std::int64_t>(4 * 24 * 9.5));
  config["sliding_window"] = 1000;
  CHECK(count(read_spec(config, "c"), 2, 100).flops_per_token == full);
}
