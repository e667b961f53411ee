// SPDX-License-Identifier: Apache-2.0
// Runs properties one by one and writes down how each ended, whatever the component throws.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "espalier/testkit/compare.hpp"
#include "espalier/testkit/finding.hpp"

namespace espalier::testkit {

// What is being tried, "in metric/scores of 'peak', seq = "l2"": for whoever has to say where the component crashed.
inline char running[256] = "";

// The cases of one property, from small to large: with the first one that fails the property ends.
class Trial {
 public:
  // The next case, as the author reads it when it fails.
  void at(std::string example) {
    about(std::move(example));
    ++cases_;
  }

  // The case that is being prepared: what it throws is a failure, but it may still turn out not to apply.
  void about(std::string example) { example_ = std::move(example); }

  void expect(bool holds, const std::string& what) const {
    if (!holds) throw Failed{what};
  }

  // Equal up to `tolerance`, as a share of the largest expected number.
  void same(const at::Tensor& got, const at::Tensor& expected, double tolerance, const std::string& what) const {
    const double apart = difference(got, expected);
    if (apart <= tolerance) return;
    if (got.defined() && expected.defined() && got.sizes() != expected.sizes())
      throw Failed{concat(what, "; got the shape ", got.sizes(), "; expected ", expected.sizes())};
    throw Failed{concat(what, "; got ", brief(got), "; expected ", brief(expected), " (apart by ", short_number(apart),
                        " of the largest; allowed ", short_number(tolerance), ")")};
  }

  // Ends the property as skipped, unless cases were looked at already.
  [[noreturn]] void skip(const std::string& reason) const { throw NotApplicable{reason}; }

  // Something to know that is no promise.
  void note(std::string text) { note_ = std::move(text); }

 private:
  friend class Checklist;
  struct Failed {
    std::string what;
  };
  struct NotApplicable {
    std::string reason;
  };
  std::string example_, note_;
  std::int64_t cases_ = 0;
};

class Checklist {
 public:
  // `options`: how the component was made, in front of every example; empty for the defaults.
  explicit Checklist(std::string component, std::string options = "") : options_(std::move(options)) {
    report_.component = std::move(component);
  }

  // Calls body(Trial&).
  template <class Body>
  void run(const char* id, Body&& body) {
    const Property& property = property_named(id);
    std::snprintf(running, sizeof running, "in %s of '%s'%s%s", id, report_.component.c_str(),
                  options_.empty() ? "" : ", ", options_.c_str());
    Trial trial;
    try {
      body(trial);
      pass(property, trial, "no case applies");
    } catch (const Trial::NotApplicable& skipped) {
      pass(property, trial, skipped.reason);
    } catch (const Trial::Failed& failed) {
      fail(property, trial, failed.what);
    } catch (...) {
      const std::string text = current_exception();
      fail(property, trial, concat("got an exception: ", text, "; expected none"));
    }
  }

  Report finish() {
    const Property& property = property_named("component/exceptions");
    if (!report_.finding(property.id)) report_.passed.push_back({property.id, ran_, ""});
    return std::move(report_);
  }

  // The text of the exception that is being handled. One without a text, or that is no std::exception, is a finding of
  // its own.
  std::string current_exception() {
    try {
      throw;
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();  // what() carries a page of frames
    } catch (const std::exception& error) {
      if (*error.what() != '\0') return error.what();
      odd_ = "an exception without a text";
    } catch (...) {
      odd_ = "something that is no std::exception";
    }
    return odd_;
  }

 private:
  void pass(const Property& property, const Trial& trial, const std::string& why_skipped) {
    ran_ += trial.cases_;
    if (trial.cases_ == 0) {
      report_.skipped.push_back({property.id, why_skipped});
    } else {
      report_.passed.push_back({property.id, trial.cases_, trial.note_});
    }
    report_odd(trial);
  }

  void fail(const Property& property, const Trial& trial, const std::string& what) {
    ran_ += trial.cases_;
    report_.findings.push_back({property.id, what, example(trial), property.read});
    report_odd(trial);
  }

  void report_odd(const Trial& trial) {
    const Property& property = property_named("component/exceptions");
    if (odd_.empty() || report_.finding(property.id)) return;
    report_.findings.push_back({property.id,
                                concat("threw ", odd_, "; expected a std::exception that says what is wrong"),
                                example(trial), property.read});
  }

  std::string example(const Trial& trial) const {
    const std::string plain = trial.example_.empty() ? "the defaults" : trial.example_;
    return options_.empty() ? plain : concat(options_, "; ", plain);
  }

  Report report_;
  std::string options_, odd_;
  std::int64_t ran_ = 0;
};

}  // namespace espalier::testkit
