/* Datagrams that a program receives: parts of them, looks at them, what control messages say, sizes
 * and fragments, interfaces, groups, a queue that is full. */
#include "far.h"

static far tun, tap;
static unsigned char buf[70000], data[70000];

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

static int bound(const char *address, int port)
{
    int sock = new_socket();
    MUST(bind_to(sock, address, port));
    return sock;
}

static void come(const void *what, size_t len, int port) { far_udp(&tun, FAR, 9000, OWN, port, what, len); }

static int there(int sock) { return EVENTUALLY(now_events(sock, POLLIN), SOON); }

static int queue(int sock, unsigned long request)
{
    int n = -1;
    return ioctl(sock, request, &n) ? -1 : n;
}

static void receive(const char *what, int sock, size_t room, int flags)
{
    ssize_t n = recv(sock, buf, room, flags | MSG_DONTWAIT);
    show_data(what, n < (ssize_t)room ? n : (ssize_t)room, buf);
}

static void parts(void)
{
    int sock = bound(OWN, 5000);
    SHOW("FIONREAD of nothing", queue(sock, FIONREAD));
    show_state("poll of nothing", sock, 0);
    come("", 0, 5000);
    there(sock);
    show_state("an empty one, poll", sock, POLLIN);
    SHOW("an empty one, FIONREAD", queue(sock, FIONREAD));
    SHOW("an empty one, recv", recv(sock, buf, 10, 0));
    come("0123456789", 10, 5000);
    there(sock);
    SHOW("FIONREAD", queue(sock, FIONREAD));
    receive("PEEK", sock, 100, MSG_PEEK);
    receive("PEEK of 4", sock, 4, MSG_PEEK);
    SHOW("PEEK and TRUNC of 4", recv(sock, buf, 4, MSG_PEEK | MSG_TRUNC));
    SHOW("PEEK of nothing", recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC));
    receive("recv of 4", sock, 4, 0);
    receive("the rest is gone", sock, 100, 0);
    come("0123456789", 10, 5000);
    there(sock);
    SHOW("TRUNC of 4", recv(sock, buf, 4, MSG_TRUNC));
    come("0123456789", 10, 5000);
    there(sock);
    struct iovec iov[2] = { { buf, 3 }, { buf + 100, 4 } };
    name from = { .len = sizeof from.room };
    struct msghdr m = { .msg_name = &from.sa, .msg_namelen = from.len, .msg_iov = iov, .msg_iovlen = 2 };
    ssize_t n = recvmsg(sock, &m, 0);
    from.len = m.msg_namelen;
    say("recvmsg", "%zd '%.3s' '%.4s' from %s flags=0x%x", n, buf, buf + 100, shown(&from), m.msg_flags);
    come("abc", 3, 5000);
    there(sock);
    m.msg_namelen = sizeof from.room;
    n = recvmsg(sock, &m, 0);
    say("recvmsg, all", "%zd '%.3s' flags=0x%x", n, buf, m.msg_flags);
    come("for readv", 9, 5000);
    there(sock);
    SHOW("readv", readv(sock, iov, 2));
    come("first", 5, 5000);
    come("second", 6, 5000);
    come("third", 5, 5000);
    (void)EVENTUALLY(queue(sock, FIONREAD) == 5, SOON);
    pause_ms(20);
    static char rooms[4][100];
    static name names[4];
    struct iovec iovs[4];
    struct mmsghdr all[4];
    memset(all, 0, sizeof all);
    for (int i = 0; i < 4; i++) {
        iovs[i] = (struct iovec){ rooms[i], i == 1 ? 3 : 100 };
        all[i].msg_hdr = (struct msghdr){ .msg_name = &names[i].sa, .msg_namelen = sizeof names[i].room, .msg_iov = &iovs[i],
                                          .msg_iovlen = 1 };
    }
    SHOW("recvmmsg", recvmmsg(sock, all, 4, MSG_DONTWAIT, NULL));
    for (int i = 0; i < 3; i++) {
        names[i].len = all[i].msg_hdr.msg_namelen;
        say(label("recvmmsg, number %d", i), "%u '%.*s' from %s flags=0x%x", all[i].msg_len, (int)all[i].msg_len, rooms[i],
            shown(&names[i]), all[i].msg_hdr.msg_flags);
    }
    SHOW("recvmmsg of nothing", recvmmsg(sock, all, 4, MSG_DONTWAIT, NULL));
    come("x", 1, 5000);
    struct timespec limit = { 1, 0 };
    there(sock);
    SHOW("recvmmsg, WAITFORONE", recvmmsg(sock, all, 4, MSG_WAITFORONE, &limit));
    struct timeval timeout = { .tv_usec = 30000 };
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    SHOW("SO_RCVTIMEO", recv(sock, buf, 10, 0));
    come("cut name", 8, 5000);
    there(sock);
    socklen_t len = 4;
    unsigned char cut[8] = { 0 };
    char text[20];
    SHOW("name cut", recvfrom(sock, buf, 100, 0, (struct sockaddr *)cut, &len));
    say("name cut, then", "len=%d %s", len, hex(text, cut + 2, 2));
    come("x", 1, 5000);
    there(sock);
    SHOW("a bad buffer", recv(sock, BAD_POINTER, 10, MSG_DONTWAIT));
    SHOW("after a bad buffer", recv(sock, buf, 10, MSG_DONTWAIT));
    come("x", 1, 5000);
    there(sock);
    SHOW("a bad name", recvfrom(sock, buf, 10, MSG_DONTWAIT, BAD_POINTER, &len));
    SHOW("MSG_OOB", recv(sock, buf, 10, MSG_OOB));
    reader r;
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0 }, sizeof timeout);
    reader_start(&r, sock, 100);
    come("awaited", 7, 5000);
    reader_show(&r, "a blocking read", SOON);
    reader_join(&r);
    close(sock);
    sock = new_socket();
    MUST(bind_to(sock, OWN, 5001));
    MUST(connect_to(sock, FAR, 9000));
    reader_start(&r, sock, 100);
    shutdown(sock, SHUT_RD);
    reader_show(&r, "a blocking read that is shut down", SOON);
    reader_join(&r);
    close(sock);
}

static void sizes(void)
{
    static const int all[] = { 1, 1452, 1472, 1473, 9000, 60000, 65487, 65507 };
    int sock = bound(OWN, 5000);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i * 7;
    option(sock, SOL_SOCKET, SO_RCVBUF, 1000000);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] <= 1472)
            come(data, all[i], 5000);
        else
            far_udp_fragments(&tun, FAR, 9000, OWN, 5000, data, all[i], 1400, -1, 0);
        there(sock);
        ssize_t n = recv(sock, buf, sizeof buf, MSG_DONTWAIT);
        say(label("%d bytes", all[i]), "%zd right %d", n, n == all[i] && !memcmp(buf, data, n));
    }
    far_udp_fragments(&tun, FAR, 9000, OWN, 5000, data, 5000, 1400, -1, 1);
    there(sock);
    SHOW("fragments, the last first", recv(sock, buf, sizeof buf, MSG_DONTWAIT));
    far_udp_fragments(&tun, FAR, 9000, OWN, 5000, data, 5000, 1400, 1, 0);
    come("behind", 6, 5000);
    there(sock);
    receive("fragments, one is missing", sock, 100, 0);
    far_udp_fragments(&tap, TAP_FAR, 9000, OWN, 5000, data, 3000, 1400, -1, 0);
    there(sock);
    SHOW("fragments over the tap", recv(sock, buf, sizeof buf, MSG_DONTWAIT));
    /* A packet bigger than the interface's mtu. */
    come(data, 20000, 5000);
    there(sock);
    SHOW("a packet of 20000 bytes", recv(sock, buf, sizeof buf, MSG_DONTWAIT));
    /* A wrong checksum. */
    unsigned char p[20];
    udp_header(p, 9000, 5000, 4);
    memcpy(p + 8, "data", 4);
    put16(p + 6, 0x1234);
    far_send(&tun, FAR, OWN, IPPROTO_UDP, p, 12, -1);
    put16(p + 6, 0);
    far_send(&tun, FAR, OWN, IPPROTO_UDP, p, 12, -1);
    (void)EVENTUALLY(now_events(sock, POLLIN), FAMILY == AF_INET6 ? NEVER : SOON);
    receive("without a checksum", sock, 100, 0);
    receive("with a wrong checksum", sock, 100, 0);
    udp_header(p, 9000, 5000, 2);
    memcpy(p + 8, "data", 4);
    far_send(&tun, FAR, OWN, IPPROTO_UDP, p, 12, 6);
    udp_header(p, 9000, 5000, 9);
    far_send(&tun, FAR, OWN, IPPROTO_UDP, p, 12, 6);
    pause_ms(20);
    receive("a length that is not the packet's", sock, 100, 0);
    close(sock);
    far_drain(&tun);
}

/* One line with the control messages of what comes. */
static void show_messages(const char *what, int sock)
{
    char control[1000], line[1000] = "", text[80];
    struct iovec iov = { buf, 100 };
    name from = { .len = 0 };
    struct msghdr m = { .msg_name = &from.sa, .msg_namelen = sizeof from.room, .msg_iov = &iov, .msg_iovlen = 1,
                        .msg_control = control, .msg_controllen = sizeof control };
    there(sock);
    ssize_t n = recvmsg(sock, &m, MSG_DONTWAIT);
    if (n < 0) {
        show(what, n);
        return;
    }
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        unsigned char *d = CMSG_DATA(h);
        int value = 0;
        if (h->cmsg_len == CMSG_LEN(4))
            memcpy(&value, d, 4);
        if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *info = (void *)d;
            char other[40];
            append(line, sizeof line, " pktinfo %s/%s %s", inet_ntop(AF_INET, &info->ipi_addr, text, 40),
                   inet_ntop(AF_INET, &info->ipi_spec_dst, other, 40),
                   info->ipi_ifindex == if_index("tun0") ? "tun0" : info->ipi_ifindex == if_index("tap0") ? "tap0"
                   : info->ipi_ifindex == if_index("lo") ? "lo" : "none");
        } else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *info = (void *)d;
            append(line, sizeof line, " pktinfo %s %s", inet_ntop(AF_INET6, &info->ipi6_addr, text, 80),
                   info->ipi6_ifindex == (unsigned)if_index("tun0") ? "tun0"
                   : info->ipi6_ifindex == (unsigned)if_index("tap0") ? "tap0"
                   : info->ipi6_ifindex == (unsigned)if_index("lo") ? "lo" : "none");
        } else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TTL)
            append(line, sizeof line, " ttl %d", value);
        else if (h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_TOS)
            append(line, sizeof line, " tos %d", *d);
        else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_HOPLIMIT)
            append(line, sizeof line, " hops %d", value);
        else if (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_TCLASS)
            append(line, sizeof line, " class %d", value);
        else if ((h->cmsg_level == IPPROTO_IP && h->cmsg_type == IP_ORIGDSTADDR)
                 || (h->cmsg_level == IPPROTO_IPV6 && h->cmsg_type == IPV6_ORIGDSTADDR)) {
            name to = { .len = h->cmsg_len - CMSG_LEN(0) };
            memcpy(&to, d, to.len);
            append(line, sizeof line, " origdst %s", shown(&to));
        } else if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMP)
            append(line, sizeof line, " timestamp");
        else
            append(line, sizeof line, " %d/%d of %zu", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
    }
    from.len = m.msg_namelen;
    say(what, "%zd from %s flags=0x%x%s", n, shown(&from), m.msg_flags, line);
}

/* Levels, types and lengths of the messages that have room. */
static void show_room(const char *what, int sock, size_t room)
{
    char control[256] __attribute__((aligned(8))), line[200] = "";
    struct iovec iov = { buf, 10 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room };
    there(sock);
    int n = recvmsg(sock, &m, 0);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
        append(line, sizeof line, " %d/%d of %zu", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len);
    say(what, "%d flags=0x%x length=%zu%s", n, m.msg_flags, (size_t)m.msg_controllen, line);
}

static void messages(void)
{
    int sock = bound(ANY, 5000);
#ifdef V6
    SHOW("RECVPKTINFO", option(sock, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
#else
    SHOW("PKTINFO", option(sock, IPPROTO_IP, IP_PKTINFO, 1));
#endif
    come("x", 1, 5000);
    show_messages("pktinfo, tunnel", sock);
    far_udp(&tun, FAR, 9000, OWN2, 5000, "x", 1);
    show_messages("pktinfo, second address", sock);
    far_udp(&tap, TAP_FAR, 9000, TAP_OWN, 5000, "x", 1);
    show_messages("pktinfo, tap", sock);
    far_udp(&tun, FAR, 9000, TAP_OWN, 5000, "x", 1);
    show_messages("pktinfo, the tap's address by the tunnel", sock);
    int other = new_socket();
    send_to(other, LOOP, 5000, "x", 1);
    show_messages("pktinfo, loopback", sock);
    send_to(other, OWN, 5000, "x", 1);
    show_messages("pktinfo, own address", sock);
    close(other);
#ifdef V6
    SHOW("RECVHOPLIMIT", option(sock, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1));
    SHOW("RECVTCLASS", option(sock, IPPROTO_IPV6, IPV6_RECVTCLASS, 1));
    SHOW("RECVORIGDSTADDR", option(sock, IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1));
#else
    SHOW("RECVTTL", option(sock, IPPROTO_IP, IP_RECVTTL, 1));
    SHOW("RECVTOS", option(sock, IPPROTO_IP, IP_RECVTOS, 1));
    SHOW("RECVORIGDSTADDR", option(sock, IPPROTO_IP, IP_RECVORIGDSTADDR, 1));
#endif
    far_ttl = 17;
    far_tos = 0xb8;
    come("x", 1, 5000);
    show_messages("ttl and tos", sock);
    far_ttl = 255;
    far_tos = 3;
    far_udp(&tap, TAP_FAR, 9000, TAP_OWN, 5000, "x", 1);
    show_messages("ttl 255 and congestion", sock);
    other = new_socket();
    send_to(other, OWN, 5000, "x", 1);
    show_messages("ttl and congestion, own address", sock);
    send_to(other, LOOP, 5000, "x", 1);
    show_messages("ttl and congestion, loopback", sock);
    static const size_t rooms[] = { 0, 15, 16, 18, 20, 24, 28, 32, 36, 40, 44, 60, 64, 66, 68, 80, 90, 100, 110, 120 };
    for (size_t i = 0; i < 2 * sizeof rooms / sizeof *rooms; i++) {
        char what[60];
        size_t room = rooms[i / 2];
        snprintf(what, sizeof what, "room of %zu, %s", room, i % 2 ? "own address" : "tunnel");
        if (i % 2)
            send_to(other, OWN, 5000, "x", 1);
        else
            come("x", 1, 5000);
        show_room(what, sock, room);
    }
    close(other);
    far_ttl = 64;
    far_tos = 0;
    SHOW("SO_TIMESTAMP", option(sock, SOL_SOCKET, SO_TIMESTAMP, 1));
    come("x", 1, 5000);
    show_messages("timestamp", sock);
    come("x", 1, 5000);
    there(sock);
    char little[CMSG_SPACE(4)];
    struct iovec iov = { buf, 10 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = little, .msg_controllen = sizeof little };
    SHOW("no room for messages", recvmsg(sock, &m, 0));
    say("no room for messages, flags", "0x%x", m.msg_flags);
    SHOW("SIOCGSTAMP", ({ struct timeval t; ioctl(sock, 0x8906, &t); }));
    close(sock);
}

static void devices(void)
{
    int on_tap = new_socket(), all = new_socket();
    MUST(setsockopt(on_tap, SOL_SOCKET, SO_BINDTODEVICE, "tap0", 5));
    MUST(bind_to(on_tap, ANY, 5000));
    come("tunnel", 6, 5000);
    far_udp(&tap, TAP_FAR, 9000, TAP_OWN, 5000, "tap", 3);
    there(on_tap);
    receive("bound to the tap", on_tap, 100, 0);
    receive("bound to the tap, nothing more", on_tap, 100, 0);
    far_udp(&tap, TAP_FAR, 9000, OWN, 5000, "other", 5);
    there(on_tap);
    receive("bound to the tap, another interface's address", on_tap, 100, 0);
    close(on_tap);
    MUST(bind_to(all, ANY, 5000));
    MUST(setsockopt(all, SOL_SOCKET, SO_BINDTODEVICE, "tun0", 5));
    come("tunnel", 6, 5000);
    far_udp(&tap, TAP_FAR, 9000, TAP_OWN, 5000, "tap", 3);
    there(all);
    receive("bound to the tunnel later", all, 100, 0);
    receive("bound to the tunnel later, nothing more", all, 100, 0);
    close(all);
    far_drain(&tun);
    far_drain(&tap);
    /* Frames that are for others. */
    int sock = bound(ANY, 5000);
    unsigned char p[20], out[100];
    udp_header(p, 9000, 5000, 1);
    p[8] = 'x';
    int v6 = FAMILY == AF_INET6;
    unsigned char src[16], dst[16];
    inet_pton(FAMILY, TAP_FAR, src);
    inet_pton(FAMILY, TAP_OWN, dst);
    put16(p + 6, upper_checksum(v6, src, dst, IPPROTO_UDP, p, 9));
    size_t at = link_header(&tap, out, v6, dst);
    out[5] = 7;
    at += ip_header(out + at, TAP_FAR, TAP_OWN, IPPROTO_UDP, 9, 0);
    memcpy(out + at, p, 9);
    MUST(write(tap.fd, out, at + 9));
    pause_ms(20);
    receive("a frame for another host", sock, 100, 0);
    memset(out, 0xff, 6);
    MUST(write(tap.fd, out, at + 9));
    (void)EVENTUALLY(now_events(sock, POLLIN), NEVER);
    receive("a frame for all with an address of one", sock, 100, 0);
    far_udp(&tun, FAR, 9000, FAR2, 5000, "x", 1);
    pause_ms(20);
    receive("a packet for another host", sock, 100, 0);
    far_udp(&tun, OWN, 9000, OWN, 5000, "x", 1);
    pause_ms(20);
    receive("a packet from an own address", sock, 100, 0);
    close(sock);
    far_drain(&tun);
    far_drain(&tap);
}

static void groups(void)
{
    int sock = bound(ANY, 5000);
#ifdef V6
    const char *group = "ff15::7", *other = "ff15::8";
    struct ipv6_mreq join = { .ipv6mr_interface = if_index("tun0") };
    inet_pton(AF_INET6, group, &join.ipv6mr_multiaddr);
    int level = IPPROTO_IPV6, add = IPV6_JOIN_GROUP, drop = IPV6_LEAVE_GROUP;
#else
    const char *group = "239.1.2.3", *other = "239.1.2.4";
    struct ip_mreqn join = { .imr_ifindex = if_index("tun0") };
    inet_pton(AF_INET, group, &join.imr_multiaddr);
    int level = IPPROTO_IP, add = IP_ADD_MEMBERSHIP, drop = IP_DROP_MEMBERSHIP;
    far_udp(&tap, TAP_FAR, 9000, "10.9.1.255", 5000, "all", 3);
    there(sock);
    receive("broadcast", sock, 100, 0);
    far_udp(&tap, TAP_FAR, 9000, "255.255.255.255", 5000, "all", 3);
    there(sock);
    receive("broadcast of all", sock, 100, 0);
    far_udp(&tun, FAR, 9000, "10.9.0.255", 5000, "all", 3);
    there(sock);
    receive("broadcast of the tunnel's network", sock, 100, 0);
    int special = new_socket(), of_all = new_socket();
    option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    option(special, SOL_SOCKET, SO_REUSEADDR, 1);
    option(of_all, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(special, TAP_OWN, 5000));
    MUST(bind_to(of_all, "10.9.1.255", 5000));
    far_udp(&tap, TAP_FAR, 9000, "10.9.1.255", 5000, "all", 3);
    there(sock);
    there(of_all);
    receive("broadcast, the wildcard", sock, 100, 0);
    receive("broadcast, bound to it", of_all, 100, 0);
    receive("broadcast, bound to the address", special, 100, 0);
    close(special);
    close(of_all);
#endif
    far_udp(&tun, FAR, 9000, group, 5000, "no", 2);
    pause_ms(20);
    receive("a group that nobody joined", sock, 100, 0);
    SHOW("join", setsockopt(sock, level, add, &join, sizeof join));
    SHOW("join again", setsockopt(sock, level, add, &join, sizeof join));
    far_udp(&tun, FAR, 9000, group, 5000, "yes", 3);
    there(sock);
    receive("the group", sock, 100, 0);
    far_udp(&tun, FAR, 9000, other, 5000, "no", 2);
    far_udp(&tap, TAP_FAR, 9000, group, 5000, "no", 2);
    pause_ms(20);
    receive("another group, and another interface", sock, 100, 0);
    int second = new_socket();
    option(sock, SOL_SOCKET, SO_REUSEADDR, 1);
    option(second, SOL_SOCKET, SO_REUSEADDR, 1);
    MUST(bind_to(second, group, 5000));
    far_udp(&tun, FAR, 9000, group, 5000, "both", 4);
    there(sock);
    there(second);
    receive("two sockets, the first", sock, 100, 0);
    receive("two sockets, the second", second, 100, 0);
    close(second);
    SHOW("leave", setsockopt(sock, level, drop, &join, sizeof join));
    SHOW("leave again", setsockopt(sock, level, drop, &join, sizeof join));
    far_udp(&tun, FAR, 9000, group, 5000, "no", 2);
    pause_ms(20);
    receive("the group, left", sock, 100, 0);
    close(sock);
    far_drain(&tun);
    far_drain(&tap);
}

static void full(void)
{
    int sock = bound(OWN, 5000), kept = 0, in_order = 1;
    SHOW("SO_RCVBUF", option(sock, SOL_SOCKET, SO_RCVBUF, 20000));
    SHOW("SO_RCVBUF is read", option_of(sock, SOL_SOCKET, SO_RCVBUF));
    for (int i = 0; i < 300; i++) {
        put32(data, i);
        come(data, 100, 5000);
    }
    (void)EVENTUALLY(queue(sock, FIONREAD) > 0, SOON);
    pause_ms(50);
    while (recv(sock, buf, sizeof buf, MSG_DONTWAIT) == 100)
        in_order &= get32(buf) == (uint32_t)kept++;
    say("300 for a small buffer", "some kept %d, the first ones %d", kept > 20 && kept < 100, in_order);
    close(sock);
    sock = bound(OWN, 5000);
    option(sock, SOL_SOCKET, SO_RCVBUF, 1000000);
    kept = 0;
    for (int i = 0; i < 200; i++) {
        put32(data, i);
        come(data, 100, 5000);
    }
    while (EVENTUALLY(now_events(sock, POLLIN), kept < 200 ? SOON : 0) && recv(sock, buf, sizeof buf, MSG_DONTWAIT) == 100)
        in_order &= get32(buf) == (uint32_t)kept++;
    say("200 for a big buffer", "kept %d, in order %d", kept, in_order);
    /* epoll, edge-triggered: each datagram is an event. */
    int ep = MUST(epoll_create1(0));
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
    char text[160];
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, sock, &e));
    int n = epoll_wait(ep, &e, 1, SOON);
    say("edge, at first", "%d %s", n, poll_bits(text, e.events));
    SHOW("edge, nothing more", epoll_wait(ep, &e, 1, 0));
    for (int i = 0; i < 2; i++) {
        come("x", 1, 5000);
        n = epoll_wait(ep, &e, 1, SOON);
        say(label("edge, datagram %d", i), "%d %s", n, poll_bits(text, e.events));
    }
    e.events = EPOLLIN | EPOLLONESHOT;
    MUST(epoll_ctl(ep, EPOLL_CTL_MOD, sock, &e));
    SHOW("oneshot", epoll_wait(ep, &e, 1, SOON));
    come("x", 1, 5000);
    SHOW("oneshot, nothing more", epoll_wait(ep, &e, 1, NEVER));
    close(ep);
    fcntl(sock, F_SETOWN, getpid());
    close(sock);
}

#ifdef V6
/* Datagrams of IPv4 on a socket of IPv6. */
static void mapped(void)
{
    static seen s;
    add_address("tun0", "10.9.0.1");
    int sock = bound("::", 5000);
    option(sock, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    far_udp(&tun, "10.9.0.2", 9000, "10.9.0.1", 5000, "four", 4);
    show_messages("mapped, comes", sock);
    SHOW("mapped, sendto", send_to(sock, "::ffff:10.9.0.2", 9000, "four", 4));
    show_next("mapped, packet", &tun, &s);
    far_udp(&tun, FAR, 9000, OWN, 5000, "six", 3);
    show_messages("mapped, six comes", sock);
    close(sock);
    sock = new_socket();
    option(sock, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    MUST(bind_to(sock, "::", 5000));
    far_udp(&tun, "10.9.0.2", 9000, "10.9.0.1", 5000, "four", 4);
    far_udp(&tun, FAR, 9000, OWN, 5000, "six", 3);
    there(sock);
    receive("only, six comes", sock, 100, 0);
    receive("only, nothing more", sock, 100, 0);
    SHOW("only, sendto mapped", send_to(sock, "::ffff:10.9.0.2", 9000, "four", 4));
    close(sock);
    far_drain(&tun);
    sock = new_socket();
    SHOW("mapped, connect", connect_to(sock, "::ffff:10.9.0.2", 9000));
    show_own("mapped, name", sock);
    show_peer("mapped, peer", sock);
    SHOW("mapped, send", send(sock, "four", 4, 0));
    show_next("mapped, packet of the connected one", &tun, &s);
    close(sock);
    MUST(add_address6("tun0", "fe80::1", 64));
    ipv6_settled("tun0");
    sock = bound("::", 5000);
    far_udp(&tun, "fe80::2", 9000, "fe80::1", 5000, "link", 4);
    show_messages("from an address of the link", sock);
    name n = any_name("fe80::2", 9000);
    SHOW("to an address of the link without a link", sendto(sock, "x", 1, 0, &n.sa, n.len));
    far_drain(&tun);
    n.in6.sin6_scope_id = if_index("tun0");
    SHOW("to an address of the link", sendto(sock, "link", 4, 0, &n.sa, n.len));
    show_next("to an address of the link, packet", &tun, &s);
    close(sock);
}
#endif

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    parts();
    sizes();
    messages();
    devices();
    groups();
    full();
#ifdef V6
    mapped();
#endif
    return 0;
}
