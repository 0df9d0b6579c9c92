#!/usr/bin/env python3
"""Write a synthetic capture that exercises a packet parser: ordinary traffic, and some odd.

The file is a classic pcap (Ethernet, microseconds). The same arguments give the same bytes. Valid
packets have valid checksums and lengths. About one packet in twenty is cut, in or next to a header,
or carries a field that contradicts the length of the packet.

example: make_pcap.py mix.pcap --packets 12000 --seed 1
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Callable, Iterator
from random import Random

ETH_IP, ETH_ARP, ETH_IPV6, ETH_VLAN, ETH_QINQ = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
HOPOPTS, ICMP, IGMP, TCP, UDP, ROUTING, FRAGMENT = 0, 1, 2, 6, 17, 43, 44
GRE, ICMPV6, NO_NEXT, DSTOPTS, SCTP = 47, 58, 59, 60, 132
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MIN_FRAME = 60  # Ethernet pads to this, without the frame check sequence
START = 1_700_000_000_000_000  # first time stamp, in microseconds

Frames = list[bytes]


# ---- Headers ----------------------------------------------------------------------------------


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def crc32c(data: bytes) -> int:
    """The checksum of SCTP (RFC 9260)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_checksum(packet: bytes, offset: int, pseudo: bytes = b"", zero: int = 0) -> bytes:
    """`packet` with its checksum at `offset`; a checksum of 0 is sent as `zero`."""
    value = checksum(pseudo + packet) or zero
    return packet[:offset] + struct.pack("!H", value) + packet[offset + 2 :]


class Host:
    """An end of a conversation: its addresses on all layers."""

    def __init__(self, number: int) -> None:
        self.mac = bytes([0x02, 0, 0, 0, number >> 8, number & 0xFF])
        self.ip4 = bytes([10, 0, number >> 8, number & 0xFF])
        self.ip6 = bytes.fromhex("20010db8") + bytes(10) + struct.pack("!H", number)


class Link:
    """One direction between two hosts: wraps a transport segment in IP, Ethernet and VLAN tags."""

    def __init__(self, rng: Random, src: Host, dst: Host, version: int,
                 tags: tuple[int, ...]) -> None:
        self.rng, self.src, self.dst, self.version, self.tags = rng, src, dst, version, tags

    def back(self) -> Link:
        return Link(self.rng, self.dst, self.src, self.version, self.tags)

    def ethernet(self, ethertype: int, payload: bytes, dst_mac: bytes | None = None) -> bytes:
        frame = (dst_mac or self.dst.mac) + self.src.mac
        for depth, vlan_id in enumerate(self.tags):
            is_outer = depth + 1 < len(self.tags)
            frame += struct.pack("!HH", ETH_QINQ if is_outer else ETH_VLAN, vlan_id)
        return (frame + struct.pack("!H", ethertype) + payload).ljust(MIN_FRAME, b"\0")

    def ipv4(self, protocol: int, payload: bytes, *, options: bytes = b"", ident: int | None = None,
             offset: int = 0, more: bool = False) -> bytes:
        size = 20 + len(options)
        ident = self.rng.randrange(0x10000) if ident is None else ident
        # Don't fragment, unless it is a fragment.
        flags = offset // 8 | (0x2000 if more else 0) or 0x4000
        header = struct.pack("!BBHHHBBH4s4s", 0x40 | size // 4, 0, size + len(payload), ident,
                             flags, 64, protocol, 0, self.src.ip4, self.dst.ip4)
        return self.ethernet(ETH_IP, with_checksum(header + options, 10) + payload)

    def ipv6(self, next_header: int, payload: bytes) -> bytes:
        flow = hash_u32(self.src.ip6 + self.dst.ip6) & 0xFFFFF
        header = struct.pack("!IHBB", 6 << 28 | flow, len(payload), next_header, 64)
        return self.ethernet(ETH_IPV6, header + self.src.ip6 + self.dst.ip6 + payload)

    def ip(self, protocol: int, payload: bytes) -> bytes:
        return self.ipv4(protocol, payload) if self.version == 4 else self.ipv6(protocol, payload)

    def pseudo(self, protocol: int, length: int) -> bytes:
        if self.version == 4:
            return self.src.ip4 + self.dst.ip4 + struct.pack("!BBH", 0, protocol, length)
        return self.src.ip6 + self.dst.ip6 + struct.pack("!IHBB", length, 0, 0, protocol)

    def tcp(self, sport: int, dport: int, seq: int, ack: int, flags: int, payload: bytes = b"",
            options: bytes = b"") -> bytes:
        doff = (20 + len(options)) // 4 << 4
        segment = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, doff,
                              flags, 64240, 0, 0) + options + payload
        return with_checksum(segment, 16, self.pseudo(TCP, len(segment)))

    def udp(self, sport: int, dport: int, payload: bytes) -> bytes:
        datagram = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
        return with_checksum(datagram, 6, self.pseudo(UDP, len(datagram)), zero=0xFFFF)

    def icmp(self, kind: int, code: int, body: bytes) -> bytes:
        message = struct.pack("!BBH", kind, code, 0) + body
        if self.version == 4:
            return with_checksum(message, 2)
        return with_checksum(message, 2, self.pseudo(ICMPV6, len(message)))


def hash_u32(data: bytes) -> int:
    """FNV-1a: stable between runs, unlike hash()."""
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


# ---- Conversations: each returns its frames in order ------------------------------------------


def tcp_session(rng: Random, link: Link) -> Frames:
    back, proto = link.back(), TCP
    sport = 32768 + rng.randrange(1500)
    dport = rng.choices([443, 80, 22, 25, 8080, 5432, 23], [50, 20, 8, 5, 8, 5, 4])[0]
    seq, ack = rng.randrange(1 << 32), rng.randrange(1 << 32)
    timestamps = b"\x01\x01\x08\x0a" + rng.randbytes(8)
    syn_options = b"\x02\x04\x05\xb4\x04\x02\x08\x0a" + rng.randbytes(8) + b"\x01\x03\x03\x07"

    if rng.random() < 0.08:  # closed port
        return [link.ip(proto, link.tcp(sport, dport, seq, 0, SYN, options=syn_options)),
                back.ip(proto, back.tcp(dport, sport, 0, seq + 1, RST | ACK))]
    frames = [link.ip(proto, link.tcp(sport, dport, seq, 0, SYN, options=syn_options)),
              back.ip(proto, back.tcp(dport, sport, ack, seq + 1, SYN | ACK, options=syn_options)),
              link.ip(proto, link.tcp(sport, dport, seq + 1, ack + 1, ACK, options=timestamps))]
    seq, ack = seq + 1, ack + 1
    jumbo = rng.random() < 0.04
    for _ in range(1 + int(rng.expovariate(0.4))):
        request = rng.randbytes(20 + int(rng.expovariate(1 / 120)) % 1000)
        push = link.tcp(sport, dport, seq, ack, PSH | ACK, request, timestamps)
        frames.append(link.ip(proto, push))
        seq += len(request)
        for _ in range(1 + int(rng.expovariate(0.9))):
            reply = rng.randbytes(2900 if jumbo else min(1400, 40 + int(rng.expovariate(1 / 600))))
            data = back.tcp(dport, sport, ack, seq, ACK, reply, timestamps)
            frames.append(back.ip(proto, data))
            ack += len(reply)
        frames.append(link.ip(proto, link.tcp(sport, dport, seq, ack, ACK, options=timestamps)))
    frames.append(link.ip(proto, link.tcp(sport, dport, seq, ack, FIN | ACK, options=timestamps)))
    frames.append(back.ip(proto, back.tcp(dport, sport, ack, seq + 1, FIN | ACK,
                                          options=timestamps)))
    frames.append(link.ip(proto, link.tcp(sport, dport, seq + 1, ack + 1, ACK)))
    return frames


def dns_lookup(rng: Random, link: Link) -> Frames:
    label = bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randrange(3, 20)))
    question = bytes([len(label)]) + label + b"\x07example\0" + b"\0\x01\0\x01"
    ident, sport = rng.randbytes(2), 32768 + rng.randrange(1500)
    answer = b"\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04" + rng.randbytes(4)
    query = ident + b"\x01\0\0\x01\0\0\0\0\0\0" + question
    reply = ident + b"\x81\x80\0\x01\0\x01\0\0\0\0" + question + answer
    back = link.back()
    return [link.ip(UDP, link.udp(sport, 53, query)), back.ip(UDP, back.udp(53, sport, reply))]


def ntp_poll(rng: Random, link: Link) -> Frames:
    back = link.back()
    request = b"\x23" + bytes(39) + rng.randbytes(8)
    reply = b"\x24\x02\x06\xec" + rng.randbytes(44)
    return [link.ip(UDP, link.udp(123, 123, request)), back.ip(UDP, back.udp(123, 123, reply))]


def udp_stream(rng: Random, link: Link) -> Frames:
    sport, dport = 32768 + rng.randrange(1500), rng.choice([443, 5004, 8000, 9000, 51820, 23])
    sizes = [0] + [rng.randrange(1, 1300) for _ in range(rng.randrange(2, 9))]
    return [link.ip(UDP, link.udp(sport, dport, rng.randbytes(size))) for size in sizes]


def ping(rng: Random, link: Link) -> Frames:
    back, ident, frames = link.back(), rng.randrange(0x10000), []
    protocol, request, reply = (ICMP, 8, 0) if link.version == 4 else (ICMPV6, 128, 129)
    for sequence in range(1, rng.randrange(2, 6)):
        data = rng.randbytes(rng.choice([0, 8, 56, 56, 56, 1000]))
        body = struct.pack("!HH", ident, sequence) + data
        frames.append(link.ip(protocol, link.icmp(request, 0, body)))
        frames.append(back.ip(protocol, back.icmp(reply, 0, body)))
    return frames


def neighbour(rng: Random, link: Link) -> Frames:
    """ARP, or its IPv6 counterpart."""
    back = link.back()
    if link.version == 6:
        solicit = link.icmp(135, 0, bytes(4) + link.dst.ip6 + b"\x01\x01" + link.src.mac)
        advert = back.icmp(136, 0, b"\x60\0\0\0" + back.src.ip6 + b"\x02\x01" + back.src.mac)
        return [link.ip(ICMPV6, solicit), back.ip(ICMPV6, advert)]
    fixed = struct.pack("!HHBB", 1, ETH_IP, 6, 4)
    ask = fixed + b"\0\x01" + link.src.mac + link.src.ip4 + bytes(6) + link.dst.ip4
    tell = fixed + b"\0\x02" + link.dst.mac + link.dst.ip4 + link.src.mac + link.src.ip4
    return [link.ethernet(ETH_ARP, ask, b"\xff" * 6), back.ethernet(ETH_ARP, tell)]


def fragments(rng: Random, link: Link) -> Frames:
    """A large datagram in pieces of 1400 bytes, or an IPv6 "atomic fragment" in one piece."""
    size = rng.randrange(1500, 5000) if link.version == 4 or rng.random() < 0.7 else 200
    datagram = link.udp(32768 + rng.randrange(1500), 2049, rng.randbytes(size))
    ident, frames = rng.randrange(0x10000), []
    for offset in range(0, len(datagram), 1400):
        piece, more = datagram[offset : offset + 1400], offset + 1400 < len(datagram)
        if link.version == 4:
            frames.append(link.ipv4(UDP, piece, ident=ident, offset=offset, more=more))
        else:
            header = struct.pack("!BBHI", UDP, 0, offset | more, ident)
            frames.append(link.ipv6(FRAGMENT, header + piece))
    return frames


def options(rng: Random, link: Link) -> Frames:
    """IPv4 options, or one to eight IPv6 extension headers."""
    segment = rng.choice([link.tcp(40000, 179, 1, 1, ACK), link.udp(40000, 40001, b"route"),
                          link.icmp(8 if link.version == 4 else 128, 0, bytes(8))])
    kind = TCP if len(segment) == 20 else UDP if len(segment) == 13 else ICMP
    if link.version == 4:
        record_route = b"\x07" + bytes([rng.choice([7, 11, 39])])
        padded = (record_route + b"\x04").ljust(record_route[1] + 1, b"\0")
        router_alert, no_ops = b"\x94\x04\0\0", b"\x01" * 40
        return [link.ipv4(kind, segment, options=rng.choice([padded, router_alert, no_ops]))]
    # Each header without its first byte, the next header.
    pad_8, pad_16 = b"\0\x01\x04" + bytes(4), b"\x01\x01\x0c" + bytes(12)
    routing = b"\x02\x02\x01" + bytes(4) + link.dst.ip6
    headers = [(HOPOPTS, pad_8), (DSTOPTS, pad_16), (ROUTING, routing), (FRAGMENT, bytes(7)),
               *[(DSTOPTS, pad_8)] * 4]
    chain = headers[: rng.choice([1, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8])]
    if len(chain) == 1 and rng.random() < 0.5:
        chain = [headers[rng.randrange(1, 4)]]
    kinds = [kind for kind, _ in chain] + [ICMPV6 if kind == ICMP else kind]
    payload = b"".join(bytes([after]) + rest for after, (_, rest) in zip(kinds[1:], chain))
    return [link.ipv6(kinds[0], payload + segment)]


def tunnels_and_others(rng: Random, link: Link) -> Frames:
    """SCTP, GRE, IGMP, OSPF, no next header, LLDP, spanning tree, and unknown ethertypes."""
    which = rng.randrange(8)
    if which < 2:
        chunk = b"\0\x03\0\x20" + rng.randbytes(8) + bytes(4) + rng.randbytes(16)
        header = struct.pack("!HHII", 40000, 5001, rng.randrange(1 << 32), 0)
        sum_le = struct.pack("<I", crc32c(header + chunk))
        return [link.ip(SCTP, header[:8] + sum_le + chunk)]
    if which == 2:
        plain = Link(rng, link.src, link.dst, 4, ())
        inner = plain.ipv4(ICMP, plain.icmp(8, 0, bytes(18)))[14:]
        return [link.ip(GRE, struct.pack("!HH", 0, ETH_IP) + inner)]
    if which == 3 and link.version == 4:
        report = with_checksum(b"\x16\0\0\0\xe0\0\0\xfb", 2)
        return [link.ipv4(IGMP, report, options=b"\x94\x04\0\0")]
    if which == 3:
        return [link.ipv6(NO_NEXT, b"")]
    if which == 4:
        return [link.ip(89, rng.randbytes(44))]
    if which == 5:
        lldp = b"\x02\x07\x04" + link.src.mac + b"\x04\x03\x07p1\x06\x02\0\x78\0\0"
        return [link.ethernet(0x88CC, lldp, bytes.fromhex("0180c200000e"))]
    if which == 6:  # an 802.3 length, not an ethertype
        bpdu = b"\x42\x42\x03" + bytes(35)
        return [link.ethernet(len(bpdu), bpdu, bytes.fromhex("0180c2000000"))]
    return [link.ethernet(rng.choice([0x8847, 0x8863, 0x88F7, 0x9000, 0xFFFF]), rng.randbytes(50))]


def sample_links(rng: Random) -> Iterator[Link]:
    for version in (4, 6):
        for tags in ((), (100,), (100, 200), (100, 200, 300)):
            yield Link(rng, Host(1), Host(2), version, tags)


def truncated(rng: Random) -> Frames:
    """Every header cut before its first byte, after it, and before its last byte; and runts."""
    frames: Frames = [rng.randbytes(size) for size in (1, 2, 6, 12, 13)]
    for link in sample_links(rng):
        eth, ip = 14 + 4 * len(link.tags), 20 if link.version == 4 else 40
        echo = 8 if link.version == 4 else 128
        whole = [(link.ip(TCP, link.tcp(1, 2, 3, 4, ACK, bytes(99))), 20),
                 (link.ip(UDP, link.udp(1, 2, bytes(99))), 8),
                 (link.ip(ICMP if link.version == 4 else ICMPV6, link.icmp(echo, 0, bytes(99))), 8)]
        for frame, l4 in whole:
            for header in (14, eth, eth + ip, eth + ip + l4):
                frames += [frame[: header + delta] for delta in (-1, 0, 1)]
        frames += [neighbour(rng, link)[0][: eth + size] for size in (0, 8, 27)]
    return frames


def lying(rng: Random) -> Frames:
    """Whole frames in which one field is wrong."""
    frames: Frames = []
    for link in sample_links(rng):
        eth = 14 + 4 * len(link.tags)
        tcp = link.ip(TCP, link.tcp(1, 2, 3, 4, ACK, bytes(50)))
        udp = link.ip(UDP, link.udp(1, 2, bytes(50)))

        def put(frame: bytes, offset: int, fmt: str, value: int) -> None:
            raw = struct.pack(fmt, value)
            frames.append(frame[:offset] + raw + frame[offset + len(raw) :])

        if link.version == 4:
            l4 = eth + 20
            for byte in (0x40, 0x41, 0x44, 0x4F, 0x55, 0x65, 0x05, 0xF5):  # version and ihl
                put(tcp if byte != 0x4F else tcp[: eth + 58], eth, "B", byte)
            for total in (0, 1, 19, 20, 39, len(tcp) - eth + 1, 0xFFFF):
                put(tcp, eth + 2, "!H", total)
            put(udp, eth + 2, "!H", 27)
        else:
            l4 = eth + 40
            for byte in (0x40, 0x00, 0x70, 0xF0):
                put(tcp, eth, "B", byte)
            for payload in (0, 1, 19, len(tcp) - eth - 39, 0xFFFF):
                put(tcp, eth + 4, "!H", payload)
            put(udp, eth + 4, "!H", 7)
            for kind in (HOPOPTS, ROUTING, DSTOPTS):  # an extension header longer than the packet
                put(link.ipv6(kind, bytes([TCP, 200]) + bytes(62)), eth + 41, "B", 200)
            frames.append(link.ipv6(FRAGMENT, bytes(7)))
            frames.append(link.ipv6(HOPOPTS, bytes([DSTOPTS, 0, 1, 4, 0, 0, 0, 0, TCP, 0, 1])))
        for doff in (0, 4 << 4, 15 << 4):
            frame = tcp if doff != 15 << 4 else link.ip(TCP, link.tcp(1, 2, 3, 4, ACK, bytes(8)))
            put(frame, l4 + 12, "B", doff)
        for length in (0, 7, 59, 0xFFFF):
            put(udp, l4 + 4, "!H", length)
    return frames


# ---- The capture ------------------------------------------------------------------------------

MIX: list[tuple[Callable[[Random, Link], Frames], float]] = [
    (tcp_session, 50), (dns_lookup, 60), (ntp_poll, 20), (udp_stream, 16), (ping, 16),
    (neighbour, 30), (fragments, 12), (options, 30), (tunnels_and_others, 50),
]
MALFORMED_SHARE = 0.05


def random_link(rng: Random) -> Link:
    src, dst = rng.sample(range(1, 400), 2)
    outer, inner = rng.randrange(1, 4095), rng.randrange(1, 4095)
    tags = rng.choices([(), (inner,), (outer, inner), (7, 8, 9)], [75, 15, 9, 1])[0]
    return Link(rng, Host(src), Host(dst), rng.choices([4, 6], [65, 35])[0], tags)


def make_frames(rng: Random, packets: int) -> Iterator[bytes]:
    """Sixteen conversations at a time, with malformed frames strewn in."""
    makers, weights = zip(*MIX)
    malformed = truncated(rng) + lying(rng)
    rng.shuffle(malformed)
    active: list[Frames] = []
    for _ in range(packets):
        if rng.random() < MALFORMED_SHARE:
            yield malformed[0]
            malformed.append(malformed.pop(0))
            continue
        while len(active) < 16:
            active.append(rng.choices(makers, weights)[0](rng, random_link(rng)))
        slot = rng.randrange(len(active))
        yield active[slot].pop(0)
        if not active[slot]:
            active.pop(slot)


def write_pcap(path: str, rng: Random, packets: int) -> int:
    """Returns the size of the file."""
    time = START
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in make_frames(rng, packets):
            time += 1 + int(rng.expovariate(1 / 200))
            record = struct.pack("<IIII", *divmod(time, 1_000_000), len(frame), len(frame))
            out.write(record + frame)
        return out.tell()


def main() -> int:
    summary, example = (__doc__ or "").split("example: ")
    parser = argparse.ArgumentParser(description=summary, epilog=f"example: {example}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", help="pcap file to write")
    parser.add_argument("--packets", type=int, default=12000, metavar="N", help="default: 12000")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default: 1")
    args = parser.parse_args()
    if args.packets < 0:
        parser.error(f"--packets {args.packets}: must not be negative")
    try:
        size = write_pcap(args.out, Random(args.seed), args.packets)
    except OSError as error:
        print(f"make_pcap: {args.out}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{args.out}: {args.packets} packets, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
