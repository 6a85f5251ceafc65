# What every script of this folder shares. A script is run with tun0, tap0 and tap1 there, down.

# A command, what it prints and how it ends.
run() {
    printf '$ %s\n' "$*"
    if out=$("$@" 2>&1); then status=0; else status=$?; fi
    [ -z "$out" ] || printf '%s\n' "$out"
    echo "status $status"
}

# The same for a command that lists every interface in paragraphs: only those of tun0, tap0, tap1.
paragraphs() {
    printf '$ %s\n' "$*"
    if out=$("$@" 2>&1); then status=0; else status=$?; fi
    printf '%s\n' "$out" | awk 'BEGIN { RS = ""; ORS = "\n\n" } /^(tun0|tap0|tap1|tun9)/'
    echo "status $status"
}

# The same for a command that lists them in lines: the lines of ours, and headings.
lines() {
    printf '$ %s\n' "$*"
    if out=$("$@" 2>&1); then status=0; else status=$?; fi
    printf '%s\n' "$out" | awk '/tun0|tap0|tap1|tun9|^[A-Z][a-z]/'
    echo "status $status"
}

# The same for a list whose order is that of a hash, which is another one each time.
run_sorted() {
    printf '$ %s\n' "$*"
    said=$("$@" 2>&1)
    status=$?
    printf '%s\n' "$said" | sort
    echo "status $status"
}

# Waits at most 5 seconds until what the command says has the text.
until_has() {
    text=$1
    shift
    for _ in $(seq 500); do
        "$@" 2>/dev/null | grep -q -e "$text" && return
        sleep 0.01
    done
    echo "never had $text: $*" >&2
    exit 1
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
    echo "addresses do not settle" >&2
    exit 1
}
