// Vm::load(): maps, bindings, code, tail calls, in that order.
#include "ebpfvm/vm.hpp"
#include "helpers/helpers.hpp"
#include "jit/jit.hpp"
#include "maps/map_of_maps.hpp"
#include "maps/prog_array_map.hpp"
#include "support/try.hpp"
#include "verifier/verify.hpp"
#include "vm/module_state.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>
#include <deque>
#include <set>
#include <thread>

namespace ebpfvm {
namespace vm {
namespace {

std::uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return std::uint64_t(now.tv_sec) * 1'000'000'000 + std::uint64_t(now.tv_nsec);
}

bool is_same_shape(const MapSpec& a, const MapSpec& b) {
    return a.type == b.type && a.key_size == b.key_size && a.value_size == b.value_size &&
           a.max_entries == b.max_entries;
}

// Is all that a verdict may rest on the same?
bool is_same_to_verifier(const MapSpec& judged, const MapSpec& given) {
    if (!is_same_shape(judged, given) || judged.flags != given.flags ||
        judged.fields != given.fields || (judged.inner == nullptr) != (given.inner == nullptr)) {
        return false;
    }
    return judged.inner == nullptr || is_same_to_verifier(*judged.inner, *given.inner);
}

// Frozen content counts as constant: what the map holds now must be what was judged.
bool has_judged_content(const MapSpec& judged, Map& given) {
    const std::span<const std::byte> now = given.memory();
    return !judged.frozen || (given.is_frozen() && now.size() >= judged.data.size() &&
                              std::ranges::equal(judged.data, now.first(judged.data.size())));
}

// What the loader needs of its Vm.
struct VmParts {
    const HelperTable& helpers;
    const ProgTypeTable& prog_types;
    MapOptions map_options;
    std::shared_ptr<jit::CodeMemory> code_memory;
};

using CodeOrError = Expected<std::shared_ptr<exec::Code>>;

class Loader {
  public:
    Loader(const Object& object, const LoadOptions& options, const VmParts& parts,
           std::shared_ptr<ModuleState> module)
        : options_(options), parts_(parts), module_(std::move(module)) {
        module_->object = object;
    }

    Expected<std::shared_ptr<const ModuleState>> load() {
        TRY_ASSIGN(passes_, jit::without_passes(options_.without_passes));
        TRY(check_names());
        TRY(choose_programs());
        TRY(make_maps());
        TRY(bind_variables());
        for (const Program* program : chosen_) {
            TRY(compile(*program));
        }
        TRY(fill_slots());
        return std::move(module_);
    }

  private:
    const Object& object() const { return module_->object; }

    Expected<void> check_names() {
        for (const auto& [name, map] : options_.maps) {
            const MapSpec* spec = object().find_map(std::string_view(name));
            if (spec == nullptr) {
                return fail(Errc::NotFound, "{}: no map \"{}\" to replace", object().name(), name);
            }
            if (map == nullptr || !is_same_shape(*spec, map->spec())) {
                return fail(
                    Errc::InvalidArgument,
                    "{}: map \"{}\": the replacement has another type, key size, value size "
                    "or max_entries",
                    object().name(), name);
            }
            if (options_.mode == ExecMode::Verified &&
                !(is_same_to_verifier(*spec, map->spec()) && has_judged_content(*spec, *map))) {
                return fail(
                    Errc::InvalidArgument,
                    "{}: map \"{}\": the replacement differs in flags, special fields, inner "
                    "maps or frozen content, on which the verdict on programs rests",
                    object().name(), name);
            }
        }
        return {};
    }

    // The programs asked for, and those that prog arrays of the object name.
    Expected<void> choose_programs() {
        std::set<const Program*> chosen;
        for (const std::string& name : options_.programs) {
            const Program* program = object().find_program(std::string_view(name));
            if (program == nullptr) {
                return fail(Errc::NotFound, "{}: no program \"{}\"", object().name(), name);
            }
            chosen.insert(program);
        }
        for (const MapSpec& spec : object().maps()) {
            for (const InitialSlot& slot : spec.slots) {
                if (spec.type == MapType::ProgArray && !chosen.empty()) {
                    chosen.insert(object().find_program(std::string_view(slot.name)));
                }
            }
        }
        for (const Program& program : object().programs()) {
            if (chosen.empty() || chosen.contains(&program)) {
                chosen_.push_back(&program);
            }
        }
        return {};
    }

    Expected<void> make_maps() {
        for (const MapSpec& spec : object().maps()) {
            if (const auto given = options_.maps.find(spec.name); given != options_.maps.end()) {
                module_->maps.push_back(given->second);
                continue;
            }
            TRY_ASSIGN(auto map, create_map(spec, parts_.map_options));
            module_->maps.push_back(std::move(map));
        }
        return {};
    }

    Expected<void> bind_variables() {
        for (const Extern& symbol : object().externs()) {
            const auto given = options_.variables.find(symbol.name);
            if (given != options_.variables.end()) {
                const std::span<std::byte> memory = given->second.memory;
                variables_.push_back({reinterpret_cast<std::uintptr_t>(memory.data()),
                                      memory.size(), given->second.access});
            } else if (symbol.kind == ExternKind::Variable && !symbol.is_weak) {
                return fail(Errc::Unresolved, "{}: the host offers no variable \"{}\"",
                            object().name(), symbol.name);
            } else {
                variables_.push_back({});
            }
        }
        return {};
    }

    Expected<void> compile(const Program& program) {
        const ProgTypeInfo* type = parts_.prog_types.find(program.type);
        if (type == nullptr || type->ctx == nullptr) {
            return fail(Errc::Unsupported, "program \"{}\": type {} cannot run here", program.name,
                        name_of(program.type));
        }
        const exec::Bindings bindings{.ctx = type->ctx,
                                      .maps = module_->maps,
                                      .helpers = &parts_.helpers,
                                      .variables = variables_,
                                      .externs = object().externs(),
                                      .builtins = exec::Builtins::all(),
                                      .cpus = parts_.map_options.cpus};
        LoadCost cost;
        const std::uint64_t start = monotonic_ns();
        auto code = options_.mode == ExecMode::Verified ? resolve_verified(program, bindings, cost)
                                                        : exec::resolve(program, bindings);
        Engine engine = Engine::Interp;
        if (code) {
            TRY_ASSIGN(engine, make_native(**code));
        }
        if (!code) {
            Error error = std::move(code).error();
            error.message = fmt::format("program \"{}\": {}", program.name, error.message);
            return std::unexpected(std::move(error));
        }
        cost.compile_ns = monotonic_ns() - start - cost.verify_ns;
        cost.code_bytes = jit::code_bytes(**code);
        module_->programs.push_back({std::move(*code), cost, engine, passes_.disabled});
        return {};
    }

    // The engine that the program gets.
    Expected<Engine> make_native(exec::Code& code) {
        code.blinds_constants = options_.blind_constants;
        if (options_.engine == Engine::Jit) {
            TRY_ASSIGN(const bool is_done,
                       jit::compile_optimised(code, parts_.code_memory, passes_));
            if (is_done) {
                return Engine::Jit;
            }
        }
        if (options_.engine != Engine::Interp) {
            TRY(jit::compile_baseline(code, parts_.code_memory));
            return Engine::Baseline;
        }
        return Engine::Interp;
    }

    CodeOrError resolve_verified(const Program& program, const exec::Bindings& bindings,
                                 LoadCost& cost) {
        VerifierOptions options = options_.verifier;
        options.helpers = &parts_.helpers;
        options.prog_types = &parts_.prog_types;
        options.facts = false;
        // Hardly any program reads stack that it never wrote: if this one does not, nobody has to
        // clear it, at every call.
        std::optional<prog::VerifiedProgram> verified;
        const bool may_read_unwritten = std::exchange(options.allow_uninit_stack, false);
        Report report = verifier::judge(object(), program, options, &verified);
        cost.verify_ns = report.stats.nanoseconds;
        if (!verified && may_read_unwritten) {
            options.allow_uninit_stack = true;
            report = verifier::judge(object(), program, options, &verified);
            cost.verify_ns += report.stats.nanoseconds;
        }
        if (!verified) {
            const Diagnostic& why = *report.diagnostic;
            Error error{.code = Errc::Rejected,
                        .message = fmt::format("insn {}: {}: {} [{}]", why.insn, why.insn_text,
                                               why.message, info(why.slug).name)};
            if (why.where) {
                error.where = Location{
                    .file = why.where->file, .line = why.where->line, .column = why.where->column};
            }
            return std::unexpected(std::move(error));
        }
        return exec::resolve_verified(*verified, bindings);
    }

    // Static `values` of prog arrays and maps of maps. Maps that the host gave keep their content.
    Expected<void> fill_slots() {
        for (std::size_t i = 0; i < object().maps().size(); ++i) {
            const MapSpec& spec = object().maps()[i];
            if (options_.maps.contains(spec.name)) {
                continue;
            }
            for (const InitialSlot& slot : spec.slots) {
                TRY(fill_slot(*module_->maps[i], slot));
            }
        }
        return {};
    }

    Expected<void> fill_slot(Map& map, const InitialSlot& slot) {
        const MapType type = map.spec().type;
        const bool is_outer = maps::is_map_of_maps(type);
        if (map.spec().key_size != sizeof slot.index || (type != MapType::ProgArray && !is_outer)) {
            return fail(Errc::InvalidArgument, "map \"{}\": type {} with key size {} has no slots",
                        map.spec().name, name_of(type), map.spec().key_size);
        }
        int error = -1;
        if (type == MapType::ProgArray) {
            const auto target =
                std::ranges::find_if(module_->programs, [&](const LoadedProgram& loaded) {
                    return loaded.code->program.name == slot.name;
                });
            if (target != module_->programs.end()) {
                error = static_cast<maps::ProgArrayMap&>(map).set_prog(slot.index, target->code);
            }
        } else if (const auto inner = find_map_index(slot.name)) {
            error = static_cast<maps::MapOfMaps&>(map).set_map(&slot.index, module_->maps[*inner]);
        }
        if (error != 0) {
            return fail(Errc::InvalidArgument, "map \"{}\": slot {} cannot hold \"{}\"",
                        map.spec().name, slot.index, slot.name);
        }
        return {};
    }

    std::optional<std::size_t> find_map_index(std::string_view name) const {
        const auto found = std::ranges::find(object().maps(), name, &MapSpec::name);
        return found == object().maps().end()
                   ? std::nullopt
                   : std::optional(std::size_t(found - object().maps().begin()));
    }

    const LoadOptions& options_;
    jit::OptOptions passes_{};
    const VmParts& parts_;
    std::shared_ptr<ModuleState> module_;
    std::vector<const Program*> chosen_;
    std::vector<exec::Region> variables_;
};

} // namespace
} // namespace vm

Vm::Vm(VmOptions options)
    : options_(std::move(options)), helpers_(helpers::table_for(options_.environment)) {
    if (options_.cpus == 0) {
        options_.cpus = std::max(1U, std::thread::hardware_concurrency());
    }
    Environment environment = options_.environment;
    if (!environment.clock) {
        environment.clock = vm::monotonic_ns;
    }
    environment_ = std::make_shared<const Environment>(std::move(environment));
    cpu_slots_ = std::make_shared<vm::CpuSlots>(options_.cpus);
}

Expected<Module> Vm::load(const Object& object, const LoadOptions& options) {
    if (options.engine != Engine::Interp && code_memory_ == nullptr) {
        TRY_ASSIGN(code_memory_, jit::make_code_memory(options_.jit_debug));
    }
    auto state = std::make_shared<vm::ModuleState>();
    state->insn_budget = options_.insn_budget;
    state->environment = environment_;
    state->cpu_slots = cpu_slots_;
    const vm::VmParts parts{
        .helpers = helpers_,
        .prog_types = prog_types_,
        .map_options = {.cpus = options_.cpus, .max_bytes = options_.max_map_bytes},
        .code_memory = code_memory_};
    TRY_ASSIGN(auto module, vm::Loader(object, options, parts, std::move(state)).load());
    return Module(std::move(module));
}

} // namespace ebpfvm
