// trace_printk.
#include "helpers/helpers.hpp"
#include "helpers/trace_format.hpp"

#include <algorithm>
#include <cerrno>

namespace ebpfvm::helpers {

std::uint64_t trace_printk(CallContext& call, std::uint64_t format_reg, std::uint64_t size,
                           std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
    const auto* format = as_pointer<const char>(format_reg);
    const std::string_view all(format, static_cast<std::uint32_t>(size));
    const std::size_t end = all.find('\0');
    if (end == std::string_view::npos) {
        return as_r0(-EINVAL);
    }
    std::array<char, kTraceLine> line; // filled as far as it is read
    const auto length = format_trace(all.substr(0, end), {r3, r4, r5}, line);
    if (!length) {
        return as_r0(-EINVAL);
    }
    std::string_view text(line.data(), std::min(*length, kTraceLine - 1));
    if (text.ends_with('\n')) {
        text.remove_suffix(1);
    }
    call.trace(text);
    return *length;
}

} // namespace ebpfvm::helpers
