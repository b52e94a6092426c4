// Included ahead of every file of mlx-c: what they take from Apple's compiler and others lack.
#pragma once

#include <sstream>
#include <string>
#include <string_view>

#include "mlx/types/half_types.h"

// mlx-c declares its half-precision functions where <arm_fp16.h> and <arm_bf16.h> give the two types. MLX has types of
// the same size and bits for every machine, and the functions pass them by pointer.
#if !defined(__aarch64__)
#define HAS_FLOAT16
using mlx::core::float16_t;
#define HAS_BFLOAT16
using mlx::core::bfloat16_t;
#endif

// mlx-c writes error messages with std::format, which libstdc++ has from GCC 13 on. The patterns hold plain "{}" only.
#if __has_include(<format>)
#include <format>
#else
namespace std {

inline void format_rest(ostringstream& out, string_view pattern) {
  out << pattern;
}

template <typename First, typename... Rest>
void format_rest(ostringstream& out, string_view pattern, const First& first, const Rest&... rest) {
  auto hole = pattern.find("{}");
  out << pattern.substr(0, hole);
  if (hole != string_view::npos) {
    out << first;
    format_rest(out, pattern.substr(hole + 2), rest...);
  }
}

template <typename... Arguments>
string format(string_view pattern, const Arguments&... arguments) {
  ostringstream out;
  format_rest(out, pattern, arguments...);
  return out.str();
}

} // namespace std
#endif
