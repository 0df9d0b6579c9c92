// Values in words, for messages.
#include "verifier/env.hpp"
#include "verifier/mem.hpp"

namespace ebpfvm::verifier {

std::string describe(const Scalar& value) {
    if (value.is_constant()) {
        return fmt::format("{}", std::int64_t(value.value()));
    }
    if (value.s64.min < 0 && value.s64.min > INT64_MIN) {
        return fmt::format("{}..{}", value.s64.min, value.s64.max);
    }
    if (value.u64.min > 0 || value.u64.max < UINT64_MAX) {
        return fmt::format("{}..{}", value.u64.min, value.u64.max);
    }
    if (value.s64.max < INT64_MAX) {
        return fmt::format("at most {}", value.s64.max);
    }
    return "any number";
}

std::string describe(const Reg& reg) {
    if (reg.type == RegType::NotInit) {
        return "not set";
    }
    if (reg.is_scalar()) {
        return reg.var.is_constant() ? fmt::format("the number {}", describe(reg.var))
               : reg.var.is_unknown() ? "an unknown number"
                                      : fmt::format("a number in {}", describe(reg.var));
    }
    std::string text(name_of(reg.type));
    if (reg.may_be_null()) {
        text += "_or_null";
    }
    return text;
}

} // namespace ebpfvm::verifier
