#include "jit/opt/hash_lookup.hpp"

#include "jit/abi.hpp"
#include "jit/find_code.hpp"
#include "maps/key.hpp"

namespace ebpfvm::jit::opt {
namespace {

// The key as words, as BasicKey has them.
Vec<ValueId> words_of_key(Writer& to, std::uint32_t size, ValueId at) {
    Vec<ValueId> words;
    std::uint32_t off = 0;
    for (; size - off >= maps::kWord; off += std::uint32_t(maps::kWord)) {
        words.push_back(to.load_at(at, off, maps::kWord));
    }
    ValueId last = 0;
    unsigned shift = 0;
    for (const unsigned bytes : {4U, 2U, 1U}) {
        if ((size & bytes) == 0) {
            continue;
        }
        const ValueId piece =
            to.emit(Kind::Shl, Width::W64, to.load_at(at, off, bytes), to.constant(shift));
        last = last == 0 ? piece : to.emit(Kind::Or, Width::W64, last, piece);
        off += bytes;
        shift += 8 * bytes;
    }
    if (last != 0) {
        words.push_back(last);
    }
    return words;
}

} // namespace

bool has_short_key(const exec::HashLookup& lookup) {
    return lookup.view.key_size <= kMaxFindKey;
}

bool needs_state(const exec::HashLookup& lookup) {
    return lookup.view.cpu_stride != 0 || !has_short_key(lookup);
}

ValueId write_hash_lookup(Writer& to, const exec::HashLookup& lookup, ValueId key) {
    Vec<ValueId> args = words_of_key(to, lookup.view.key_size, key);
    if (lookup.view.cpu_stride != 0) {
        args.resize(kMaxFindKey / maps::kWord, to.constant(0));
        args.push_back(to.state_field(offsets::kCpu, 4));
    }
    Node find;
    find.kind = Kind::Find;
    find.imm = std::int64_t(address_of(&lookup));
    to.fn().set_list(find, args);
    return to.append(find);
}

} // namespace ebpfvm::jit::opt
