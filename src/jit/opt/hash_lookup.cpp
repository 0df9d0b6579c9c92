#include "jit/opt/hash_lookup.hpp"

#include "jit/abi.hpp"
#include "maps/element_pool.hpp"
#include "maps/key.hpp"

#include <array>
#include <cstddef>

namespace ebpfvm::jit::opt {
namespace {

using maps::Element;
using maps::HashView;
namespace element_state = maps::element_state;

// Longer keys are hashed and compared in a loop of C++.
constexpr std::uint32_t kMaxInlineKey = 16;

// HashMap::find() for one map. What nearly always happens, that the first element of the chain is
// the one or that there is none, needs no loop; for all else the search begins again, in blocks
// behind the function.
class HashLookupWriter {
  public:
    HashLookupWriter(Writer& to, const HashView& view) : to_(to), view_(view) {}

    ValueId run(ValueId key) {
        read_key(key);
        bucket_ = bucket_of(hash());
        missing_ = to_.fn().add_block();
        search_ = to_.fn().add_block();
        behind_ = to_.fn().add_block();
        look_at_first();
        is_cold_ = true;
        search();
        to_.start_block(missing_);
        leave_with(to_.constant(0));
        to_.start_block(behind_);
        return to_.phi_of(results_);
    }

  private:
    // The key as words, as BasicKey has them.
    void read_key(ValueId at) {
        std::uint32_t off = 0;
        for (; view_.key_size - off >= maps::kWord; off += std::uint32_t(maps::kWord)) {
            key_.push_back(to_.load_at(at, off, maps::kWord));
        }
        ValueId last = 0;
        unsigned shift = 0;
        for (const unsigned size : {4U, 2U, 1U}) {
            if ((view_.key_size & size) == 0) {
                continue;
            }
            const ValueId piece =
                to_.emit(Kind::Shl, Width::W64, to_.load_at(at, off, size), to_.constant(shift));
            last = last == 0 ? piece : to_.emit(Kind::Or, Width::W64, last, piece);
            off += size;
            shift += 8 * size;
        }
        if (last != 0) {
            key_.push_back(last);
        }
    }

    // BasicKey::hash(), of which 32 bits count.
    ValueId hash() {
        const ValueId multiplier = to_.constant(std::int64_t(maps::kHashMultiplier));
        const ValueId seed = to_.constant(std::int64_t(view_.seed));
        ValueId state = 0;
        for (const ValueId word : key_) {
            const ValueId salt = state == 0 ? seed : to_.emit(Kind::Add, Width::W64, state, seed);
            const ValueId mixed = to_.emit(Kind::Xor, Width::W64, word, salt);
            state =
                to_.emit(Kind::Xor, Width::W64, to_.emit(Kind::Mul, Width::W64, mixed, multiplier),
                         to_.emit(Kind::MulHigh, Width::W64, mixed, multiplier));
        }
        return state;
    }
    ValueId bucket_of(ValueId hash) {
        const ValueId index =
            to_.emit(Kind::And, Width::W64, hash, to_.constant(view_.bucket_mask));
        return item(index, sizeof(std::uint64_t), view_.buckets);
    }

    void look_at_first() {
        const ValueId seen = load(bucket_, 0, 8);
        const ValueId number = first_of(seen);
        const BlockId has_some = to_.fn().add_block();
        to_.branch(Cond::Eq, Width::W64, number, to_.constant(0), missing_, has_some);
        start(has_some);
        const ValueId element = element_of(number);
        compare(element, search_);
        verify(seen);
        found(number, element);
    }

    void search() {
        start(search_);
        const ValueId seen = load(bucket_, 0, 8);
        const ValueId first = first_of(seen);
        const BlockId chain = to_.fn().add_block();
        const BlockId advance = to_.fn().add_block();
        const BlockId end = to_.fn().add_block();
        to_.branch(Cond::Eq, Width::W64, first, to_.constant(0), missing_, chain);

        start(chain);
        const ValueId number = to_.open_phi();
        const ValueId element = element_of(number);
        compare(element, advance);
        verify(seen);
        found(number, element);

        start(advance);
        const ValueId next = load(element, part(offsetof(Element, next)), 4);
        to_.fn().set_list(to_.fn()[number], std::array{first, next});
        to_.branch(Cond::Ne, Width::W64, next, to_.constant(0), chain, end);
        start(end);
        verify(seen);
        to_.jump_to(missing_);
    }

    // Goes on if the element has the key.
    void compare(ValueId element, BlockId otherwise) {
        for (std::size_t i = 0; i < key_.size(); ++i) {
            const ValueId word =
                load(element, part(sizeof(Element) + i * maps::kWord), maps::kWord);
            go_on_if(Cond::Eq, Width::W64, word, key_[i], otherwise);
        }
    }

    // Goes on if no element has left the chain since the bucket was `seen`: then what was found, or
    // not, is true.
    void verify(ValueId seen) {
        const ValueId before = to_.emit(Kind::Shr, Width::W64, seen, to_.constant(32));
        go_on_if(Cond::Eq, Width::W32, load(bucket_, 4, 4), before, search_);
    }

    void found(ValueId number, ValueId element) {
        if (view_.is_lru) {
            mark_referenced(element);
        }
        ValueId value = element;
        if (view_.is_per_cpu) {
            value = item(number, view_.value_stride, view_.values);
        }
        if (view_.cpu_stride != 0) {
            const ValueId copy = to_.emit(Kind::Mul, Width::W64, to_.state_field(offsets::kCpu, 4),
                                          to_.constant(std::int64_t(view_.cpu_stride)));
            value = to_.emit(Kind::Add, Width::W64, value, copy);
        }
        leave_with(value);
    }

    // HashMap::mark_referenced().
    void mark_referenced(ValueId element) {
        const auto at = part(offsetof(Element, state));
        const ValueId live = to_.constant(element_state::kLive);
        const BlockId mark = to_.fn().add_block();
        const BlockId done = to_.fn().add_block();
        to_.branch(Cond::Eq, Width::W64, load(element, at, 8), live, mark, done);
        to_.start_cold_block(mark);
        Node exchange;
        exchange.kind = Kind::CompareExchange;
        exchange.size = 8;
        exchange.args = {element, 0, to_.constant(element_state::kReferenced), live};
        exchange.imm = at;
        to_.append(exchange);
        to_.jump_to(done);
        start(done);
    }

    // The address that stands for an element: of its value, which is the result, if there is one
    // copy; else where it begins.
    ValueId element_of(ValueId number) { return item(number, view_.element_stride, element_0()); }
    [[nodiscard]] std::uint64_t element_0() const {
        return view_.is_per_cpu ? view_.elements : view_.values;
    }
    // From there to a part of it.
    [[nodiscard]] std::int64_t part(std::size_t off) const {
        return std::int64_t(off) - std::int64_t(element_0() - view_.elements);
    }

    ValueId item(ValueId number, std::uint64_t stride, std::uint64_t first) {
        const ValueId off =
            to_.emit(Kind::Mul, Width::W64, number, to_.constant(std::int64_t(stride)));
        return to_.emit(Kind::Add, Width::W64, off, to_.constant(std::int64_t(first)));
    }
    ValueId first_of(ValueId bucket) { return to_.emit(Kind::Zext, Width::W64, bucket, 0, 4); }
    // Nothing moves across what is loaded here: others write the map at the same time.
    ValueId load(ValueId base, std::int64_t off, unsigned size) {
        return to_.load_at(base, off, size, true);
    }

    void start(BlockId block) {
        if (is_cold_) {
            to_.start_cold_block(block);
        } else {
            to_.start_block(block);
        }
    }
    void go_on_if(Cond cond, Width width, ValueId a, ValueId b, BlockId otherwise) {
        const BlockId next = to_.fn().add_block();
        to_.branch(cond, width, a, b, next, otherwise);
        start(next);
    }
    void leave_with(ValueId result) {
        to_.jump_to(behind_);
        results_.push_back(result);
    }

    Writer& to_;
    const HashView& view_;
    Vec<ValueId> key_{};
    ValueId bucket_ = 0; // address
    BlockId missing_ = 0;
    BlockId search_ = 0;
    BlockId behind_ = 0;
    Vec<ValueId> results_{}; // by the jumps to behind_
    bool is_cold_ = false;
};

} // namespace

bool is_inlined(const exec::HashLookup& lookup) {
    return lookup.view.key_size <= kMaxInlineKey;
}

bool needs_state(const exec::HashLookup& lookup) {
    return lookup.view.cpu_stride != 0 || !is_inlined(lookup);
}

ValueId write_hash_lookup(Writer& to, const exec::HashLookup& lookup, ValueId key) {
    return HashLookupWriter(to, lookup.view).run(key);
}

} // namespace ebpfvm::jit::opt
