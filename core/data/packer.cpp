// SPDX-License-Identifier: Apache-2.0
#include "core/data/packer.hpp"

#include <algorithm>
#include <charconv>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/progress.hpp"
#include "core/data/document_reader.hpp"
#include "core/data/documents.hpp"
#include "core/data/ordered_pool.hpp"
#include "core/data/pack_writer.hpp"
#include "core/data/token_type.hpp"

namespace espalier {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

struct EncodedPiece {
  bool first = true, last = true, empty = false;
  std::size_t file = 0;
  DocumentRecord record;  // text_bytes of this piece
  EncodedText text;
};

struct EncodedBatch {
  std::vector<EncodedPiece> pieces;
  std::uint64_t consumed = 0;
};

std::uint64_t word_of(const std::string& hex, std::size_t at) {
  std::uint64_t word = 0;
  const auto [end, error] = std::from_chars(hex.data() + at, hex.data() + at + 16, word, 16);
  ESPALIER_CHECK(error == std::errc() && end == hex.data() + at + 16, hex);
  return word;
}

std::string sha256(std::string_view text) { return Digest().add(text.data(), text.size()).hex(); }

class Packer {
 public:
  Packer(const PackJob& job, const fs::path& prefix)
      : job_(job),
        encoders_(static_cast<std::size_t>(job.workers)),
        writer_(prefix, type_for_vocab(job.tokenizer.vocab)) {}

  PackInfo run() {
    std::uint64_t total = 0;
    for (const TextFile& file : job_.files) total += stamp_of(file.path).size;
    ProgressBar bar(job_.label, static_cast<std::int64_t>(total));
    DocumentReader reader(job_.files, kPieceBytes, !job_.tokenizer.json.empty());
    OrderedPool<RawBatch, EncodedBatch> pool(
        job_.workers, [this](int worker, RawBatch batch) { return encode(worker, std::move(batch)); });
    bool more = true;
    while (more || !pool.empty()) {
      throw_if_interrupted();
      RawBatch batch;
      more = more && reader.next(batch);
      if (more) pool.push(std::move(batch));
      if (more && !pool.full()) continue;
      if (pool.empty()) break;
      const EncodedBatch encoded = pool.pop();
      for (const EncodedPiece& piece : encoded.pieces) take(piece);
      bar.update(static_cast<std::int64_t>(encoded.consumed));
    }
    return finish();
  }

 private:
  // On a thread of the pool.
  EncodedBatch encode(int worker, RawBatch batch) {
    std::unique_ptr<Encoder>& encoder = encoders_[static_cast<std::size_t>(worker)];
    if (!encoder) encoder = make_encoder(job_.tokenizer);
    EncodedBatch encoded{std::vector<EncodedPiece>(batch.pieces.size()), batch.consumed};
    std::vector<TextInput> inputs;
    for (std::size_t i = 0; i < batch.pieces.size(); ++i) {
      inputs.push_back(describe(batch.pieces[i], encoded.pieces[i]));
    }
    std::vector<EncodedText> texts = encoder->encode(inputs);
    for (std::size_t i = 0; i < texts.size(); ++i) encoded.pieces[i].text = std::move(texts[i]);
    return encoded;
  }

  // Fills all of `piece` but its tokens; a JSONL line in `raw` becomes the text it holds.
  TextInput describe(RawPiece& raw, EncodedPiece& piece) const {
    const TextFile& file = job_.files[raw.file];
    piece.first = raw.first;
    piece.last = raw.last;
    piece.file = raw.file;
    TextInput input{raw.text, -1, file.path.string(), raw.offset};
    std::string identity = file.name, content;
    if (raw.line > 0) {
      input.place += ":" + std::to_string(raw.line);
      identity += ":" + std::to_string(raw.line);
      Document document = parse_jsonl(raw.text, input.place).value_or(Document{});
      raw.text = std::move(document.text);
      input.text = raw.text;
      input.prompt_bytes = document.prompt_bytes;
      content = input.prompt_bytes < 0 ? sha256(raw.text) : with_prompt(input);
    } else {
      content = job_.facts[raw.file].digest;
    }
    piece.record = {word_of(sha256(identity), 0), content_of(content), raw.text.size()};
    piece.empty = raw.first && raw.last && raw.text.empty();
    return input;
  }

  static std::string with_prompt(const TextInput& input) {
    const auto prompt = static_cast<std::size_t>(input.prompt_bytes);
    return Digest().add(input.text.substr(0, prompt)).add(input.text.substr(prompt)).hex();
  }

  // In input order, on the calling thread.
  void take(const EncodedPiece& piece) {
    if (piece.empty) {
      ++empty_;
      return;
    }
    if (piece.first) {
      dropping_ = job_.seen != nullptr && !job_.seen->insert(piece.record.content).second;
      if (dropping_) ++duplicates_;
      if (!dropping_) writer_.begin(piece.record);
    }
    if (dropping_) return;
    writer_.append(piece.text.tokens, piece.text.learnt_from, piece.record.text_bytes);
    if (piece.last) writer_.end(static_cast<std::int32_t>(job_.tokenizer.eod));
  }

  PackInfo finish() {
    for (std::size_t i = 0; i < job_.files.size(); ++i) {
      if (stamp_of(job_.files[i].path) == job_.facts[i].stamp) continue;
      fail("{}: changed while it was read; expected it to stay as it is", job_.files[i].path.string());
    }
    if (writer_.documents() == 0) {
      fail("{}: no document is left; got {} empty and {} seen before", job_.label, empty_, duplicates_);
    }
    PackInfo info;
    info.tokenizer = job_.tokenizer.name;
    info.tokenizer_digest = job_.tokenizer.digest;
    info.vocab = job_.tokenizer.vocab;
    info.eod = job_.tokenizer.eod;
    info.duplicates = duplicates_;
    info.empty = empty_;
    info.sources = job_.sources;
    return writer_.commit(std::move(info));
  }

  const PackJob& job_;
  std::vector<std::unique_ptr<Encoder>> encoders_;
  PackWriter writer_;
  std::int64_t duplicates_ = 0, empty_ = 0;
  bool dropping_ = false;
};

}  // namespace

std::array<std::uint64_t, 2> content_of(const std::string& sha256) { return {word_of(sha256, 0), word_of(sha256, 16)}; }

PackInfo pack_files(const PackJob& job, const fs::path& prefix) { return Packer(job, prefix).run(); }

int default_workers() { return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 16); }

}  // namespace espalier
