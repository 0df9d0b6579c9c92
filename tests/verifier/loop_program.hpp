// Random programs full of loops: nested, with counters in registers and on the stack that move by
// varying amounts, or on some paths only, with several exits of all kinds, through functions and
// callbacks. As text, a line per insn or label. The same seed gives the same program.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace ebpfvm::test {

struct LoopProgram {
    std::vector<std::string> lines{};
    bool may_goto = false; ///< such loops end after 8 million turns at the latest
};

/// What the program computes with are r6 to r9 and five numbers on its stack; what it reads is the
/// value of map 0, 64 bytes, which it does not change.
class LoopGenerator {
  public:
    explicit LoopGenerator(std::uint64_t seed) : rng_(seed) {}

    LoopProgram make() {
        has_function_ = chance(25);
        has_callback_ = chance(25);
        may_goto_ = chance(4);
        for (unsigned slot = 1; slot <= kSlots; ++slot) {
            emit("*(u64 *)(r10 -{}) = {}", 8 * slot, below(4));
        }
        for (unsigned r = 6; r < 10; ++r) {
            set(r);
        }
        is_entry_ = true;
        block(1 + below(2), 0);
        loop(0);
        block(below(3), 0);
        finish();
        is_entry_ = false;
        if (has_function_) {
            function();
        }
        if (has_callback_) {
            callback();
        }
        return std::move(program_);
    }

  private:
    static constexpr unsigned kSlots = 5;

    struct Loop {
        std::string head;
        std::string exit;
    };

    unsigned below(std::size_t limit) { return unsigned(rng_() % limit); }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class T, std::size_t N>
    T pick(const T (&from)[N]) {
        return from[below(N)];
    }
    template <class... Args>
    void emit(fmt::format_string<Args...> format, Args&&... args) {
        program_.lines.push_back(fmt::format(format, std::forward<Args>(args)...));
    }
    std::string label() { return fmt::format("l{}", labels_++); }
    void place(const std::string& name) { program_.lines.push_back(name + ":"); }
    void finish() {
        emit("r0 = 0");
        emit("exit");
    }
    unsigned reg() { return 6 + below(4); }
    int slot() { return 8 * int(1 + below(kSlots)); }
    char bank() { return chance(70) ? 'r' : 'w'; }

    void function() {
        place("fa");
        for (unsigned r = 6; r < 10; ++r) {
            emit("r{} = {}", r, below(5));
        }
        for (unsigned slot = 1; slot <= kSlots; ++slot) {
            emit("*(u64 *)(r10 -{}) = r1", 8 * slot);
        }
        loops_.clear();
        loop(1);
        emit("r0 = r{}", reg());
        emit("exit");
    }

    // Gets the numbers of the entry's stack.
    void callback() {
        place("each");
        for (unsigned r = 6; r < 10; ++r) {
            emit("r{} = *(u64 *)(r2 {:+})", r, 8 * int(below(kSlots)));
        }
        emit("*(u64 *)(r10 -48) = r2");
        for (unsigned slot = 1; slot <= kSlots; ++slot) {
            emit("*(u64 *)(r10 -{}) = 1", 8 * slot);
        }
        loops_.clear();
        if (chance(30)) {
            loop(1);
        } else {
            block(1 + below(3), 2);
        }
        emit("r2 = *(u64 *)(r10 -48)");
        for (unsigned i = 0; i < 1 + below(2); ++i) {
            emit("*(u64 *)(r2 {:+}) = r{}", 8 * int(below(kSlots)), reg());
        }
        const std::string stop = label();
        condition(stop);
        finish();
        place(stop);
        emit("r0 = {}", below(2));
        emit("exit");
    }

    // Numbers.

    int small() {
        static constexpr int kSmall[] = {0,  1,  1,  2,  3,  4,  5,  7,  8,  10, 15,
                                         16, 20, 31, 40, 63, 64, 99, -1, -2, -3, -10};
        return pick(kSmall);
    }
    void set(unsigned r) {
        if (chance(55)) {
            emit("r{} = {}", r, small());
            return;
        }
        static constexpr const char* kTypes[] = {"u8", "u16", "u32", "u64", "s8", "s32"};
        static constexpr unsigned kMasks[] = {1, 3, 7, 15, 31, 60};
        emit("r{} = map_value(0, 0) ll", r);
        emit("r{0} = *({1} *)(r{0} {2:+})", r, pick(kTypes), 8 * int(below(8)));
        if (chance(80)) {
            emit("{}{} &= {}", bank(), r, pick(kMasks));
        }
    }
    void step(unsigned r) {
        static constexpr int kSteps[] = {1, 1, 1, 1, 2, 3, 7, -1, -1, -2};
        switch (below(14)) {
        case 0:
            emit("{}{} <<= 1", bank(), r);
            return;
        case 1:
            emit("{}{} >>= 1", bank(), r);
            return;
        case 2:
            emit("{}{} ^= {}", bank(), r, small());
            return;
        case 3:
            emit("{}{} &= {}", bank(), r, pick({15, 31, 63, 255, -2}));
            return;
        case 4: {
            const char b = bank();
            emit("{}{} {} {}{}", b, r, chance(60) ? "+=" : "-=", b, reg());
            return;
        }
        case 5:
            emit("{}{} *= {}", bank(), r, 1 + below(3));
            return;
        case 6:
            emit("r{} = -r{}", r, r);
            return;
        default:
            emit("{}{} += {}", bank(), r, pick(kSteps));
            return;
        }
    }
    template <class T>
    T pick(std::initializer_list<T> from) {
        return from.begin()[below(from.size())];
    }

    void condition(const std::string& to) {
        static constexpr const char* kOps[] = {"==", "!=", "!=",  ">",  ">=",  "<",
                                               "<=", "s>", "s>=", "s<", "s<=", "&"};
        const char b = bank();
        const unsigned r = reg();
        if (chance(75)) {
            emit("if {}{} {} {} goto {}", b, r, pick(kOps), small(), to);
        } else {
            emit("if {}{} {} {}{} goto {}", b, r, pick(kOps), b, reg(), to);
        }
    }

    void block(unsigned count, unsigned depth) {
        for (unsigned i = 0; i < count; ++i) {
            statement(depth);
        }
    }

    void statement(unsigned depth) {
        switch (below(16)) {
        case 0:
            return set(reg());
        case 1:
            return emit("{0}{1} = {0}{2}", bank(), reg(), reg());
        case 2:
        case 3: {
            const unsigned bits = pick({64U, 64U, 64U, 32U, 8U});
            return emit("*(u{} *)(r10 -{}) = r{}", bits, slot(), reg());
        }
        case 4:
        case 5: {
            const unsigned bits = pick({64U, 64U, 64U, 32U, 8U});
            return emit("r{} = *(u{} *)(r10 -{})", reg(), bits, slot());
        }
        case 6:
        case 7: { // on some paths only
            const std::string skip = label();
            condition(skip);
            block(1 + below(2), depth + 1);
            return place(skip);
        }
        case 8: { // one of two
            const std::string other = label();
            const std::string end = label();
            condition(other);
            block(1 + below(2), depth + 1);
            emit("goto {}", end);
            place(other);
            block(1 + below(2), depth + 1);
            return place(end);
        }
        case 9:
            if (!loops_.empty()) {
                const Loop& loop = loops_[chance(70) ? loops_.size() - 1 : below(loops_.size())];
                return condition(chance(60) ? loop.exit : loop.head);
            }
            return step(reg());
        case 10:
            if (depth < 2) {
                return loop(depth + 1);
            }
            return step(reg());
        case 11:
            if (has_function_ && is_entry_ && chance(60)) {
                emit("r1 = r{}", reg());
                emit("call fa");
                return emit("r{} = r0", reg());
            }
            if (has_callback_ && is_entry_) {
                return call_back();
            }
            return step(reg());
        default:
            return step(reg());
        }
    }

    void call_back() {
        if (chance(70)) {
            emit("r1 = {}", 1 + below(4));
        } else {
            emit("r1 = r{}", reg());
        }
        emit("r2 = func(each) ll");
        emit("r3 = r10");
        emit("r3 += -{}", 8 * kSlots);
        emit("r4 = 0");
        emit("call 181");
    }

    // A counter that moves as loops' counters do, or nearly.
    void loop(unsigned depth) {
        const Loop names{.head = label(), .exit = label()};
        const unsigned counter = reg();
        const bool is_spilled = chance(35);
        const int home = slot();
        const unsigned shape = below(4);
        const bool goes_up = chance(70);
        if (chance(70)) {
            const int start = goes_up ? int(below(3)) : int(5 + below(60));
            if (is_spilled) {
                emit("*(u64 *)(r10 -{}) = {}", home, start);
            } else {
                emit("r{} = {}", counter, start);
            }
        }
        place(names.head);
        loops_.push_back(names);
        if (may_goto_ && chance(60)) {
            program_.may_goto = true;
            emit("may_goto {}", names.exit);
        }
        const char b = bank();
        const int limit = goes_up ? int(2 + below(60)) : int(below(3));
        static constexpr const char* kUp[] = {">=", ">", "s>=", "s>", "==", ">="};
        static constexpr const char* kDown[] = {"==", "s<=", "s<", "<=", "==", "s<="};
        const char* leaves = goes_up ? pick(kUp) : pick(kDown);
        if (is_spilled && (shape == 0 || chance(50))) {
            emit("r{} = *(u64 *)(r10 -{})", counter, home);
        }
        if (shape == 0) { // while
            emit("if {}{} {} {} goto {}", b, counter, leaves, limit, names.exit);
        }
        block(below(4), depth);
        if (chance(90)) {
            const int by = (goes_up ? 1 : -1) * int(1 + (chance(25) ? below(4) : 0));
            if (is_spilled && chance(80)) {
                emit("r{} = *(u64 *)(r10 -{})", counter, home);
            }
            if (chance(12)) {
                emit("r{} += r{}", counter, reg());
            } else {
                emit("{}{} += {}", chance(80) ? 'r' : 'w', counter, by);
            }
            if (is_spilled) {
                emit("*(u{} *)(r10 -{}) = r{}", chance(85) ? 64 : 32, home, counter);
            }
        }
        if (chance(30)) {
            block(1, depth);
        }
        loops_.pop_back();
        if (shape == 0) {
            emit("goto {}", names.head);
        } else if (shape == 1) { // break
            emit("if {}{} {} {} goto {}", b, counter, leaves, limit, names.exit);
            emit("goto {}", names.head);
        } else if (shape == 2) { // do while
            static constexpr const char* kStays[] = {"!=", "<", "s<", "<=", "s<="};
            static constexpr const char* kStaysDown[] = {"!=", ">", "s>", "s>=", "!="};
            emit("if {}{} {} {} goto {}", b, counter, goes_up ? pick(kStays) : pick(kStaysDown),
                 limit, names.head);
        } else {
            condition(names.head);
        }
        place(names.exit);
    }

    std::mt19937_64 rng_;
    LoopProgram program_{};
    std::vector<Loop> loops_{}; ///< those around the current place
    bool has_function_ = false;
    bool has_callback_ = false;
    bool may_goto_ = false;
    bool is_entry_ = false;
    unsigned labels_ = 0;
};

} // namespace ebpfvm::test
