// TRY(expr); and TRY_ASSIGN(auto x, expr); hand an error on to the caller. fail(...) makes one.
#pragma once

#include "ebpfvm/error.hpp"

#include <fmt/format.h>

#include <utility>

#define EBPFVM_CONCAT_(a, b) a##b
#define EBPFVM_CONCAT(a, b) EBPFVM_CONCAT_(a, b)

/// Returns the error of `expr` from the enclosing function, if it has one.
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        if (auto try_result_ = (expr); !try_result_) {                                             \
            return std::unexpected(std::move(try_result_).error());                                \
        }                                                                                          \
    } while (false)

/// Declares or assigns `target` from the value of `expr`, or returns its error.
#define TRY_ASSIGN(target, ...)                                                                    \
    TRY_ASSIGN_IMPL_(EBPFVM_CONCAT(try_value_, __LINE__), target, (__VA_ARGS__))
#define TRY_ASSIGN_IMPL_(temp, target, expr)                                                       \
    auto temp = expr;                                                                              \
    if (!temp) {                                                                                   \
        return std::unexpected(std::move(temp).error());                                           \
    }                                                                                              \
    target = *std::move(temp)

namespace ebpfvm {

/// An error to return, with a message in fmt syntax.
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(Errc code, fmt::format_string<Args...> format,
                                          Args&&... args) {
    return std::unexpected(
        Error{code, fmt::format(format, std::forward<Args>(args)...), std::nullopt});
}

/// The same, with the place in the user's input.
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail_at(Errc code, Location where,
                                             fmt::format_string<Args...> format, Args&&... args) {
    return std::unexpected(
        Error{code, fmt::format(format, std::forward<Args>(args)...), std::move(where)});
}

} // namespace ebpfvm
