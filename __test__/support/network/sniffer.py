"""Sees every attempt to connect and every datagram on `lo`, whether anybody listens there or not."""
import ctypes
import ipaddress
import mmap
import select
import socket
import struct
import threading

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
SO_ATTACH_FILTER, SOL_PACKET, PACKET_RX_RING, PACKET_STATISTICS = 26, 263, 5, 6
TCP, UDP = 6, 17
PACKET_HOST, TP_STATUS_USER = 0, 1
BLOCK, FRAME, FRAMES, HEADER, KEPT = 1 << 16, 256, 1 << 15, 32, 96  # bytes; of a packet, what holds its headers

# Classic BPF (linux/filter.h); SKF_AD_OFF + SKF_AD_PKTTYPE. The data begins at the IP header.
LD_B, LD_IND_B, LDX_MSH, AND, RSH, JEQ, RET = 0x30, 0x50, 0xB1, 0x54, 0x74, 0x15, 0x06
PACKET_TYPE = 0xFFFFF000 + 4
SYN, SYN_AND_ACK = 0x02, 0x12

LINES = 18


def assemble():
    """The filter: all but TCP's packets that are not the first of a connection, or a bulk transfer would fill the socket."""
    lines = [
        ("", LD_B, None, None, PACKET_TYPE),
        ("", JEQ, None, "drop", PACKET_HOST),  # each packet on lo is seen as outgoing, too
        ("", LD_B, None, None, 0),
        ("", RSH, None, None, 4),
        ("", JEQ, "six", None, 6),
        ("", LD_B, None, None, 9),
        ("", JEQ, None, "take", TCP),
        ("", LDX_MSH, None, None, 0),
        ("", LD_IND_B, None, None, 13),
        ("", AND, None, None, SYN_AND_ACK),
        ("", JEQ, "take", "drop", SYN),
        ("six", LD_B, None, None, 6),
        ("", JEQ, None, "take", TCP),
        ("", LD_B, None, None, 40 + 13),
        ("", AND, None, None, SYN_AND_ACK),
        ("", JEQ, "take", "drop", SYN),
        ("take", RET, None, None, KEPT),
        ("drop", RET, None, None, 0),
    ]
    places = {label: index for index, (label, *_) in enumerate(lines) if label}
    jump = lambda index, label: 0 if label is None else places[label] - index - 1
    return b"".join(struct.pack("=HBBI", code, jump(index, true), jump(index, false), operand) for index, (_, code, true, false, operand) in enumerate(lines))


class Sniffer:
    """Reads a ring that the kernel writes (packet(7), PACKET_RX_RING): no flood fills it unnoticed, and it needs no limit raised."""

    def __init__(self, log):
        self.log = log
        self.lock = threading.Lock()
        self.flows = set()  # of datagrams: from, to
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        program = ctypes.create_string_buffer(assemble(), 8 * LINES)
        # struct sock_fprog
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HL", LINES, ctypes.addressof(program)))
        # struct tpacket_req: size and number of blocks, of frames
        self.socket.setsockopt(SOL_PACKET, PACKET_RX_RING, struct.pack("=IIII", BLOCK, FRAMES * FRAME // BLOCK, FRAME, FRAMES))
        self.ring = memoryview(mmap.mmap(self.socket.fileno(), FRAMES * FRAME))
        self.at = 0
        self.socket.bind(("lo", ETH_P_ALL))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            select.select([self.socket], [], [])
            self.drain()

    def drain(self):
        """All that the kernel has handed over: a packet is in the ring before its sender's call returns."""
        with self.lock:
            while True:
                frame = self.ring[self.at * FRAME : (self.at + 1) * FRAME]
                status, _, size, _, start = struct.unpack_from("@LIIHH", frame)
                if not status & TP_STATUS_USER:
                    break
                # struct sockaddr_ll follows the header; its protocol is in network order.
                protocol = struct.unpack_from("!H", frame, HEADER + 2)[0]
                self.add(bytes(frame[start : start + size]), protocol)
                struct.pack_into("@L", frame, 0, 0)
                self.at = (self.at + 1) % FRAMES
            _, dropped = struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
            if dropped:
                self.log.add("packet", proto="lost", address=str(dropped), port=0)

    def add(self, packet, protocol):
        if protocol == ETH_P_IP and len(packet) >= 20:
            start, kind, sender, to = 4 * (packet[0] & 15), packet[9], packet[12:16], packet[16:20]
        elif protocol == ETH_P_IPV6 and len(packet) >= 40:
            start, kind, sender, to = 40, packet[6], packet[8:24], packet[24:40]
        else:
            return self.log.add("packet", proto=f"ethernet {protocol:#x}", address="", port=0)
        address = ipaddress.ip_address(to)
        address = str(getattr(address, "ipv4_mapped", None) or address)
        name = {TCP: "tcp", UDP: "udp"}.get(kind, f"ip {kind}")
        ports = packet[start : start + 4] if name in ("tcp", "udp") else b""
        source, port = struct.unpack("!HH", ports) if len(ports) == 4 else (0, 0)
        if name == "udp" and (to, port, sender, source) in self.flows:
            return  # an answer
        self.flows.add((sender, source, to, port))
        self.log.add("packet", proto=name, address=address, port=port)
