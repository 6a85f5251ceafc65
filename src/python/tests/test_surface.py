"""Checks what users import: its names have a pattern, its options have names, and older names
still exist."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import os
import pickle
import subprocess
import sys

import pytest

import memtun as m

# The older names, and what they are called now.
OLD = {
    "Bypass": "BypassWarning",
    "Ended": "EndedError",
    "Gone": "GoneError",
    "InvalidValue": "InvalidValueError",
    "NotPermitted": "NotPermittedError",
    "PacketsLost": "PacketsLostError",
    "Timeout": "TimeoutError",
}


def classes() -> list[type]:
    return [made for made in map(m.__dict__.get, m.__all__) if isinstance(made, type)]


def test_names_of_exceptions_say_that_they_are_some() -> None:
    found = [made for made in classes() if issubclass(made, BaseException)]
    assert len(found) > len(OLD)
    for made in found:
        assert made.__name__.endswith("Warning" if issubclass(made, Warning) else "Error"), made
        assert made.__module__ == "memtun"
        assert getattr(m, made.__name__) is made


@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_an_old_name_is_the_same_class(old: str, new: str) -> None:
    assert getattr(m, old) is getattr(m, new)
    assert {old, new} <= set(m.__all__)


def test_the_errors_of_python_catch_those_of_memtun() -> None:
    assert issubclass(m.TimeoutError, TimeoutError) and issubclass(m.TimeoutError, BlockingIOError)
    assert issubclass(m.InvalidValueError, ValueError) and issubclass(m.NotPermittedError, PermissionError)
    for special in (m.EndedError, m.FullError):
        assert issubclass(special, m.TimeoutError)


def test_every_wait_has_the_same_word_and_the_same_patience() -> None:
    waits = {}
    for made in classes():
        if issubclass(made, subprocess.Popen):
            continue
        for name, function in inspect.getmembers(made, inspect.isfunction):
            parameter = inspect.signature(function).parameters.get("timeout")
            if parameter is not None and name != "settimeout" and not name.startswith("_"):
                waits[f"{made.__name__}.{name}"] = parameter
    assert set(waits) == {
        *("Interface.deliver", "Interface.inject", "Interface.recv", "Interface.send_udp", "Net.interface"),
        *("Interface.inject_many", "Interface.recv_many", "Interface.send_udp_many"),
        *("Net.create_connection", "Receiver.recv", "Receiver.recvfrom", "Receiver.recv_many"),
        *("Subscriber.recv", "Subscriber.recv_many"),
    }
    for name, parameter in waits.items():
        assert parameter.kind is parameter.KEYWORD_ONLY, name
        if not name.startswith("Receiver"):
            assert parameter.default == m.DEFAULT_TIMEOUT, name


def test_a_receiver_waits_as_long_as_any_other(echo) -> None:
    assert echo().receive_udp(port=7).gettimeout() == m.DEFAULT_TIMEOUT == 5


def test_options_are_given_by_name(echo, memtun: m.Net) -> None:
    tun = echo()
    for call in (
        lambda: tun.inject(b"x", 0x0800),
        lambda: tun.deliver(b"x", 5),
        lambda: tun.send_udp(b"x", ("10.0.0.1", 7), None, None),
        lambda: tun.recv(1024),
        lambda: tun.subscribe().recv(1024),
        lambda: tun.receive_udp(port=7).recv(1024, 5),
        lambda: memtun.interface("tun0", 5),
        lambda: m.Net(memtun.path, None),
        lambda: tun.receive_udp("10.0.0.1"),
    ):
        with pytest.raises(TypeError):
            call()


def test_kinds_tell_apart_what_one_number_does_not(echo, memtun: m.Net) -> None:
    with pytest.raises(m.TimeoutError) as absent:
        memtun.interface("tun0", timeout=0)
    assert absent.value.kind is m.ErrorKind.TIMEOUT
    with pytest.raises(m.InvalidValueError) as invalid:
        memtun.interface("a/b")
    assert invalid.value.kind is m.ErrorKind.INVALID
    tun = echo()
    with pytest.raises(m.Error) as large:
        tun.inject(bytes(1501))
    assert large.value.kind is m.ErrorKind.TOO_LARGE
    tun.up = False
    with pytest.raises(m.Error) as down:
        tun.inject(b"\x45" + bytes(27))
    assert down.value.kind is m.ErrorKind.LINK_DOWN
    tun.delete()
    with pytest.raises(m.GoneError) as gone:
        tun.mtu = 1400
    assert gone.value.kind is m.ErrorKind.GONE
    memtun._life.programs[0].kill()
    memtun.popen([sys.executable, "-c", ""])
    with pytest.raises(m.EndedError) as ended:
        memtun.interface("tun1", timeout=20)
    assert ended.value.kind is m.ErrorKind.ENDED


def test_the_kind_is_the_librarys_and_not_the_numbers() -> None:
    from memtun._errors import error

    made = error(11, m.ErrorKind.FULL, "full")
    assert type(made) is m.FullError and made.errno == 11 and made.kind is m.ErrorKind.FULL
    lost = error(105, m.ErrorKind.LOST, "lost", 7)
    assert isinstance(lost, m.PacketsLostError) and lost.lost == 7
    # The package does not know this kind yet.
    assert m.ErrorKind(4711) is m.ErrorKind.OTHER
    again = pickle.loads(pickle.dumps(lost))
    assert (again.kind, again.lost, again.errno) == (m.ErrorKind.LOST, 7, 105)


def test_link_settings_are_properties(echo) -> None:
    tun = echo()
    assert (tun.up, tun.carrier, tun.mtu, tun.txqueuelen, tun.mac) == (True, True, 1500, 500, None)
    assert (tun.owner, tun.group, tun.name) == (None, None, "tun0")
    tun.mtu, tun.txqueuelen, tun.owner, tun.group = 1400, 9, os.geteuid(), os.getegid()
    tun.up = tun.carrier = False
    tun.name = "vpn7"
    assert (tun.up, tun.carrier, tun.mtu, tun.txqueuelen) == (False, False, 1400, 9)
    assert (tun.owner, tun.group, tun.name) == (os.geteuid(), os.getegid(), "vpn7")
    tun.owner = tun.group = None
    tun.up = True
    assert (tun.owner, tun.group, tun.up) == (None, None, True)
    with pytest.raises(m.Error, match="set mac"):
        tun.mac = "02:00:00:00:00:07"


def test_a_tap_has_a_hardware_address_to_set(echo) -> None:
    tap = echo("tap0", "tap")
    tap.mac = "02:00:00:00:00:0A"
    assert tap.mac == tap.info().mac == "02:00:00:00:00:0a"
    for bad in ("02:00:00:00:00", "02-00-00-00-00-07", "", "02:00:00:00:00:0g", "02:00:00:00:00:07\n"):
        with pytest.raises(m.InvalidValueError, match="six bytes"):
            tap.mac = bad
    with pytest.raises(m.Error):
        tap.mac = "01:00:00:00:00:07"
    with pytest.raises(TypeError):
        tap.mac = b"\x02\0\0\0\0\7"
    assert tap.mac == "02:00:00:00:00:0a"


def test_the_methods_of_link_do_what_the_properties_do(echo) -> None:
    tun = echo()
    tun.link.mtu(1400)
    tun.link.txqueuelen(2)
    tun.link.carrier(False)
    tun.link.owner(os.geteuid())
    tun.link.group(os.getegid())
    tun.link.down()
    assert (tun.mtu, tun.txqueuelen, tun.carrier, tun.up) == (1400, 2, False, False)
    assert (tun.owner, tun.group) == (os.geteuid(), os.getegid())
    tun.link.up()
    tun.link.rename("vpn7")
    assert (tun.up, tun.name) == (True, "vpn7")
    tun.link.delete()
    assert tun.gone


def test_the_suffix_of_names_has_two_names(memtun: m.Net) -> None:
    memtun.name_suffix = "123"
    assert memtun.rename == "123"
    memtun.rename = "7"
    assert memtun.name_suffix == "7"
    memtun.reset()
    assert memtun.name_suffix == ""


def test_records_do_not_change(echo) -> None:
    tun = echo()
    tun.send_udp(b"ping", ("10.0.0.1", 7))
    packet, info = tun.recv(), tun.info()
    for record in (info, info.counters, info.tunnels[0]):
        assert dataclasses.is_dataclass(record)
        with pytest.raises(dataclasses.FrozenInstanceError):
            record.name = "other"
    with pytest.raises(AttributeError):
        packet.ethertype = 7
    assert packet.ethertype == 0x0800
    for again in (copy.copy(packet), pickle.loads(pickle.dumps(packet))):
        assert again == packet and (again.ethertype, again.time_ns, again.tap) == (0x0800, packet.time_ns, False)
