// Finds the fields of map values that the kernel's verifier treats specially.
#pragma once

#include "ebpfvm/btf.hpp"
#include "ebpfvm/map.hpp"

#include <cstdint>
#include <vector>

namespace ebpfvm::elf {

/// Searches the types of one object. Work is bounded over the life of the finder, because hostile
/// types can contain a big one again and again.
class FieldFinder {
  public:
    /// Of the types in `btf`, which must outlive this; find() must not be called if it is nullptr.
    explicit FieldFinder(const Btf* btf) : btf_(btf) {}

    /// Appends the special fields of an object of type `id` that lies `off` bytes into the value.
    /// Errors: Errc::LimitExceeded for more than 64 in one value.
    Expected<void> find(std::uint32_t id, std::uint32_t off, std::vector<MapField>& out);

  private:
    Expected<void> find_in_array(std::uint32_t id, std::uint32_t off, std::vector<MapField>& out);
    Expected<void> find_in_struct(std::uint32_t id, std::uint32_t off, std::vector<MapField>& out);
    Expected<void> append(std::string_view kind, std::uint32_t off, std::vector<MapField>& out);

    const Btf* btf_;
    std::uint32_t steps_left_ = 4'000'000;
};

} // namespace ebpfvm::elf
