#!/usr/bin/env python3
"""Floods one service, as fast as one process can, until the time is over: loadtest/slow runs it. It knows no limits of the
service: what is closed is opened anew.

Like slowhttptest it leaves a CSV of what it saw, second by second: connections that are over, under way, open, and whether
the service answered a request of a bystander's."""

import argparse
import selectors
import socket
import struct
import time

# What each connection says, again and again; nothing is a connection that only comes and goes.
REQUEST = "GET {path} HTTP/1.1\r\nHost: flood.test\r\n"
FLOODS = {
    "connections": ("", ""),
    # Heads of 95 fields, many at a time.
    "heads": ("", (REQUEST + "".join(f"X-Field-{n}: {'v' * 60}\r\n" for n in range(94)) + "\r\n") * 8),
    # A body without end, one byte a chunk.
    "chunks": ("POST {path} HTTP/1.1\r\nHost: flood.test\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n" * 8192),
}
READ = 1 << 18
PROBE_PATIENCE = 3
# Turned away, or reset, at whatever moment.
GONE = (ConnectionError, TimeoutError)


class Flood:
    """Connections, and what became of them."""

    def __init__(self, options):
        host, port = options.address.rsplit(":", 1)
        self.address, self.connections = (host, int(port)), options.connections
        self.path, self.selector = options.path, selectors.DefaultSelector()
        self.begin, self.again = (text.format(path=options.path).encode() for text in FLOODS[options.flood])
        self.open, self.over = {}, 0

    def one_more(self):
        """Begins a connection; beyond the number, in the place of the oldest, which is reset."""
        if len(self.open) >= self.connections:
            self.end(next(iter(self.open)), reset=True)
        sock = socket.socket()
        sock.setblocking(False)
        try:
            sock.connect(self.address)
        except BlockingIOError:
            pass
        except OSError:  # no port is free
            sock.close()
            return
        self.open[sock] = self.begin + self.again
        if self.again:
            self.selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def end(self, sock, reset=False):
        del self.open[sock]
        self.over += 1
        if self.again:
            self.selector.unregister(sock)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def turn(self):
        """A short piece of the flood."""
        if not self.again:
            for _ in range(200):
                self.one_more()
            return
        while len(self.open) < self.connections:
            self.one_more()
        for key, events in self.selector.select(0.1):
            try:
                self.push(key.fileobj, events)
            except BlockingIOError:
                pass
            except GONE:
                self.end(key.fileobj)

    def push(self, sock, events):
        if events & selectors.EVENT_READ and not sock.recv(READ):
            self.end(sock)
            return
        if events & selectors.EVENT_WRITE:
            left = self.open[sock]
            sent = sock.send(left)
            self.open[sock] = left[sent:] or self.again

    def is_up(self):
        """Whether a bystander is answered."""
        try:
            with socket.create_connection(self.address, PROBE_PATIENCE) as sock:
                sock.sendall(f"GET {self.path} HTTP/1.1\r\nHost: flood.test\r\nConnection: close\r\n\r\n".encode())
                return sock.recv(12) == b"HTTP/1.1 200"
        except GONE:
            return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flood", choices=FLOODS)
    parser.add_argument("address")
    parser.add_argument("path")
    parser.add_argument("csv")
    parser.add_argument("--connections", type=int, default=1000, help="at once; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=10, help="default: %(default)s")
    options = parser.parse_args()
    flood, began, second = Flood(options), time.monotonic(), 0
    with open(options.csv, "w", encoding="ascii") as out:
        out.write("Seconds,Closed,Pending,Connected,Service Available\n")
        while (now := time.monotonic() - began) < options.seconds:
            flood.turn()
            if now >= second:
                out.write(f"{second},{flood.over},0,{len(flood.open)},{1000 * flood.is_up()}\n")
                second = int(now) + 1


if __name__ == "__main__":
    main()
