// Names and text of public errors.
#include "ebpfvm/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace ebpfvm {

const char* name_of(Errc code) {
    switch (code) {
    case Errc::InvalidArgument:
        return "invalid-argument";
    case Errc::InvalidInsn:
        return "invalid-insn";
    case Errc::MalformedElf:
        return "malformed-elf";
    case Errc::MalformedBtf:
        return "malformed-btf";
    case Errc::MalformedText:
        return "malformed-text";
    case Errc::NotFound:
        return "not-found";
    case Errc::Unresolved:
        return "unresolved";
    case Errc::Unsupported:
        return "unsupported";
    case Errc::Rejected:
        return "rejected";
    case Errc::LimitExceeded:
        return "limit-exceeded";
    case Errc::Io:
        return "io";
    }
    std::unreachable();
}

std::string to_string(const Error& error) {
    if (!error.where || error.where->line == 0) {
        return error.message;
    }
    const std::string& file = error.where->file;
    return fmt::format("{}{}: {}", file.empty() ? "line " : file + ":", error.where->line,
                       error.message);
}

} // namespace ebpfvm
