// Large programs of many shapes compile, and soon: what the compiler does for each block, value or
// edge must not grow with the number of the others. How long it takes is seen, not asserted.
#include "ebpfvm/ebpfvm.hpp"
#include "jit/jit.hpp"
#include "jit/large_program.hpp"
#include "support/resolved.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

class Large : public testing::TestWithParam<LargeProgram> {};

TEST_P(Large, ProgramCompiles) {
    const auto insns = assemble(GetParam().text(50'000));
    ASSERT_TRUE(insns) << to_string(insns.error());
    const Object object = Object::from_insns("large", ProgType::Unspec, *insns);
    const Vm vm({.cpus = 1});
    const auto code = resolved(object.programs().front(), vm.helpers());
    ASSERT_TRUE(code) << to_string(code.error());
    (*code)->is_verified = true;
    const auto done = jit::compile_optimised(**code, jit::make_code_memory().value());
    ASSERT_TRUE(done) << to_string(done.error());
    EXPECT_TRUE(*done);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Large, testing::ValuesIn(kLargePrograms),
                         [](const auto& shape) { return std::string(shape.param.name); });

} // namespace
} // namespace ebpfvm::test
