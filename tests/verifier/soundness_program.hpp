// Random programs that the verifier accepts often, though not always: structured, with bounded
// loops, spills of all widths, computed offsets into maps, stack and packet, null checks and calls.
// As text, a line per insn or label, so that lines can be taken out. The same seed gives the same
// program.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace ebpfvm::test {

/// The maps of every such program, as bpft: numbered from 0.
inline constexpr const char* kSoundnessMaps = "map 0 type=2 key=4 value=64 max=1\n"
                                              "map 1 type=1 key=4 value=24 max=8\n"
                                              "map 2 type=2 key=4 value=40 max=4\n";

/// A place in a program where a register of the entry function holds a number: before `line`.
struct NumberAt {
    std::size_t line = 0;
    unsigned reg = 0;
};

struct SoundnessProgram {
    std::vector<std::string> lines{};
    std::vector<NumberAt> numbers{};
};

class SoundnessGenerator {
  public:
    explicit SoundnessGenerator(std::uint64_t seed) : rng_(seed) {}

    SoundnessProgram make() {
        has_functions_ = chance(40);
        kinds_.fill(Kind::None);
        emit("*(u64 *)(r10 -8) = r1");
        for (unsigned r = 6; r < 10; ++r) {
            if (chance(70)) {
                set_number(r);
            }
        }
        block(3 + below(14), 0);
        finish("out");
        if (has_functions_) {
            is_entry_ = false;
            function("fa", Kind::Value);
            function("fb", Kind::Stack);
            callback("fc");
        }
        return std::move(program_);
    }

  private:
    enum class Kind : std::uint8_t { None, Number, Value, Stack, Packet, Element };
    using Kinds = std::array<Kind, 10>;

    unsigned below(std::size_t limit) { return unsigned(rng_() % limit); }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class T, std::size_t N>
    T pick(const T (&from)[N]) {
        return from[below(N)];
    }

    template <class... Args>
    void emit(fmt::format_string<Args...> format, Args&&... args) {
        if (is_entry_ && chance(25)) {
            const unsigned r = below(10);
            if (kinds_[r] == Kind::Number) {
                program_.numbers.push_back({program_.lines.size(), r});
            }
        }
        program_.lines.push_back(fmt::format(format, std::forward<Args>(args)...));
    }
    std::string label() { return fmt::format("l{}", labels_++); }
    void place(const std::string& name) { program_.lines.push_back(name + ":"); }

    void finish(const std::string& name) {
        place(name);
        program_.lines.push_back("r0 = 0");
        program_.lines.push_back("exit");
    }

    void function(const std::string& name, Kind third) {
        kinds_.fill(Kind::None);
        kinds_[1] = kinds_[2] = Kind::Number;
        kinds_[3] = third;
        place(name);
        out_ = name + "_out";
        block(2 + below(6), 1);
        const unsigned r = number();
        emit("r0 = r{}", r);
        emit("exit");
        finish(out_);
    }

    // What bpf_loop() calls.
    void callback(const std::string& name) {
        kinds_.fill(Kind::None);
        kinds_[1] = Kind::Number;
        kinds_[2] = Kind::Stack;
        place(name);
        out_ = name + "_out";
        block(2 + below(6), 1);
        emit("r0 = r{}", number());
        emit("r0 &= 1");
        emit("exit");
        finish(out_);
    }

    // Numbers.

    std::int64_t small() {
        static constexpr std::int64_t kSmall[] = {0,  1,  2,  3,  4,  7,  8,  15, 16, 24, 31, 32,
                                                  39, 40, 47, 55, 56, 60, 63, 64, 65, -1, -2, -8};
        return pick(kSmall);
    }
    std::int64_t imm() {
        switch (below(4)) {
        case 0:
            return std::int32_t(rng_());
        case 1:
            return std::int32_t((std::uint32_t{1} << below(32)) - below(3) + 1);
        default:
            return small();
        }
    }
    std::uint64_t wide() {
        return below(2) == 0 ? (std::uint64_t{1} << below(64)) - below(3) + 1 : rng_();
    }

    void set_number(unsigned r) {
        switch (below(6)) {
        case 0:
            emit("r{} = {}", r, imm());
            break;
        case 1:
            emit("r{} = {} ll", r, std::int64_t(wide()));
            break;
        case 2:
            emit("r{} = *(u{} *)(r10 -{})", r, 64, 8 * (4 + below(12)));
            break;
        default:
            emit("r{} = map_value(0, 0) ll", r);
            load(r, r, below(57));
            break;
        }
        kinds_[r] = Kind::Number;
    }
    void load(unsigned dst, unsigned base, int off) {
        static constexpr const char* kTypes[] = {"u8",  "u16", "u32", "u64",
                                                 "u64", "s8",  "s16", "s32"};
        emit("r{} = *({} *)(r{} {:+})", dst, pick(kTypes), base, off);
        kinds_[dst] = Kind::Number;
    }
    unsigned reg_of(Kind kind) {
        const unsigned start = below(10);
        for (unsigned i = 0; i < 10; ++i) {
            if (kinds_[(start + i) % 10] == kind) {
                return (start + i) % 10;
            }
        }
        return 10;
    }
    unsigned number() {
        const unsigned r = reg_of(Kind::Number);
        if (r < 10) {
            return r;
        }
        const unsigned made = below(10);
        set_number(made);
        return made;
    }

    void arithmetic() {
        static constexpr const char* kOps[] = {"+=",  "+=",  "-=", "*=", "/=",  "|=",  "&=",  "&=",
                                               "<<=", ">>=", "%=", "^=", "s/=", "s%=", "s>>="};
        const unsigned dst = number();
        const char bank = chance(60) ? 'r' : 'w';
        const std::string op = pick(kOps);
        if (chance(40)) {
            emit("{}{} {} {}{}", bank, dst, op, bank, number());
            return;
        }
        std::int64_t value = imm();
        if (op.find("<<") != std::string::npos || op.find(">>") != std::string::npos) {
            value = below(bank == 'r' ? 64 : 32);
        } else if ((op.find('/') != std::string::npos || op.find('%') != std::string::npos) &&
                   value == 0) {
            value = 57;
        }
        emit("{}{} {} {}", bank, dst, op, value);
    }

    void move() {
        const unsigned src = number();
        const unsigned dst = below(10);
        switch (below(7)) {
        case 0:
            emit("w{} = w{}", dst, src);
            break;
        case 1:
            emit("r{} = (s{})r{}", dst, 8U << below(3), src);
            break;
        case 2:
            emit("w{} = (s{})w{}", dst, 8U << below(2), src);
            break;
        default:
            emit("r{} = r{}", dst, src);
            break;
        }
        kinds_[dst] = Kind::Number;
        if (chance(20)) {
            emit("{}{} += {}", chance(70) ? 'r' : 'w', dst, small());
        }
    }

    void change() {
        const unsigned dst = number();
        switch (below(3)) {
        case 0:
            emit("r{} = -r{}", dst, dst);
            break;
        case 1:
            emit("w{} = -w{}", dst, dst);
            break;
        default:
            emit("r{} = {}{} r{}", dst, chance(50) ? "be" : "bswap", 16U << below(3), dst);
            break;
        }
    }

    // A number that is likely to be small, in one of many ways.
    unsigned bounded(unsigned limit) {
        const unsigned r = number();
        const std::string skip = escape();
        switch (below(9)) {
        case 0:
        case 1:
            emit("{}{} &= {}", chance(70) ? 'r' : 'w', r, chance(70) ? limit : limit / 2 + 1);
            break;
        case 2:
            emit("{}{} %= {}", chance(70) ? 'r' : 'w', r, limit + below(3));
            break;
        case 3:
            emit("r{} >>= {}", r, 58 + below(3));
            break;
        case 4:
            emit("if r{} s< {} goto {}", r, below(3) == 0 ? -1 : 0, skip);
            emit("if r{} s> {} goto {}", r, limit + below(2), skip);
            break;
        case 5:
            emit("if w{} > {} goto {}", r, limit, skip);
            if (chance(80)) {
                emit("w{} = w{}", r, r);
            }
            break;
        case 6: {
            const unsigned other = number();
            emit("if r{} > {} goto {}", other, limit, skip);
            emit("if r{} > r{} goto {}", r, other, skip);
            break;
        }
        case 7: { // by a copy, perhaps at a distance
            const unsigned copy = below(10);
            emit("r{} = r{}", copy, r);
            kinds_[copy] = Kind::Number;
            if (chance(50)) {
                emit("{}{} += {}", chance(60) ? 'r' : 'w', chance(50) ? copy : r, small());
            }
            emit("if {}{} {} {} goto {}", chance(80) ? 'r' : 'w', copy,
                 chance(80) ? ">" : ">=", limit, skip);
            break;
        }
        default:
            emit("if r{} {} {} goto {}", r, chance(50) ? ">" : ">=", limit + below(2), skip);
            break;
        }
        return r;
    }

    // Where to go to give up: out, or behind the current block.
    std::string escape() {
        if (ends_.empty() || chance(40)) {
            return out_;
        }
        End& end = ends_.back();
        for (unsigned r = 0; r < 10; ++r) {
            if (end.is_used && end.kinds[r] != kinds_[r]) {
                end.kinds[r] = Kind::None;
            }
        }
        if (!end.is_used) {
            end.kinds = kinds_;
        }
        end.is_used = true;
        return end.name;
    }

    // Stack.

    void spill() {
        const unsigned r = number();
        const unsigned size = 1U << below(4);
        const unsigned at = chance(60) ? 8 * (4 + below(8)) : 32 + size * (1 + below(80 / size));
        if (chance(20)) {
            emit("*(u{} *)(r10 -{}) = {}", 8 * size, round(at, size), small());
        } else {
            emit("*(u{} *)(r10 -{}) = r{}", 8 * size, round(at, size), r);
        }
    }
    void fill() {
        const unsigned size = 1U << below(4);
        const unsigned at = chance(60) ? 8 * (4 + below(8)) : 32 + size * (1 + below(80 / size));
        const unsigned dst = below(10);
        emit("r{} = *({}{} *)(r10 -{})", dst, size < 8 && chance(20) ? 's' : 'u', 8 * size,
             round(at, size));
        kinds_[dst] = Kind::Number;
    }
    static unsigned round(unsigned at, unsigned size) { return (at + size - 1) / size * size; }

    void spill_pointer() {
        const unsigned r = below(10);
        if (kinds_[r] == Kind::None || kinds_[r] == Kind::Number) {
            return spill();
        }
        const unsigned slot = below(2);
        emit("*(u64 *)(r10 -{}) = r{}", 16 + 8 * slot, r);
        if (chance(70)) {
            const unsigned dst = below(10);
            emit("r{} = *(u64 *)(r10 -{})", dst, 16 + 8 * slot);
            kinds_[dst] = kinds_[r];
        }
    }

    // Pointers.

    void access(unsigned base, int off, unsigned size) {
        const unsigned bits = 8 * size;
        switch (below(size >= 4 ? 5 : 4)) {
        case 0:
            emit("*(u{} *)(r{} {:+}) = {}", bits, base, off, small());
            return;
        case 1:
            emit("*(u{} *)(r{} {:+}) = r{}", bits, base, off, number_but(base));
            return;
        case 4: {
            static constexpr const char* kOps[] = {"add", "or", "and", "xor"};
            const unsigned src = number_but(base);
            if (chance(50)) {
                emit("{0}{1} = atomic_fetch_{2}((u{3} *)(r{4} {5:+}), {0}{1})",
                     size == 8 ? 'r' : 'w', src, pick(kOps), bits, base, off);
            } else {
                emit("lock *(u{} *)(r{} {:+}) += {}{}", bits, base, off, size == 8 ? 'r' : 'w',
                     src);
            }
            return;
        }
        default: {
            const unsigned dst = below(10);
            emit("r{} = *({}{} *)(r{} {:+})", dst, size < 8 && chance(30) ? 's' : 'u', bits, base,
                 off);
            kinds_[dst] = Kind::Number;
            return;
        }
        }
    }
    unsigned number_but(unsigned not_this) {
        unsigned r = number();
        while (r == not_this) {
            r = (r + 1) % 10;
            if (kinds_[r] != Kind::Number && r != not_this) {
                set_number(r);
            }
        }
        return r;
    }
    unsigned other_than(unsigned not_this) {
        const unsigned r = below(9);
        return r < not_this ? r : r + 1;
    }

    // The last place for `size` bytes behind an offset of at most `limit`, or one more.
    int last_place(unsigned total, unsigned limit, unsigned size) {
        const int last = int(total) - int(limit) - int(size);
        return chance(75) ? last : last + int(below(4)) - 2;
    }

    void use_value() {
        static constexpr unsigned kLimits[] = {7, 15, 31, 40, 55, 56};
        const unsigned limit = pick(kLimits);
        const unsigned x = bounded(limit);
        const unsigned p = other_than(x);
        emit("r{} = map_value(0, 0) ll", p);
        kinds_[p] = Kind::Value;
        if (chance(85)) {
            emit("r{} += r{}", p, x);
        } else {
            emit("r{} += {}", p, limit);
            emit("r{} -= r{}", p, x);
        }
        const unsigned size = 1U << below(4);
        access(p, last_place(64, limit, size), size);
    }

    void use_stack() {
        static constexpr unsigned kLimits[] = {7, 15, 31, 56};
        const unsigned limit = pick(kLimits);
        const unsigned x = bounded(limit);
        const unsigned size = 1U << below(4);
        if (size > 1) {
            emit("r{} &= {}", x, -int(size));
        }
        const unsigned p = other_than(x);
        emit("r{} = r10", p);
        emit("r{} += r{}", p, x);
        kinds_[p] = Kind::None;
        access(p, -int(round(limit + size, size)) - 32, size);
    }

    // data and data_end, in two registers; at most `limit` is then added to the first one.
    void use_packet() {
        const unsigned ctx = below(10);
        const unsigned end = other_than(ctx);
        emit("r{} = *(u64 *)(r10 -8)", ctx);
        emit("r{} = *(u32 *)(r{} +4)", end, ctx);
        emit("r{} = *(u32 *)(r{} +0)", ctx, ctx);
        kinds_[ctx] = Kind::None;
        kinds_[end] = Kind::None;
        if (chance(50)) {
            const unsigned x = bounded(15);
            if (x != ctx && x != end) {
                emit("r{} += r{}", ctx, x);
            }
        }
        unsigned probe = below(10);
        while (probe == ctx || probe == end) {
            probe = (probe + 1) % 10;
        }
        const unsigned length = 1 + below(20);
        emit("r{} = r{}", probe, ctx);
        emit("r{} += {}", probe, length);
        kinds_[probe] = Kind::None;
        static constexpr const char* kOps[] = {">", ">", ">=", "<", "<="};
        const std::string op = pick(kOps);
        const bool is_swapped = chance(30);
        const unsigned a = is_swapped ? end : probe;
        const unsigned b = is_swapped ? probe : end;
        const std::string fine = label();
        const bool gives_up = (op[0] == '>') != is_swapped;
        const std::string other = escape();
        emit("if r{} {} r{} goto {}", a, op, b, gives_up ? other : fine);
        if (!gives_up) {
            emit("goto {}", other);
            place(fine);
        }
        const unsigned size = 1U << below(4);
        access(ctx, int(length) - int(size) + (chance(80) ? 0 : int(below(3)) - 1), size);
        if (chance(20)) {
            emit("if r{} {} r{} goto {}", a, op, b, escape());
        }
        if (chance(15)) {
            emit("r{} += {}", probe, -int(below(20)));
            emit("if r{} {} r{} goto {}", a, pick(kOps), b, escape());
        }
        kinds_[ctx] = kinds_[ctx] == Kind::Number ? Kind::Number : Kind::Packet;
    }

    void call_clobbers() {
        for (unsigned r = 0; r < 6; ++r) {
            kinds_[r] = Kind::None;
        }
    }

    void lookup() {
        const unsigned map = 1 + below(2);
        const unsigned key = chance(50) ? bounded(7) : number();
        if (chance(60)) {
            emit("*(u32 *)(r10 -28) = r{}", key);
        } else {
            emit("*(u32 *)(r10 -28) = {}", below(5));
        }
        emit("r2 = r10");
        emit("r2 += -28");
        emit("r1 = map({}) ll", map);
        if (chance(15)) {
            emit("r3 = r10");
            emit("r3 += -{}", 40 + 8 * below(8));
            emit("r4 = 0");
            emit("call 2");
            call_clobbers();
            kinds_[0] = Kind::Number;
            return;
        }
        emit("call 1");
        call_clobbers();
        kinds_[0] = Kind::Element;
        unsigned p = 0;
        if (chance(60)) {
            p = below(10);
            emit("r{} = r0", p);
            kinds_[p] = Kind::Element;
        }
        if (chance(25)) {
            emit("*(u64 *)(r10 -{}) = r{}", 16 + 8 * below(2), p);
        }
        statement(3);
        if (kinds_[p] != Kind::Element) {
            return;
        }
        check_null(chance(70) ? p : 0);
        const unsigned total = map == 1 ? 24 : 40;
        const unsigned limit = chance(50) ? 0 : 7;
        if (limit != 0) {
            const unsigned x = bounded(limit);
            if (kinds_[p] != Kind::Element || x == p) {
                return;
            }
            emit("r{} += r{}", p, x);
        }
        const unsigned size = 1U << below(4);
        access(p, last_place(total, limit, size), size);
    }

    void check_null(unsigned p) {
        if (kinds_[p] != Kind::Element || chance(5)) {
            return;
        }
        if (chance(80)) {
            emit("if r{} == 0 goto {}", p, escape());
        } else {
            const std::string fine = label();
            emit("if r{} != 0 goto {}", p, fine);
            emit("goto {}", escape());
            place(fine);
        }
    }

    void call_function() {
        if (!has_functions_ || !is_entry_) {
            return arithmetic();
        }
        if (chance(30)) {
            return call_loop();
        }
        const bool on_stack = chance(50);
        emit("r1 = r{}", number());
        kinds_[1] = Kind::Number;
        emit("r2 = {}", small());
        if (on_stack) {
            emit("r3 = r10");
            emit("r3 += -112");
        } else {
            emit("r3 = map_value(0, 0) ll");
        }
        emit("call {}", on_stack ? "fb" : "fa");
        call_clobbers();
        kinds_[0] = Kind::Number;
    }

    void call_loop() {
        const unsigned turns = chance(50) ? bounded(15) : number();
        emit("r1 = r{}", turns);
        emit("r2 = func(fc) ll");
        emit("r3 = r10");
        emit("r3 += -112");
        emit("r4 = {}", chance(90) ? 0 : small());
        emit("call 181");
        call_clobbers();
        kinds_[0] = Kind::Number;
    }

    void use_pointer() {
        const unsigned p = reg_of(chance(50) ? Kind::Value : Kind::Stack);
        if (p >= 10) {
            return use_value();
        }
        access(p, int(8 * below(7)), 1U << below(4));
    }

    // Control flow.

    struct End {
        std::string name;
        Kinds kinds;
        bool is_used = false;
    };

    void block(unsigned statements, unsigned depth) {
        ends_.push_back({label(), kinds_});
        for (unsigned i = 0; i < statements; ++i) {
            statement(depth);
        }
        const End end = ends_.back();
        ends_.pop_back();
        place(end.name);
        for (unsigned r = 0; end.is_used && r < 10; ++r) {
            kinds_[r] = kinds_[r] == end.kinds[r] ? kinds_[r] : Kind::None;
        }
    }

    void condition(const std::string& to) {
        static constexpr const char* kOps[] = {
            "==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&"};
        const char bank = chance(65) ? 'r' : 'w';
        const unsigned r = number();
        if (chance(35)) {
            emit("if {}{} {} {}{} goto {}", bank, r, pick(kOps), bank, number(), to);
        } else {
            emit("if {}{} {} {} goto {}", bank, r, pick(kOps), imm(), to);
        }
    }

    void branch(unsigned depth) {
        const std::string other = label();
        const std::string end = label();
        condition(other);
        const Kinds before = kinds_;
        block(1 + below(4), depth + 1);
        const Kinds after = kinds_;
        const bool has_else = chance(50);
        if (has_else) {
            emit("goto {}", end);
        }
        place(other);
        kinds_ = before;
        if (has_else) {
            block(1 + below(4), depth + 1);
            place(end);
        }
        for (unsigned r = 0; r < 10; ++r) {
            kinds_[r] = kinds_[r] == after[r] ? kinds_[r] : Kind::None;
        }
    }

    void loop(unsigned depth) {
        for (Kind& kind : kinds_) {
            kind = kind == Kind::Packet || kind == Kind::Element ? Kind::None : kind;
        }
        static constexpr unsigned kTurns[] = {2, 3, 7, 8, 9, 20, 60, 400};
        const unsigned turns = depth > 0 ? 2 + below(6) : pick(kTurns);
        const bool on_stack = chance(30);
        const unsigned counter = 6 + below(4);
        const unsigned slot = 128 + 8 * depth;
        const bool counts_down = chance(25);
        const int step = chance(70) ? 1 : 1 + int(below(3));
        emit("r{} = {}", counter, counts_down ? int(turns) * step : 0);
        kinds_[counter] = Kind::Number;
        emit("*(u64 *)(r10 -{}) = r{}", slot, counter);
        const Kinds head = kinds_;
        const std::string again = label();
        place(again);
        if (chance(20)) {
            emit("may_goto {}", out_);
        }
        block(1 + below(5), depth + 1);
        for (unsigned r = 0; r < 10; ++r) {
            restore(r, head[r]);
        }
        if (on_stack || chance(70)) {
            emit("r{} = *(u64 *)(r10 -{})", counter, slot);
        }
        const char bank = chance(75) ? 'r' : 'w';
        emit("{}{} += {}", bank, counter, counts_down ? -step : step);
        emit("*(u64 *)(r10 -{}) = r{}", slot, counter);
        if (counts_down) {
            emit("if {}{} {} 0 goto {}", bank, counter, chance(50) ? "!=" : "s>", again);
        } else {
            static constexpr const char* kOps[] = {"<", "<", "s<", "!=", "<="};
            emit("if {}{} {} {} goto {}", bank, counter, pick(kOps), int(turns) * step, again);
        }
    }
    void restore(unsigned r, Kind kind) {
        if (kinds_[r] == kind) {
            return;
        }
        if (kind == Kind::Number) {
            set_number(r);
        } else if (kind == Kind::Value) {
            emit("r{} = map_value(0, 0) ll", r);
        } else if (kind == Kind::Stack) {
            emit("r{} = r10", r);
            emit("r{} += -112", r);
        }
        kinds_[r] = kind;
    }

    void statement(unsigned depth) {
        const unsigned what = below(100);
        if (what < 22) {
            arithmetic();
        } else if (what < 30) {
            move();
        } else if (what < 33) {
            change();
        } else if (what < 41) {
            spill();
        } else if (what < 49) {
            fill();
        } else if (what < 52) {
            spill_pointer();
        } else if (what < 62) {
            use_value();
        } else if (what < 67) {
            use_stack();
        } else if (what < 71) {
            use_pointer();
        } else if (what < 75 && depth < 3) {
            is_entry_ ? use_packet() : arithmetic();
        } else if (what < 80 && depth < 3) {
            lookup();
        } else if (what < 83) {
            call_function();
        } else if (what < 87) {
            (void)bounded(31);
        } else if (what < 95 && depth < 3) {
            branch(depth);
        } else if (what < 100 && depth < 2) {
            loop(depth);
        } else {
            set_number(below(10));
        }
    }

    std::mt19937_64 rng_;
    SoundnessProgram program_;
    Kinds kinds_{};
    std::vector<End> ends_;
    std::string out_ = "out";
    unsigned labels_ = 0;
    bool has_functions_ = false;
    bool is_entry_ = true;
};

} // namespace ebpfvm::test
