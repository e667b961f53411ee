// SPDX-License-Identifier: Apache-2.0
// A recipe is untrusted text: whatever stands in it, the answer is a recipe or a list of problems.
#include <cstdint>
#include <vector>

#include "support.hpp"

namespace {

constexpr const char* kRecipe = R"(schema = 1
plugins = ["a"]
[teacher]
spec = { family = "llama", layers = 2, hidden = 8, heads = 4, kv_groups = 2, head_dim = 4, ffn = 9, vocab = 7 }
[data]
train = [ { path = "a", weight = 2 }, { path = "b", weight = 1 } ]
valid_fraction = 0.1
[[prune]]
axis = "hidden"
keep = 96
metric = { name = "activation", seq = "mean" }
[distill]
tokens = 1e6
losses = [ { name = "kl", weight = 0.75 } ]
optimizer = { beta2 = 0.99 }
[export]
shard_size = "1GB"
[lock]
"plugin losses" = "def"
)";

// The same sequence on every machine (Knuth's MMIX generator).
class Lots {
 public:
  std::size_t below(std::size_t limit) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state_ >> 33) % limit;
  }

 private:
  std::uint64_t state_ = 1;
};

std::string mutated(Lots& lots) {
  static const std::vector<std::string> pieces = {"[",
                                                  "]",
                                                  "{",
                                                  "}",
                                                  "\"",
                                                  "=",
                                                  ".",
                                                  "\n",
                                                  "-",
                                                  "0",
                                                  "1e999",
                                                  "nan",
                                                  "\xff",
                                                  "9223372036854775807",
                                                  "true",
                                                  "[[[",
                                                  "'''",
                                                  "é",
                                                  "#",
                                                  "[prune]",
                                                  "extends = \"r.toml\"\n",
                                                  ",",
                                                  "\t",
                                                  "1_000",
                                                  "1979-05-27T07:32:00Z"};
  std::string text = kRecipe;
  for (std::size_t times = 1 + lots.below(2); times > 0; --times) {
    const std::size_t place = lots.below(text.size());
    switch (lots.below(3)) {
      case 0:
        text.erase(place, 1 + lots.below(12));
        break;
      case 1:
        text.insert(place, pieces[lots.below(pieces.size())]);
        break;
      default:
        text[place] = static_cast<char>(lots.below(256));
        break;
    }
  }
  return text;
}

}  // namespace

TEST_CASE("a damaged recipe gives problems or a recipe that is written and read again, never a crash") {
  const espalier_test::RecipeFolder folder;
  Lots lots;
  int whole = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = mutated(lots);
    const auto file = folder.write("r.toml", text);
    espalier::Diagnostics diagnostics;
    const espalier::Recipe recipe = espalier::parse_recipe(file, {"seed=3"}, diagnostics);
    if (!diagnostics.empty()) continue;
    ++whole;
    const std::string written = espalier::to_toml(recipe, {});
    espalier::Diagnostics again;
    const espalier::Recipe second = espalier::parse_recipe(folder.write("r.toml", written), {}, again);
    CAPTURE(text);
    REQUIRE_MESSAGE(again.empty(), again.text());
    REQUIRE(espalier::to_toml(second, {}) == written);
  }
  CHECK(whole > 20);
  CHECK(whole < 1900);
}

TEST_CASE("a damaged --set gives problems or a recipe, never a crash") {
  Lots lots;
  const std::string alphabet = "prunedistl.0123=[]{}\"' \n\xc3\xa9";
  for (int i = 0; i < 500; ++i) {
    std::string text = i % 2 ? "prune.0." : "distill.losses.0.";
    for (std::size_t left = lots.below(16); left > 0; --left) text += alphabet[lots.below(alphabet.size())];
    espalier_test::problems(kRecipe, {text});
  }
}

TEST_CASE("deep nesting ends in a problem") {
  CHECK(espalier_test::problems("a = " + std::string(5000, '[')).ends_with("\n1 error"));
}
