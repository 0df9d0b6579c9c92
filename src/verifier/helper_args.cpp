// The arguments of a helper against its prototype (the kernel's check_func_arg()).
#include "ebpfvm/helper.hpp"
#include "prog/verify_ctx.hpp"
#include "verifier/alu.hpp"
#include "verifier/call.hpp"
#include "verifier/mem.hpp"
#include "verifier/stack.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

// One argument being judged.
class ArgCheck {
  public:
    ArgCheck(Env& env, const State& state, CallMeta& meta, unsigned index)
        : env_(env), state_(state), meta_(meta), index_(index), number_(index + 1),
          reg_(state.reg(number_)) {}

    bool check() {
        const ArgType type = meta_.proto->args[index_];
        switch (type) {
        case ArgType::None:
        case ArgType::AnythingOrNone:
            return true;
        case ArgType::Anything:
            return check_init(env_, state_, number_);
        default:
            break;
        }
        if (!check_init(env_, state_, number_)) {
            return false;
        }
        return check_typed(type);
    }

  private:
    bool check_typed(ArgType type) {
        switch (type) {
        case ArgType::Scalar:
            return reg_.is_scalar() || wrong("a number");
        case ArgType::ConstMapPtr:
            return check_map_ptr();
        case ArgType::PtrToMapKey:
            return check_map_key();
        case ArgType::PtrToMapValueOrNull:
            return is_known_null() || check_map_memory(Access::Read); // sk_storage_get()
        case ArgType::PtrToMapValue:
        case ArgType::PtrToUninitMapValue:
            return check_map_memory(access_to(type));
        case ArgType::PtrToMemOrNull:
        case ArgType::PtrToWritableMemOrNull:
            return is_known_null() || check_fixed_mem(type);
        case ArgType::PtrToMem:
        case ArgType::PtrToUninitMem:
        case ArgType::PtrToWritableMem:
        case ArgType::PtrToInt:
        case ArgType::PtrToLong:
            return check_fixed_mem(type);
        case ArgType::ConstSize:
        case ArgType::ConstSizeOrZero:
            return check_size(type == ArgType::ConstSizeOrZero);
        case ArgType::ConstAllocSizeOrZero:
            return check_alloc_size();
        case ArgType::PtrToCtxOrNull:
            return is_known_null() || check_ctx_ptr();
        case ArgType::PtrToCtx:
            return check_ctx_ptr();
        case ArgType::PtrToRingbufMem:
            return check_ringbuf_mem();
        case ArgType::PtrToSpinLock:
            return check_field("spin_lock");
        case ArgType::PtrToTimer:
            return check_field("timer");
        case ArgType::PtrToConstStr:
            return check_const_str();
        case ArgType::PtrToFunc:
            return check_func();
        case ArgType::PtrToStackOrNull:
            return is_known_null() || (reg_.type == RegType::Stack && !reg_.may_be_null()) ||
                   wrong("a pointer to the stack or NULL");
        case ArgType::PtrToSocketOrNull:
            return is_known_null() || check_socket(reg_.type == RegType::Socket);
        case ArgType::PtrToSocket:
            return check_socket(reg_.type == RegType::Socket);
        case ArgType::PtrToBtfIdSockCommonOrNull:
            return is_known_null() || check_socket(is_any_socket());
        case ArgType::PtrToSockCommon:
        case ArgType::PtrToBtfIdSockCommon:
            return check_socket(is_any_socket());
        case ArgType::PtrToSocketRelease:
            return check_socket(is_any_socket()) && check_release();
        default: // kinds that need the kernel's own objects
            return env_.reject<Slug::UnsupportedHelper>(
                meta_.proto->name, "it takes a kernel object that is not tracked here");
        }
    }

    // NULL instead of a pointer: what follows relies on it.
    bool is_known_null() {
        if (!reg_.is_null()) {
            return false;
        }
        env_.demand(state_, number_);
        return true;
    }

    bool wrong(std::string_view wanted) {
        if (reg_.may_be_null()) {
            return env_.reject<Slug::NullArg>(number_, index_ + 1, meta_.proto->name);
        }
        return env_.reject<Slug::BadArg>(number_, describe(reg_), index_ + 1, meta_.proto->name,
                                         wanted);
    }

    bool check_map_ptr() {
        if (reg_.type != RegType::ConstMapPtr || reg_.may_be_null()) {
            return wrong("a map");
        }
        if (index_ > 0 && meta_.proto->args[index_ - 1] == ArgType::PtrToTimer) {
            const Reg& timer = state_.reg(number_ - 1);
            if (timer.aux != reg_.aux || timer.map_uid != reg_.map_uid) {
                return wrong("the map of the timer");
            }
        }
        meta_.map = reg_;
        std::uint32_t& map = env_.call_map[env_.at];
        map = map == Env::kNoMap || map == reg_.aux ? reg_.aux : Env::kManyMaps;
        return true;
    }

    const MapSpec& map() const { return env_.map(meta_.map); }

    // May memory be passed for [0, size) of this register?
    bool check_memory(std::uint64_t size, Access access, std::string_view wanted) {
        if (reg_.may_be_null()) {
            return env_.reject<Slug::NullArg>(number_, index_ + 1, meta_.proto->name);
        }
        const MemAccess range{.off = 0, .size = std::uint32_t(size), .access = access};
        switch (reg_.type) {
        case RegType::Stack:
            return check_stack_region(env_, state_, number_, range);
        case RegType::Packet:
        case RegType::PacketMeta:
            return check_packet_arg(range);
        case RegType::MapKey:
        case RegType::MapValue:
        case RegType::Mem:
            return size == 0 || check_access(env_, state_, number_, range);
        default: // not memory
            return wrong(wanted);
        }
    }

    bool check_packet_arg(const MemAccess& range) {
        if (!prog::may_pass_packet(env_.code.program->type, *meta_.proto)) {
            return env_.reject<Slug::BadArg>(number_, describe(reg_), index_ + 1, meta_.proto->name,
                                             "memory outside the packet");
        }
        return check_packet(env_, number_, reg_, range);
    }

    bool check_map_key() {
        if (meta_.map.type == RegType::NotInit) {
            return env_.reject<Slug::InvalidInsn>("helper without a map before its key");
        }
        if (!check_memory(map().key_size, Access::Read, "a pointer to the key")) {
            return false;
        }
        find_constant_key();
        return true;
    }

    // Looking up a constant index inside an array always finds something.
    void find_constant_key() {
        if ((map().type != MapType::Array && map().type != MapType::PercpuArray) ||
            reg_.type != RegType::Stack || !reg_.var.is_constant()) {
            return;
        }
        const std::int64_t off = offset_range(reg_, 0).min;
        const Frame& frame = state_.frame(reg_.frame);
        const std::size_t index = Frame::slot_index(std::int32_t(off));
        if (off % 4 != 0 || index >= frame.stack.size()) {
            return;
        }
        const StackSlot& slot = frame.stack[index];
        const bool at_start = off % 8 == 0;
        const unsigned first = at_start ? 0 : 4;
        const bool is_zero = std::all_of(slot.bytes.begin() + first, slot.bytes.begin() + first + 4,
                                         [](ByteKind kind) { return kind == ByteKind::Zero; });
        std::uint64_t key = 0;
        if (!is_zero) {
            if (!slot.has_spill() || !slot.spilled.is_constant() || slot.spill_size() < first + 4) {
                return;
            }
            key = std::uint32_t(slot.spilled.var.value() >> (first * 8));
        }
        if (key < map().max_entries) {
            meta_.key_is_present = true;
            meta_.key_frame = reg_.frame;
            meta_.key_slot = std::uint32_t(index);
        }
    }

    bool check_map_memory(Access access) {
        if (meta_.map.type == RegType::NotInit) {
            return env_.reject<Slug::InvalidInsn>("helper without a map before its value");
        }
        if (map().type == MapType::Sockmap || map().type == MapType::Sockhash) {
            return check_socket(is_any_socket());
        }
        return check_memory(map().value_size, access, "a pointer to a value of the map");
    }

    bool check_fixed_mem(ArgType type) {
        if (meta_.proto->has_size_arg(index_)) {
            return true; // judged with its size
        }
        const std::uint32_t alignment = type == ArgType::PtrToInt    ? 4
                                        : type == ArgType::PtrToLong ? 8
                                                                     : 1;
        if (reg_.is_pointer() && !is_aligned(reg_, 0, alignment)) {
            return env_.reject<Slug::Misaligned>(name_of(reg_.type), offset_range(reg_, 0).min,
                                                 alignment);
        }
        return check_memory(meta_.proto->arg_sizes[index_], access_to(type), "a pointer to memory");
    }

    bool check_size(bool may_be_zero) {
        if (!reg_.is_scalar()) {
            return wrong("a size");
        }
        if (reg_.var.s64.min < 0) {
            return env_.reject<Slug::SizeArg>(
                number_, meta_.proto->name,
                fmt::format("its min value is negative ({})", describe(reg_.var)));
        }
        if (reg_.var.u64.max >= std::uint64_t(kMaxOffset)) {
            return env_.reject<Slug::SizeArg>(
                number_, meta_.proto->name,
                fmt::format("it is not bounded ({})", describe(reg_.var)));
        }
        if (reg_.var.u64.min == 0 && !may_be_zero) {
            return env_.reject<Slug::SizeArg>(number_, meta_.proto->name,
                                              fmt::format("it may be 0 ({})", describe(reg_.var)));
        }
        meta_.max_size = reg_.var.u64.max;
        env_.demand(state_, number_);
        return check_sized_memory();
    }

    // The memory argument before this size.
    bool check_sized_memory() {
        ArgCheck memory(env_, state_, meta_, index_ - 1);
        const ArgType type = meta_.proto->args[index_ - 1];
        const bool null_is_fine =
            type == ArgType::PtrToMemOrNull || type == ArgType::PtrToWritableMemOrNull;
        if (null_is_fine && reg_.var.u64.max == 0 && memory.is_known_null()) {
            return true;
        }
        const bool may_write_less = memory.reg_.type == RegType::Stack && !reg_.is_constant();
        return memory.check_memory(reg_.var.u64.max,
                                   may_write_less ? Access::Read : access_to(type),
                                   "a pointer to memory");
    }

    bool check_alloc_size() {
        if (!reg_.is_constant()) {
            return env_.reject<Slug::SizeArg>(
                number_, meta_.proto->name,
                fmt::format("it must be a known constant ({})", describe(reg_)));
        }
        if (reg_.var.value() > std::uint64_t(kMaxOffset)) {
            return env_.reject<Slug::SizeArg>(number_, meta_.proto->name, "it is too large");
        }
        meta_.alloc_size = reg_.var.value();
        env_.demand(state_, number_);
        return true;
    }

    bool is_unmoved() const {
        return reg_.off == 0 && reg_.var.is_constant() && reg_.var.value() == 0;
    }

    bool check_ctx_ptr() {
        if (reg_.type != RegType::Ctx) {
            return wrong("ctx");
        }
        return is_unmoved() || env_.reject<Slug::CtxModified>(number_, reg_.off);
    }

    bool check_release() {
        const auto held = std::ranges::find(state_.refs, reg_.ref, &Reference::id);
        if (reg_.ref == 0 || held == state_.refs.end()) {
            return env_.reject<Slug::ReleaseUnowned>(number_, meta_.proto->name);
        }
        meta_.ref = reg_.ref;
        meta_.releases = true;
        return true;
    }

    bool check_ringbuf_mem() {
        if (reg_.type != RegType::Mem || (reg_.flags & reg_flags::kRingbuf) == 0 ||
            reg_.may_be_null()) {
            return wrong("a record from ringbuf_reserve");
        }
        if (!is_unmoved()) {
            return env_.reject<Slug::BadArg>(
                number_, fmt::format("{} moved by {}", describe(reg_), reg_.off), index_ + 1,
                meta_.proto->name, "the start of the record");
        }
        return check_release();
    }

    bool is_any_socket() const {
        return reg_.type == RegType::Socket || reg_.type == RegType::SockCommon ||
               reg_.type == RegType::TcpSock || reg_.type == RegType::XdpSock;
    }

    bool check_socket(bool is_kind) {
        if (!is_kind || reg_.may_be_null()) {
            return wrong("a socket");
        }
        if (reg_.ref != 0) {
            meta_.ref = reg_.ref;
        }
        return true;
    }

    bool check_field(std::string_view kind) {
        if (reg_.type != RegType::MapValue || reg_.may_be_null()) {
            return wrong(fmt::format("a pointer to a bpf_{} in a map value", kind));
        }
        const auto& fields = env_.map(reg_).fields;
        const auto field = std::ranges::find(fields, kind, &MapField::kind);
        const OffsetRange at = offset_range(reg_, 0);
        if (field == fields.end() || at.min != at.max || at.min != field->off) {
            return wrong(fmt::format("a pointer to the bpf_{} of the map value", kind));
        }
        return true;
    }

    bool check_const_str() {
        if (reg_.type != RegType::MapValue || reg_.may_be_null()) {
            return wrong("a constant string");
        }
        const MapSpec& spec = env_.map(reg_);
        const OffsetRange at = offset_range(reg_, 0);
        if (!spec.frozen || at.min != at.max || at.min < 0) {
            return wrong("a constant string in a read-only map");
        }
        for (auto i = std::size_t(at.min); i < spec.data.size(); ++i) {
            if (spec.data[i] == std::byte{0}) {
                return true;
            }
        }
        return wrong("a zero-terminated string");
    }

    bool check_func() {
        if (reg_.type != RegType::Func || !is_unmoved()) {
            return wrong("the start of a function");
        }
        meta_.callback = reg_.aux;
        return true;
    }

    Env& env_;
    const State& state_;
    CallMeta& meta_;
    unsigned index_;  // of the argument, from 0
    unsigned number_; // of its register
    const Reg& reg_;
};

} // namespace

Access access_to(ArgType type) {
    switch (type) {
    case ArgType::PtrToUninitMapValue:
    case ArgType::PtrToUninitMem:
    case ArgType::PtrToWritableMem:
    case ArgType::PtrToWritableMemOrNull:
    case ArgType::PtrToInt:
    case ArgType::PtrToLong:
        return Access::Write;
    default: // the others are read, or no memory
        return Access::Read;
    }
}

bool check_args(Env& env, const State& state, CallMeta& meta) {
    for (unsigned i = 0; i < kMaxArgs; ++i) {
        if (meta.proto->args[i] == ArgType::None) {
            break;
        }
        if (!ArgCheck(env, state, meta, i).check()) {
            return false;
        }
    }
    return true;
}

} // namespace ebpfvm::verifier
