// Program types: what r1 points to, which of its fields exist, and how they map to the host's
// struct.
#pragma once

#include "ebpfvm/run.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm {

/// The kernel's numbers; hosts number their own types from kFirstHostProgType.
enum class ProgType : std::uint32_t {
    Unspec = 0,
#define EBPFVM_PROG_TYPE(name, id, text, ctx) name = id,
#include "ebpfvm/tables/prog_types.def"
};
inline constexpr std::uint32_t kFirstHostProgType = 0x10000;

/// The kernel's numbers of what programs attach to.
enum class AttachType : std::uint32_t {
#define EBPFVM_ATTACH_TYPE(name, id) name = id,
#include "ebpfvm/tables/prog_types.def"
};

/// Bits of Program::flags; the kernel's numbers (BPF_F_... of BPF_PROG_LOAD).
namespace prog_flags {
inline constexpr std::uint32_t kSleepable = 1U << 4;   ///< may call what sleeps
inline constexpr std::uint32_t kXdpHasFrags = 1U << 5; ///< knows packets in several buffers
} // namespace prog_flags

/// What a field of the context holds.
enum class CtxFieldKind : std::uint8_t {
    Scalar,
    Packet,     ///< reads as a pointer to the packet's first byte; 4 bytes wide in the uapi struct
    PacketMeta, ///< to the first byte of its metadata
    PacketEnd,  ///< to the byte after its last
    PacketLen,  ///< number of bytes in the packet
    Bytes,      ///< any access inside it, as to an array of bytes (cb[])
    SockCommonOrNull, ///< pointer to a bpf_sock of which programs see a part; null in engines
    // Pointers that verifiers know, but no engine of this library gives:
    SocketOrNull, ///< to a bpf_sock, or null
    Socket,       ///< to a bpf_sock
    FlowKeys,     ///< to a bpf_flow_keys
    TpBuffer,     ///< to the buffer of a writable raw tracepoint
    BtfObject,    ///< to a struct of the kernel: CtxField::btf
};

/// Where in a field loads of less than its size may begin.
enum class CtxPart : std::uint8_t {
    Aligned,   ///< where they are aligned to their own size
    AtStart,   ///< at its first byte
    Unaligned, ///< anywhere
};

/// One field of the struct that programs see, and where the host's struct has it.
struct CtxField {
    std::string name{};
    std::uint32_t off = 0; ///< in the struct that programs see
    std::uint32_t size =
        0; ///< there; narrower aligned loads inside it are allowed, stores are whole
    CtxFieldKind kind = CtxFieldKind::Scalar;
    Access access = Access::Read;
    std::uint32_t host_off = 0; ///< in the host's struct (Scalar and Bytes)
    std::uint32_t host_size =
        0; ///< 1, 2, 4 or 8 (Bytes: any); values are zero extended or truncated
    /// Sizes of loads and of stores that a verifier accepts, as a sum of 1, 2, 4 and 8. 0: what
    /// `size` says. An array of words, such as user_ip6, is one field that is larger than they are.
    std::uint8_t loads = 0;
    std::uint8_t stores = 0;
    CtxPart part = CtxPart::Aligned;
    std::string btf{}; ///< of a BtfObject: "sk_buff"
};

/// Largest struct that programs see through a table of fields.
inline constexpr std::uint32_t kMaxCtxSize = 1024;

/// The context of a program type.
struct CtxLayout {
    std::string name{};             ///< "xdp_md"
    std::uint32_t size = 0;         ///< of the struct that programs see
    std::uint32_t host_size = 0;    ///< of the host's object, at least
    std::vector<CtxField> fields{}; ///< ascending by off; empty: see `plain`
    /// Plain memory: programs access the host's object directly, `size` bytes (0: as many as the
    /// caller of run() passes), with this right.
    Access plain = Access::None;
    /// The host's object starts with a Packet.
    bool has_packet = false;
    Access packet_access = Access::None; ///< right of programs on packet bytes

    /// The field that holds [off, off + size), or nullptr. Rights and alignment are not looked at.
    [[nodiscard]] const CtxField* find(std::uint64_t off, std::uint64_t size) const;
};

struct ProgTypeInfo {
    ProgType type = ProgType::Unspec;
    std::string name{}; ///< "xdp"
    std::vector<std::string>
        sections{}; ///< ELF section names, alone or as prefix before '/' or '.'
    /// Shared by all programs of the type; null: known by name, cannot run here.
    std::shared_ptr<const CtxLayout> ctx{};
};

/// What the name of an ELF section says of the programs in it.
struct ProgSection {
    ProgType type = ProgType::Unspec;
    std::uint32_t attach_type = 0; ///< AttachType, 0 if the name implies none
    std::uint32_t flags = 0;       ///< prog_flags

    bool operator==(const ProgSection&) const = default;
};

/// The program types a host knows: the kernel's, and its own.
class ProgTypeTable {
  public:
    /// All types of tables/prog_types.def, and Unspec: plain memory that programs may read and
    /// write.
    ProgTypeTable();

    /// Adds a type of the host's. Errors: Errc::InvalidArgument if the number is below
    /// kFirstHostProgType or taken, a name or section is taken, or the layout contradicts itself.
    Expected<void> add(ProgTypeInfo info);

    [[nodiscard]] const ProgTypeInfo* find(ProgType type) const;
    [[nodiscard]] const ProgTypeInfo* find(std::string_view name) const;
    /// The type that programs in an ELF section have, and what else libbpf reads out of its name;
    /// Unspec if no type claims it.
    [[nodiscard]] ProgSection section(std::string_view name) const;

  private:
    std::map<ProgType, ProgTypeInfo> types_;
};

/// "xdp"; "unspec" or "host-defined" for numbers outside the table.
[[nodiscard]] std::string_view name_of(ProgType type);

} // namespace ebpfvm
