// SPDX-License-Identifier: Apache-2.0
#include "core/data/document_reader.hpp"

#include <algorithm>

#include "core/base/error.hpp"

namespace espalier {

namespace {

constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
constexpr std::size_t kBatchPieces = 1024;
constexpr std::size_t kLongestLine = std::size_t{1} << 30;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Where to cut a text that goes on: in its second half if there is such a place, never inside a character.
std::size_t cut_position(std::string_view text) {
  for (std::size_t at = text.size() - 1; at > text.size() / 2; --at) {
    if (text[at - 1] == '\n' && !is_space(text[at])) return at;
  }
  std::size_t at = text.size() - 1;
  while (at > 1 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
  return at;
}

}  // namespace

DocumentReader::DocumentReader(const std::vector<TextFile>& files, std::size_t piece_bytes, bool cut_at_lines)
    : files_(files), piece_bytes_(piece_bytes), cut_at_lines_(cut_at_lines) {}

bool DocumentReader::next(RawBatch& batch) {
  batch.pieces.clear();
  std::size_t bytes = 0;
  while (file_ < files_.size() && bytes < kBatchBytes && batch.pieces.size() < kBatchPieces) {
    if (!stream_) open();
    const std::size_t before = batch.pieces.size();
    if (files_[file_].lines) {
      take_lines(batch);
    } else {
      take_text(batch);
    }
    for (std::size_t i = before; i < batch.pieces.size(); ++i) bytes += batch.pieces[i].text.size();
  }
  batch.consumed = consumed_ + (stream_ ? stream_->consumed() : 0);
  return !batch.pieces.empty();
}

void DocumentReader::open() {
  stream_.emplace(files_[file_].path, files_[file_].gzip);
  buffer_.clear();
  line_ = 0;
  offset_ = 0;
}

void DocumentReader::close() {
  consumed_ += stream_->consumed();
  stream_.reset();
  ++file_;
}

bool DocumentReader::fill(std::size_t wanted) {
  constexpr std::size_t kFirst = std::size_t{1} << 14;  // most files are small
  while (buffer_.size() < wanted) {
    const std::size_t have = buffer_.size(), more = std::min(wanted - have, std::max(kFirst, have));
    buffer_.resize(have + more);
    const std::size_t got = stream_->read(buffer_.data() + have, more);
    buffer_.resize(have + got);
    if (got < more) return false;
  }
  return true;
}

void DocumentReader::take_text(RawBatch& batch) {
  RawPiece piece;
  piece.file = file_;
  piece.offset = offset_;
  piece.first = offset_ == 0;
  piece.last = !fill(piece_bytes_);
  const std::size_t cut = piece.last ? buffer_.size() : cut_at_lines_ ? cut_position(buffer_) : buffer_.size();
  piece.text = buffer_.substr(0, cut);
  buffer_.erase(0, cut);
  offset_ += cut;
  batch.pieces.push_back(std::move(piece));
  if (batch.pieces.back().last) close();
}

void DocumentReader::take_lines(RawBatch& batch) {
  bool more = fill(kBatchBytes);
  std::size_t newline = buffer_.rfind('\n');
  while (newline == std::string::npos && more) {  // a line longer than a batch
    const std::size_t before = buffer_.size();
    if (before >= kLongestLine) {
      fail("{}:{}: line is too long; got more than {} bytes", files_[file_].path.string(), line_ + 1, kLongestLine);
    }
    more = fill(2 * before);
    newline = buffer_.find('\n', before);
  }
  // Whole lines only; at the end of the file the last one may lack its newline.
  const std::size_t end = !more ? buffer_.size() : newline + 1;
  for (std::size_t at = 0; at < end;) {
    const std::size_t stop = std::min(buffer_.find('\n', at), end);
    RawPiece piece;
    piece.file = file_;
    piece.line = ++line_;
    piece.text = buffer_.substr(at, stop - at);
    batch.pieces.push_back(std::move(piece));
    at = stop + 1;
  }
  buffer_.erase(0, end);
  if (!more) close();
}

}  // namespace espalier
