# ssh: a command, a file, a forwarded port, and ssh -w, which makes a tunnel on both hosts
# needs: ip ssh sshd ssh-keygen ping nc curl python3
. ./lib.sh
wire tun
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
PermitTunnel yes
PasswordAuthentication no
C
on b "$(command -v sshd)" -D -e -f sshd.conf 2>sshd.log &
b=$!
until_log 'Server listening on 10.9.0.2' sshd.log
options="-p 2222 -i user_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=known -o BatchMode=yes -o ConnectTimeout=10"
for at in 10.9.0.2 fd09::2; do
    on a ssh $options $at 'echo "$SSH_CONNECTION" | sed "s/ [0-9]* / PORT /"; exit 3'
    echo "status $?"
done 2>ssh.log
grep -v 'Permanently added' ssh.log
finish $b
sed 's/port [0-9]*/port PORT/; s/SHA256:.*/KEY/' sshd.log | grep -v '^Could not chdir'
