// .debug_line, .debug_info and .debug_abbrev. Tested by jit/see_inside_test.cpp.
#include "jit/debug/byte_writer.hpp"
#include "jit/debug/dwarf.hpp"

#include <algorithm>
#include <string_view>

namespace ebpfvm::jit {
namespace {

// DWARF 4 §7.5 and §7.21, what of it is used here.
constexpr std::uint16_t kVersion = 4;
enum Tag : std::uint8_t { kCompileUnit = 0x11, kSubprogram = 0x2e };
enum Attribute : std::uint8_t {
    kName = 0x03,
    kStmtList = 0x10,
    kLowPc = 0x11,
    kHighPc = 0x12,
    kLanguage = 0x13,
    kProducer = 0x25,
    kExternal = 0x3f,
};
enum Form : std::uint8_t {
    kAddr = 0x01,
    kData2 = 0x05,
    kData8 = 0x07,
    kString = 0x08,
    kSecOffset = 0x17,
    kFlagPresent = 0x19,
};
constexpr std::uint16_t kC99 = 0x0c;
enum LineOp : std::uint8_t {
    kExtended = 0,
    kCopy = 1,
    kAdvancePc = 2,
    kAdvanceLine = 3,
    kSetFile = 4,
    kSetPrologueEnd = 10,
};
enum ExtendedLineOp : std::uint8_t { kEndSequence = 1, kSetAddress = 2 };

enum AbbrevCode : std::uint8_t { kUnitCode = 1, kFunctionCode = 2 };

struct FunctionLines {
    const CodeMap::Function* function;
    std::vector<LineRow> rows;
};

std::vector<FunctionLines> functions_with_lines(const Compiled& compiled) {
    std::vector<FunctionLines> result;
    for (const CodeMap::Function& function : compiled.map.functions()) {
        if (auto rows = line_rows(compiled, function); !rows.empty()) {
            result.push_back({&function, std::move(rows)});
        }
    }
    return result;
}

class LineWriter {
  public:
    LineWriter(const Compiled& compiled, const std::vector<FunctionLines>& functions)
        : compiled_(compiled), functions_(functions) {
        for (const FunctionLines& lines : functions) {
            for (const LineRow& row : lines.rows) {
                if (std::ranges::find(files_, row.line->file) == files_.end()) {
                    files_.push_back(row.line->file);
                }
            }
        }
    }

    std::vector<std::byte> write() {
        const std::size_t unit = out_.begin_length();
        out_.put(kVersion);
        write_header();
        for (const FunctionLines& lines : functions_) {
            write_sequence(lines);
        }
        out_.end_length(unit);
        return out_.take();
    }

  private:
    void write_header() {
        const std::size_t header = out_.begin_length();
        out_.put_u8(1); // bytes of the smallest insn
        out_.put_u8(1); // operations in one insn
        out_.put_u8(1); // every row begins a statement
        out_.put_u8(0); // line base and range, for special opcodes, which are not used
        out_.put_u8(1);
        constexpr std::uint8_t kOperands[] = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};
        out_.put_u8(unsigned(std::size(kOperands)) + 1);
        out_.put(kOperands);
        out_.put_u8(0); // no directories
        for (const std::string_view file : files_) {
            out_.put_string(file);
            out_.put_uleb(0); // directory, time and size are unknown
            out_.put_uleb(0);
            out_.put_uleb(0);
        }
        out_.put_u8(0);
        out_.end_length(header);
    }

    void write_sequence(const FunctionLines& lines) {
        std::uint32_t at = lines.rows.front().off;
        std::int64_t line = 1; // where the state machine begins
        std::uint64_t file = 1;
        set_address(compiled_.address(at));
        for (const LineRow& row : lines.rows) {
            advance_pc(row.off - at);
            at = row.off;
            if (const std::uint64_t number = file_number(*row.line); number != file) {
                file = number;
                out_.put_u8(kSetFile);
                out_.put_uleb(file);
            }
            out_.put_u8(kAdvanceLine);
            out_.put_sleb(std::int64_t(row.line->line) - line);
            line = row.line->line;
            if (row.off == lines.function->body) {
                out_.put_u8(kSetPrologueEnd);
            }
            out_.put_u8(kCopy);
        }
        advance_pc(lines.function->end - at);
        out_.put_u8(kExtended);
        out_.put_uleb(1);
        out_.put_u8(kEndSequence);
    }

    void set_address(std::uint64_t address) {
        out_.put_u8(kExtended);
        out_.put_uleb(1 + sizeof address);
        out_.put_u8(kSetAddress);
        out_.put(address);
    }
    void advance_pc(std::uint32_t distance) {
        out_.put_u8(kAdvancePc);
        out_.put_uleb(distance);
    }
    std::uint64_t file_number(const LineInfo& line) const {
        return std::uint64_t(std::ranges::find(files_, line.file) - files_.begin()) + 1;
    }

    const Compiled& compiled_;
    const std::vector<FunctionLines>& functions_;
    std::vector<std::string_view> files_;
    ByteWriter out_;
};

std::vector<std::byte> abbreviations() {
    ByteWriter out;
    const auto declare = [&](AbbrevCode code, Tag tag, bool has_children,
                             std::initializer_list<std::pair<Attribute, Form>> attributes) {
        out.put_uleb(code);
        out.put_uleb(tag);
        out.put_u8(has_children ? 1 : 0);
        for (const auto& [attribute, form] : attributes) {
            out.put_uleb(attribute);
            out.put_uleb(form);
        }
        out.put_uleb(0);
        out.put_uleb(0);
    };
    declare(kUnitCode, kCompileUnit, true,
            {{kProducer, kString},
             {kLanguage, kData2},
             {kName, kString},
             {kStmtList, kSecOffset},
             {kLowPc, kAddr},
             {kHighPc, kData8}});
    declare(kFunctionCode, kSubprogram, false,
            {{kName, kString}, {kExternal, kFlagPresent}, {kLowPc, kAddr}, {kHighPc, kData8}});
    out.put_uleb(0);
    return out.take();
}

// The values of what abbreviations() declares, in that order.
std::vector<std::byte> debug_info(const Compiled& compiled,
                                  const std::vector<FunctionLines>& functions) {
    ByteWriter out;
    const std::size_t unit = out.begin_length();
    out.put(kVersion);
    out.put(std::uint32_t{0}); // abbreviations
    out.put_u8(sizeof(void*));
    out.put_uleb(kUnitCode);
    out.put_string("ebpfvm");
    out.put(kC99);
    out.put_string(functions.front().rows.front().line->file);
    out.put(std::uint32_t{0}); // lines
    out.put(compiled.address(0));
    out.put(std::uint64_t{compiled.code.size()});
    for (const FunctionLines& lines : functions) {
        out.put_uleb(kFunctionCode);
        out.put_string(lines.function->name);
        out.put(compiled.address(lines.function->begin));
        out.put(std::uint64_t{lines.function->end - lines.function->begin});
    }
    out.put_uleb(0); // no more children
    out.end_length(unit);
    return out.take();
}

} // namespace

DebugSections debug_sections_of(const Compiled& compiled) {
    const auto functions = functions_with_lines(compiled);
    if (functions.empty()) {
        return {};
    }
    return {.info = debug_info(compiled, functions),
            .abbrev = abbreviations(),
            .line = LineWriter(compiled, functions).write()};
}

} // namespace ebpfvm::jit
