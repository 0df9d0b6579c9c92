// verify() of programs written as text.
#pragma once

#include "ebpfvm/verifier.hpp"
#include "support/data_file.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ebpfvm::test {

struct Judged {
    Report report{};

    [[nodiscard]] bool is_accepted() const { return report.verdict == Verdict::Accept; }
    [[nodiscard]] std::string summary() const {
        return report.diagnostic ? "insn " + std::to_string(report.diagnostic->insn) + ": " +
                                       std::string(info(report.diagnostic->slug).name)
                                 : "accept";
    }
    /// "packet-oob", or "accept".
    [[nodiscard]] std::string slug() const {
        return report.diagnostic ? std::string(info(report.diagnostic->slug).name) : "accept";
    }
    [[nodiscard]] std::uint64_t explored() const { return report.stats.explored; }
};

inline void PrintTo(const Judged& judged, std::ostream* out) {
    *out << judged.summary() << " after " << judged.explored() << " insns";
    if (judged.report.diagnostic) {
        *out << ": " << judged.report.diagnostic->insn_text << ": "
             << judged.report.diagnostic->message;
    }
}

/// An array of one value of 64 bytes: what map_value(0, 0) is.
inline constexpr const char* kValueOf64 = "type=2 key=4 value=64 max=1\n";

/// An XDP program; `funcs` are lines of bpft.
inline Judged judge(std::string_view text, std::string_view maps = kValueOf64,
                    std::string_view funcs = "", const VerifierOptions& options = {}) {
    DataFile data{.path = "judged"};
    data.prog = "xdp";
    data.map_lines = maps;
    data.funcs = funcs;
    data.assembly = text;
    const auto bpft = bpft_of(data);
    EXPECT_TRUE(bpft) << to_string(bpft.error());
    const auto object = bpft ? load_bpft(*bpft) : Expected<Object>(Object());
    EXPECT_TRUE(object) << to_string(object.error());
    if (!object || object->programs().empty()) {
        return {};
    }
    return {verify(*object, object->programs().front(), options).value_or(Report{})};
}

inline testing::AssertionResult accepts(const Judged& judged) {
    return (judged.is_accepted() ? testing::AssertionSuccess() : testing::AssertionFailure())
           << testing::PrintToString(judged);
}

} // namespace ebpfvm::test
