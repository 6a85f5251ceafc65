"""Shows tests of a VPN with pytest: both ends on this machine, packets in at one and out at the other, and what happens when
calls fail. `memtun` is a fixture: a fresh net for each test, in which whatever was started ends with the test.

    pip install pytest ../../../src/python
    pytest
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import memtun as memtun_package
import pytest

VPN = Path(__file__).with_name("vpn.py")
SOON = 10.0


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        return udp.getsockname()[1]


def command(name, here, peer):
    return [sys.executable, str(VPN), name, f"127.0.0.1:{here}", f"127.0.0.1:{peer}"]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("VPN_KEY", "sesame")


@pytest.fixture
def ports():
    return free_port(), free_port()


@pytest.fixture
def ends(memtun, ports):
    """The interfaces of the two ends of a VPN that runs."""
    left, right = ports
    memtun.popen(command("left", left, right))
    memtun.popen(command("right", right, left))
    return memtun.interface("left", timeout=SOON), memtun.interface("right", timeout=SOON)


def test_packets_pass_in_both_directions(ends):
    left, right = ends
    source = left.send_udp(b"hello", ("10.8.0.2", 7), source=("10.8.0.1", 4000))
    answer = right.receive_udp("10.8.0.2", 7)
    assert answer.recvfrom(1024, timeout=SOON) == (b"hello", source)

    right.send_udp(b"hello yourself", source, source=("10.8.0.2", 7))
    assert left.receive_udp(*source).recv(1024, timeout=SOON) == b"hello yourself"


def test_a_packet_arrives_as_it_was(ends):
    left, right = ends
    packet = bytes.fromhex("4500001c 00000000 40010000 0a080001 0a080002 0800f7ff 00000000")
    left.inject(packet)
    assert right.recv(timeout=SOON) == packet


def test_what_has_no_key_is_dropped(ends, ports):
    left, right = ends
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"x" * 16 + b"\x45 not a packet", ("127.0.0.1", ports[1]))
    left.send_udp(b"genuine", ("10.8.0.2", 7))
    assert right.receive_udp("10.8.0.2", 7).recv(1024, timeout=SOON) == b"genuine"
    assert right.counters.rx_packets == 1


def test_a_packet_that_cannot_be_written_is_lost_and_no_more(memtun, ends):
    left, right = ends
    with memtun.fault("write=ENOBUFS@1"):
        left.send_udp(b"lost", ("10.8.0.2", 7))
        left.send_udp(b"found", ("10.8.0.2", 7))
        assert right.receive_udp("10.8.0.2", 7).recv(1024, timeout=SOON) == b"found"


def test_the_office_is_behind_the_tunnel(memtun, ends):
    left, right = ends
    left.addresses.add("10.8.0.1/24")
    memtun.routes.add("192.168.7.0/24 via 10.8.0.2")
    ip = memtun.run(["ip", "-json", "route", "get", "192.168.7.9"], capture_output=True, check=True)
    (route,) = json.loads(ip.stdout)
    assert (route["dev"], route["gateway"], route["prefsrc"]) == ("left", "10.8.0.2", "10.8.0.1")

    # Without the address there is no gateway any more, and the kernel's rules take the route away.
    left.addresses.remove("10.8.0.1/24")
    assert not any(route.startswith("192.168.7.0/24") for route in memtun.routes)
    assert right.addresses.isdisjoint(["10.8.0.1/24"])


def test_a_connection_goes_over_the_vpn(memtun, ports):
    """Each end on a host of its own: two nets."""
    left, right = ports
    with memtun_package.Net() as office:
        memtun.popen(command("left", left, right))
        office.popen(command("right", right, left))
        memtun.interface("left", timeout=SOON).addresses.add("10.8.0.1/24")
        office.interface("right", timeout=SOON).addresses.add("10.8.0.2/24")
        with office.create_server(("10.8.0.2", 80)) as server:
            with memtun.create_connection(("10.8.0.2", 80)) as browser:
                connection, (address, _) = server.accept()
                assert address == "10.8.0.1" and browser.getpeername() == ("10.8.0.2", 80)
                with connection:
                    connection.sendall(b"x" * 100_000)
                with browser.makefile("rb") as page:
                    assert page.read() == b"x" * 100_000


def test_the_name_that_the_system_gives_counts(memtun, ports):
    memtun.name_suffix = "123"
    vpn = memtun.popen(command("office", *ports), stdout=subprocess.PIPE, text=True)
    name = vpn.stdout.readline().split()[-1]
    vpn.stdout.close()
    assert name != "office"
    assert memtun.interface(name, timeout=0).name == name


@pytest.mark.parametrize("operation", ["open", "ioctl"])
def test_without_permission_it_says_what_to_do(memtun, ports, operation):
    memtun.permissions.discard(operation)
    ended = memtun.run(command("left", *ports), stderr=subprocess.PIPE, text=True, timeout=SOON)
    assert ended.returncode == 1
    assert "CAP_NET_ADMIN" in ended.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use the real device")
def test_none_of_it_needs_a_privilege(ports):
    ended = subprocess.run(command("left", *ports), stderr=subprocess.PIPE, text=True, timeout=SOON)
    assert ended.returncode == 1, "this is the kernel's own device"
