# ping in its ways
# needs: ip ping
. ./lib.sh
wire tap
cp -f "$(command -v ping)" own_ping
plain() {
    sed -E 's/ time=.*//; s/, time [0-9]+ms//; /^rtt/d; /^$/d; s/, pipe.*//'
}
for options in "-c 2 -i 0.2 10.9.0.2" "-c 1 -I tap0 10.9.0.2" "-c 1 -I 10.9.0.1 10.9.0.2" "-c 1 -6 fd09::2" \
    "-c 1 -M do -s 1472 10.9.0.2" "-c 1 -M do -s 2000 10.9.0.2" "-c 1 -6 -M do -s 2000 fd09::2" \
    "-c 1 -s 3000 10.9.0.2" "-c 1 -6 -s 3000 fd09::2" "-c 1 -t 1 10.9.0.2" "-c 1 -W 5 10.9.0.77" \
    "-c 1 -6 -W 5 fd09::77" "-c 1 -Q 16 10.9.0.2" "-c 1 10.9.0.1" "-c 1 127.0.0.1" "-c 1 -6 ::1" \
    "-c 1 192.0.2.1" "-c 1 -e 77 10.9.0.2" "-c 1 10.9.0.255" "-c 2 -A -q 10.9.0.2" "-c 1 -R 10.9.0.2"; do
    echo "== $options"
    on a own_ping $options 2>&1 | plain
done
