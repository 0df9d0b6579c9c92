// Concrete values against facts. What it cannot see into (sockets, helper memory) it leaves alone.
#include "ebpfvm/fact_checker.hpp"

#include "support/bits.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

namespace ebpfvm {
namespace {

constexpr std::size_t kMaxViolations = 20;

bool is_in_bounds(const ValueFact& fact, std::uint64_t value) {
    return value >= fact.umin && value <= fact.umax && std::int64_t(value) >= fact.smin &&
           std::int64_t(value) <= fact.smax && (value & ~fact.unknown_mask) == fact.known_value;
}

std::string describe(const ValueFact& fact) {
    return fmt::format("{}{} in {}..{} (unsigned {}..{}), known bits {:#x}/{:#x}",
                       name_of(fact.kind), fact.may_be_null ? "_or_null" : "", fact.smin, fact.smax,
                       fact.umin, fact.umax, fact.known_value, ~fact.unknown_mask);
}

} // namespace

FactChecker::FactChecker(const Facts& facts, const Module& module, const Executable& program)
    : facts_(facts), module_(module), program_(program),
      watch_([this](const InsnView& view) { see(view); }) {}

template <class Ctx>
RunResult FactChecker::run_watched(Ctx& ctx, const Packet* packet) {
    packet_ = packet;
    has_begun_ = false;
    const RunOptions options{.watch = &watch_};
    return program_.run(ctx, options);
}

RunResult FactChecker::run(XdpCtx& ctx) {
    return run_watched(ctx, &ctx.packet);
}

RunResult FactChecker::run(SkbCtx& ctx) {
    return run_watched(ctx, &ctx.packet);
}

RunResult FactChecker::run(std::span<std::byte> memory) {
    return run_watched(memory, nullptr);
}

void FactChecker::see(const InsnView& view) {
    if (&view.program != &program_.program() || view.insn >= facts_.insns.size()) {
        return; // another program, after a tail call
    }
    ++insns_;
    if (!has_begun_) {
        has_begun_ = true;
        ctx_ = view.regs[1];
    } else {
        check_way(view);
    }
    last_ = view.insn;
    frame_pointers_[view.depth] = view.regs[kFramePointer];
    const InsnFacts& facts = facts_.insns[view.insn];
    if (!facts.is_reachable) {
        violate(view, "is reached, but never should be");
        return;
    }
    for (unsigned r = 0; r < kFramePointer; ++r) {
        if ((facts.live >> r & 1) != 0 && facts.regs[r].kind != ValueKind::Unknown) {
            check(view, {.reg = r}, facts.regs[r], view.regs[r]);
        }
    }
    for (const SlotFact& slot : facts.slots) {
        const auto address = view.regs[kFramePointer] + std::uint64_t(std::int64_t{slot.off});
        std::uint64_t value = 0;
        std::memcpy(&value, reinterpret_cast<const void*>(address), slot.size);
        check(view, {.off = slot.off}, slot.value, value);
    }
}

// Of what is no conditional jump, facts say neither.
void FactChecker::check_way(const InsnView& view) {
    const InsnFacts& last = facts_.insns[last_];
    if (last.may_fall_through == last.may_jump) {
        return;
    }
    const std::size_t off = last.may_jump ? std::size_t(view.program.insns[last_].off) : 0;
    if (view.insn != last_ + 1 + off) {
        violate(view, fmt::format("follows insn {}, but that always {}", last_,
                                  last.may_jump ? "jumps" : "falls through"));
    }
}

void FactChecker::check(const InsnView& view, Place place, const ValueFact& fact,
                        std::uint64_t value) {
    ++values_;
    if (!holds(view, fact, value)) {
        const std::string name =
            place.off != 0 ? fmt::format("fp{}", place.off) : fmt::format("r{}", place.reg);
        violate(view, fmt::format("{} is {:#x}, {}", name, value, describe(fact)));
    }
}

void FactChecker::violate(const InsnView& view, const std::string& what) {
    if (violations_.size() < kMaxViolations) {
        violations_.push_back(fmt::format("insn {}: {}", view.insn, what));
    }
}

bool FactChecker::is_in_map(const ValueFact& fact, std::uint64_t address) const {
    if (fact.map >= module_.maps().size()) {
        return true; // an inner map
    }
    Map& map = *module_.maps()[fact.map];
    const std::span<std::byte> memory = map.memory();
    const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
    if (fact.smin != fact.smax) {
        const auto off = std::int64_t(address - begin);
        const auto last = std::int64_t(memory.size() - map.spec().value_size);
        return off >= fact.smin && off - last <= fact.smax;
    }
    const std::uint64_t value = address - std::uint64_t(fact.smin);
    return value >= begin && fits(value - begin, map.spec().value_size, memory.size());
}

bool FactChecker::holds(const InsnView& view, const ValueFact& fact, std::uint64_t value) const {
    if (fact.may_be_null && value == 0) {
        return true;
    }
    const auto address = [](const void* pointer) {
        return std::uint64_t(reinterpret_cast<std::uintptr_t>(pointer));
    };
    switch (fact.kind) {
    case ValueKind::Number:
        return is_in_bounds(fact, value);
    case ValueKind::Ctx:
        return is_in_bounds(fact, value - ctx_);
    case ValueKind::Stack:
        return fact.frame <= view.depth &&
               is_in_bounds(fact, value - frame_pointers_[view.depth - fact.frame]);
    case ValueKind::MapPtr:
        return fact.map >= module_.maps().size() ||
               value == address(module_.maps()[fact.map].get());
    case ValueKind::MapValue:
        return is_in_map(fact, value);
    case ValueKind::Packet:
        return packet_ == nullptr || (is_in_bounds(fact, value - address(packet_->data)) &&
                                      packet_->bytes().size() >= fact.proved);
    case ValueKind::PacketMeta:
        return packet_ == nullptr || is_in_bounds(fact, value - address(packet_->data_meta));
    case ValueKind::PacketEnd:
        return packet_ == nullptr || value == address(packet_->data_end);
    case ValueKind::Unknown:
    case ValueKind::MapKey:
    case ValueKind::Memory:
    case ValueKind::Object:
    case ValueKind::Function:
        return true;
    }
    std::unreachable();
}

} // namespace ebpfvm
