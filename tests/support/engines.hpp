// The engines of this build, to run the same on all of them.
#pragma once

#include "ebpfvm/vm.hpp"

#include <string>
#include <vector>

namespace ebpfvm::test {

inline std::vector<Engine> all_engines() {
    std::vector<Engine> engines{Engine::Interp};
    if (EBPFVM_HAS_JIT != 0) {
        engines.push_back(Engine::Baseline);
        engines.push_back(Engine::Jit);
    }
    return engines;
}

/// What runs a program that is not verified: the optimising tier leaves it to the other one.
inline Engine checked_engine(Engine engine) {
    return engine == Engine::Jit ? Engine::Baseline : engine;
}

inline std::string text_of(Engine engine) {
    return std::string(name_of(engine));
}

} // namespace ebpfvm::test
