# 50 MB over a wire that loses 2 % and reorders 1 %
# needs: ip nc
. ./lib.sh
wire tun 20 10
head -c 50000000 /dev/urandom >big
on b nc -v -n -l 9000 >got 2>b.log &
server=$!
until_log Listening b.log
on a timeout 50 nc -n -N 10.9.0.2 9000 <big
echo "status $?"
gone $server
same big got
