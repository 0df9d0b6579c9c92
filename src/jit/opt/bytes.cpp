// What may be unaligned, clang's BPF back end loads and stores byte by byte. x86-64 does not mind.
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"

#include <algorithm>
#include <bit>
#include <optional>

namespace ebpfvm::jit::opt {
namespace {

bool clobbers(Kind kind) {
    return kind == Kind::Store || (kind >= Kind::Atomic && kind <= Kind::CompareExchange) ||
           is_call(kind);
}

// A byte of a value: where it was loaded, and which bits of the value it is.
struct Piece {
    ValueId load = 0;
    std::int64_t off = 0; // from the load's base
    unsigned shift = 0;
};

class LoadMerger {
  public:
    explicit LoadMerger(Function& fn)
        : fn_(fn), is_done_(fn.nodes.size(), false), epochs_(fn.nodes.size(), 0) {}

    bool run() {
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].last; id != 0;) {
                const ValueId before = fn_[id].prev;
                if (fn_[id].kind == Kind::Or && id < is_done_.size() && !is_done_[id]) {
                    merge(id);
                }
                id = before;
            }
        }
        return changed_;
    }

  private:
    static constexpr std::size_t kMaxPieces = 16;

    // How many stores and calls come before each load: what lies between two of them. No two blocks
    // have a number in common.
    void number(BlockId block) {
        numbered_ = block;
        ++epoch_;
        for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
            epoch_ += clobbers(fn_[id].kind) || fn_[id].is_ordered ? 1 : 0;
            if (id < epochs_.size()) {
                epochs_[id] = epoch_;
            }
        }
    }

    // The bytes of `value` << `shift`; false if it is not a sum of loads.
    bool collect(ValueId value, unsigned shift, Vec<Piece>& pieces) {
        const Node& node = fn_[value];
        if (pieces.size() > kMaxPieces || shift >= 64) {
            return false;
        }
        switch (node.kind) {
        case Kind::Or:
            if (value < is_done_.size()) {
                parts_.push_back(value);
            }
            return collect(node.args[0], shift, pieces) && collect(node.args[1], shift, pieces);
        case Kind::Shl: {
            if (!fn_.is_const(node.args[1])) {
                return false;
            }
            const auto count = unsigned(fn_.value_of(node.args[1]));
            const unsigned width = node.width == Width::W64 ? 64 : 32;
            return count % 8 == 0 && fn_[node.args[0]].bits + count <= width &&
                   collect(node.args[0], shift + count, pieces);
        }
        case Kind::Bswap: {
            Vec<Piece> inner;
            if (!collect(node.args[0], 0, inner)) {
                return false;
            }
            for (Piece& piece : inner) {
                if (piece.shift / 8 >= node.size) {
                    return false;
                }
                piece.shift = 8U * (node.size - 1U) - piece.shift + shift;
                pieces.push_back(piece);
            }
            return true;
        }
        case Kind::Load:
            if (node.is_signed || node.is_ordered) {
                return false;
            }
            for (unsigned i = 0; i < node.size; ++i) {
                pieces.push_back({value, node.imm + i, shift + 8 * i});
            }
            return true;
        default:
            return false;
        }
    }

    void merge(ValueId root) {
        Vec<Piece> pieces;
        parts_.clear();
        if (!collect(root, 0, pieces) || pieces.size() < 2 || pieces.size() > 8) {
            return;
        }
        std::ranges::sort(pieces, {}, &Piece::shift);
        if (!are_from_one_place(root, pieces)) {
            return;
        }
        const bool is_big_endian = pieces[1].off < pieces[0].off;
        Vec<ValueId> parts;
        for (std::size_t i = 0; i < pieces.size();) {
            std::size_t count = 1;
            while (i + count < pieces.size() &&
                   follows(pieces[i + count - 1], pieces[i + count], is_big_endian)) {
                ++count;
            }
            if (count < pieces.size() && count < 2) {
                return; // no better than it was
            }
            count = std::bit_floor(count);
            parts.push_back(load(root, pieces, i, count, is_big_endian));
            i += count;
        }
        ValueId sum = parts.front();
        for (std::size_t i = 1; i < parts.size(); ++i) {
            sum = insert_simplified(fn_, root, Kind::Or, Width::W64, sum, parts[i]);
        }
        for (const ValueId part : parts_) {
            is_done_[part] = true;
        }
        fn_.replace(root, sum);
        changed_ = true;
    }

    static bool follows(const Piece& low, const Piece& high, bool is_big_endian) {
        return high.shift == low.shift + 8 && high.off == low.off + (is_big_endian ? -1 : 1);
    }

    // One base, loaded here while memory was as it is at the root.
    bool are_from_one_place(ValueId root, const Vec<Piece>& pieces) {
        if (numbered_ != fn_[root].block) {
            number(fn_[root].block);
        }
        const Node& first = fn_[pieces.front().load];
        return std::ranges::all_of(pieces, [&](const Piece& piece) {
            const Node& load = fn_[piece.load];
            return load.args[0] == first.args[0] && load.args[1] == 0 &&
                   piece.load < epochs_.size() && epochs_[piece.load] == epochs_[root];
        });
    }

    ValueId load(ValueId root, const Vec<Piece>& pieces, std::size_t at, std::size_t count,
                 bool is_big_endian) {
        const Piece& lowest = pieces[at];
        Node node;
        node.kind = Kind::Load;
        node.size = std::uint8_t(count);
        node.args = {fn_[lowest.load].args[0], 0, 0, 0};
        node.imm = is_big_endian ? lowest.off - std::int64_t(count) + 1 : lowest.off;
        ValueId value = insert_simplified(fn_, root, node);
        if (is_big_endian && count > 1) {
            value =
                insert_simplified(fn_, root, Kind::Bswap, Width::W64, value, 0, unsigned(count));
        }
        return lowest.shift == 0 ? value
                                 : insert_simplified(fn_, root, Kind::Shl, Width::W64, value,
                                                     fn_.constant(lowest.shift));
    }

    Function& fn_;
    Vec<bool> is_done_;         // Ors that are part of what was merged
    Vec<ValueId> parts_{};      // Ors below the current root
    Vec<std::uint32_t> epochs_; // of what was there at the beginning
    std::uint32_t epoch_ = 0;
    BlockId numbered_ = kNoBlock;
    bool changed_ = false;
};

class StoreMerger {
  public:
    explicit StoreMerger(Function& fn) : fn_(fn) {}

    bool run() {
        for (const BlockId block : fn_.layout) {
            pending_.clear();
            first_epoch_ = ++epoch_;
            for (ValueId id = fn_.blocks[block].first; id != 0;) {
                const ValueId next = fn_[id].next;
                visit(id);
                id = next;
            }
        }
        return changed_;
    }

  private:
    // What is stored: bytes of `source` from bit `shift` on.
    struct Part {
        ValueId source = 0;
        unsigned shift = 0;
    };

    void visit(ValueId id) {
        const Node& node = fn_[id];
        if (node.kind == Kind::Store && !node.is_ordered && node.args[1] == 0) {
            ++epoch_;
            std::erase_if(pending_, [&](ValueId other) { return !is_apart(id, other); });
            merge(id);
        } else if (node.kind == Kind::Load) {
            note_epoch(id, epoch_);
            if (node.is_ordered) {
                pending_.clear();
            } else {
                std::erase_if(pending_, [&](ValueId other) { return !is_apart(id, other); });
            }
        } else if (clobbers(node.kind)) {
            ++epoch_;
            pending_.clear();
        }
    }

    // Do the two certainly access other bytes?
    [[nodiscard]] bool is_apart(ValueId a, ValueId b) const {
        const Node& one = fn_[a];
        const Node& two = fn_[b];
        return one.args[0] == two.args[0] && one.args[1] == 0 && two.args[1] == 0 &&
               (one.imm + one.size <= two.imm || two.imm + two.size <= one.imm);
    }

    void merge(ValueId id) {
        for (bool again = true; again;) {
            again = false;
            for (std::size_t i = pending_.size(); i-- > 0;) {
                if (unite(pending_[i], id)) {
                    fn_.remove(pending_[i]);
                    pending_.erase(pending_.begin() + std::ptrdiff_t(i));
                    again = changed_ = true;
                    break;
                }
            }
        }
        pending_.push_back(id);
    }

    // Makes the later store write what the earlier one does, too.
    bool unite(ValueId earlier, ValueId later) {
        const Node first = fn_[earlier];
        const Node second = fn_[later];
        if (first.size != second.size || first.size == 8) {
            return false;
        }
        const bool is_upward = first.imm + first.size == second.imm;
        if (!is_upward && second.imm + second.size != first.imm) {
            return false;
        }
        const ValueId low = (is_upward ? first : second).args[2]; // at the lower address
        const ValueId high = (is_upward ? second : first).args[2];
        const ValueId value = join(later, low, high, first.size);
        if (value == 0) {
            return false;
        }
        Node& store = fn_[later];
        store.args[2] = value;
        store.imm = std::min(first.imm, second.imm);
        store.size = std::uint8_t(2 * first.size);
        return true;
    }

    // One value of twice the size, or 0.
    ValueId join(ValueId place, ValueId low, ValueId high, unsigned size) {
        if (fn_.is_const(low) && fn_.is_const(high)) {
            const std::uint64_t mask = (std::uint64_t{1} << (8 * size)) - 1;
            return fn_.constant((fn_.value_of(low) & mask) | (fn_.value_of(high) & mask)
                                                                 << (8 * size));
        }
        if (const ValueId load = join_loads(low, high, size); load != 0) {
            return load;
        }
        const Part a = part_of(low);
        const Part b = part_of(high);
        const unsigned step = 8 * size;
        if (a.source != b.source || a.source == 0) {
            return 0;
        }
        if (b.shift == a.shift + step) {
            return shifted(place, a);
        }
        if (a.shift == b.shift + step && size == 1) { // big-endian
            return insert_simplified(fn_, place, Kind::Bswap, Width::W64, shifted(place, b), 0, 2);
        }
        return 0;
    }

    ValueId join_loads(ValueId low, ValueId high, unsigned size) {
        const Node a = fn_[low];
        const Node b = fn_[high];
        const auto is_plain = [size](const Node& node) {
            return node.kind == Kind::Load && node.size == size && !node.is_ordered &&
                   node.args[1] == 0;
        };
        const std::uint32_t at_a = epoch_of(low);
        if (!is_plain(a) || !is_plain(b) || a.args[0] != b.args[0] || b.imm != a.imm + size ||
            at_a < first_epoch_ || at_a != epoch_of(high)) {
            return 0;
        }
        Node wide = a;
        wide.size = std::uint8_t(2 * size);
        wide.is_signed = false;
        const ValueId place = is_before(low, high) ? high : low;
        const ValueId made = insert_simplified(fn_, place, wide);
        note_epoch(made, at_a);
        return made;
    }
    // 0: it is no load that was seen.
    [[nodiscard]] std::uint32_t epoch_of(ValueId id) const {
        return id < epochs_.size() ? epochs_[id] : 0;
    }
    void note_epoch(ValueId id, std::uint32_t epoch) {
        if (id >= epochs_.size()) {
            epochs_.resize(fn_.nodes.size() + 1, 0);
        }
        epochs_[id] = epoch;
    }
    [[nodiscard]] bool is_before(ValueId a, ValueId b) const {
        ValueId behind_a = a;
        ValueId behind_b = b;
        while (behind_a != b && behind_b != a) { // mostly, they are close
            if (behind_a == 0 || behind_b == 0) {
                return behind_b == 0;
            }
            behind_a = fn_[behind_a].next;
            behind_b = fn_[behind_b].next;
        }
        return behind_a == b;
    }

    [[nodiscard]] Part part_of(ValueId value) const {
        const Node& node = fn_[value];
        if (node.kind == Kind::Shr && fn_.is_const(node.args[1])) {
            const auto shift = unsigned(fn_.value_of(node.args[1]));
            if (shift % 8 == 0 && (node.width == Width::W64 || fn_[node.args[0]].bits <= 32)) {
                return {node.args[0], shift};
            }
        }
        return {value, 0};
    }

    ValueId shifted(ValueId place, const Part& part) {
        return part.shift == 0 ? part.source
                               : insert_simplified(fn_, place, Kind::Shr, Width::W64, part.source,
                                                   fn_.constant(part.shift));
    }
    Function& fn_;
    Vec<ValueId> pending_{};      // stores that nothing has come between
    Vec<std::uint32_t> epochs_{}; // of loads: how many stores and calls come before them
    std::uint32_t epoch_ = 0;
    std::uint32_t first_epoch_ = 0; // of the block
    bool changed_ = false;
};

} // namespace

bool merge_bytes(Function& fn) {
    const bool loads = LoadMerger(fn).run();
    if (loads) {
        fn.resolve_all();
    }
    const bool stores = StoreMerger(fn).run();
    return loads || stores;
}

} // namespace ebpfvm::jit::opt
