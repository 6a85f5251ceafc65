/* Routes by SIOCADDRT and SIOCDELRT, of both families, and the files that show them. */
#include "host.h"
#include <net/route.h>

/* <linux/ipv6_route.h>'s struct in6_rtmsg, which cannot be included beside <netinet/in.h>. */
struct in6_route {
    struct in6_addr dst, src, gateway;
    uint32_t type;
    uint16_t dst_len, src_len;
    uint32_t metric;
    unsigned long info;
    uint32_t flags;
    int index;
};

static int sock, sock6;

static struct sockaddr inet_family(const char *address, int family)
{
    struct sockaddr sa = inet(address);
    sa.sa_family = family;
    return sa;
}

static struct rtentry entry(const char *dst, const char *mask, const char *gateway, const char *dev, unsigned flags)
{
    struct rtentry rt = { .rt_dst = inet(dst), .rt_flags = flags, .rt_dev = (char *)dev };
    if (mask)
        rt.rt_genmask = inet(mask);
    if (gateway)
        rt.rt_gateway = inet(gateway);
    return rt;
}

static int change(unsigned long request, const char *dst, const char *mask, const char *gateway, const char *dev,
                  unsigned flags)
{
    struct rtentry rt = entry(dst, mask, gateway, dev, flags);
    return ioctl(sock, request, &rt);
}

#define ADD(text, ...) SHOW(text, change(SIOCADDRT, __VA_ARGS__))
#define DEL(text, ...) SHOW(text, change(SIOCDELRT, __VA_ARGS__))
#define N24 "255.255.255.0"
#define N32 "255.255.255.255"

static void refusals(void)
{
    void *volatile nowhere = NULL;
    struct rtentry rt;
    SHOW("add NULL", ioctl(sock, SIOCADDRT, nowhere));
    SHOW("del NULL", ioctl(sock, SIOCDELRT, nowhere));
    SHOW("add bad pointer", ioctl(sock, SIOCADDRT, BAD_POINTER));
    ADD("add, device down", "10.20.0.0", N24, NULL, "ro1", RTF_UP);
    ADD("add, no such device", "10.20.0.0", N24, NULL, "nothere", RTF_UP);
    ADD("add, empty device name", "10.20.0.0", N24, NULL, "", RTF_UP);
    ADD("add, device name of 20 bytes", "10.20.0.0", N24, NULL, "ro0aaaaaaaaaaaaaaaaa", RTF_UP);
    ADD("add, bad device pointer", "10.20.0.0", N24, NULL, BAD_POINTER, RTF_UP);
    ADD("add, no device, no gateway", "10.20.0.0", N24, NULL, NULL, RTF_UP);
    ADD("add, alias without address", "10.20.0.0", N24, NULL, "ro0:7", RTF_UP);
    rt = entry("10.20.0.0", N24, NULL, "ro0", RTF_UP);
    rt.rt_dst.sa_family = AF_INET6;
    SHOW("add, destination of inet6", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_dst.sa_family = AF_UNSPEC;
    SHOW("add, destination of family 0", ioctl(sock, SIOCADDRT, &rt));
    rt = entry("10.20.0.0", NULL, NULL, "ro0", RTF_UP);
    rt.rt_genmask = inet_family(N24, AF_INET6);
    SHOW("add, mask of inet6", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_genmask = inet_family(N24, AF_UNSPEC);
    SHOW("add, mask of family 0", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_genmask = inet_family("0.0.0.0", AF_INET6);
    SHOW("add, empty mask of inet6", ioctl(sock, SIOCADDRT, &rt));
    rt = entry("10.20.1.0", N24, "10.9.0.9", "ro0", RTF_UP | RTF_GATEWAY);
    rt.rt_gateway.sa_family = AF_INET6;
    SHOW("add, gateway of inet6", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_gateway.sa_family = AF_UNSPEC;
    SHOW("add, gateway of family 0", ioctl(sock, SIOCADDRT, &rt));
    DEL("del what came of that", "10.20.1.0", N24, NULL, NULL, RTF_UP);
    DEL("del of the family 0", "10.20.0.0", N24, NULL, "ro0", RTF_UP);
    DEL("del of the empty mask", "10.20.0.0", NULL, NULL, "ro0", RTF_UP);
    ADD("add, mask with holes", "10.20.0.0", "255.0.255.0", NULL, "ro0", RTF_UP);
    ADD("add, inverse mask", "10.20.0.0", "0.0.0.255", NULL, "ro0", RTF_UP);
    ADD("add, host bits", "10.20.0.1", N24, NULL, "ro0", RTF_UP);
    ADD("add, host bits, no such device", "10.20.0.1", N24, NULL, "nothere", RTF_UP);
    ADD("add, gateway flag without gateway", "10.20.0.0", N24, NULL, "ro0", RTF_UP | RTF_GATEWAY);
    ADD("add, gateway not on a link", "10.20.0.0", N24, "192.0.2.1", NULL, RTF_UP | RTF_GATEWAY);
    ADD("add, gateway not on this link", "10.20.0.0", N24, "192.0.2.1", "ro0", RTF_UP | RTF_GATEWAY);
    ADD("add, gateway is the own address", "10.20.0.0", N24, "10.9.0.1", NULL, RTF_UP | RTF_GATEWAY);
    ADD("add, gateway is the own address, with device", "10.20.0.0", N24, "10.9.0.1", "ro0", RTF_UP | RTF_GATEWAY);
    show_routes("by the own address", "ro0");
    DEL("del the one by the own address", "10.20.0.0", N24, NULL, NULL, RTF_UP);
    ADD("add, gateway is the broadcast address", "10.20.0.0", N24, "10.9.0.255", NULL, RTF_UP | RTF_GATEWAY);
    ADD("add, gateway is the broadcast address of a tap", "10.20.0.0", N24, "10.8.0.255", NULL, RTF_UP | RTF_GATEWAY);
    ADD("add, gateway multicast", "10.20.0.0", N24, "224.0.0.1", NULL, RTF_UP | RTF_GATEWAY);
    ADD("add, multicast", "224.0.0.0", "240.0.0.0", NULL, "ro0", RTF_UP);
    DEL("del multicast", "224.0.0.0", "240.0.0.0", NULL, "ro0", RTF_UP);
    DEL("del what is not there", "10.20.0.0", N24, NULL, NULL, RTF_UP);
    DEL("del what is not there, no such device", "10.20.0.0", N24, NULL, "nothere", RTF_UP);
    DEL("del with host bits", "10.20.0.1", N24, NULL, NULL, RTF_UP);
    show_routes("routes refused", "ro0");
}

static void kept(void)
{
    struct rtentry rt;
    ADD("a network", "10.20.0.0", N24, NULL, "ro0", RTF_UP);
    ADD("the same", "10.20.0.0", N24, NULL, "ro0", RTF_UP);
    ADD("the same over the tap", "10.20.0.0", N24, NULL, "ro2", RTF_UP);
    ADD("without RTF_UP", "10.21.0.0", N24, NULL, "ro0", 0);
    ADD("a host", "10.22.0.1", NULL, NULL, "ro0", RTF_UP | RTF_HOST);
    ADD("a host whose mask is not looked at", "10.22.0.2", N24, NULL, "ro0", RTF_UP | RTF_HOST);
    ADD("mask 0 without RTF_HOST", "10.22.0.3", NULL, NULL, "ro0", RTF_UP);
    ADD("mask 0 without RTF_HOST, a network", "10.22.4.0", NULL, NULL, "ro0", RTF_UP);
    ADD("mask /32", "10.22.0.5", N32, NULL, "ro0", RTF_UP);
    ADD("by a gateway", "10.23.0.0", N24, "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    ADD("by a gateway with a device", "10.24.0.0", N24, "10.9.0.3", "ro0", RTF_UP | RTF_GATEWAY);
    ADD("a gateway without the flag", "10.25.0.0", N24, "10.9.0.4", "ro0", RTF_UP);
    ADD("a gateway without the flag and device", "10.25.1.0", N24, "10.9.0.4", NULL, RTF_UP);
    ADD("by a gateway of a gateway's network", "10.26.0.0", N24, "10.23.0.1", NULL, RTF_UP | RTF_GATEWAY);
    ADD("by a gateway that is routed by device", "10.27.0.0", N24, "10.20.0.1", NULL, RTF_UP | RTF_GATEWAY);
    ADD("default by device", "0.0.0.0", NULL, NULL, "ro0", RTF_UP);
    ADD("default by a gateway is taken", "0.0.0.0", NULL, "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    show_routes("routes", "ro0");
    ADD("0.0.0.0/1", "0.0.0.0", "128.0.0.0", "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    ADD("128.0.0.0/1", "128.0.0.0", "128.0.0.0", "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    DEL("128.0.0.0/1 goes", "128.0.0.0", "128.0.0.0", "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    rt = entry("10.30.0.0", N24, NULL, "ro0", RTF_UP);
    for (int metric = 0; metric < 4; metric++) {
        rt.rt_metric = metric;
        SHOW(label("metric %d", metric), ioctl(sock, SIOCADDRT, &rt));
    }
    rt.rt_metric = -1;
    SHOW("metric -1", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_metric = 32767;
    SHOW("metric 32767", ioctl(sock, SIOCADDRT, &rt));
    show_routes("metrics", "ro0");
    rt.rt_metric = 3;
    SHOW("del metric 3", ioctl(sock, SIOCDELRT, &rt));
    rt.rt_metric = 3;
    SHOW("del metric 3 again", ioctl(sock, SIOCDELRT, &rt));
    rt.rt_metric = 0;
    SHOW("del without metric takes the first", ioctl(sock, SIOCDELRT, &rt));
    SHOW("del without metric takes the second", ioctl(sock, SIOCDELRT, &rt));
    show_routes("metrics left", "ro0");
    rt = entry("10.31.0.0", N24, NULL, "ro0", RTF_UP | RTF_MTU | RTF_WINDOW | RTF_IRTT);
    rt.rt_mtu = 1400;
    rt.rt_window = 5000;
    rt.rt_irtt = 300;
    SHOW("mtu, window, irtt", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_dst = inet("10.32.0.0");
    rt.rt_flags = RTF_UP;
    SHOW("mtu, window, irtt without their flags", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_dst = inet("10.33.0.0");
    rt.rt_flags = RTF_UP | RTF_MTU;
    rt.rt_mtu = 39;
    SHOW("mtu 39", ioctl(sock, SIOCADDRT, &rt));
    rt.rt_dst = inet("10.34.0.0");
    rt.rt_mtu = 100000;
    SHOW("mtu 100000", ioctl(sock, SIOCADDRT, &rt));
    ADD("reject", "10.35.0.0", N24, NULL, NULL, RTF_UP | RTF_REJECT);
    show_lines("reject is of no interface", "/proc/net/route", "*", 0);
    ADD("reject with a device", "10.36.0.0", N24, NULL, "ro0", RTF_UP | RTF_REJECT);
    ADD("reject with no such device", "10.37.0.0", N24, NULL, "nothere", RTF_UP | RTF_REJECT);
    show_lines("reject twice", "/proc/net/route", "*", 0);
    DEL("del reject", "10.35.0.0", N24, NULL, NULL, RTF_UP | RTF_REJECT);
    DEL("del reject by a plain request", "10.36.0.0", N24, NULL, NULL, RTF_UP);
    static const struct { const char *name; unsigned flag; } flags[] = {
        { "RTF_REINSTATE", RTF_REINSTATE }, { "RTF_DYNAMIC", RTF_DYNAMIC }, { "RTF_MODIFIED", RTF_MODIFIED },
        { "all others", 0xff00 },
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        ADD(label("flag %s", flags[i].name), label("10.40.%zu.0", i), N24, NULL, "ro0", RTF_UP | flags[i].flag);
    MUST(set_address(SIOCSIFADDR, "ro0:5", "10.50.0.1"));
    ADD("by an alias, its address preferred", "10.51.0.0", N24, NULL, "ro0:5", RTF_UP);
    show_routes("routes with all that", "ro0");
    show_routes("routes of the tap", "ro2");
}

static void taken(void)
{
    DEL("del, another device", "10.22.0.1", N32, NULL, "ro2", RTF_UP);
    DEL("del, another gateway", "10.23.0.0", N24, "10.9.0.9", NULL, RTF_UP | RTF_GATEWAY);
    DEL("del, no gateway named", "10.23.0.0", N24, NULL, NULL, RTF_UP);
    DEL("del, gateway 0.0.0.0 with the flag", "10.24.0.0", N24, "0.0.0.0", NULL, RTF_UP | RTF_GATEWAY);
    DEL("del, with the gateway", "10.24.0.0", N24, "10.9.0.3", NULL, RTF_UP | RTF_GATEWAY);
    DEL("del, another mask", "10.20.0.0", "255.255.0.0", NULL, NULL, RTF_UP);
    DEL("del, a host without mask", "10.22.0.1", NULL, NULL, NULL, RTF_UP);
    DEL("del, a host with RTF_HOST", "10.22.0.2", N24, NULL, NULL, RTF_UP | RTF_HOST);
    DEL("del, the connected network", "10.9.0.0", N24, NULL, NULL, RTF_UP);
    DEL("del, it again", "10.9.0.0", N24, NULL, NULL, RTF_UP);
    DEL("del, default", "0.0.0.0", NULL, NULL, "ro0", RTF_UP);
    DEL("del, default by a gateway", "0.0.0.0", NULL, "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    show_routes("routes left", "ro0");
    ADD("add while the connected network is gone", "10.60.0.0", N24, "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    link_up("ro0", 0);
    show_routes("routes while down", "ro0");
    link_up("ro0", 1);
    show_routes("routes after up", "ro0");
    ADD("a network of the address", "10.61.0.0", N24, "10.9.0.2", NULL, RTF_UP | RTF_GATEWAY);
    SHOW("mtu", if_set_mtu("ro0", 1300));
    show_routes("routes show no mtu of the device", "ro0");
    SHOW("another address", set_address(SIOCSIFADDR, "ro0", "10.19.0.1"));
    show_routes("routes with another address", "ro0");
    struct ifreq ifr = { .ifr_newname = "ro9" };
    MUST(if_request(SIOCSIFNAME, &ifr, "ro0"));
    show_routes("routes renamed", "ro9");
    MUST(set_address(SIOCSIFADDR, "ro9", "0.0.0.0"));
    show_routes("routes without the address", "ro9");
}

/* ---- IPv6 ---- */

static int change6(unsigned long request, const char *dst, int len, const char *gateway, const char *dev,
                   unsigned flags, uint32_t metric)
{
    struct in6_route rt = { .dst_len = len, .flags = flags, .metric = metric };
    if (inet_pton(AF_INET6, dst, &rt.dst) != 1 || (gateway && inet_pton(AF_INET6, gateway, &rt.gateway) != 1))
        die(dst);
    rt.index = dev ? if_index(dev) : 0;
    if (dev && !rt.index)
        rt.index = 99999999;
    return ioctl(sock6, request, &rt);
}

#define ADD6(text, ...) SHOW("v6, " text, change6(SIOCADDRT, __VA_ARGS__))
#define DEL6(text, ...) SHOW("v6, " text, change6(SIOCDELRT, __VA_ARGS__))

static void show6(const char *what)
{
    show_lines(what, "/proc/net/ipv6_route", "ro1", 3 << 6);
}

static void v6(void)
{
    void *volatile nowhere = NULL;
    SHOW("v6, add NULL", ioctl(sock6, SIOCADDRT, nowhere));
    SHOW("v6, del NULL", ioctl(sock6, SIOCDELRT, nowhere));
    ADD6("device down", "2001:db8:1::", 48, NULL, "ro1", RTF_UP, 0);
    link_up("ro1", 1);
    show6("v6, up without address");
    ADD6("a network", "2001:db8:1::", 48, NULL, "ro1", RTF_UP, 0);
    ADD6("again", "2001:db8:1::", 48, NULL, "ro1", RTF_UP, 0);
    ADD6("metric 1", "2001:db8:2::", 48, NULL, "ro1", RTF_UP, 1);
    ADD6("metric 1024", "2001:db8:2::", 48, NULL, "ro1", RTF_UP, 1024);
    ADD6("metric 4294967295", "2001:db8:2::", 48, NULL, "ro1", RTF_UP, ~0u);
    ADD6("host bits", "2001:db8:3::1", 48, NULL, "ro1", RTF_UP, 0);
    ADD6("prefix 129", "2001:db8:4::", 129, NULL, "ro1", RTF_UP, 0);
    ADD6("no such device", "2001:db8:4::", 48, NULL, "nothere", RTF_UP, 0);
    ADD6("no device", "2001:db8:4::", 48, NULL, NULL, RTF_UP, 0);
    ADD6("gateway unreachable", "2001:db8:5::", 48, "2001:db8:77::1", NULL, RTF_UP | RTF_GATEWAY, 0);
    ADD6("gateway unreachable, device", "2001:db8:5::", 48, "2001:db8:77::1", "ro1", RTF_UP | RTF_GATEWAY, 0);
    ADD6("gateway on link", "2001:db8:6::", 48, "2001:db8:1::1", NULL, RTF_UP | RTF_GATEWAY, 0);
    ADD6("gateway link-local", "2001:db8:7::", 48, "fe80::1", "ro1", RTF_UP | RTF_GATEWAY, 0);
    ADD6("gateway link-local without device", "2001:db8:8::", 48, "fe80::1", NULL, RTF_UP | RTF_GATEWAY, 0);
    ADD6("gateway multicast", "2001:db8:9::", 48, "ff02::1", "ro1", RTF_UP | RTF_GATEWAY, 0);
    ADD6("gateway without the flag", "2001:db8:a::", 48, "2001:db8:1::1", "ro1", RTF_UP, 0);
    ADD6("a host", "2001:db8:b::1", 128, NULL, "ro1", RTF_UP | RTF_HOST, 0);
    ADD6("reject", "2001:db8:c::", 48, NULL, "ro1", RTF_UP | RTF_REJECT, 0);
    ADD6("default", "::", 0, NULL, "ro1", RTF_UP, 0);
    ADD6("default by a gateway", "::", 0, "fe80::1", "ro1", RTF_UP | RTF_GATEWAY | RTF_DEFAULT, 0);
    ADD6("multicast", "ff05::", 16, NULL, "ro1", RTF_UP, 0);
    ADD6("without flags", "2001:db8:d::", 48, NULL, "ro1", 0, 0);
    ADD6("loopback", "::1", 128, NULL, "ro1", RTF_UP, 0);
    show6("v6 routes");
    static char text[200000];
    MUST(slurp("/proc/net/ipv6_route", text, sizeof text));
    char *line = strstr(text, "20010db8000c"), *end = line ? strchr(line, '\n') : NULL;
    say("v6 reject is of lo", "%d", end && !strncmp(end - 3, " lo", 3));
    DEL6("del", "2001:db8:1::", 48, NULL, "ro1", RTF_UP, 0);
    DEL6("del again", "2001:db8:1::", 48, NULL, "ro1", RTF_UP, 0);
    DEL6("del metric 2", "2001:db8:2::", 48, NULL, "ro1", RTF_UP, 2);
    DEL6("del without metric", "2001:db8:2::", 48, NULL, "ro1", RTF_UP, 0);
    DEL6("del without device", "2001:db8:2::", 48, NULL, NULL, RTF_UP, 0);
    DEL6("del, another gateway", "2001:db8:7::", 48, "fe80::2", "ro1", RTF_UP | RTF_GATEWAY, 0);
    DEL6("del, gateway not named", "2001:db8:7::", 48, NULL, "ro1", RTF_UP, 0);
    DEL6("del, host bits", "2001:db8:3::2", 48, NULL, "ro1", RTF_UP, 0);
    DEL6("del, no such device", "2001:db8:6::", 48, NULL, "nothere", RTF_UP, 0);
    DEL6("del, reject", "2001:db8:c::", 48, NULL, NULL, RTF_UP | RTF_REJECT, 0);
    DEL6("del, loopback", "::1", 128, NULL, "ro1", RTF_UP, 0);
    show6("v6 routes left");
    link_up("ro1", 0);
    show6("v6 routes while down");
    link_up("ro1", 1);
    show6("v6 routes after up");
    SHOW("v6, an rtentry on an inet6 socket", ioctl(sock6, SIOCADDRT, edge(sizeof(struct in6_route) - 8)));
}

static void sockets(void)
{
    static const struct { const char *name; int family; } all[] = { { "unix", AF_UNIX }, { "netlink", AF_NETLINK } };
    for (size_t i = 0; i < 2; i++) {
        struct rtentry rt = entry("10.70.0.0", N24, NULL, "ro2", RTF_UP);
        int other = MUST(socket(all[i].family, SOCK_DGRAM, 0));
        SHOW(label("SIOCADDRT on %s", all[i].name), ioctl(other, SIOCADDRT, &rt));
        SHOW(label("SIOCDELRT on %s", all[i].name), ioctl(other, SIOCDELRT, &rt));
        close(other);
    }
    int stream = MUST(socket(AF_INET, SOCK_STREAM, 0));
    struct rtentry rt = entry("10.70.0.0", N24, NULL, "ro2", RTF_UP);
    SHOW("SIOCADDRT on inet stream", ioctl(stream, SIOCADDRT, &rt));
    SHOW("SIOCDELRT on inet stream", ioctl(stream, SIOCDELRT, &rt));
    SHOW("SIOCRTMSG", ioctl(stream, SIOCRTMSG, &rt));
    close(stream);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sock6 = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int tun = tun_with("ro0", IFF_TUN, "10.9.0.1", N24), down = tun_attach("ro1", IFF_TUN | IFF_NO_PI, 0);
    int tap = tun_with("ro2", IFF_TAP, "10.8.0.1", N24);
    refusals();
    kept();
    taken();
    ipv6_on("ro1");
    v6();
    sockets();
    close(tun);
    show_routes("routes of a deleted interface", "ro9");
    show_lines("reject outlives it", "/proc/net/route", "*", 0);
    close(down);
    close(tap);
    return 0;
}
