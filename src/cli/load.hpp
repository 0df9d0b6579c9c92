// Reading object files and choosing a program of them.
#pragma once

#include "ebpfvm/object.hpp"
#include "ebpfvm/vm.hpp"

#include <string>

namespace ebpfvm::cli {

/// The program type of that name; Unspec for "". Errors: Errc::NotFound.
[[nodiscard]] Expected<ProgType> type_named(const std::string& name, const ProgTypeTable& types);

/// Reads ELF, bpft or raw bytecode, "-" for standard input. `type` names the type of programs whose
/// section says nothing, "" for none. Errors: Errc::NotFound for an unknown type; those of
/// load_object(), naming the file.
[[nodiscard]] Expected<Object> load_input(const std::string& path, const std::string& type,
                                          const ProgTypeTable& types);

/// The program of that name or section, the first if `name` is empty. Errors: Errc::NotFound,
/// listing those that exist.
[[nodiscard]] Expected<const Program*> choose_program(const Object& object,
                                                      const std::string& name);

/// Refuses options about machine code where there is none. Errors: Errc::InvalidArgument.
[[nodiscard]] Expected<void> check_jit_debug(const JitDebug& debug, Engine engine);

/// The error with `path` as its place: before the line number, or before the message.
[[nodiscard]] Error with_path(Error error, const std::string& path);

} // namespace ebpfvm::cli
