/* What libc tells of interfaces: getifaddrs, if_nameindex, if_nametoindex; and what sockets take an
   interface by: SO_BINDTODEVICE, multicast groups, IP_UNICAST_IF. */
#include "host.h"
#include <ifaddrs.h>
#include <netdb.h>
#include <net/route.h>
#include <netinet/in.h>
#include <linux/if_packet.h>
#include <linux/if_link.h>

/* Newer than some headers. */
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

static char *address(char out[80], const struct sockaddr *sa)
{
    char text[60];
    if (!sa)
        return strcpy(out, "NULL");
    if (sa->sa_family == AF_INET)
        snprintf(out, 80, "%s", inet_ntop(AF_INET, &((struct sockaddr_in *)sa)->sin_addr, text, sizeof text));
    else if (sa->sa_family == AF_INET6)
        snprintf(out, 80, "%s%%%d", inet_ntop(AF_INET6, &((struct sockaddr_in6 *)sa)->sin6_addr, text, sizeof text),
                 ((struct sockaddr_in6 *)sa)->sin6_scope_id != 0);
    else if (sa->sa_family == AF_PACKET) {
        const struct sockaddr_ll *ll = (const struct sockaddr_ll *)sa;
        snprintf(out, 80, "packet proto=%d index=%d type=%d pkt=%d len=%d", ll->sll_protocol, ll->sll_ifindex > 0,
                 ll->sll_hatype, ll->sll_pkttype, ll->sll_halen);
    } else
        snprintf(out, 80, "family %d", sa->sa_family);
    return out;
}

/* Every entry of interfaces whose name starts so, in their order. */
static void list(const char *what, const char *name)
{
    struct ifaddrs *all, *at;
    char prefix[100], own[80], mask[80], far[80], bits[200];
    int n = 0;
    snprintf(prefix, sizeof prefix, "%s", what);
    if (getifaddrs(&all)) {
        show(prefix, -1);
        return;
    }
    for (at = all; at; at = at->ifa_next)
        if (!strncmp(at->ifa_name, name, strlen(name))) {
            say(label("%s, entry %d", prefix, ++n), "%s flags=%s addr=%s mask=%s far=%s data=%s", at->ifa_name,
                if_flag_bits(bits, at->ifa_flags), address(own, at->ifa_addr), address(mask, at->ifa_netmask),
                address(far, at->ifa_dstaddr), at->ifa_data ? "set" : "NULL");
        }
    freeifaddrs(all);
    say(label("%s, entries", prefix), "%d", n);
}

static void counters(const char *what, const char *name)
{
    struct ifaddrs *all, *at;
    MUST(getifaddrs(&all));
    for (at = all; at; at = at->ifa_next)
        if (!strcmp(at->ifa_name, name) && at->ifa_data) {
            const struct rtnl_link_stats *s = at->ifa_data;
            say(what, "rx=%u/%u drop=%u tx=%u/%u drop=%u", s->rx_packets, s->rx_bytes, s->rx_dropped, s->tx_packets,
                s->tx_bytes, s->tx_dropped);
        }
    freeifaddrs(all);
}

static void add6(const char *name, const char *text, uint32_t prefix)
{
    struct { struct in6_addr address; uint32_t prefix; int index; } in6 = { .prefix = prefix, .index = if_index(name) };
    int sock = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    inet_pton(AF_INET6, text, &in6.address);
    MUST(ioctl(sock, SIOCSIFADDR, &in6));
    close(sock);
}

static void addresses(void)
{
    unsigned char data[100];
    list("none", "ga");
    int tun = tun_attach("ga0", IFF_TUN | IFF_NO_PI, O_NONBLOCK), tap = tun_attach("ga1", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    list("fresh", "ga");
    MUST(set_address(SIOCSIFADDR, "ga0", "10.9.0.1"));
    MUST(set_address(SIOCSIFADDR, "ga1", "10.8.0.1"));
    list("addresses", "ga");
    MUST(set_address(SIOCSIFNETMASK, "ga0", "255.255.255.0"));
    MUST(set_address(SIOCSIFDSTADDR, "ga0", "10.9.0.2"));
    MUST(set_address(SIOCSIFBRDADDR, "ga0", "10.9.0.255"));
    MUST(set_address(SIOCSIFADDR, "ga0:x", "10.9.0.7"));
    MUST(set_address(SIOCSIFADDR, "ga1:1", "192.0.2.1"));
    MUST(set_address(SIOCSIFBRDADDR, "ga1", "0.0.0.0"));
    list("peer and aliases", "ga");
    ipv6_on("ga0");
    ipv6_on("ga1");
    add6("ga0", "2001:db8::1", 64);
    add6("ga1", "fe80::77", 64);
    add6("ga1", "2001:db8:1::1", 126);
    link_up("ga0", 1);
    link_up("ga1", 1);
    list("up, with IPv6", "ga");
    SHOW("mtu 1000", if_set_mtu("ga0", 1000));
    list("without IPv6", "ga0");
    link_up("ga1", 0);
    list("down", "ga1");
    counters("counters", "ga0");
    driver d = drv_attach("ga0");
    write(tun, packet(data, 60), 60) == 60 ? (void)0 : die("write");
    drv_packet(&d, 80);
    counters("counters before the read", "ga0");
    SHOW("read", read(tun, data, sizeof data));
    counters("counters after a packet each way", "ga0");
    drv_detach(&d);
    close(tun);
    list("one is gone", "ga");
    close(tap);
}

static void no_index(const char *what, const char *name)
{
    errno = 0;
    unsigned index = if_nametoindex(name);
    say(what, "%u %s", index, errno_name(errno));
}

static void names(void)
{
    char text[IF_NAMESIZE];
    int tun = tun_attach("gn0", IFF_TUN | IFF_NO_PI, 0), tap = tun_attach("gn1", IFF_TAP | IFF_NO_PI, 0);
    int index = if_index("gn0"), found = 0, order = 1;
    MUST(set_address(SIOCSIFADDR, "gn0:5", "10.9.0.1"));
    struct if_nameindex *all = if_nameindex(), *at;
    unsigned before = 0;
    for (at = all; at->if_index; at++) {
        found += !strncmp(at->if_name, "gn", 2);
        order &= at->if_index > before;
        before = at->if_index;
    }
    if_freenameindex(all);
    say("if_nameindex", "found=%d ascending=%d", found, order);
    say("if_nametoindex of an alias", "%d", if_nametoindex("gn0:5") == (unsigned)index);
    say("if_nametoindex of an alias without address", "%d", if_nametoindex("gn0:77") == (unsigned)index);
    no_index("if_nametoindex of none", "nothere");
    no_index("if_nametoindex of nothing", "");
    no_index("if_nametoindex of 16 bytes", "0123456789abcdef");
    no_index("if_nametoindex of 40 bytes", "0123456789abcdef0123456789abcdef01234567");
    errno = 0;
    say("if_indextoname 0", "%s", if_indextoname(0, text) ? text : errno_name(errno));
    errno = 0;
    say("if_indextoname of none", "%s", if_indextoname(99999999, text) ? text : errno_name(errno));
    struct ifreq ifr = { .ifr_newname = "gn9" };
    MUST(if_request(SIOCSIFNAME, &ifr, "gn0"));
    say("if_indextoname after renaming", "%s", if_indextoname(index, text) ? text : errno_name(errno));
    close(tun);
    close(tap);
}

static void bound(const char *what, int sock)
{
    char name[40] = "????????????????????";
    socklen_t len = sizeof name;
    int result = getsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, name, &len);
    if (result)
        show(what, -1);
    else
        say(what, "0 '%.*s' len=%d", len ? (int)len - 1 : 0, name, (int)len);
}

static void bind_to_device(void)
{
    struct ifreq ifr = { .ifr_name = "gb0" };
    int tun = tun_with("gb0", IFF_TUN, "10.9.0.1", "255.255.255.0"), index = if_index("gb0"), value;
    int sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    socklen_t len = sizeof value;
    bound("SO_BINDTODEVICE, none", sock);
    SHOW("bind to it", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0", 4));
    bound("bound", sock);
    MUST(getsockopt(sock, SOL_SOCKET, SO_BINDTOIFINDEX, &value, &len));
    say("SO_BINDTOIFINDEX says", "%d", value == index);
    SHOW("bind without the NUL", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0", 3));
    SHOW("bind with two of three bytes", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0", 2));
    bound("still bound", sock);
    SHOW("bind by an ifreq", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, &ifr, sizeof ifr));
    SHOW("bind by an alias", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0:1", 6));
    SHOW("bind to none", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "nothere", 8));
    SHOW("bind to a long name", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0aaaaaaaaaaaaaaaaaaaaa", 24));
    SHOW("bind, NULL", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, NULL, 4));
    SHOW("bind, negative length", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0", -1));
    bound("bound as before", sock);
    char small[4];
    len = 2;
    SHOW("get with too little room", getsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, small, &len));
    len = 16;
    SHOW("get, NULL", getsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, NULL, &len));
    SHOW("unbind by length 0", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    bound("unbound", sock);
    SHOW("bind again", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0", 4));
    SHOW("unbind by an empty name", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "", 1));
    bound("unbound again", sock);
    SHOW("SO_BINDTOIFINDEX", setsockopt(sock, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index));
    bound("bound by index", sock);
    value = 99999999;
    SHOW("SO_BINDTOIFINDEX of none", setsockopt(sock, SOL_SOCKET, SO_BINDTOIFINDEX, &value, sizeof value));
    value = -1;
    SHOW("SO_BINDTOIFINDEX -1", setsockopt(sock, SOL_SOCKET, SO_BINDTOIFINDEX, &value, sizeof value));
    value = 0;
    SHOW("SO_BINDTOIFINDEX 0", setsockopt(sock, SOL_SOCKET, SO_BINDTOIFINDEX, &value, sizeof value));
    bound("unbound by index", sock);
    MUST(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "gb0", 4));
    struct ifreq newname = { .ifr_newname = "gb9" };
    MUST(if_request(SIOCSIFNAME, &newname, "gb0"));
    bound("after renaming", sock);
    close(tun);
    bound("after deletion", sock);
    close(sock);
}

static void multicast(void)
{
    int tun = tun_with("gm0", IFF_TUN, "10.9.0.1", "255.255.255.0"), index = if_index("gm0");
    int down = tun_attach("gm1", IFF_TUN | IFF_NO_PI, 0), value;
    int sock = MUST(socket(AF_INET, SOCK_DGRAM, 0)), sock6 = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    struct ip_mreqn by_index = { .imr_ifindex = index, .imr_multiaddr.s_addr = inet_addr("239.1.2.3") };
    struct ip_mreqn got;
    struct in_addr at;
    socklen_t len;
    SHOW("IP_MULTICAST_IF by index", setsockopt(sock, IPPROTO_IP, IP_MULTICAST_IF, &by_index, sizeof by_index));
    len = sizeof at;
    MUST(getsockopt(sock, IPPROTO_IP, IP_MULTICAST_IF, &at, &len));
    say("IP_MULTICAST_IF says", "%s len=%d", inet_ntoa(at), (int)len);
    at.s_addr = inet_addr("10.9.0.1");
    SHOW("IP_MULTICAST_IF by address", setsockopt(sock, IPPROTO_IP, IP_MULTICAST_IF, &at, sizeof at));
    at.s_addr = inet_addr("10.9.0.77");
    SHOW("IP_MULTICAST_IF by another's address", setsockopt(sock, IPPROTO_IP, IP_MULTICAST_IF, &at, sizeof at));
    got = (struct ip_mreqn){ .imr_ifindex = 99999999 };
    SHOW("IP_MULTICAST_IF of none", setsockopt(sock, IPPROTO_IP, IP_MULTICAST_IF, &got, sizeof got));
    SHOW("IP_ADD_MEMBERSHIP by index", setsockopt(sock, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof by_index));
    SHOW("IP_ADD_MEMBERSHIP again", setsockopt(sock, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof by_index));
    struct ip_mreq by_address = { { inet_addr("239.1.2.4") }, { inet_addr("10.9.0.1") } };
    SHOW("IP_ADD_MEMBERSHIP by address", setsockopt(sock, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof by_address));
    by_address.imr_interface.s_addr = inet_addr("10.9.0.77");
    SHOW("IP_ADD_MEMBERSHIP by another's address",
         setsockopt(sock, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof by_address));
    by_index.imr_ifindex = 99999999;
    SHOW("IP_ADD_MEMBERSHIP of none", setsockopt(sock, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof by_index));
    by_index.imr_ifindex = if_index("gm1");
    SHOW("IP_ADD_MEMBERSHIP of the down one", setsockopt(sock, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof by_index));
    by_index.imr_ifindex = index;
    SHOW("IP_DROP_MEMBERSHIP", setsockopt(sock, IPPROTO_IP, IP_DROP_MEMBERSHIP, &by_index, sizeof by_index));
    SHOW("IP_DROP_MEMBERSHIP again", setsockopt(sock, IPPROTO_IP, IP_DROP_MEMBERSHIP, &by_index, sizeof by_index));
    struct group_req group = { .gr_interface = index };
    struct sockaddr g = inet("239.9.9.9");
    memcpy(&group.gr_group, &g, sizeof g);
    SHOW("MCAST_JOIN_GROUP", setsockopt(sock, IPPROTO_IP, MCAST_JOIN_GROUP, &group, sizeof group));
    ipv6_on("gm0");
    SHOW("IPV6_MULTICAST_IF", setsockopt(sock6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
    len = sizeof value;
    MUST(getsockopt(sock6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &value, &len));
    say("IPV6_MULTICAST_IF says", "%d", value == index);
    value = 99999999;
    SHOW("IPV6_MULTICAST_IF of none", setsockopt(sock6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &value, sizeof value));
    struct ipv6_mreq mreq6 = { .ipv6mr_interface = index };
    inet_pton(AF_INET6, "ff02::1:2:3", &mreq6.ipv6mr_multiaddr);
    SHOW("IPV6_JOIN_GROUP", setsockopt(sock6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mreq6, sizeof mreq6));
    SHOW("IPV6_JOIN_GROUP again", setsockopt(sock6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mreq6, sizeof mreq6));
    SHOW("IPV6_LEAVE_GROUP", setsockopt(sock6, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &mreq6, sizeof mreq6));
    mreq6.ipv6mr_interface = 99999999;
    SHOW("IPV6_JOIN_GROUP of none", setsockopt(sock6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &mreq6, sizeof mreq6));
    value = htonl(index);
    SHOW("IP_UNICAST_IF", setsockopt(sock, IPPROTO_IP, IP_UNICAST_IF, &value, sizeof value));
    len = sizeof value;
    value = 0;
    MUST(getsockopt(sock, IPPROTO_IP, IP_UNICAST_IF, &value, &len));
    say("IP_UNICAST_IF says", "%d", value == (int)htonl(index));
    value = htonl(99999999);
    SHOW("IP_UNICAST_IF of none", setsockopt(sock, IPPROTO_IP, IP_UNICAST_IF, &value, sizeof value));
    value = htonl(index);
    SHOW("IPV6_UNICAST_IF", setsockopt(sock6, IPPROTO_IPV6, IPV6_UNICAST_IF, &value, sizeof value));
    struct sockaddr_in6 local = { .sin6_family = AF_INET6, .sin6_scope_id = index };
    inet_pton(AF_INET6, "fe80::123", &local.sin6_addr);
    SHOW("bind to a link-local address that is not there", bind(sock6, (struct sockaddr *)&local, sizeof local));
    local.sin6_scope_id = 99999999;
    SHOW("bind to a link-local address, no such scope", bind(sock6, (struct sockaddr *)&local, sizeof local));
    local.sin6_scope_id = 0;
    SHOW("bind to a link-local address without scope", bind(sock6, (struct sockaddr *)&local, sizeof local));
    close(sock);
    close(sock6);
    close(tun);
    close(down);
}

static void addresses_of_sockets(void)
{
    static const char *const all[] = { "10.9.0.1", "10.9.0.7", "10.9.0.8", "10.9.0.255", "10.9.0.0", "10.9.1.1" };
    int tun = tun_with("gs0", IFF_TUN, "10.9.0.1", "255.255.255.0");
    MUST(set_address(SIOCSIFADDR, "gs0:1", "10.9.0.7"));
    for (int up = 1; up >= 0; up--) {
        link_up("gs0", up);
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            int sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
            struct sockaddr sa = inet(all[i]);
            SHOW(label("bind to %s, %s", all[i], up ? "up" : "down"), bind(sock, &sa, sizeof sa));
            close(sock);
        }
    }
    close(tun);
}

/* What libc says where nobody has asked for an interface before. */
static void alone(void)
{
    char text[IF_NAMESIZE];
    struct if_nameindex *all = if_nameindex();
    say("alone, if_nametoindex of lo", "%u", if_nametoindex("lo"));
    say("alone, if_indextoname of 1", "%s", if_indextoname(1, text) ? text : errno_name(errno));
    say("alone, the first of if_nameindex", "%u %s", all->if_index, all->if_name ? all->if_name : "");
    if_freenameindex(all);
}

/* Addresses with the name of an interface behind them. */
static void scopes(void)
{
    static const char *const nodes[] = { "fe80::1%sc0", "ff02::1%sc0", "ff05::1%sc0", "fd00::1%sc0", "fe80::1%nothing", "fe80::1%",
                                         "fe80::1%4711", "fe80::1%0", "10.9.0.1%sc0", "fe80::1%sc0 " };
    int tun = tun_attach("sc0", IFF_TUN | IFF_NO_PI, 0);
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM }, *found;
    char host[100];
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        int answer = getaddrinfo(nodes[i], "7", &hints, &found);
        if (answer) {
            say(label("getaddrinfo %zu, %s", i, nodes[i] + strcspn(nodes[i], "%")), "%d", answer);
            continue;
        }
        const struct sockaddr_in6 *in6 = (const void *)found->ai_addr;
        unsigned scope = in6->sin6_scope_id;
        say(label("getaddrinfo %zu, %s", i, nodes[i] + strcspn(nodes[i], "%")), "0 scope %s",
            scope == if_nametoindex("sc0") ? "of it" : scope == 4711 ? "4711" : scope ? "other" : "0");
        answer = getnameinfo(found->ai_addr, found->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
        say(label("getnameinfo %zu", i), "%d %s", answer, host);
        freeaddrinfo(found);
    }
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex("sc0") };
    in6.sin6_addr.s6_addr[0] = 0xfe, in6.sin6_addr.s6_addr[1] = 0x80, in6.sin6_addr.s6_addr[15] = 1;
    for (size_t room = 8; room < 13; room++)
        say(label("getnameinfo, %zu bytes", room), "%d",
            getnameinfo((struct sockaddr *)&in6, sizeof in6, host, room, NULL, 0, NI_NUMERICHOST));
    // Only addresses of one link have the name of an interface behind them.
    static const unsigned char others[][2] = { { 0xfe, 0xbf }, { 0xfe, 0xc0 }, { 0xff, 1 }, { 0xff, 0x12 }, { 0xff, 5 }, { 0x20, 1 } };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        memcpy(in6.sin6_addr.s6_addr, others[i], 2);
        int answer = getnameinfo((struct sockaddr *)&in6, sizeof in6, host, sizeof host, NULL, 0, NI_NUMERICHOST);
        const char *scope = answer ? "%" : host + strcspn(host, "%");
        int number = strtoul(scope + 1, NULL, 10) == in6.sin6_scope_id;
        say(label("getnameinfo of %02x%02x::", others[i][0], others[i][1]), "%d %s", answer, number ? "number" : scope);
    }
    // What is wrong beside the name is told as it is for names of interfaces that are there.
    static const struct addrinfo wrong[] = { { .ai_flags = AI_NUMERICHOST, .ai_family = AF_INET }, { .ai_flags = 0x8000000 },
                                             { .ai_flags = AI_NUMERICHOST, .ai_family = 99 },
                                             { .ai_flags = AI_NUMERICHOST, .ai_socktype = 99 },
                                             { .ai_flags = AI_NUMERICHOST | AI_CANONNAME, .ai_socktype = SOCK_DGRAM } };
    for (size_t i = 0; i < 2 * sizeof wrong / sizeof *wrong; i++) {
        const char *node = i % 2 ? "fe80::1%nothing" : "fe80::1%sc0";
        int answer = getaddrinfo(node, "7", &wrong[i / 2], &found);
        const char *name = answer || !found->ai_canonname ? "none" : found->ai_canonname;
        say(label("getaddrinfo, wrong %zu of %s", i / 2, node), "%d, name %s", answer, name);
        if (!answer)
            freeaddrinfo(found);
    }
    say("an unknown service", "%d", getaddrinfo("fe80::1%nothing", "nothing", &hints, &found));
    close(tun);
    say("gone", "%d", getaddrinfo("fe80::1%sc0", "7", &hints, &found));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    alone();
    plain_sysctls();
    addresses();
    names();
    bind_to_device();
    multicast();
    addresses_of_sockets();
    scopes();
    return 0;
}
