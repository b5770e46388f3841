"""20,000 connections over loopback, each opened, accepted and closed: ten transitions each."""

import socket

SERVER = ("127.0.0.1", 8082)

listener = socket.create_server(SERVER)
for _ in range(20_000):
    client = socket.create_connection(SERVER)
    connection, _ = listener.accept()
    client.close()
    connection.recv(1)
    connection.close()
