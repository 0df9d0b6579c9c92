// The text of an insn, with what resolving and rewriting made of it.
#include "exec/slot_text.hpp"

#include "isa/disasm.hpp"

#include <fmt/format.h>

namespace ebpfvm::exec {
namespace {

// What is at that address, if it is a map of the program or in one.
std::string map_at(const Code& code, std::uint64_t address) {
    for (const auto& map : code.maps) {
        const auto memory = map->memory();
        const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
        if (address == reinterpret_cast<std::uintptr_t>(map.get())) {
            return fmt::format("map \"{}\"", map->spec().name);
        }
        if (!memory.empty() && address >= begin && address - begin < memory.size()) {
            return fmt::format("\"{}\" +{}", map->spec().name, address - begin);
        }
    }
    return {};
}

std::string base_text(std::string text, unsigned reg) {
    if (reg < kRegCount) {
        return text;
    }
    const char* name = reg == kHostCtxReg ? "host" : "packet";
    const std::string number = fmt::format("(r{} ", reg);
    const std::size_t at = text.find(number);
    return at == std::string::npos ? text
                                   : text.replace(at, number.size(), fmt::format("({} ", name));
}

std::string lddw_text(const Code& code, const Slot& slot) {
    const std::string map = map_at(code, std::uint64_t(slot.imm));
    return fmt::format("r{} = {:#x} ll{}{}", slot.dst, std::uint64_t(slot.imm),
                       map.empty() ? "" : " ; ", map);
}

std::string helper_text(const Slot& slot) {
    return fmt::format("call {}", reinterpret_cast<const Helper*>(slot.imm)->proto.name);
}

std::string lookup_text(const Code& code, const ArrayLookup& array) {
    return fmt::format("r0 = element of {}{}", map_at(code, array.begin),
                       array.cpu_stride != 0 ? ", this CPU's copy" : "");
}

} // namespace

std::string to_text(const Code& code, std::size_t index) {
    const Slot& slot = code.slots[index];
    switch (slot.op) {
    case kOpTailCall:
        return "tail_call";
    case kOpPacketLen:
        return fmt::format("r{} = length of packet >> {} & {:#x}", slot.dst, slot.off,
                           std::uint64_t(slot.imm));
    case kOpStoreWidened:
        return fmt::format("*(u{} *)(host +{}) = r{} & {:#x}", 8 * slot.dst, slot.off, slot.src,
                           std::uint64_t(slot.imm));
    case kOpArrayLookup:
        return lookup_text(code, *reinterpret_cast<const ArrayLookup*>(slot.imm));
    case kOpHashLookup:
        return fmt::format("r0 = value of *r2 in map \"{}\"",
                           reinterpret_cast<const HashLookup*>(slot.imm)->map->spec().name);
    default: // an insn
        break;
    }
    isa::Decoded insn{.op = isa::Op(slot.op), .dst = slot.dst, .src = slot.src};
    switch (isa::shape_of(insn.op)) {
    case isa::Shape::Lddw:
        return lddw_text(code, slot);
    case isa::Shape::CallHelper:
        return helper_text(slot);
    case isa::Shape::Jal:
    case isa::Shape::CallLocal:
        insn.imm = slot.off;
        return isa::to_text(insn);
    default: // the slot has the fields of the insn
        insn.off = std::int16_t(slot.off);
        insn.imm = std::int32_t(slot.imm);
        return base_text(isa::to_text(insn), std::max(slot.dst, slot.src));
    }
}

} // namespace ebpfvm::exec
