# scapy: packets that a Python program builds itself, through IP and as frames, and what it hears
# needs: ip python3
. ./lib.sh
export XDG_CACHE_HOME=$W XDG_CONFIG_HOME=$W
wire tap
timeout 60 on a "$PYTHON/bin/python" -u scapy_packets.py tap0
echo "status $?"
