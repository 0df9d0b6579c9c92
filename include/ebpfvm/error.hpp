// The one error type of the public API. Faults of a running program are not errors: see run.hpp.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace ebpfvm {

/// What kind of thing went wrong. The message says which one and where.
enum class Errc : std::uint8_t {
    InvalidArgument, ///< a call made no sense: wrong size, wrong name, wrong flag
    InvalidInsn,  ///< bytecode that no eBPF machine may run: reserved field, bad jump, bad register
    MalformedElf, ///< not an eBPF object, or a damaged one
    MalformedBtf, ///< type information that contradicts itself
    MalformedText, ///< assembly or bpft text that does not parse
    NotFound,      ///< no map, program or symbol of that name
    Unresolved,    ///< the program needs something the host does not offer
    Unsupported,   ///< well-formed, but this build cannot do it
    Rejected,      ///< the verifier does not accept the program
    LimitExceeded, ///< larger than an option allows
    Io,            ///< a file could not be read or written
};

/// The kernel-style lower-case name of a code, e.g. "malformed-elf".
[[nodiscard]] const char* name_of(Errc code);

/// A place in the user's source or input text.
struct Location {
    std::string file{};
    std::uint32_t line = 0;   ///< 1-based; 0 if unknown
    std::uint32_t column = 0; ///< 1-based; 0 if unknown

    bool operator==(const Location&) const = default;
};

struct Error {
    Errc code = Errc::InvalidArgument;
    /// Lower case, no final period, names the place and what was found before what is allowed.
    std::string message{};
    std::optional<Location> where{};
};

/// "file:line: message", or only the message if the place is unknown.
[[nodiscard]] std::string to_string(const Error& error);

template <class T>
using Expected = std::expected<T, Error>;

} // namespace ebpfvm
