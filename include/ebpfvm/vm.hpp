// The virtual machine: objects become modules (maps and executables); executables run.
#pragma once

#include "ebpfvm/helper.hpp"
#include "ebpfvm/object.hpp"
#include "ebpfvm/prog_type.hpp"
#include "ebpfvm/run.hpp"
#include "ebpfvm/verifier.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm {

/// Who else can look into machine code. What is asked for costs time and memory when a program is
/// loaded; runs are as fast as without.
struct JitDebug {
    /// gdb: programs and their source lines, for breakpoints and backtraces.
    bool gdb = false;
    /// perf: the names of functions, appended to /tmp/perf-PID.map. Nothing tells perf that code
    /// was freed.
    bool perf_map = false;
    /// `perf inject --jit`: code, names and source lines, as jit-PID.dump in this directory; empty:
    /// no. All Vms of the process write to one file per directory.
    std::string jitdump{};
    /// The C++ runtime: backtrace() sees what is below machine code, and host functions may throw
    /// through it. Exceptions get dearer in the whole process.
    bool unwind = false;
};

struct VmOptions {
    /// Virtual CPUs: copies in per-cpu maps, and how many runs of programs that use them go on at
    /// once (further ones wait). 0: one per host CPU.
    std::uint32_t cpus = 0;
    /// Insns a run may execute before FaultKind::BudgetExhausted.
    std::uint64_t insn_budget = 1'000'000'000;
    std::uint64_t max_map_bytes = std::uint64_t{4} << 30; ///< per map
    Environment environment{};
    JitDebug jit_debug{};
};

/// A named piece of host memory that programs reach as `extern int name __ksym;`.
struct HostVariable {
    std::span<std::byte> memory{}; ///< must outlive all modules that use it
    Access access = Access::Read;
};

/// What keeps programs from doing harm.
enum class ExecMode : std::uint8_t {
    /// Each access and each argument of a call is checked when it happens. For any program.
    Checked,
    /// The verifier judges programs when they are loaded; they run without checks, faster.
    Verified,
};

/// What runs programs.
enum class Engine : std::uint8_t {
    Interp,   ///< the interpreter
    Baseline, ///< machine code for x86-64, made insn by insn
    /// Optimised machine code for x86-64. Programs that are not verified, and the few that this
    /// compiler does not know (they call through pointers), get Baseline's.
    Jit,
};

/// "checked", "verified".
[[nodiscard]] std::string_view name_of(ExecMode mode);
/// "interp", "baseline", "jit".
[[nodiscard]] std::string_view name_of(Engine engine);

struct LoadOptions {
    ExecMode mode = ExecMode::Checked;
    Engine engine = Engine::Interp;
    /// Machine code contains no constant that the program chose: each is hidden by a random number
    /// of its own, so that nobody can smuggle machine code into constants. Costs some speed.
    bool blind_constants = false;
    /// Only these programs (by name), and those they reach through prog arrays; empty: all.
    std::vector<std::string> programs{};
    /// Maps to use instead of creating them, by name: shared between modules, kept across reloads.
    /// Type, key and value size and max_entries must be equal; in verified mode all that verdicts
    /// rest on, so flags, special fields, inner maps, and the content of frozen maps, too.
    std::map<std::string, std::shared_ptr<Map>, std::less<>> maps{};
    std::map<std::string, HostVariable, std::less<>> variables{};
    /// Of Engine::Jit: passes to leave out, to measure what they are worth. docs/jit.md names them.
    std::vector<std::string> without_passes{};
    /// Of verified mode. The Vm's own tables stand in for `helpers` and `prog_types`; `facts` is
    /// not looked at.
    VerifierOptions verifier{};
};

struct RunOptions {
    /// Overrides VmOptions::insn_budget; 0 keeps it.
    std::uint64_t insn_budget = 0;
    /// The virtual CPU to occupy; the caller sees to it that no two runs share one at a time. -1:
    /// any free one, if the program needs one at all. A host function that runs a program itself
    /// passes its CallContext::cpu(), else it may wait for a CPU that its own caller holds.
    std::int32_t cpu = -1;
    /// Called before each insn, if not null: for tracing and for checking the verifier. Slow; the
    /// interpreter runs the program, whatever its engine.
    const std::function<void(const InsnView&)>* watch = nullptr;
};

namespace jit {
class CodeMemory;
}
namespace vm {
class CpuSlots;
struct ModuleState;
struct LoadedProgram;
} // namespace vm

/// What it took to make a program ready to run.
struct LoadCost {
    std::uint64_t verify_ns = 0;  ///< 0 in checked mode
    std::uint64_t compile_ns = 0; ///< resolving references, and machine code
    std::size_t code_bytes = 0;   ///< of machine code; 0 with Engine::Interp
};

/// What an insn has become, in words: for reading.
struct ListedInsn {
    std::uint32_t insn = 0; ///< slot; the number of slots for what belongs to no insn
    std::vector<std::string> lines{};
};

/// A program ready to run: immutable, cheap to copy, safe to run from many threads at once. It
/// keeps its module's maps alive. run() allocates nothing.
class Executable {
  public:
    [[nodiscard]] const Program& program() const;
    [[nodiscard]] ExecMode mode() const;
    /// What runs the program: with Engine::Jit perhaps Baseline, see there.
    [[nodiscard]] Engine engine() const;
    [[nodiscard]] const LoadCost& load_cost() const;

    /// What the engine gets: references resolved, context accesses of verified programs rewritten.
    [[nodiscard]] std::vector<ListedInsn> xlated() const;
    /// Machine code in Intel's syntax. Errors: Errc::Unsupported with Engine::Interp.
    [[nodiscard]] Expected<std::vector<ListedInsn>> jited() const;
    /// The optimising compiler's intermediate form, after all passes. Errors: Errc::Unsupported
    /// without Engine::Jit.
    [[nodiscard]] Expected<std::vector<ListedInsn>> ir() const;

    /// Runs an XDP program. Errors of use (another program type) end as FaultKind::BadCtxAccess.
    RunResult run(XdpCtx& ctx, const RunOptions& options = {}) const {
        // A call of a small program takes longer than the program, unless it is made here. There
        // always is a CPU 0.
        if (xdp_leaf_ != nullptr && options.watch == nullptr && options.cpu <= 0) {
            return {.r0 = xdp_leaf_(&ctx)};
        }
        return run_xdp(ctx, options);
    }
    /// Runs a socket_filter, sched_cls or sched_act program.
    RunResult run(SkbCtx& ctx, const RunOptions& options = {}) const;
    /// Runs a program of a host-defined or unspecified type: r1 = memory, r2 = its size; both 0 if
    /// it is empty.
    RunResult run(std::span<std::byte> memory, const RunOptions& options = {}) const;
    /// Runs a program of a host-defined type whose CtxLayout describes T.
    template <class T>
    requires std::is_class_v<T> RunResult run(T& ctx, const RunOptions& options = {})
    const { return run_ctx(&ctx, sizeof(T), options); }

  private:
    friend class Module;
    Executable(std::shared_ptr<const vm::ModuleState> module, const vm::LoadedProgram& program);
    RunResult run_xdp(XdpCtx& ctx, const RunOptions& options) const;
    RunResult run_ctx(void* ctx, std::size_t size, const RunOptions& options) const;

    std::shared_ptr<const vm::ModuleState> module_;
    const vm::LoadedProgram* program_;
    /// Machine code of an XDP program that calls nothing, as a C function of its context; or null.
    std::uint64_t (*xdp_leaf_)(void* ctx) = nullptr;
};

/// The maps and executables of one loaded object.
class Module {
  public:
    /// By name (or section, see Object::find_program). Errors: Errc::NotFound, listing what there
    /// is.
    [[nodiscard]] Expected<Executable> program(std::string_view name) const;
    [[nodiscard]] std::vector<Executable> programs() const;
    /// By name. Errors: Errc::NotFound.
    [[nodiscard]] Expected<std::shared_ptr<Map>> map(std::string_view name) const;
    /// In the order of Object::maps(); entries of maps no loaded program can reach exist as well.
    [[nodiscard]] const std::vector<std::shared_ptr<Map>>& maps() const;
    [[nodiscard]] const Object& object() const;

    /// Puts a program into a slot of a prog_array. A tail call to it happens from programs of the
    /// same type, Vm, mode and engine alone; others go on behind the call. Errors:
    /// Errc::InvalidArgument.
    static Expected<void> set_tail_call(Map& prog_array, std::uint32_t index,
                                        const Executable& target);

  private:
    friend class Vm;
    explicit Module(std::shared_ptr<const vm::ModuleState> state) : state_(std::move(state)) {}
    std::shared_ptr<const vm::ModuleState> state_;
};

/// A virtual machine: what programs may call and which types there are. Modules are independent of
/// it once loaded. Not thread-safe itself; what it loads is.
class Vm {
  public:
    explicit Vm(VmOptions options = {});

    /// Functions that programs loaded from now on may call.
    [[nodiscard]] HelperTable& helpers() { return helpers_; }
    [[nodiscard]] const HelperTable& helpers() const { return helpers_; }
    [[nodiscard]] ProgTypeTable& prog_types() { return prog_types_; }
    [[nodiscard]] const ProgTypeTable& prog_types() const { return prog_types_; }
    [[nodiscard]] const VmOptions& options() const { return options_; }

    /// Creates the maps of `object` and prepares its programs to run in the mode of the options.
    /// Nothing they do harms the host in either one. The number of insns is limited, unless
    /// verified programs run as machine code, which does not count: they end, but perhaps late.
    /// Errors: Errc::InvalidInsn, Unresolved (helper, function or variable the host lacks),
    /// Rejected (by the verifier; verify() tells more), Unsupported, Io (a file that JitDebug asks
    /// for), and those of create_map().
    /// Nothing is kept on error.
    [[nodiscard]] Expected<Module> load(const Object& object, const LoadOptions& options = {});

  private:
    VmOptions options_;
    HelperTable helpers_;
    ProgTypeTable prog_types_;
    std::shared_ptr<const Environment> environment_;
    std::shared_ptr<vm::CpuSlots> cpu_slots_;
    std::shared_ptr<jit::CodeMemory> code_memory_; ///< made when first needed
};

} // namespace ebpfvm
