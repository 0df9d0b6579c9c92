// The engines of this build, and the optimising tier without some of its passes, to run the same on
// all of them.
#pragma once

#include "ebpfvm/vm.hpp"
#include "jit/jit.hpp"

#include <algorithm>
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

/// All passes left out that can be.
inline constexpr jit::OptOptions kWithoutPasses{.disabled = (1U << jit::kPassCount) - 1};

/// The ways to leave out passes of the optimising tier: each of them alone, and all.
inline std::vector<jit::OptOptions> pass_omissions() {
    std::vector<jit::OptOptions> omissions;
    for (unsigned pass = 0; pass < jit::kPassCount; ++pass) {
        omissions.push_back({.disabled = 1U << pass});
    }
    omissions.push_back(kWithoutPasses);
    return omissions;
}

/// As LoadOptions::without_passes wants them.
inline std::vector<std::string> omitted_passes(const jit::OptOptions& options) {
    std::vector<std::string> names;
    for (unsigned pass = 0; pass < jit::kPassCount; ++pass) {
        if (!options.has(jit::Pass(pass))) {
            names.emplace_back(jit::name_of(jit::Pass(pass)));
        }
    }
    return names;
}

/// What to load a program with: an engine, and which passes of it.
struct EngineChoice {
    Engine engine = Engine::Interp;
    std::vector<std::string> without_passes{};

    [[nodiscard]] LoadOptions options(ExecMode mode) const {
        return {.mode = mode, .engine = engine, .without_passes = without_passes};
    }
};

/// "jit", "jit_without_stack", "jit_without_all": a test name.
inline std::string text_of(const EngineChoice& choice) {
    const std::vector<std::string>& without = choice.without_passes;
    if (without.empty()) {
        return text_of(choice.engine);
    }
    std::string text = text_of(choice.engine) + "_without_" +
                       (without.size() == 1 ? without.front() : std::string("all"));
    std::ranges::replace(text, '-', '_');
    return text;
}

/// All engines, and the optimising tier with every pass_omissions().
inline std::vector<EngineChoice> all_choices() {
    std::vector<EngineChoice> choices;
    for (const Engine engine : all_engines()) {
        choices.push_back({engine});
    }
    if (EBPFVM_HAS_JIT != 0) {
        for (const jit::OptOptions& options : pass_omissions()) {
            choices.push_back({Engine::Jit, omitted_passes(options)});
        }
    }
    return choices;
}

} // namespace ebpfvm::test
