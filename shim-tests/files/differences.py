"""Prints what stands in the files of an interface, and what becomes of writes that are chosen by a
seed, the same on both sides."""

import os
import random
import sys

choose = random.Random(int(sys.argv[1]))
NAME = "dif0"
VALUES = ["0", "1", "2", "3", "-1", "x", "", "\n", "1\n", "1 2", "3 x", " 1", "0x3", "010", "100", "1500",
          "65535", "65536", "2147483647", "2147483648", "-2147483648", "99999999999", "1x", "1\t\n"]
# The kernel has these out of the machine's memory or clock, or by chance, or in its own order.
UNEQUAL = {"ifindex", "iflink", "uevent", "address", "stable_secret", "addr_assign_type", "carrier_changes",
           "carrier_up_count", "carrier_down_count"}
# Bounds of these follow from others, or from the machine.
BOUND = {"ipfrag_high_thresh", "ipfrag_low_thresh", "ip6frag_high_thresh", "ip6frag_low_thresh", "flush",
         "rps_default_mask", "tcp_congestion_control", "tcp_fastopen_key", "ip_unprivileged_port_start",
         "ip_local_port_range", "ip_local_reserved_ports", "ping_group_range", "ratemask", "ip_forward",
         "tcp_child_ehash_entries", "udp_child_hash_entries", "tcp_rmem", "tcp_wmem", "max_addresses",
         "tcp_reordering", "tcp_max_reordering"}


def content(path):
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(300)
    except OSError as error:
        return error.strerror


def write(path, text):
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError as error:
        return error.strerror
    try:
        return os.write(file, text.encode())
    except OSError as error:
        return error.strerror
    finally:
        os.close(file)


def files(top):
    found = []
    for where, directories, names in os.walk(top):
        directories.sort()
        found += [os.path.join(where, name) for name in sorted(names) if name not in UNEQUAL]
    return found


for path in files(f"/sys/class/net/{NAME}/"):
    if "/power/" not in path:
        print(path, oct(os.stat(path).st_mode), content(path))
settings = [path for family in ("ipv4", "ipv6") for kind in ("conf", "neigh")
            for path in files(f"/proc/sys/net/{family}/{kind}/{NAME}")]
wide = [path for family in ("core", "ipv4", "ipv6") for path in files(f"/proc/sys/net/{family}")
        if "/conf/" not in path and "/neigh/" not in path and os.path.basename(path) not in BOUND]
count = 0
for path in settings + wide:
    print(path, oct(os.stat(path).st_mode), content(path))
    if not os.stat(path).st_mode & 0o200:
        continue
    for text in choose.sample(VALUES, 3):
        count += 1
        print(" ", repr(text), write(path, text), content(path))
print(count > 600)
