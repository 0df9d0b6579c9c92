// Reads .BTF.ext. Tested by btf_ext_test.cpp.
#include "elf/btf_ext.hpp"

#include "ebpfvm/insn.hpp"
#include "elf/btf_format.hpp"
#include "support/byte_reader.hpp"

#include <algorithm>

namespace ebpfvm::elf {
namespace {

struct RawFuncRecord {
    std::uint32_t off; // bytes into the section
    std::uint32_t type_id;
};

struct RawLineRecord {
    std::uint32_t off;
    std::uint32_t file_off;
    std::uint32_t text_off;
    std::uint32_t line_column; // line: 10..31
};

struct RawCoreRecord {
    std::uint32_t off;
    std::uint32_t type_id;
    std::uint32_t access_off;
    std::uint32_t kind;
};

Expected<FuncRecord> read_record(const RawFuncRecord& raw, const Btf& btf) {
    if (raw.type_id >= btf.type_count() || btf.kind(raw.type_id) != BtfKind::Func) {
        return fail(Errc::MalformedBtf, ".BTF.ext: function at {} has type {}, which is no func",
                    raw.off, raw.type_id);
    }
    return FuncRecord{raw.off / kInsnSize, raw.type_id};
}

Expected<LineRecord> read_record(const RawLineRecord& raw, const Btf& btf) {
    TRY_ASSIGN(const auto file, btf.string(raw.file_off));
    TRY_ASSIGN(auto text, btf.string(raw.text_off));
    const std::size_t indent = std::min(text.find_first_not_of(" \t"), text.size());
    text.remove_prefix(indent);
    return LineRecord{.insn = raw.off / kInsnSize,
                      .file = file,
                      .text = text,
                      .line = raw.line_column >> 10,
                      .column = raw.line_column & 0x3ff,
                      .indent = std::uint32_t(indent)};
}

Expected<CoreRecord> read_record(const RawCoreRecord& raw, const Btf& btf) {
    if (raw.type_id >= btf.type_count()) {
        return fail(Errc::MalformedBtf, ".BTF.ext: CO-RE relocation at {} of type {} of {}",
                    raw.off, raw.type_id, btf.type_count());
    }
    TRY_ASSIGN(const auto access, btf.string(raw.access_off));
    return CoreRecord{raw.off / kInsnSize, raw.type_id, access, raw.kind};
}

// One of the three tables: a record size, then for each section its name, a count and records.
template <class Raw, class Record>
Expected<void> read_table(std::span<const std::byte> bytes, const Btf& btf, std::string_view what,
                          std::vector<Record> SectionInfo::*list, BtfExt& out) {
    if (bytes.empty()) {
        return {};
    }
    const ByteReader reader(bytes, Errc::MalformedBtf, ".BTF.ext " + std::string(what));
    TRY_ASSIGN(const std::uint64_t record_size, reader.read<std::uint32_t>(0, "record size"));
    if (record_size < sizeof(Raw)) {
        return fail(Errc::MalformedBtf, "{}: records of {} bytes, at least {} needed",
                    reader.what(), record_size, sizeof(Raw));
    }
    for (std::uint64_t at = 4; at < bytes.size();) {
        TRY_ASSIGN(const auto name_off, reader.read<std::uint32_t>(at, "section name"));
        TRY_ASSIGN(const std::uint64_t count, reader.read<std::uint32_t>(at + 4, "count"));
        TRY_ASSIGN(const auto name, btf.string(name_off));
        at += 8;
        // The product may exceed 64 bits only if the count exceeds the bytes there are.
        if (count == 0 || count > bytes.size()) {
            return fail(Errc::MalformedBtf, "{}: {} records for section \"{}\"", reader.what(),
                        count, name);
        }
        TRY(reader.bytes(at, count * record_size, "records"));
        std::vector<Record>& records = out[name].*list;
        for (std::uint64_t i = 0; i < count; ++i, at += record_size) {
            const auto raw = load_unaligned<Raw>(bytes.data() + at);
            if (raw.off % kInsnSize != 0) {
                return fail(Errc::MalformedBtf, "{}: offset {} in section \"{}\" is no insn",
                            reader.what(), raw.off, name);
            }
            TRY_ASSIGN(records.emplace_back(), read_record(raw, btf));
        }
    }
    return {};
}

// Sorts the records; of several for one insn the first stays.
template <class Record>
void normalise(std::vector<Record>& records) {
    std::ranges::stable_sort(records, {}, &Record::insn);
    const auto repeated = std::ranges::unique(records, {}, &Record::insn);
    records.erase(repeated.begin(), repeated.end());
}

} // namespace

std::uint32_t SectionInfo::func_at(std::uint32_t insn) const {
    const auto found = std::ranges::lower_bound(funcs, insn, {}, &FuncRecord::insn);
    return found == funcs.end() || found->insn != insn ? 0 : found->type_id;
}

Expected<BtfExt> parse_btf_ext(std::span<const std::byte> bytes, const Btf& btf) {
    const ByteReader reader(bytes, Errc::MalformedBtf, ".BTF.ext");
    TRY_ASSIGN(const auto header, reader.read<RawBtfExtHeader>(0, "header"));
    if (header.magic != kBtfMagic || header.version != kBtfVersion ||
        header.hdr_len < sizeof(header)) {
        return fail(Errc::MalformedBtf, ".BTF.ext: magic {:#06x} version {} header of {} bytes",
                    header.magic, header.version, header.hdr_len);
    }
    const std::uint64_t base = header.hdr_len;
    TRY_ASSIGN(const auto funcs,
               reader.bytes(base + header.func_info_off, header.func_info_len, "function records"));
    TRY_ASSIGN(const auto lines,
               reader.bytes(base + header.line_info_off, header.line_info_len, "line records"));
    BtfExt ext;
    TRY(read_table<RawFuncRecord>(funcs, btf, "functions", &SectionInfo::funcs, ext));
    TRY(read_table<RawLineRecord>(lines, btf, "lines", &SectionInfo::lines, ext));
    // CO-RE came later: the header says whether it knows of it.
    if (base >= sizeof(header) + 8) {
        TRY_ASSIGN(const auto off, reader.read<std::uint32_t>(sizeof(header), "core offset"));
        TRY_ASSIGN(const auto len, reader.read<std::uint32_t>(sizeof(header) + 4, "core size"));
        TRY_ASSIGN(const auto core, reader.bytes(base + off, len, "CO-RE records"));
        TRY(read_table<RawCoreRecord>(core, btf, "CO-RE relocations", &SectionInfo::core, ext));
    }
    for (auto& [name, info] : ext) {
        normalise(info.funcs);
        normalise(info.lines);
        normalise(info.core);
    }
    return ext;
}

} // namespace ebpfvm::elf
