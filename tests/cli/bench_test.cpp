#include "command.hpp"
#include "support/engines.hpp"

namespace ebpfvm::cli {
namespace {

constexpr const char* kLength = "r2 = *(u32 *)(r1 +0)\n"
                                "r0 = *(u32 *)(r1 +4)\n"
                                "r0 -= r2\n"
                                "exit\n";

TEST(Bench, TellsAllCosts) {
    const TempDir dir;
    const auto length = dir.file("length.bin", bytecode(kLength));
    for (const Engine each : test::all_engines()) {
        const std::string engine = test::text_of(each);
        const Output output = ebpfvm_command({"bench", length, "--type", "xdp", "--hex", "010203",
                                              "--engine", engine, "--repeat", "100", "--json"});
        EXPECT_EQ(output.exit_code, 0) << output.err;
        EXPECT_CONTAINS(output.out,
                        R"("engine":")" + engine + R"(","mode":"verified","retval":3,"runs":100,)");
        for (const char* key :
             {"ns_per_run", "load_us", "verify_us", "compile_us", "insns", "code_bytes"}) {
            EXPECT_CONTAINS(output.out, std::string("\"") + key + "\":");
        }
    }
}

TEST(Bench, ChecksIfAskedTo) {
    const TempDir dir;
    const auto unsafe = dir.file("unsafe.bin", bytecode("r0 = *(u8 *)(r1 +1)\nexit\n"));
    const Output output = ebpfvm_command(
        {"bench", unsafe, "--hex", "0102", "--checked", "--repeat", "3", "--engine", "interp"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "interp, with checks\n  r0       2 (0x2)\n");
    EXPECT_EQ(ebpfvm_command({"bench", unsafe, "--hex", "01", "--checked", "--engine", "interp"})
                  .exit_code,
              3);
    const Output refused =
        ebpfvm_command({"bench", unsafe, "--type", "xdp", "--hex", "01", "--engine", "interp"});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_CONTAINS(refused.err, "[");
}

} // namespace
} // namespace ebpfvm::cli
