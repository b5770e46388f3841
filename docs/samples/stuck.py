"""A server that forgets to close: the client has sent everything and waits, for three seconds."""

import os
import socket
import time

SERVER = ("127.0.0.1", 8083)


def name(comm):
    with open("/proc/self/comm", "w") as file:
        file.write(comm)


name("leaky-server")
listener = socket.create_server(SERVER)
if os.fork() == 0:
    listener.close()
    name("client")
    client = socket.create_connection(SERVER)
    client.shutdown(socket.SHUT_WR)
    client.recv(1)  # until the server closes
    os._exit(0)

connection, _ = listener.accept()
connection.recv(1)  # the client's FIN
time.sleep(3)
connection.close()
os.wait()
