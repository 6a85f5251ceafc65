/* Options of UDP sockets that few programs set: what they say, and what they do to a datagram. */
#include "far.h"
#include <sys/uio.h>

static far tun, tap;
static seen s;
static unsigned char buf[70000];

#ifndef UDP_NO_CHECK6_TX
#define UDP_NO_CHECK6_TX 101
#define UDP_NO_CHECK6_RX 102
#endif

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

static int bound(int port)
{
    int sock = new_socket();
    MUST(bind_to(sock, OWN, port));
    return sock;
}

/* Waits for a datagram, and shows it with the kinds of its control messages. */
static void receive_with(const char *what, int sock, size_t room, int flags)
{
    char control[400], text[300] = "";
    struct iovec iov = { buf, room };
    name from = { 0 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
                        .msg_name = &from.sa, .msg_namelen = sizeof from.room };
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    ssize_t n = recvmsg(sock, &m, MSG_DONTWAIT | flags);
    if (n < 0) {
        show(what, n);
        return;
    }
    from.len = m.msg_namelen;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
        append(text, sizeof text, " [%d %d len=%zu]", h->cmsg_level, h->cmsg_type, (size_t)h->cmsg_len - CMSG_LEN(0));
    char data[160];
    say(what, "%zd from %s flags=%x%s %s", n, shown(&from), m.msg_flags, text, describe_data(data, buf, (size_t)n < room ? (size_t)n : room));
}

static void receive(const char *what, int sock) { receive_with(what, sock, 2000, 0); }

static void comes(int port, const char *text) { far_udp(&tun, FAR, 9000, OWN, port, text, strlen(text)); }

static void peeking(void)
{
    int sock = bound(5000);
    comes(5000, "abcdefgh");
    comes(5000, "second");
    receive_with("MSG_PEEK", sock, 3, MSG_PEEK);
    receive_with("MSG_PEEK and MSG_TRUNC", sock, 3, MSG_PEEK | MSG_TRUNC);
    SHOW("SO_PEEK_OFF at first", option_of(sock, SOL_SOCKET, SO_PEEK_OFF));
    SHOW("SO_PEEK_OFF", option(sock, SOL_SOCKET, SO_PEEK_OFF, 2));
    receive_with("peek at 2", sock, 3, MSG_PEEK);
    receive_with("peek behind it", sock, 2, MSG_PEEK);
    SHOW("SO_PEEK_OFF then", option_of(sock, SOL_SOCKET, SO_PEEK_OFF));
    SHOW("FIONREAD", ({ int n = -1; ioctl(sock, 0x541b, &n); n; }));
    receive_with("MSG_TRUNC", sock, 3, MSG_TRUNC);
    receive_with("too little room", sock, 3, 0);
    receive("nothing more", sock);
    close(sock);
}

static void told(void)
{
    static const struct { const char *name; int level, option; } all[] = {
        { "SO_TIMESTAMP", SOL_SOCKET, SO_TIMESTAMP },
        { "SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS },
        { "SO_RXQ_OVFL", SOL_SOCKET, SO_RXQ_OVFL },
#ifdef V6
        { "RECVFRAGSIZE", IPPROTO_IPV6, 77 },
        { "RECVRTHDR", IPPROTO_IPV6, IPV6_RECVRTHDR },
        { "RECVHOPOPTS", IPPROTO_IPV6, IPV6_RECVHOPOPTS },
#else
        { "RECVORIGDSTADDR", IPPROTO_IP, 20 },
        { "RECVFRAGSIZE", IPPROTO_IP, 25 },
        { "RECVOPTS", IPPROTO_IP, IP_RECVOPTS },
#endif
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int sock = bound(5000);
        SHOW(label("%s, set", all[i].name), option(sock, all[i].level, all[i].option, 1));
        SHOW(label("%s, get", all[i].name), option_of(sock, all[i].level, all[i].option));
        comes(5000, "told");
        receive(label("%s, told", all[i].name), sock);
        close(sock);
    }
}

static void values(void)
{
    static const struct { const char *name; int level, option, value; } all[] = {
        { "SO_MARK", SOL_SOCKET, SO_MARK, 7 },
        { "SO_PRIORITY 6", SOL_SOCKET, SO_PRIORITY, 6 },
        { "SO_BROADCAST", SOL_SOCKET, SO_BROADCAST, 1 },
        { "SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, 1 },
        { "SO_BUSY_POLL", SOL_SOCKET, SO_BUSY_POLL, 0 },
        { "UDP_NO_CHECK6_TX", IPPROTO_UDP, UDP_NO_CHECK6_TX, 1 },
        { "UDP_NO_CHECK6_RX", IPPROTO_UDP, UDP_NO_CHECK6_RX, 1 },
        { "UDP_ENCAP of 0", IPPROTO_UDP, 100, 0 },
#ifdef V6
        { "MTU_DISCOVER OMIT", IPPROTO_IPV6, IPV6_MTU_DISCOVER, 5 },
        { "MTU_DISCOVER 6", IPPROTO_IPV6, IPV6_MTU_DISCOVER, 6 },
        { "AUTOFLOWLABEL", IPPROTO_IPV6, 70, 1 },
        { "FREEBIND", IPPROTO_IPV6, 78, 1 },
        { "MINHOPCOUNT", IPPROTO_IPV6, 73, 5 },
#else
        { "MTU_DISCOVER OMIT", IPPROTO_IP, IP_MTU_DISCOVER, 5 },
        { "MTU_DISCOVER 6", IPPROTO_IP, IP_MTU_DISCOVER, 6 },
        { "FREEBIND", IPPROTO_IP, 15, 1 },
        { "BIND_ADDRESS_NO_PORT", IPPROTO_IP, 24, 1 },
        { "MINTTL", IPPROTO_IP, 21, 5 },
        { "ROUTER_ALERT", IPPROTO_IP, IP_ROUTER_ALERT, 1 },
#endif
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int sock = bound(5000);
        SHOW(label("%s, set", all[i].name), option(sock, all[i].level, all[i].option, all[i].value));
        SHOW(label("%s, get", all[i].name), option_of(sock, all[i].level, all[i].option));
        SHOW(label("%s, sendto", all[i].name), send_to(sock, FAR, 9000, "value", 5));
        show_next(label("%s, packet", all[i].name), &tun, &s);
        close(sock);
    }
}

#ifndef V6
/* Options of IPv4 that a socket puts into what it sends. What a clock says is not shown. */
static void of_header(void)
{
    static const struct { const char *name; unsigned char bytes[40]; int len; } all[] = {
        { "record route", { 7, 11, 4 }, 11 },
        { "stamps with addresses", { 68, 20, 5, 1 }, 20 },
        { "no operation", { 1, 1, 1, 1 }, 4 },
        { "router alert", { 0x94, 4, 0, 0 }, 4 },
        { "too much", { 1 }, 41 },
        { "none", { 0 }, 0 },
    };
    int sock = bound(5000);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[160];
        SHOW(label("%s, set", all[i].name), setsockopt(sock, IPPROTO_IP, IP_OPTIONS, all[i].bytes, all[i].len));
        for (int long_ = 0; long_ < 2; long_++) {
            SHOW(label("%s, sendto %d", all[i].name, long_), send_to(sock, FAR, 9000, buf, long_ ? 3000 : 4));
            for (int piece = 0; far_next(&tun, &s, piece ? NEVER : SOON); piece++) {
                unsigned char head[60];
                int len = (s.ip[0] & 15) * 4;
                memcpy(head, s.ip + 20, len - 20);
                if (head[0] == 68)
                    memset(head + 8, 0, 4);
                say(label("%s, %d, piece %d", all[i].name, long_, piece), "length %u sum %d options %s", get16(s.ip + 2),
                    ip_checksum(s.ip, len), len > 20 ? hex(text, head, len - 20) : "none");
            }
        }
    }
    close(sock);
}
#endif

static void calls(void)
{
    int sock = bound(5000);
    name n = any_name(FAR, 9000);
    SHOW("MSG_DONTROUTE", sendto(sock, "x", 1, MSG_DONTROUTE, &n.sa, n.len));
    show_next("MSG_DONTROUTE, packet", &tun, &s);
    name beyond = any_name(BEYOND, 9000);
    SHOW("MSG_DONTROUTE beyond", sendto(sock, "x", 1, MSG_DONTROUTE, &beyond.sa, beyond.len));
    SHOW("MSG_CONFIRM alone", sendto(sock, "", 0, MSG_CONFIRM, &n.sa, n.len));
    show_nothing("MSG_CONFIRM alone, no packet", &tun, &s);
    struct iovec iov[3] = { { "ab", 2 }, { BAD_POINTER, 2 }, { "ef", 2 } };
    struct msghdr m = { .msg_name = &n.sa, .msg_namelen = n.len, .msg_iov = iov, .msg_iovlen = 3 };
    SHOW("a bad part", sendmsg(sock, &m, 0));
    iov[1] = (struct iovec){ NULL, 0 };
    SHOW("a part of nothing", sendmsg(sock, &m, 0));
    show_next("a part of nothing, packet", &tun, &s);
    m.msg_iov = BAD_POINTER;
    SHOW("bad parts", sendmsg(sock, &m, 0));
    m.msg_iov = iov;
    m.msg_iovlen = 1025;
    SHOW("too many parts", sendmsg(sock, &m, 0));
    m.msg_iovlen = 1;
    m.msg_control = BAD_POINTER;
    m.msg_controllen = 24;
    SHOW("bad control messages", sendmsg(sock, &m, 0));
    show_nothing("no packet of all that", &tun, &s);
    SHOW("connect to port 0", connect_to(sock, FAR, 0));
    show_peer("connected to port 0, peer", sock);
    SHOW("connected to port 0, send", send(sock, "x", 1, 0));
    SHOW("connected to port 0, sendto", send_to(sock, FAR, 9000, "x", 1));
    far_drain(&tun);
    close(sock);
    sock = new_socket();
    SHOW("unbound, connect to port 0", connect_to(sock, FAR, 0));
    show_own("unbound, connected to port 0, name", sock);
    close(sock);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    peeking();
    told();
    values();
    calls();
#ifndef V6
    of_header();
#endif
    return 0;
}
