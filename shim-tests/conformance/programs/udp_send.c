/* Datagrams that a program sends: sizes, the calls, what control messages and options say, several
 * interfaces, neighbours on a tap, groups and broadcasts. */
#include "far.h"

static far tun, tap;
static seen s;
static unsigned char buf[70000];

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

/* All packets of one datagram, one line each. */
static void show_parts(const char *what, const far *f)
{
    size_t whole = 0;
    int count = 0, right = 1;
    char line[400] = "";
    while (far_next(f, &s, count ? NEVER : SOON)) {
        size_t len = s.proto == IPPROTO_UDP && !s.offset ? s.len + 8 : s.len;
        if (count < 3)
            append(line, sizeof line, " %u+%zu%s%s", s.offset, len, s.more ? " more" : "", s.df ? " DF" : "");
        whole += len;
        right &= s.right;
        count++;
        if (!s.more)
            break;
    }
    say(what, "%d packets, %zu bytes, right %d,%s", count, whole, right, line);
}

static void sizes(void)
{
    static const int all[] = { 0, 1, 1452, 1453, 1472, 1473, 3000, 9000, 65487, 65507 };
    int sock = new_socket();
    MUST(bind_to(sock, OWN, 5000));
    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = i;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        SHOW(label("%d bytes", all[i]), send_to(sock, FAR, 9000, buf, all[i]));
        show_parts(label("%d bytes, packets", all[i]), &tun);
    }
    SHOW("65508 bytes", send_to(sock, FAR, 9000, buf, 65508));
    far_drain(&tun);
    SHOW("65536 bytes", send_to(sock, FAR, 9000, buf, 65536));
    MUST(if_set_mtu("tun0", 1280));
    SHOW("mtu 1280, 1300 bytes", send_to(sock, FAR, 9000, buf, 1300));
    show_parts("mtu 1280, packets", &tun);
    MUST(if_set_mtu("tun0", 1500));
    close(sock);
}

static void calls(void)
{
    int sock = new_socket();
    MUST(bind_to(sock, OWN, 5000));
    name n = any_name(FAR, 9000);
    struct iovec iov[3] = { { "one ", 4 }, { "", 0 }, { "two", 3 } };
    struct msghdr m = { .msg_name = &n.sa, .msg_namelen = n.len, .msg_iov = iov, .msg_iovlen = 3 };
    SHOW("sendmsg", sendmsg(sock, &m, 0));
    show_next("sendmsg, packet", &tun, &s);
    m.msg_iovlen = 0;
    SHOW("sendmsg of nothing", sendmsg(sock, &m, 0));
    show_next("sendmsg of nothing, packet", &tun, &s);
    name n2 = any_name(TAP_FAR, 9001);
    struct iovec more[3] = { { "first", 5 }, { "second", 6 }, { "third", 5 } };
    struct mmsghdr all[3] = {
        { .msg_hdr = { .msg_name = &n.sa, .msg_namelen = n.len, .msg_iov = more, .msg_iovlen = 1 } },
        { .msg_hdr = { .msg_name = &n2.sa, .msg_namelen = n2.len, .msg_iov = more + 1, .msg_iovlen = 1 } },
        { .msg_hdr = { .msg_name = &n.sa, .msg_namelen = n.len, .msg_iov = more + 2, .msg_iovlen = 1 } },
    };
    SHOW("sendmmsg", sendmmsg(sock, all, 3, 0));
    say("sendmmsg, lengths", "%u %u %u", all[0].msg_len, all[1].msg_len, all[2].msg_len);
    show_next("sendmmsg, first packet", &tun, &s);
    show_next("sendmmsg, packet on the tap", &tap, &s);
    show_next("sendmmsg, last packet", &tun, &s);
    all[1].msg_hdr.msg_namelen = 3;
    SHOW("sendmmsg, the second wrong", sendmmsg(sock, all, 3, 0));
    show_next("sendmmsg, the second wrong, packet", &tun, &s);
    show_nothing("sendmmsg, the second wrong, no more", &tun, &s);
    all[0].msg_hdr.msg_namelen = 3;
    SHOW("sendmmsg, the first wrong", sendmmsg(sock, all, 3, 0));
    SHOW("MSG_MORE", sendto(sock, "put ", 4, MSG_MORE, &n.sa, n.len));
    show_nothing("MSG_MORE, nothing yet", &tun, &s);
    SHOW("behind MSG_MORE", sendto(sock, "together", 8, 0, &n.sa, n.len));
    show_next("behind MSG_MORE, packet", &tun, &s);
    SHOW("UDP_CORK", option(sock, IPPROTO_UDP, UDP_CORK, 1));
    SHOW("corked", send_to(sock, FAR, 9000, "corked ", 7));
    SHOW("corked, more", send_to(sock, FAR, 9000, "as one", 6));
    show_nothing("corked, nothing yet", &tun, &s);
    SHOW("uncorked", option(sock, IPPROTO_UDP, UDP_CORK, 0));
    show_next("uncorked, packet", &tun, &s);
    SHOW("MSG_DONTWAIT", sendto(sock, "x", 1, MSG_DONTWAIT, &n.sa, n.len));
    SHOW("MSG_OOB", sendto(sock, "x", 1, MSG_OOB, &n.sa, n.len));
    SHOW("MSG_CONFIRM", sendto(sock, "x", 1, MSG_CONFIRM, &n.sa, n.len));
    far_drain(&tun);
    SHOW("without a name", send(sock, "x", 1, 0));
    SHOW("a name that is too short", sendto(sock, "x", 1, 0, &n.sa, 5));
    SHOW("a bad name", sendto(sock, "x", 1, 0, BAD_POINTER, n.len));
    SHOW("bad data", sendto(sock, BAD_POINTER, 10, 0, &n.sa, n.len));
    n.sa.sa_family = AF_UNIX;
    SHOW("another family", sendto(sock, "x", 1, 0, &n.sa, n.len));
    SHOW("port 0", send_to(sock, FAR, 0, "x", 1));
    show_nothing("all that, no packet", &tun, &s);
    SHOW("shut down for reading", shutdown(sock, SHUT_RD));
    MUST(connect_to(sock, FAR, 9000));
    SHOW("shut down for writing", shutdown(sock, SHUT_WR));
    SHOW("shut down, send", send(sock, "x", 1, 0));
    close(sock);
}

/* A control message with one number. */
static ssize_t send_with(int sock, const char *address, int level, int type, const void *value, size_t size)
{
    char control[CMSG_SPACE(64)] = { 0 };
    name n = any_name(address, 9000);
    struct iovec iov = { "told", 4 };
    struct msghdr m = { .msg_name = &n.sa, .msg_namelen = n.len, .msg_iov = &iov, .msg_iovlen = 1,
                        .msg_control = control, .msg_controllen = CMSG_SPACE(size) };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = level;
    h->cmsg_type = type;
    h->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(h), value, size);
    return sendmsg(sock, &m, 0);
}

static void headers(void)
{
    int sock = new_socket();
    far_drain(&tun);
#ifdef V6
    int level = IPPROTO_IPV6, ttl = IPV6_UNICAST_HOPS, tos = IPV6_TCLASS, ttl_message = IPV6_HOPLIMIT, tos_message = IPV6_TCLASS;
#else
    int level = IPPROTO_IP, ttl = IP_TTL, tos = IP_TOS, ttl_message = IP_TTL, tos_message = IP_TOS;
#endif
    SHOW("ttl at first", option_of(sock, level, ttl));
    SHOW("tos at first", option_of(sock, level, tos));
    SHOW("ttl 9", option(sock, level, ttl, 9));
    SHOW("tos 0x28", option(sock, level, tos, 0x28));
    SHOW("sent with both", send_to(sock, FAR, 9000, "x", 1));
    show_next("ttl and tos", &tun, &s);
    SHOW("ttl by a message", send_with(sock, FAR, level, ttl_message, &(int){ 5 }, 4));
    show_next("ttl by a message, packet", &tun, &s);
    SHOW("tos by a message", send_with(sock, FAR, level, tos_message, &(int){ 0x10 }, 4));
    show_next("tos by a message, packet", &tun, &s);
    SHOW("ttl 0", option(sock, level, ttl, 0));
    SHOW("ttl 256", option(sock, level, ttl, 256));
    SHOW("ttl -1", option(sock, level, ttl, -1));
    SHOW("ttl by a message, 0", send_with(sock, FAR, level, ttl_message, &(int){ 0 }, 4));
    SHOW("ttl by a message, 256", send_with(sock, FAR, level, ttl_message, &(int){ 256 }, 4));
    far_drain(&tun);
    close(sock);
    sock = new_socket();
#ifdef V6
    SHOW("TTL of IPv4 on IPv6", option(sock, IPPROTO_IP, IP_TTL, 9));
    struct in6_pktinfo info = { .ipi6_ifindex = 0 };
    inet_pton(AF_INET6, OWN2, &info.ipi6_addr);
    SHOW("source by PKTINFO", send_with(sock, FAR, level, IPV6_PKTINFO, &info, sizeof info));
    show_next("source by PKTINFO, packet", &tun, &s);
    inet_pton(AF_INET6, BEYOND, &info.ipi6_addr);
    SHOW("a foreign source by PKTINFO", send_with(sock, FAR, level, IPV6_PKTINFO, &info, sizeof info));
    info = (struct in6_pktinfo){ .ipi6_ifindex = if_index("tap0") };
    SHOW("interface by PKTINFO", send_with(sock, TAP_FAR, level, IPV6_PKTINFO, &info, sizeof info));
    show_next("interface by PKTINFO, packet", &tap, &s);
    info.ipi6_ifindex = 9999;
    SHOW("no interface by PKTINFO", send_with(sock, FAR, level, IPV6_PKTINFO, &info, sizeof info));
    SHOW("DONTFRAG", option(sock, level, IPV6_DONTFRAG, 1));
    SHOW("DONTFRAG, 2000 bytes", send_to(sock, FAR, 9000, buf, 2000));
    option(sock, level, IPV6_DONTFRAG, 0);
    SHOW("MTU_DISCOVER", option_of(sock, level, IPV6_MTU_DISCOVER));
    SHOW("MTU of an unconnected socket", option_of(sock, level, IPV6_MTU));
    SHOW("MTU_DISCOVER is DO", option(sock, level, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO));
    SHOW("DO, 2000 bytes", send_to(sock, FAR, 9000, buf, 2000));
    far_drain(&tun);
    SHOW("DO, 1000 bytes", send_to(sock, FAR, 9000, buf, 1000));
    show_parts("DO, packets", &tun);
    MUST(connect_to(sock, FAR, 9000));
    SHOW("MTU of a connected socket", option_of(sock, level, IPV6_MTU));
#else
    struct in_pktinfo info = { 0 };
    inet_pton(AF_INET, OWN2, &info.ipi_spec_dst);
    SHOW("source by PKTINFO", send_with(sock, FAR, level, IP_PKTINFO, &info, sizeof info));
    show_next("source by PKTINFO, packet", &tun, &s);
    inet_pton(AF_INET, BEYOND, &info.ipi_spec_dst);
    SHOW("a foreign source by PKTINFO", send_with(sock, FAR, level, IP_PKTINFO, &info, sizeof info));
    far_drain(&tun);
    info = (struct in_pktinfo){ .ipi_ifindex = if_index("tap0") };
    SHOW("interface by PKTINFO", send_with(sock, TAP_FAR, level, IP_PKTINFO, &info, sizeof info));
    show_next("interface by PKTINFO, packet", &tap, &s);
    info.ipi_ifindex = 9999;
    SHOW("no interface by PKTINFO", send_with(sock, FAR, level, IP_PKTINFO, &info, sizeof info));
    SHOW("MTU_DISCOVER", option_of(sock, level, IP_MTU_DISCOVER));
    SHOW("MTU of an unconnected socket", option_of(sock, level, IP_MTU));
    SHOW("MTU_DISCOVER is DONT", option(sock, level, IP_MTU_DISCOVER, IP_PMTUDISC_DONT));
    SHOW("DONT, sendto", send_to(sock, FAR, 9000, "x", 1));
    show_next("DONT, packet", &tun, &s);
    SHOW("MTU_DISCOVER is DO", option(sock, level, IP_MTU_DISCOVER, IP_PMTUDISC_DO));
    SHOW("DO, 2000 bytes", send_to(sock, FAR, 9000, buf, 2000));
    SHOW("DO, 1000 bytes", send_to(sock, FAR, 9000, buf, 1000));
    show_parts("DO, packets", &tun);
    SHOW("MTU_DISCOVER is PROBE", option(sock, level, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE));
    SHOW("PROBE, 2000 bytes", send_to(sock, FAR, 9000, buf, 2000));
    far_drain(&tun);
    MUST(connect_to(sock, FAR, 9000));
    SHOW("MTU of a connected socket", option_of(sock, level, IP_MTU));
#endif
    close(sock);
    far_drain(&tun);
}

static void segments(void)
{
    int sock = new_socket();
    MUST(bind_to(sock, OWN, 5000));
    SHOW("UDP_SEGMENT", option(sock, IPPROTO_UDP, UDP_SEGMENT, 500));
    SHOW("1200 bytes in segments of 500", send_to(sock, FAR, 9000, buf, 1200));
    for (int i = 0; i < 3; i++) {
        int came = far_next(&tun, &s, SOON);
        say(label("segment %d", i), "%zu bytes, right %d", came ? s.len : 0, came && s.right);
    }
    SHOW("UDP_SEGMENT is read", option_of(sock, IPPROTO_UDP, UDP_SEGMENT));
    option(sock, IPPROTO_UDP, UDP_SEGMENT, 0);
    SHOW("UDP_SEGMENT by a message", send_with(sock, FAR, IPPROTO_UDP, UDP_SEGMENT, &(uint16_t){ 3 }, 2));
    show_next("UDP_SEGMENT by a message, first", &tun, &s);
    show_next("UDP_SEGMENT by a message, second", &tun, &s);
    SHOW("UDP_SEGMENT of -1", option(sock, IPPROTO_UDP, UDP_SEGMENT, -1));
    SHOW("UDP_GRO", option(sock, IPPROTO_UDP, UDP_GRO, 1));
    if (FAMILY == AF_INET) {
        SHOW("SO_NO_CHECK", option(sock, SOL_SOCKET, SO_NO_CHECK, 1));
        SHOW("SO_NO_CHECK, sendto", send_to(sock, FAR, 9000, "x", 1));
        int came = far_next(&tun, &s, SOON);
        say("SO_NO_CHECK, checksum is there", "%d", came && get16(s.data - 2) != 0);
    }
    close(sock);
}

static void devices(void)
{
    int sock = new_socket();
    SHOW("SO_BINDTODEVICE", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "tap0", 5));
    SHOW("to the tap", send_to(sock, TAP_FAR, 9000, "tap", 3));
    show_next("to the tap, packet", &tap, &s);
    SHOW("to the tunnel's network over the tap", send_to(sock, FAR, 9000, "x", 1));
    far_drain(&tap);
    SHOW("SO_BINDTODEVICE off", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    SHOW("off, to the tunnel", send_to(sock, FAR, 9000, "tun", 3));
    show_next("off, packet", &tun, &s);
    SHOW("SO_BINDTODEVICE lo", setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    SHOW("lo, to the tunnel", send_to(sock, FAR, 9000, "x", 1));
    close(sock);
    sock = new_socket();
    MUST(bind_to(sock, OWN, 5000));
    SHOW("the tunnel's address, to the tap", send_to(sock, TAP_FAR, 9000, "x", 1));
    show_next("the tunnel's address, packet on the tap", &tap, &s);
    char text[20];
    say("the frame on the tap is for", "%s", hex(text, s.to_mac, 6));
    close(sock);
}

/* What a tap does for a host that it does not know. */
static void neighbours(void)
{
    int sock = new_socket();
    MUST(bind_to(sock, TAP_OWN, 5000));
    far silent = tap;
    char text[60];
    SHOW("to a host that is silent", send_to(sock, TAP_FAR2, 9000, "one", 3));
    SHOW("to it again", send_to(sock, TAP_FAR2, 9000, "two", 3));
    struct pollfd p = { .fd = tap.fd, .events = POLLIN };
    poll(&p, 1, SOON);
    ssize_t n = read(tap.fd, s.raw, sizeof s.raw);
    if (n >= 42 && get16(s.raw + 12) == 0x0806)
        say("it is looked for", "ARP to %s for %s", hex(text, s.raw, 6), hex(text + 20, s.raw + 38, 4));
    else if (n > 60 && s.raw[54] == 135)
        say("it is looked for", "ND to %s, hops %d", hex(text, s.raw, 6), s.raw[21]);
    else
        say("it is looked for", "%zd", n);
    silent.far = TAP_FAR2;
    /* It answers now. */
    far_neighbour(&silent, s.raw, n);
    show_next("first datagram", &silent, &s);
    show_next("second datagram", &silent, &s);
    SHOW("to a known one", send_to(sock, TAP_FAR2, 9000, "three", 5));
    show_next("third datagram", &silent, &s);
    close(sock);
}

static void groups(void)
{
    int sock = new_socket();
    char text[20];
#ifdef V6
    const char *group = "ff15::7";
    int level = IPPROTO_IPV6;
    SHOW("group without an interface", send_to(sock, group, 9000, "x", 1));
    far_drain(&tun);
    far_drain(&tap);
    SHOW("MULTICAST_IF", option(sock, level, IPV6_MULTICAST_IF, if_index("tap0")));
    SHOW("group over the tap", send_to(sock, group, 9000, "group", 5));
    show_next("group over the tap, packet", &tap, &s);
    say("its frame is for a group", "%s", hex(text, s.to_mac, 6));
    SHOW("MULTICAST_HOPS", option(sock, level, IPV6_MULTICAST_HOPS, 7));
    SHOW("group with hops", send_to(sock, group, 9000, "group", 5));
    show_next("group with hops, packet", &tap, &s);
    name n = any_name("ff02::7", 9000);
    n.in6.sin6_scope_id = if_index("tun0");
    int other = new_socket();
    SHOW("group of a link", sendto(other, "link", 4, 0, &n.sa, n.len));
    show_next("group of a link, packet", &tun, &s);
    close(other);
#else
    const char *group = "239.1.2.3";
    int level = IPPROTO_IP;
    SHOW("broadcast without SO_BROADCAST", send_to(sock, "10.9.1.255", 9000, "x", 1));
    SHOW("broadcast of all without SO_BROADCAST", send_to(sock, "255.255.255.255", 9000, "x", 1));
    SHOW("connect to the broadcast address", connect_to(sock, "10.9.1.255", 9000));
    option(sock, SOL_SOCKET, SO_BROADCAST, 1);
    SHOW("broadcast over the tap", send_to(sock, "10.9.1.255", 9000, "all", 3));
    show_next("broadcast, packet", &tap, &s);
    say("its frame is for", "%s", hex(text, s.to_mac, 6));
    SHOW("broadcast over the tunnel", send_to(sock, "10.9.0.255", 9000, "all", 3));
    show_next("broadcast, packet in the tunnel", &tun, &s);
    SHOW("connect to the broadcast address then", connect_to(sock, "10.9.1.255", 9000));
    SHOW("connected to it, send", send(sock, "all", 3, 0));
    show_next("connected to it, packet", &tap, &s);
    close(sock);
    sock = new_socket();
    option(sock, SOL_SOCKET, SO_BROADCAST, 1);
    SHOW("broadcast of all without a route", send_to(sock, "255.255.255.255", 9000, "x", 1));
    setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "tap0", 5);
    SHOW("broadcast of all over a device", send_to(sock, "255.255.255.255", 9000, "all", 3));
    show_next("broadcast of all, packet", &tap, &s);
    close(sock);
    sock = new_socket();
    SHOW("group without a route", send_to(sock, group, 9000, "x", 1));
    struct ip_mreqn on = { .imr_ifindex = if_index("tap0") };
    SHOW("MULTICAST_IF", setsockopt(sock, level, IP_MULTICAST_IF, &on, sizeof on));
    SHOW("group over the tap", send_to(sock, group, 9000, "group", 5));
    show_next("group over the tap, packet", &tap, &s);
    say("its frame is for a group", "%s", hex(text, s.to_mac, 6));
    SHOW("MULTICAST_TTL", option(sock, level, IP_MULTICAST_TTL, 7));
    SHOW("group with ttl", send_to(sock, group, 9000, "group", 5));
    show_next("group with ttl, packet", &tap, &s);
    struct in_addr by_address;
    inet_pton(AF_INET, OWN2, &by_address);
    SHOW("MULTICAST_IF by address", setsockopt(sock, level, IP_MULTICAST_IF, &by_address, sizeof by_address));
    SHOW("group over the tunnel", send_to(sock, group, 9000, "group", 5));
    show_next("group over the tunnel, packet", &tun, &s);
#endif
    close(sock);
    far_drain(&tun);
    far_drain(&tap);
}

static void many(void)
{
    int sock = new_socket(), failed = 0, came = 0;
    MUST(bind_to(sock, OWN, 5000));
    for (int i = 0; i < 300; i++) {
        put32(buf, i);
        failed += send_to(sock, FAR, 9000, buf, 100) != 100;
    }
    int in_order = 1;
    while (came < 300 && far_next(&tun, &s, NEVER))
        in_order &= get32(s.data) == (uint32_t)came++;
    say("300 at once", "failed %d, came %d, in order %d", failed, came, in_order);
    for (int i = 0; i < 3000; i++)
        failed += send_to(sock, FAR, 9000, buf, 100) != 100;
    for (came = 0; far_next(&tun, &s, NEVER); came++)
        ;
    say("3000 at once", "failed %d, a queue full came %d", failed, came > 400 && came < 600);
    SHOW("SIOCOUTQ", ({ int n = -1; ioctl(sock, 0x5411, &n); n; }));
    SHOW("SO_SNDBUF of 4608, set", option(sock, SOL_SOCKET, SO_SNDBUF, 4608));
    fcntl(sock, F_SETFL, O_NONBLOCK);
    SHOW("more than SO_SNDBUF", send_to(sock, FAR, 9000, buf, 20000));
    far_drain(&tun);
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    sizes();
    calls();
    headers();
    segments();
    devices();
    neighbours();
    groups();
    many();
    return 0;
}
