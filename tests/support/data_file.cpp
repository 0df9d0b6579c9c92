#include "support/data_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <sstream>

namespace ebpfvm::test {
namespace {

std::string trimmed(const std::string& text) {
    const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
    const auto begin = std::ranges::find_if_not(text, is_space);
    const auto end = std::find_if_not(text.rbegin(), text.rend(), is_space).base();
    return begin < end ? std::string(begin, end) : std::string();
}

std::map<std::string, std::string> read_sections(const std::filesystem::path& path) {
    std::ifstream file(path);
    EXPECT_TRUE(file) << "cannot read " << path;
    std::map<std::string, std::string> sections;
    std::string* current = nullptr;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("-- ")) {
            current = &sections[trimmed(line.substr(3))];
        } else if (!line.starts_with('#') && current != nullptr) {
            *current += line + '\n';
        }
    }
    return sections;
}

std::vector<MapSpec> parse_maps(const std::string& text) {
    std::vector<MapSpec> maps;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (trimmed(line).empty()) {
            continue;
        }
        MapSpec& map = maps.emplace_back();
        map.name = "m" + std::to_string(maps.size() - 1);
        std::istringstream words(line);
        for (std::string word; words >> word;) {
            const auto equals = word.find('=');
            const std::string key = word.substr(0, equals);
            const std::string value = word.substr(equals + 1);
            const auto number = [&] { return std::uint32_t(std::stoul(value, nullptr, 0)); };
            if (key == "type") {
                map.type = MapType(number());
            } else if (key == "key") {
                map.key_size = number();
            } else if (key == "value") {
                map.value_size = number();
            } else if (key == "max") {
                map.max_entries = number();
            } else if (key == "flags") {
                map.flags = number();
            } else if (key == "name") {
                map.name = value;
            } else if (key == "data") {
                map.data = bytes_of_hex(value);
                map.frozen = (map.flags & map_flags::kRdonlyProg) != 0;
            } else {
                ADD_FAILURE() << "unknown map attribute " << word;
            }
        }
    }
    return maps;
}

} // namespace

DataFile read_data_file(const std::filesystem::path& path) {
    DataFile data{.path = path};
    for (const auto& [name, text] : read_sections(path)) {
        const std::string value = trimmed(text);
        if (name == "prog") {
            data.prog = value;
        } else if (name == "maps") {
            data.maps = parse_maps(text);
        } else if (name == "mem") {
            data.memory = bytes_of_hex(text);
        } else if (name == "packet") {
            data.packet = bytes_of_hex(text);
        } else if (name == "budget") {
            data.budget = std::stoull(value, nullptr, 0);
        } else if (name == "asm") {
            data.assembly = text;
        } else if (name == "result") {
            data.result = std::stoull(value, nullptr, 0);
        } else if (name == "fault") {
            data.fault = value;
        } else if (name == "error") {
            data.error = value;
        } else {
            ADD_FAILURE() << path << ": unknown section \"" << name << '"';
        }
    }
    return data;
}

std::vector<std::filesystem::path> data_files(const std::string& folder) {
    std::vector<std::filesystem::path> files;
    const auto root = std::filesystem::path(EBPFVM_TEST_DATA) / folder;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
        if (entry.path().extension() == ".bpf") {
            files.push_back(entry.path());
        }
    }
    std::ranges::sort(files);
    return files;
}

std::vector<std::byte> bytes_of_hex(std::string_view text) {
    std::string digits;
    std::ranges::copy_if(text, std::back_inserter(digits),
                         [](unsigned char c) { return std::isxdigit(c) != 0; });
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        bytes.push_back(std::byte(std::stoi(digits.substr(i, 2), nullptr, 16)));
    }
    return bytes;
}

std::string test_name(const std::filesystem::path& path) {
    std::string name = path.stem().string();
    std::ranges::replace_if(
        name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

} // namespace ebpfvm::test
