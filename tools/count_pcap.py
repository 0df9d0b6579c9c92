#!/usr/bin/env python3
"""Count packets and bytes of a capture per protocol class, by the rules of xdp_count.bpf.c.

An independent implementation: its output is what the maps of xdp_count must hold after that program
has seen the same packets. Reads classic pcap files with Ethernet frames.

Classes, in order of their number (the key in the map `proto_counts`):
  malformed     a header is cut or contradicts the length around it; xdp_count drops these
  eth_other     unknown ethertype, IEEE 802.3 length, or more than two VLAN tags
  arp
  ipv4_tcp .. ipv4_other    by the protocol of an unfragmented packet
  ipv4_frag     every fragment, the first included
  ipv6_tcp .. ipv6_other    the same after up to six extension headers
  ipv6_frag

Where tshark counts something else by definition; apart from this the counts are equal (with
-o ip.defragment:FALSE -o ipv6.defragment:FALSE):
  - it dissects what there is of a cut or contradictory packet, so `tcp` or `arp` also match some
    packets that are malformed here;
  - it dissects the transport header in a first fragment, which is only a fragment here;
  - it follows any number of VLAN tags and extension headers: here, a packet with three tags is
    eth_other, and one with seven extension headers is ipv6_other;
  - it looks into GRE and into the packet quoted by an ICMP error: one frame may match two classes.

example: count_pcap.py mix.pcap --json
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

L4_NAMES = ("tcp", "udp", "icmp", "sctp", "gre", "other", "frag")
CLASSES = ("malformed", "eth_other", "arp", *(f"ipv4_{name}" for name in L4_NAMES),
           *(f"ipv6_{name}" for name in L4_NAMES))

ETH_IP, ETH_ARP, ETH_IPV6, VLAN_TAGS = 0x0800, 0x0806, 0x86DD, (0x8100, 0x88A8)
HOPOPTS, ROUTING, FRAGMENT, DSTOPTS = 0, 43, 44, 60
TCP, UDP = 6, 17
L4_MIN_SIZE = {"tcp": 20, "udp": 8, "icmp": 8, "sctp": 12, "gre": 4, "other": 0}
DROP_PORT = 23  # as in xdp_count.bpf.c


class Packet(NamedTuple):
    """What xdp_count learns from a packet."""

    name: str  # one of CLASSES
    protocol: int = 0  # TCP or UDP if the destination port is known
    port: int = 0


class Malformed(Exception):
    """A header is cut or contradicts the length around it."""


class BadFile(Exception):
    """The file is not a capture that can be counted."""


def require(condition: bool) -> None:
    if not condition:
        raise Malformed


def u16(data: bytes, offset: int) -> int:
    require(offset + 2 <= len(data))
    return data[offset] << 8 | data[offset + 1]


def transport(ip: str, protocol: int, data: bytes) -> Packet:
    numbers = {6: "tcp", 17: "udp", 132: "sctp", 47: "gre", 1 if ip == "ipv4" else 58: "icmp"}
    name = numbers.get(protocol, "other")
    require(len(data) >= L4_MIN_SIZE[name])
    if name == "tcp":
        require(20 <= (data[12] >> 4) * 4 <= len(data))
    elif name == "udp":
        require(8 <= u16(data, 4) <= len(data))
    else:
        return Packet(f"{ip}_{name}")
    return Packet(f"{ip}_{name}", protocol, u16(data, 2))


def network_ipv4(data: bytes) -> Packet:
    require(len(data) >= 20 and data[0] >> 4 == 4)
    header, total = (data[0] & 0xF) * 4, u16(data, 2)
    require(20 <= header <= total <= len(data))
    if u16(data, 6) & 0x3FFF:  # more fragments, or an offset
        return Packet("ipv4_frag")
    return transport("ipv4", data[9], data[header:total])


def network_ipv6(data: bytes) -> Packet:
    require(len(data) >= 40 and data[0] >> 4 == 6)
    following, size = data[6], u16(data, 4)
    require(40 + size <= len(data))
    data = data[40 : 40 + size]
    for _ in range(6):
        if following not in (HOPOPTS, ROUTING, FRAGMENT, DSTOPTS):
            break
        require(len(data) >= 8)
        if following == FRAGMENT and u16(data, 2) & 0xFFF9:
            return Packet("ipv6_frag")
        size = 8 if following == FRAGMENT else 8 + data[1] * 8
        require(size <= len(data))
        following, data = data[0], data[size:]
    return transport("ipv6", following, data)


def classify(frame: bytes) -> Packet:
    try:
        ethertype, offset = u16(frame, 12), 14
        for _ in range(2):
            if ethertype in VLAN_TAGS:
                ethertype, offset = u16(frame, offset + 2), offset + 4
        if ethertype == ETH_IP:
            return network_ipv4(frame[offset:])
        if ethertype == ETH_IPV6:
            return network_ipv6(frame[offset:])
        if ethertype == ETH_ARP:
            require(len(frame) >= offset + 28)
            return Packet("arp")
        return Packet("eth_other")
    except Malformed:
        return Packet("malformed")


def read_pcap(path: str) -> Iterator[bytes]:
    """The captured bytes of every packet, in file order."""
    with open(path, "rb") as file:
        head = file.read(24)
        magics = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<",
                  b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}
        order = magics.get(head[:4])
        if order is None or len(head) < 24:
            raise BadFile(f"not a classic pcap file: it starts with {head[:4].hex() or 'nothing'}")
        (link_type,) = struct.unpack(order + "I", head[20:])
        if link_type & 0xFFFF != 1:
            raise BadFile(f"link type {link_type & 0xFFFF}: only Ethernet (1) is supported")
        number = 0
        while record := file.read(16):
            number += 1
            size = struct.unpack(order + "8xI4x", record)[0] if len(record) == 16 else 0
            frame = file.read(size)
            if len(record) < 16 or len(frame) < size:
                raise BadFile(f"packet {number}: the file ends inside it")
            yield frame


def count(frames: Iterator[bytes], drop_port: int) -> dict[str, Any]:
    packets: Counter[str] = Counter()
    size: Counter[str] = Counter()
    ports: Counter[tuple[int, int]] = Counter()
    verdicts = Counter(XDP_DROP=0, XDP_PASS=0)
    for frame in frames:
        packet = classify(frame)
        packets[packet.name] += 1
        size[packet.name] += len(frame)
        ports[packet.protocol, packet.port] += packet.protocol != 0
        is_blocked = packet.protocol != 0 and 0 < drop_port == packet.port
        verdicts["XDP_DROP" if is_blocked or packet.name == "malformed" else "XDP_PASS"] += 1
    return {
        "packets": packets.total(),
        "bytes": size.total(),
        "classes": {name: {"id": number, "packets": packets[name], "bytes": size[name]}
                    for number, name in enumerate(CLASSES) if packets[name]},
        "ports": {f"{'tcp' if protocol == TCP else 'udp'}/{port}": number
                  for (protocol, port), number in sorted(ports.items()) if number},
        "verdicts": dict(verdicts),
    }


def print_table(result: dict[str, Any]) -> None:
    print(f"{'class':<12} {'packets':>9} {'bytes':>12}")
    for name, row in result["classes"].items():
        print(f"{name:<12} {row['packets']:>9} {row['bytes']:>12}")
    print(f"{'total':<12} {result['packets']:>9} {result['bytes']:>12}")
    for verdict, number in result["verdicts"].items():
        print(f"{verdict:<12} {number:>9}")


def main() -> int:
    summary, example = (__doc__ or "").split("example: ")
    parser = argparse.ArgumentParser(description=summary, epilog=f"example: {example}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pcap", metavar="PCAP", help="capture to count")
    parser.add_argument("--json", action="store_true", help="print JSON, with destination ports")
    parser.add_argument("--drop-port", type=int, default=DROP_PORT, metavar="P",
                        help=f"port that xdp_count blocks, 0 for none (default: {DROP_PORT})")
    parser.add_argument("--min-size", type=int, default=0, metavar="N",
                        help="skip shorter frames (the kernel's test run takes 14 bytes or more)")
    args = parser.parse_args()
    try:
        frames = (frame for frame in read_pcap(args.pcap) if len(frame) >= args.min_size)
        result = count(frames, args.drop_port)
    except (OSError, BadFile) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        print(f"count_pcap: {args.pcap}: {reason}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print_table(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
