// Who reads and writes the frame, and which bytes of it.
#pragma once

#include "jit/opt/ir.hpp"

#include <compare>
#include <cstdint>
#include <optional>

namespace ebpfvm::jit::opt {

/// Bytes of the frame, from its upper end.
struct Span {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    [[nodiscard]] bool overlaps(const Span& other) const {
        return begin < other.end && other.begin < end;
    }
    auto operator<=>(const Span&) const = default;
};

/// By a Load or Store at a known place.
struct Access {
    Span span{};
    bool is_load = false;
    bool stores_value = false; ///< no constant
};

class FrameAccesses {
  public:
    explicit FrameAccesses(Function& fn) : fn_(fn) {}

    /// Fills what is below.
    void find();

    [[nodiscard]] bool is_frame(ValueId id) const { return id != 0 && fn_[id].kind == Kind::Frame; }
    [[nodiscard]] Span span_of(const Node& access) const {
        const std::int64_t begin = fn_[access.args[0]].imm + access.imm;
        return {begin, begin + access.size};
    }
    /// What argument `i` of a helper points to, if that is known.
    [[nodiscard]] std::optional<Span> span_of(const Node& call, unsigned i) const;
    [[nodiscard]] bool is_plain_access(const Node& node) const {
        return (node.kind == Kind::Load || node.kind == Kind::Store) && is_frame(node.args[0]) &&
               node.args[1] == 0;
    }

    bool escapes = false; ///< somebody may access all of it
    Vec<Access> accesses{};
    Vec<ValueId> places{}; ///< of those, and calls of helpers, block by block
    Vec<Span> fixed{};     ///< must stay memory
    Vec<Span> reads{};     ///< must be memory while a helper runs

  private:
    void add_access(ValueId id);
    void add_call(ValueId id);
    void pass(const Node& call, unsigned i);
    static bool only_reads(const Node& call, unsigned i);
    [[nodiscard]] std::optional<std::int64_t> bytes_of(const Node& call, unsigned i) const;
    static std::int64_t map_bytes(const Map& map, bool is_key);

    Function& fn_;
};

} // namespace ebpfvm::jit::opt
