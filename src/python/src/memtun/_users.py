"""Users and groups as people name them."""

from __future__ import annotations

import grp
import pwd
from typing import Union

from . import _library
from ._errors import invalid

# A failed test shows the line of the test that called, and the error, but no frame of this module.
__tracebackhide__ = True

User = Union[str, int]
Group = Union[str, int]

# (uid_t)-1 is no user's number: it tells chown(2) that the owner stays.
_HIGHEST = 0xFFFF_FFFE


def user_number(user: User) -> int:
    """The number of a user, who may be given by name."""
    if not isinstance(user, str):
        return _library.number(user, "owner", 0, _HIGHEST)
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        invalid(f"owner {user!r}: there is no such user; give a user's name or number")


def group_number(group: Group) -> int:
    """The number of a group, which may be given by name."""
    if not isinstance(group, str):
        return _library.number(group, "group", 0, _HIGHEST)
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        invalid(f"group {group!r}: there is no such group; give a group's name or number")
