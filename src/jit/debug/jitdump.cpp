// Tested by jit/see_inside_test.cpp.
#include "jit/debug/byte_writer.hpp"
#include "jit/debug/perf.hpp"

#include <fmt/format.h>

#include <ctime>
#include <map>
#include <unistd.h>

namespace ebpfvm::jit {
namespace {

// Names of the specification, which calls the header's magic "JiTD".
struct FileHeader {
    std::uint32_t magic = 0x4a695444;
    std::uint32_t version = 1;
    std::uint32_t total_size = sizeof(FileHeader);
    std::uint32_t elf_mach = 62; // EM_X86_64
    std::uint32_t pad1 = 0;
    std::uint32_t pid = 0;
    std::uint64_t timestamp = 0;
    std::uint64_t flags = 0;
};
static_assert(sizeof(FileHeader) == 40);

enum class RecordId : std::uint32_t { CodeLoad = 0, CodeDebugInfo = 2 };

struct RecordHeader {
    RecordId id;
    std::uint32_t total_size;
    std::uint64_t timestamp;
};
static_assert(sizeof(RecordHeader) == 16);

struct CodeLoad {
    std::uint32_t pid;
    std::uint32_t tid;
    std::uint64_t vma;
    std::uint64_t code_addr;
    std::uint64_t code_size;
    std::uint64_t code_index;
};
static_assert(sizeof(CodeLoad) == 40);

// The clock of `perf record -k mono`.
std::uint64_t now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return std::uint64_t(time.tv_sec) * 1'000'000'000 + std::uint64_t(time.tv_nsec);
}

// begin_record() and end_record() enclose what is particular to a record.
std::size_t begin_record(ByteWriter& out, RecordId id) {
    const std::size_t begin = out.size();
    out.put(RecordHeader{.id = id, .total_size = 0, .timestamp = now()});
    return begin;
}

void end_record(ByteWriter& out, std::size_t begin) {
    out.overwrite(begin + offsetof(RecordHeader, total_size), std::uint32_t(out.size() - begin));
}

void put_debug_info(ByteWriter& out, const Compiled& compiled, const CodeMap::Function& function) {
    std::vector<LineRow> rows = line_rows(compiled, function);
    if (rows.empty()) {
        return;
    }
    rows.push_back({function.end, rows.back().line}); // perf takes the last one for the end
    const std::size_t begin = begin_record(out, RecordId::CodeDebugInfo);
    out.put(compiled.address(function.begin));
    out.put(std::uint64_t{rows.size()});
    for (const LineRow& row : rows) {
        out.put(compiled.address(row.off));
        out.put(row.line->line);
        out.put(row.line->column);
        out.put_string(row.line->file);
    }
    end_record(out, begin);
}

void put_code(ByteWriter& out, const Compiled& compiled, const CodeMap::Function& function,
              std::uint64_t index) {
    const std::size_t begin = begin_record(out, RecordId::CodeLoad);
    const std::uint64_t address = compiled.address(function.begin);
    const std::uint64_t size = function.end - function.begin;
    out.put(CodeLoad{.pid = std::uint32_t(getpid()),
                     .tid = std::uint32_t(gettid()),
                     .vma = address,
                     .code_addr = address,
                     .code_size = size,
                     .code_index = index});
    out.put_string(function.name);
    out.put_bytes(compiled.code.subspan(function.begin, size));
    end_record(out, begin);
}

Expected<std::shared_ptr<JitDump>> begin_dump(const std::string& path) {
    TRY_ASSIGN(auto file, OutputFile::open(path, OutputFile::Content::Dropped));
    const FileHeader header{.pid = std::uint32_t(getpid()), .timestamp = now()};
    TRY(file.append(std::as_bytes(std::span(&header, 1))));
    TRY(file.show_to_perf());
    return std::make_shared<JitDump>(std::move(file));
}

} // namespace

Expected<std::shared_ptr<JitDump>> JitDump::of(const std::string& directory) {
    // perf allows one file per process, whatever the number of Vms and however long they live.
    static std::mutex lock;
    static auto& open = *new std::map<std::string, std::shared_ptr<JitDump>>;
    const std::string path = fmt::format("{}/jit-{}.dump", directory, getpid());
    const std::lock_guard guard(lock);
    const auto found = open.find(path);
    if (found != open.end()) {
        return found->second;
    }
    TRY_ASSIGN(auto dump, begin_dump(path));
    open.emplace(path, dump);
    return dump;
}

Expected<void> JitDump::add(const Compiled& compiled) {
    const std::lock_guard guard(lock_);
    ByteWriter out;
    for (const CodeMap::Function& function : compiled.map.functions()) {
        put_debug_info(out, compiled, function); // comes before the code it is about
        put_code(out, compiled, function, next_index_++);
    }
    return file_.append(out.bytes());
}

} // namespace ebpfvm::jit
