// What the verifier asks of a domain of values: the order, its bounds, and its greatest element.
#pragma once

#include <concepts>

namespace ebpfvm::verifier {

/// A set of values that over-approximates what a program can compute.
///
/// There is no bottom element: an operation that may end up with no value at all (meet) says so by
/// returning false, and its caller drops the path. `leq` may be incomplete for a product whose
/// parts were not reduced: it compares part by part.
template <class T>
concept Lattice = std::equality_comparable<T> && requires(const T& a, const T& b, T& refined) {
    { T::unknown() } -> std::same_as<T>;
    { leq(a, b) } -> std::same_as<bool>;
    { join(a, b) } -> std::same_as<T>;
    { meet(refined, b) } -> std::same_as<bool>;
};

} // namespace ebpfvm::verifier
