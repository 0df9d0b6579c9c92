#include "jit/native_code.hpp"

#include "support/try.hpp"

namespace ebpfvm::jit {

Assembling::Assembling(const CodeMemory& memory) : wants_map_(memory.wants_map()) {
    holder_.init(memory.runtime().environment());
    holder_.setErrorHandler(&errors_);
}

void Assembling::ErrorKeeper::handleError(asmjit::Error error, const char*, asmjit::BaseEmitter*) {
    if (first == asmjit::kErrorOk) {
        first = error;
    }
}

Expected<std::shared_ptr<NativeCode>> Assembling::install(exec::Code& code,
                                                          std::shared_ptr<CodeMemory> memory,
                                                          std::span<const asmjit::Label> subprogs,
                                                          const asmjit::Label& run,
                                                          const asmjit::Label& leaf) {
    asmjit::Error error = errors_.first;
    if (error == asmjit::kErrorOk && holder_.hasUnresolvedLinks()) {
        error = asmjit::kErrorInvalidLabel; // a jump that leads nowhere
    }
    if (error != asmjit::kErrorOk) {
        return fail(Errc::LimitExceeded, "no machine code: {}",
                    asmjit::DebugUtils::errorAsString(error));
    }
    auto native = std::make_shared<NativeCode>(memory);
    TRY(memory->install(native->code, holder_, map_, &code.program));
    const auto place_of = [&](const asmjit::Label& label) -> const void* {
        return label.isValid() ? native->code.base() + holder_.labelOffset(label) : nullptr;
    };
    for (const asmjit::Label& entry : subprogs) {
        native->subprogs.push_back(place_of(entry));
    }
    code.native = place_of(run);
    code.native_leaf = reinterpret_cast<std::uint64_t (*)(void*)>(std::uintptr_t(place_of(leaf)));
    code.native_owner = native;
    return native;
}

Listing::Listing() {
    logger_.addFlags(asmjit::FormatFlags::kHexImms | asmjit::FormatFlags::kHexOffsets);
    holder_.init(asmjit::Environment::host());
    holder_.setLogger(&logger_);
}

void Listing::finish_part() {
    if (!parts_.empty()) {
        parts_.back().text.assign(logger_.data(), logger_.dataSize());
    }
    logger_.clear();
}

void Listing::note(std::size_t slot) {
    finish_part();
    parts_.push_back({std::uint32_t(slot), {}});
}

std::vector<SlotCode> Listing::take() {
    finish_part();
    return std::move(parts_);
}

} // namespace ebpfvm::jit
