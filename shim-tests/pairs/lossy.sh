# 50 MB over a wire that loses 2 % and reorders 1 %
# needs: ip nc
. ./lib.sh
wire tun 20 10
head -c 50000000 /dev/urandom >big
on b nc -v -n -l 9000 >got 2>b.log &
server=$!
until_log Listening b.log
begin=$(date +%s.%N)
on a timeout 50 nc -n -N 10.9.0.2 9000 <big
echo "status $?"
gone $server
end=$(date +%s.%N)
same big got
# What the test compares with the other side.
echo "$begin $end" | awk '{ print $2 - $1 }' >seconds
