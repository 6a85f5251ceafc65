#!/usr/bin/env bash
# A server and a client over loopback, both with or without the shim.
set -e
mkdir served
seq 100000 >served/numbers
# The server's shell may open it later than this one looks.
: >log
# -u: its one line of start-up names the port it was given.
/usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory served 0 >>log 2>requests &
server=$!
trap 'kill $server' EXIT
for i in $(seq 200); do
    port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' log)
    [ -n "$port" ] && break
    sleep 0.05
done
curl -sS "http://127.0.0.1:$port/numbers" | cksum
curl -sS --parallel --parallel-immediate -o a "http://127.0.0.1:$port/numbers" -o b "http://127.0.0.1:$port/numbers" 2>progress
cmp a b && echo same
curl -sS -o /dev/null -w '%{http_code} %{size_download}\n' "http://127.0.0.1:$port/none"
curl -sS "http://127.0.0.1:1/" 2>&1 | sed 's/after [0-9]* ms//' || true
grep -c 'GET /n' requests
