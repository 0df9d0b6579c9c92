#include "support/data_file.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
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
            } else if (key != "inner" && key != "fields" && key != "extra") {
                ADD_FAILURE() << "unknown map attribute " << word;
            }
        }
    }
    return maps;
}

void read_prog(DataFile& data, const std::string& text) {
    const auto end = text.find(' ');
    data.prog = text.substr(0, end);
    data.prog_options = end == std::string::npos ? "" : text.substr(end + 1);
}

// "attach_type=1 license=none" as lines of bpft.
std::string option_lines(const DataFile& data) {
    std::string lines;
    std::istringstream words(data.prog_options);
    bool has_license = false;
    for (std::string word; words >> word;) {
        has_license |= word.starts_with("license=");
        std::ranges::replace(word, '=', ' ');
        lines += word + '\n';
    }
    return has_license ? lines : lines + "license GPL\n";
}

std::string map_lines(const std::string& text) {
    std::string result;
    std::istringstream in(text);
    unsigned number = 0;
    for (std::string line; std::getline(in, line);) {
        if (!trimmed(line).empty()) {
            result += fmt::format("map {} {}\n", number, trimmed(line));
            ++number;
        }
    }
    return result;
}

// bpft refers to maps as the kernel does: by descriptor, which is the number of the line.
Insn with_descriptor(Insn insn) {
    constexpr std::uint8_t kLddw = 0x18;
    if (insn.code == kLddw && LddwSrc(std::uint8_t(insn.src)) == LddwSrc::MapIdx) {
        insn.src = std::to_underlying(LddwSrc::MapFd) & 0xf;
    } else if (insn.code == kLddw && LddwSrc(std::uint8_t(insn.src)) == LddwSrc::MapValueIdx) {
        insn.src = std::to_underlying(LddwSrc::MapValueFd) & 0xf;
    }
    return insn;
}

} // namespace

VerifierOptions options_of(const DataFile& data) {
    VerifierOptions options;
    std::istringstream words(data.options);
    for (std::string word; words >> word;) {
        const auto equals = word.find('=');
        const std::string key = word.substr(0, equals);
        if (word == "strategy=join") {
            options.strategy = MergeStrategy::Join;
            continue;
        }
        const std::uint64_t value = std::stoull(word.substr(equals + 1), nullptr, 0);
        if (key == "max_explored") {
            options.max_explored = value;
        } else if (key == "max_bytes") {
            options.max_bytes = value;
        } else if (key == "allow_uninit_stack") {
            options.allow_uninit_stack = value != 0;
        } else {
            ADD_FAILURE() << data.path << ": unknown option " << word;
        }
    }
    return options;
}

Expected<std::string> bpft_of(const DataFile& data) {
    const auto insns = assemble(data.assembly);
    if (!insns) {
        return std::unexpected(insns.error());
    }
    const ProgTypeTable table;
    const std::string_view name = data.prog == "unspec" ? "xdp" : std::string_view(data.prog);
    const ProgTypeInfo* type = table.find(name);
    if (type == nullptr) {
        return std::unexpected(Error{Errc::NotFound, "program type " + data.prog, {}});
    }
    std::string text = fmt::format("prog {}\nprog_type {} ({})\n", test_name(data.path),
                                   std::to_underlying(type->type), name);
    text += option_lines(data) + map_lines(data.map_lines) + data.funcs;
    text += fmt::format("insns {}\n", insns->size());
    for (const Insn& insn : *insns) {
        text += fmt::format("{:016x}\n", std::bit_cast<std::uint64_t>(with_descriptor(insn)));
    }
    return text + "end\n";
}

DataFile read_data_file(const std::filesystem::path& path) {
    DataFile data{.path = path};
    for (const auto& [name, text] : read_sections(path)) {
        const std::string value = trimmed(text);
        if (name == "prog") {
            read_prog(data, value);
        } else if (name == "maps") {
            data.maps = parse_maps(text);
            data.map_lines = text;
        } else if (name == "funcs") {
            data.funcs = text;
        } else if (name == "options") {
            data.options = value;
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
        } else if (name == "reject") {
            data.reject = value;
        } else if (name == "verify") {
            data.verify = value;
        } else if (name == "kernel") {
            data.kernel = value;
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
