#include "jit/find_code.hpp"

#include "jit/abi.hpp"
#include "jit/stack_writer.hpp"
#include "maps/element_pool.hpp"
#include "maps/key.hpp"

#include <cstddef>

namespace ebpfvm::jit {
namespace {

using maps::Element;
using maps::HashView;

constexpr std::size_t kTwoWords = 1; // bits of a kind
constexpr std::size_t kLru = 2;
constexpr std::size_t kPerCpu = 4;

constexpr x86::Gp kLookup = x86::rdi;
constexpr x86::Gp kWord0 = x86::rsi;
constexpr x86::Gp kWord1 = x86::r11; // rdx is needed to multiply
constexpr x86::Gp kCpu = x86::rcx;
constexpr x86::Gp kBucket = x86::rdx; // address, once there is a hash
constexpr x86::Gp kSeen = x86::rcx;   // what was in it

// Whatever is not simple.
void* search(const exec::HashLookup* lookup, std::uint64_t word0, std::uint64_t word1,
             std::uint32_t cpu) noexcept {
    const std::array key{word0, word1};
    return lookup->view.lookup(*lookup->map, key.data(), MapUser{.cpu = cpu});
}

x86::Mem view(std::size_t offset, unsigned size = 8) {
    return x86::ptr(kLookup, int(offsetof(exec::HashLookup, view) + offset), size);
}

// HashMap::find(), if the first element of the chain is the one or if there is none; otherwise it
// begins again in search().
class FindWriter {
  public:
    FindWriter(x86::Assembler& as, CodeMap* map, std::size_t kind)
        : as_(as), stack_(as, map), kind_(kind) {}

    void run() {
        if (is(kTwoWords)) {
            as_.mov(kWord1, x86::rdx);
        }
        if (is(kPerCpu)) {
            as_.mov(cpu_, kCpu);
        }
        hash();
        as_.and_(x86::eax, view(offsetof(HashView, bucket_mask), 4));
        as_.mov(kBucket, view(offsetof(HashView, buckets)));
        as_.lea(kBucket, x86::ptr(kBucket, x86::rax, 3));
        as_.mov(kSeen, x86::ptr(kBucket));
        as_.mov(x86::eax, kSeen.r32());
        as_.test(x86::eax, x86::eax);
        as_.jz(out_);
        as_.imul(x86::rax, view(offsetof(HashView, element_stride)));
        as_.add(x86::rax, view(offsetof(HashView, elements)));
        compare();
        result();
        as_.bind(out_);
        as_.ret();
        as_.bind(search_);
        call_search();
    }

  private:
    [[nodiscard]] bool is(std::size_t bit) const { return (kind_ & bit) != 0; }

    // BasicKey::hash().
    void hash() {
        as_.mov(x86::rax, view(offsetof(HashView, seed)));
        mix(kWord0);
        if (is(kTwoWords)) {
            as_.add(x86::rax, view(offsetof(HashView, seed)));
            mix(kWord1);
        }
    }
    void mix(const x86::Gp& word) {
        as_.xor_(x86::rax, word);
        as_.mov(x86::rdx, maps::kHashMultiplier);
        as_.mul(x86::rdx);
        as_.xor_(x86::rax, x86::rdx);
    }

    // rax is the element. Nobody has removed one from the chain meanwhile if the count of removals,
    // the upper half of the bucket, is the same.
    void compare() {
        as_.cmp(x86::ptr(x86::rax, sizeof(Element)), kWord0);
        as_.jne(search_);
        if (is(kTwoWords)) {
            as_.cmp(x86::ptr(x86::rax, sizeof(Element) + maps::kWord), kWord1);
            as_.jne(search_);
        }
        if (is(kLru)) {
            as_.cmp(x86::qword_ptr(x86::rax, offsetof(Element, state)),
                    maps::element_state::kReferenced);
            as_.jne(search_);
        }
        if (is(kPerCpu)) {
            as_.mov(x86::eax, kSeen.r32());
        }
        as_.shr(kSeen, 32);
        as_.cmp(x86::ptr(kBucket, 4), kSeen.r32());
        as_.jne(search_);
    }

    // rax is the element, or its number if its values lie elsewhere.
    void result() {
        if (is(kPerCpu)) {
            as_.imul(x86::rax, view(offsetof(HashView, value_stride)));
            as_.mov(kCpu, cpu_);
            as_.imul(kCpu, view(offsetof(HashView, cpu_stride)));
            as_.add(x86::rax, kCpu);
            as_.add(x86::rax, view(offsetof(HashView, values)));
        } else {
            as_.add(x86::rax, sizeof(Element) + maps::kWord * (is(kTwoWords) ? 2 : 1));
        }
    }

    void call_search() {
        if (is(kPerCpu)) {
            as_.mov(kCpu, cpu_);
        }
        constexpr x86::Gp kKept[] = {x86::r8, x86::r9, x86::r10};
        for (const x86::Gp& reg : kKept) {
            stack_.push(reg);
        }
        if (is(kTwoWords)) {
            as_.mov(x86::rdx, kWord1);
        }
        as_.mov(x86::rax, address_of(search));
        as_.call(x86::rax);
        for (std::size_t i = std::size(kKept); i-- > 0;) {
            stack_.pop(kKept[i]);
        }
        as_.ret();
    }

    x86::Assembler& as_;
    StackWriter stack_;
    const std::size_t kind_;
    const x86::Mem cpu_ = x86::qword_ptr(x86::rsp, -8); // no signal handler writes there
    const asmjit::Label search_ = as_.newLabel();
    const asmjit::Label out_ = as_.newLabel();
};

} // namespace

std::size_t find_kind(const HashView& view) {
    return (view.key_size > maps::kWord ? kTwoWords : 0) | (view.is_lru ? kLru : 0) |
           (view.is_per_cpu ? kPerCpu : 0);
}

std::array<asmjit::Label, kFindKinds> emit_finds(x86::Assembler& as, CodeMap* map) {
    std::array<asmjit::Label, kFindKinds> labels;
    for (std::size_t kind = 0; kind < kFindKinds; ++kind) {
        constexpr unsigned kEntryAlignment = 16;
        as.align(asmjit::AlignMode::kCode, kEntryAlignment);
        labels[kind] = as.newLabel();
        as.bind(labels[kind]);
        if (map != nullptr) {
            map->begin(std::uint32_t(as.offset()), "ebpfvm_find");
        }
        FindWriter(as, map, kind).run();
    }
    return labels;
}

} // namespace ebpfvm::jit
