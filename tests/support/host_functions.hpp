// The host functions that programs in tests/data may call.
#pragma once

#include "ebpfvm/ebpfvm.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ebpfvm::test {

inline Vm vm_with_test_functions() {
    Vm vm({.cpus = 2});
    EXPECT_TRUE(
        vm.helpers().add_function(0x10000, "host_sum", [](std::span<const std::byte> bytes) {
            std::uint64_t sum = 0;
            std::ranges::for_each(bytes, [&](std::byte b) { sum += std::uint64_t(b); });
            return sum;
        }));
    EXPECT_TRUE(vm.helpers().add_function(0x10001, "host_set",
                                          [](std::uint32_t* out, std::uint32_t v) { *out = v; }));
    EXPECT_TRUE(vm.helpers().add_function(0x10002, "host_abort",
                                          [](CallContext& call) { call.abort("asked to"); }));
    EXPECT_TRUE(vm.helpers().add_function(0x10003, "host_read",
                                          [](const std::uint64_t* in) { return *in; }));
    EXPECT_TRUE(vm.helpers().add(
        {.proto = {.name = "host_move_packet", .flags = HelperFlags::ChangesPacket},
         .fn = [](CallContext&, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                  std::uint64_t) -> std::uint64_t { return 0; }}));
    return vm;
}

} // namespace ebpfvm::test
