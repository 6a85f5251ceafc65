#!/usr/bin/env bash
# The same and what only bash has: coprocesses, process substitution, /dev/tcp errors, numbered
# descriptors.
set -e
. "${BASH_SOURCE%/*}/posix.sh"
exec {fd}<>both
echo "through $(( fd >= 10 ))" >&"$fd"
read -r line <both
echo "$line"
exec {fd}>&-
coproc tr a-z A-Z
echo coprocess >&"${COPROC[1]}"
eval "exec ${COPROC[1]}>&-"
cat <&"${COPROC[0]}"
diff <(seq 5) <(seq 5) && echo "no difference"
set -o pipefail
false | true || echo "pipe status ${PIPESTATUS[*]}"
timeout 0.1 sleep 5 || echo "timeout $?"
(exec >/dev/null; echo unseen)
exec -a other-name bash -c 'echo "$0"'
