// The format language of bpf_trace_printk.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ebpfvm::helpers {

inline constexpr std::size_t kTraceArgs = 3;
inline constexpr std::size_t kTraceLine = 1024; ///< longer text is cut, as in the kernel

/// Writes the text of `format` to `out` (cut at its end) and returns the length that it would have
/// in full; nullopt if the kernel refuses the format (bpf_bprintf_prepare).
///
/// %[0 +-][width] with d i u x X (32 bits), the same with l or ll (64 bits), c, p (16 hex digits;
/// also pK and px), and %%. Formats that read memory through an argument (%s, %pks, %pus, %pI4...)
/// or know kernel symbols (%pB, %ps) are refused: nobody vouches for the pointer.
std::optional<std::size_t> format_trace(std::string_view format,
                                        const std::array<std::uint64_t, kTraceArgs>& args,
                                        std::span<char> out);

} // namespace ebpfvm::helpers
