// SPDX-License-Identifier: Apache-2.0
#include "core/data/pack_writer.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/data/token_index.hpp"
#include "core/data/token_type.hpp"

namespace espalier {

namespace {
constexpr std::size_t kBuffer = std::size_t{1} << 20;
}

void PackWriter::Hashed::write(const void* data, std::size_t bytes) {
  buffer.append(static_cast<const char*>(data), bytes);
  if (buffer.size() >= kBuffer) flush();
}

void PackWriter::Hashed::flush() {
  file.write(buffer.data(), buffer.size());
  digest.add(buffer.data(), buffer.size());
  buffer.clear();
}

PackWriter::PackWriter(const fs::path& prefix, TokenType type) : paths_(prefix), type_(type), bin_(paths_.bin) {
  ESPALIER_CHECK(type == TokenType::u16 || type == TokenType::i32);
}

void PackWriter::begin(const DocumentRecord& record) {
  records_.push_back(record);
  records_.back().text_bytes = 0;
}

void PackWriter::append(const std::vector<std::int32_t>& tokens, std::size_t learnt_from, std::uint64_t text_bytes) {
  if (learnt_from > 0 && !mask_) {
    mask_.emplace(paths_.mask);
    mark(static_cast<std::size_t>(tokens_), 1);
  }
  mark(learnt_from, 0);
  mark(tokens.size() - learnt_from, 1);
  for (const std::int32_t token : tokens) put(token);
  records_.back().text_bytes += text_bytes;
}

void PackWriter::end(std::int32_t end_of_document) {
  mark(1, 1);
  put(end_of_document);
  ends_.push_back(tokens_);
}

void PackWriter::put(std::int32_t token) {
  max_token_ = std::max<std::int64_t>(max_token_, token);
  ++tokens_;
  if (type_ == TokenType::i32) {
    bin_.write(&token, sizeof token);
  } else {
    const auto narrow = static_cast<std::uint16_t>(token);
    bin_.write(&narrow, sizeof narrow);
  }
}

void PackWriter::mark(std::size_t tokens, char learnt) {
  if (!mask_) return;
  const std::string block(std::min(tokens, kBuffer), learnt);
  for (; tokens > 0; tokens -= std::min(tokens, kBuffer)) mask_->write(block.data(), std::min(tokens, kBuffer));
}

PackInfo PackWriter::commit(PackInfo info) {
  const std::string index = token_index_bytes(type_, ends_);
  bin_.flush();
  if (mask_) mask_->flush();
  info.token_type = name_of(type_);
  info.documents = documents();
  info.tokens = tokens_;
  info.max_token = max_token_;
  info.mask = mask_.has_value();
  info.text_bytes = 0;
  for (const DocumentRecord& record : records_) info.text_bytes += static_cast<std::int64_t>(record.text_bytes);
  // As TokenFile::digest() takes it.
  Digest whole;
  whole.add(bin_.digest.hex());
  whole.add(Digest().add(index.data(), index.size()).hex());
  whole.add(mask_ ? mask_->digest.hex() : std::string());
  info.digest = whole.hex();

  fs::remove(paths_.json);  // what an older pack left is not a description of this one
  if (!mask_) fs::remove(paths_.mask);
  bin_.file.commit();
  if (mask_) mask_->file.commit();
  write_text(paths_.idx, index);
  write_text(paths_.docs, document_record_bytes(records_));
  write_pack_info(paths_.json, info);
  return info;
}

}  // namespace espalier
