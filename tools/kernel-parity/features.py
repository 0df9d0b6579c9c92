"""Which features a program in bpft (docs/bpft.md) uses."""
import dataclasses
import re

# By helper number, kfunc name, map type, special field, prog type.
HELPERS = {
    "tail calls": {12}, "packet access": {44, 54, 65, 26, 9, 38}, "references": {84, 85, 99, 86, 131, 132, 133},
    "spin_lock": {93, 94}, "timer": {169, 170, 171, 172}, "callbacks": {164, 181, 180, 209, 170}, "kptr": {194},
    "dynptr": {197, 198, 199, 200, 201, 202, 203, 209}, "local storage": {107, 108, 145, 146, 156, 157, 210, 211},
    "ring buffer": {130, 131, 132, 133, 134},
}
KFUNCS = {
    "dynptr": r"^bpf_dynptr_", "iterators": r"^bpf_iter_", "spin_lock": r"^bpf_res_spin_", "timer": r"^bpf_wq_",
    "lists and trees": r"^bpf_(list|rbtree)_", "allocation": r"^bpf_(obj|percpu_obj)_|^bpf_refcount", "cpumask": r"^bpf_cpumask_",
    "RCU and preemption": r"^bpf_(rcu_read|preempt)", "exceptions": r"^bpf_throw$", "arena": r"^bpf_arena_",
    "callbacks": r"^bpf_(rbtree_add|wq_set_callback)",
}
MAP_TYPES = {"maps of maps": {12, 13}, "arena": {33}, "local storage": {24, 28, 29, 32}, "ring buffer": {27, 31}}
FIELDS = {"spin_lock": "spin_lock|res_spin_lock", "timer": "timer|wq", "kptr": "kptr|kptr_untrusted|percpu_kptr|uptr",
          "lists and trees": "list_head|list_node|rb_root|rb_node"}
BTF_PROG_TYPES = {26: "tracing", 27: "struct_ops", 28: "ext", 29: "lsm"}
SLEEPABLE = 0x10


@dataclasses.dataclass
class Program:
    prog_type: int = 0
    flags: int = 0
    expect: str = ""
    maps: list = dataclasses.field(default_factory=list) # (type, [kinds of fields])
    funcs: list = dataclasses.field(default_factory=list) # (linkage, tags)
    kfuncs: set = dataclasses.field(default_factory=set)
    has_ksym: bool = False
    insns: list = dataclasses.field(default_factory=list)


def read_bpft(path):
    program = Program()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            word, _, rest = line.strip().partition(" ")
            if word == "prog_type":
                program.prog_type = int(rest.split()[0])
            elif word == "prog_flags":
                program.flags = int(rest, 0)
            elif word == "expect":
                program.expect = rest
            elif word == "map":
                fields = re.search(r" fields=(\S+)", rest)
                kinds = [field.partition(":")[0] for field in fields[1].split(",")] if fields else []
                program.maps.append((int(re.search(r"type=(\d+)", rest)[1]), kinds))
            elif word == "func":
                program.funcs.append((rest.split()[1], rest.count("+")))
            elif word == "kfunc":
                program.kfuncs.add(rest.partition(" ")[2])
            elif word == "ksym":
                program.has_ksym = True
            elif re.fullmatch(r"[0-9a-f]{16}", word):
                program.insns.append(int(word, 16))
    return program


def of_insns(insns):
    """Features, and the helpers that are called."""
    found, helpers = set(), set()
    slots = iter(enumerate(insns))
    for at, bits in slots:
        code, src, off, imm = bits & 0xff, bits >> 12 & 0xf, bits >> 16 & 0xffff, bits >> 32
        if code == 0x18:
            found |= {"callbacks"} if src == 4 else set()
            next(slots, None)
        elif code == 0x85 and src == 0:
            helpers.add(imm)
        elif code in (0xc3, 0xdb):
            found.add("atomics")
        elif code == 0xbf and off == 1:
            found.add("arena")
        elif code == 0xe5:
            found.add("may_goto")
        elif code & 0x07 in (5, 6) and code not in (0x85, 0x95) and \
                (imm if code == 0x06 else off) >> (31 if code == 0x06 else 15):
            found.add("loops")
        elif code & 0xe7 in (0x20, 0x40) and code & 0x07 == 0:
            found.add("packet access")
    return found, helpers


def features_of(program):
    found, helpers = of_insns(program.insns)
    found |= {name for name, numbers in HELPERS.items() if numbers & helpers}
    found |= {name for name, pattern in KFUNCS.items() if any(re.search(pattern, kfunc) for kfunc in program.kfuncs)}
    for map_type, kinds in program.maps:
        found |= {name for name, types in MAP_TYPES.items() if map_type in types}
        found |= {name for name, pattern in FIELDS.items() if any(re.fullmatch(pattern, kind) for kind in kinds)}
    if program.kfuncs:
        found.add("kfuncs")
    if program.has_ksym or program.prog_type in BTF_PROG_TYPES:
        found.add("BTF pointers")
    if any(linkage == "global" for linkage, _ in program.funcs[1:]):
        found.add("global functions")
    if any(linkage == "static" for linkage, _ in program.funcs[1:]):
        found.add("static functions")
    if any(tags for _, tags in program.funcs):
        found.add("argument tags")
    if program.flags & SLEEPABLE:
        found.add("sleepable")
    return sorted(found) or ["none of these"]
