// What a run needs and what it gives: contexts, results, faults, and what a helper sees of its
// caller.
#pragma once

#include "ebpfvm/map.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ebpfvm {

/// A packet in a buffer of the host's. [data, data_end) is the packet; programs may move both ends
/// inside [hard_start, hard_end) with xdp_adjust_head and xdp_adjust_tail. Nothing is copied.
struct Packet {
    std::byte* hard_start = nullptr;
    std::byte* data_meta = nullptr; ///< metadata lies in [data_meta, data)
    std::byte* data = nullptr;
    std::byte* data_end = nullptr;
    std::byte* hard_end = nullptr;

    /// The packet is `data` inside `buffer`, with the rest as head- and tailroom; no metadata.
    /// `data` must lie inside `buffer`.
    [[nodiscard]] static Packet in(std::span<std::byte> buffer, std::span<std::byte> data) {
        return {buffer.data(), data.data(), data.data(), data.data() + data.size(),
                buffer.data() + buffer.size()};
    }
    [[nodiscard]] std::span<std::byte> bytes() const { return {data, data_end}; }
};

/// The host's side of `struct xdp_md`.
struct XdpCtx {
    Packet packet{};
    std::uint32_t ingress_ifindex = 1;
    std::uint32_t rx_queue_index = 0;
    std::uint32_t egress_ifindex = 0;
};

/// The host's side of `struct __sk_buff`. Fields have the uapi's meaning and byte order.
struct SkbCtx {
    Packet packet{};
    std::uint32_t pkt_type = 0;
    std::uint32_t mark = 0;
    std::uint32_t queue_mapping = 0;
    std::uint32_t protocol = 0; ///< ethertype, network byte order
    std::uint32_t vlan_present = 0;
    std::uint32_t vlan_tci = 0;
    std::uint32_t vlan_proto = 0;
    std::uint32_t priority = 0;
    std::uint32_t ingress_ifindex = 0;
    std::uint32_t ifindex = 1;
    std::uint32_t tc_index = 0;
    std::array<std::uint32_t, 5> cb{};
    std::uint32_t hash = 0;
    std::uint32_t tc_classid = 0;
    std::uint32_t napi_id = 0;
    std::uint64_t tstamp = 0; ///< ns
    std::uint32_t wire_len = 0;
    std::uint32_t gso_segs = 0;
    std::uint32_t gso_size = 0;
    std::uint8_t tstamp_type = 0;
    std::uint64_t hwtstamp = 0; ///< ns
};

/// Why a run was stopped. A fault is an answer about the program, never damage to the host.
enum class FaultKind : std::uint8_t {
    OutOfBounds,     ///< load or store outside everything the program may touch, or across an end
    ReadOnly,        ///< store to memory it may only read
    WriteOnly,       ///< load from memory it may only write
    Misaligned,      ///< atomic operation that is not aligned to its size
    StaleMapValue,   ///< map value whose element this run deleted
    BadCtxAccess,    ///< ctx field that does not exist, has another size or may not be written
    BadHelperArg,    ///< argument that the helper's prototype does not allow
    BadCallTarget,   ///< callx to something that is neither a function nor a helper
    CallDepth,       ///< more than 8 frames, not counting those below tail calls
    BudgetExhausted, ///< instruction budget used up
    HelperAbort,     ///< a host function ended the run
    UnreleasedRef,   ///< ended while it still held a ringbuf record
};

/// "out-of-bounds", "read-only"...
[[nodiscard]] std::string_view name_of(FaultKind kind);

/// Which kind of memory an address belongs to.
enum class MemoryClass : std::uint8_t { None, Stack, Ctx, Packet, MapValue, Helper };

/// "no known region", "stack", "ctx", "packet", "map value", "helper memory".
[[nodiscard]] std::string_view name_of(MemoryClass memory_class);

struct Fault {
    FaultKind kind = FaultKind::OutOfBounds;
    MemoryClass memory_class = MemoryClass::None; ///< what the address is nearest to, or None
    std::size_t insn = 0;                         ///< slot index in the program that was running
    std::string prog{};                           ///< its name (another one after a tail call)
    std::string message{};           ///< "insn 12: r3 = *(u32 *)(r1 +24): ..." with values
    std::optional<Location> where{}; ///< source line, if the object had line info
};

struct Program;

/// What a watcher sees before each insn.
struct InsnView {
    const Program& program; ///< the one that is running: another one after a tail call
    std::size_t insn;       ///< slot
    unsigned depth;         ///< frames below the current one
    std::span<const std::uint64_t, 11> regs;
};

struct RunResult {
    std::uint64_t r0 = 0;
    /// lddw counts once; helpers' own work does not count, but 6 insns for each turn of bpf_loop. 0
    /// if the engine does not count: machine code of verified programs.
    std::uint64_t insns_executed = 0;
    std::shared_ptr<const Fault> fault{}; ///< why the run was stopped, or null; r0 is 0 if set
};

/// What a helper or host function sees of the run that called it. Valid during the call alone.
class CallContext {
  public:
    CallContext(const CallContext&) = delete;
    CallContext& operator=(const CallContext&) = delete;

    /// The host's context object of this run (XdpCtx *, SkbCtx *, or the caller's memory).
    [[nodiscard]] void* ctx() const { return ctx_; }
    /// The packet of this run; nullptr if its program type has none or may not change it.
    [[nodiscard]] Packet* packet() const { return packet_; }
    /// Number of the virtual CPU this run occupies; selects the copy in per-cpu maps.
    [[nodiscard]] std::uint32_t cpu() const { return user_.cpu; }
    [[nodiscard]] const MapUser& map_user() const { return user_; }
    /// What was registered with the function that is being called.
    [[nodiscard]] void* data() const { return data_; }

    /// Lets the program access [memory, memory + size) until revoke() or the end of the run,
    /// besides what it may touch anyway. Returns false if 64 such regions are live. Only checked
    /// mode cares.
    bool grant(std::span<std::byte> memory, Access access);
    /// Takes a grant back that begins at `memory`; false if there is none.
    bool revoke(const void* memory);
    /// A grant that the program itself must give back before it ends. If it does not, or faults,
    /// `release(memory)` is called when the run ends.
    bool grant_ref(std::span<std::byte> memory, Access access, void (*release)(std::byte* memory));

    /// Ends the run with FaultKind::HelperAbort as soon as the function returns. `reason` must be a
    /// string that outlives the run (a literal).
    void abort(const char* reason) { abort_reason_ = reason; }

    /// Host services, from VmOptions.
    [[nodiscard]] std::uint64_t now_ns() const;
    [[nodiscard]] std::uint32_t random_u32();
    void trace(std::string_view text) const;

    struct Grant {
        std::byte* begin;
        std::size_t size;
        Access access;
        void (*release)(std::byte* memory); ///< nullptr unless made by grant_ref()
    };

  protected:
    CallContext() = default;
    ~CallContext() = default;

    static constexpr std::size_t kMaxGrants = 64;
    void* ctx_ = nullptr;
    Packet* packet_ = nullptr;
    void* data_ = nullptr;
    const struct Environment* environment_ = nullptr;
    const char* abort_reason_ = nullptr;
    MapUser user_;
    std::uint64_t random_state_ = 0;
    std::size_t grant_count_ = 0;
    std::array<Grant, kMaxGrants> grants_; // first grant_count_ are valid
};

/// Services of the host that helpers need. Shared by all runs of a Vm; called from many threads.
struct Environment {
    /// Monotonic time in ns; the default reads CLOCK_MONOTONIC.
    std::function<std::uint64_t()> clock{};
    /// Receives the text of trace_printk, without a final newline; the default drops it.
    std::function<void(std::string_view)> trace{};
    /// Non-zero makes get_prandom_u32 the same in each run: every run starts from this seed.
    std::uint64_t random_seed = 0;
};

} // namespace ebpfvm
