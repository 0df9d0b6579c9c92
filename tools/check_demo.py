#!/usr/bin/env python3
"""Compares what xdp_count counts under ebpfvm with the independent count of count_pcap.py.

Example: tools/check_demo.py build/release/src/cli/ebpfvm build/release/bpf/xdp_count.bpf.o demo.pcap
"""
import argparse
import json
import pathlib
import subprocess
import sys

PROTOCOLS = {6: "tcp", 17: "udp"}


def run_json(command: list[str]) -> dict:
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ebpfvm", help="the ebpfvm command")
    parser.add_argument("object", help="xdp_count.bpf.o")
    parser.add_argument("pcap", help="an Ethernet capture")
    args = parser.parse_args()

    ours = run_json([args.ebpfvm, "run", args.object, "--pcap", args.pcap, "--json", "--map-entries", "100000"])
    python = run_json([str(pathlib.Path(__file__).with_name("count_pcap.py")), args.pcap, "--json"])
    maps = {m["name"]: m.get("entries", []) for m in ours["maps"]}
    pairs = {
        "classes": (
            {e["key"].lower(): (e["value"]["packets"], e["value"]["bytes"]) for e in maps["proto_counts"]},
            {name: (c["packets"], c["bytes"]) for name, c in python["classes"].items()},
        ),
        "ports": (
            {f"{PROTOCOLS[e['key']['protocol']]}/{e['key']['port']}": e["value"] for e in maps["top_ports"]},
            python["ports"],
        ),
        "verdicts": ({name: n for name, n in ours["verdicts"].items() if n}, python["verdicts"]),
    }
    differences = 0
    for what, (vm, expected) in pairs.items():
        for key in sorted(vm.keys() | expected.keys()):
            if vm.get(key) != expected.get(key):
                print(f"DIFFERENT {what} {key}: ebpfvm {vm.get(key)}, python {expected.get(key)}")
                differences += 1
        print(f"{what}: {len(expected)} counts compared with Python")
    if ours["packets"] != python["packets"]:
        print(f"DIFFERENT packets: ebpfvm {ours['packets']}, python {python['packets']}")
        differences += 1
    print(f"{ours['packets']} packets, {differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
