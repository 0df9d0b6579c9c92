// .eh_frame. Tested by jit/see_inside_test.cpp.
#include "jit/abi.hpp"
#include "jit/debug/byte_writer.hpp"
#include "jit/debug/dwarf.hpp"

namespace ebpfvm::jit {
namespace {

// DWARF 4 §7.23.
enum Cfa : std::uint8_t {
    kAdvance = 0x40, // with the distance in the low bits
    kOffset = 0x80,  // with the register in the low bits
    kAdvance1 = 0x02,
    kAdvance2 = 0x03,
    kAdvance4 = 0x04,
    kDefCfa = 0x0c,
    kDefCfaOffset = 0x0e,
    kDefCfaExpression = 0x0f,
};
// DWARF 4 §7.7.1.
enum Operation : std::uint8_t { kDeref = 0x06, kPlusUconst = 0x23, kBreg0 = 0x70 };

// System V ABI for x86-64, figure 3.36.
constexpr std::uint8_t kStackReg = 7;
constexpr std::uint8_t kReturnColumn = 16;
constexpr std::int64_t kDataAlignment = -8;

std::uint8_t dwarf_reg(std::uint32_t reg) {
    constexpr std::uint8_t kLow[] = {0, 2, 1, 3, 7, 6, 4, 5}; // rax rcx rdx rbx rsp rbp rsi rdi
    return std::uint8_t(reg < std::size(kLow) ? kLow[reg] : reg);
}

class FrameWriter {
  public:
    explicit FrameWriter(const Compiled& compiled) : compiled_(compiled) {}

    std::vector<std::byte> write() {
        write_cie();
        for (const CodeMap::Function& function : compiled_.map.functions()) {
            write_fde(function);
        }
        out_.put(std::uint32_t{0});
        return out_.take();
    }

  private:
    void write_cie() {
        const std::size_t begin = out_.begin_length();
        out_.put(std::uint32_t{0}); // no FDE
        out_.put_u8(1);             // version
        out_.put_string("zR");
        out_.put_uleb(1); // code alignment
        out_.put_sleb(kDataAlignment);
        out_.put_u8(kReturnColumn);
        out_.put_uleb(1); // bytes of augmentation:
        out_.put_u8(0);   // addresses are absolute
        out_.put_u8(kDefCfa);
        out_.put_uleb(kStackReg);
        out_.put_uleb(8);
        out_.put_u8(kOffset | kReturnColumn);
        out_.put_uleb(1);
        end_entry(begin);
    }

    void write_fde(const CodeMap::Function& function) {
        const std::size_t begin = out_.begin_length();
        out_.put(std::uint32_t(begin)); // distance back to the CIE, which comes first
        out_.put(compiled_.address(function.begin));
        out_.put(std::uint64_t{function.end - function.begin});
        out_.put_uleb(0); // no augmentation
        std::uint32_t at = function.begin;
        bool was_leaving = false;
        for (const CodeMap::Step& step : function.steps) {
            advance(step.off - at);
            at = step.off;
            write_step(step, was_leaving);
            was_leaving = step.leaves_run;
        }
        end_entry(begin);
    }

    void advance(std::uint32_t distance) {
        if (distance == 0) {
            return;
        }
        if (distance < 0x40) {
            out_.put_u8(kAdvance | distance);
        } else if (distance <= UINT8_MAX) {
            out_.put_u8(kAdvance1);
            out_.put_u8(distance);
        } else if (distance <= UINT16_MAX) {
            out_.put_u8(kAdvance2);
            out_.put(std::uint16_t(distance));
        } else {
            out_.put_u8(kAdvance4);
            out_.put(distance);
        }
    }

    void write_step(const CodeMap::Step& step, bool was_leaving) {
        if (step.leaves_run) {
            ByteWriter expression; // *(RunState::native.stack_pointer) + depth
            expression.put_u8(kBreg0 + dwarf_reg(kState.id()));
            expression.put_sleb(offsets::kStackPointer);
            expression.put_u8(kDeref);
            expression.put_u8(kPlusUconst);
            expression.put_uleb(step.depth);
            out_.put_u8(kDefCfaExpression);
            out_.put_uleb(expression.size());
            out_.put_bytes(expression.bytes());
            return;
        }
        if (was_leaving) {
            out_.put_u8(kDefCfa);
            out_.put_uleb(kStackReg);
        } else {
            out_.put_u8(kDefCfaOffset);
        }
        out_.put_uleb(step.depth);
        if (step.saved != CodeMap::kNoReg) {
            out_.put_u8(kOffset | dwarf_reg(step.saved));
            out_.put_uleb(step.depth / 8);
        }
    }

    void end_entry(std::size_t begin) {
        out_.align(8); // with DW_CFA_nop, which is 0
        out_.end_length(begin);
    }

    const Compiled& compiled_;
    ByteWriter out_;
};

} // namespace

std::vector<std::byte> eh_frame_of(const Compiled& compiled) {
    return FrameWriter(compiled).write();
}

} // namespace ebpfvm::jit
