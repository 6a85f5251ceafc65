# the crates tun, tun-rs, tokio-tun and tappers give their interfaces addresses
# needs: ip
. ./lib.sh
ip -V
loopback
mkfifo in
"$TUN_CRATES" <in >log 2>&1 &
program=$!
exec 5>in
until_log ready log
cat log
settle
show
exec 5>&-
gone $program
show
