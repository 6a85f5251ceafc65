# programs that find out which way packets take, and who is there
# needs: ip fping tracepath traceroute arping
. ./lib.sh
wire tap
for each in fping tracepath traceroute arping; do cp -f "$(command -v $each)" own_$each; done
plain() {
    sed -E 's/LOCALHOST\].*pmtu/LOCALHOST] pmtu/; s/ +[0-9.]+ ?ms/ T/g; s/[0-9A-F:]{17}/MAC/g; /min.avg.max/d; s/\([0-9.]+ avg, /(/'
}
run() {
    echo "== $*"
    on a "own_$@" 2>&1 | plain
}
run fping -c 1 10.9.0.2
run fping -6 -c 1 fd09::2
run tracepath -n 10.9.0.2
run tracepath -6 -n fd09::2
run traceroute -n -w 5 -q 1 10.9.0.2
run traceroute -n -w 5 -q 1 -I 10.9.0.2
run traceroute -n -w 5 -q 1 -T -p 81 10.9.0.2
run traceroute -6 -n -w 5 -q 1 -I fd09::2
run arping -c 1 -I tap0 10.9.0.2
