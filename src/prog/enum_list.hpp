// Lists of enumerators in rows of tables.
#pragma once

#include <array>

namespace ebpfvm::prog {

/// The items as an array that lives forever; a row refers to it by a span.
template <class T, T... kItems>
inline constexpr std::array<T, sizeof...(kItems)> kList{kItems...};

} // namespace ebpfvm::prog
