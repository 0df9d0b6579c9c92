// From a program to slots: decode, then resolve maps, helpers, functions and variables.
#include "exec/code.hpp"
#include "exec/loop_call.hpp"
#include "exec/pairs.hpp"
#include "exec/rewrite.hpp"
#include "isa/decode.hpp"
#include "isa/disasm.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cstring>

namespace ebpfvm::exec {
namespace {

using isa::Decoded;
using isa::Op;

constexpr std::uint32_t kSmpProcessorId = 8;

class Resolver {
  public:
    Resolver(const Program& program, const Bindings& bindings)
        : bindings_(bindings), code_(std::make_shared<Code>()) {
        code_->program = program;
        code_->ctx = bindings.ctx;
        code_->builtins = bindings.builtins;
    }

    /// `verified` is null for a program that runs in checked mode.
    Expected<std::shared_ptr<Code>> resolve(const prog::VerifiedProgram* verified) {
        TRY_ASSIGN(const isa::DecodedProgram decoded, isa::decode_program(code_->program.insns));
        if (verified == nullptr && !decoded.frame_pointer_writes.empty()) {
            return fail(Errc::InvalidInsn, "insn {}: frame pointer r10 is read only",
                        decoded.frame_pointer_writes.front());
        }
        code_->subprogs = decoded.subprogs;
        code_->stacks.assign(decoded.subprogs.size(), kStackSize);
        const auto is_dead = [verified](std::size_t insn) {
            return verified != nullptr && !verified->ways(insn).is_reached;
        };
        for (std::size_t i = 0; i < decoded.insns.size(); i += decoded.insns[i].slots) {
            if (is_loop_call(decoded.insns[i]) && !is_dead(i)) {
                code_->loop_calls.push_back(std::uint32_t(i));
            }
        }
        // Final: function addresses point into it.
        code_->slots.resize(decoded.insns.size() + code_->loop_calls.size() * kLoopCall.size());
        for (std::size_t i = 0; i < decoded.insns.size(); i += decoded.insns[i].slots) {
            if (is_dead(i)) {
                code_->slots[i] = kNothing;
            } else if (!is_loop_call(decoded.insns[i])) {
                TRY(translate(decoded.insns[i], i));
            }
        }
        for (std::size_t i = 0; i < code_->loop_calls.size(); ++i) {
            add_loop(code_->loop_calls[i], decoded.insns.size() + i * kLoopCall.size());
        }
        std::ranges::sort(code_->map_regions, {}, &MapRegion::begin);
        if (verified != nullptr) {
            TRY(rewrite_verified(*verified, decoded, bindings_, *code_));
        }
        find_pairs(code_->slots);
        return std::move(code_);
    }

  private:
    Expected<void> translate(const Decoded& insn, std::size_t index) {
        Slot& slot = code_->slots[index];
        slot = {.op = std::uint8_t(insn.op),
                .dst = insn.dst,
                .src = insn.src,
                .off = insn.off,
                .imm = insn.imm};
        switch (isa::info(insn.op).shape) {
        case isa::Shape::Lddw:
            return translate_lddw(insn, index, slot);
        case isa::Shape::CallHelper:
            return translate_helper(insn, index, slot);
        case isa::Shape::CallKfunc:
            return translate_kfunc(insn, index, slot);
        case isa::Shape::Jal:
            slot.off = insn.imm;
            return {};
        case isa::Shape::CallLocal:
            slot.off = insn.imm;
            slot.imm = kStackSize;
            return {};
        case isa::Shape::Callx:
        case isa::Shape::CallxImm:
            slot.dst = insn.op == Op::Callx ? insn.dst : std::uint8_t(insn.imm);
            slot.op = std::uint8_t(Op::Callx);
            code_->needs_cpu = true;
            return keep_all_helpers();
        case isa::Shape::AddrSpaceCast:
            return fail(Errc::Unsupported, "insn {}: {}: there are no arenas here", index,
                        isa::to_text(insn));
        case isa::Shape::AluImm: // nothing to look up: the slot is the insn
        case isa::Shape::AluReg:
        case isa::Shape::Neg:
        case isa::Shape::Movsx:
        case isa::Shape::Swap:
        case isa::Shape::JmpImm:
        case isa::Shape::JmpReg:
        case isa::Shape::Load:
        case isa::Shape::StoreImm:
        case isa::Shape::StoreReg:
        case isa::Shape::Atomic:
        case isa::Shape::AtomicFetch:
        case isa::Shape::LoadAcquire:
        case isa::Shape::StoreRelease:
        case isa::Shape::LdAbs:
        case isa::Shape::LdInd:
        case isa::Shape::Ja:
        case isa::Shape::MayGoto:
        case isa::Shape::Exit:
            return {};
        }
        std::unreachable();
    }

    Expected<void> translate_lddw(const Decoded& insn, std::size_t index, Slot& slot) {
        switch (insn.op) {
        case Op::LddwImm64:
            slot.imm = std::int64_t(insn.imm64());
            return {};
        case Op::LddwMapIdx: {
            TRY_ASSIGN(Map * map, use_map(insn, index));
            slot.imm = std::int64_t(reinterpret_cast<std::uintptr_t>(map));
            return {};
        }
        case Op::LddwMapValueIdx:
            return translate_map_value(insn, index, slot);
        case Op::LddwFunc:
            slot.imm = std::int64_t(reinterpret_cast<std::uintptr_t>(
                &code_->slots[std::size_t(isa::target_of(insn, index))]));
            return {};
        case Op::LddwBtfId:
            return translate_variable(insn, index, slot);
        default: // a switch over all operations: LddwMapFd and LddwMapValueFd are left
            return fail(Errc::Unsupported, "insn {}: {}: map descriptors mean nothing here", index,
                        isa::to_text(insn));
        }
    }

    Expected<void> translate_map_value(const Decoded& insn, std::size_t index, Slot& slot) {
        TRY_ASSIGN(Map * map, use_map(insn, index));
        const MapSpec& spec = map->spec();
        const std::uint32_t off = std::uint32_t(insn.imm_hi);
        if (spec.type != MapType::Array || spec.max_entries != 1) {
            return fail(Errc::InvalidInsn,
                        "insn {}: {}: map \"{}\" is no array of one element, only those have "
                        "direct values",
                        index, isa::to_text(insn), spec.name);
        }
        if (off >= spec.value_size) {
            return fail(Errc::InvalidInsn,
                        "insn {}: {}: offset {} is outside map \"{}\" of {} bytes", index,
                        isa::to_text(insn), off, spec.name, spec.value_size);
        }
        slot.imm = std::int64_t(reinterpret_cast<std::uintptr_t>(map->memory().data()) + off);
        return {};
    }

    Expected<void> translate_variable(const Decoded& insn, std::size_t index, Slot& slot) {
        const std::size_t at = std::uint32_t(insn.imm);
        if (at >= bindings_.variables.size()) {
            return fail(Errc::InvalidInsn, "insn {}: {}: the object has {} externs", index,
                        isa::to_text(insn), bindings_.variables.size());
        }
        const Region& region = bindings_.variables[at];
        slot.imm = std::int64_t(region.begin);
        if (region.begin != 0) {
            code_->variables.push_back(region);
        }
        return {};
    }

    [[nodiscard]] bool is_loop_call(const Decoded& insn) const {
        if (insn.op != Op::CallHelper || std::uint32_t(insn.imm) != kLoopId) {
            return false;
        }
        const Helper* helper = bindings_.helpers->find(kLoopId);
        return helper != nullptr && helper->fn == nullptr;
    }

    void add_loop(std::uint32_t call, std::size_t first) {
        std::ranges::copy(kLoopCall, code_->slots.begin() + std::ptrdiff_t(first));
        code_->slots[call] = {.op = std::uint8_t(Op::CallLocal),
                              .off = std::int32_t(first - call - 1)};
        code_->subprogs.push_back(std::uint32_t(first));
        code_->stacks.push_back(0);
    }

    Expected<void> translate_helper(const Decoded& insn, std::size_t index, Slot& slot) {
        const auto id = std::uint32_t(insn.imm);
        const Helper* helper = bindings_.helpers->find(id);
        if (helper == nullptr) {
            const std::string_view name = helper_name(id);
            return fail(Errc::Unresolved, "insn {}: call {}: the host offers no helper {}{}{}",
                        index, insn.imm, id, name.empty() ? "" : " ", name);
        }
        // Host functions may ask for it.
        code_->needs_cpu |= id == kSmpProcessorId || helper->use == CallUse::Any ||
                            (helper->use == CallUse::NoAbort && helper->data != nullptr);
        if (id == kTailCallId && helper->fn == nullptr) {
            slot.op = kOpTailCall;
        }
        bind(*helper, slot);
        return {};
    }

    Expected<void> translate_kfunc(const Decoded& insn, std::size_t index, Slot& slot) {
        const std::size_t at = std::uint32_t(insn.imm);
        if (insn.off != 0 || at >= bindings_.externs.size() ||
            bindings_.externs[at].kind != ExternKind::Function) {
            return fail(Errc::InvalidInsn, "insn {}: {}: no such extern function in the object",
                        index, isa::to_text(insn));
        }
        const std::string& name = bindings_.externs[at].name;
        const Helper* helper = bindings_.helpers->find(std::string_view(name));
        if (helper == nullptr) {
            return fail(Errc::Unresolved,
                        "insn {}: call {}: the host offers no function of that name", index, name);
        }
        code_->needs_cpu |= helper->use != CallUse::None;
        slot.op = std::uint8_t(Op::CallHelper);
        bind(*helper, slot);
        return {};
    }

    void bind(const Helper& helper, Slot& slot) {
        const auto [entry, is_new] = copies_.try_emplace(&helper, nullptr);
        if (is_new) {
            entry->second = &code_->helpers.emplace_back(helper);
        }
        slot.imm = std::int64_t(reinterpret_cast<std::uintptr_t>(entry->second));
    }

    Expected<Map*> use_map(const Decoded& insn, std::size_t index) {
        const std::size_t at = std::uint32_t(insn.imm);
        if (at >= bindings_.maps.size() || bindings_.maps[at] == nullptr) {
            return fail(Errc::InvalidInsn, "insn {}: {}: the object has {} maps", index,
                        isa::to_text(insn), bindings_.maps.size());
        }
        Map* map = bindings_.maps[at].get();
        const auto same = [map](const std::shared_ptr<Map>& other) { return other.get() == map; };
        if (std::ranges::none_of(code_->maps, same)) {
            keep_map(*map);
        }
        return map;
    }

    void keep_map(Map& map) {
        // Not the binding itself: that one is a user's reference (see ProgArrayMap).
        code_->maps.push_back(map.shared_from_this());
        if (const std::span<std::byte> memory = map.memory(); !memory.empty()) {
            const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
            code_->map_regions.push_back({begin, begin + memory.size(), &map});
        }
        if (is_constant(map)) {
            const auto value = map.memory().first(map.spec().value_size);
            code_->frozen.push_back(
                {reinterpret_cast<std::uintptr_t>(value.data()), value.size(), Access::Read});
        }
        const MapType type = map.spec().type;
        const bool is_outer = maps::is_map_of_maps(type);
        if (is_outer) {
            code_->maps_of_maps.push_back(static_cast<maps::MapOfMaps*>(&map));
        }
        // Inner maps may be per-cpu, and so may those of programs in a prog_array.
        code_->needs_cpu |= map.cpus() > 1 || is_outer || type == MapType::ProgArray;
    }

    // .rodata: neither programs nor the host may change it, and the verifier counts on that.
    static bool is_constant(const Map& map) {
        return map.spec().type == MapType::Array && map.spec().max_entries == 1 &&
               map.is_frozen() && map.prog_access() == Access::Read;
    }

    // callx finds helpers by number at run time.
    Expected<void> keep_all_helpers() {
        if (!code_->callx_helpers.empty()) {
            return {};
        }
        for (const auto& [id, helper] : bindings_.helpers->by_id()) {
            if (helper.fn != nullptr) {
                code_->callx_helpers.emplace(id, helper);
            }
        }
        return {};
    }

    const Bindings& bindings_;
    std::shared_ptr<Code> code_;
    std::map<const Helper*, const Helper*> copies_; // from the table's entry to the code's
};

} // namespace

std::size_t Code::insn_of(std::size_t slot) const {
    const std::size_t insns = program.insns.size();
    return slot < insns ? slot : loop_calls[(slot - insns) / kLoopCall.size()];
}

std::optional<std::uint64_t> Code::frozen_bytes(std::uint64_t address, unsigned size) const {
    for (const Region& region : frozen) {
        if (fits(address - region.begin, size, region.size)) {
            std::uint64_t value = 0;
            std::memcpy(&value, reinterpret_cast<const void*>(address), size);
            return value;
        }
    }
    return std::nullopt;
}

const Builtins& Builtins::all() {
    static const Builtins builtins = [] {
        const HelperTable defaults = HelperTable::defaults();
        const auto fn = [&](HelperId id) { return defaults.find(std::uint32_t(id))->fn; };
        return Builtins{.map_lookup_elem = fn(HelperId::map_lookup_elem),
                        .get_smp_processor_id = fn(HelperId::get_smp_processor_id),
                        .csum_diff = fn(HelperId::csum_diff)};
    }();
    return builtins;
}

Expected<std::shared_ptr<Code>> resolve(const Program& program, const Bindings& bindings) {
    return Resolver(program, bindings).resolve(nullptr);
}

Expected<std::shared_ptr<Code>> resolve_verified(const prog::VerifiedProgram& program,
                                                 const Bindings& bindings) {
    return Resolver(program.program(), bindings).resolve(&program);
}

} // namespace ebpfvm::exec
