// What does the running kernel say of each program of an object? One line of JSON per program.
//
//   judge [-r LOADS] [-o DIR] [-p GLOB] OBJECT.bpf.o
//
// Every program goes through libbpf (maps, relocations, CO-RE) and is verified, never attached. -o
// writes each to DIR/PROGRAM.bpft.
#include "hook.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fnmatch.h>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr unsigned kSecondsPerProgram = 120;

struct Options {
    int repeat = 3;
    std::string directory{}, glob = "*";
    std::string path{}, object{}; // x/verifier_and.bpf.o, verifier_and
};

struct Expectation {
    std::string verdict{}; // "accept", "reject" or nothing
    std::string retval{};  // as written: a number or a name
};

using ObjectPtr =
    std::unique_ptr<bpf_object, decltype([](bpf_object* p) { bpf_object__close(p); })>;

std::string g_messages; // libbpf's, of the object at hand

int keep_message(libbpf_print_level level, const char* format, va_list list) {
    constexpr std::size_t kEnough = 4000;
    char line[1024];
    if (level != LIBBPF_DEBUG && g_messages.size() < kEnough) {
        std::vsnprintf(line, sizeof(line), format, list);
        g_messages += line;
    }
    return 0;
}

void print_text(const char* key, std::string_view text) {
    std::printf("\"%s\": \"", key);
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            std::printf("\\%c", c);
        } else if (c < ' ' || c > '~') {
            std::printf("\\u%04x", static_cast<unsigned char>(c));
        } else {
            std::putchar(c);
        }
    }
    std::printf("\", ");
}

void print_number(const char* key, std::uint64_t value) {
    std::printf("\"%s\": %llu, ", key, static_cast<unsigned long long>(value));
}

// What the test's author expects: BTF declaration tags of the program's function.
Expectation expectation_of(const bpf_object* object, const char* program) {
    constexpr std::string_view kPrefix = "comment:test_", kRetval = "retval=";
    Expectation found;
    const btf* types = bpf_object__btf(object);
    const int func = types == nullptr ? -1 : btf__find_by_name_kind(types, program, BTF_KIND_FUNC);
    for (int id = 1; func > 0 && id < int(btf__type_cnt(types)); ++id) {
        const btf_type* type = btf__type_by_id(types, std::uint32_t(id));
        if (!btf_is_decl_tag(type) || int(type->type) != func ||
            btf_decl_tag(type)->component_idx != -1) {
            continue;
        }
        std::string_view tag = btf__name_by_offset(types, type->name_off);
        if (!tag.starts_with(kPrefix)) {
            continue;
        }
        tag.remove_prefix(kPrefix.size());
        if (tag == "expect_success" || tag == "expect_failure") {
            found.verdict = tag == "expect_success" ? "accept" : "reject";
        } else if (tag.starts_with(kRetval)) {
            found.retval = tag.substr(kRetval.size());
        }
    }
    return found;
}

// As in a bpft file: "accept retval 0".
std::string text_of(const Expectation& expected) {
    return expected.retval.empty() ? expected.verdict : "accept retval " + expected.retval;
}

// Sizes that the program's own loader would set.
void size_map(bpf_map* map) {
    constexpr std::uint32_t kEntries = 1024, kRingbufBytes = 4096, kStackTrace = 127 * 8;
    const auto type = bpf_map__type(map);
    if (type == BPF_MAP_TYPE_STACK_TRACE && bpf_map__value_size(map) < 8) {
        bpf_map__set_value_size(map, kStackTrace);
    }
    if (bpf_map__max_entries(map) != 0) {
        return;
    }
    switch (type) {
    case BPF_MAP_TYPE_RINGBUF:
    case BPF_MAP_TYPE_USER_RINGBUF:
        bpf_map__set_max_entries(map, kRingbufBytes);
        break;
    case BPF_MAP_TYPE_CPUMAP:
        bpf_map__set_max_entries(map, 1);
        break;
    case BPF_MAP_TYPE_PERF_EVENT_ARRAY: // libbpf knows
    case BPF_MAP_TYPE_SK_STORAGE:       // these must have none
    case BPF_MAP_TYPE_TASK_STORAGE:
    case BPF_MAP_TYPE_INODE_STORAGE:
    case BPF_MAP_TYPE_CGRP_STORAGE:
    case BPF_MAP_TYPE_CGROUP_STORAGE:
    case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
    case BPF_MAP_TYPE_STRUCT_OPS:
        break;
    default:
        bpf_map__set_max_entries(map, kEntries);
    }
}

// Types of programs whose section says nothing: as the scripts of the tests have it.
bpf_prog_type usual_type(std::string_view object, std::string_view section) {
    struct Row {
        std::string_view object, section; // how they begin
        bpf_prog_type type;
    };
    static constexpr Row kRows[] = {
        {"test_lwt_seg6local", "encap_", BPF_PROG_TYPE_LWT_IN},
        {"test_lwt_seg6local", "", BPF_PROG_TYPE_LWT_SEG6LOCAL},
        {"test_lwt_redirect", "redir_ingress", BPF_PROG_TYPE_LWT_IN},
        {"test_lwt_", "", BPF_PROG_TYPE_LWT_XMIT},
        {"test_xdp_meta", "t", BPF_PROG_TYPE_SCHED_CLS},
        {"test_xdp_vlan", "tc_", BPF_PROG_TYPE_SCHED_CLS},
        {"test_xdp_", "", BPF_PROG_TYPE_XDP},
        {"test_tc_", "", BPF_PROG_TYPE_SCHED_CLS},
        {"sockmap_tcp_msg", "", BPF_PROG_TYPE_SK_MSG},
        {"sockmap_", "", BPF_PROG_TYPE_SK_SKB},
        {"test_btf_", "", BPF_PROG_TYPE_TRACEPOINT},
    };
    const auto* const row = std::ranges::find_if(kRows, [&](const Row& candidate) {
        return object.starts_with(candidate.object) && section.starts_with(candidate.section);
    });
    return row == std::end(kRows) ? BPF_PROG_TYPE_UNSPEC : row->type;
}

bpf_program* select_program(bpf_object* object, const std::string& name) {
    bpf_program *program = nullptr, *selected = nullptr;
    bpf_object__for_each_program(program, object) {
        const bool is_it = name == bpf_program__name(program);
        bpf_program__set_autoload(program, is_it);
        selected = is_it ? program : selected;
    }
    return selected;
}

// The name of a map that this kernel cannot create, if libbpf says so.
std::string missing_map() {
    constexpr std::string_view kStart = "map '";
    const auto at = g_messages.find("': failed to create");
    const auto begin = at == std::string::npos ? at : g_messages.rfind(kStart, at);
    return begin == std::string::npos
               ? ""
               : g_messages.substr(begin + kStart.size(), at - begin - kStart.size());
}

void print_line(const Options& options, const bpf_program* program, const Expectation& expected) {
    const verdict& said = *last_verdict();
    std::printf("{");
    print_text("object", options.object);
    print_text("prog", bpf_program__name(program));
    print_text("section", bpf_program__section_name(program));
    print_text("prog_type",
               said.reached ? libbpf_bpf_prog_type_str(bpf_prog_type(said.prog_type)) : "");
    print_text("expect", expected.verdict);
    print_text("retval", expected.retval);
    print_text("why", said.why);
    print_text("message", said.reached ? "" : g_messages);
    print_number("error", std::uint64_t(said.error));
    print_number("insns", said.insns);
    print_number("processed", said.processed);
    print_number("states", said.states);
    print_number("verify_us", said.reached ? said.verify_us : 0);
    std::printf("\"reached\": %s}\n", said.reached ? "true" : "false");
    std::fflush(stdout);
}

// Loads the program alone; without the maps that this kernel does not know.
void judge_program(const Options& options, const std::string& name) {
    constexpr int kAttempts = 8;
    std::set<std::string> left_out;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const ObjectPtr object(bpf_object__open(options.path.c_str()));
        bpf_program* program = select_program(object.get(), name);
        if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC) {
            bpf_program__set_type(program,
                                  usual_type(options.object, bpf_program__section_name(program)));
        }
        bpf_map* map = nullptr;
        bpf_object__for_each_map(map, object.get()) {
            bpf_map__set_pin_path(map, nullptr);
            size_map(map);
            if (left_out.contains(bpf_map__name(map))) {
                bpf_map__set_autocreate(map, false);
            }
        }
        const Expectation expected = expectation_of(object.get(), name.c_str());
        const std::string path = options.directory + "/" + name + ".bpft";
        const std::string expect = text_of(expected);
        const watch watch{.prog_name = name.c_str(),
                          .log_buf = nullptr,
                          .repeat = options.repeat,
                          .path = options.directory.empty() ? nullptr : path.c_str(),
                          .name = name.c_str(),
                          .object = options.object.c_str(),
                          .section = bpf_program__section_name(program),
                          .expect = [](const void* text) { return static_cast<const char*>(text); },
                          .about = expect.c_str()};
        g_messages.clear();
        watch_loads(&watch);
        bpf_object__load(object.get());
        watch_loads(nullptr);
        if (last_verdict()->reached || !left_out.insert(missing_map()).second ||
            left_out.contains("")) {
            print_line(options, program, expected);
            return;
        }
    }
}

// In a process of its own: neither a crash nor a hang loses more than one program.
void judge_apart(const Options& options, const std::string& name) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(kSecondsPerProgram);
        judge_program(options, name);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status)) {
        std::fprintf(stderr, "%s: %s: died of signal %d\n", options.object.c_str(), name.c_str(),
                     WTERMSIG(status));
    }
}

} // namespace

int main(int argc, char** argv) {
    Options options;
    for (int option; (option = getopt(argc, argv, "r:o:p:")) != -1;) {
        switch (option) {
        case 'r':
            options.repeat = std::atoi(optarg);
            break;
        case 'o':
            options.directory = optarg;
            break;
        case 'p':
            options.glob = optarg;
            break;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc) {
        std::fprintf(stderr, "usage: judge [-r LOADS] [-o DIR] [-p GLOB] OBJECT\n");
        return 2;
    }
    options.path = argv[optind];
    options.object = std::filesystem::path(options.path).filename();
    options.object.erase(std::min(options.object.find('.'), options.object.size()));
    libbpf_set_print(keep_message);
    const ObjectPtr object(bpf_object__open(options.path.c_str()));
    if (!object) {
        std::fprintf(stderr, "%s: %s\n", options.path.c_str(), g_messages.c_str());
        return 1;
    }
    if (!options.directory.empty()) {
        std::filesystem::create_directories(options.directory);
    }
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object.get()) {
        const std::string name = bpf_program__name(program);
        if (fnmatch(options.glob.c_str(), name.c_str(), 0) == 0) {
            judge_apart(options, name);
        }
    }
    return 0;
}
