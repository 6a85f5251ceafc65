# The commands of ethtool that ask by its family of generic netlink, and by SIOCETHTOOL only where a
# kernel has no such family.
. "$TOOLS/lib.sh"
run ethtool --version
for name in tun0 tap0; do
    run ethtool $name
    run ethtool -k $name
    run ethtool -c $name
    run ethtool -l $name
    run ethtool -g $name
    run ethtool -a $name
    run ethtool -T $name
    run ethtool -P $name
    run ethtool -m $name
    run ethtool --show-eee $name
    run ethtool --show-fec $name
    run ethtool --show-priv-flags $name
    run ethtool --show-tunnels $name
    run ethtool --show-module $name
    run ifconfig $name up
    run ethtool $name
    run ethtool -s $name speed 1000 duplex half
    run ethtool -s $name speed 12345
    run ethtool -s $name duplex full port tp
    run ethtool -s $name autoneg on
    run ethtool -s $name msglvl 5
    run ethtool -s $name msglvl drv on
    run ethtool -s $name wol g
    run ethtool $name
    run ethtool -C $name rx-frames 32
    run ethtool -C $name rx-frames 100
    run ethtool -C $name tx-frames 3
    run ethtool -C $name rx-usecs 3
    run ethtool -c $name
    run ethtool -K $name tx off
    run ethtool -K $name tso on
    run ethtool -K $name gro off
    run ethtool -K $name rx off
    run ethtool -K $name nonsense on
    run ethtool -k $name
    run ethtool -L $name combined 2
    run ethtool -G $name rx 10
    run ethtool -A $name rx on
    run ifconfig $name down
done
run ethtool nothere
run ethtool -k nothere
run ethtool tun0:1
