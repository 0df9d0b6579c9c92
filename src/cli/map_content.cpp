// Reading maps as the host may. Tested by run_once_test.cpp and run_pcap_test.cpp.
#include "cli/map_content.hpp"

#include "cli/btf_value.hpp"
#include "cli/files.hpp"
#include "ebpfvm/btf.hpp"
#include "support/bits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace ebpfvm::cli {
namespace {

using Key = std::vector<std::byte>;

bool is_percpu(MapType type) {
    return type == MapType::PercpuArray || type == MapType::PercpuHash ||
           type == MapType::LruPercpuHash;
}

// Its elements always exist; only those that differ from zero say something.
bool is_array(MapType type) {
    return type == MapType::Array || type == MapType::PercpuArray;
}

// What programs see is no data but other maps and programs.
bool holds_objects(MapType type) {
    return type == MapType::ProgArray || type == MapType::ArrayOfMaps ||
           type == MapType::HashOfMaps;
}

// Numbers in their order, whatever is larger as bytes.
bool key_less(const Key& a, const Key& b) {
    if (a.size() == b.size() && a.size() <= sizeof(std::uint64_t)) {
        return std::ranges::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
    }
    return a < b;
}

// The copies of a value, one per virtual CPU (one in all in other maps); empty if it is gone.
std::vector<std::vector<std::byte>> read_copies(Map& map, const Key& key) {
    std::vector<std::vector<std::byte>> copies;
    const std::uint32_t cpus = is_percpu(map.spec().type) ? map.cpus() : 1;
    for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) {
        auto value = map.read(key, cpu);
        if (!value) {
            return {};
        }
        copies.push_back(std::move(*value));
    }
    return copies;
}

bool is_zero(const std::vector<std::byte>& bytes) {
    return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// The name of what the object put into this slot; null if it was the host.
Json initial_slot(const MapSpec& spec, const Key& key) {
    for (const InitialSlot& slot : spec.slots) {
        if (std::ranges::equal(key, std::as_bytes(std::span(&slot.index, 1)))) {
            return slot.name;
        }
    }
    return nullptr;
}

MapEntry make_entry(Map& map, const Btf* btf, const Key& key) {
    const MapSpec& spec = map.spec();
    MapEntry entry;
    // Array indices are numbers even without BTF.
    const bool is_index =
        is_array(spec.type) || spec.type == MapType::ProgArray || spec.type == MapType::ArrayOfMaps;
    entry.key = is_index && spec.key_btf_id == 0 && key.size() == sizeof(std::uint32_t)
                    ? Json(load_unaligned<std::uint32_t>(key.data()))
                    : value_of(btf, spec.key_btf_id, key);
    if (holds_objects(spec.type)) {
        entry.value = initial_slot(spec, key);
        return entry;
    }
    Json::Array values;
    for (const auto& copy : read_copies(map, key)) {
        values.push_back(value_of(btf, spec.value_btf_id, copy));
    }
    if (is_percpu(spec.type)) {
        entry.sum = values.empty() ? std::nullopt : sum_of(values);
        entry.value = std::move(values);
    } else if (!values.empty()) {
        entry.value = std::move(values.front());
    }
    return entry;
}

void read_entries(MapContent& content, Map& map, const Btf* btf, std::size_t limit) {
    std::vector<Key> keys;
    map.for_each_key([&](std::span<const std::byte> key) {
        keys.emplace_back(key.begin(), key.end());
        return true;
    });
    if (is_array(content.type)) {
        std::erase_if(keys, [&](const Key& key) {
            return std::ranges::all_of(read_copies(map, key), is_zero);
        });
    }
    content.entry_count = keys.size();
    std::ranges::sort(keys, key_less);
    keys.resize(std::min(keys.size(), limit));
    for (const Key& key : keys) {
        content.entries.push_back(make_entry(map, btf, key));
    }
}

// The type of the variable at `off` of a data section; 0 if BTF does not say.
std::uint32_t type_of_global(const Btf* btf, const MapSpec& spec, const Global& global) {
    const std::uint32_t section = spec.value_btf_id;
    if (btf == nullptr || section == 0 || btf->kind(section) != BtfKind::Datasec) {
        return 0;
    }
    for (const BtfSectionVar& var : btf->section_vars(section)) {
        if (var.off == global.off && btf->name(var.type) == global.name) {
            return var.type;
        }
    }
    return 0;
}

Json read_global(const Object& object, Map& map, const Global& global,
                 std::span<const std::byte> section) {
    if (!fits(global.off, global.size, section.size())) {
        return nullptr;
    }
    const auto bytes = section.subspan(global.off, global.size);
    const std::uint32_t type = type_of_global(object.btf(), map.spec(), global);
    if (type == 0 && std::has_single_bit(bytes.size()) && bytes.size() <= 8) {
        std::uint64_t number = 0;
        std::ranges::copy(bytes, std::as_writable_bytes(std::span(&number, 1)).begin());
        return number;
    }
    return value_of(object.btf(), type, bytes);
}

void read_globals(MapContent& content, const Object& object, Map& map, std::size_t index) {
    const std::uint32_t zero = 0;
    const auto section = map.read(std::as_bytes(std::span(&zero, 1)));
    content.globals = Json::object();
    for (const Global& global : object.globals()) {
        if (section && global.map == index) {
            content.globals->add(global.name, read_global(object, map, global, *section));
            ++content.entry_count;
        }
    }
}

// .rodata, .data, .bss and the like.
bool is_data_section(const Object& object, const MapSpec& spec, std::size_t index) {
    return !spec.data.empty() ||
           std::ranges::find(object.globals(), index, &Global::map) != object.globals().end();
}

MapContent read_map(const Module& module, std::size_t index, const RingbufLog& ringbufs,
                    std::size_t limit) {
    Map& map = *module.maps()[index];
    const MapSpec& spec = map.spec();
    MapContent content;
    content.name = spec.name;
    content.type = spec.type;
    content.max_entries = spec.max_entries;
    if (spec.type == MapType::Ringbuf) {
        const RingbufLog::Records& records = ringbufs.of(map);
        content.entry_count = records.count;
        content.records = records.first;
    } else if (is_data_section(module.object(), spec, index)) {
        read_globals(content, module.object(), map, index);
    } else {
        read_entries(content, map, module.object().btf(), limit);
    }
    return content;
}

std::string entry_text(const MapEntry& entry) {
    std::string text = "  " + to_text(entry.key) + ": ";
    if (entry.sum) {
        const auto& copies = std::get<Json::Array>(entry.value.value());
        text += to_text(*entry.sum);
        text += copies.size() > 1 ? fmt::format("  per cpu {}", to_text(entry.value)) : "";
    } else {
        text += to_text(entry.value);
    }
    return text + "\n";
}

std::string summary(const MapContent& content) {
    if (content.records) {
        return fmt::format("{}, {} records", name_of(content.type), content.entry_count);
    }
    if (content.globals) {
        return fmt::format("{} variable{}", content.entry_count,
                           content.entry_count == 1 ? "" : "s");
    }
    return fmt::format("{}, {} of {} entries{}", name_of(content.type), content.entry_count,
                       content.max_entries, is_array(content.type) ? " not zero" : "");
}

} // namespace

void RingbufLog::drain(const Module& module) {
    for (const auto& map : module.maps()) {
        if (map->spec().type != MapType::Ringbuf) {
            continue;
        }
        Records& records = records_[map.get()];
        // The only error is about maps of another type.
        (void)consume_ringbuf(*map, [&](std::span<const std::byte> record) {
            ++records.count;
            if (records.first.size() < limit_) {
                records.first.emplace_back(to_hex(record));
            }
        });
    }
}

const RingbufLog::Records& RingbufLog::of(const Map& map) const {
    static const Records kNone;
    const auto found = records_.find(&map);
    return found == records_.end() ? kNone : found->second;
}

std::vector<MapContent> read_maps(const Module& module, const RingbufLog& ringbufs,
                                  std::size_t limit) {
    std::vector<MapContent> contents;
    for (std::size_t i = 0; i < module.maps().size(); ++i) {
        contents.push_back(read_map(module, i, ringbufs, limit));
    }
    return contents;
}

Json to_json(const MapContent& content) {
    Json result = Json::object();
    result.add("name", content.name)
        .add("type", name_of(content.type))
        .add("max_entries", content.max_entries)
        .add("entry_count", content.entry_count);
    if (content.globals) {
        result.add("globals", *content.globals);
        return result;
    }
    if (content.records) {
        result.add("records", *content.records);
        return result;
    }
    Json entries = Json::array();
    for (const MapEntry& entry : content.entries) {
        Json line = Json::object();
        line.add("key", entry.key);
        if (is_percpu(content.type)) {
            line.add("values", entry.value).add("sum", entry.sum ? *entry.sum : Json());
        } else {
            line.add("value", entry.value);
        }
        entries.push(std::move(line));
    }
    result.add("entries", std::move(entries));
    return result;
}

Json to_json(const std::vector<MapContent>& contents) {
    Json result = Json::array();
    for (const MapContent& content : contents) {
        result.push(to_json(content));
    }
    return result;
}

std::string to_text(const MapContent& content, const Style& style) {
    std::string text =
        fmt::format("{} ({})\n", style.heading("map " + content.name), summary(content));
    if (content.globals) {
        for (const auto& [name, value] : std::get<Json::Object>(content.globals->value())) {
            text += fmt::format("  {} = {}\n", name, to_text(value));
        }
        return text;
    }
    if (content.records) {
        for (const Json& record : std::get<Json::Array>(content.records->value())) {
            text += fmt::format("  {}\n", std::get<std::string>(record.value()));
        }
    }
    for (const MapEntry& entry : content.entries) {
        text += entry_text(entry);
    }
    const std::size_t shown = content.records
                                  ? std::get<Json::Array>(content.records->value()).size()
                                  : content.entries.size();
    if (shown < content.entry_count) {
        text += style.quiet(fmt::format("  ... {} more\n", content.entry_count - shown));
    }
    return text;
}

} // namespace ebpfvm::cli
