// Short ways to make and use maps in tests.
#pragma once

#include "ebpfvm/map.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace ebpfvm::testing {

inline MapSpec spec_of(MapType type, std::uint32_t key_size, std::uint32_t value_size,
                       std::uint32_t max_entries, std::uint32_t flags = 0) {
    MapSpec spec;
    spec.name = "m";
    spec.type = type;
    spec.key_size = key_size;
    spec.value_size = value_size;
    spec.max_entries = max_entries;
    spec.flags = flags;
    return spec;
}

/// Fails the test and returns nullptr if the map cannot be created.
inline std::shared_ptr<Map> create(const MapSpec& spec, const MapOptions& options = {.cpus = 2}) {
    auto map = create_map(spec, options);
    EXPECT_TRUE(map.has_value()) << map.error().message;
    return map ? *map : nullptr;
}

inline std::shared_ptr<Map> create(MapType type, std::uint32_t key_size, std::uint32_t value_size,
                                   std::uint32_t max_entries, std::uint32_t flags = 0) {
    return create(spec_of(type, key_size, value_size, max_entries, flags));
}

/// The error code of a spec that must be refused.
inline Errc refusal(const MapSpec& spec, const MapOptions& options = {.cpus = 2}) {
    const auto map = create_map(spec, options);
    EXPECT_FALSE(map.has_value()) << "accepted";
    return map ? Errc::Io : map.error().code;
}

/// Map functions on keys and values that are C++ objects.
template <class K, class V>
int update(Map& map, const K& key, const V& value, std::uint64_t flags = update_flags::kAny,
           const MapUser& user = {}) {
    EXPECT_EQ(map.spec().key_size, sizeof(K));
    EXPECT_EQ(map.spec().value_size, sizeof(V));
    return map.update_elem(&key, &value, flags, user);
}

template <class V = std::uint64_t, class K>
V* lookup(Map& map, const K& key, const MapUser& user = {}) {
    EXPECT_EQ(map.spec().key_size, sizeof(K));
    return static_cast<V*>(map.lookup_elem(&key, user));
}

template <class K>
int erase(Map& map, const K& key, const MapUser& user = {}) {
    EXPECT_EQ(map.spec().key_size, sizeof(K));
    return map.delete_elem(&key, user);
}

/// All keys in get_next_key order.
template <class K>
std::vector<K> keys_of(Map& map) {
    std::vector<K> keys;
    map.for_each_key([&keys](std::span<const std::byte> bytes) {
        K key;
        std::memcpy(&key, bytes.data(), sizeof(K));
        keys.push_back(key);
        return true;
    });
    return keys;
}

template <class T>
std::span<const std::byte> bytes_of(const T& object) {
    return std::as_bytes(std::span(&object, 1));
}

} // namespace ebpfvm::testing
