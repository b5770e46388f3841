"""A web server with a worker process, two clients, and a client whose server is down.

Each process names itself, so that a trace is easy to read. The server listens in one process and accepts in
another, as most servers do. The second client closes with data unread, which sends an RST.
"""

import os
import socket
import time

WEB = ("127.0.0.1", 8080)
CACHE = ("127.0.0.1", 6379)
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
PAGE = b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 20_000


def name(comm):
    with open("/proc/self/comm", "w") as file:
        file.write(comm)


def child(comm, work):
    pid = os.fork()
    if pid == 0:
        name(comm)
        work()
        os._exit(0)
    return pid


def serve(listener):
    for _ in range(2):
        connection, _ = listener.accept()
        connection.recv(100)
        try:
            connection.sendall(PAGE)
            connection.recv(1)  # until the client closes
        except ConnectionError:
            pass
        connection.close()


def fetch():
    client = socket.create_connection(WEB)
    client.sendall(REQUEST)
    left = len(PAGE)
    while left:
        left -= len(client.recv(left))
    client.close()


def abandon():
    client = socket.create_connection(WEB)
    client.sendall(REQUEST)
    client.recv(1)  # the rest stays unread
    client.close()


def ask_cache():
    try:
        socket.create_connection(CACHE)
    except ConnectionRefusedError:
        pass


name("server")
listener = socket.create_server(WEB)
worker = child("worker", lambda: serve(listener))
for comm, work in [("browser", fetch), ("hasty", abandon), ("shop", ask_cache)]:
    os.waitpid(child(comm, work), 0)
    time.sleep(0.005)
os.waitpid(worker, 0)
listener.close()
