"""Whatever value is given, one exception with a sentence is raised: no crash, no hang, and no
value that is silently different."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tunnels import attach, ipv4

import memtun as m

NAMES = [
    "",
    "a/b",
    "../x",
    ".",
    "..",
    "all",
    "default",
    "x" * 16,
    "x" * 100_000,
    "a b",
    "a:b",
    "a\nb",
    "a\0b",
    "\udcff\udcfe",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_names_that_no_interface_can_have(memtun: m.Net, name: str) -> None:
    with pytest.raises(m.InvalidValueError) as refused:
        memtun.interface(name, timeout=60)
    assert refused.value.strerror and "\n" not in refused.value.strerror


HOSTS = [
    "localhost",
    "10.0.0",
    "10.0.0.256",
    "1.2.3.4:5",
    "::g",
    "fe80::1%eth0",
    "[::1]",
    " 1.2.3.4",
    "1.2.3.4\0",
    "",
]


@pytest.mark.parametrize("host", HOSTS, ids=ascii)
def test_hosts_that_are_no_addresses(echo, host: str) -> None:
    tun = echo()
    with pytest.raises(m.InvalidValueError):
        tun.send_udp(b"x", (host, 7))
    with pytest.raises(m.InvalidValueError):
        tun.send_udp(b"x", ("10.0.0.1", 7), source=(host, 7))
    if host:
        with pytest.raises(m.InvalidValueError):
            tun.receive_udp(host, 7)


def test_values_that_cannot_be(echo, memtun: m.Net, tmp_path: Path) -> None:
    tun = echo()
    refused = [
        lambda: tun.send_udp(b"x", ("10.0.0.1", 65536)),
        lambda: tun.send_udp(b"x", ("10.0.0.1", -1)),
        lambda: tun.send_udp(b"x", ("10.0.0.1",)),
        lambda: tun.send_udp(b"x", "10.0.0.1:7"),
        lambda: tun.send_udp(b"x", ("10.0.0.1", 7), source=("fd00::1", 7)),
        lambda: tun.send_udp(bytes(70_000), ("10.0.0.1", 7)),
        lambda: tun.receive_udp("10.0.0.1", 10**30),
        lambda: tun.receive_udp("10.0.0.1", 7).recv(-1),
        lambda: tun.receive_udp("10.0.0.1", 7).settimeout(-1),
        lambda: tun.recv(timeout=-1),
        lambda: tun.recv(timeout=float("nan")),
        lambda: tun.inject(b""),
        lambda: tun.inject(b"x", ethertype=0x10000),
        lambda: tun.inject(b"x", ethertype=0),
        lambda: setattr(tun, "mtu", 0),
        lambda: setattr(tun, "mtu", 2**32),
        lambda: setattr(tun, "mtu", -1),
        lambda: setattr(tun, "txqueuelen", 2**40),
        lambda: setattr(tun, "name", "a/b"),
        lambda: setattr(tun, "name", "x" * 16),
        lambda: memtun.fault("write"),
        lambda: memtun.fault("write=EWHAT"),
        lambda: memtun.fault("write=EIO@0"),
        lambda: memtun.fault("write=EIO@5-3"),
        lambda: memtun.fault("write=EIO@99999999999999"),
        lambda: memtun.fault("fly=EIO"),
        lambda: memtun.fault("write=EIO\0"),
        lambda: memtun.permissions.add("fly"),
        lambda: memtun.permissions.discard("open\0"),
        lambda: setattr(memtun, "name_suffix", "a/b"),
        lambda: setattr(memtun, "name_suffix", "x" * 13),
        lambda: setattr(memtun, "send_buffer_size", 0),
        lambda: setattr(memtun, "send_buffer_size", 2**32),
        lambda: memtun.popen(["true"], link="sideways"),
        lambda: memtun.popen(["true"], devices=["tun"]),
        lambda: memtun.popen(["true"], devices=["/dev/../x"]),
        lambda: m.Net("a\0b"),
    ]
    for number, call in enumerate(refused):
        with pytest.raises(m.InvalidValueError) as error:
            call()
            pytest.fail(f"number {number} was taken")
        assert error.value.errno == 22 and error.value.strerror


def test_types_that_mean_something_else(echo, memtun: m.Net) -> None:
    tun = echo()
    for call in (
        lambda: tun.inject(100),
        lambda: tun.inject("text"),
        lambda: tun.send_udp("text", ("10.0.0.1", 7)),
        lambda: tun.send_udp(b"x", ("10.0.0.1", "7")),
        lambda: tun.send_udp(b"x", (10, 7)),
        lambda: tun.recv(timeout="1"),
        lambda: setattr(tun, "mtu", "1500"),
        lambda: memtun.interface(b"tun0"),
        lambda: memtun.fault(None),
    ):
        with pytest.raises(TypeError):
            call()


def test_too_many_faults(memtun: m.Net) -> None:
    with pytest.raises(m.Error, match="a net holds 64"):
        for _ in range(65):
            memtun.fault("close=EIO")
    memtun.reset()


def test_nets_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rubbish = tmp_path / "rubbish"
    rubbish.mkdir()
    (rubbish / ".memtun-net-state").write_bytes(os.urandom(100))
    for path in (tmp_path / "no" / "parent", tmp_path / "file", rubbish, Path("/proc/self/x")):
        with pytest.raises(m.Error, match="net /"):
            m.Net(path)


def test_a_net_full_of_rubbish(tmp_path: Path) -> None:
    for name, content in [
        ("tun0", b""),
        ("tun1", os.urandom(5000)),
        (".memtun-tunnel-5", b"x"),
        ("\udcff", b""),
    ]:
        (tmp_path / name).write_bytes(content)
    with m.Net(tmp_path) as net:
        assert net.interfaces() == [] and net.tunnels() == []
        with pytest.raises(m.Error):
            net.interface("tun1", timeout=0)


@pytest.mark.memtun_shim
def test_very_long_times_are_for_ever_and_none_at_all_is_none(memtun: m.Net) -> None:
    attach()
    tun = memtun.interface("tun0", timeout=1e300)
    tun.inject(ipv4(), timeout=float("inf"))
    with pytest.raises(m.TimeoutError):
        tun.recv(timeout=0)
