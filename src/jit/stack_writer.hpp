// Insns that move the machine's stack, and their note in the CodeMap.
#pragma once

#include "jit/abi.hpp"
#include "jit/code_map.hpp"

namespace ebpfvm::jit {

/// Emits what changes rsp in a function, so that no CodeMap can forget it. Without a map it emits
/// alone.
class StackWriter {
  public:
    StackWriter(x86::Assembler& as, CodeMap* map) : as_(as), map_(map) {}

    void push(const x86::Gp& reg) {
        as_.push(reg);
        if (map_ != nullptr) {
            map_->pushed(here(), reg.id());
        }
    }
    void pop(const x86::Gp& reg) {
        as_.pop(reg);
        if (map_ != nullptr) {
            map_->set_depth(here(), map_->depth() - 8);
        }
    }
    /// Room for locals.
    void grow(std::uint32_t bytes) {
        as_.sub(x86::rsp, bytes);
        if (map_ != nullptr) {
            map_->set_depth(here(), map_->depth() + bytes);
        }
    }
    void shrink(std::uint32_t bytes) {
        as_.add(x86::rsp, bytes);
        if (map_ != nullptr) {
            map_->set_depth(here(), map_->depth() - bytes);
        }
    }
    /// For code behind an epilogue in the middle of a function: depth() before it, and back to it.
    [[nodiscard]] std::uint32_t depth() const { return map_ != nullptr ? map_->depth() : 0; }
    void resume(std::uint32_t depth) {
        if (map_ != nullptr) {
            map_->set_depth(here(), depth);
        }
    }

  private:
    [[nodiscard]] std::uint32_t here() const { return std::uint32_t(as_.offset()); }

    x86::Assembler& as_;
    CodeMap* map_;
};

} // namespace ebpfvm::jit
