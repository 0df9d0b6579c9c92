#include "bpft_writer.hpp"

#include <algorithm>
#include <array>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kernel_parity {
namespace {

using BtfPtr = std::unique_ptr<btf, decltype([](btf* owned) { btf__free(owned); })>;

constexpr std::uint8_t kLddw = BPF_LD | BPF_IMM | BPF_DW;
constexpr std::uint8_t kCall = BPF_JMP | BPF_CALL;
constexpr std::uint32_t kMaxData = 1u << 20; // bytes of content that are worth writing

std::map<std::uint32_t, std::string> g_inner; // map id -> its "inner" property

[[gnu::format(printf, 1, 2)]] std::string format(const char* text, ...) {
    std::array<char, 512> line{};
    va_list list;
    va_start(list, text);
    std::vsnprintf(line.data(), line.size(), text, list);
    va_end(list);
    return line.data();
}

template <class T>
const T* pointer(std::uint64_t address) {
    return reinterpret_cast<const T*>(std::uintptr_t(address));
}

const btf* vmlinux() {
    static const BtfPtr loaded(btf__load_vmlinux_btf());
    return loaded.get();
}

// Types that the kernel has behind a descriptor: a program's or a module's.
BtfPtr btf_of(int fd) {
    bpf_btf_info info{};
    __u32 size = sizeof(info);
    std::array<char, 64> name{};
    info.name = reinterpret_cast<std::uintptr_t>(name.data());
    info.name_len = name.size();
    if (fd <= 0 || bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
        return {};
    }
    return BtfPtr(info.kernel_btf
                      ? btf__load_from_kernel_by_id_split(info.id, const_cast<btf*>(vmlinux()))
                      : btf__load_from_kernel_by_id(info.id));
}

std::string name_in(const btf* types, std::uint32_t id) {
    const btf_type* type = types == nullptr ? nullptr : btf__type_by_id(types, id);
    return type == nullptr || type->name_off == 0 ? "?"
                                                  : btf__name_by_offset(types, type->name_off);
}

const char* or_unknown(const char* name) {
    return name == nullptr ? "unknown" : name;
}

std::uint32_t skip_modifiers(const btf* types, std::uint32_t id) {
    const btf_type* type = btf__type_by_id(types, id);
    while (type != nullptr && (btf_is_mod(type) || btf_is_typedef(type) || btf_is_type_tag(type))) {
        id = type->type;
        type = btf__type_by_id(types, id);
    }
    return id;
}

// ---- maps

struct Field {
    std::string kind;
    std::uint32_t off;
};

std::string_view special_struct(std::string_view name) {
    constexpr std::string_view kPrefix = "bpf_";
    constexpr std::string_view kKinds[] = {"spin_lock", "res_spin_lock", "timer",   "wq",
                                           "list_head", "list_node",     "rb_root", "rb_node",
                                           "refcount",  "task_work"};
    if (!name.starts_with(kPrefix)) {
        return {};
    }
    const auto found = std::ranges::find(kKinds, name.substr(kPrefix.size()));
    return found == std::end(kKinds) ? std::string_view{} : *found;
}

// Fields of a value that only helpers may touch.
void find_fields(const btf* types, std::uint32_t id, std::uint32_t off, int depth,
                 std::vector<Field>& fields) {
    constexpr int kMaxDepth = 6;
    constexpr std::size_t kMaxFields = 64;
    const btf_type* type = btf__type_by_id(types, skip_modifiers(types, id));
    if (type == nullptr || depth > kMaxDepth || fields.size() >= kMaxFields) {
        return;
    }
    if (btf_is_ptr(type)) {
        const btf_type* tag = btf__type_by_id(types, type->type);
        const std::string kind =
            tag != nullptr && btf_is_type_tag(tag) ? btf__name_by_offset(types, tag->name_off) : "";
        if (kind.starts_with("kptr") || kind == "percpu_kptr" || kind == "uptr") {
            fields.push_back({kind, off});
        }
    } else if (btf_is_array(type)) {
        const struct btf_array* array = btf_array(type);
        const auto size = btf__resolve_size(types, array->type);
        const std::size_t before = fields.size();
        for (std::uint32_t i = 0; i < array->nelems && size > 0; ++i) {
            find_fields(types, array->type, off + i * std::uint32_t(size), depth + 1, fields);
            if (fields.size() == before) {
                break; // nothing in the first element, nothing in the others
            }
        }
    } else if (btf_is_composite(type)) {
        const auto kind = special_struct(btf__name_by_offset(types, type->name_off));
        if (!kind.empty()) {
            fields.push_back({std::string(kind), off});
            return;
        }
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            find_fields(types, btf_members(type)[i].type, off + btf_member_bit_offset(type, i) / 8,
                        depth + 1, fields);
        }
    } else if (btf_is_datasec(type)) { // .data, .bss
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            const auto& variable = btf_var_secinfos(type)[i];
            find_fields(types, variable.type, off + variable.offset, depth + 1, fields);
        }
    } else if (btf_is_var(type)) {
        find_fields(types, type->type, off, depth + 1, fields);
    }
}

std::vector<Field> fields_of(const bpf_map_info& info) {
    std::vector<Field> fields;
    if (info.btf_id != 0 && info.btf_value_type_id != 0) {
        const BtfPtr types(btf__load_from_kernel_by_id(info.btf_id));
        if (types) {
            find_fields(types.get(), info.btf_value_type_id, 0, 0, fields);
        }
    }
    return fields;
}

bool is_frozen(int fd) {
    std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
    std::string key;
    for (int value = 0; file >> key;) {
        if (key == "frozen:") {
            return file >> value && value != 0;
        }
    }
    return false;
}

// Programs may rely on the content of maps that nobody can change.
std::string data_of(int fd, const bpf_map_info& info) {
    const bool is_constant = info.type == BPF_MAP_TYPE_ARRAY &&
                             (info.map_flags & BPF_F_RDONLY_PROG) != 0 && info.max_entries == 1 &&
                             info.value_size <= kMaxData && is_frozen(fd);
    std::vector<unsigned char> value((info.value_size + 7) / 8 * 8);
    const std::uint32_t key = 0;
    if (!is_constant || bpf_map_lookup_elem(fd, &key, value.data()) != 0) {
        return {};
    }
    std::string hex;
    for (std::uint32_t i = 0; i < info.value_size; ++i) {
        hex += format("%02x", value[i]);
    }
    return hex;
}

std::string map_line(std::size_t index, int fd) {
    bpf_map_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) {
        return format("map %zu type=0 (unreadable) key=0 value=0 max=0 flags=0x0", index);
    }
    std::string line =
        format("map %zu type=%u (%s) key=%u value=%u max=%u flags=0x%x", index, info.type,
               or_unknown(libbpf_bpf_map_type_str(bpf_map_type(info.type))), info.key_size,
               info.value_size, info.max_entries, info.map_flags);
    if (info.map_extra != 0) {
        line += format(" extra=0x%llx", static_cast<unsigned long long>(info.map_extra));
    }
    if (info.name[0] != 0) {
        line += format(" name=%s", info.name);
    }
    if (const auto inner = g_inner.find(info.id); inner != g_inner.end()) {
        line += " inner=" + inner->second;
    }
    const char* separator = " fields=";
    for (const Field& field : fields_of(info)) {
        line += separator + field.kind + ":" + std::to_string(field.off);
        separator = ",";
    }
    if (const std::string data = data_of(fd, info); !data.empty()) {
        line += " data=" + data;
    }
    return line;
}

// ---- functions

// Tags of a parameter (__arg_ctx, __arg_nonnull...): "+ctx+nonnull".
std::string tags_of(const btf* types, std::uint32_t func, int param) {
    constexpr std::string_view kPrefix = "arg:";
    std::string tags;
    for (std::uint32_t id = func + 1; id < btf__type_cnt(types);
         ++id) { // tags follow what they tag
        const btf_type* type = btf__type_by_id(types, id);
        if (!btf_is_decl_tag(type) || type->type != func ||
            btf_decl_tag(type)->component_idx != param) {
            continue;
        }
        const std::string_view name = btf__name_by_offset(types, type->name_off);
        if (name.starts_with(kPrefix)) {
            tags += "+" + std::string(name.substr(kPrefix.size()));
        }
    }
    return tags;
}

std::string param_text(const btf* types, std::uint32_t func, int index, std::uint32_t id) {
    const btf_type* type = btf__type_by_id(types, skip_modifiers(types, id));
    if (type == nullptr || !btf_is_ptr(type)) {
        return "scalar";
    }
    const std::uint32_t to = skip_modifiers(types, type->type);
    const btf_type* pointee = btf__type_by_id(types, to);
    const bool has_name = to != 0 && pointee != nullptr && pointee->name_off != 0;
    return format("ptr:%s:%lld", has_name ? btf__name_by_offset(types, pointee->name_off) : "-",
                  to == 0 ? 0LL : static_cast<long long>(btf__resolve_size(types, to))) +
           tags_of(types, func, index);
}

void write_funcs(std::FILE* file, const bpf_attr& load) {
    const BtfPtr types = btf_of(int(load.prog_btf_fd));
    const char* records = pointer<char>(load.func_info);
    for (std::uint32_t i = 0; types && records != nullptr && i < load.func_info_cnt; ++i) {
        bpf_func_info info{};
        std::memcpy(&info, records + std::size_t(i) * load.func_info_rec_size, sizeof(info));
        const btf_type* func = btf__type_by_id(types.get(), info.type_id);
        const btf_type* proto =
            func == nullptr ? nullptr : btf__type_by_id(types.get(), func->type);
        if (proto == nullptr || !btf_is_func(func) || !btf_is_func_proto(proto)) {
            continue;
        }
        const auto linkage = btf_vlen(func);
        std::fprintf(file, "func %u %s %s", info.insn_off,
                     linkage == BTF_FUNC_GLOBAL   ? "global"
                     : linkage == BTF_FUNC_STATIC ? "static"
                                                  : "extern",
                     btf__name_by_offset(types.get(), func->name_off));
        for (int k = 0; k < int(btf_vlen(proto)); ++k) {
            const std::string param =
                param_text(types.get(), info.type_id, k, btf_params(proto)[k].type);
            std::fprintf(file, " %s", param.c_str());
        }
        std::fputc('\n', file);
    }
}

// ---- insns

bool is_map_reference(const bpf_insn& insn) {
    return insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE ||
           insn.src_reg == BPF_PSEUDO_MAP_IDX || insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
}

// References to maps become numbers from 0; returns the descriptors they stand for.
std::vector<int> number_maps(const bpf_attr& load, std::vector<bpf_insn>& insns) {
    std::vector<int> maps;
    for (std::size_t i = 0; i + 1 < insns.size(); ++i) {
        bpf_insn& insn = insns[i];
        if (insn.code != kLddw) {
            continue;
        }
        ++i;
        if (!is_map_reference(insn)) {
            continue;
        }
        int fd = insn.imm;
        if (insn.src_reg == BPF_PSEUDO_MAP_IDX || insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
            if (load.fd_array == 0) {
                continue;
            }
            fd = pointer<int>(load.fd_array)[insn.imm];
            insn.src_reg =
                insn.src_reg == BPF_PSEUDO_MAP_IDX ? BPF_PSEUDO_MAP_FD : BPF_PSEUDO_MAP_VALUE;
        }
        auto found = std::ranges::find(maps, fd);
        if (found == maps.end()) {
            found = maps.insert(found, fd);
        }
        insn.imm = int(found - maps.begin());
    }
    return maps;
}

void write_externs(std::FILE* file, const bpf_attr& load, std::span<const bpf_insn> insns) {
    for (std::size_t i = 0; i < insns.size(); ++i) {
        const bpf_insn& insn = insns[i];
        if (insn.code == kCall && insn.src_reg == BPF_PSEUDO_KFUNC_CALL) {
            const BtfPtr module = insn.off != 0 && load.fd_array != 0
                                      ? btf_of(pointer<int>(load.fd_array)[insn.off])
                                      : BtfPtr{};
            const std::string name =
                name_in(module ? module.get() : vmlinux(), std::uint32_t(insn.imm));
            std::fprintf(file, "kfunc %zu %s\n", i, name.c_str());
        }
        if (insn.code == kLddw) {
            if (insn.src_reg == BPF_PSEUDO_BTF_ID) {
                std::fprintf(file, "ksym %zu %s\n", i,
                             name_in(vmlinux(), std::uint32_t(insn.imm)).c_str());
            }
            ++i;
        }
    }
}

void write_head(std::FILE* file, const bpf_attr& load, const watch& labels, const verdict& said) {
    std::fprintf(file, "prog %s\n", labels.name);
    if (labels.object != nullptr) {
        std::fprintf(file, "object %s\n", labels.object);
    }
    if (labels.section != nullptr) {
        std::fprintf(file, "section %s\n", labels.section);
    }
    const auto attach = bpf_attach_type(load.expected_attach_type);
    std::fprintf(file, "prog_type %u (%s)\nattach_type %u (%s)\n", load.prog_type,
                 or_unknown(libbpf_bpf_prog_type_str(bpf_prog_type(load.prog_type))), attach,
                 or_unknown(libbpf_bpf_attach_type_str(attach)));
    if (load.attach_prog_fd != 0) { // or the descriptor of a module's types, in the same place
        const BtfPtr module = btf_of(int(load.attach_btf_obj_fd));
        std::fprintf(file, "attach_to %s\n",
                     module ? name_in(module.get(), load.attach_btf_id).c_str() : "(a program)");
    } else if (load.attach_btf_id != 0) {
        std::fprintf(file, "attach_to %s\n", name_in(vmlinux(), load.attach_btf_id).c_str());
    }
    if (load.prog_flags != 0) {
        std::fprintf(file, "prog_flags 0x%x\n", load.prog_flags);
    }
    std::fprintf(file, "license %s\n", load.license == 0 ? "" : pointer<char>(load.license));
    std::fprintf(file, "kernel %s errno=%d processed=%llu\n", said.error == 0 ? "accept" : "reject",
                 said.error, static_cast<unsigned long long>(said.processed));
    const char* expect = labels.expect == nullptr ? nullptr : labels.expect(labels.about);
    if (expect != nullptr && *expect != 0) {
        std::fprintf(file, "expect %s\n", expect);
    }
}

} // namespace

bool write_bpft(const bpf_attr& load, const watch& labels, const verdict& said) {
    std::FILE* file = std::fopen(labels.path, "w");
    if (file == nullptr) {
        std::perror(labels.path);
        return false;
    }
    const auto* first = pointer<bpf_insn>(load.insns);
    std::vector<bpf_insn> insns(first, first + load.insn_cnt);
    write_head(file, load, labels, said);
    const std::vector<int> maps = number_maps(load, insns);
    for (std::size_t i = 0; i < maps.size(); ++i) {
        std::fprintf(file, "%s\n", map_line(i, maps[i]).c_str());
    }
    write_funcs(file, load);
    write_externs(file, load, insns);
    std::fprintf(file, "insns %zu\n", insns.size());
    for (const bpf_insn& insn : insns) {
        unsigned long long bits = 0;
        std::memcpy(&bits, &insn, sizeof(insn));
        std::fprintf(file, "%016llx\n", bits);
    }
    std::fputs("end\n", file);
    return std::fclose(file) == 0;
}

void note_map(int fd, const bpf_attr& create) {
    if (create.map_type != BPF_MAP_TYPE_ARRAY_OF_MAPS &&
        create.map_type != BPF_MAP_TYPE_HASH_OF_MAPS) {
        return;
    }
    bpf_map_info outer{}, inner{};
    __u32 size = sizeof(outer);
    if (bpf_obj_get_info_by_fd(fd, &outer, &size) != 0) {
        return;
    }
    size = sizeof(inner);
    if (bpf_obj_get_info_by_fd(int(create.inner_map_fd), &inner, &size) != 0) {
        return;
    }
    std::string text = format("type:%u,key:%u,value:%u,max:%u,flags:0x%x", inner.type,
                              inner.key_size, inner.value_size, inner.max_entries, inner.map_flags);
    for (const Field& field : fields_of(inner)) {
        text += ",field:" + field.kind + "@" + std::to_string(field.off);
    }
    g_inner[outer.id] = text;
}

} // namespace kernel_parity
