// The optimising tier: build, passes, registers, machine code.
#include "jit/native_code.hpp"
#include "jit/opt/allocate.hpp"
#include "jit/opt/build.hpp"
#include "jit/opt/emit.hpp"
#include "jit/opt/passes.hpp"
#include "jit/opt/scratch.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <iterator>

namespace ebpfvm::jit {
namespace {

void optimise(opt::Function& fn, const OptOptions& options) {
    if (options.has(Pass::Stack)) {
        opt::promote_stack(fn);
    }
    opt::clean(fn);
    bool changed = options.has(Pass::Bytes) && opt::merge_bytes(fn);
    constexpr int kRounds = 3;
    for (int round = 0; options.has(Pass::Thread) && round < kRounds; ++round) {
        if (!opt::thread_jumps(fn)) {
            break;
        }
        opt::tidy(fn);
    }
    changed |= options.has(Pass::Switch) && opt::find_switches(fn);
    changed |= options.has(Pass::Select) && opt::select_values(fn);
    if (changed) {
        opt::clean(fn);
    }
    if (options.has(Pass::Unroll) && opt::unroll(fn)) {
        opt::clean(fn);
    }
    if (options.has(Pass::Reassociate)) {
        opt::reassociate(fn);
    }
    opt::lower(fn);
    fn.aligns_loops = options.has(Pass::Align);
}

std::optional<opt::Vec<opt::Function>> functions_of(const exec::Code& code,
                                                    const OptOptions& options) {
    if (!code.is_verified || code.blinds_constants) {
        return std::nullopt;
    }
    auto functions = opt::build(code, options);
    if (functions) {
        for (opt::Function& fn : *functions) {
            optimise(fn, options);
        }
    }
    return functions;
}

opt::Vec<opt::Allocation> allocate_all(std::span<opt::Function> functions, const Cpu& cpu) {
    opt::Vec<opt::Allocation> allocations;
    for (opt::Function& fn : functions) {
        allocations.push_back(opt::allocate(fn, cpu));
    }
    return allocations;
}

} // namespace

Expected<bool> compile_optimised(exec::Code& code, const std::shared_ptr<CodeMemory>& memory,
                                 const OptOptions& options, const Cpu& cpu) {
    const opt::Scratch scratch;
    auto functions = functions_of(code, options);
    if (!functions) {
        return false;
    }
    const auto allocations = allocate_all(*functions, cpu);
    for (const opt::Jumps jumps : {opt::Jumps::Guessed, opt::Jumps::Far}) {
        Assembling assembling(*memory);
        const opt::Entries entries = opt::emit(*functions, allocations, assembling.holder(), cpu,
                                               memory.get(), nullptr, assembling.map(), jumps);
        if (entries.is_complete || jumps == opt::Jumps::Far) {
            TRY(assembling.install(code, memory, entries.subprogs, entries.run, entries.leaf));
            break;
        }
    }
    return true;
}

Expected<std::vector<SlotCode>> list_optimised(const exec::Code& code, const OptOptions& options,
                                               const Cpu& cpu) {
    const opt::Scratch scratch;
    auto functions = functions_of(code, options);
    if (!functions) {
        return list_baseline(code, cpu);
    }
    Listing listing;
    (void)opt::emit(
        *functions, allocate_all(*functions, cpu), listing.holder(), cpu, nullptr,
        [&](std::size_t slot) { listing.note(slot); }, nullptr, opt::Jumps::Far);
    return listing.take();
}

std::vector<SlotCode> list_ir(const exec::Code& code, const OptOptions& options) {
    const opt::Scratch scratch;
    const auto functions = functions_of(code, options);
    std::vector<SlotCode> lines;
    if (functions) {
        for (const opt::Function& fn : *functions) {
            std::ranges::move(opt::to_text(fn), std::back_inserter(lines));
        }
    }
    return lines;
}

} // namespace ebpfvm::jit
