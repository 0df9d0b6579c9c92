// What random programs run on, and runs of them.
#pragma once

#include "ebpfvm/ebpfvm.hpp"
#include "verifier/soundness_program.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace ebpfvm::test {

using Lines = std::vector<std::string>;

inline std::string text_of(const Lines& lines) {
    std::string text;
    for (const std::string& line : lines) {
        text += line + '\n';
    }
    return text;
}

inline std::vector<MapSpec> maps() {
    static const std::vector<MapSpec> specs = [] {
        const auto object = load_bpft(std::string("prog maps\nprog_type 6\n") + kSoundnessMaps +
                                      "insns 2\n00000000000000b7\n0000000000000095\nend\n");
        return object.value().maps();
    }();
    return specs;
}

inline std::optional<Object> object_of(const Lines& lines) {
    auto insns = assemble(text_of(lines));
    if (!insns) {
        return std::nullopt;
    }
    return Object::from_insns("random", ProgType::Xdp, *std::move(insns), maps());
}

/// One run: what is in the first map and in the packet.
struct Input {
    std::vector<std::byte> value;
    std::vector<std::byte> packet;
};

inline std::vector<Input> inputs(std::uint64_t seed, std::size_t count) {
    std::mt19937_64 rng(seed ^ 0x9e3779b97f4a7c15);
    static constexpr std::uint64_t kWords[] = {0,
                                               1,
                                               7,
                                               40,
                                               63,
                                               64,
                                               0x7f,
                                               0x80,
                                               0xff,
                                               0x100,
                                               0x7fffffff,
                                               0x80000000,
                                               0xffffffff,
                                               0x100000000,
                                               0x7fffffffffffffff,
                                               0x8000000000000000,
                                               0xffffffffffffffff};
    std::vector<Input> result(count);
    for (Input& input : result) {
        for (unsigned i = 0; i < 8; ++i) {
            std::uint64_t word = rng() % 4 == 0 ? rng() : kWords[rng() % std::size(kWords)];
            word += rng() % 3 == 0 ? rng() % 5 - 2 : 0;
            for (unsigned byte = 0; byte < 8; ++byte) {
                input.value.push_back(std::byte(word >> (8 * byte)));
            }
        }
        static constexpr std::size_t kLengths[] = {0, 1, 7, 8, 12, 14, 16, 20, 34, 64};
        input.packet.resize(kLengths[rng() % std::size(kLengths)]);
        std::ranges::generate(input.packet, [&] { return std::byte(rng()); });
    }
    return result;
}

/// Fills the maps of `module` and calls `run` with the context; `packet_after` gets what is left of
/// the packet.
template <class Run>
RunResult run_soundness(const Module& module, const Input& input, Run run,
                        std::vector<std::byte>* packet_after = nullptr) {
    const std::uint32_t key = 0;
    EXPECT_TRUE(module.maps()[0]->write(std::as_bytes(std::span(&key, 1)), input.value));
    for (std::uint32_t at = 0; at < 4; ++at) { // some elements of the others
        std::array<std::byte, 40> bytes;
        std::ranges::copy_n(input.value.begin(), 40, bytes.begin());
        const auto key_bytes = std::as_bytes(std::span(&at, 1));
        if (at % 2 == 0) {
            EXPECT_TRUE(module.maps()[1]->write(key_bytes, std::span(bytes).first(24)));
        }
        EXPECT_TRUE(module.maps()[2]->write(key_bytes, bytes));
    }
    std::vector<std::byte> buffer(256 + input.packet.size() + 320);
    const auto packet = std::span(buffer).subspan(256, input.packet.size());
    std::ranges::copy(input.packet, packet.begin());
    XdpCtx ctx{.packet = Packet::in(buffer, packet)};
    const RunResult result = run(ctx);
    if (packet_after != nullptr) {
        packet_after->assign(ctx.packet.data, ctx.packet.data_end);
    }
    return result;
}

inline RunResult run_soundness(const Executable& program, const Module& module, const Input& input,
                               std::vector<std::byte>* packet_after = nullptr) {
    const auto run = [&](XdpCtx& ctx) { return program.run(ctx, {.insn_budget = 3'000'000}); };
    return run_soundness(module, input, run, packet_after);
}

} // namespace ebpfvm::test
