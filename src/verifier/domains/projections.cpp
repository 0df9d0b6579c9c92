// What each row of tables/domains.def keeps of a number. Tested by domain_laws_test.cpp.
#include "verifier/domains/scalar.hpp"

#include <utility>

namespace ebpfvm::verifier {
namespace {

Scalar keep_Product(const Scalar& s) {
    return s;
}

Scalar keep_Tnum(const Scalar& s) {
    Scalar kept = Scalar::unknown();
    kept.bits = s.bits;
    return kept;
}

Scalar keep_Intervals(const Scalar& s) {
    Scalar kept = s;
    kept.bits = Tnum::unknown();
    return kept;
}

Scalar keep_Constants(const Scalar& s) {
    return s.is_constant() ? s : Scalar::unknown();
}

Scalar keep(const Scalar& s, NumericDomain domain) {
    switch (domain) {
#define EBPFVM_DOMAIN(name, text)                                                                  \
    case NumericDomain::name:                                                                      \
        return keep_##name(s);
#include "ebpfvm/tables/domains.def"
    }
    std::unreachable();
}

} // namespace

Scalar project(const Scalar& s, NumericDomain domain) {
    Scalar kept = keep(s, domain);
    return kept != s && reduce(kept) ? kept : s;
}

} // namespace ebpfvm::verifier
