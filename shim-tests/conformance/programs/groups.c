/* Groups that are joined and left without naming an interface: a route says which one is meant. */
#include "host.h"
#include <net/route.h>

static int sock, sock6;

/* A request about the route to a network of groups over an interface. */
static int route(unsigned long request, const char *to, const char *mask, const char *dev)
{
    struct rtentry r = { .rt_dst = inet(to), .rt_genmask = inet(mask), .rt_flags = RTF_UP, .rt_dev = (char *)dev };
    return ioctl(sock, request, &r);
}

static int by_address(int option, const char *group, const char *address)
{
    struct ip_mreq r = { { inet_addr(group) }, { inet_addr(address) } };
    return setsockopt(sock, IPPROTO_IP, option, &r, sizeof r);
}

static int by_index(int option, const char *group, int index)
{
    struct ip_mreqn r = { .imr_multiaddr = { inet_addr(group) }, .imr_ifindex = index };
    return setsockopt(sock, IPPROTO_IP, option, &r, sizeof r);
}

static int by_family(int option, const char *group, int index)
{
    struct group_req r = { .gr_interface = index };
    struct sockaddr address = inet(group);
    memcpy(&r.gr_group, &address, sizeof address);
    return setsockopt(sock, IPPROTO_IP, option, &r, sizeof r);
}

static int v6(int option, const char *group, int index)
{
    struct ipv6_mreq r = { .ipv6mr_interface = index };
    inet_pton(AF_INET6, group, &r.ipv6mr_multiaddr);
    return setsockopt(sock6, IPPROTO_IPV6, option, &r, sizeof r);
}

#define ANY "0.0.0.0"

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sock6 = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int tun = tun_with("gr0", IFF_TUN, "10.8.0.1", "255.255.255.0");
    int tap = tun_with("gr1", IFF_TAP, "10.9.0.1", "255.255.255.0");
    int first = if_index("gr0"), second = if_index("gr1");

    SHOW("without a route", by_address(IP_ADD_MEMBERSHIP, "239.1.2.3", ANY));
    SHOW("by family without a route", by_family(MCAST_JOIN_GROUP, "239.1.2.3", 0));
    SHOW("leave without a route", by_address(IP_DROP_MEMBERSHIP, "239.1.2.3", ANY));
    SHOW("route to all groups", route(SIOCADDRT, "224.0.0.0", "240.0.0.0", "gr0"));
    SHOW("route to some", route(SIOCADDRT, "239.9.0.0", "255.255.0.0", "gr1"));
    SHOW("by address 0", by_address(IP_ADD_MEMBERSHIP, "239.1.2.3", ANY));
    SHOW("by address 0 again", by_address(IP_ADD_MEMBERSHIP, "239.1.2.3", ANY));
    SHOW("the same by index", by_index(IP_ADD_MEMBERSHIP, "239.1.2.3", first));
    SHOW("the same on the other", by_index(IP_ADD_MEMBERSHIP, "239.1.2.3", second));
    SHOW("by index 0", by_index(IP_ADD_MEMBERSHIP, "239.1.2.4", 0));
    SHOW("the same by address", by_address(IP_ADD_MEMBERSHIP, "239.1.2.4", "10.8.0.1"));
    SHOW("by family and index 0", by_family(MCAST_JOIN_GROUP, "239.1.2.5", 0));
    SHOW("the same by family and index", by_family(MCAST_JOIN_GROUP, "239.1.2.5", first));
    SHOW("by the longer route", by_address(IP_ADD_MEMBERSHIP, "239.9.2.3", ANY));
    SHOW("the same by its index", by_index(IP_ADD_MEMBERSHIP, "239.9.2.3", second));
    SHOW("on the first", by_index(IP_ADD_MEMBERSHIP, "239.9.2.3", first));
    SHOW("leave by address 0", by_address(IP_DROP_MEMBERSHIP, "239.1.2.4", ANY));
    SHOW("leave again", by_index(IP_DROP_MEMBERSHIP, "239.1.2.4", first));
    SHOW("no group", by_address(IP_ADD_MEMBERSHIP, "10.8.0.9", ANY));
    SHOW("no group by family", by_family(MCAST_JOIN_GROUP, "10.8.0.9", 0));
    SHOW("route to all groups goes", route(SIOCDELRT, "224.0.0.0", "240.0.0.0", "gr0"));
    SHOW("without a route again", by_address(IP_ADD_MEMBERSHIP, "239.1.2.9", ANY));
    SHOW("by the route that is left", by_address(IP_ADD_MEMBERSHIP, "239.9.2.9", ANY));
    SHOW("IPv6 by index", v6(IPV6_JOIN_GROUP, "ff15::2", second));
    SHOW("IPv6 by index again", v6(IPV6_JOIN_GROUP, "ff15::2", second));
    SHOW("IPv6 no group", v6(IPV6_JOIN_GROUP, "fd00::2", 0));
    close(tun);
    close(tap);
    return 0;
}
