#!/usr/bin/env python3
"""Floods one service, as fast as one process can, until the time is over: loadtest/slow runs it. It knows no limits of the
service: what is closed is opened anew.

Like slowhttptest it leaves a CSV of what it saw, second by second: connections that are over, under way, open, and whether
the service answered the requests of a bystander. The exit code is 0 if it could make connections and say what it has to."""

import argparse
import errno
import selectors
import socket
import struct
import sys
import threading
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
PROBE_PATIENCE, PROBE_EVERY = 3, 0.5
# The bystander's own address: the flood may use up all ports of the other.
BYSTANDER = "127.0.1.1"
# Turned away, or reset, at whatever moment.
GONE = (ConnectionError, TimeoutError)


class Flood:
    """Connections, and what became of them."""

    def __init__(self, options):
        self.address, self.connections = options.address, options.connections
        self.selector = selectors.DefaultSelector()
        self.begin, self.again = (text.format(path=options.path).encode() for text in FLOODS[options.flood])
        self.open, self.over, self.said = {}, 0, 0

    def one_more(self):
        """Begins a connection; beyond the number, in the place of the oldest, which is reset."""
        if len(self.open) >= self.connections:
            self.end(next(iter(self.open)), reset=True)
        try:
            sock = socket.socket()
        except OSError:  # no descriptor is free
            return
        sock.setblocking(False)
        if sock.connect_ex(self.address) not in (0, errno.EINPROGRESS):  # no port is free
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
        # Each is tried once: where none can be had, it is tried again with the next turn.
        for _ in range(self.connections - len(self.open)):
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
            self.said += sent
            self.open[sock] = left[sent:] or self.again

    def fault(self):
        """Why this was no flood, if it was none."""
        if not self.over + len(self.open):
            return "no connection could be made"
        return "nothing could be said" if self.again and not self.said else None


class Bystander(threading.Thread):
    """Makes a request now and then, on a thread of its own: while it waits for the answer the flood goes on."""

    def __init__(self, address, path, until):
        super().__init__(daemon=True)
        self.address, self.until = address, until
        self.failed = self.seen = 0
        self.request = f"GET {path} HTTP/1.1\r\nHost: flood.test\r\nConnection: close\r\n\r\n".encode()
        self.start()

    def run(self):
        while time.monotonic() < self.until:
            self.failed += not self.is_answered()
            time.sleep(PROBE_EVERY)

    def is_answered(self):
        try:
            with socket.create_connection(self.address, PROBE_PATIENCE, source_address=(BYSTANDER, 0)) as sock:
                sock.sendall(self.request)
                return sock.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False

    def look(self):
        """Whether all requests that ended since the last look were answered."""
        seen, self.seen = self.seen, self.failed
        return seen == self.seen


def place(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flood", choices=FLOODS)
    parser.add_argument("address", type=place)
    parser.add_argument("path")
    parser.add_argument("csv")
    parser.add_argument("--connections", type=int, default=1000, help="at once; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=10, help="default: %(default)s")
    options = parser.parse_args()
    began = time.monotonic()
    flood, bystander = Flood(options), Bystander(options.address, options.path, began + options.seconds)
    with open(options.csv, "w", encoding="ascii") as out:
        run(flood, bystander, began, options.seconds, out)
    sys.exit(flood.fault())


def run(flood, bystander, began, seconds, out):
    """Floods, and writes each second's row as soon as it is known; the last one once the bystander has its answer."""
    def row(second):
        out.write(f"{second},{flood.over},0,{len(flood.open)},{1000 * bystander.look()}\n")
        out.flush()

    out.write("Seconds,Closed,Pending,Connected,Service Available\n")
    second = 0
    while (now := time.monotonic() - began) < seconds:
        flood.turn()
        if now >= second:
            row(second)
            second = int(now) + 1
    # It may have to connect, to say and to hear.
    bystander.join(3 * PROBE_PATIENCE + PROBE_EVERY)
    row(second)


if __name__ == "__main__":
    main()
