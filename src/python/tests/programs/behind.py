"""behind.py: a program that never blocks, while its capturer stands still: what do write, poll,
select and epoll say?

It prints "ready", waits for a line, fills the log, prints what it found as JSON, and at last
prints when each way of waiting woke."""

import fcntl
import json
import os
import select
import struct
import sys
import threading
import time

fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
packet = b"\x45" + bytes(1399)

sleeping = select.epoll()
sleeping.register(fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
first = [bits for _, bits in sleeping.poll(5)]
print("ready", flush=True)
sys.stdin.readline()

woke = {}


def wait(name, run):
    def waiting():
        woke[name] = run(), time.monotonic()

    threads.append(threading.Thread(target=waiting, daemon=True))
    threads[-1].start()


def edge():
    # This has slept since before the log was full, so only an edge wakes it.
    return [bits & select.EPOLLOUT for _, bits in sleeping.poll(20)]


def poll():
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    return [bits for _, bits in poller.poll(20_000)]


def level():
    poller = select.epoll()
    poller.register(fd, select.EPOLLOUT)
    return [bits for _, bits in poller.poll(20)]


threads = []
wait("edge", edge)
time.sleep(0.1)
slowest = written = 0
while True:
    begun = time.monotonic()
    try:
        os.write(fd, packet)
    except BlockingIOError:
        break
    finally:
        slowest = max(slowest, time.monotonic() - begun)
    written += 1

poller = select.poll()
poller.register(fd, select.POLLIN | select.POLLOUT)
epolls = [select.epoll(), select.epoll()]
epolls[0].register(fd, select.EPOLLOUT)
epolls[1].register(fd, select.EPOLLOUT | select.EPOLLET)
begun = time.monotonic()
found = {
    "first": first,
    "written": written,
    "slowest": slowest,
    "poll": poller.poll(100),
    "waited": time.monotonic() - begun,
    "select": select.select([], [fd], [], 0.05)[1],
    "epoll": [e.poll(0.05) for e in epolls],
    "early": list(woke),
}
wait("poll", poll)
wait("select", lambda: select.select([], [fd], [], 20)[1] != [])
wait("level", level)
wait("late edge", lambda: [bits for _, bits in epolls[1].poll(20)])
time.sleep(0.3)
found["early"] += list(woke)
print(json.dumps(found), flush=True)
for thread in threads:
    thread.join(25)
os.write(fd, packet)
print(json.dumps(woke), flush=True)
sys.stdin.readline()
