"""Takes the names by which nets claim their part of the loopback's addresses.
usage: squatter.py everywhere|each"""
import resource
import socket
import sys
import time

PORTS = range(65532, 65536)
if sys.argv[1] == "everywhere":
    names = [("0.0.0.0", 65535)]
else:
    names = [(f"127.{at >> 2}.{at % 4 * 64 + 63}.255", port) for at in range(1024) for port in PORTS]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
kept = []
for name in names:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(name)
    kept.append(s)
print("ready", flush=True)
time.sleep(60)
