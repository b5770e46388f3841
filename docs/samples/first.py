"""A server that closes first, as one does that speaks HTTP/1.0, and one client."""

import os
import socket

SERVER = ("127.0.0.1", 8081)


def name(comm):
    with open("/proc/self/comm", "w") as file:
        file.write(comm)


name("server")
listener = socket.create_server(SERVER)
if os.fork() == 0:
    listener.close()
    name("client")
    client = socket.create_connection(SERVER)
    client.recv(1)  # until the server closes
    client.close()
    os._exit(0)

connection, _ = listener.accept()
connection.close()
os.wait()
