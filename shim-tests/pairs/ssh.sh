# ssh: a command, much data, a forwarded port, and what the server sees
# needs: ip ssh sshd ssh-keygen curl python3 ../lib/x86_64-linux-gnu/libnss_wrapper.so
# on the kernel: as root
. ./lib.sh
wire tun
AT='10.9.0.2 fd09::2'
. ./ssh.inc
for at in $AT; do
    client $at 'echo "$SSH_CONNECTION" | sed "s/ [0-9]* / PORT /"; exit 3'
    echo "status $?"
done
head -c 20000000 /dev/urandom >big
client 10.9.0.2 cat <big >got
echo "status $?"
same big got
echo "through a forwarded port" >hello
on b python3 -u -m http.server --bind 10.9.0.2 8000 >http.log 2>&1 &
server=$!
until_log Serving http.log
client -N -L 10.9.0.1:7000:10.9.0.2:8000 10.9.0.2 &
forward=$!
for _ in $(seq 100); do
    on a curl -s --max-time 5 http://10.9.0.1:7000/hello && break
    sleep 0.05
done
finish $forward $server $b
grep -v 'Permanently added\|Killed by signal\|Terminated' ssh.log
grep 'Accepted\|Server listening' sshd.log | sed "s/port [0-9]* ssh2.*/port PORT/; s/for $user/for USER/"
