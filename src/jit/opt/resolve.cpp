#include "jit/opt/resolve.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

class Resolver {
  public:
    Resolver(const Function& fn, const Lifetimes& lifetimes, Allocation& out)
        : fn_(fn), lifetimes_(lifetimes), out_(out) {}

    void run() {
        find_places();
        connect_blocks();
        sort_block_moves();
    }

  private:
    [[nodiscard]] Place place_of(const Interval& interval) const {
        if (interval.reg != kNoReg) {
            return {Place::Kind::Reg, interval.reg};
        }
        if (is_remade(fn_, interval.value)) {
            return {Place::Kind::Const, interval.value};
        }
        return {Place::Kind::Slot, out_.slot_of(interval.value)};
    }

    void find_places() {
        for (std::uint32_t i = 1; i <= lifetimes_.whole_count; ++i) {
            const Interval& whole = lifetimes_.intervals[i];
            if (whole.next == 0) {
                out_.places[whole.value] = place_of(whole);
            } else {
                add_pieces(i);
                split_.push_back(i);
            }
        }
        std::ranges::stable_sort(out_.moves, {}, &Move::at);
    }

    void add_pieces(std::uint32_t index) {
        out_.places[lifetimes_.intervals[index].value] = {Place::Kind::Split,
                                                          std::uint32_t(out_.split.size())};
        auto& pieces = out_.split.emplace_back();
        for (std::uint32_t i = index; i != 0; i = lifetimes_.intervals[i].next) {
            const Interval& piece = lifetimes_.intervals[i];
            pieces.push_back({piece.to, place_of(piece)});
            if (piece.next == 0) {
                continue;
            }
            const Interval& next = lifetimes_.intervals[piece.next];
            const Place to = place_of(next);
            if (next.from == piece.to && to.kind == Place::Kind::Reg && to != place_of(piece) &&
                !is_block_begin(next.from)) {
                out_.moves.push_back({next.from, place_of(piece), to});
            }
        }
    }

    // The first block of lifetimes_.order that begins at or behind `at`.
    [[nodiscard]] auto block_behind(Position at) const {
        return std::ranges::lower_bound(lifetimes_.order, at, {},
                                        [&](BlockId id) { return out_.block_begin[id]; });
    }

    [[nodiscard]] bool is_block_begin(Position at) const {
        const auto found = block_behind(at);
        return found != lifetimes_.order.end() && out_.block_begin[*found] == at;
    }

    void connect_blocks() {
        for (const std::uint32_t index : split_) {
            connect_split(lifetimes_.intervals[index]);
        }
        for (const BlockId block : lifetimes_.order) {
            for (ValueId id = fn_.blocks[block].first; id != 0 && fn_[id].kind == Kind::Phi;
                 id = fn_[id].next) {
                const Place to = out_.made_in(id);
                const auto values = fn_.list(fn_[id]);
                for (std::size_t i = 0; i < values.size(); ++i) {
                    const BlockId pred = fn_.blocks[block].preds[i];
                    connect(pred, block, out_.place_of(values[i], out_.block_end[pred] - 1), to);
                }
            }
        }
    }

    // On all edges on which it is live.
    void connect_split(const Interval& whole) {
        const ValueId id = whole.value;
        for (std::uint32_t i = whole.first_range; i < whole.last_range; ++i) {
            const Lifetimes::Range& range = lifetimes_.ranges[i];
            for (auto next = block_behind(range.from);
                 next != lifetimes_.order.end() && out_.block_begin[*next] < range.to; ++next) {
                const BlockId block = *next;
                const Place to = out_.place_of(id, out_.block_begin[block]);
                if (block == fn_[id].block || to.kind == Place::Kind::Slot) {
                    continue; // it was stored when it was made
                }
                for (const BlockId pred : fn_.blocks[block].preds) {
                    connect(pred, block, out_.place_of(id, out_.block_end[pred] - 1), to);
                }
            }
        }
    }

    void connect(BlockId pred, BlockId block, const Place& from, const Place& to) {
        if (from == to || to.kind == Place::Kind::Const) {
            return;
        }
        if (fn_[fn_.blocks[pred].last].kind == Kind::Jump) {
            block_moves_.emplace_back(2 * pred + 1, Move{out_.block_end[pred], from, to});
        } else {
            block_moves_.emplace_back(2 * block, Move{out_.block_begin[block], from, to});
        }
    }

    // By what they are numbered with; they stay in order otherwise.
    void sort_block_moves() {
        Vec<std::uint32_t>& first = out_.first_block_move;
        first.assign(2 * fn_.blocks.size() + 2, 0);
        for (const auto& [number, move] : block_moves_) {
            ++first[number + 2];
        }
        std::partial_sum(first.begin(), first.end(), first.begin());
        out_.block_moves.resize(block_moves_.size());
        for (const auto& [number, move] : block_moves_) {
            out_.block_moves[first[number + 1]++] = move;
        }
    }

    const Function& fn_;
    const Lifetimes& lifetimes_;
    Allocation& out_;
    Vec<std::uint32_t> split_{}; // first pieces of values that change their place
    Vec<std::pair<std::size_t, Move>> block_moves_{}; // 2 * block: at its begin; + 1: at its end
};

} // namespace

void resolve(const Function& fn, const Lifetimes& lifetimes, Allocation& allocation) {
    Resolver(fn, lifetimes, allocation).run();
}

} // namespace ebpfvm::jit::opt
