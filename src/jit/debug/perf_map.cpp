// Tested by jit/see_inside_test.cpp.
#include "jit/debug/perf.hpp"

#include <fmt/format.h>

#include <iterator>
#include <unistd.h>

namespace ebpfvm::jit {

Expected<PerfMap> PerfMap::open() {
    // perf looks there alone. Nothing is dropped: it is the file of all compilers in the process.
    TRY_ASSIGN(auto file, OutputFile::open(fmt::format("/tmp/perf-{}.map", getpid()),
                                           OutputFile::Content::Kept));
    return PerfMap(std::move(file));
}

Expected<void> PerfMap::add(const Compiled& compiled) const {
    std::string lines;
    for (const CodeMap::Function& function : compiled.map.functions()) {
        fmt::format_to(std::back_inserter(lines), "{:x} {:x} {}\n",
                       compiled.address(function.begin), function.end - function.begin,
                       function.name);
    }
    return file_.append(std::as_bytes(std::span(lines)));
}

} // namespace ebpfvm::jit
