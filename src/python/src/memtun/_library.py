"""libmemtun.so: where it is, its functions, and their errors as exceptions."""

from __future__ import annotations

import ctypes
import errno
import functools
import importlib.metadata
import os
from collections.abc import Callable, Iterator
from ctypes import c_char_p, c_int, c_size_t, c_ssize_t, c_uint16, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, NoReturn

from ._errors import Error, ErrorKind, error, invalid

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

NAME = "libmemtun.so"

_uint16_p = ctypes.POINTER(c_uint16)
_uint32_p = ctypes.POINTER(c_uint32)
_uint64_p = ctypes.POINTER(c_uint64)
_size_p = ctypes.POINTER(c_size_t)

# The functions of memtun.h, with their result and parameters.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "memtun_active": (c_int, []),
    "memtun_version": (c_char_p, []),
    "memtun_error_text": (c_char_p, []),
    "memtun_error_kind": (c_int, []),
    "memtun_error_lost": (c_uint64, []),
    "memtun_net_open": (c_void_p, [c_char_p]),
    "memtun_net_open_of_user": (c_void_p, [c_char_p, c_uint32]),
    "memtun_net_open_temporary": (c_void_p, []),
    "memtun_net_close": (None, [c_void_p]),
    "memtun_net_path": (c_ssize_t, [c_void_p, c_char_p, c_size_t]),
    "memtun_net_remove": (c_int, [c_void_p]),
    "memtun_net_fault": (c_int, [c_void_p, c_char_p]),
    "memtun_net_take_back": (c_int, [c_void_p, c_char_p]),
    "memtun_net_permit": (c_int, [c_void_p, c_char_p]),
    "memtun_net_deny": (c_int, [c_void_p, c_char_p]),
    "memtun_net_permits": (c_int, [c_void_p, c_char_p]),
    "memtun_net_had_interface": (c_int, [c_void_p, c_char_p]),
    "memtun_net_set_send_buffer_size": (c_int, [c_void_p, c_uint32]),
    "memtun_net_set_exact_bell": (c_int, [c_void_p, c_int]),
    "memtun_net_set_name_suffix": (c_int, [c_void_p, c_char_p]),
    "memtun_net_reset": (c_int, [c_void_p]),
    "memtun_interface_open": (c_void_p, [c_void_p, c_char_p, c_int]),
    "memtun_interface_close": (None, [c_void_p]),
    "memtun_interface_inject": (c_int, [c_void_p, c_char_p, c_size_t, c_uint16, c_int]),
    "memtun_interface_deliver": (c_int, [c_void_p, c_char_p, c_size_t, c_int]),
    "memtun_interface_send_udp": (
        c_int,
        [c_void_p, c_char_p, c_uint16, c_char_p, c_uint16, c_char_p, c_size_t, c_int],
    ),
    "memtun_interface_offer": (c_int, [c_void_p, c_char_p, c_size_t, c_uint16, c_int]),
    "memtun_interface_offer_ip": (c_int, [c_void_p, c_char_p, c_size_t, c_int]),
    "memtun_interface_offer_udp": (
        c_int,
        [c_void_p, c_char_p, c_uint16, c_char_p, c_uint16, c_char_p, c_size_t, c_int],
    ),
    # Arrays of many packets are passed as their addresses.
    "memtun_interface_inject_many": (c_int, [c_void_p, c_void_p, c_size_t, c_uint16, _size_p, c_int]),
    "memtun_interface_offer_many": (c_int, [c_void_p, c_void_p, c_size_t, c_uint16, _size_p, c_int]),
    "memtun_interface_send_udp_many": (
        c_int,
        [c_void_p, c_char_p, c_uint16, c_char_p, c_uint16, c_void_p, c_size_t, _size_p, c_int],
    ),
    "memtun_interface_offer_udp_many": (
        c_int,
        [c_void_p, c_char_p, c_uint16, c_char_p, c_uint16, c_void_p, c_size_t, _size_p, c_int],
    ),
    "memtun_udp_source": (c_int, [c_char_p, c_uint16, c_char_p, c_char_p, c_size_t, _uint16_p]),
    "memtun_interface_set_up": (c_int, [c_void_p, c_int]),
    "memtun_interface_set_mtu": (c_int, [c_void_p, c_uint32]),
    "memtun_interface_set_txqueuelen": (c_int, [c_void_p, c_uint32]),
    "memtun_interface_set_owner": (c_int, [c_void_p, c_uint32]),
    "memtun_interface_set_group": (c_int, [c_void_p, c_uint32]),
    "memtun_interface_set_mac": (c_int, [c_void_p, c_char_p]),
    "memtun_interface_set_name": (c_int, [c_void_p, c_char_p]),
    "memtun_interface_set_carrier": (c_int, [c_void_p, c_int]),
    "memtun_interface_delete": (c_int, [c_void_p]),
    "memtun_interface_add_address": (c_int, [c_void_p, c_char_p]),
    "memtun_interface_remove_address": (c_int, [c_void_p, c_char_p]),
    "memtun_interface_set_addresses": (c_int, [c_void_p, c_void_p]),
    "memtun_net_set_routes": (c_int, [c_void_p, c_void_p]),
    "memtun_net_set_neighbours": (c_int, [c_void_p, c_void_p]),
    "memtun_net_add_route": (c_int, [c_void_p, c_char_p]),
    "memtun_net_remove_route": (c_int, [c_void_p, c_char_p]),
    "memtun_net_add_neighbour": (c_int, [c_void_p, c_char_p]),
    "memtun_net_remove_neighbour": (c_int, [c_void_p, c_char_p]),
    "memtun_subscriber_open": (c_void_p, [c_void_p]),
    "memtun_subscriber_recv": (
        c_ssize_t,
        [c_void_p, c_void_p, c_size_t, _uint16_p, _uint64_p, c_int],
    ),
    "memtun_subscriber_recv_many": (
        c_ssize_t,
        [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_int],
    ),
    "memtun_subscriber_close": (None, [c_void_p]),
    "memtun_receiver_open": (c_void_p, [c_void_p, c_char_p, c_uint16]),
    "memtun_receiver_recv": (
        c_ssize_t,
        [c_void_p, c_void_p, c_size_t, c_char_p, c_size_t, _uint16_p, c_int],
    ),
    "memtun_receiver_recv_many": (
        c_ssize_t,
        [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_int],
    ),
    "memtun_receiver_close": (None, [c_void_p]),
    "memtun_net_bind": (c_int, [c_void_p, c_int, c_void_p, c_uint32]),
    "memtun_net_listen": (c_int, [c_void_p, c_int, c_int]),
    "memtun_net_connect_name": (c_int, [c_void_p, c_int, c_void_p, c_uint32, c_void_p, _uint32_p]),
    "memtun_net_connect_refused": (c_int, [c_void_p, c_int]),
    "memtun_net_getsockname": (c_int, [c_void_p, c_int, c_void_p, _uint32_p]),
    "memtun_net_getpeername": (c_int, [c_void_p, c_int, c_void_p, _uint32_p]),
    "memtun_net_sendto": (
        c_ssize_t,
        [c_void_p, c_int, c_char_p, c_size_t, c_int, c_void_p, c_uint32],
    ),
    "memtun_net_sender_name": (c_int, [c_void_p, c_int, c_char_p, c_size_t, c_void_p, _uint32_p]),
    "memtun_net_socket_error": (c_int, [c_void_p, c_int]),
    "memtun_net_describe": (c_ssize_t, [c_void_p, c_char_p, c_size_t]),
    "memtun_interface_describe": (c_ssize_t, [c_void_p, c_char_p, c_size_t]),
    "memtun_net_describe_tunnel": (c_ssize_t, [c_void_p, c_uint64, c_char_p, c_size_t]),
    "memtun_packet_describe": (
        c_ssize_t,
        [c_char_p, c_size_t, c_uint16, c_int, c_char_p, c_size_t],
    ),
    "memtun_library_path": (c_ssize_t, [c_char_p, c_size_t]),
    "memtun_net_environment": (
        c_ssize_t,
        [c_void_p, c_char_p, c_void_p, c_char_p, c_char_p, c_size_t],
    ),
    "memtun_program_examine": (
        c_ssize_t,
        [c_char_p, c_char_p, c_char_p, c_char_p, c_int, c_char_p, c_size_t],
    ),
}


def _candidates() -> Iterator[Path]:
    """Where the library may be: in this checkout's build, in the installation's lib/memtun, or
    where pip has put it."""
    here = Path(__file__).resolve()
    for parent in here.parents:
        if (parent / "src/shim/memtun.h").is_file():
            target = Path(os.environ.get("CARGO_TARGET_DIR") or "target")
            yield parent / target / "release" / NAME
    for parent in list(here.parents)[1:6]:
        yield parent / "lib" / "memtun" / NAME
    try:
        files = importlib.metadata.files("memtun") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == NAME:
            yield Path(str(file.locate())).resolve()


def find() -> Path:
    """The library that this process loads: $MEMTUN_LIBRARY, what the process was preloaded with,
    a checkout's build, or the one beside the package. The library itself says what programs are
    preloaded with, and whether that is possible."""
    given = os.environ.get("MEMTUN_LIBRARY")
    if given:
        path = Path(given).absolute()
        if not path.is_file():
            raise error(errno.ENOENT, ErrorKind.NOT_FOUND, f"MEMTUN_LIBRARY={given}: no such file; name {NAME}")
        return path
    for entry in os.environ.get("LD_PRELOAD", "").replace(":", " ").split():
        if os.path.basename(entry) == NAME and os.path.isfile(entry):
            return Path(entry)
    found = next((path for path in _candidates() if path.is_file()), None)
    if found is None:
        raise error(
            errno.ENOENT,
            ErrorKind.NOT_FOUND,
            f"no {NAME} beside the memtun package; build it with cargo build --release -p memtun-shim, "
            "or set MEMTUN_LIBRARY",
        )
    return found


def _open() -> ctypes.CDLL:
    already = ctypes.CDLL(None, use_errno=True)
    if hasattr(already, "memtun_net_open"):
        # The library is preloaded, and a second copy would not know this process's tunnels.
        return already
    path = find()
    named = "MEMTUN_NET" in os.environ
    try:
        library = ctypes.CDLL(str(path), use_errno=True)
    except OSError as e:
        raise Error(errno.ELIBACC, f"{path}: cannot be loaded: {e}; it is for Linux with glibc") from e
    if not named:
        # The library names a private net for the children of a program under the shim; a driver's
        # children have nets of their own.
        os.unsetenv("MEMTUN_NET")
    return library


@functools.cache
def library() -> ctypes.CDLL:
    """The library, which is loaded at its first use."""
    loaded = _open()
    for name, (result, parameters) in _FUNCTIONS.items():
        try:
            function = getattr(loaded, name)
        except AttributeError:
            raise Error(
                errno.ELIBACC,
                f"{NAME} has no {name}: it is of another version than the memtun package",
            ) from None
        function.restype, function.argtypes = result, parameters
    return loaded


@functools.cache
def _bare() -> ctypes.CDLL:
    """The library once more, for functions that report their errors by what they return: errno is
    not put aside around each call."""
    loaded = library()
    return ctypes.CDLL(loaded._name, handle=loaded._handle)


@functools.cache
def prepared(name: str) -> Callable[..., int]:
    """A function that returns a number, for a caller that has its arguments ready, of the types that
    are declared: what ``from_param`` of the type has made, which is passed quickest, or a value of
    ctypes. Nothing is converted or looked at then, which would cost as much as the call. Bytes and
    None are passed as they are; an int never is, because half of it would be passed."""
    result, _ = _FUNCTIONS[name]
    function = _bare()[name]
    function.restype = result
    return function


# Lengths that are ready to be passed: most packets are no longer.
SIZES = tuple(c_size_t.from_param(length) for length in range(2048))


def size(length: int) -> Any:
    """A length that is ready to be passed."""
    return SIZES[length] if length < len(SIZES) else c_size_t.from_param(length)


def version() -> str:
    """Version of the library."""
    text = library().memtun_version()
    assert isinstance(text, bytes)
    return text.decode()


def active() -> bool:
    """Is this process under the shim?"""
    return bool(library().memtun_active())


def fail(number: int) -> NoReturn:
    """Raises the error of this thread's last call."""
    sentence = library().memtun_error_text()
    text = sentence.decode(errors="replace") if sentence else os.strerror(number)
    raise error(number, ErrorKind(library().memtun_error_kind()), text, library().memtun_error_lost())


def call(name: str, *arguments: object) -> int:
    """Calls a function that returns a number, and raises an error when it is negative."""
    answer: int = getattr(library(), name)(*arguments)
    if answer < 0:
        fail(-answer)
    return answer


def pointer(name: str, *arguments: object) -> int:
    """Calls a function that returns a handle, and raises an error when it is NULL."""
    made: int | None = getattr(library(), name)(*arguments)
    if made is None:
        fail(ctypes.get_errno())
    return made


def text(name: str, *arguments: object) -> str:
    """Calls a function that returns text."""
    return filled(name, *arguments).decode(errors="surrogateescape")


def filled(name: str, *arguments: object) -> bytes:
    """Calls a function that fills a buffer as snprintf does, and returns the bytes."""
    room = 4096
    while True:
        buffer = ctypes.create_string_buffer(room)
        length = call(name, *arguments, buffer, room)
        if length < room:
            return buffer.raw[:length]
        room = length + 4096


def c_text(value: str, what: str) -> bytes:
    """A string for C. A NUL in it is refused, because it would end the string early."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be str, not {type(value).__name__}")
    if "\0" in value:
        invalid(f"{what} {value!r} has a NUL in it")
    return value.encode(errors="surrogateescape")


def number(value: int, what: str, least: int, most: int) -> int:
    """An integer for C. One that is too large is refused, because it would be cut to another."""
    if not isinstance(value, int):
        raise TypeError(f"{what} must be int, not {type(value).__name__}")
    if not least <= value <= most:
        invalid(f"{what} {value}: give {least} to {most}")
    return value
