"""A client that retries a local server while it is down, on a port of the ephemeral range.

In the end the kernel picks that very port as the client's own, and the client connects to itself. When the
server starts, its port is taken. With the whole ephemeral range that takes some thousand tries; here each
socket has a range of 32 ports (Linux 6.3; without it, the whole range is used), so that it takes a dozen.
"""

import socket
import struct
import sys

SERVER = ("127.0.0.1", 47110)
IP_LOCAL_PORT_RANGE = 51
FEW_PORTS = struct.pack("I", 47131 << 16 | 47100)


def name(comm):
    with open("/proc/self/comm", "w") as file:
        file.write(comm)


name("billing")
for _ in range(100_000):
    client = socket.socket()
    try:
        client.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, FEW_PORTS)
    except OSError:
        pass
    if client.connect_ex(SERVER) == 0:
        break
    client.close()
else:
    sys.exit("not this time")

name("ledger-server")
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    server.bind(SERVER)
except OSError as error:
    print(error)
