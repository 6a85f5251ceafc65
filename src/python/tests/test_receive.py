from __future__ import annotations

import asyncio
import gc
import os
import select
import threading
import time

import pytest

import memtun as m


def test_a_receiver_filters_by_host_and_port(echo) -> None:
    tun = echo()
    for port in (1001, 1002):
        for host in ("10.5.0.1", "10.5.0.2"):
            tun.send_udp(f"{host}:{port}".encode(), ("10.0.0.1", 7), source=(host, port))
    receiver = tun.receive_udp("10.5.0.2", 1002)
    assert receiver.recv(timeout=20) == b"10.5.0.2:1002"
    with pytest.raises(m.TimeoutError):
        receiver.recv(timeout=0)
    any_host = tun.receive_udp("", 1001)
    assert [any_host.recv(timeout=0) for _ in range(2)] == [b"10.5.0.1:1001", b"10.5.0.2:1001"]


def test_time_outs_are_those_of_a_socket(echo) -> None:
    receiver = echo().receive_udp("10.1.1.1", 9)
    assert receiver.gettimeout() == 5
    receiver.settimeout(0.1)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        receiver.recv()
    assert 0.1 <= time.monotonic() - begun < 3
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):
        receiver.recv(100)


def test_select_waits_for_a_datagram(echo) -> None:
    tun = echo()
    receiver = tun.receive_udp("10.1.2.3", 21345)
    fd = receiver.fileno()
    assert receiver.fileno() == fd
    assert select.select([receiver], [], [], 0)[0] == []
    tun.send_udp(b"one", ("10.0.0.1", 7))
    tun.send_udp(b"two", ("10.0.0.1", 7))
    assert select.select([receiver], [], [], 20)[0] == [receiver]
    assert receiver.recv() == b"one"
    assert select.select([receiver], [], [], 20)[0] == [receiver]
    assert receiver.recv() == b"two"
    assert select.select([receiver], [], [], 0)[0] == []
    with pytest.raises(m.TimeoutError):
        receiver.recv(timeout=0.1)


def test_asyncio_waits_for_a_datagram(echo) -> None:
    tun = echo()

    async def ask(receiver: m.Receiver, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(receiver.fileno(), ready.set_result, None)
        tun.send_udp(data, ("10.0.0.1", 7))
        await asyncio.wait_for(ready, 20)
        loop.remove_reader(receiver.fileno())
        return receiver.recv(timeout=0)

    async def main() -> list[bytes]:
        with tun.receive_udp("10.1.2.3", 21345) as receiver:
            return [await ask(receiver, b"%d" % n) for n in range(3)]

    assert asyncio.run(main()) == [b"0", b"1", b"2"]


def test_the_end_of_the_interface_is_readable(echo, memtun: m.Net) -> None:
    tun = echo()
    receiver = tun.receive_udp("10.1.2.3", 21345)
    fd = receiver.fileno()
    tun.delete()
    assert select.select([fd], [], [], 20)[0] == [fd]
    for _ in range(2):
        with pytest.raises(m.GoneError):
            receiver.recv()
    assert select.select([fd], [], [], 0)[0] == [fd]


def test_a_receiver_that_nobody_has_any_more_leaves_nothing(echo) -> None:
    tun = echo()
    threads, before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        tun.receive_udp("10.1.2.3", 21345).fileno()
    gc.collect()
    limit = time.monotonic() + 20
    while threading.active_count() > threads and time.monotonic() < limit:
        time.sleep(0.05)
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_does_not_disturb_a_thread_that_receives(echo) -> None:
    tun = echo()
    receiver = tun.receive_udp("10.1.2.3", 9)
    answers: list[BaseException] = []

    def wait() -> None:
        try:
            receiver.recv(timeout=30)
        except OSError as e:
            answers.append(e)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    receiver.close()
    thread.join(20)
    assert [str(a) for a in answers] == ["[Errno 9] the receiver is closed"]
    with pytest.raises(OSError, match="closed"):
        receiver.recv()
    with pytest.raises(OSError, match="closed"):
        receiver.fileno()
