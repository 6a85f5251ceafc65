"""Threads share a handle: no thread waits for another thread's wait (memtun.h promises that
handles may be shared)."""

from __future__ import annotations

import ctypes
import errno
import threading
import time
from collections.abc import Callable
from ctypes import c_void_p

import memtun as m
from memtun import _library

MOMENT = 0.4


def beside(wait: Callable[[], object], look: Callable[[], object]) -> float:
    """Time in seconds that `look` takes while another thread is in `wait`."""
    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()
    begun = time.monotonic()
    look()
    took = time.monotonic() - begun
    waiting.join(20)
    assert not waiting.is_alive()
    return took


def test_calls_of_the_c_interface_do_not_wait_for_each_other(echo, memtun: m.Net) -> None:
    tun = echo()
    library = _library.library()
    buffer = ctypes.create_string_buffer(2000)
    other = ctypes.create_string_buffer(2000)
    with tun._handle as pointer:

        def recv(room: object, ms: int) -> int:
            return int(library.memtun_interface_recv(c_void_p(pointer), room, 2000, None, ms))

        def receive_udp(port: int, room: object, ms: int) -> int:
            return int(library.memtun_interface_recv_udp(c_void_p(pointer), None, port, room, 2000, ms))

        assert beside(lambda: recv(buffer, 1500), lambda: recv(other, 0)) < MOMENT
        assert beside(lambda: receive_udp(1, buffer, 1500), lambda: receive_udp(1, other, 0)) < MOMENT
        assert beside(lambda: receive_udp(1, buffer, 1500), lambda: receive_udp(2, other, 0)) < MOMENT
        # A datagram to another port arrives while somebody waits at the first.
        tun.send_udp(b"for two", ("10.0.0.1", 7), source=("10.5.0.1", 2))
        got: list[int] = []
        beside(lambda: receive_udp(1, buffer, 1500), lambda: got.append(receive_udp(2, other, 10_000)))
        assert got == [7] and other.raw[:7] == b"for two"
        assert receive_udp(1, other, 0) == -errno.EAGAIN


def test_subscribers_and_receivers_do_not_wait_for_each_other(echo) -> None:
    tun = echo()
    library = _library.library()
    buffer = ctypes.create_string_buffer(2000)
    other = ctypes.create_string_buffer(2000)
    with tun.subscribe()._handle as subscriber:

        def recv(room: object, ms: int) -> int:
            return int(library.memtun_subscriber_recv(c_void_p(subscriber), room, 2000, None, None, ms))

        assert beside(lambda: recv(buffer, 1500), lambda: recv(other, 0)) < MOMENT
    with tun.receive_udp(port=5)._cursor.handle as receiver:

        def receive(room: object, ms: int) -> int:
            return int(library.memtun_receiver_recv(c_void_p(receiver), room, 2000, None, 0, None, ms))

        assert beside(lambda: receive(buffer, 1500), lambda: receive(other, 0)) < MOMENT


def test_two_threads_at_one_receiver_each_wait_their_own_time(echo) -> None:
    tun = echo()
    receiver = tun.receive_udp("10.1.2.3", 21345)
    receiver.fileno()
    took: list[float] = []

    def wait() -> None:
        begun = time.monotonic()
        try:
            receiver.recv(timeout=0.09)
        except m.TimeoutError:
            took.append(time.monotonic() - begun)

    for _ in range(10):
        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        tun.send_udp(b"for one of them", ("10.0.0.1", 7))
        for thread in threads:
            thread.join(20)
    assert len(took) == 20, "each datagram went to one"
    assert min(took) >= 0.085
