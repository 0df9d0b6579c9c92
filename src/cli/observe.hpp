// `ebpfvm verify --observe`: runs accepted programs on random inputs against the verifier's facts.
#pragma once

#include "ebpfvm/object.hpp"
#include "ebpfvm/verifier.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace ebpfvm::cli {

struct Observed {
    std::uint64_t runs = 0;
    std::uint64_t insns = 0;
    std::uint64_t values = 0;
    std::vector<std::string> violations{};
    std::string skipped{}; ///< why it could not be run; empty if it could
};

/// Runs `program` until `insns` insns were seen. Types whose context this host has not are skipped.
[[nodiscard]] Observed observe(const Object& object, const Program& program, const Facts& facts,
                               std::uint64_t insns);

} // namespace ebpfvm::cli
