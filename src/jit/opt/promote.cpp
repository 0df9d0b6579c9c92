#include "jit/opt/passes.hpp"

namespace ebpfvm::jit::opt {

void promote_stack(Function&) {}

} // namespace ebpfvm::jit::opt
