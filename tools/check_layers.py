#!/usr/bin/env python3
"""Fails on an include that goes up or sideways between the folders of src/.

The table is the one in docs/architecture.md: lower never includes higher, and folders of one row never
include each other. Also: library code neither prints nor exits, and third-party libraries stay where
they belong.
"""
import pathlib
import re
import sys

LAYERS = [  # from the top
    {"cli"},
    {"vm"},
    {"verifier", "interp", "jit", "helpers"},
    {"exec"},
    {"elf", "cfg", "maps", "prog"},
    {"isa"},
    {"support"},
]
RANK = {folder: rank for rank, row in enumerate(reversed(LAYERS)) for folder in row}
THIRD_PARTY = {"boost": {"cfg", "jit"}, "asmjit": {"jit"}, "CLI": {"cli"}, "pcap": {"cli"}}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)')
FORBIDDEN = re.compile(r"\bstd::(cout|cerr|exit)\b|\b(printf|puts|exit|_exit)\s*\(|^\s*throw\b|\bdefault:\s*assert")


def problems(path: pathlib.Path, folder: str) -> list[str]:
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path}:{number}"
        if match := INCLUDE.match(line):
            bracket, target = match.groups()
            top = target.split("/")[0]
            if bracket == '"' and top in RANK and top != folder and RANK[top] >= RANK[folder]:
                found.append(f"{where}: {folder} must not include {target} (see docs/architecture.md)")
            library = target.split("/")[0].split(".")[0]
            if library in THIRD_PARTY and folder not in THIRD_PARTY[library]:
                found.append(f"{where}: {target} belongs in {', '.join(sorted(THIRD_PARTY[library]))} alone")
        elif folder != "cli" and FORBIDDEN.search(line.split("//")[0]):
            found.append(f"{where}: library code neither prints, exits nor throws: {line.strip()}")
    return found


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent
    found: list[str] = []
    for folder in sorted(p.name for p in (root / "src").iterdir() if p.is_dir()):
        if folder not in RANK:
            found.append(f"src/{folder}: not in the table of layers")
            continue
        for path in sorted((root / "src" / folder).glob("**/*.[ch]pp")):
            found += problems(path, folder)
    for header in sorted((root / "include").glob("**/*.hpp")):
        for number, line in enumerate(header.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and not match[2].startswith("ebpfvm/") and ("/" in match[2] or match[2].endswith(".h")):
                found.append(f"{header}:{number}: public headers include standard headers alone")
    for line in found:
        print(line)
    print(f"{len(found)} layer violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
