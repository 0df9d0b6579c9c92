// Helpers and host functions: prototypes, and the table that binds numbers and names to code.
#pragma once

#include "ebpfvm/error.hpp"
#include "ebpfvm/run.hpp"

#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace ebpfvm {

/// What an argument must be. The kernel's ARG_* kinds; checked before every call in checked mode,
/// which refuses those that only a verifier can judge.
enum class ArgType : std::uint8_t {
    None,                   ///< the helper has no such argument
    Anything,               ///< any initialised value
    AnythingOrNone,         ///< anything, even uninitialised; the helper may read it (trace_printk)
    Scalar,                 ///< an initialised number, no pointer
    ConstMapPtr,            ///< one of the program's maps
    PtrToMapKey,            ///< key_size readable bytes (of the map in an earlier argument)
    PtrToMapValue,          ///< value_size readable bytes
    PtrToMapValueOrNull,    ///< the same, or null
    PtrToUninitMapValue,    ///< value_size writable bytes that the helper fills
    PtrToMem,               ///< readable bytes; the next argument is their number, or size is fixed
    PtrToMemOrNull,         ///< the same, or null (with a size argument: null and 0)
    PtrToUninitMem,         ///< writable bytes that the helper fills
    PtrToWritableMem,       ///< readable and writable bytes
    PtrToWritableMemOrNull, ///< the same, or null (with a size argument: null and 0)
    PtrToInt,               ///< 4 readable and writable bytes, aligned to 4
    PtrToLong,              ///< 8 writable bytes that the helper fills, aligned to 8
    ConstSize,              ///< size of the memory before it, at least 1
    ConstSizeOrZero,        ///< the same, may be 0
    ConstAllocSizeOrZero,   ///< size of the memory that the helper returns
    PtrToCtx,               ///< the context of this run
    PtrToCtxOrNull,
    PtrToRingbufMem,            ///< a record from ringbuf_reserve, at its start; released
    PtrToSpinLock,              ///< a bpf_spin_lock in a map value
    PtrToTimer,                 ///< a bpf_timer in a map value
    PtrToKptr,                  ///< a kptr field in a map value
    PtrToConstStr,              ///< a zero-terminated string in a read-only, frozen map
    PtrToFunc,                  ///< a subprogram that the helper calls back
    PtrToStackOrNull,           ///< what the helper passes to that subprogram
    PtrToSockCommon,            ///< a bpf_sock of which only the common fields may be read
    PtrToSocket,                ///< a full bpf_sock
    PtrToSocketOrNull,          ///< the same, or null
    PtrToSocketRelease,         ///< a bpf_sock that the program holds a reference to; released
    PtrToBtfIdSockCommon,       ///< any kind of socket, the kernel's own structs included
    PtrToBtfIdSockCommonOrNull, ///< the same, or null
    PtrToBtfId,                 ///< a struct of the kernel: HelperProto::arg_btf
    PtrToBtfIdOrNull,           ///< the same, or null
    PtrToBtfIdOrNullRelease,    ///< an object of the type of the kptr before it, or null; released
    PtrToPercpuBtfId,           ///< a per-cpu variable of the kernel
    PtrToDynptr,                ///< an initialised dynptr on the stack
    PtrToUninitDynptrLocal,     ///< 16 bytes of stack that become a dynptr to memory of the program
    PtrToUninitDynptrRingbuf,   ///< 16 bytes of stack that become a dynptr to a ringbuf record
    PtrToDynptrRingbufRelease,  ///< such a dynptr; released
};

/// ConstSize or ConstSizeOrZero.
[[nodiscard]] constexpr bool is_size(ArgType type) {
    return type == ArgType::ConstSize || type == ArgType::ConstSizeOrZero;
}

enum class RetType : std::uint8_t {
    Integer,
    Void, ///< r0 is not meaningful after the call (0 here)
    PtrToMapValueOrNull,
    PtrToMapValue, ///< never null (get_local_storage)
    PtrToRingbufMemOrNull,
    PtrToMemOrNull,       ///< memory the function has granted, HelperProto::ret_size bytes
    PtrToDynptrMemOrNull, ///< part of what a dynptr points to, ConstAllocSizeOrZero bytes
    PtrToSocketOrNull,
    PtrToSockCommonOrNull,
    PtrToTcpSockOrNull,
    PtrToBtfId, ///< a struct of the kernel: HelperProto::ret_btf
    PtrToBtfIdOrNull,
    PtrToMemOrBtfId, ///< this CPU's copy of the PtrToPercpuBtfId argument, read only
    PtrToMemOrBtfIdOrNull,
};

/// What else a verifier must know of a helper. A set.
enum class HelperFlags : std::uint8_t {
    None = 0,
    Gpl = 1,           ///< programs need a GPL-compatible license
    PacketArgs = 2,    ///< memory arguments may lie in the packet
    ChangesPacket = 4, ///< packet pointers are invalid after the call
    Sleeps = 8,        ///< sleepable programs alone may call it
    Acquires = 16,     ///< the result, unless null, is a reference that must be released
};
[[nodiscard]] constexpr HelperFlags operator|(HelperFlags a, HelperFlags b) {
    return HelperFlags(std::to_underlying(a) | std::to_underlying(b));
}
/// Does `set` contain all of `flags`?
[[nodiscard]] constexpr bool has(HelperFlags set, HelperFlags flags) {
    return (std::to_underlying(set) & std::to_underlying(flags)) == std::to_underlying(flags);
}

inline constexpr unsigned kMaxArgs = 5;

struct HelperProto {
    std::string name{};
    RetType ret = RetType::Integer;
    std::array<ArgType, kMaxArgs> args{};
    /// Fixed size of a PtrToMem-kind argument that has no size argument; else 0.
    std::array<std::uint32_t, kMaxArgs> arg_sizes{};
    std::uint32_t ret_size = 0; ///< for PtrToMemOrNull
    HelperFlags flags = HelperFlags::None;
    /// Structs of the kernel that PtrToBtfId kinds mean ("task_struct"); "" where any, or none.
    std::array<std::string, kMaxArgs> arg_btf{};
    std::string ret_btf{};

    /// Is argument `at` (from 0) memory whose size is the next one?
    [[nodiscard]] constexpr bool has_size_arg(unsigned at) const {
        return at + 1 < kMaxArgs && is_size(args[at + 1]);
    }
    bool operator==(const HelperProto&) const = default;
};

/// The kernel's numbers of its helpers, by their names.
enum class HelperId : std::uint32_t {
#define EBPFVM_HELPER(id, name, ret, flags, ...) name = id,
#define EBPFVM_HELPER_ABSENT(id, name, ret, flags, ...) name = id,
#include "ebpfvm/tables/helpers.def"
};

/// The prototype of a helper of the kernel's UAPI, whether it runs here or not; nullptr for other
/// numbers. A few helpers have others in some program types: EBPFVM_HELPER_VARIANT.
[[nodiscard]] const HelperProto* uapi_helper(std::uint32_t id);

/// r1..r5 as the program left them. Pointers are plain addresses; in checked mode they have been
/// checked against the prototype. It must not throw through machine code (Engine::Baseline) unless
/// the Vm has JitDebug::unwind; CallContext::abort() ends a run.
using HelperFn = std::uint64_t (*)(CallContext& call, std::uint64_t r1, std::uint64_t r2,
                                   std::uint64_t r3, std::uint64_t r4, std::uint64_t r5);

/// What a function does with the CallContext that it gets. Whoever calls it can leave out the rest.
enum class CallUse : std::uint8_t {
    Any,     ///< all it likes
    NoAbort, ///< all but abort()
    /// It does not look at it: machine code may pass any address at all. A verified program that
    /// calls no other functions starts in a tenth of the time.
    None,
};

struct Helper {
    HelperProto proto;
    HelperFn fn = nullptr;
    std::shared_ptr<void> data{}; ///< CallContext::data() during calls
    CallUse use = CallUse::Any;
};

/// Helpers that are part of the engines, and may have no function: those that call programs.
inline constexpr std::uint32_t kTailCallId = 12;
inline constexpr std::uint32_t kLoopId = 181;

namespace detail {
template <class F>
struct HostFunction;
}

/// Which functions programs may call: by number (`call 5`) and by name (extern functions, kfunc
/// style). A value type; programs keep the entries they were loaded with.
class HelperTable {
  public:
    /// The built-in helpers of tables/helpers.def.
    [[nodiscard]] static HelperTable defaults();
    /// No helper at all.
    HelperTable() = default;

    /// Binds `id`, replacing what was there. Errors: Errc::InvalidArgument if the prototype is
    /// inconsistent (a size without memory before it, a gap between arguments).
    Expected<void> add(std::uint32_t id, Helper helper);
    /// Binds the name in helper.proto.
    Expected<void> add(Helper helper);

    /// Registers a C++ function under a name, deriving the prototype from its type:
    /// - integers, enums, bool: Anything
    /// - const T*: PtrToMem of sizeof(T)
    /// - T*: PtrToWritableMem of sizeof(T)
    /// - std::span<const std::byte>: PtrToMem and its size
    /// - std::span<std::byte>: PtrToWritableMem and its size
    ///
    /// A pointer that is not aligned as T demands ends the run before the function is called.
    /// A first parameter CallContext& receives the caller. Returns an integer, enum, bool or void.
    ///     table.add_function("host_add", [](std::uint64_t a, std::uint64_t b) { return a + b; });
    template <class F>
    Expected<void> add_function(std::string name, F function) {
        return add(detail::HostFunction<F>::make(std::move(name), std::move(function)));
    }
    /// The same under a number, as `static long (*host_add)(long, long) = (void *)0x10000;` calls
    /// it.
    template <class F>
    Expected<void> add_function(std::uint32_t id, std::string name, F function) {
        return add(id, detail::HostFunction<F>::make(std::move(name), std::move(function)));
    }

    [[nodiscard]] const Helper* find(std::uint32_t id) const;
    [[nodiscard]] const Helper* find(std::string_view name) const; ///< among those bound by name
    [[nodiscard]] const std::map<std::uint32_t, Helper>& by_id() const { return by_id_; }
    [[nodiscard]] const std::map<std::string, Helper, std::less<>>& by_name() const {
        return by_name_;
    }

  private:
    std::map<std::uint32_t, Helper> by_id_;
    std::map<std::string, Helper, std::less<>> by_name_;
};

/// Name of a helper number of the kernel's UAPI; "" otherwise.
[[nodiscard]] std::string_view helper_name(std::uint32_t id);

namespace detail {

// How one C++ parameter reads from the argument registers.
template <class T>
struct Param {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>,
                  "a host function takes integers, enums, T*, const T* and spans of std::byte");
    static constexpr unsigned kRegs = 1;
    static void describe(HelperProto& proto, unsigned at) { proto.args[at] = ArgType::Anything; }
    static constexpr bool kIsAligned = true;
    static bool is_aligned(const std::uint64_t*) { return true; }
    static T read(const std::uint64_t* regs) { return static_cast<T>(regs[0]); }
};
template <class T>
struct Param<T*> {
    using Object = std::remove_cv_t<T>;
    static_assert(std::is_trivially_copyable_v<Object>, "programs share plain data only");
    static constexpr unsigned kRegs = 1;
    static void describe(HelperProto& proto, unsigned at) {
        proto.args[at] = std::is_const_v<T> ? ArgType::PtrToMem : ArgType::PtrToWritableMem;
        proto.arg_sizes[at] = sizeof(Object);
    }
    static constexpr bool kIsAligned = alignof(Object) == 1; // whatever the program passes
    static bool is_aligned(const std::uint64_t* regs) { return regs[0] % alignof(Object) == 0; }
    static T* read(const std::uint64_t* regs) { return reinterpret_cast<T*>(regs[0]); }
};
template <class Byte>
requires std::same_as<std::remove_const_t<Byte>, std::byte>
struct Param<std::span<Byte>> {
    static constexpr unsigned kRegs = 2;
    static void describe(HelperProto& proto, unsigned at) {
        proto.args[at] = std::is_const_v<Byte> ? ArgType::PtrToMem : ArgType::PtrToWritableMem;
        if (at + 1 < kMaxArgs) {
            proto.args[at + 1] = ArgType::ConstSizeOrZero;
        }
    }
    static constexpr bool kIsAligned = true;
    static bool is_aligned(const std::uint64_t*) { return true; }
    static std::span<Byte> read(const std::uint64_t* regs) {
        return {reinterpret_cast<Byte*>(regs[0]), static_cast<std::size_t>(regs[1])};
    }
};

template <class F, class R, class... Args>
struct HostFunctionOf {
    static constexpr unsigned kRegs = (Param<Args>::kRegs + ... + 0);
    static_assert(kRegs <= kMaxArgs, "a program passes at most five registers");
    static_assert(std::is_void_v<R> || std::is_integral_v<R> || std::is_enum_v<R>,
                  "a host function returns an integer, an enum or nothing");

    static HelperProto proto(std::string name) {
        HelperProto result{.name = std::move(name),
                           .ret = std::is_void_v<R> ? RetType::Void : RetType::Integer};
        [[maybe_unused]] unsigned at = 0; // unused by functions without parameters
        ((Param<Args>::describe(result, at), at += Param<Args>::kRegs), ...);
        return result;
    }

    template <bool kWithContext>
    static std::uint64_t call(CallContext& context, std::uint64_t r1, std::uint64_t r2,
                              std::uint64_t r3, std::uint64_t r4, std::uint64_t r5) {
        const std::uint64_t regs[kMaxArgs] = {r1, r2, r3, r4, r5};
        constexpr auto kAll = std::index_sequence_for<Args...>{};
        if constexpr (kHasState) {
            F& function = *static_cast<F*>(context.data());
            return apply<kWithContext>(function, context, regs, kAll);
        } else {
            F function;
            return apply<kWithContext>(function, context, regs, kAll);
        }
    }

    /// Lambdas without captures have none.
    static constexpr bool kHasState = !std::is_empty_v<F> || !std::is_default_constructible_v<F>;
    template <bool kWithContext>
    static constexpr CallUse kUse =
        kWithContext || !(Param<Args>::kIsAligned && ... && true) ? CallUse::Any
        : kHasState                                               ? CallUse::NoAbort
                                                                  : CallUse::None;

  private:
    // First register of each parameter: the sum of the widths before it.
    static constexpr auto first_regs() {
        std::array<unsigned, sizeof...(Args) + 1> firsts{};
        unsigned i = 0;
        [[maybe_unused]] unsigned at = 0; // unused by functions without parameters
        ((firsts[i++] = at, at += Param<Args>::kRegs), ...);
        return firsts;
    }
    template <bool kWithContext, std::size_t... I>
    static std::uint64_t apply(F& function, [[maybe_unused]] CallContext& context,
                               [[maybe_unused]] const std::uint64_t* regs,
                               std::index_sequence<I...>) {
        [[maybe_unused]] constexpr auto kFirst = first_regs();
        if (!(Param<Args>::is_aligned(regs + kFirst[I]) && ... && true)) {
            context.abort("a pointer is not aligned as its type demands");
            return 0;
        }
        const auto invoke = [&]() -> R {
            if constexpr (kWithContext) {
                return function(context, Param<Args>::read(regs + kFirst[I])...);
            } else {
                return function(Param<Args>::read(regs + kFirst[I])...);
            }
        };
        if constexpr (std::is_void_v<R>) {
            invoke();
            return 0;
        } else {
            return static_cast<std::uint64_t>(invoke());
        }
    }
};

template <class F, class Signature>
struct SplitContext;
template <class F, class R, class... Args>
struct SplitContext<F, R(Args...)> {
    using Of = HostFunctionOf<F, R, std::remove_cv_t<Args>...>;
    static constexpr bool kWithContext = false;
};
template <class F, class R, class... Args>
struct SplitContext<F, R(CallContext&, Args...)> {
    using Of = HostFunctionOf<F, R, std::remove_cv_t<Args>...>;
    static constexpr bool kWithContext = true;
};

template <class T>
struct SignatureOf; // of the call operator, or of a function pointer
template <class C, class R, class... A>
struct SignatureOf<R (C::*)(A...)> : std::type_identity<R(A...)> {};
template <class C, class R, class... A>
struct SignatureOf<R (C::*)(A...) const> : std::type_identity<R(A...)> {};
template <class C, class R, class... A>
struct SignatureOf<R (C::*)(A...) noexcept> : std::type_identity<R(A...)> {};
template <class C, class R, class... A>
struct SignatureOf<R (C::*)(A...) const noexcept> : std::type_identity<R(A...)> {};
template <class R, class... A>
struct SignatureOf<R (*)(A...)> : std::type_identity<R(A...)> {};
template <class R, class... A>
struct SignatureOf<R (*)(A...) noexcept> : std::type_identity<R(A...)> {};

template <class F>
struct CallSignature : SignatureOf<decltype(&F::operator())> {};
template <class F>
requires std::is_pointer_v<F>
struct CallSignature<F> : SignatureOf<F> {
};

template <class F>
struct HostFunction {
    using Split = SplitContext<F, typename CallSignature<F>::type>;
    static Helper make(std::string name, F function) {
        return {.proto = Split::Of::proto(std::move(name)),
                .fn = &Split::Of::template call<Split::kWithContext>,
                .data = Split::Of::kHasState ? std::make_shared<F>(std::move(function)) : nullptr,
                .use = Split::Of::template kUse<Split::kWithContext>};
    }
};

} // namespace detail
} // namespace ebpfvm
