// How a run goes.
#pragma once

namespace ebpfvm::interp {

struct Mode {
    bool checks = true;   ///< each access and call is checked; else the program must be verified
    bool watches = false; ///< RunInput::watch sees each insn
};

} // namespace ebpfvm::interp
