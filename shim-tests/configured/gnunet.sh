# gnunet-helper-vpn, which configures its interface by ioctls and ends with its standard input
# needs: ../lib/x86_64-linux-gnu/gnunet/libexec/gnunet-helper-vpn ip
. ./lib.sh
helper=/usr/lib/x86_64-linux-gnu/gnunet/libexec/gnunet-helper-vpn
echo gnunet-helper-vpn
loopback
mkfifo in
$helper gnu0 fd00:14::1 64 10.14.0.1 255.255.0.0 <in >out 2>err &
vpn=$!
exec 5>in
until_has 10.14 ip addr show gnu0
settle
show
exec 5>&-
gone $vpn
cat err
show
