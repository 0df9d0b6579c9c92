#include "hook.h"

#include "bpft_writer.hpp"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" long __real_syscall(long number, ...);

namespace {

constexpr std::size_t kLogSize = 16u << 20;
char g_log[kLogSize];
const watch* g_watch = nullptr;
verdict g_verdict;

// The number after the last `key` of the log.
std::uint64_t figure(std::string_view log, std::string_view key) {
    const auto at = log.rfind(key);
    return at == log.npos ? 0 : std::strtoull(log.data() + at + key.size(), nullptr, 10);
}

bool is_noise(std::string_view line) {
    for (const std::string_view start :
         {";", "verification time ", "stack depth ", "processed ", "cur state: ", "old state: "}) {
        if (line.starts_with(start)) {
            return true;
        }
    }
    return line.empty();
}

// The last line that is no statistics.
std::string_view decisive_line(std::string_view log) {
    std::string_view found;
    while (!log.empty()) {
        std::string_view line = log.substr(0, log.find('\n'));
        log.remove_prefix(std::min(line.size() + 1, log.size()));
        line = line.substr(0, line.find("verification time ")); // some messages lack their newline
        found = is_noise(line) ? found : line;
    }
    return found;
}

long load_once(bpf_attr& attr, unsigned size) {
    g_log[0] = 0;
    attr.log_level = 4; // errors and statistics
    attr.log_size = kLogSize;
    attr.log_buf = reinterpret_cast<std::uintptr_t>(g_log);
    const long fd = __real_syscall(SYS_bpf, BPF_PROG_LOAD, &attr, size);
    return fd < 0 ? -errno : fd;
}

void judge(bpf_attr attr, unsigned size) {
    verdict& said = g_verdict;
    said.reached = true;
    said.prog_type = attr.prog_type;
    said.attach_type = attr.expected_attach_type;
    said.insns = attr.insn_cnt;
    said.verify_us = UINT64_MAX;
    for (int i = 0; i < std::max(g_watch->repeat, 1); ++i) {
        const long result = load_once(attr, size);
        said.error = result < 0 ? int(-result) : 0;
        if (result >= 0) {
            close(int(result));
        }
        const std::uint64_t took = figure(g_log, "verification time ");
        said.verify_us = std::min(said.verify_us, took);
    }
    said.processed = figure(g_log, "processed ");
    said.states = figure(g_log, "total_states ");
    if (said.error != 0) {
        const std::string_view why = decisive_line(g_log);
        why.copy(said.why, sizeof(said.why) - 1);
    }
    if (g_watch->path != nullptr) {
        kernel_parity::write_bpft(attr, *g_watch, said);
    }
}

bool is_watched(const bpf_attr& attr) {
    if (g_watch == nullptr) {
        return false;
    }
    return g_watch->prog_name == nullptr
               ? attr.log_buf == reinterpret_cast<std::uintptr_t>(g_watch->log_buf)
               : std::strncmp(attr.prog_name, g_watch->prog_name, BPF_OBJ_NAME_LEN - 1) == 0;
}

// libbpf only learns that it did not work: nothing stays loaded.
long refuse(const bpf_attr& given, unsigned size) {
    bpf_attr attr{};
    std::memcpy(&attr, &given, std::min<std::size_t>(size, sizeof(attr)));
    if (!g_verdict.reached) { // libbpf asks again, with a log
        judge(attr, std::min<unsigned>(size, sizeof(attr)));
    }
    errno = EPERM;
    return -1;
}

} // namespace

void watch_loads(const watch* watch) {
    g_watch = watch;
    if (watch != nullptr) {
        g_verdict = {};
    }
}

const verdict* last_verdict() {
    return &g_verdict;
}

extern "C" long __wrap_syscall(long number, ...) {
    long arg[6];
    va_list list;
    va_start(list, number);
    for (long& value : arg) {
        value = va_arg(list, long);
    }
    va_end(list);
    const auto* attr = reinterpret_cast<const bpf_attr*>(arg[1]);
    if (number == SYS_bpf && arg[0] == BPF_PROG_LOAD && is_watched(*attr)) {
        return refuse(*attr, unsigned(arg[2]));
    }
    const long result = __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
    if (number == SYS_bpf && arg[0] == BPF_MAP_CREATE && result >= 0) {
        kernel_parity::note_map(int(result), *attr);
    }
    return result;
}
