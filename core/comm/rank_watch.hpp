// SPDX-License-Identifier: Apache-2.0
// Ranks that end together. A rank that fails tells rank 0, which says so and stops the others; a rank that ends without
// a word (killed, crashed, its machine lost) is noticed by its closed connection and named. Launchers do not all do
// that, and a rank that waits in a library's call cannot be unwound: it is ended, as if it had been killed. What a
// run has on disk is made for that.
//
// Beside whatever the ranks compute with: a TCP connection from each to rank 0, watched by a thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/comm/comm.hpp"

namespace espalier {

class RankWatch {
 public:
  // Collective; Error when a rank cannot reach rank 0. `say` prints one line of an error, of this rank or of one that
  // was lost; it is called at most once, from any thread, and on rank 0 unless that is the one which was lost.
  RankWatch(Comm& comm, const Launch& launch, std::function<void(const std::string&)> say);
  RankWatch(const RankWatch&) = delete;
  RankWatch& operator=(const RankWatch&) = delete;
  ~RankWatch();  // after leave(); without it the others take this rank for lost

  // Collective, at the end of all work: from here on a rank that ends is not missed.
  void leave();

  // This rank failed: has the text said with its rank, once for all, and ends every rank with this exit code.
  [[noreturn]] void end_all(const std::string& text, int exit_code);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace espalier
