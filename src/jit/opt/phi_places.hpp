// Where ways meet that may bring different values of a variable.
#pragma once

#include "jit/opt/ir.hpp"

#include <cstdint>
#include <utility>

namespace ebpfvm::jit::opt {

struct PhiPlace {
    BlockId block = 0;
    std::uint32_t var = 0;
    std::uint32_t next = 0; ///< of the same block; 0: none
};

class PhiPlaces {
  public:
    explicit PhiPlaces(const Function& fn) : fn_(fn) {}

    /// From the blocks that change each variable: (variable, block), sorted here. False if there
    /// are too many places to look at.
    [[nodiscard]] bool find(Vec<std::pair<std::uint32_t, BlockId>>& stores);

    Vec<std::uint32_t> first_in{}; ///< by block: into `places`
    Vec<PhiPlace> places{};        ///< from 1 on

  private:
    struct Frontier {
        BlockId block = 0;
        std::uint32_t next = 0; // of the same list; 0: none
    };
    static constexpr std::uint32_t kNoVar = ~std::uint32_t{0};
    static constexpr std::size_t kFewPhis = 4096;
    static constexpr std::size_t kMaxPhisPerBlock = 8;

    bool find_frontiers();

    const Function& fn_;
    Vec<std::uint32_t> first_frontier_{}; // by block
    Vec<Frontier> frontiers_{};
};

} // namespace ebpfvm::jit::opt
