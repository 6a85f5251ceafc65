"""Addresses, routes and neighbours of a net, as a test reads and sets them."""

from __future__ import annotations

import errno
import ipaddress
import subprocess

import pytest

import memtun as m


def global_ones(tun: m.Interface) -> list[str]:
    """The addresses without those that belong to the link."""
    return [address for address in tun.addresses if not address.startswith("fe80:")]


def test_nothing_is_known_before_somebody_asks_for_it(echo, memtun: m.Net) -> None:
    tun = echo()
    assert list(tun.addresses) == list(memtun.routes) == list(memtun.neighbours) == []
    assert not list(memtun.path.glob(".memtun-host-*")), "no host process was needed"


def test_a_program_sees_what_the_test_sets(echo, memtun: m.Net) -> None:
    tun = echo()
    tun.addresses.add("10.0.0.1/24")
    tun.addresses.add(ipaddress.ip_interface("fd00::1/64"))
    assert global_ones(tun) == ["10.0.0.1/24", "fd00::1/64"] and "10.0.0.1/24" in tun.addresses
    assert tun.info().addresses[0] == "10.0.0.1/24" and "inet 10.0.0.1/24" in str(tun.info())
    memtun.routes.add("10.20.0.0/16 via 10.0.0.2")
    assert "10.20.0.0/16 via 10.0.0.2 dev tun0" in memtun.routes
    (route,) = [r for r in memtun.routes.records() if r["dst"] == "10.20.0.0"]
    assert (route["gateway"], route["dev"], route["prefixlen"]) == ("10.0.0.2", "tun0", 16)
    code = (
        "import socket, fcntl, struct\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "answer = fcntl.ioctl(s, 0x8915, struct.pack('40s', b'tun0'))\n"
        "print(socket.inet_ntoa(answer[20:24]))\n"
        "print([l.split()[1] for l in open('/proc/net/route') if l.startswith('tun0')])\n"
    )
    program = memtun.popen(["python3", "-c", code], stdout=subprocess.PIPE, text=True)
    seen = program.communicate(timeout=20)[0]
    assert seen == "10.0.0.1\n['0000000A', '0000140A']\n"


def test_sets_become_what_they_are_set_to(echo, memtun: m.Net) -> None:
    tap = echo("tap0", "tap")
    tap.addresses = ["10.0.0.1/24", "10.0.0.2/24"]
    tap.addresses = ["10.0.0.2/24", "10.1.0.1/16"]
    assert global_ones(tap) == ["10.0.0.2/24", "10.1.0.1/16"]
    memtun.neighbours.add("10.0.0.9 lladdr 02:00:00:00:00:09 dev tap0")
    assert [n["lladdr"] for n in memtun.neighbours.records()] == ["02:00:00:00:00:09"]
    memtun.neighbours.remove("10.0.0.9 dev tap0")
    assert len(memtun.neighbours) == 0
    tap.addresses.discard("10.9.9.9/8")
    tap.up = False
    assert [r for r in memtun.routes if not r.startswith("fe80")] == []


def test_a_set_that_cannot_be_is_not_half_set(echo, memtun: m.Net) -> None:
    tun = echo()
    tun.addresses = ["10.0.0.1/24"]
    with pytest.raises(TypeError, match="give a list"):
        tun.addresses = "10.0.0.2/24"
    with pytest.raises(m.InvalidValueError, match="nonsense"):
        tun.addresses = ["10.0.0.2/24", "nonsense"]
    with pytest.raises(TypeError):
        tun.addresses.add(None)  # type: ignore[arg-type]
    assert global_ones(tun) == ["10.0.0.1/24"]
    tun.addresses |= {"10.0.0.1/24", ipaddress.ip_address("10.1.0.1")}
    assert global_ones(tun) == ["10.0.0.1/24", "10.1.0.1/32"]
    memtun.routes = ["10.20.0.0/16 via 10.0.0.2", "10.0.0.0/24 dev tun0"]
    assert list(memtun.routes) == [
        "10.0.0.0/24 dev tun0 src 10.0.0.1",
        "10.20.0.0/16 via 10.0.0.2 dev tun0",
    ]
    # What can be added in these words can be taken away in them.
    memtun.routes.discard("10.20.0.0/16 via 10.0.0.2")
    memtun.routes.discard("10.20.0.0/16 via 10.0.0.2")
    memtun.neighbours.discard("10.0.0.2 dev tap9")
    assert len(memtun.routes) == 1
    tun.addresses -= {"10.0.0.1/24", "10.9.9.9/8"}
    assert global_ones(tun) == ["10.1.0.1/32"]
    memtun.neighbours = []


def test_errors_are_the_kernels_in_words(echo, memtun: m.Net) -> None:
    tun = echo()
    tun.addresses.add("10.0.0.1/24")
    with pytest.raises(m.Error, match="Address already assigned") as e:
        tun.addresses.add("10.0.0.1/24")
    assert e.value.errno == errno.EEXIST
    with pytest.raises(m.Error, match="invalid gateway"):
        memtun.routes.add("10.30.0.0/16 via 99.9.9.9")
    with pytest.raises(m.InvalidValueError, match="0 to 32; write it as for ip"):
        tun.addresses.add("10.0.0.1/33")
    with pytest.raises(m.Error):
        memtun.routes.remove("10.30.0.0/16")
