"""Many packets in one call, and what is prepared for calls that are made often."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import struct
import threading

import pytest
from tunnels import attach, ipv4

import memtun as m
from memtun import _library, _receive

pytestmark = pytest.mark.memtun_shim


def numbered(count: int, begin: int = 0) -> list[bytes]:
    return [ipv4(n.to_bytes(4, "big")) for n in range(begin, begin + count)]


def everything(fd: int) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(os.read(fd, 1 << 16))
        except BlockingIOError:
            return packets


def test_frames_go_in_together(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    tun.inject_many([])
    frames = numbered(300)
    tun.inject_many(iter([*frames[:-2], bytearray(frames[-2]), memoryview(frames[-1])]))
    assert everything(fd) == frames
    with pytest.raises(TypeError):
        tun.inject_many(["text"])


def test_each_frame_is_a_signal_of_its_own(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    number = signal.SIGRTMIN + 3
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        # The process has other threads, which do not block it: it is for this one.
        f_setown_ex, f_owner_tid = 15, 0
        fcntl.fcntl(fd, f_setown_ex, struct.pack("ii", f_owner_tid, threading.get_native_id()))
        fcntl.fcntl(fd, fcntl.F_SETSIG, number)
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
        tun.inject_many(numbered(5))
        signals = []
        while (told := signal.sigtimedwait([number], 0)) is not None:
            signals.append(told.si_signo)
        assert signals == [number] * 5
    finally:
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_an_error_says_how_many_were_done(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    tun.txqueuelen = 40
    for timeout in (0, 0.15):
        with pytest.raises(m.FullError) as full:
            tun.inject_many(numbered(50), timeout=timeout)
        assert full.value.done == 40
        assert everything(fd) == numbered(40)
    assert tun.counters.tx_dropped == 2, "each refusal is counted once"
    odd = numbered(30)
    odd[20] = bytes(1501)
    with pytest.raises(m.Error) as large:
        tun.inject_many(odd)
    assert (large.value.kind, large.value.done) == (m.ErrorKind.TOO_LARGE, 20)
    assert everything(fd) == odd[:20]


def test_a_slow_reader_gets_all(memtun: m.Net) -> None:
    fd = attach(flags=os.O_RDWR)
    tun = memtun.interface("tun0", timeout=0)
    tun.txqueuelen = 8
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.extend(os.read(fd, 2000) for _ in range(1000)), daemon=True)
    reader.start()
    tun.inject_many(numbered(1000), timeout=20)
    reader.join(20)
    assert got == numbered(1000)
    assert tun.counters.tx_dropped == 0


def test_packets_are_received_together(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    for packet in numbered(100):
        os.write(fd, packet)
    assert tun.recv_many(0) == []
    some = tun.recv_many(30)
    assert some == numbered(30)
    assert {(p.ethertype, p.tap) for p in some} == {(0x0800, False)}
    assert sorted(p.time_ns for p in some) == [p.time_ns for p in some] and some[0].time_ns > 10**18
    assert tun.recv() == numbered(1, 30)[0]
    assert tun.recv_many(1 << 40) == numbered(69, 31)
    with pytest.raises(m.TimeoutError):
        tun.recv_many(timeout=0)
    with pytest.raises(m.InvalidValueError):
        tun.recv_many(-1)
    with tun.subscribe() as subscriber:
        assert len(subscriber.recv_many()) == 64


def test_what_does_not_fit_into_one_call_comes_with_the_next(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    tun.mtu = 65535
    large = [ipv4(bytes([n]) * 50_000) for n in range(5)]
    for packet in large:
        os.write(fd, packet)
    got = [tun.recv_many(5) for _ in range(3)]
    assert [len(some) for some in got] == [2, 2, 1] and sum(got, []) == large


def test_datagrams_go_and_come_together(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    texts = [bytes([n]) * n for n in range(1, 60)]
    source = tun.send_udp_many(texts, ("10.0.0.1", 7), source=("10.0.0.9", 0))
    assert source == ("10.0.0.9", 21345)
    sent = everything(fd)
    for packet in sent:
        # Back, with the addresses and the ports exchanged.
        os.write(fd, packet[:12] + packet[16:20] + packet[12:16] + packet[22:24] + packet[20:22] + packet[24:])
    receiver = tun.receive_udp(*source)
    assert receiver.recv_many(20) == [(text, ("10.0.0.1", 7)) for text in texts[:20]]
    assert receiver.recv() == texts[20]
    receiver.fileno()
    assert receiver.recv_many(20) == [(texts[21], ("10.0.0.1", 7))]
    with pytest.raises(m.InvalidValueError) as long:
        tun.send_udp_many([b"x", bytes(1 << 16)], ("10.0.0.1", 7))
    assert long.value.done == 0 and everything(fd) == []
    assert tun.send_udp_many([b"6"], ("fd00::1", 7)) == ("fd00:1:2::3", 21345)


def test_a_refusal_is_counted_and_told_once(memtun: m.Net) -> None:
    attach()
    tun = memtun.interface("tun0", timeout=0)
    tun.carrier = False
    for call in (lambda: tun.inject(ipv4()), lambda: tun.send_udp(b"x", ("10.0.0.1", 7))):
        before = tun.counters.tx_dropped
        with pytest.raises(m.Error) as refused:
            call()
        assert refused.value.kind is m.ErrorKind.LINK_DOWN
        assert tun.counters.tx_dropped == before + 1
    tun.carrier = True
    tun.txqueuelen = 1
    tun.inject(ipv4())
    before = tun.counters.tx_dropped
    for timeout in (0, 0.05, 0.25):
        with pytest.raises(m.FullError):
            tun.inject(ipv4(), timeout=timeout)
    assert tun.counters.tx_dropped == before + 3


def test_a_closed_handle_refuses_each_call(memtun: m.Net) -> None:
    attach()
    tun = memtun.interface("tun0", timeout=0)
    receiver, subscriber = tun.receive_udp(port=7), tun.subscribe()
    tun.send_udp(b"x", ("10.0.0.1", 7))
    for thing in (receiver, subscriber, tun):
        thing.close()
        thing.close()
    for call in (
        lambda: tun.inject(ipv4()),
        lambda: tun.send_udp(b"x", ("10.0.0.1", 7)),
        lambda: tun.inject_many([ipv4()]),
        receiver.recv,
        receiver.recvfrom,
        receiver.recv_many,
        subscriber.recv,
        lambda: subscriber.recv(timeout=0),
        subscriber.recv_many,
    ):
        with pytest.raises(m.Error) as closed:
            call()
        assert closed.value.errno == errno.EBADF, call


def test_a_handle_that_is_closed_meanwhile_stays_for_who_waits(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    for _ in range(20):
        subscriber = tun.subscribe()
        subscriber.recv_many(1000, timeout=0) if _ else None
        got: list[object] = []

        def wait(subscriber: m.Subscriber = subscriber, got: list[object] = got) -> None:
            try:
                got.append(subscriber.recv(timeout=20))
            except m.Error as e:
                got.append(e.errno)

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        subscriber.close()
        os.write(fd, ipv4())
        waiting.join(20)
        assert got in ([ipv4()], [errno.EBADF])


def test_each_call_has_memory_of_its_own(memtun: m.Net) -> None:
    """A signal's handler may receive in the middle of a call of the same thread."""
    rooms = [_receive._room(), _receive._room()]
    assert rooms[0] is not rooms[1]
    _receive._rooms.extend(rooms)


def test_arguments_are_ready_and_as_wide_as_declared(memtun: m.Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing checks an argument of a prepared function: of an int, half would be passed."""
    seen: set[str] = set()
    wrong: list[str] = []
    wanted = {ctypes.c_size_t: "L", ctypes.c_uint16: "H", ctypes.c_int: "i"}
    prepared = _library.prepared

    def watched(name: str):
        function, types = prepared(name), _library._FUNCTIONS[name][1]

        def call(*arguments: object) -> int:
            seen.add(name)
            right = len(arguments) == len(types)
            for argument, declared in zip(arguments, types):
                if declared in wanted:
                    ready = f"<cparam '{wanted[declared]}' "
                    right &= isinstance(argument, declared) or repr(argument).startswith(ready)
                else:
                    right &= not isinstance(argument, (int, str))
            if not right:
                wrong.append(f"{name}{arguments}")
            return function(*arguments)

        return call

    monkeypatch.setattr(_library, "prepared", watched)
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    receiver, to = tun.receive_udp(port=7), ("10.0.0.1", 7)
    for source in (None, ("10.0.0.9", 5)):
        tun.send_udp(b"x", to, source=source)
        tun.send_udp(b"x" * 1400, ("10.0.0.1", 7), source=source, timeout=0)
        tun.send_udp_many([b"x"], to, source=source)
    tun.inject(ipv4())
    tun.inject(ipv4(), ethertype=0x0800, timeout=0)
    tun.inject_many([ipv4()])
    tun.deliver(ipv4())
    packets = everything(fd)
    assert len(packets) == 10
    for receive in (receiver.recv, receiver.recvfrom, receiver.recv_many, tun.recv, tun.recv_many):
        with pytest.raises(m.TimeoutError):
            receive(timeout=0.01)
    assert not wrong and len(seen) == 11, (wrong, seen)
