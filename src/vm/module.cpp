// Module and Executable: handles on a loaded object.
#include "ebpfvm/vm.hpp"
#include "interp/interp.hpp"
#include "jit/jit.hpp"
#include "maps/prog_array_map.hpp"
#include "support/try.hpp"
#include "vm/module_state.hpp"

#include <fmt/ranges.h>

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
    result.fault = Fault{.kind = FaultKind::BadCtxAccess,
                         .memory_class = MemoryClass::Ctx,
                         .insn = 0,
                         .prog = program.name,
                         .message = std::move(reason),
                         .where = std::nullopt};
    return result;
}

RunResult run(const vm::ModuleState& module, const exec::Code& code, exec::RunInput input,
              const RunOptions& options) {
    if (options.cpu >= std::int32_t(module.cpu_slots->count())) {
        return refused(code.program, fmt::format("cpu {} does not exist, the Vm has {}",
                                                 options.cpu, module.cpu_slots->count()));
    }
    const CpuLease lease(code.needs_cpu ? module.cpu_slots.get() : nullptr, options.cpu);
    input.insn_budget = options.insn_budget != 0 ? options.insn_budget : module.insn_budget;
    input.cpu = lease.cpu();
    input.environment = module.environment.get();
    input.watch = options.watch;
    return code.native != nullptr && input.watch == nullptr ? jit::run(code, input)
                                                            : interp::run(code, input);
}

} // namespace

const Program& Executable::program() const {
    return program_->code->program;
}

ExecMode Executable::mode() const {
    return program_->code->is_verified ? ExecMode::Verified : ExecMode::Checked;
}

Engine Executable::engine() const {
    return program_->code->native != nullptr ? Engine::Baseline : Engine::Interp;
}

std::size_t Executable::code_size() const {
    return program_->code->native_size;
}

RunResult Executable::run(XdpCtx& ctx, const RunOptions& options) const {
    if (program().type != ProgType::Xdp) {
        return refused(program(), fmt::format("program \"{}\" is {}, not xdp", program().name,
                                              name_of(program().type)));
    }
    return ebpfvm::run(*module_, *program_->code, {.ctx = &ctx, .packet = &ctx.packet}, options);
}

RunResult Executable::run(SkbCtx& ctx, const RunOptions& options) const {
    switch (program().type) {
    case ProgType::SocketFilter:
    case ProgType::SchedCls:
    case ProgType::SchedAct:
        return ebpfvm::run(*module_, *program_->code, {.ctx = &ctx, .packet = &ctx.packet},
                           options);
    default:
        return refused(program(), fmt::format("program \"{}\" is {}, which has no skb",
                                              program().name, name_of(program().type)));
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
