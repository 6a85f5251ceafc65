/* A program without CAP_NET_ADMIN: what of addresses, routes, neighbours and files it may still ask
 * and change. Under the shim a program is as with it, until the net takes the permission
 * "net_admin" away. */
#include "host.h"
#include <ifaddrs.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <net/if_arp.h>
#include <net/route.h>
#pragma weak memtun_net_deny

static void drop(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { { 0 } };
    if (under_shim())
        MUST(memtun_net_deny(memtun_net_open(NULL), "net_admin"));
    else
        MUST(syscall(SYS_capset, &head, none));
}

static void addresses(int sock)
{
    static const struct { const char *name; unsigned long set, get; } all[] = {
        { "ADDR", SIOCSIFADDR, SIOCGIFADDR }, { "NETMASK", SIOCSIFNETMASK, SIOCGIFNETMASK },
        { "DSTADDR", SIOCSIFDSTADDR, SIOCGIFDSTADDR }, { "BRDADDR", SIOCSIFBRDADDR, SIOCGIFBRDADDR },
    };
    char text[40];
    for (size_t i = 0; i < 4; i++) {
        struct ifreq ifr = { .ifr_addr = inet("10.9.0.5") };
        ifr.ifr_addr.sa_family = AF_INET6;
        SHOW(label("SIOCSIF%s", all[i].name), set_address(all[i].set, "nh0", "10.9.0.5"));
        SHOW(label("SIOCSIF%s of none", all[i].name), set_address(all[i].set, "nothere", "10.9.0.5"));
        SHOW(label("SIOCSIF%s of inet6", all[i].name), if_request(all[i].set, &ifr, "nh0"));
        SHOW(label("SIOCSIF%s NULL", all[i].name), ioctl(sock, all[i].set, (void *volatile)NULL));
        say(label("SIOCGIF%s", all[i].name), "%s", get_address(text, all[i].get, "nh0"));
    }
    SHOW("SIOCSIFFLAGS of an alias", if_set_flags("nh0:1", 0));
    struct ifconf conf = { 0 };
    SHOW("SIOCGIFCONF", ioctl(sock, SIOCGIFCONF, &conf));
    struct { struct in6_addr address; uint32_t prefix; int index; } in6 = { .prefix = 64, .index = if_index("nh0") };
    int sock6 = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    SHOW("in6, SIOCSIFADDR", ioctl(sock6, SIOCSIFADDR, &in6));
    SHOW("in6, SIOCDIFADDR", ioctl(sock6, SIOCDIFADDR, &in6));
    SHOW("in6, SIOCSIFADDR NULL", ioctl(sock6, SIOCSIFADDR, (void *volatile)NULL));
    SHOW("in6, SIOCADDRT", ioctl(sock6, SIOCADDRT, edge(sizeof(struct rtentry))));
    SHOW("in6, SIOCADDRT NULL", ioctl(sock6, SIOCADDRT, (void *volatile)NULL));
    close(sock6);
}

static void tables(int sock)
{
    struct rtentry rt = { .rt_dst = inet("10.20.0.0"), .rt_genmask = inet("255.255.255.0"), .rt_dev = (char[]){ "nh0" },
                          .rt_flags = RTF_UP };
    struct arpreq arp = { .arp_pa = inet("10.8.0.9"), .arp_ha = { .sa_family = 1 }, .arp_flags = ATF_COM, .arp_dev = "nh1" };
    SHOW("SIOCADDRT", ioctl(sock, SIOCADDRT, &rt));
    SHOW("SIOCDELRT", ioctl(sock, SIOCDELRT, &rt));
    SHOW("SIOCADDRT NULL", ioctl(sock, SIOCADDRT, (void *volatile)NULL));
    rt.rt_dst.sa_family = 0;
    SHOW("SIOCADDRT of family 0", ioctl(sock, SIOCADDRT, &rt));
    SHOW("SIOCSARP", ioctl(sock, SIOCSARP, &arp));
    SHOW("SIOCDARP", ioctl(sock, SIOCDARP, &arp));
    SHOW("SIOCGARP", ioctl(sock, SIOCGARP, &arp));
    SHOW("SIOCSARP NULL", ioctl(sock, SIOCSARP, (void *volatile)NULL));
    arp.arp_pa.sa_family = 0;
    SHOW("SIOCSARP of family 0", ioctl(sock, SIOCSARP, &arp));
    show_routes("routes", "nh0");
    show_lines("neighbours", "/proc/net/arp", "nh1", 0);
    show_lines("dev", "/proc/net/dev", "nh0", 0);
}

static void ethtool(int sock)
{
    for (uint32_t cmd = 0; cmd <= 82; cmd++) {
        static uint32_t data[1024];
        struct ifreq ifr = { .ifr_name = "nh0", .ifr_data = (void *)data };
        memset(data, 0, sizeof data);
        data[0] = cmd;
        SHOW(label("ethtool %u", cmd), ioctl(sock, SIOCETHTOOL, &ifr));
    }
    struct ifreq ifr = { .ifr_name = "nothere", .ifr_data = (void *)(uint32_t[2]){ ETHTOOL_SSET } };
    SHOW("ethtool SSET of none", ioctl(sock, SIOCETHTOOL, &ifr));
}

static void files(void)
{
    show_write("mtu of sysfs", "/sys/class/net/nh0/mtu", "1400", 4);
    show_write("flags of sysfs", "/sys/class/net/nh0/flags", "0x1003", 6);
    show_write("ifalias of sysfs", "/sys/class/net/nh0/ifalias", "x", 1);
    show_write("carrier of sysfs", "/sys/class/net/nh0/carrier", "0", 1);
    show_file("mtu of sysfs read", "/sys/class/net/nh0/mtu");
    show_write("rp_filter", "/proc/sys/net/ipv4/conf/nh0/rp_filter", "1", 1);
    show_write("ip_forward", "/proc/sys/net/ipv4/ip_forward", "1", 1);
    show_file("rp_filter read", "/proc/sys/net/ipv4/conf/nh0/rp_filter");
}

static void sockets(void)
{
    int sock = MUST(socket(AF_INET, SOCK_DGRAM, 0)), index = if_index("nh0");
    SHOW("AF_PACKET raw", socket(AF_PACKET, SOCK_RAW, 0));
    SHOW("AF_PACKET dgram", socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)));
    SHOW("AF_PACKET SOCK_PACKET", socket(AF_PACKET, SOCK_PACKET, 0));
    SHOW("AF_PACKET stream", socket(AF_PACKET, SOCK_STREAM, 0));
    SHOW("AF_INET raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    SHOW("AF_INET6 raw", socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
    SHOW("AF_INET packet", socket(AF_INET, SOCK_PACKET, 0));
    SHOW("SO_BINDTODEVICE", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "nh0", 4));
    SHOW("SO_BINDTODEVICE once bound", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "nh1", 4));
    SHOW("SO_BINDTODEVICE away", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    SHOW("SO_BINDTOIFINDEX once bound", setsockopt(sock, SOL_SOCKET, 62, &index, sizeof index));
    SHOW("SO_MARK", setsockopt(sock, SOL_SOCKET, SO_MARK, &index, sizeof index));
    struct ifaddrs *all, *at;
    int found = 0;
    MUST(getifaddrs(&all));
    for (at = all; at; at = at->ifa_next)
        found += !strncmp(at->ifa_name, "nh", 2);
    freeifaddrs(all);
    say("getifaddrs", "%d", found);
    close(sock);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    sysctl("ipv6", "default", "disable_ipv6", "1");
    own_sysfs();
    int sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    int tun = tun_with("nh0", IFF_TUN, "10.9.0.1", "255.255.255.0"), tap = tun_with("nh1", IFF_TAP, "10.8.0.1", "255.255.255.0");
    MUST(set_address(SIOCSIFADDR, "nh0:1", "10.7.0.1"));
    drop();
    addresses(sock);
    tables(sock);
    ethtool(sock);
    files();
    sockets();
    close(tun);
    close(tap);
    return 0;
}
