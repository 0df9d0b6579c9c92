// Maps: what an object asks for (MapSpec), and the thing itself (Map).
#pragma once

#include "ebpfvm/error.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ebpfvm {

/// The kernel's numbers.
enum class MapType : std::uint32_t {
    Unspec = 0,
#define EBPFVM_MAP_TYPE(name, id, text, Class) name = id,
#define EBPFVM_MAP_TYPE_ABSENT(name, id, text) name = id,
#include "ebpfvm/tables/map_types.def"
};

/// libbpf's name, "hash"; "unknown" for a number that is in no table.
[[nodiscard]] std::string_view name_of(MapType type);

/// Bits of MapSpec::flags; the kernel's numbers (BPF_F_...).
namespace map_flags {
inline constexpr std::uint32_t kNoPrealloc = 1U << 0;
inline constexpr std::uint32_t kNoCommonLru = 1U << 1;
inline constexpr std::uint32_t kNumaNode = 1U << 2;
inline constexpr std::uint32_t kRdonly = 1U << 3; ///< no writes by the host
inline constexpr std::uint32_t kWronly = 1U << 4; ///< no reads by the host
inline constexpr std::uint32_t kZeroSeed = 1U << 6;
inline constexpr std::uint32_t kRdonlyProg = 1U << 7; ///< programs may not write values
inline constexpr std::uint32_t kWronlyProg = 1U << 8; ///< programs may not read values
inline constexpr std::uint32_t kMmapable = 1U << 10;
inline constexpr std::uint32_t kInnerMap = 1U << 12;
} // namespace map_flags

/// Flags of Map::update_elem; the kernel's numbers.
namespace update_flags {
inline constexpr std::uint64_t kAny = 0;     ///< create or replace
inline constexpr std::uint64_t kNoExist = 1; ///< create only; -EEXIST otherwise
inline constexpr std::uint64_t kExist = 2;   ///< replace only; -ENOENT otherwise
} // namespace update_flags

/// A slot of a prog_array or of a map of maps that the object fills by name.
struct InitialSlot {
    std::uint32_t index = 0;
    std::string name{}; ///< of a program or map of the same object

    bool operator==(const InitialSlot&) const = default;
};

/// A field of the value that only helpers may touch: "spin_lock", "timer", "kptr"...
struct MapField {
    std::string kind{};
    std::uint32_t off = 0; ///< bytes into the value

    bool operator==(const MapField&) const = default;
};

/// The definition of a map: enough to create it, and all that a verifier needs to know.
struct MapSpec {
    std::string name{};
    MapType type = MapType::Unspec;
    std::uint32_t key_size = 0;   ///< bytes
    std::uint32_t value_size = 0; ///< bytes
    std::uint32_t max_entries = 0;
    std::uint32_t flags = 0;                ///< map_flags
    std::uint64_t extra = 0;                ///< map_extra: meaning depends on the type
    std::uint32_t pinning = 0;              ///< 1: by name
    std::uint32_t key_btf_id = 0;           ///< type in Object::btf(); 0 if unknown
    std::uint32_t value_btf_id = 0;         ///< type in Object::btf(); 0 if unknown
    std::shared_ptr<const MapSpec> inner{}; ///< what a map of maps holds
    std::vector<InitialSlot> slots{};       ///< static `values` of prog_array and maps of maps
    std::vector<MapField> fields{};         ///< special fields of the value
    /// Content of element 0 for .rodata, .data, .bss and .kconfig; empty for other maps.
    std::vector<std::byte> data{};
    bool frozen = false; ///< the host may not change it once created (.rodata, .kconfig)
};

/// Who accesses a map: which per-cpu copy it sees, and which run it belongs to.
struct MapUser {
    std::uint32_t cpu = 0;
    /// Identity of a run: memory of an element that this run deleted counts as stale for it.
    const void* run = nullptr;
};

/// What a program may do with memory.
enum class Access : std::uint8_t { None = 0, Read = 1, Write = 2, ReadWrite = 3 };

/// Does `have` include all of `want`?
[[nodiscard]] constexpr bool allows(Access have, Access want) {
    return (std::to_underlying(have) & std::to_underlying(want)) == std::to_underlying(want);
}

/// Answer to: may this run touch these bytes of the map's memory?
enum class MemoryState : std::uint8_t {
    Ok,
    NotMine,     ///< outside the map's memory
    OutOfBounds, ///< crosses the end of a value, or lies in the map's own bookkeeping
    Stale,       ///< in an element that does not exist (any more)
};

/// A map. All functions are safe to call from many threads at once; lookups take no lock.
///
/// Values have stable addresses until their element is deleted. Functions that change the map
/// return 0 or a negative errno, as the kernel does: -ENOENT, -EEXIST, -E2BIG, -EINVAL, -EPERM,
/// -ENOTSUP. `key` and `value` point to key_size and value_size bytes of any alignment.
class Map : public std::enable_shared_from_this<Map> {
  public:
    Map(const Map&) = delete;
    Map& operator=(const Map&) = delete;
    virtual ~Map() = default;

    [[nodiscard]] const MapSpec& spec() const { return spec_; }

    /// The value of `key` for user.cpu, or nullptr. For a map of maps: the Map.
    [[nodiscard]] virtual void* lookup_elem(const void* key, const MapUser& user) noexcept = 0;
    /// Sets the value (of user.cpu alone in per-cpu maps). `flags`: update_flags.
    virtual int update_elem(const void* key, const void* value, std::uint64_t flags,
                            const MapUser& user) noexcept = 0;
    virtual int delete_elem(const void* key, const MapUser& user) noexcept = 0;
    /// Writes the key after `key` (nullptr: the first) to `next`, which must not overlap it; -ENOENT
    /// at the end. Order is unspecified but stable while nobody changes the map.
    virtual int get_next_key(const void* key, void* next) noexcept = 0;
    /// Copies the value of `key` to `value`, for the host. Never mixes the values of two keys, and in
    /// hash maps not those of two updates; no use in the sense of LRU. -ENOENT; -ENOTSUP if values
    /// cannot be copied.
    virtual int copy_elem(const void* key, void* value, const MapUser& user) noexcept;

    /// Number of copies of each value: more than 1 in per-cpu maps.
    [[nodiscard]] virtual std::uint32_t cpus() const noexcept { return 1; }
    /// All memory that values live in; empty if programs never see any.
    [[nodiscard]] virtual std::span<std::byte> memory() noexcept { return {}; }
    /// May `user.run` access [at, at + size)? `at` need not lie in memory().
    [[nodiscard]] virtual MemoryState memory_state(const void* at, std::size_t size,
                                                   const MapUser& user) noexcept;
    /// The value that `at` lies in, if `user` may access it; else empty.
    [[nodiscard]] virtual std::span<std::byte> value_at(const void* at,
                                                        const MapUser& user) noexcept;
    /// What programs may do with values (from kRdonlyProg and kWronlyProg).
    [[nodiscard]] Access prog_access() const noexcept;

    /// Forbids further changes by the host; programs keep their rights. BPF_MAP_FREEZE.
    void freeze() noexcept { frozen_.store(true, std::memory_order_relaxed); }
    [[nodiscard]] bool is_frozen() const noexcept {
        return frozen_.load(std::memory_order_relaxed);
    }

    /// Host-side conveniences over the above: sizes are checked, frozen maps refuse.
    [[nodiscard]] Expected<std::vector<std::byte>> read(std::span<const std::byte> key,
                                                        std::uint32_t cpu = 0);
    Expected<void> write(std::span<const std::byte> key, std::span<const std::byte> value,
                         std::uint64_t flags = update_flags::kAny, std::uint32_t cpu = 0);
    /// Calls `visit(key)` for each key, in get_next_key order; stops when it returns false.
    void for_each_key(const std::function<bool(std::span<const std::byte>)>& visit);

  protected:
    explicit Map(MapSpec spec) : spec_(std::move(spec)) {}

  private:
    MapSpec spec_;
    std::atomic<bool> frozen_ = false;
};

struct MapOptions {
    std::uint32_t cpus = 0; ///< copies in per-cpu maps; 0: one per host CPU
    std::uint64_t max_bytes = std::uint64_t{4} << 30; ///< larger maps are refused
};

/// Creates a map with its memory; MapSpec::data becomes element 0, MapSpec::slots stay empty.
/// Errors: Errc::InvalidArgument for what the kernel refuses with -EINVAL, Errc::Unsupported for a
/// type without a class in map_types.def, Errc::LimitExceeded for memory.
[[nodiscard]] Expected<std::shared_ptr<Map>> create_map(const MapSpec& spec,
                                                        const MapOptions& options = {});

/// Takes all committed records out of a ringbuf map, oldest first, and returns their number.
/// One consumer at a time. Errors: Errc::InvalidArgument if `map` is no ringbuf.
Expected<std::size_t> consume_ringbuf(Map& map,
                                      const std::function<void(std::span<const std::byte>)>& sink);

} // namespace ebpfvm
