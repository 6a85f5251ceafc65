from __future__ import annotations

import errno
import fcntl
import grp
import os
import socket
import struct

import pytest
from tunnels import TUNSETPERSIST, attach, ipv4

import memtun as m


def number(call) -> int:
    """The errno with which a call fails."""
    with pytest.raises(OSError) as failed:
        call()
    return failed.value.errno


@pytest.mark.memtun_shim
def test_a_fault_strikes_when_it_should_and_not_after_it_is_taken_back(memtun: m.Net) -> None:
    fd = attach()
    memtun.fault("write=ENOBUFS@2")
    assert os.write(fd, ipv4()) == 20
    assert number(lambda: os.write(fd, ipv4())) == errno.ENOBUFS
    assert os.write(fd, ipv4()) == 20
    with memtun.fault("read=EIO") as fault:
        assert memtun.faults == ["read=EIO"]
        assert fault.spec == "read=EIO"
        assert number(lambda: os.read(fd, 100)) == errno.EIO
    assert number(lambda: os.read(fd, 100)) == errno.EAGAIN
    assert memtun.faults == [] and not fault.take_back()


def test_a_program_survives_an_interrupted_write(echo, memtun: m.Net) -> None:
    tun = echo()
    memtun.fault("write=EINTR@1")
    source = tun.send_udp(b"once more", ("10.0.0.1", 7))
    # Python itself makes the call again (PEP 475).
    assert tun.receive_udp(*source).recv(timeout=20) == b"once more"
    assert memtun.faults == []


@pytest.mark.memtun_shim
def test_permissions_are_a_live_set(memtun: m.Net) -> None:
    assert memtun.permissions == {"open", "ioctl", "net_admin"} and len(memtun.permissions) == 3
    memtun.permissions.discard("open")
    assert number(lambda: os.open("/dev/net/tun", os.O_RDWR)) == errno.EPERM
    assert "open" not in memtun.permissions and set(memtun.permissions) == {"ioctl", "net_admin"}
    memtun.permissions.add("open")
    memtun.permissions.remove("ioctl")
    with pytest.raises(KeyError):
        memtun.permissions.remove("ioctl")
    assert number(attach) == errno.EPERM
    memtun.permissions |= {"ioctl"}
    assert attach() >= 0
    memtun.permissions.clear()
    assert not memtun.permissions
    # Another handle of the same net shows the same.
    assert list(m.Net(memtun.path).permissions) == []


@pytest.mark.memtun_shim
def test_owner_and_group_count_without_net_admin(memtun: m.Net) -> None:
    fd = attach("own0")
    fcntl.ioctl(fd, TUNSETPERSIST, 1)
    os.close(fd)
    tun = memtun.interface("own0", timeout=0)
    memtun.permissions.discard("net_admin")
    assert number(lambda: attach("other0")) == errno.EPERM
    tun.owner = os.geteuid() + 1
    assert tun.info().owner == os.geteuid() + 1
    assert number(lambda: attach("own0")) == errno.EPERM
    tun.owner = os.geteuid()
    tun.group = os.getegid() + 1_000_000
    assert number(lambda: attach("own0")) == errno.EPERM
    tun.group = grp.getgrgid(os.getegid()).gr_name
    assert tun.info().group == os.getegid()
    os.close(attach("own0"))
    tun.owner = None
    tun.group = None
    assert (tun.info().owner, tun.info().group) == (None, None)
    os.close(attach("own0"))
    for bad in ("no-such-group", 2**32 - 1, -1):
        with pytest.raises(m.InvalidValueError):
            tun.group = bad


@pytest.mark.memtun_shim
def test_limits_and_names(memtun: m.Net) -> None:
    assert (memtun.send_buffer_size, memtun.name_suffix) == (None, "")
    memtun.exact_bell = True
    assert memtun.exact_bell
    memtun.send_buffer_size = 100
    memtun.name_suffix = "123"
    assert (memtun.send_buffer_size, memtun.name_suffix) == (100, "123")
    fd = attach("mytunnel")
    assert [i.name for i in memtun.interfaces()] != ["mytunnel"]
    assert number(lambda: os.write(fd, ipv4(bytes(100)))) == errno.ENOBUFS
    memtun.permissions.clear()
    memtun.fault("open=ENOENT")
    memtun.reset()
    assert (memtun.send_buffer_size, memtun.name_suffix, memtun.faults) == (None, "", [])
    assert not memtun.exact_bell
    assert memtun.permissions == {"open", "ioctl", "net_admin"}


FIONBIO, SIOCGIFNAME, SIOCGIFFLAGS, SIOCSIFADDR = 0x5421, 0x8910, 0x8913, 0x8916


def calls() -> dict[str, int]:
    """Makes every call once that a fault can be set on, except TUNSETIFF. Returns what each
    gave. It uses a second tunnel."""
    gave: dict[str, int] = {}

    def call(name: str, function, *arguments) -> object:
        gave[name] = 0
        try:
            return function(*arguments)
        except OSError as e:
            gave[name] = e.errno
            return None

    fd = attach("calls0")
    other = call("open", os.open, "/dev/net/tun", os.O_RDWR)
    call("write", os.write, fd, ipv4())
    call("read", os.read, fd, 100)
    call("FIONBIO", fcntl.ioctl, fd, FIONBIO, struct.pack("i", 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH22x", b"calls0", 0)
        index = socket.if_nametoindex("calls0")
        call("SIOCGIFNAME", fcntl.ioctl, sock, SIOCGIFNAME, struct.pack("16si20x", b"", index))
        call("SIOCGIFFLAGS", fcntl.ioctl, sock, SIOCGIFFLAGS, request)
        # memtun does not handle this request, but it is about memtun's interface.
        call("SIOCSIFADDR", fcntl.ioctl, sock, SIOCSIFADDR, request)
        call("of the host", fcntl.ioctl, sock, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
    if other is not None:
        os.close(other)
    call("close", os.close, fd)
    return gave


REQUESTS = ("FIONBIO", "SIOCGIFNAME", "SIOCGIFFLAGS", "SIOCSIFADDR")


@pytest.mark.memtun_shim
@pytest.mark.parametrize(
    "spec, listed, struck",
    [
        ("open=5@2-", "open=EIO@2-", ["open"]),
        ("read=EIO", "read=EIO", ["read"]),
        ("write=5", "write=EIO", ["write"]),
        ("close=5@2", "close=EIO@2", ["close"]),
        ("ioctl=EIO@2-", "ioctl=EIO@2-", REQUESTS),
        ("ioctl:0x5421=5", "ioctl:FIONBIO=EIO", ["FIONBIO"]),
        ("ioctl:SIOCGIFNAME=EIO", "ioctl:SIOCGIFNAME=EIO", ["SIOCGIFNAME"]),
        ("ioctl:0x8913=5", "ioctl:SIOCGIFFLAGS=EIO", ["SIOCGIFFLAGS"]),
        ("ioctl:0x8916=EIO", "ioctl:SIOCSIFADDR=EIO", ["SIOCSIFADDR"]),
        ("ioctl:0x400454ca=EIO@2", "ioctl:TUNSETIFF=EIO@2", []),
    ],
)
def test_every_operation_fails_as_it_is_told(memtun: m.Net, spec: str, listed: str, struck) -> None:
    before = calls()
    assert before["close"] == before["write"] == before["SIOCGIFFLAGS"] == before["of the host"] == 0
    memtun.fault(spec)
    assert memtun.faults == [listed]
    assert calls() == {**before, **dict.fromkeys(struck, errno.EIO)}
    memtun.reset()
    assert memtun.faults == [] and calls() == before


@pytest.mark.memtun_shim
def test_without_the_permission_no_request_is_answered(memtun: m.Net) -> None:
    fd = attach("calls1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH22x", b"calls1", 0)
        asked = [(fd, FIONBIO, struct.pack("i", 1)), (sock, SIOCGIFFLAGS, request), (sock, SIOCSIFADDR, request)]
        memtun.permissions.discard("ioctl")
        assert [number(lambda ask=ask: fcntl.ioctl(*ask)) for ask in asked] == [errno.EPERM] * 3
        fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        memtun.permissions.add("ioctl")
        for ask in asked[:2]:
            fcntl.ioctl(*ask)
    os.close(fd)


@pytest.mark.parametrize("spec", ["write=5", "write=4000", "read=41@2", "ioctl:0x400454ca=EBUSY", "ioctl:0x8916=512@3-"])
def test_a_fault_is_taken_back_as_it_is_listed(spec: str) -> None:
    with m.Net() as net:
        fault = net.fault(spec)
        (listed,) = net.faults
        with net.fault(listed) as same:
            assert net.faults == [listed, listed] and same.spec == listed
        assert net.faults == [] and not fault.take_back()
