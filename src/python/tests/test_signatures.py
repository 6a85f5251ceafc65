"""The package must tell ctypes about the library's functions what memtun.h declares, because a
wrong type gives wrong numbers."""

from __future__ import annotations

import ctypes
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import header
import pytest

import memtun as m
from memtun import _leftovers, _library, _receive

DECLARED = header.read()

VALUES = {
    "void": None,
    "int": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    "ssize_t": ctypes.c_ssize_t,
    "uid_t": ctypes.c_uint32,
    "gid_t": ctypes.c_uint32,
    "uint16_t": ctypes.c_uint16,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "uint16_t *": ctypes.POINTER(ctypes.c_uint16),
    "uint64_t *": ctypes.POINTER(ctypes.c_uint64),
    "size_t *": ctypes.POINTER(ctypes.c_size_t),
    "socklen_t": ctypes.c_uint32,
    "socklen_t *": ctypes.POINTER(ctypes.c_uint32),
    # Names are arrays of the package.
    "const struct sockaddr *": ctypes.c_void_p,
    "struct sockaddr *": ctypes.c_void_p,
    "const char *": ctypes.c_char_p,
    "char *": ctypes.c_char_p,
    # Packets and addresses are bytes objects; the library fills arrays of the package.
    "const void *": ctypes.c_char_p,
    "const uint8_t *": ctypes.c_char_p,
    "void *": ctypes.c_void_p,
    # Arrays are passed as their addresses.
    "const char *const *": ctypes.c_void_p,
    "const struct iovec *": ctypes.c_void_p,
    "memtun_packet *": ctypes.c_void_p,
    "memtun_datagram *": ctypes.c_void_p,
}

# Python has its own objects for these: a subscriber and a receiver have positions that no other
# reader moves. Its sockets wait, and hear of signals, in their own connect, accept and recvfrom.
NOT_CALLED = {
    "memtun_interface_recv",
    "memtun_interface_recv_many",
    "memtun_interface_recv_udp",
    "memtun_net_connect",
    "memtun_net_accept",
    "memtun_net_recvfrom",
}


def of_c(text: str) -> Any:
    """The ctypes type for a type of C; a handle is an address."""
    if re.fullmatch(r"(const )?(\w+) \*", text) and text.removeprefix("const ")[:-2] in DECLARED.handles:
        return ctypes.c_void_p
    return VALUES[text]


def differences(told: dict[str, tuple[Any, list[Any]]], declared: header.Header) -> Iterator[str]:
    """The differences between the two, in words."""
    for name, (result, parameters) in told.items():
        function = declared.functions.get(name)
        if function is None:
            yield f"{name} is not declared"
            continue
        if result != of_c(function.result):
            yield f"{name} returns {function.result}, not {result}"
        if len(parameters) != len(function.types):
            yield f"{name} takes {len(function.types)} arguments, not {len(parameters)}"
            continue
        for parameter, ours, theirs in zip(function.names, parameters, function.types):
            if ours != of_c(theirs):
                yield f"{name}: {parameter} is {theirs}, not {ours}"


def test_the_package_calls_the_functions_as_the_header_declares_them() -> None:
    assert list(differences(_library._FUNCTIONS, DECLARED)) == []
    assert set(DECLARED.functions) - set(_library._FUNCTIONS) == NOT_CALLED


def test_what_is_received_together_is_laid_out_as_the_header_says() -> None:
    form = {"size_t": "N", "uint64_t": "Q", "uint16_t": "H", "char[64]": "64s"}
    for name, ours in (("memtun_packet", _receive._PACKET), ("memtun_datagram", _receive._DATAGRAM)):
        members = [re.sub(r" \w+", "", member, count=1) for member in DECLARED.structures[name]]
        # The compiler ends a structure at its alignment, which struct does where a member follows.
        assert struct.calcsize("@" + "".join(form[m] for m in members) + "0N") == ours.size
        assert ours.format.startswith("@" + "".join(form[m] for m in members))


def test_no_module_calls_what_is_not_declared() -> None:
    package = Path(_library.__file__).parent
    call = re.compile(r'\b(?:call|pointer|text|filled|Handle)\([^"()]*"(memtun_\w+)"')
    found = {name for file in package.glob("*.py") for name in call.findall(file.read_text())}
    assert len(found) > 20 and found - set(_library._FUNCTIONS) == set()


def test_what_clears_up_after_a_killed_driver_calls_them_so_too() -> None:
    assert list(differences(_leftovers.functions(), DECLARED)) == []


@pytest.mark.parametrize(
    ("line", "other", "said"),
    [
        ("int memtun_interface_set_mtu(memtun_interface *interface, uint32_t mtu)", ("uint32_t mtu", "uint64_t mtu"), "mtu is uint64_t"),
        ("int memtun_net_remove(memtun_net *net)", ("*net)", "*net, int force)"), "takes 2 arguments, not 1"),
        ("uint64_t memtun_error_lost(void)", ("uint64_t", "int"), "returns int"),
        ("void memtun_net_close(memtun_net *net)", ("net_close", "net_end"), "memtun_net_close is not declared"),
    ],
)
def test_another_header_is_seen_to_differ(line: str, other: tuple[str, str], said: str) -> None:
    text = header.PATH.read_text()
    assert text.count(f"{line};") == 1
    found = list(differences(_library._FUNCTIONS, header.parse(text.replace(line, line.replace(*other)))))
    assert len(found) == 1 and said in found[0]


def test_the_library_exports_what_the_header_declares() -> None:
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    listed = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", str(_library.find())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    exported = {line.split("@")[0].split()[0] for line in listed if line.startswith("memtun_")}
    # A test of the library itself uses that function.
    assert exported - {"memtun_hook_name", "memtun_hook_is_next"} == set(DECLARED.functions)


def test_kinds_and_times_are_those_of_the_header() -> None:
    kinds = {f"MEMTUN_KIND_{kind.name}": int(kind) for kind in m.ErrorKind}
    # Python has no error for this kind.
    assert {**kinds, "MEMTUN_KIND_NONE": 0} == DECLARED.kinds
    assert m.DEFAULT_TIMEOUT * 1000 == DECLARED.constants["MEMTUN_TIMEOUT_DEFAULT"]
    assert DECLARED.constants["MEMTUN_TIMEOUT_FOREVER"] < 0


def test_names_in_the_header_have_one_pattern() -> None:
    functions, handles = DECLARED.functions, DECLARED.handles
    for handle in handles:
        assert f"{handle}_close" in functions
        assert any(name.startswith(f"{handle}_open") for name in functions)
    for name, function in functions.items():
        first = function.types[:1]
        if first and first[0].removeprefix("const ").removesuffix(" *") in handles:
            # The handle that an object is made from also comes first.
            noun = first[0].removeprefix("const ").removesuffix(" *")
            assert name.startswith(f"{noun}_") or "_open" in name, name
            assert function.names[0] == noun.removeprefix("memtun_"), name
        if "timeout_ms" in function.names:
            assert function.names[-1] == "timeout_ms", name
        sides = [n for n in function.names if n.startswith(("src_", "dst_"))]
        assert sides == sorted(sides, key=lambda n: n.startswith("dst_")), name
        for parameter, kind in zip(function.names, function.types):
            if kind in ("void *", "char *", "const void *"):
                after = function.names[function.names.index(parameter) + 1]
                assert after in ("len", f"{parameter}_len"), (name, parameter)
        assert not {"ms", "iface", "turn_ms", "size"} & set(function.names), name
