# the crates' own tests: which of them pass, and what their examples configure
# needs: ip ethtool
. ./lib.sh
ip -V
loopback
# These send UDP packets through the interface, which is not done without privileges yet.
by_socket="--skip test_async_read_write_traits --skip test_packet_info --skip test_udp_v4 --skip test_udp_v6
    --skip recv_timeout_returns_a_packet_arriving_before_expiry"
for test in "$TESTS"/*; do
    case "$test" in *.example.*) continue ;; esac
    echo "\$ ${test##*/}"
    # In one thread, because several tests make interfaces of the same name. Ignored are those that
    # need root and the command ethtool.
    "$test" --test-threads=1 --include-ignored $by_socket >log 2>&1
    status=$?
    grep -E '^test .* \.\.\.' log | grep -v '^test result' | sed 's/ \.\.\. .*$//' | sort
    grep -c '^test .*\.\.\..*ok$\|^ok$' log
    [ $status = 0 ] || cat log
    echo "status $status"
done
example() {
    echo "\$ $1"
    "$TESTS/$1" >log 2>&1 </dev/null &
    program=$!
    until_log "$2" log
    settle
    # Without indexes, and without the packets that the kernel sends on its own account.
    grep -v -i -e index -e ' fd: ' -e ' bytes: ' -e '^\[' log | plain
    ip addr | plain
    ip route
    kill -9 $program
    wait $program 2>/dev/null
}
example tokio-tun.example.read 'ping 10.1.0.2'
example tun-rs.example.named_tun .
example tun.example.dev-config Netmask
show
