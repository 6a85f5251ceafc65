"""A driver of somebody's net: driver.py DIR OWNER|-. It joins, and answers as driver.c."""

import sys

import memtun

directory, owner = sys.argv[1:]
try:
    net = memtun.Net(directory, owner=None if owner == "-" else int(owner) if owner.isdigit() else owner)
except memtun.NotPermittedError as e:
    # The class that people catch.
    assert isinstance(e, PermissionError)
    print(f"join: {e.errno} {e.strerror}")
except memtun.Error as e:
    print(f"join: {e.errno} {e.strerror}")
else:
    print("join: ok")
    net.close()
