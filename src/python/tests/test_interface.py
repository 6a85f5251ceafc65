from __future__ import annotations

import errno
import json
import os
from dataclasses import fields

import pytest
from tunnels import IFF_NO_PI, IFF_TAP, IFF_TUN, attach, ipv4

import memtun as m
from memtun import _library


def test_a_datagram_goes_there_and_back(echo) -> None:
    tun = echo()
    source = tun.send_udp(b"ping", ("10.0.0.1", 7))
    assert source == ("10.1.2.3", 21345)
    assert tun.receive_udp(*source).recv(1024, timeout=20) == b"ping"
    assert tun.receive_udp(port=21345).recvfrom(2, timeout=0) == (b"pi", ("10.0.0.1", 7))


def test_python_knows_every_member_of_the_record(echo) -> None:
    tun = echo()
    with tun._handle as pointer:
        described = json.loads(_library.text("memtun_interface_describe", pointer))
    counters = {f"{side}_{name}" for side in ("rx", "tx") for name in described.pop(side)}
    (tunnel,) = described["tunnels"]
    assert counters | {"capture_refused"} == {f.name for f in fields(m.Counters)}
    assert set(described) - {"capture_refused"} | {"counters"} == {f.name for f in fields(m.InterfaceInfo)}
    assert set(tunnel) | {"_net"} == {f.name for f in fields(m.Tunnel)}


def test_a_tap_gets_frames(echo) -> None:
    tap = echo("tap0", "tap")
    source = tap.send_udp(b"ping", ("10.0.0.1", 7), source=("10.9.9.9", 0))
    assert source == ("10.9.9.9", 21345)
    assert tap.receive_udp(*source).recv(timeout=20) == b"ping"
    frame = tap.recv(timeout=0)
    assert (frame.tap, frame.ethertype, frame[12:14]) == (True, 0x0800, b"\x08\x00")
    assert tap.info().mac is not None


@pytest.mark.memtun_shim
def test_packets_go_in_as_they_are(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    for packet in (ipv4(b"1"), bytearray(ipv4(b"22")), memoryview(ipv4(b"333"))):
        tun.inject(packet)
        assert os.read(fd, 2000) == packet
    tun.deliver(ipv4(b"4444"))
    (waiting,) = tun.tunnels()[0].read_buffer
    assert (waiting, waiting.ethertype) == (ipv4(b"4444"), 0x0800)
    assert waiting.describe() == "IPv4 0.0.0.0 > 0.0.0.0 protocol 253 24 bytes"
    assert tun.counters.tx_packets == 3


@pytest.mark.memtun_shim
def test_packet_information_has_the_ethertype_that_was_given(memtun: m.Net) -> None:
    fd = attach(mode=IFF_TUN)
    tun = memtun.interface("tun0", timeout=0)
    tun.inject(b"anything", ethertype=0x1234)
    assert os.read(fd, 2000) == b"\0\0\x12\x34anything"


@pytest.mark.memtun_shim
def test_a_tap_gets_a_header_in_front_of_what_is_delivered(memtun: m.Net) -> None:
    fd = attach("tap0", IFF_TAP | IFF_NO_PI)
    memtun.interface("tap0", timeout=0).deliver(ipv4())
    assert os.read(fd, 2000) == b"\xff" * 6 + bytes(6) + b"\x08\x00" + ipv4()


@pytest.mark.memtun_shim
def test_every_reader_sees_every_packet_once(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    packets = [ipv4(bytes([n])) for n in range(5)]
    for packet in packets:
        os.write(fd, packet)
    assert [tun.recv(timeout=0) for _ in packets] == packets
    with tun.subscribe() as other:
        seen = [other.recv(timeout=0) for _ in packets]
    assert seen == packets
    assert sorted(p.time_ns for p in seen) == [p.time_ns for p in seen]
    with pytest.raises(m.TimeoutError):
        tun.recv(timeout=0)


@pytest.mark.memtun_shim
def test_what_was_written_can_be_received_when_the_interface_is_gone(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    os.write(fd, ipv4())
    os.close(fd)
    assert tun.recv() == ipv4()
    with pytest.raises(m.GoneError, match="gone"):
        tun.recv()
    assert tun.gone
    with pytest.raises(m.GoneError):
        tun.inject(ipv4())


@pytest.mark.memtun_shim
def test_a_reader_that_is_overtaken_is_told(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0", timeout=0)
    for n in range(1000):
        os.write(fd, ipv4(n.to_bytes(2, "big") + bytes(60_000)))
    with pytest.raises(m.PacketsLostError, match="packets were overwritten") as overtaken:
        tun.recv()
    first = int.from_bytes(tun.recv()[20:22], "big")
    assert overtaken.value.lost == first
    assert f"goes on with the program's packet {first + 1}," in str(overtaken.value)
    assert int.from_bytes(tun.recv()[20:22], "big") == first + 1


@pytest.mark.memtun_shim
def test_tunnels_show_what_the_program_asked_for(memtun: m.Net) -> None:
    first = os.open("/dev/net/tun", os.O_RDWR)
    second = attach("tun%d", IFF_TUN | IFF_NO_PI, os.O_RDWR | os.O_NONBLOCK)
    a, b = memtun.tunnels()
    assert (a.name, a.requested_name, a.mode, a.blocking, a.close_on_exec) == (None, None, 0, True, True)
    assert a.read_buffer == []
    assert (b.name, b.requested_name, b.mode) == ("tun0", "tun%d", IFF_TUN | IFF_NO_PI)
    assert not b.blocking and b.open_flags & os.O_NONBLOCK
    assert memtun.interface("tun0").tunnels() == [b]
    os.close(first)
    os.close(second)
    assert memtun.tunnels() == [] and b.read_buffer == []


@pytest.mark.memtun_shim
def test_link_settings(memtun: m.Net) -> None:
    fd = attach()
    tun = memtun.interface("tun0")
    tun.mtu = 1400
    tun.txqueuelen = 2
    assert (tun.info().mtu, tun.info().txqueuelen, tun.info().state) == (1400, 2, "UP")
    tun.carrier = False
    assert tun.info().state == "NO-CARRIER"
    tun.carrier = True
    tun.up = False
    assert tun.info().state == "DOWN" and "UP" not in tun.info().flags
    with pytest.raises(m.Error) as refused:
        tun.inject(ipv4())
    assert refused.value.errno == errno.ENETDOWN
    tun.up = True
    tun.name = "vpn7"
    assert tun.name == "vpn7" and memtun.interface("vpn7").name == "vpn7"
    with pytest.raises(m.TimeoutError):
        memtun.interface("tun0", timeout=0)
    tun.delete()
    assert tun.gone and memtun.interfaces() == []
    with pytest.raises(OSError):
        os.read(fd, 100)


@pytest.mark.memtun_shim
def test_a_full_queue_refuses_and_counts_once(memtun: m.Net) -> None:
    attach()
    tun = memtun.interface("tun0")
    tun.txqueuelen = 1
    tun.inject(ipv4())
    with pytest.raises(m.FullError, match="queue is full") as full:
        tun.inject(ipv4(), timeout=0.3)
    assert full.value.errno == errno.EAGAIN
    assert tun.counters.tx_dropped == 1
    with pytest.raises(m.Error) as large:
        tun.inject(ipv4(bytes(2000)))
    assert large.value.errno == errno.EMSGSIZE


@pytest.mark.memtun_shim
def test_snapshots_are_text_for_people(memtun: m.Net) -> None:
    attach()
    text = str(memtun.interface("tun0").info())
    assert "tun0: <" in text and "mtu 1500" in text and "RX: 0 packets" in text
    assert repr(memtun.interface("tun0")) == "<memtun.Interface tun0 tun UP>"


def test_ipv6_has_a_source_of_its_own(echo) -> None:
    tun = echo()
    assert tun.send_udp(b"six", ("fd00::1", 7)) == ("fd00:1:2::3", 21345)
