"""Parses what memtun.h declares, for tests. The header is generated and so regular: whatever
this does not understand is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).resolve().parents[3] / "src/shim/memtun.h"


@dataclass(frozen=True)
class Function:
    """A declaration: types as they are written, with one space before the stars."""

    result: str
    names: tuple[str, ...]
    types: tuple[str, ...]


@dataclass(frozen=True)
class Header:
    functions: dict[str, Function]
    handles: frozenset[str]
    kinds: dict[str, int]
    constants: dict[str, int]
    structures: dict[str, tuple[str, ...]]
    """The members of each, in their order."""


def _type(text: str) -> str:
    return re.sub(r"\s*\*", " *", " ".join(text.split()))


def _parameters(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if text.strip() == "void":
        return (), ()
    found = [re.fullmatch(r"(.*?)(\w+)", " ".join(p.split())) for p in text.split(",")]
    assert all(found), text
    return tuple(p[2] for p in found if p), tuple(_type(p[1]) for p in found if p)


def parse(text: str) -> Header:
    """Everything that a header declares."""
    constants = {name: int(value) for name, value in re.findall(r"^#define (MEMTUN_\w+) (-?\d+)$", text, re.MULTILINE)}
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
    text = text.replace('extern "C" {', "").replace('}  // extern "C"', "")
    functions: dict[str, Function] = {}
    handles = set()
    kinds: dict[str, int] = {}
    structures: dict[str, tuple[str, ...]] = {}

    def function(m: re.Match[str]) -> str:
        assert m[2] not in functions, m[2]
        functions[m[2]] = Function(_type(m[1]), *_parameters(m[3]))
        return ""

    def handle(m: re.Match[str]) -> str:
        assert m[1] == m[2], m[0]
        handles.add(m[1])
        return ""

    def structure(m: re.Match[str]) -> str:
        members = [" ".join(line.split()) for line in m[1].split(";") if line.strip()]
        structures[m[2]] = tuple(members)
        return ""

    def enumeration(m: re.Match[str]) -> str:
        for entry in filter(None, map(str.strip, m[1].split(","))):
            name, value = entry.split(" = ")
            kinds[name] = int(value)
        return ""

    text = re.sub(r"\bMEMTUN_API\s+([\w\s]+?[\s*]+)(memtun_\w+)\(([^)]*)\);", function, text)
    text = re.sub(r"\btypedef struct (\w+) (\w+);", handle, text)
    text = re.sub(r"\btypedef struct \{([^}]*)\} (\w+);", structure, text)
    text = re.sub(r"\btypedef enum \{([^}]*)\} memtun_kind;", enumeration, text)
    assert not text.strip(), f"not understood: {text.strip()}"
    return Header(functions, frozenset(handles), kinds, constants, structures)


def read() -> Header:
    """Everything that memtun.h declares."""
    return parse(PATH.read_text())
