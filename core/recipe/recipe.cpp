// SPDX-License-Identifier: Apache-2.0
#include "core/recipe/recipe.hpp"

#include <limits>
#include <utility>

#include "core/base/strings.hpp"
#include "core/recipe/document.hpp"
#include "core/recipe/fields.hpp"
#include "core/recipe/search_reader.hpp"
#include "core/recipe/table_reader.hpp"

namespace espalier {
namespace {

constexpr std::int64_t kSchema = 1;

// Reads the tables in the order of the schema; one method each, so that the schema reads as a list.
class RecipeReader {
 public:
  RecipeReader(const TomlNode& root, Diagnostics& diagnostics)
      : top_(root, "", "", diagnostics), diagnostics_(diagnostics) {}

  void read(Recipe& recipe) {
    head(recipe);
    if (const TomlNode* node = table("teacher", true)) teacher(*node, recipe.teacher);
    data(recipe.data);
    train("correct", recipe.correct, recipe.data);
    with_fields("score", recipe.score, recipe.data);
    prune(recipe.prune);
    search(recipe.search);
    if (recipe.search && recipe.score.rounds > 1) {
      diagnostics_.error(recipe.search->where, "search", "and rounds of [score] exclude each other",
                         fmt::format("rounds = {}", recipe.score.rounds), "one of them");
    }
    train("distill", recipe.distill, recipe.data);
    if (recipe.prunes_original()) prune_from_original(recipe, recipe.correct->prune_from_where);
    teacher_cache(recipe);
    with_fields("eval", recipe.eval, recipe.data);
    with_fields("export", recipe.export_block);
    locked(recipe.locked);
    take("sweep");  // read_recipe has dealt with it
    top_.finish();
    check_search(recipe, diagnostics_);
  }

 private:
  const TomlNode* take(const char* key) { return top_.take(key); }

  // The table of this name; nullptr when it is absent or no table.
  const TomlNode* table(const char* key, bool is_required = false) {
    const TomlNode* node = take(key);
    if (!node && is_required) {
      diagnostics_.error(top_.where(key), key, "is missing", "", "a table [" + std::string(key) + "]");
    }
    if (!node || node->is_table()) return node;
    top_.wrong_type(key, *node, "a table [" + std::string(key) + "]");
    return nullptr;
  }

  // A table whose absence means all defaults.
  template <class Block, class... Context>
  void with_fields(const char* key, Block& block, Context&&... context) {
    static const TomlNode empty;
    const TomlNode* node = table(key);
    TableReader reader(node ? *node : empty, key, "", diagnostics_);
    visit(reader, block, std::forward<Context>(context)...);
    reader.finish();
  }
  template <class Block>
  static void visit(TableReader& reader, Block& block) {
    visit_fields(reader, block);
  }
  template <class Block>
  static void visit(TableReader& reader, Block& block, const DataBlock& data) {
    visit_fields(reader, block, data);
  }

  void head(Recipe& recipe) {
    std::int64_t schema = kSchema, seed = 0;
    std::string extends;  // followed already
    top_("schema", schema, kSchema, any());
    if (schema != kSchema) top_.error("schema", "is not one that this version reads", std::to_string(schema), "1");
    top_("name", recipe.name,
         recipe.file.extension() == ".toml" ? recipe.file.stem().string() : recipe.file.filename().string(), any());
    const bool folder_name =
        !recipe.name.empty() && recipe.name.find('/') == std::string::npos && recipe.name != "." && recipe.name != "..";
    if (!folder_name) top_.error("name", "cannot name a folder", to_text({recipe.name}), "a name without '/'");
    top_("extends", extends, "", any());
    top_("seed", seed, 1234, at_least(0));
    recipe.seed = static_cast<std::uint64_t>(seed);
    top_.path("output", recipe.output, fs::path("runs") / recipe.name);
    top_.paths("plugins", recipe.plugins);
  }

  void teacher(const TomlNode& node, TeacherBlock& teacher) {
    TableReader reader(node, "teacher", "", diagnostics_);
    teacher.where = reader.where("path");
    reader.path("path", teacher.path, "");
    reader.path("config", teacher.config, "");
    const TomlNode* spec = reader.take("spec");
    reader.finish();
    if (reader.has("path") && spec) {
      reader.error("spec", "and path exclude each other", "", "one of them");
    } else if (reader.has("config") && spec) {
      reader.error("spec", "and config exclude each other", "", "one of them");
    } else if (!reader.has("path") && !spec) {
      diagnostics_.error(node.where, "teacher", "has no model", "",
                         "path = \"…\", or spec = { family = \"llama\", layers = …, … } for random weights");
    } else if (spec && !spec->is_table()) {
      reader.wrong_type("spec", *spec, "a table { family = \"llama\", layers = …, … }");
    } else if (spec) {
      teacher.where = spec->where;
      teacher.spec = teacher_spec(*spec);
    }
  }

  std::optional<ModelSpec> teacher_spec(const TomlNode& node) {
    const std::size_t before = diagnostics_.size();
    SpecFields fields;
    TableReader reader(node, "teacher", "spec", diagnostics_);
    visit_fields(reader, fields);
    reader.finish();
    if (diagnostics_.size() != before) return std::nullopt;
    if (fields.heads % fields.kv_groups != 0) {
      reader.error("kv_groups", "does not divide the heads", std::to_string(fields.kv_groups),
                   fmt::format("a divisor of {}", fields.heads));
      return std::nullopt;
    }
    ModelSpec spec = to_spec(fields);
    const auto rotary = static_cast<std::int64_t>(static_cast<double>(fields.head_dim) * spec.rope.partial);
    if (rotary < 2 || rotary % 2 != 0) {
      reader.error("head_dim", "cannot be rotated in pairs", std::to_string(fields.head_dim),
                   spec.rope.partial == 1.0 ? "an even number" : "a multiple of 4, half of which is rotated");
      return std::nullopt;
    }
    return spec;
  }

  void data(DataBlock& data) {
    static const TomlNode empty;
    const TomlNode* node = table("data");
    TableReader reader(node ? *node : empty, "data", "", diagnostics_);
    visit_fields(reader, data);
    reader.finish();
    if (reader.has("valid") && data.valid_fraction > 0) {
      reader.error("valid_fraction", "and valid exclude each other", "", "one of them");
    }
  }

  void train(const char* key, std::optional<TrainBlock>& block, const DataBlock& data) {
    const TomlNode* node = table(key);
    if (!node) return;
    TrainBlock train;
    TableReader reader(*node, key, "", diagnostics_);
    visit_fields(reader, train, std::string_view(key) == "distill");
    reader.finish();
    train.seq_length = data.seq_length;
    train.micro_batch_where = reader.where("micro_batch");
    train.global_batch_where = reader.where("global_batch");
    train.balance_where = reader.where("balance");
    train.teacher_where = reader.where("teacher");
    train.prune_from_where = reader.where("prune_from");
    if (reader.has("tokens") && reader.has("steps")) {
      reader.error("steps", "and tokens exclude each other", "", "one of them");
    } else if (!reader.has("tokens") && !reader.has("steps")) {
      diagnostics_.error(node->where, key, "has no budget", "", "tokens = … or steps = …");
    }
    if (train.global_batch % train.micro_batch != 0) {
      const char* place = reader.has("global_batch") ? "global_batch" : "micro_batch";
      diagnostics_.error(reader.where(place), key, "global_batch is not a multiple of micro_batch",
                         fmt::format("{} and {}", train.global_batch, train.micro_batch),
                         fmt::format("a multiple of {}", train.micro_batch));
    }
    // bfloat16 has 8 bits: a moment that moves by less than 1/512 of itself stays where it is.
    if (const double most = std::max(train.optimizer.beta1, train.optimizer.beta2);
        train.optimizer.moments == "bfloat16" && most > 0.99) {
      diagnostics_.error(reader.where("optimizer"), key, "moments in bfloat16 cannot follow so slow an average",
                         fmt::format("beta {}", most), "beta1 and beta2 of 0.99 at most, or moments = \"float32\"");
    }
    block = std::move(train);
  }

  // What prune_from = "original" needs to mean something: an original, a cut, and a use for the corrected teacher.
  void prune_from_original(const Recipe& recipe, const Where& where) {
    const auto problem = [&](const char* what, const char* got, const char* expected) {
      diagnostics_.error(where, "correct", std::string("prune_from = \"original\" ") + what, got, expected);
    };
    if (recipe.teacher.spec) problem("needs a teacher with weights", "[teacher] spec", "[teacher] path");
    if (recipe.prune.empty()) problem("cuts nothing", "no [[prune]]", "one or more, or no prune_from");
    if (!recipe.distill) problem("leaves the corrected teacher unused", "no [distill]", "[distill], or no [correct]");
    if (recipe.has_distill_teacher()) {
      problem("leaves the corrected teacher unused", "[distill] teacher", "only one of them");
    }
  }

  void prune(std::vector<PruneBlock>& blocks) {
    const TomlNode* node = take("prune");
    if (!node) return;
    if (!node->is_list()) return top_.wrong_type("prune", *node, "a list of tables [[prune]]");
    for (const TomlNode& element : node->list) {
      if (!element.is_table()) {
        top_.wrong_type("prune", element, "a list of tables [[prune]]");
        continue;
      }
      TableReader reader(element, "prune", "", diagnostics_);
      PruneBlock block;
      block.where = element.where;
      block.axis = reader.make_component(element, "axis", "axis", {"metric", "keep", "ratio"});
      reader.component("metric", block.metric, "metric");
      reader.optional("keep", block.keep, at_least(1));
      reader.optional("ratio", block.ratio, share());
      block.keep_where = reader.where(reader.has("keep") ? "keep" : "ratio");
      if (reader.has("keep") && reader.has("ratio")) {
        reader.error("ratio", "and keep exclude each other", "", "one of them");
      }
      blocks.push_back(std::move(block));
    }
  }

  void search(std::optional<SearchBlock>& block) {
    const TomlNode* node = table("search");
    if (!node) return;
    SearchBlock search;
    search.where = node->where;
    TableReader reader(*node, "search", "", diagnostics_);
    visit_fields(reader, search);
    search.rounds_where = reader.where("rounds");
    reader.finish();
    block = std::move(search);
  }

  void teacher_cache(Recipe& recipe) {
    const TomlNode* node = table("teacher_cache");
    if (!node) return;
    TeacherCacheBlock cache;
    cache.where = node->where;
    TableReader reader(*node, "teacher_cache", "", diagnostics_);
    visit_fields(reader, cache);
    cache.k_where = reader.where("k");
    reader.finish();
    if (!recipe.distill) {
      diagnostics_.error(node->where, "teacher_cache", "serves a distillation, and there is none", "",
                         "a table [distill]");
    }
    recipe.teacher_cache = std::move(cache);
  }

  void locked(std::map<std::string, std::string>& locked) {
    const TomlNode* node = table("lock");
    if (!node) return;
    for (const TomlEntry& entry : node->entries) {
      const auto* digest = std::get_if<std::string>(&entry.node.scalar.data);
      if (digest && entry.node.type == TomlNode::Type::scalar) {
        locked[entry.key] = *digest;
      } else {
        diagnostics_.error(entry.node.where, "lock", entry.key + " has the wrong type", describe(entry.node),
                           "a digest, a string");
      }
    }
  }

  TableReader top_;
  Diagnostics& diagnostics_;
};

}  // namespace

std::string task_name_of(const fs::path& path) {
  fs::path name = path.filename();
  if (name.extension() == ".gz") name.replace_extension();
  return name.stem().string();
}

std::int64_t TeacherCacheBlock::kept_of(std::int64_t vocab) const {
  // With 100 and fewer kept, students learn clearly worse (arXiv 2407.14679, appendix A.5); a small vocabulary costs
  // little as a whole.
  constexpr std::int64_t kSmallVocabulary = 1024, kKept = 256;
  if (k > 0) return k;
  return vocab <= kSmallVocabulary ? vocab : kKept;
}

std::int64_t TrainBlock::total_steps() const {
  if (steps) return *steps;
  const std::int64_t each = tokens_per_step();
  if (!tokens || each < 1) return 0;
  return *tokens / each + (*tokens % each != 0 ? 1 : 0);
}

void read_recipe(const TomlNode& root, Recipe& recipe, Diagnostics& diagnostics) {
  const TomlEntry* sweep = root.find("sweep");
  if (!sweep) return RecipeReader(root, diagnostics).read(recipe);
  // What is missing in a recipe around arms may be in each of them: nothing else can be said of it.
  diagnostics.error(sweep->node.where, "sweep", "makes this recipe many runs, where one is expected", "",
                    "espalier sweep " + recipe.file.string());
}

Recipe parse_recipe(const fs::path& file, const Overrides& overrides, Diagnostics& diagnostics) {
  Recipe recipe;
  Document document = load_document(file, overrides, diagnostics);
  recipe.file = file;
  recipe.text = std::move(document.text);
  if (document.readable) read_recipe(document.root, recipe, diagnostics);
  return recipe;
}

}  // namespace espalier
