// Module and Executable: handles on a loaded object.
#include "ebpfvm/vm.hpp"
#include "exec/slot_text.hpp"
#include "interp/interp.hpp"
#include "jit/jit.hpp"
#include "maps/prog_array_map.hpp"
#include "support/try.hpp"
#include "vm/module_state.hpp"

#include <fmt/ranges.h>

#include <sstream>
#include <utility>

namespace ebpfvm {
namespace {

// Holds a virtual CPU for the length of a run, if the program can tell.
class CpuLease {
  public:
    CpuLease(vm::CpuSlots* slots, std::int32_t wanted)
        : slots_(wanted < 0 ? slots : nullptr),
          cpu_(slots_ != nullptr ? slots_->acquire() : std::uint32_t(wanted < 0 ? 0 : wanted)) {}
    CpuLease(const CpuLease&) = delete;
    CpuLease& operator=(const CpuLease&) = delete;
    ~CpuLease() {
        if (slots_ != nullptr) {
            slots_->release(cpu_);
        }
    }
    [[nodiscard]] std::uint32_t cpu() const { return cpu_; }

  private:
    vm::CpuSlots* slots_;
    std::uint32_t cpu_;
};

RunResult refused(const Program& program, std::string reason) {
    RunResult result;
    result.fault = std::make_shared<Fault>(Fault{.kind = FaultKind::BadCtxAccess,
                                                 .memory_class = MemoryClass::Ctx,
                                                 .insn = 0,
                                                 .prog = program.name,
                                                 .message = std::move(reason),
                                                 .where = std::nullopt});
    return result;
}

std::vector<ListedInsn> in_lines(const exec::Code& code, std::span<const jit::SlotCode> listing) {
    std::vector<ListedInsn> result;
    for (const jit::SlotCode& part : listing) {
        const bool is_slot = part.slot < code.slots.size();
        ListedInsn insn{is_slot ? std::uint32_t(code.insn_of(part.slot)) : part.slot, {}};
        std::istringstream lines(part.text);
        for (std::string line; std::getline(lines, line);) {
            insn.lines.push_back(std::move(line));
        }
        result.push_back(std::move(insn));
    }
    return result;
}

// A program of another type has no such context.
[[gnu::cold, gnu::noinline]] RunResult refused_type(const Program& program, std::string_view what) {
    return refused(program, fmt::format("program \"{}\" is {}, {}", program.name,
                                        name_of(program.type), what));
}

[[gnu::cold, gnu::noinline]] RunResult refused_cpu(const Program& program, std::int32_t cpu,
                                                   std::uint32_t count) {
    return refused(program, fmt::format("cpu {} does not exist, the Vm has {}", cpu, count));
}

// `input` is filled in where it is: copies just after its words were written would wait for them.
[[gnu::noinline]] RunResult run_with_state(const vm::ModuleState& module, const exec::Code& code,
                                           exec::RunInput& input, const RunOptions& options) {
    if (options.cpu >= std::int32_t(module.cpu_slots->count())) {
        return refused_cpu(code.program, options.cpu, module.cpu_slots->count());
    }
    const CpuLease lease(code.needs_cpu ? module.cpu_slots.get() : nullptr, options.cpu);
    input.insn_budget = options.insn_budget != 0 ? options.insn_budget : module.insn_budget;
    input.cpu = lease.cpu();
    input.environment = module.environment.get();
    input.watch = options.watch;
    return code.native != nullptr && input.watch == nullptr ? jit::run(code, input)
                                                            : interp::run(code, input);
}

// Most of the time of a small program goes into the state of its run, unless it needs none.
inline RunResult run(const vm::ModuleState& module, const exec::Code& code, exec::RunInput&& input,
                     const RunOptions& options) {
    const bool has_cpu = options.cpu < 0 || options.cpu < std::int32_t(module.cpu_slots->count());
    if (code.native_leaf != nullptr && options.watch == nullptr && has_cpu) {
        return {.r0 = code.native_leaf(input.ctx)};
    }
    return run_with_state(module, code, input, options);
}

} // namespace

Executable::Executable(std::shared_ptr<const vm::ModuleState> module,
                       const vm::LoadedProgram& program)
    : module_(std::move(module)), program_(&program),
      xdp_leaf_(program.code->program.type == ProgType::Xdp ? program.code->native_leaf : nullptr) {
}

const Program& Executable::program() const {
    return program_->code->program;
}

std::string_view name_of(ExecMode mode) {
    switch (mode) {
    case ExecMode::Checked:
        return "checked";
    case ExecMode::Verified:
        return "verified";
    }
    std::unreachable();
}

std::string_view name_of(Engine engine) {
    switch (engine) {
    case Engine::Interp:
        return "interp";
    case Engine::Baseline:
        return "baseline";
    case Engine::Jit:
        return "jit";
    }
    std::unreachable();
}

ExecMode Executable::mode() const {
    return program_->code->is_verified ? ExecMode::Verified : ExecMode::Checked;
}

Engine Executable::engine() const {
    return program_->engine;
}

const LoadCost& Executable::load_cost() const {
    return program_->cost;
}

std::vector<ListedInsn> Executable::xlated() const {
    const exec::Code& code = *program_->code;
    std::vector<ListedInsn> listing;
    for (std::size_t at = 0; at < code.slots.size();) {
        listing.push_back({std::uint32_t(at), {exec::to_text(code, at)}});
        at += exec::slots_of(code.slots[at]);
    }
    return listing;
}

Expected<std::vector<ListedInsn>> Executable::jited() const {
    if (engine() == Engine::Interp) {
        return fail(Errc::Unsupported, "program \"{}\" is interpreted", program().name);
    }
    TRY_ASSIGN(const auto listing,
               engine() == Engine::Jit
                   ? jit::list_optimised(*program_->code, {program_->without_passes})
                   : jit::list_baseline(*program_->code));
    return in_lines(*program_->code, listing);
}

Expected<std::vector<ListedInsn>> Executable::ir() const {
    if (engine() != Engine::Jit) {
        return fail(Errc::Unsupported, "program \"{}\" is not run by the optimising compiler",
                    program().name);
    }
    return in_lines(*program_->code, jit::list_ir(*program_->code, {program_->without_passes}));
}

RunResult Executable::run_xdp(XdpCtx& ctx, const RunOptions& options) const {
    const exec::Code& code = *program_->code;
    if (code.program.type != ProgType::Xdp) {
        return refused_type(code.program, "not xdp");
    }
    return ebpfvm::run(*module_, code, {.ctx = &ctx, .packet = &ctx.packet}, options);
}

RunResult Executable::run(SkbCtx& ctx, const RunOptions& options) const {
    switch (program().type) {
    case ProgType::SocketFilter:
    case ProgType::SchedCls:
    case ProgType::SchedAct:
        return ebpfvm::run(*module_, *program_->code, {.ctx = &ctx, .packet = &ctx.packet},
                           options);
    default:
        return refused_type(program(), "which has no skb");
    }
}

RunResult Executable::run(std::span<std::byte> memory, const RunOptions& options) const {
    const CtxLayout& layout = *program_->code->ctx;
    if (layout.plain == Access::None) {
        return refused(program(), fmt::format("program \"{}\": ctx {} is not plain memory",
                                              program().name, layout.name));
    }
    if (layout.size > memory.size()) {
        return refused(program(),
                       fmt::format("program \"{}\": ctx {} has {} bytes, {} were passed",
                                   program().name, layout.name, layout.size, memory.size()));
    }
    if (layout.size != 0) { // what the host keeps behind it is its own
        memory = memory.first(layout.size);
    }
    void* begin = memory.empty() ? nullptr : memory.data();
    return ebpfvm::run(*module_, *program_->code, {.ctx = begin, .size = memory.size()}, options);
}

RunResult Executable::run_ctx(void* ctx, std::size_t size, const RunOptions& options) const {
    const CtxLayout& layout = *program_->code->ctx;
    if (layout.plain != Access::None) {
        return run(std::span(static_cast<std::byte*>(ctx), size), options);
    }
    if (size < layout.host_size) {
        return refused(
            program(),
            fmt::format("program \"{}\": ctx {} describes a host object of {} bytes, one "
                        "of {} was passed",
                        program().name, layout.name, layout.host_size, size));
    }
    Packet* packet = layout.has_packet ? static_cast<Packet*>(ctx) : nullptr;
    return ebpfvm::run(*module_, *program_->code, {.ctx = ctx, .packet = packet}, options);
}

Expected<Executable> Module::program(std::string_view name) const {
    const Program* wanted = object().find_program(name);
    for (const vm::LoadedProgram& loaded : state_->programs) {
        if (wanted != nullptr && loaded.code->program.name == wanted->name &&
            loaded.code->program.section == wanted->section) {
            return Executable(state_, loaded);
        }
    }
    std::vector<std::string_view> names;
    for (const vm::LoadedProgram& loaded : state_->programs) {
        names.push_back(loaded.code->program.name);
    }
    return fail(Errc::NotFound, "{}: no program \"{}\", there is {}", object().name(), name,
                fmt::join(names, ", "));
}

std::vector<Executable> Module::programs() const {
    std::vector<Executable> all;
    for (const vm::LoadedProgram& loaded : state_->programs) {
        all.push_back(Executable(state_, loaded));
    }
    return all;
}

Expected<std::shared_ptr<Map>> Module::map(std::string_view name) const {
    for (std::size_t i = 0; i < state_->maps.size(); ++i) {
        if (object().maps()[i].name == name) {
            return state_->maps[i];
        }
    }
    return fail(Errc::NotFound, "{}: no map \"{}\"", object().name(), name);
}

const std::vector<std::shared_ptr<Map>>& Module::maps() const {
    return state_->maps;
}

const Object& Module::object() const {
    return state_->object;
}

Expected<void> Module::set_tail_call(Map& prog_array, std::uint32_t index,
                                     const Executable& target) {
    if (prog_array.spec().type != MapType::ProgArray) {
        return fail(Errc::InvalidArgument, "map \"{}\" is no prog_array", prog_array.spec().name);
    }
    auto& array = static_cast<maps::ProgArrayMap&>(prog_array);
    if (array.set_prog(index, target.program_->code) != 0) {
        return fail(Errc::InvalidArgument, "map \"{}\": index {} is outside its {} slots",
                    prog_array.spec().name, index, prog_array.spec().max_entries);
    }
    return {};
}

} // namespace ebpfvm
