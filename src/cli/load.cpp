// Tested by wrong_input_test.cpp.
#include "cli/load.hpp"

#include "cli/files.hpp"
#include "support/try.hpp"

#include <fmt/ranges.h>

namespace ebpfvm::cli {
namespace {

std::vector<std::string> program_names(const Object& object) {
    std::vector<std::string> names;
    for (const Program& program : object.programs()) {
        names.push_back(program.section.empty()
                            ? program.name
                            : fmt::format("{} ({})", program.name, program.section));
    }
    return names;
}

} // namespace

Expected<ProgType> type_named(const std::string& name, const ProgTypeTable& types) {
    if (name.empty() || name == name_of(ProgType::Unspec)) {
        return ProgType::Unspec;
    }
    if (const ProgTypeInfo* info = types.find(name)) {
        return info->type;
    }
    return fail(Errc::NotFound,
                "unknown program type \"{}\", such as xdp, sched_cls or "
                "socket_filter is expected",
                name);
}

Error with_path(Error error, const std::string& path) {
    if (error.where && error.where->line != 0) {
        error.where->file = path;
    } else if (!error.message.starts_with(path)) {
        error.message = path + ": " + error.message;
    }
    return error;
}

Expected<Object> load_input(const std::string& path, const std::string& type,
                            const ProgTypeTable& types) {
    TRY_ASSIGN(const ProgType default_type, type_named(type, types));
    TRY_ASSIGN(const auto bytes, read_file(path));
    if (bytes.empty()) {
        return fail(Errc::Io, "{}: file is empty", path);
    }
    LoadObjectOptions options;
    options.name = path;
    options.prog_types = &types;
    options.default_type = default_type;
    auto object = load_object(bytes, options);
    if (!object) {
        return std::unexpected(with_path(std::move(object).error(), path));
    }
    return object;
}

Expected<const Program*> choose_program(const Object& object, const std::string& name) {
    if (object.programs().empty()) {
        return fail(Errc::NotFound, "{}: contains no program", object.name());
    }
    if (name.empty()) {
        return &object.programs().front();
    }
    if (const Program* program = object.find_program(name)) {
        return program;
    }
    return fail(Errc::NotFound, "{}: no program \"{}\", there are: {}", object.name(), name,
                fmt::join(program_names(object), ", "));
}

Expected<void> check_jit_debug(const JitDebug& debug, Engine engine) {
    const bool is_asked = debug.gdb || debug.perf_map || !debug.jitdump.empty();
    if (is_asked && engine == Engine::Interp) {
        return fail(Errc::InvalidArgument,
                    "--gdb, --perf-map and --jitdump are about machine code, and engine {} makes "
                    "none: choose another with --engine",
                    name_of(engine));
    }
    return {};
}

} // namespace ebpfvm::cli
