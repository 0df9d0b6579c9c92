// Loads, stores and atomic operations.
#include "jit/fetch_loop.hpp"
#include "jit/opt/function_emitter.hpp"

namespace ebpfvm::jit::opt {

x86::Mem FunctionEmitter::address(const Node& node) const {
    const ValueId base = node.args[0];
    const auto off = std::int32_t(node.imm);
    if (fn_[base].kind == Kind::Frame && is_floating(base)) {
        const std::int32_t at = frame_.offset_of(fn_[base].imm) + off;
        if (node.args[1] != 0) {
            return x86::ptr(x86::rsp, reg_of(node.args[1]), node.scale, at, node.size);
        }
        return x86::ptr(x86::rsp, at, node.size);
    }
    if (node.args[1] != 0) {
        return x86::ptr(reg_of(base), reg_of(node.args[1]), node.scale, off, node.size);
    }
    return x86::ptr(reg_of(base), off, node.size);
}

void FunctionEmitter::load(const Node& node) {
    const x86::Mem at = address(node);
    if (node.is_signed) {
        if (node.size == 4) {
            as_.movsxd(dst(), at);
        } else {
            as_.movsx(dst(), at);
        }
    } else if (node.size < 4) {
        as_.movzx(dst().r32(), at);
    } else {
        as_.mov(low(dst(), node.size), at);
    }
}

void FunctionEmitter::store(const Node& node) {
    const x86::Mem at = address(node);
    if (!is_imm(2)) {
        as_.mov(at, low(arg(2), node.size));
        return;
    }
    const auto value = std::uint64_t(imm(2));
    if (node.size == 8) {
        as_.mov(at, asmjit::imm(imm(2)));
    } else {
        as_.mov(at, asmjit::imm(value & ((std::uint64_t{1} << (8 * node.size)) - 1)));
    }
}

void FunctionEmitter::atomic(const Node& node) {
    const x86::Mem at = address(node);
    const x86::Gp value = low(arg(2), node.size);
    as_.lock();
    switch (node.alu) {
    case isa::AluOp::Add:
        as_.add(at, value);
        return;
    case isa::AluOp::Or:
        as_.or_(at, value);
        return;
    case isa::AluOp::And:
        as_.and_(at, value);
        return;
    default: // there is no other
        as_.xor_(at, value);
        return;
    }
}

void FunctionEmitter::fetch(const Node& node) {
    const x86::Mem at = address(node);
    if (node.alu == isa::AluOp::Add) {
        begin_with(2);
        as_.lock();
        as_.xadd(at, low(dst(), node.size));
        return;
    }
    emit_fetch_loop(as_, node.alu, at, low(x86::rax, node.size), low(x86::gpq(kScratch), node.size),
                    low(arg(2), node.size));
    end_in(x86::rax, Width::W64);
}

void FunctionEmitter::exchange(const Node& node) {
    begin_with(2);
    as_.xchg(address(node), low(dst(), node.size));
}

void FunctionEmitter::compare_exchange(const Node& node) {
    begin_in(x86::rax, 3, Width::W64);
    as_.lock();
    as_.cmpxchg(address(node), low(arg(2), node.size), low(x86::rax, node.size));
    if (node.size == 4) {
        as_.mov(dst().r32(), x86::eax); // if they were equal, nothing was written to it
        return;
    }
    end_in(x86::rax, Width::W64);
}

void FunctionEmitter::host_ctx() {
    if (fn_.anchor == Anchor::HostCtx) {
        as_.mov(dst(), kState);
    } else if (fn_.anchor == Anchor::State) {
        as_.mov(dst(), state_field(offsets::kCtx));
    }
}

} // namespace ebpfvm::jit::opt
