// What the running kernel's verifier says of a tiny program. The program is dropped at once.
#pragma once

#include "ebpfvm/helper.hpp"
#include "ebpfvm/prog_type.hpp"
#include "kernel/bpf_syscall.hpp"

#include <gtest/gtest.h>

#include <sys/utsname.h>

namespace ebpfvm::test {

struct Question {
    ProgType type = ProgType::Unspec;
    std::uint32_t attach_type = 0;
    std::vector<Insn> insns;
    std::uint32_t flags = 0; ///< BPF_F_...
    const char* license = "GPL";
    std::uint32_t log_level = 1;
};

struct Answer {
    int error = 0; ///< 0 or a negative errno
    std::string log;

    [[nodiscard]] bool accepted() const { return error == 0; }
    /// The kernel refused before its verifier looked: an unknown program or attach type.
    [[nodiscard]] bool unsupported() const { return error != 0 && log.empty(); }
    [[nodiscard]] bool says(std::string_view text) const {
        return log.find(text) != std::string::npos;
    }
};

inline Answer ask_verifier(const Question& question) {
    static std::array<char, std::size_t{1} << 16> log;
    log[0] = '\0';
    bpf_attr attr = zeroed_attr();
    attr.prog_type = std::to_underlying(question.type);
    attr.expected_attach_type = question.attach_type;
    attr.prog_flags = question.flags;
    attr.insn_cnt = std::uint32_t(question.insns.size());
    attr.insns = address_of(question.insns.data());
    attr.license = address_of(question.license);
    attr.log_level = question.log_level;
    attr.log_size = std::uint32_t(log.size());
    attr.log_buf = address_of(log.data());
    const int result = bpf(BPF_PROG_LOAD, attr);
    const Fd fd(result);
    return {.error = std::min(result, 0), .log = log.data()};
}

// Insns as these tests write them.
inline Insn mov_imm(unsigned dst, std::int32_t imm) {
    return {.code = 0xb7, .dst = std::uint8_t(dst & 0xf), .imm = imm};
}
inline Insn mov_reg(unsigned dst, unsigned src) {
    return {.code = 0xbf, .dst = std::uint8_t(dst & 0xf), .src = std::uint8_t(src & 0xf)};
}
inline Insn call_helper(std::uint32_t id) {
    return {.code = 0x85, .imm = std::int32_t(id)};
}
inline Insn exit_insn() {
    return {.code = 0x95};
}

/// The flags without which programs of a type do not load.
inline std::uint32_t required_flags(ProgType type) {
    return type == ProgType::Syscall ? prog_flags::kSleepable : 0;
}

/// Program types that load without BTF of what they attach to.
inline std::vector<ProgType> loadable_types() {
    std::vector<ProgType> types;
    for (std::uint32_t number = 1; number <= std::to_underlying(ProgType::Netfilter); ++number) {
        const auto type = ProgType(number);
        if (type != ProgType::Tracing && type != ProgType::StructOps && type != ProgType::Ext &&
            type != ProgType::Lsm) {
            types.push_back(type);
        }
    }
    return types;
}

inline constexpr std::uint32_t kAttachTypes =
    std::to_underlying(AttachType::TraceUprobeSession) + 1;

/// The attach types with which the running kernel loads programs of a type; empty if it lacks it.
inline std::vector<std::uint32_t> attach_types_of(ProgType type) {
    std::vector<std::uint32_t> result;
    for (std::uint32_t attach = 0; attach < kAttachTypes; ++attach) {
        const Answer answer = ask_verifier({.type = type,
                                            .attach_type = attach,
                                            .insns = {mov_imm(0, 1), exit_insn()},
                                            .flags = required_flags(type)});
        if (!answer.unsupported()) {
            result.push_back(attach);
        }
    }
    return result;
}

/// The tables describe this kernel; others have other fields, helpers and rules.
inline bool is_yardstick_kernel() {
    utsname name{};
    return ::uname(&name) == 0 && std::string_view(name.release).starts_with("6.18.");
}

} // namespace ebpfvm::test

/// First statement of the tests that compare whole tables.
#define EBPFVM_SKIP_WITHOUT_YARDSTICK()                                                            \
    EBPFVM_SKIP_WITHOUT_BPF();                                                                     \
    if (!is_yardstick_kernel()) {                                                                  \
        GTEST_SKIP() << "the tables are those of Linux 6.18";                                      \
    }
