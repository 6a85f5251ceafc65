# What every script shares. A command is printed, then what it says on both outputs, then its exit
# status. The script runs in a namespace with lo, which is down as in a fresh `unshare -n`, and with
# tun0 and tap0, which holder.c holds. The machine's own interfaces are never to be seen here.
set -u
[ -n "${SHIM_TESTS_SIDE:-}" ] || { echo "run it through the test iproute2" >&2; exit 98; }

run() {
    printf '$ %s\n' "$*"
    "$@" 2>&1
    printf '= %s\n' $?
}

# The same for a list whose order is that of a hash, which is another one each time.
run_sorted() {
    printf '$ %s\n' "$*"
    said=$("$@" 2>&1)
    status=$?
    printf '%s\n' "$said" | sort
    printf '= %s\n' $status
}

# Waits at most 5 seconds until what the command says has the text, or has it no more.
until_has() {
    text=$1
    shift
    for _ in $(seq 500); do
        "$@" 2>/dev/null | grep -q -e "$text" && return
        sleep 0.01
    done
    echo "never had $text: $*"
}

until_not() {
    text=$1
    shift
    for _ in $(seq 500); do
        "$@" 2>/dev/null | grep -q -e "$text" || return
        sleep 0.01
    done
    echo "always has $text: $*"
}

# No address is tentative any more, and each has its route.
settle() {
    for _ in $(seq 500); do
        waiting=$(ip -6 -o addr show up tentative 2>/dev/null | wc -l)
        have=$(ip -6 -o addr show up 2>/dev/null | wc -l)
        routes=$(ip -6 route show table local type local 2>/dev/null | wc -l)
        [ "$waiting" = 0 ] && [ "$have" = "$routes" ] && return
        sleep 0.01
    done
    echo "addresses do not settle"
}
