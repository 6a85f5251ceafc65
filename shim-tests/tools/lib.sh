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
