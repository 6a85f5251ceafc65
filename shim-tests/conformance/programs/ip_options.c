/* Options of IPv4: what is filled into those that come in, what an answer says, which are refused,
 * and those that sockets send and see. */
#include "far.h"
#include <sys/uio.h>

static far tun, tap;
static seen s;
static unsigned char buf[2000];

/* A datagram or another packet with options, from the other host. */
static void arrives(const char *from, const char *to, int proto, const unsigned char *upper, size_t len,
                    const unsigned char *options, size_t size)
{
    unsigned char p[500];
    ip_header(p, from, to, proto, size + len, 0);
    p[0] = 0x45 + size / 4;
    memcpy(p + 20, options, size);
    put16(p + 10, 0);
    put16(p + 10, ip_checksum(p, 20 + size));
    memcpy(p + 20 + size, upper, len);
    MUST(write(tun.fd, p, 20 + size + len));
}

static void echo(const char *from, const char *to, const unsigned char *options, size_t size)
{
    unsigned char p[12] = { 8, 0, 0, 0, 0, 7, 0, 1, 'e', 'c', 'h', 'o' };
    put16(p + 2, ~sum_of(p, 12, 0));
    arrives(from, to, IPPROTO_ICMP, p, 12, options, size);
}

/* Timestamps are shown as "now" where they are near. */
static const char *shown_options(const unsigned char *p, size_t size)
{
    static char text[400];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint32_t day = (t.tv_sec % 86400) * 1000 + t.tv_nsec / 1000000;
    text[0] = 0;
    for (size_t i = 0; i < size; i++) {
        uint32_t word = i + 4 <= size ? get32(p + i) : 0;
        if (word && (day - word) % 86400000 < 20000) {
            append(text, sizeof text, " now");
            i += 3;
        } else
            append(text, sizeof text, " %02x", p[i]);
    }
    return text;
}

static void show_options(const char *what, const far *f)
{
    if (!far_next(f, &s, NEVER * 5)) {
        say(what, "no packet");
        return;
    }
    size_t size = (s.ip[0] & 15) * 4 - 20;
    say(what, "%s->%s proto=%d right=%d type=%d code=%d at=%d len=%zu,%s", s.from, s.to, s.proto, s.right, s.data[0], s.data[1],
        s.proto == IPPROTO_ICMP ? s.data[4] : 0, s.len, shown_options(s.ip + 20, size));
}

#define BYTES(...) ((unsigned char[]){ __VA_ARGS__ }), sizeof((unsigned char[]){ __VA_ARGS__ })

static void case_of(const char *what, int last, const unsigned char *options, size_t size)
{
    echo(label("10.9.0.%d", last), OWN, options, size);
    show_options(what, &tun);
}

static void comes(void)
{
    int host = 20;
    /* Machines differ in this. */
    spit("/proc/sys/net/ipv4/conf/all/accept_source_route", "0");
    case_of("no operation", host++, BYTES(1, 1, 1, 0));
    case_of("a record of the route", host++, BYTES(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    case_of("a record with one place", host++, BYTES(7, 7, 4, 0, 0, 0, 0, 0));
    case_of("a record with two places", host++, BYTES(1, 7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0));
    case_of("a full record", host++, BYTES(7, 7, 8, 1, 2, 3, 4, 0));
    case_of("a record beyond its end", host++, BYTES(7, 7, 12, 1, 2, 3, 4, 0));
    case_of("a record with half a place", host++, BYTES(7, 7, 6, 1, 2, 3, 4, 0));
    case_of("a record with a small pointer", host++, BYTES(7, 7, 3, 1, 2, 3, 4, 0));
    case_of("a record without a pointer", host++, BYTES(7, 2, 1, 1));
    case_of("a record that is too long", host++, BYTES(7, 9, 4, 1, 2, 3, 4, 0));
    case_of("a record of length 1", host++, BYTES(7, 1, 4, 1));
    case_of("two records", host++, BYTES(7, 7, 4, 0, 0, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0, 0));
    case_of("behind the end", host++, BYTES(0, 7, 1, 4));
    case_of("an option without a length", host++, BYTES(1, 1, 1, 7));
    case_of("an option that nobody knows", host++, BYTES(30, 4, 1, 2));
    case_of("an option that nobody knows, too long", host++, BYTES(30, 8, 1, 2));
    case_of("a loose route", host++, BYTES(131, 7, 4, 10, 9, 0, 2, 0));
    case_of("a loose route behind another option", host++, BYTES(1, 131, 7, 4, 10, 9, 0, 2));
    case_of("a strict route that is done", host++, BYTES(137, 7, 8, 10, 9, 0, 2, 0));
    case_of("a broken loose route", host++, BYTES(131, 7, 3, 10, 9, 0, 2, 0));
    case_of("an alert", host++, BYTES(148, 4, 0, 0));
    case_of("times", host++, BYTES(68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    case_of("times with addresses", host++, BYTES(68, 20, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    case_of("times of named hosts", host++, BYTES(68, 20, 5, 3, 10, 9, 0, 1, 0, 0, 0, 0, 10, 9, 0, 2, 0, 0, 0, 0));
    case_of("times of others", host++, BYTES(68, 12, 5, 3, 10, 9, 0, 77, 0, 0, 0, 0));
    case_of("times that are full", host++, BYTES(68, 8, 9, 0, 1, 2, 3, 4));
    case_of("times that have overflowed", host++, BYTES(68, 8, 9, 0xf0, 1, 2, 3, 4));
    case_of("times with a small pointer", host++, BYTES(68, 8, 4, 0, 1, 2, 3, 4));
    case_of("times with half a place", host++, BYTES(68, 8, 7, 0, 1, 2, 3, 4));
    case_of("times without room for an address", host++, BYTES(68, 8, 5, 1, 1, 2, 3, 4));
    case_of("times of a kind that nobody knows", host++, BYTES(68, 8, 5, 2, 1, 2, 3, 4));
    case_of("a record and times", host++, BYTES(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    unsigned char p[12] = { 0 };
    udp_header(p, 4000, 9, 4);
    arrives("10.9.0.80", OWN, IPPROTO_UDP, p, 12, BYTES(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    show_options("no port, with a record", &tun);
    arrives("10.9.0.81", OWN, IPPROTO_UDP, p, 12, BYTES(7, 7, 6, 0, 0, 0, 0, 0));
    show_options("no port, with a broken record", &tun);
}

/* What a router says. */
static void passes(void)
{
    spit("/proc/sys/net/ipv4/ip_forward", "1");
    unsigned char p[12] = { 0 };
    udp_header(p, 4000, 9, 4);
    arrives("10.9.0.82", TAP_FAR, IPPROTO_UDP, p, 12, BYTES(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    show_options("passed on, a record", &tap);
    arrives("10.9.0.83", TAP_FAR, IPPROTO_UDP, p, 12, BYTES(68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0));
    show_options("passed on, times with addresses", &tap);
    arrives("10.9.0.84", TAP_FAR, IPPROTO_UDP, p, 12, BYTES(7, 7, 6, 0, 0, 0, 0, 0));
    show_options("passed on, a broken record", &tun);
    spit("/proc/sys/net/ipv4/ip_forward", "0");
}

static int set_options(int sock, const unsigned char *options, size_t size)
{
    return setsockopt(sock, IPPROTO_IP, IP_OPTIONS, options, size);
}

static void told(const char *what, int sock)
{
    unsigned char set[60];
    socklen_t len = sizeof set;
    int n = getsockopt(sock, IPPROTO_IP, IP_OPTIONS, set, &len);
    if (n)
        show(what, n);
    else
        say(what, "%d bytes,%s", len, shown_options(set, len));
}

static void sends(const char *kind, int sock, const unsigned char *p, size_t len)
{
    char name[40];
    snprintf(name, sizeof name, "%s", kind);
    told(label("%s, at first", name), sock);
    SHOW(label("%s, a record is set", name), set_options(sock, BYTES(7, 11, 4, 1, 2, 3, 4, 5, 6, 7, 8)));
    told(label("%s, a record is told", name), sock);
    SHOW(label("%s, with a record", name), send_to(sock, FAR, 9, p, len));
    show_options(label("%s, a record, packet", name), &tun);
    SHOW(label("%s, times are set", name), set_options(sock, BYTES(68, 20, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)));
    SHOW(label("%s, with times", name), send_to(sock, FAR, 9, p, len));
    show_options(label("%s, times, packet", name), &tun);
    SHOW(label("%s, an alert is set", name), set_options(sock, BYTES(148, 4, 0, 0)));
    SHOW(label("%s, with an alert", name), send_to(sock, FAR, 9, p, len));
    show_options(label("%s, an alert, packet", name), &tun);
    SHOW(label("%s, a broken record is set", name), set_options(sock, BYTES(7, 7, 3, 1, 2, 3, 4)));
    SHOW(label("%s, too many are set", name), set_options(sock, buf, 41));
    SHOW(label("%s, a bad pointer", name), set_options(sock, BAD_POINTER, 4));
    told(label("%s, the alert is told still", name), sock);
    SHOW(label("%s, none are set", name), set_options(sock, NULL, 0));
    SHOW(label("%s, with none", name), send_to(sock, FAR, 9, p, len));
    show_options(label("%s, none, packet", name), &tun);
}

/* What is told of the options of an echo reply. */
static void receives(const char *what, int sock)
{
    char control[200], text[400] = "";
    struct iovec iov = { buf, sizeof buf };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    ssize_t n = recvmsg(sock, &m, MSG_DONTWAIT);
    if (n < 0) {
        show(what, n);
        return;
    }
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
        append(text, sizeof text, " [%d%s]", h->cmsg_type, shown_options(CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0)));
    say(what, "%zd%s", n, text);
}

static void sockets(void)
{
    unsigned char p[12] = { 8, 0, 0, 0, 0, 7, 0, 1, 'e', 'c', 'h', 'o' };
    put16(p + 2, ~sum_of(p, 12, 0));
    int raw = MUST(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
    sends("raw", raw, p, 12);
    SHOW("a route is set", set_options(raw, BYTES(131, 11, 4, 10, 9, 0, 99, 10, 9, 0, 98)));
    told("a route is told", raw);
    SHOW("with a route", send_to(raw, FAR, 9, p, 12));
    show_options("a route, packet", &tun);
    set_options(raw, NULL, 0);
    SHOW("RETOPTS", option(raw, IPPROTO_IP, IP_RETOPTS, 1));
    SHOW("RETOPTS is told", option_of(raw, IPPROTO_IP, IP_RETOPTS));
    p[0] = 0;
    put16(p + 2, 0);
    put16(p + 2, ~sum_of(p, 12, 0));
    arrives("10.9.0.85", OWN, IPPROTO_ICMP, p, 12, BYTES(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    receives("what is to be sent back", raw);
    option(raw, IPPROTO_IP, IP_RETOPTS, 0);
    SHOW("RECVOPTS", option(raw, IPPROTO_IP, IP_RECVOPTS, 1));
    arrives("10.9.0.86", OWN, IPPROTO_ICMP, p, 12, BYTES(7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    receives("what has come", raw);
    arrives("10.9.0.87", OWN, IPPROTO_ICMP, p, 12, NULL, 0);
    receives("what has come without options", raw);
    close(raw);
}

/* The requests of interfaces on a raw socket and on one of packets. */
static void requests(void)
{
    static const struct { const char *name; int family, type, protocol; } all[] = {
        { "raw", AF_INET, SOCK_RAW, 255 },
        { "packets", AF_PACKET, SOCK_DGRAM, 0 },
        { "raw IPv6", AF_INET6, SOCK_RAW, 58 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int sock = MUST(socket(all[i].family, all[i].type | SOCK_CLOEXEC, all[i].protocol));
        struct ifreq ifr = { .ifr_name = "tun0" };
        char text[40];
        SHOW(label("SIOCGIFADDR, %s", all[i].name), ioctl(sock, SIOCGIFADDR, &ifr));
        say(label("the address, %s", all[i].name), "%s", hex(text, (unsigned char *)&ifr.ifr_addr, 8));
        SHOW(label("SIOCGIFMTU, %s", all[i].name), ioctl(sock, SIOCGIFMTU, &ifr));
        strcpy(ifr.ifr_name, "nothere");
        SHOW(label("SIOCGIFADDR of none, %s", all[i].name), ioctl(sock, SIOCGIFADDR, &ifr));
        close(sock);
    }
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    comes();
    passes();
    sockets();
    requests();
    return 0;
}
