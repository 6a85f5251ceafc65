# The commands of ethtool that ask by SIOCETHTOOL.
. "$TOOLS/lib.sh"
run ethtool --version
for name in tun0 tap0; do
    run ethtool -i $name
    run ethtool -S $name
    run ethtool -d $name
    run ethtool -e $name
    run ethtool -n $name
    run ethtool -x $name
    run ethtool -r $name
    run ethtool -p $name 1
    run ethtool -t $name
    run ethtool --phy-statistics $name
    run ifconfig $name up
    run ethtool -i $name
    run ethtool -S $name
    run ethtool -p $name 1
    run ethtool -t $name
    run ifconfig $name down
done
run ethtool -i nothere
run ethtool -S nothere
run ethtool -i tun0:1
