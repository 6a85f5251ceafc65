"""Waits end when they should: when their time is over, at a signal, and when nobody is left who
could end them."""

from __future__ import annotations

import _thread
import contextlib
import errno
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
from conftest import ECHO
from tunnels import attach, ipv4

import memtun as m


class Stop(Exception):
    pass


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """Raises Stop in the main thread after so many seconds."""

    def handler(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def full(net: m.Net) -> m.Interface:
    """An interface whose queue is full."""
    attach()
    tun = net.interface("tun0", timeout=5)
    tun.txqueuelen = 1
    tun.inject(ipv4())
    return tun


WAITS: dict[str, Callable[[m.Net, m.Interface, object], object]] = {
    "interface": lambda net, tun, time: net.interface("tun7", timeout=time),
    "inject": lambda net, tun, time: tun.inject(ipv4(), timeout=time),
    "deliver": lambda net, tun, time: tun.deliver(ipv4(), timeout=time),
    "send_udp": lambda net, tun, time: tun.send_udp(b"", ("10.0.0.1", 7), timeout=time),
    "recv": lambda net, tun, time: tun.recv(timeout=time),
    "subscriber": lambda net, tun, time: tun.subscribe().recv(timeout=time),
    "receiver": lambda net, tun, time: tun.receive_udp(port=7).recv(timeout=time),
    "receiver with a descriptor": lambda net, tun, time: with_descriptor(tun).recv(timeout=time),
}


def with_descriptor(tun: m.Interface) -> m.Receiver:
    receiver = tun.receive_udp(port=7)
    receiver.fileno()
    return receiver


@pytest.mark.memtun_shim
@pytest.mark.parametrize("limit", [None, 60, math.inf])
def test_a_signal_ends_every_wait_at_once(memtun: m.Net, alarm, limit: object) -> None:
    tun = full(memtun)
    for name, wait in WAITS.items():
        alarm(0.2)
        begun = time.monotonic()
        with pytest.raises(Stop):
            wait(memtun, tun, limit)
        assert 0.1 <= time.monotonic() - begun < 5, name
    assert tun.counters.tx_dropped == 0


@pytest.mark.memtun_shim
def test_another_thread_interrupts_every_wait(memtun: m.Net) -> None:
    tun = full(memtun)
    for name, wait in WAITS.items():
        timer = threading.Timer(0.2, _thread.interrupt_main)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            wait(memtun, tun, None)
        assert time.monotonic() - begun < 5, name
        timer.join()


@pytest.mark.memtun_shim
def test_times(memtun: m.Net) -> None:
    tun = full(memtun)
    for name, wait in WAITS.items():
        for none in (0, 0.0, -0.0, False):
            begun = time.monotonic()
            with pytest.raises(m.TimeoutError):
                wait(memtun, tun, none)
            assert time.monotonic() - begun < 2, name
        for short in (0.3, Fraction(3, 10)):
            begun = time.monotonic()
            with pytest.raises(m.TimeoutError):
                wait(memtun, tun, short)
            assert 0.3 <= time.monotonic() - begun < 5, name
        for wrong in (-1, -0.001, math.nan, -math.inf):
            with pytest.raises(m.InvalidValueError, match="None to wait for ever"):
                wait(memtun, tun, wrong)
        for wrong in ("5", b"5", [5]):
            with pytest.raises(TypeError, match="number of seconds or None"):
                wait(memtun, tun, wrong)
    # There are three refused packets for each way to send and each timeout, and not one for each
    # turn.
    assert tun.counters.tx_dropped == 3 * 6


@pytest.mark.memtun_shim
def test_a_time_is_looked_at_before_anything_else(memtun: m.Net) -> None:
    attach()
    memtun.interface("tun0")
    with pytest.raises(m.InvalidValueError):
        memtun.interface("tun0", timeout=-1)


@pytest.mark.memtun_shim
def test_none_is_for_ever_for_a_receiver_with_a_time_of_its_own(memtun: m.Net, alarm) -> None:
    attach()
    receiver = memtun.interface("tun0").receive_udp(None, 7)
    receiver.settimeout(0.1)
    with pytest.raises(m.TimeoutError):
        receiver.recv()
    alarm(0.5)
    with pytest.raises(Stop):
        receiver.recv(timeout=None)
    receiver.settimeout(None)
    alarm(0.5)
    with pytest.raises(Stop):
        receiver.recvfrom()


@pytest.mark.memtun_shim
def test_room_that_comes_during_a_wait_is_used(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0")
    tun.txqueuelen = 1
    tun.inject(ipv4(b"1"))
    reader = threading.Timer(0.4, os.read, (fd, 100))
    reader.start()
    tun.inject(ipv4(b"2"), timeout=None)
    reader.join()
    assert os.read(fd, 100) == ipv4(b"2")
    assert tun.counters.tx_dropped == 0


def test_an_end_that_is_interrupted_leaves_nothing(alarm, tmp_path) -> None:
    stubborn = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(100)\n"
    net = m.Net()
    programs = [net.popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) for _ in range(2)]
    for program in programs:
        assert program.stdout is not None and program.stdout.readline() == b"ready\n"
    capture = net.capture(tmp_path / "file.pcapng")
    alarm(0.3)
    with pytest.raises(Stop):
        net.close()
    assert [p.state for p in programs] == ["ended by SIGKILL"] * 2
    assert capture._process.poll() is not None
    assert not net.path.exists()
    for program in programs:
        program.stdout.close()


def ends(*words: str) -> list[str]:
    return [sys.executable, "-c", "\n".join(words)]


def test_a_wait_for_an_interface_ends_with_the_programs(memtun: m.Net) -> None:
    memtun.popen(ends("import sys", "print('no such device', file=sys.stderr)", "sys.exit(3)"))
    begun = time.monotonic()
    with pytest.raises(m.EndedError, match=r"no interface tun0: .* ended with status 3 before TUNSETIFF\n    no such device$") as ended:
        memtun.interface("tun0", timeout=60)
    assert time.monotonic() - begun < 20
    assert ended.value.errno == errno.ENODEV and isinstance(ended.value, TimeoutError)


def test_a_program_that_made_its_interface_and_ended_did_not_end_before_that(memtun: m.Net) -> None:
    script = (
        "import fcntl, os, struct, sys",
        "fcntl.ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454ca, struct.pack('16sH22x', b'tun0', 0x1001))",
        "sys.exit(3)",
    )
    memtun.popen(ends(*script)).wait(20)
    with pytest.raises(m.EndedError, match=r"^\[Errno \d+\] interface tun0 was made and is gone: .* ended with status 3$"):
        memtun.interface("tun0", timeout=60)


def test_what_belongs_to_the_caller_is_not_told(memtun: m.Net) -> None:
    program = memtun.popen(
        ends("import os, sys", "print('to the caller', flush=True)", "print('to all', file=sys.stderr, flush=True)", "os.abort()"),
        stdout=subprocess.PIPE,
    )
    with pytest.raises(m.EndedError, match="was ended by SIGABRT before TUNSETIFF\n    to all") as ended:
        memtun.interface("tun0", timeout=None)
    assert "    to the caller" not in str(ended.value)
    assert program.communicate() == (b"to the caller\n", None)


def test_a_wait_goes_on_while_anything_is_left_that_a_program_started(memtun: m.Net) -> None:
    daemon = f"import subprocess, sys\nsubprocess.Popen(['sh', '-c', 'sleep 1; exec \"$@\"', 'sh', sys.executable, {str(ECHO)!r}, 'tun0'])"
    assert memtun.popen(ends(daemon)).wait(20) == 0
    assert memtun.interface("tun0", timeout=60).name == "tun0"


def test_a_wait_goes_on_while_a_program_runs(memtun: m.Net) -> None:
    memtun.popen(["false"]).wait(20)
    memtun.popen(["sleep", "100"])
    with pytest.raises(m.TimeoutError, match=r"in time.*false: exit status 1; sleep 100: running") as late:
        memtun.interface("tun0", timeout=0.5)
    assert not isinstance(late.value, m.EndedError)


def test_a_wait_goes_on_for_those_who_come_by_other_means(memtun: m.Net) -> None:
    memtun.popen(["true"]).wait(20)
    variables = memtun.environment()
    others: list[subprocess.Popen[bytes]] = []
    start = threading.Timer(1, lambda: others.append(subprocess.Popen([sys.executable, str(ECHO), "tun0"], env=variables, stdout=subprocess.DEVNULL)))
    start.start()
    assert memtun.interface("tun0", timeout=60).name == "tun0"
    start.join()
    others[0].kill()
    others[0].wait()


PERSISTENT = (
    "import fcntl, os, struct, sys\n"
    "fd = os.open('/dev/net/tun', os.O_RDWR)\n"
    "fcntl.ioctl(fd, 0x400454CA, struct.pack('16sH22x', b'tun0', 0x1001))\n"
    "fcntl.ioctl(fd, 0x400454CB, 1)\n"
    "sys.exit('that is all')\n"
)


@pytest.mark.parametrize("wait", ["recv", "subscriber", "receiver", "receiver with a descriptor"])
def test_a_wait_for_packets_ends_with_the_programs(memtun: m.Net, wait: str) -> None:
    memtun.popen(ends(PERSISTENT)).wait(20)
    tun = memtun.interface("tun0", timeout=5)
    begun = time.monotonic()
    with pytest.raises(m.EndedError, match="ended with status 1\n    that is all"):
        WAITS[wait](memtun, tun, 60)
    assert time.monotonic() - begun < 20


def test_an_interface_that_is_gone_says_what_became_of_the_programs(memtun: m.Net) -> None:
    program = memtun.popen([sys.executable, "-u", str(ECHO), "tun0"])
    tun = memtun.interface("tun0", timeout=20)
    program.kill()
    program.wait()
    with pytest.raises(m.GoneError, match="the interface is gone: .*echo.py tun0 was ended by SIGKILL"):
        tun.recv(timeout=60)


INTO_THE_VOID = {
    "recv": lambda tun: tun.recv(timeout=20),
    "receive_udp": lambda tun: tun.receive_udp(port=7).recv(timeout=20),
    "inject": lambda tun: until_gone(lambda: tun.inject(ipv4(), timeout=0)),
    "deliver": lambda tun: until_gone(lambda: tun.deliver(ipv4(), timeout=0)),
    "send_udp": lambda tun: until_gone(lambda: tun.send_udp(b"x", ("10.0.0.1", 7), timeout=0)),
}


def until_gone(call: Callable[[], object]) -> None:
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        with contextlib.suppress(m.TimeoutError):
            call()


@pytest.mark.parametrize("call", INTO_THE_VOID)
def test_the_moment_in_which_an_interface_goes_is_enough_to_say_why(memtun: m.Net, call: str) -> None:
    # The tunnel ends a moment before the status is known.
    script = (
        "import fcntl, os, struct, sys, time",
        "fd = os.open('/dev/net/tun', os.O_RDWR)",
        "fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', b'tun0', 0x1001))",
        "sys.stdin.read(1)",
        "os.close(fd)",
        "time.sleep(0.02)",
        "os._exit(3)",
    )
    program = memtun.popen(ends(*script), stdin=subprocess.PIPE)
    tun = memtun.interface("tun0", timeout=20)
    program.stdin.close()
    with pytest.raises(m.GoneError, match="gone: .* ended with status 3"):
        INTO_THE_VOID[call](tun)



def datagram(port: int, payload: bytes = b"", wrong: int = 0) -> bytes:
    """A datagram from 10.0.0.1 to 10.0.0.9, without a checksum or with a wrong one."""
    udp = b"\x00\x07" + port.to_bytes(2, "big") + (8 + len(payload)).to_bytes(2, "big") + wrong.to_bytes(2, "big")
    packet = bytearray(ipv4(udp + payload))
    packet[9], packet[12:16], packet[16:20] = 17, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 9])
    total = sum(struct.unpack("!10H", packet[:20]))
    packet[10:12] = (~(total % 0xFFFF) & 0xFFFF).to_bytes(2, "big")
    return bytes(packet)


@pytest.mark.memtun_shim
@pytest.mark.parametrize("descriptor", [False, True])
def test_what_was_passed_over_is_named(memtun: m.Net, descriptor: bool) -> None:
    fd = attach()
    tun = memtun.interface("tun0")
    receiver = tun.receive_udp("10.0.0.9", 7)
    elsewhere = tun.receive_udp("10.0.0.8", 7)
    if descriptor:
        receiver.fileno()
    header = bytearray(datagram(7))
    header[8] -= 1
    for packet in (datagram(53), datagram(53), datagram(7, wrong=1), datagram(54), ipv4(), bytes(header)):
        os.write(fd, packet)
    fragment = bytearray(datagram(7, b"12345678"))
    fragment[6] = 0x20
    os.write(fd, fragment)
    with pytest.raises(m.TimeoutError) as late:
        receiver.recv(timeout=0.3)
    assert late.value.strerror == (
        "tun0: no datagram to 10.0.0.9:7 in time; passed over: 2 datagrams to port 53, 1 to port 54, "
        "1 with a wrong IP checksum, 1 with a wrong UDP checksum, 1 in fragments"
    )
    with pytest.raises(m.TimeoutError, match="to host 10.0.0.9"):
        elsewhere.recv(timeout=0)
    os.write(fd, datagram(7, b"right"))
    assert receiver.recv() == b"right"
    with pytest.raises(m.TimeoutError, match="in time$"):
        receiver.recv(timeout=0)
