// Where machine code lies.
#include "jit/native_code.hpp"
#include "support/try.hpp"

#include <sys/mman.h>

namespace ebpfvm::jit {
namespace {

std::unexpected<Error> asmjit_error(asmjit::Error error) {
    return fail(Errc::LimitExceeded, "no machine code: {}",
                asmjit::DebugUtils::errorAsString(error));
}

#define TRY_ASMJIT(expr)                                                                           \
    do {                                                                                           \
        if (const asmjit::Error error_ = (expr); error_ != asmjit::kErrorOk) {                     \
            return asmjit_error(error_);                                                           \
        }                                                                                          \
    } while (false)

// Without the table of addresses that calls cannot reach, if all could.
std::size_t code_size(const asmjit::CodeHolder& holder) {
    const asmjit::Section* far = holder.addressTableSection();
    return far != nullptr && far->virtualSize() == 0 ? holder.textSection()->bufferSize()
                                                     : holder.codeSize();
}

} // namespace

PlacedCode::~PlacedCode() {
    published_ = {}; // before something else can lie there
    if (runtime_ != nullptr) {
        runtime_->release(base_);
    } else if (base_ != nullptr) {
        munmap(base_, size_);
    }
}

Expected<void> PlacedCode::place(asmjit::CodeHolder& holder, asmjit::JitRuntime& runtime) {
    TRY_ASMJIT(runtime.add(&base_, &holder));
    runtime_ = &runtime;
    size_ = code_size(holder);
    return {};
}

Expected<void> PlacedCode::place_apart(asmjit::CodeHolder& holder) {
    TRY_ASMJIT(holder.flatten());
    TRY_ASMJIT(holder.resolveUnresolvedLinks());
    const std::size_t size = holder.codeSize();
    void* pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return asmjit_error(asmjit::kErrorOutOfMemory);
    }
    base_ = pages;
    size_ = size;
    TRY_ASMJIT(holder.relocateToBase(std::uint64_t(reinterpret_cast<std::uintptr_t>(pages))));
    TRY_ASMJIT(holder.copyFlattenedData(pages, size));
    if (mprotect(pages, size, PROT_READ | PROT_EXEC) != 0) {
        return asmjit_error(asmjit::kErrorOutOfMemory);
    }
    return {};
}

Expected<void> PlacedCode::publish(const Publisher& publisher, const CodeMap& map,
                                   const Program* program) {
    TRY_ASSIGN(published_,
               publisher.publish({.code = {base(), size_}, .map = map, .program = program}));
    return {};
}

} // namespace ebpfvm::jit
