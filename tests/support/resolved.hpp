// Programs as engines run them, without a Vm.
#pragma once

#include "ebpfvm/ebpfvm.hpp"
#include "exec/code.hpp"

#include <memory>

namespace ebpfvm::test {

/// A program of type Unspec, without maps.
inline Expected<std::shared_ptr<exec::Code>>
resolved(const Program& program, const HelperTable& helpers, const exec::Builtins& builtins = {}) {
    static const ProgTypeTable types;
    return exec::resolve(program, {.ctx = types.find(ProgType::Unspec)->ctx,
                                   .maps = {},
                                   .helpers = &helpers,
                                   .variables = {},
                                   .externs = {},
                                   .builtins = builtins});
}

} // namespace ebpfvm::test
