#include "maps/hash_map.hpp"

#include "maps/spec_checks.hpp"
#include "support/entropy.hpp"

#include <cerrno>
#include <mutex>

namespace ebpfvm::maps {
namespace {

bool is_lru(MapType type) {
    return type == MapType::LruHash || type == MapType::LruPercpuHash;
}

bool is_per_cpu(MapType type) {
    return type == MapType::PercpuHash || type == MapType::LruPercpuHash;
}

// A bucket: removals in the upper half, first element in the lower.
std::uint32_t first_of(std::uint64_t bucket) {
    return std::uint32_t(bucket);
}
std::uint32_t removals_of(std::uint64_t bucket) {
    return std::uint32_t(bucket >> 32U);
}
std::uint64_t make_bucket(std::uint32_t removals, std::uint32_t first) {
    return std::uint64_t{removals} << 32U | first;
}

// htab_map_alloc_check() of the kernel.
Expected<void> check_spec(const MapSpec& spec) {
    constexpr std::uint64_t kMaxElementSize = (std::uint64_t{4} << 20U) - 64; // KMALLOC_MAX_SIZE
    constexpr std::uint32_t kMaxPerCpuValue = 32 << 10U;                      // PCPU_MIN_UNIT_SIZE
    constexpr std::uint32_t kMaxElements = 1U << 30U;
    std::uint32_t allowed = map_flags::kNoPrealloc | map_flags::kZeroSeed | kAccessFlags;
    allowed |= is_per_cpu(spec.type) ? 0 : map_flags::kNumaNode;
    allowed |= is_lru(spec.type) ? map_flags::kNoCommonLru : 0;
    TRY(check_flags(spec, allowed));
    TRY(check_not_empty(spec));
    if (is_lru(spec.type) && (spec.flags & map_flags::kNoPrealloc) != 0) {
        return fail_map(Errc::InvalidArgument, spec, "no_prealloc is not for type {}",
                        name_of(spec.type));
    }
    if (std::uint64_t{spec.key_size} + spec.value_size >= kMaxElementSize) {
        return fail_map(Errc::LimitExceeded, spec, "key_size={} value_size={}, the limit is {}",
                        spec.key_size, spec.value_size, kMaxElementSize);
    }
    if (is_per_cpu(spec.type) && spec.value_size > kMaxPerCpuValue) {
        return fail_map(Errc::LimitExceeded, spec, "value_size={}, the limit per cpu is {}",
                        spec.value_size, kMaxPerCpuValue);
    }
    if (spec.max_entries > kMaxElements) {
        return fail_map(Errc::LimitExceeded, spec, "max_entries={}, the limit is {}",
                        spec.max_entries, kMaxElements);
    }
    return {};
}

} // namespace

Expected<std::shared_ptr<Map>> HashMap::create(const MapSpec& spec, const MapOptions& options) {
    TRY(check_spec(spec));
    return make(spec, options);
}

Expected<std::shared_ptr<HashMap>> HashMap::create_index(const MapSpec& spec,
                                                         const MapOptions& options) {
    MapSpec index = spec;
    index.type = MapType::Hash;
    index.value_size = sizeof(std::uint64_t);
    TRY(check_spec(index));
    return make(index, options);
}

Expected<std::shared_ptr<HashMap>> HashMap::make(const MapSpec& spec, const MapOptions& options) {
    const std::uint32_t cpus = is_per_cpu(spec.type) ? cpu_count(options) : 1;
    const HashLayout layout(spec, cpus, is_per_cpu(spec.type));
    TRY_ASSIGN(MapMemory memory, MapMemory::allocate(spec, layout.plan, options));
    return std::shared_ptr<HashMap>(new HashMap(spec, cpus, layout, std::move(memory)));
}

HashMap::HashMap(const MapSpec& spec, std::uint32_t cpus, const HashLayout& layout,
                 MapMemory memory)
    : Map(spec), memory_(std::move(memory)), pool_(spec, layout, memory_),
      buckets_(reinterpret_cast<std::uint64_t*>(memory_.at(layout.buckets_off))),
      bucket_mask_(std::uint32_t(layout.buckets - 1)), cpus_(cpus),
      seed_((spec.flags & map_flags::kZeroSeed) != 0 ? 0 : random_seed()),
      is_lru_(is_lru(spec.type)), is_per_cpu_(is_per_cpu(spec.type)), lookup_(choose_lookup()),
      key_copy_(spec.key_size) {}

HashView HashMap::view() const noexcept {
    const auto address = [](const void* at) {
        return std::uint64_t(reinterpret_cast<std::uintptr_t>(at));
    };
    return {.lookup = lookup_,
            .buckets = address(buckets_),
            .bucket_mask = bucket_mask_,
            .key_size = spec().key_size,
            .elements = address(&pool_.element(0)),
            .element_stride = pool_.element_stride(),
            .values = address(pool_.value(0, 0)),
            .value_stride = pool_.value_stride(),
            .cpu_stride = is_per_cpu_ ? pool_.cpu_stride() : 0,
            .seed = seed_,
            .is_per_cpu = is_per_cpu_,
            .is_lru = is_lru_};
}

// Is it the key of this element? Comparing hashes first saves time only if keys are long.
template <class Size>
bool HashMap::is_at(const BasicKey<Size>& key, std::uint32_t hash, Element& element) const {
    constexpr bool kMayBeLong = std::is_same_v<Size, std::uint32_t>;
    return (!kMayBeLong || load_acquire(element.hash) == hash) && key.equals(pool_.key(element));
}

// The element of `key`, or kNoElement. `take(number)` may look at the element before it is known
// whether that was still the one; it is called again if not.
template <class Size, class Take>
std::uint32_t HashMap::find(const BasicKey<Size>& key, Take&& take) const noexcept {
    const std::uint32_t hash = key.hash(seed_);
    const std::uint64_t& bucket = bucket_of(hash);
    std::uint64_t seen = load_acquire(bucket);
    for (;;) {
        std::uint32_t at = first_of(seen);
        while (at != kNoElement) {
            Element& element = pool_.element(at);
            if (is_at(key, hash, element)) {
                take(at);
                break;
            }
            at = load_acquire(element.next);
        }
        // Whatever was written to an element after it left the chain was written after the count of
        // removals, with release: having read any of it, we see the new count here.
        const std::uint64_t now = load_acquire(bucket);
        if (removals_of(now) == removals_of(seen)) {
            return at;
        }
        seen = now;
    }
}

// The same for a key of unknown size, with code of its own for the most frequent ones.
template <class Take>
std::uint32_t HashMap::find(const void* key, Take&& take) const noexcept {
    switch (const std::uint32_t size = spec().key_size; size) {
    case 4:
        return find(BasicKey(key, FixedSize<4>{}), take);
    case 8:
        return find(BasicKey(key, FixedSize<8>{}), take);
    case 16:
        return find(BasicKey(key, FixedSize<16>{}), take);
    default:
        return find(BasicKey(key, size), take);
    }
}

// One lookup for each kind of map and frequent size of keys, chosen when the map is made.
template <class Size>
HashLookupFn HashMap::lookup_for_size() const {
    const auto make = []<bool kIsLru, bool kIsPerCpu>() -> HashLookupFn {
        return [](Map& base, const void* bytes, const MapUser& user) noexcept -> void* {
            const auto& map = static_cast<const HashMap&>(base);
            if (kIsPerCpu && user.cpu >= map.cpus_) {
                return nullptr;
            }
            Size size{};
            if constexpr (std::is_same_v<Size, std::uint32_t>) {
                size = map.spec().key_size;
            }
            const std::uint32_t at = map.find(BasicKey(bytes, size), [](std::uint32_t) {});
            if (at == kNoElement) {
                return nullptr;
            }
            if constexpr (kIsLru) {
                map.mark_referenced(at);
            }
            return map.pool_.value(at, kIsPerCpu ? user.cpu : 0);
        };
    };
    if (is_lru_) {
        return is_per_cpu_ ? make.template operator()<true, true>()
                           : make.template operator()<true, false>();
    }
    return is_per_cpu_ ? make.template operator()<false, true>()
                       : make.template operator()<false, false>();
}

HashLookupFn HashMap::choose_lookup() const {
    switch (spec().key_size) {
    case 4:
        return lookup_for_size<FixedSize<4>>();
    case 8:
        return lookup_for_size<FixedSize<8>>();
    case 16:
        return lookup_for_size<FixedSize<16>>();
    default:
        return lookup_for_size<std::uint32_t>();
    }
}

// Only from kLive: the element may be deleted at this moment, and must stay so.
void HashMap::mark_referenced(std::uint32_t number) const {
    std::atomic_ref state(pool_.element(number).state);
    std::uintptr_t expected = element_state::kLive;
    if (state.load(std::memory_order_relaxed) == expected) {
        state.compare_exchange_strong(expected, element_state::kReferenced,
                                      std::memory_order_relaxed);
    }
}

int HashMap::copy_elem(const void* key, void* value, const MapUser& user) noexcept {
    if (user.cpu >= cpus_ && is_per_cpu_) {
        return -EINVAL;
    }
    const auto copy = [&](std::uint32_t at) {
        load_shared(value, pool_.value(at, is_per_cpu_ ? user.cpu : 0), spec().value_size);
    };
    return find(key, copy) != kNoElement ? 0 : -ENOENT;
}

int HashMap::update_elem(const void* key_bytes, const void* value, std::uint64_t flags,
                         const MapUser& user) noexcept {
    if (flags > update_flags::kExist || (is_per_cpu_ && user.cpu >= cpus_)) {
        return -EINVAL;
    }
    const std::lock_guard guard(lock_);
    // A copy: if another program changes the bytes meanwhile, hash and key must still belong
    // together.
    std::memcpy(key_copy_.data(), key_bytes, spec().key_size);
    const Key key(key_copy_.data(), spec().key_size);
    const std::uint32_t hash = key.hash(seed_);
    const Place place = locate(key, hash);
    if (place.at == kNoElement) {
        if (flags == update_flags::kExist) {
            return -ENOENT;
        }
        if (live_ == spec().max_entries) {
            if (!is_lru_) {
                return -E2BIG;
            }
            evict();
        }
        const std::uint32_t number = pool_.take();
        fill(number, key, hash, value, user);
        const std::uint64_t bucket = load_acquire(place.bucket); // evict() may have changed it
        store_release(pool_.element(number).next, first_of(bucket));
        store_release(place.bucket, make_bucket(removals_of(bucket), number));
        ++live_;
        return 0;
    }
    if (flags == update_flags::kNoExist) {
        return -EEXIST;
    }
    if (is_per_cpu_) {
        store_shared(pool_.value(place.at, user.cpu), value, spec().value_size);
        return 0;
    }
    const std::uint32_t number = pool_.take();
    fill(number, key, hash, value, user);
    store_release(pool_.element(number).state,
                  is_lru_ ? element_state::kReferenced : element_state::kLive);
    store_release(pool_.element(number).next, load_acquire(pool_.element(place.at).next));
    replace(place, number);
    pool_.give_back(place.at, element_state::kRetired);
    return 0;
}

int HashMap::delete_elem(const void* key_bytes, const MapUser& user) noexcept {
    const Key key(key_bytes, spec().key_size);
    const std::uint32_t hash = key.hash(seed_);
    const std::lock_guard guard(lock_);
    const Place place = locate(key, hash);
    if (place.at == kNoElement) {
        return -ENOENT;
    }
    remove(place, user.run != nullptr ? reinterpret_cast<std::uintptr_t>(user.run)
                                      : element_state::kRetired);
    return 0;
}

int HashMap::get_next_key(const void* key, void* next) noexcept {
    const auto load = [&](std::uint32_t at) {
        load_key(next, pool_.key(pool_.element(at)), spec().key_size);
    };
    std::uint64_t bucket = 0;
    if (key != nullptr) {
        std::uint32_t follower = kNoElement;
        const std::uint32_t found = find(key, [&](std::uint32_t at) {
            bucket = (load_acquire(pool_.element(at).hash) & bucket_mask_) + std::uint64_t{1};
            follower = load_acquire(pool_.element(at).next);
            if (follower != kNoElement) {
                load(follower);
            }
        });
        if (found != kNoElement && follower != kNoElement) {
            return 0;
        }
        bucket = found != kNoElement ? bucket : 0;
    }
    for (; bucket <= bucket_mask_; ++bucket) {
        if (load_first(buckets_[bucket], load)) {
            return 0;
        }
    }
    return -ENOENT;
}

// Shows the first element of a chain to `load`, with the retries of find(); false if there is none.
template <class Load>
bool HashMap::load_first(const std::uint64_t& bucket, Load&& load) const noexcept {
    for (std::uint64_t seen = load_acquire(bucket); first_of(seen) != kNoElement;) {
        load(first_of(seen));
        const std::uint64_t now = load_acquire(bucket);
        if (removals_of(now) == removals_of(seen)) {
            return true;
        }
        seen = now;
    }
    return false;
}

HashMap::Place HashMap::locate(const Key& key, std::uint32_t hash) const {
    Place place{bucket_of(hash), kNoElement, first_of(load_acquire(bucket_of(hash)))};
    while (place.at != kNoElement) {
        Element& element = pool_.element(place.at);
        if (is_at(key, hash, element)) {
            break;
        }
        place.before = place.at;
        place.at = load_acquire(element.next);
    }
    return place;
}

HashMap::Place HashMap::locate(std::uint32_t number) const {
    std::uint64_t& bucket = bucket_of(load_acquire(pool_.element(number).hash));
    Place place{bucket, kNoElement, first_of(load_acquire(bucket))};
    while (place.at != number) {
        place.before = place.at;
        place.at = load_acquire(pool_.element(place.at).next);
    }
    return place;
}

// Takes the element out of its chain and lets `next` follow the one before it.
void HashMap::replace(const Place& place, std::uint32_t next) {
    const std::uint64_t bucket = load_acquire(place.bucket);
    std::uint32_t first = next;
    if (place.before != kNoElement) {
        store_release(pool_.element(place.before).next, next);
        first = first_of(bucket);
    }
    store_release(place.bucket, make_bucket(removals_of(bucket) + 1, first));
}

void HashMap::remove(const Place& place, std::uintptr_t state) {
    replace(place, load_acquire(pool_.element(place.at).next));
    pool_.give_back(place.at, state);
    --live_;
}

void HashMap::fill(std::uint32_t number, const Key& key, std::uint32_t hash, const void* value,
                   const MapUser& user) {
    Element& element = pool_.element(number);
    store_release(element.hash, hash);
    store_release(element.state, element_state::kLive);
    key.store(pool_.key(element));
    for (std::uint32_t cpu = 0; cpu < cpus_; ++cpu) {
        if (is_per_cpu_ && cpu != user.cpu) {
            clear_shared(pool_.value(number, cpu), spec().value_size);
        } else {
            store_shared(pool_.value(number, cpu), value, spec().value_size);
        }
    }
}

void HashMap::evict() {
    for (std::uint32_t scanned = 1;; ++scanned) {
        clock_hand_ = clock_hand_ < pool_.highest() ? clock_hand_ + 1 : 1;
        std::atomic_ref state(pool_.element(clock_hand_).state);
        const std::uintptr_t seen = state.load(std::memory_order_relaxed);
        const bool is_live = seen == element_state::kLive || seen == element_state::kReferenced;
        if (seen == element_state::kLive || (is_live && scanned >= kMaxScan)) {
            return remove(locate(clock_hand_), element_state::kRetired);
        }
        if (is_live) {
            state.store(element_state::kLive, std::memory_order_relaxed);
        }
    }
}

} // namespace ebpfvm::maps
