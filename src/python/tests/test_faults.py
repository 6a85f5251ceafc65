from __future__ import annotations

import errno
import fcntl
import grp
import os

import pytest
from tunnels import TUNSETPERSIST, attach, ipv4

import memtun as m


def number(call) -> int:
    """The errno that a call fails with."""
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
    # Another handle of the same net sees the same.
    assert list(m.Net(memtun.path).permissions) == []


@pytest.mark.memtun_shim
def test_owner_and_group_count_without_net_admin(memtun: m.Net) -> None:
    fd = attach("own0")
    fcntl.ioctl(fd, TUNSETPERSIST, 1)
    os.close(fd)
    tun = memtun.interface("own0", timeout=0)
    memtun.permissions.discard("net_admin")
    assert number(lambda: attach("other0")) == errno.EPERM
    tun.link.owner(os.geteuid() + 1)
    assert tun.info().owner == os.geteuid() + 1
    assert number(lambda: attach("own0")) == errno.EPERM
    tun.link.owner(os.geteuid())
    tun.link.group(os.getegid() + 1_000_000)
    assert number(lambda: attach("own0")) == errno.EPERM
    tun.link.group(grp.getgrgid(os.getegid()).gr_name)
    assert tun.info().group == os.getegid()
    os.close(attach("own0"))
    tun.link.owner(None)
    tun.link.group(None)
    assert (tun.info().owner, tun.info().group) == (None, None)
    os.close(attach("own0"))
    for bad in ("no-such-group", 2**32 - 1, -1):
        with pytest.raises(m.InvalidValue):
            tun.link.group(bad)


@pytest.mark.memtun_shim
def test_limits_and_names(memtun: m.Net) -> None:
    assert (memtun.send_buffer_size, memtun.rename) == (None, "")
    memtun.send_buffer_size = 100
    memtun.rename = "123"
    assert (memtun.send_buffer_size, memtun.rename) == (100, "123")
    fd = attach("mytunnel")
    assert [i.name for i in memtun.interfaces()] != ["mytunnel"]
    assert number(lambda: os.write(fd, ipv4(bytes(100)))) == errno.ENOBUFS
    memtun.permissions.clear()
    memtun.fault("open=ENOENT")
    memtun.reset()
    assert (memtun.send_buffer_size, memtun.rename, memtun.faults) == (None, "", [])
    assert memtun.permissions == {"open", "ioctl", "net_admin"}
