# ssh: a command, much data, a forwarded port, and what the server sees
# needs: ip ssh sshd ssh-keygen curl python3 ../lib/x86_64-linux-gnu/libnss_wrapper.so
# on the kernel: as root
. ./lib.sh
wire tun
me=$(id -u)
# The server lets a user in who has a shell, which no unprivileged user of a test has.
if [ "$SIDE" = kernel ]; then
    mount -t tmpfs tmpfs /run
    mkdir /run/sshd
    wrapped=
    user=root
else
    user=tester
    echo "tester:x:$me:$(id -g):tester:$W:/bin/bash" >passwd
    echo "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin" >>passwd
    echo "tester:x:$(id -g):" >group
    wrapped="NSS_WRAPPER_PASSWD=$W/passwd NSS_WRAPPER_GROUP=$W/group LD_PRELOAD=$PRELOAD:libnss_wrapper.so"
fi
ssh-keygen -q -t ed25519 -N '' -f user_key
ssh-keygen -q -t ed25519 -N '' -f host_key
cp user_key.pub authorized_keys
chmod 600 authorized_keys
cat >sshd.conf <<C
Port 2222
ListenAddress 10.9.0.2
ListenAddress fd09::2
HostKey $W/host_key
AuthorizedKeysFile $W/authorized_keys
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
PasswordAuthentication no
PrintMotd no
PrintLastLog no
C
on b env $wrapped "$(command -v sshd)" -D -e -f sshd.conf 2>sshd.log &
b=$!
until_log 'Server listening on 10.9.0.2' sshd.log
until_log 'Server listening on fd09::2' sshd.log
if [ "$SIDE" = kernel ]; then
    options=
else
    options="env $wrapped"
fi
client() {
    on a $options ssh -p 2222 -l $user -i user_key -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=known \
        -o BatchMode=yes -o ConnectTimeout=10 "$@" 2>>ssh.log
}
for at in 10.9.0.2 fd09::2; do
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
