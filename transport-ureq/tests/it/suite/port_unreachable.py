"""A host that takes connections on the link `theirs`, and whose port is gone once the first data comes.

It answers SYN with SYN-ACK, acknowledges nothing more, and says "port unreachable" to every segment with data. Prints a line
when it listens.
"""

import socket
import struct

PACKETS = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
PACKETS.bind(("theirs", 0))
SYN, ACK = 0x02, 0x10


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(ethernet, ip, protocol, payload):
    source, destination = ip[16:20], ip[12:16]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source, destination)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    PACKETS.send(ethernet[6:12] + ethernet[0:6] + b"\x08\x00" + header + payload)


print("listening", flush=True)
while True:
    frame = PACKETS.recv(65_535)
    ethernet, ip = frame[:14], frame[14:]
    if ip[9] != 6:
        continue
    tcp = ip[(ip[0] & 15) * 4 : struct.unpack("!H", ip[2:4])[0]]
    client, port, sequence, _, offset, flags = struct.unpack("!HHIIBB", tcp[:14])
    if flags & SYN:
        answer = struct.pack("!HHIIBBHHH", port, client, 1_000, (sequence + 1) & 0xFFFF_FFFF, 0x50, SYN | ACK, 65_535, 0, 0)
        pseudo = ip[16:20] + ip[12:16] + struct.pack("!BBH", 0, 6, len(answer))
        answer = answer[:16] + struct.pack("!H", checksum(pseudo + answer)) + answer[18:]
        send(ethernet, ip, 6, answer)
    elif len(tcp) > (offset >> 4) * 4:
        quoted = struct.pack("!BBHI", 3, 3, 0, 0) + ip[:28]
        send(ethernet, ip, 1, quoted[:2] + struct.pack("!H", checksum(quoted)) + quoted[4:])
