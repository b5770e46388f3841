"""A client that polls a server twelve times and closes first, so that it leaves twelve TIME_WAITs."""

import os
import socket

SERVER = ("127.0.0.1", 8443)
TIMES = 12


def name(comm):
    with open("/proc/self/comm", "w") as file:
        file.write(comm)


listener = socket.create_server(SERVER, backlog=TIMES)
if os.fork() == 0:
    name("server")
    for _ in range(TIMES):
        connection, _ = listener.accept()
        connection.recv(1)  # until the client closes
        connection.close()
    os._exit(0)

listener.close()
name("poller")
for _ in range(TIMES):
    client = socket.create_connection(SERVER)
    client.shutdown(socket.SHUT_WR)
    client.recv(1)
    client.close()
os.wait()
