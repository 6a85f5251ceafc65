/* far.h - the other host. The program that is tested holds the tunnel itself: what its sockets send
 * comes out of the descriptor, and what they receive is written to it. One source serves both
 * families: a program NAME6.c defines V6 and includes NAME.c. */
#ifndef FAR_H
#define FAR_H
#include "host.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <linux/errqueue.h>

#ifdef V6
enum { FAMILY = AF_INET6, ADDRESS = 16, IP_LEN = 40 };
#define OWN "fd09::1"
#define OWN2 "fd09::9"
#define FAR "fd09::2"
#define FAR2 "fd09::4"
#define BEYOND "fd20::7"
#define TAP_OWN "fd09:1::1"
#define TAP_FAR "fd09:1::2"
#define TAP_FAR2 "fd09:1::99"
#define ANY "::"
#define LOOP "::1"
#define ECHO_REQUEST 128
#else
enum { FAMILY = AF_INET, ADDRESS = 4, IP_LEN = 20 };
#define OWN "10.9.0.1"
#define OWN2 "10.9.0.3"
#define FAR "10.9.0.2"
#define FAR2 "10.9.0.99"
#define BEYOND "10.20.0.7"
#define TAP_OWN "10.9.1.1"
#define TAP_FAR "10.9.1.2"
#define TAP_FAR2 "10.9.1.99"
#define ANY "0.0.0.0"
#define LOOP "127.0.0.1"
#define ECHO_REQUEST 8
#endif
/* The first port that the kernel gives to whoever asks for none. */
#ifndef EPHEMERAL
#define EPHEMERAL 32768
#endif
/* Longer than anything takes, and shorter than the watchdog's patience. */
#define SOON 2000
/* What must not come is waited for this long. */
#define NEVER 100

#define OWN_MAC "\x02\x00\x00\x00\x00\x01"
#define FAR_MAC "\x02\x00\x00\x00\x00\x09"

/* ---- names of sockets ---- */

typedef struct {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage room;
    };
    socklen_t len;
} name;

/* An address of either family. */
HELPER name any_name(const char *address, int port)
{
    name n;
    memset(&n, 0, sizeof n);
    if (strchr(address, ':')) {
        n.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
        n.len = sizeof n.in6;
        if (inet_pton(AF_INET6, address, &n.in6.sin6_addr) != 1)
            die(address);
    } else {
        n.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
        n.len = sizeof n.in;
        if (inet_pton(AF_INET, address, &n.in.sin_addr) != 1)
            die(address);
    }
    return n;
}

HELPER int port_of(const name *n) { return ntohs(n->sa.sa_family == AF_INET6 ? n->in6.sin6_port : n->in.sin_port); }

/* A port that the kernel chose is "some". */
HELPER const char *shown(const name *n)
{
    static char kept[8][80];
    static int turn;
    char *text = kept[turn++ % 8], address[60] = "?", port[12];
    if (!n->len)
        return "none";
    if (n->sa.sa_family != AF_INET && n->sa.sa_family != AF_INET6) {
        snprintf(text, 80, "family %d", n->sa.sa_family);
        return text;
    }
    int p = port_of(n);
    snprintf(port, sizeof port, p >= EPHEMERAL ? "some" : "%d", p);
    if (n->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &n->in6.sin6_addr, address, sizeof address);
        snprintf(text, 80, "[%s]:%s%s", address, port, n->in6.sin6_scope_id ? "%link" : "");
    } else {
        inet_ntop(AF_INET, &n->in.sin_addr, address, sizeof address);
        snprintf(text, 80, "%s:%s", address, port);
    }
    return text;
}

HELPER name own_name(int sock)
{
    name n = { .len = sizeof n.room };
    if (getsockname(sock, &n.sa, &n.len))
        n.len = 0;
    return n;
}

HELPER int own_port(int sock)
{
    name n = own_name(sock);
    return port_of(&n);
}

HELPER name peer_name(int sock)
{
    name n = { .len = sizeof n.room };
    if (getpeername(sock, &n.sa, &n.len))
        n.len = 0;
    return n;
}

HELPER void show_own(const char *what, int sock)
{
    name n = own_name(sock);
    if (!n.len)
        show(what, -1);
    else
        say(what, "%s len=%d", shown(&n), n.len);
}

HELPER void show_peer(const char *what, int sock)
{
    name n = peer_name(sock);
    if (!n.len)
        show(what, -1);
    else
        say(what, "%s len=%d", shown(&n), n.len);
}

HELPER int bind_to(int sock, const char *address, int port)
{
    name n = any_name(address, port);
    return bind(sock, &n.sa, n.len);
}

HELPER int connect_to(int sock, const char *address, int port)
{
    name n = any_name(address, port);
    return connect(sock, &n.sa, n.len);
}

HELPER ssize_t send_to(int sock, const char *address, int port, const void *data, size_t len)
{
    name n = any_name(address, port);
    return sendto(sock, data, len, 0, &n.sa, n.len);
}

HELPER int option(int sock, int level, int what, int value)
{
    return setsockopt(sock, level, what, &value, sizeof value);
}

/* The value of an option, or -1. */
HELPER int option_of(int sock, int level, int what)
{
    int value = 0;
    socklen_t len = sizeof value;
    return getsockopt(sock, level, what, &value, &len) ? -1 : value;
}

HELPER void show_error(const char *what, int sock)
{
    int error = option_of(sock, SOL_SOCKET, SO_ERROR);
    say(what, "%s", error == -1 ? "no answer" : error ? errno_name(error) : "0");
}

HELPER int now_events(int fd, int events)
{
    struct pollfd p = { .fd = fd, .events = events };
    poll(&p, 1, 0);
    return p.revents;
}

#define ALL_EVENTS (POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM)
/* The shim learns of some things later than the call that caused them returns: the state of a
   socket is shown when these events have come. */
HELPER void show_state(const char *what, int fd, int with)
{
    char text[160];
    (void)EVENTUALLY((now_events(fd, ALL_EVENTS) & with) == with, SOON);
    int got = now_events(fd, POLLIN | POLLPRI | POLLOUT | POLLRDHUP);
    say(what, "%s", poll_bits(text, got));
}

/* ---- the interface, as the host on the other side of it has it ---- */

typedef struct {
    const char *name;
    int fd, tap;
    const char *own, *far;
} far;

struct in6_request { struct in6_addr address; uint32_t prefix; int index; };

HELPER int add_address6(const char *interface, const char *address, int prefix)
{
    struct in6_request request = { .prefix = prefix, .index = if_index(interface) };
    int sock = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)), result, error;
    inet_pton(AF_INET6, address, &request.address);
    result = ioctl(sock, SIOCSIFADDR, &request);
    error = errno;
    close(sock);
    errno = error;
    return result;
}

HELPER void add_address(const char *interface, const char *address)
{
    if (strchr(address, ':')) {
        MUST(add_address6(interface, address, 64));
        return;
    }
    MUST(set_address(SIOCSIFADDR, interface, address));
    MUST(set_address(SIOCSIFNETMASK, interface, "255.255.255.0"));
}

/* The rest of the world is behind this interface. */
HELPER void default_route(const char *interface, const char *gateway)
{
    struct rtentry4 { unsigned long pad1; struct sockaddr dst, gateway, mask; unsigned short flags; short pad2;
        unsigned long pad3; void *pad4; short metric; char *dev; unsigned long mtu, window; unsigned short irtt; };
    struct in6_route { struct in6_addr dst, src, gateway; uint32_t type; uint16_t dst_len, src_len; uint32_t metric;
        unsigned long info; uint32_t flags; int index; };
    int sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (strchr(gateway, ':')) {
        struct in6_route r = { .flags = 1, .metric = 1, .index = if_index(interface) };
        close(sock);
        sock = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        inet_pton(AF_INET6, gateway, &r.gateway);
        r.flags |= 2;
        MUST(ioctl(sock, SIOCADDRT, &r));
    } else {
        struct rtentry4 r = { .dst = inet("0.0.0.0"), .mask = inet("0.0.0.0"), .gateway = inet(gateway), .flags = 3 };
        r.dev = (char *)interface;
        MUST(ioctl(sock, SIOCADDRT, &r));
    }
    close(sock);
}

/* An interface with addresses, up; no packet is in it. */
HELPER far far_up(const char *interface, const char *own, const char *own2, const char *other, int iff)
{
    far f = { .name = interface, .tap = !!(iff & IFF_TAP), .own = own, .far = other };
    int v6 = !!strchr(own, ':');
    f.fd = tun_attach(interface, iff | IFF_NO_PI, O_NONBLOCK);
    if (f.tap) {
        struct ifreq ifr = { .ifr_hwaddr.sa_family = 1 };
        memcpy(ifr.ifr_hwaddr.sa_data, OWN_MAC, 6);
        MUST(if_request(SIOCSIFHWADDR, &ifr, interface));
    }
    if (v6)
        ipv6_on(interface);
    /* The first of IPv4's addresses is the source, of IPv6's the one that came last. */
    if (v6 && own2)
        add_address(interface, own2);
    add_address(interface, own);
    if (!v6 && own2)
        add_address(label("%s:1", interface), own2);
    link_up(interface, 1);
    if (v6)
        ipv6_settled(interface);
    return f;
}

/* The usual host: loopback, tun0 with two addresses. */
HELPER far far_start(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    spit("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0");
    link_up("lo", 1);
    return far_up("tun0", OWN, OWN2, FAR, IFF_TUN);
}

/* A tap beside it. Neighbours of IPv6 are looked for from an address of the link where the datagram
   is from another interface's. */
HELPER far far_tap(void)
{
    return far_up("tap0", TAP_OWN, FAMILY == AF_INET6 ? "fe80::1" : NULL, TAP_FAR, IFF_TAP);
}

/* ---- building packets ---- */

/* Of what the other host sends. */
static int far_ttl = 64, far_tos = 0;

HELPER uint32_t sum_of(const unsigned char *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += p[i] << 8 | p[i + 1];
    if (len & 1)
        sum += p[len - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* The sum over an upper protocol's packet with its pseudo header; 0 when its checksum is right. */
HELPER uint16_t upper_checksum(int v6, const unsigned char *src, const unsigned char *dst, int proto,
                               const unsigned char *p, size_t len)
{
    uint32_t sum = 0;
    if (v6 || (proto != IPPROTO_ICMP)) {
        sum = sum_of(src, v6 ? 16 : 4, 0);
        sum = sum_of(dst, v6 ? 16 : 4, sum);
        sum += proto + (len >> 16) + (len & 0xffff);
    }
    return ~sum_of(p, len, sum);
}

HELPER unsigned get16(const unsigned char *p) { return p[0] << 8 | p[1]; }
HELPER uint32_t get32(const unsigned char *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
HELPER void put32(unsigned char *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }

/* Writes an Ethernet header where there is one. Returns its length. */
HELPER size_t link_header(const far *f, unsigned char *p, int v6, const unsigned char *dst)
{
    if (!f->tap)
        return 0;
    memcpy(p, OWN_MAC, 6);
    if (v6 ? dst[0] == 0xff : dst[0] == 255 || dst[3] == 255)
        memset(p, 0xff, 6);
    else if (!v6 && dst[0] >> 4 == 14)
        memcpy(p, (unsigned char[]){ 1, 0, 0x5e, dst[1] & 0x7f, dst[2], dst[3] }, 6);
    if (v6 && dst[0] == 0xff)
        memcpy(p, (unsigned char[]){ 0x33, 0x33, dst[12], dst[13], dst[14], dst[15] }, 6);
    memcpy(p + 6, FAR_MAC, 6);
    put16(p + 12, v6 ? 0x86dd : 0x0800);
    return 14;
}

/* The header of IP. `fragment` is the field of IPv4, offset in units of 8 bytes with MF and DF. */
HELPER size_t ip_header(unsigned char *p, const char *from, const char *to, int proto, size_t len, unsigned fragment)
{
    static unsigned id = 1;
    int v6 = !!strchr(from, ':');
    if (v6) {
        memset(p, 0, 40);
        put32(p, 6u << 28 | (uint32_t)far_tos << 20);
        put16(p + 4, len);
        p[6] = proto;
        p[7] = far_ttl;
        inet_pton(AF_INET6, from, p + 8);
        inet_pton(AF_INET6, to, p + 24);
        return 40;
    }
    memset(p, 0, 20);
    p[0] = 0x45;
    p[1] = far_tos;
    put16(p + 2, 20 + len);
    put16(p + 4, fragment & 0x3fff ? 7777 : id++);
    put16(p + 6, fragment);
    p[8] = far_ttl;
    p[9] = proto;
    inet_pton(AF_INET, from, p + 12);
    inet_pton(AF_INET, to, p + 16);
    put16(p + 10, ip_checksum(p, 20));
    return 20;
}

/* Sends an upper protocol's packet, whose checksum, at this offset, is filled in; -1 for none. */
/* What stands before each frame of an interface with IFF_VNET_HDR, and its length. */
static unsigned char far_vnet_header[10] __attribute__((unused));
static size_t far_vnet __attribute__((unused));

HELPER ssize_t far_send(const far *f, const char *from, const char *to, int proto, void *upper, size_t len, int checksum)
{
    static __thread unsigned char p[70000];
    int v6 = !!strchr(from, ':');
    unsigned char src[16], dst[16];
    inet_pton(v6 ? AF_INET6 : AF_INET, from, src);
    inet_pton(v6 ? AF_INET6 : AF_INET, to, dst);
    if (checksum >= 0) {
        put16((unsigned char *)upper + checksum, 0);
        put16((unsigned char *)upper + checksum, upper_checksum(v6, src, dst, proto, upper, len));
    }
    memcpy(p, far_vnet_header, far_vnet);
    size_t at = far_vnet + link_header(f, p + far_vnet, v6, dst);
    at += ip_header(p + at, from, to, proto, len, 0);
    memcpy(p + at, upper, len);
    return write(f->fd, p, at + len);
}

HELPER void udp_header(unsigned char *p, int from_port, int to_port, size_t len)
{
    put16(p, from_port);
    put16(p + 2, to_port);
    put16(p + 4, 8 + len);
    put16(p + 6, 0);
}

HELPER ssize_t far_udp(const far *f, const char *from, int from_port, const char *to, int to_port, const void *data,
                       size_t len)
{
    static __thread unsigned char p[70000];
    udp_header(p, from_port, to_port, len);
    memcpy(p + 8, data, len);
    return far_send(f, from, to, IPPROTO_UDP, p, 8 + len, 6);
}

HELPER void far_byte(const far *f, const char *from, const char *to, int proto, int port, char byte)
{
    if (proto == IPPROTO_UDP)
        far_udp(f, from, 9000, to, port, &byte, 1);
    else
        far_send(f, from, to, proto, &byte, 1, -1);
}

/* Which of the two far hosts a socket hears when they send to a group. `port` is UDP's. */
HELPER void far_heard(const far *f, const char *what, int sock, const char *group, int proto, int port)
{
    static const char *const from[] = { FAR, FAR2 };
    char line[100] = "", bytes[100];
    for (int i = 0; i < 2; i++) {
        far_byte(f, from[i], group, proto, port, 'x');
        /* What is not for a group comes behind it. */
        far_byte(f, from[i], OWN, proto, port, 'y');
        char byte;
        do {
            (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
            ssize_t n = recv(sock, bytes, sizeof bytes, MSG_DONTWAIT);
            byte = n > 0 ? bytes[n - 1] : 0;
            if (byte == 'x')
                append(line, sizeof line, "%d", i + 1);
        } while (byte == 'x');
        if (!byte)
            append(line, sizeof line, " nothing at all");
    }
    say(label("%s, heard", what), "'%s'", line);
}

/* The same in fragments of at most `each` bytes, a multiple of 8; one of them, counted from 0, is
   left out. */
HELPER void far_udp_fragments(const far *f, const char *from, int from_port, const char *to, int to_port,
                              const void *data, size_t len, size_t each, int without, int backwards)
{
    static unsigned char p[70000], out[2000];
    static uint32_t id = 100;
    unsigned char src[16], dst[16];
    int v6 = !!strchr(from, ':');
    inet_pton(v6 ? AF_INET6 : AF_INET, from, src);
    inet_pton(v6 ? AF_INET6 : AF_INET, to, dst);
    udp_header(p, from_port, to_port, len);
    memcpy(p + 8, data, len);
    put16(p + 6, upper_checksum(v6, src, dst, IPPROTO_UDP, p, 8 + len));
    int count = (8 + len + each - 1) / each;
    id++;
    for (int i = 0; i < count; i++) {
        int n = backwards ? count - 1 - i : i;
        size_t offset = n * each, part = 8 + len - offset < each ? 8 + len - offset : each;
        unsigned more = n < count - 1;
        if (n == without)
            continue;
        size_t at = link_header(f, out, v6, dst);
        if (v6) {
            at += ip_header(out + at, from, to, 44, part + 8, 0);
            memset(out + at, 0, 8);
            out[at] = IPPROTO_UDP;
            put16(out + at + 2, offset | more);
            put32(out + at + 4, id);
            at += 8;
        } else {
            unsigned char *ip = out + at;
            at += ip_header(ip, from, to, IPPROTO_UDP, part, offset / 8 | more << 13);
            put16(ip + 4, id);
            put16(ip + 10, 0);
            put16(ip + 10, ip_checksum(ip, 20));
        }
        memcpy(out + at, p + offset, part);
        MUST(write(f->fd, out, at + part));
    }
}

/* ---- reading what the sockets send ---- */

typedef struct {
    unsigned char raw[70000];
    const unsigned char *ip, *data;     /* the packet, and what stands behind its headers */
    size_t all, len;                    /* their lengths */
    int v6, proto, ttl, tos, df, more, right;
    unsigned offset;                    /* of a fragment */
    char from[60], to[60];
    int from_port, to_port;             /* of UDP and TCP */
    unsigned char to_mac[6];
} seen;

/* Answers who asks for the hardware address of a host that the other side is. Returns 1 when the
   frame was such a question. */
HELPER int far_neighbour(const far *f, const unsigned char *p, size_t len)
{
    unsigned char out[100];
    if (len >= 42 && get16(p + 12) == 0x0806) {
        unsigned char far[4];
        inet_pton(AF_INET, strchr(f->far, ':') ? "0.0.0.0" : f->far, far);
        if (get16(p + 20) != 1 || memcmp(p + 38, far, 4))
            return 1;
        memcpy(out, p + 6, 6);
        memcpy(out + 6, FAR_MAC, 6);
        memcpy(out + 12, "\x08\x06\0\x01\x08\0\x06\x04\0\x02", 10);
        memcpy(out + 22, FAR_MAC, 6);
        memcpy(out + 28, p + 38, 4);
        memcpy(out + 32, p + 22, 10);
        MUST(write(f->fd, out, 42));
        return 1;
    }
    if (len >= 14 + 40 + 24 && get16(p + 12) == 0x86dd && p[20] == IPPROTO_ICMPV6 && p[54] == 135) {
        unsigned char far[16];
        inet_pton(AF_INET6, strchr(f->far, ':') ? f->far : "::", far);
        if (memcmp(p + 62, far, 16))
            return 1;
        memcpy(out, p + 6, 6);
        memcpy(out + 6, FAR_MAC, 6);
        put16(out + 12, 0x86dd);
        far_ttl = 255;
        ip_header(out + 14, "::", "::", IPPROTO_ICMPV6, 32, 0);
        far_ttl = 64;
        memcpy(out + 22, far, 16);
        memcpy(out + 38, p + 22, 16);
        memset(out + 54, 0, 32);
        out[54] = 136;
        out[58] = 0x60;
        memcpy(out + 62, far, 16);
        out[78] = 2;
        out[79] = 1;
        memcpy(out + 80, FAR_MAC, 6);
        put16(out + 56, upper_checksum(1, out + 22, out + 38, IPPROTO_ICMPV6, out + 54, 32));
        MUST(write(f->fd, out, 86));
        return 1;
    }
    return 0;
}

/* Takes a packet apart. Returns 0 for what hosts say of their own accord: groups that they join,
   routers and neighbours that they look for. */
HELPER int far_parse(const far *f, seen *s, size_t n)
{
    unsigned char *p = s->raw;
    if (f->tap) {
        if (n < 14 || far_neighbour(f, p, n))
            return 0;
        memcpy(s->to_mac, p, 6);
        p += 14;
        n -= 14;
    }
    s->ip = p;
    s->all = n;
    s->v6 = n >= 40 && p[0] >> 4 == 6;
    s->offset = s->more = s->df = 0;
    s->from_port = s->to_port = 0;
    if (s->v6) {
        s->tos = get32(p) >> 20 & 0xff;
        s->ttl = p[7];
        s->proto = p[6];
        s->data = p + 40;
        inet_ntop(AF_INET6, p + 8, s->from, sizeof s->from);
        inet_ntop(AF_INET6, p + 24, s->to, sizeof s->to);
        s->right = get16(p + 4) + 40u == n;
        if (s->proto == 0)
            return 0;
        if (s->proto == 44) {
            s->proto = p[40];
            s->offset = get16(p + 42) & ~7u;
            s->more = p[43] & 1;
            s->data += 8;
        }
        if (s->proto == IPPROTO_ICMPV6 && s->data[0] >= 130 && s->data[0] <= 143)
            return 0;
    } else if (n >= 20 && p[0] >> 4 == 4) {
        s->tos = p[1];
        s->ttl = p[8];
        s->proto = p[9];
        s->df = p[6] >> 6 & 1;
        s->more = p[6] >> 5 & 1;
        s->offset = (get16(p + 6) & 0x1fff) * 8;
        s->data = p + (p[0] & 15) * 4;
        inet_ntop(AF_INET, p + 12, s->from, sizeof s->from);
        inet_ntop(AF_INET, p + 16, s->to, sizeof s->to);
        s->right = get16(p + 2) == n && !ip_checksum(p, (p[0] & 15) * 4);
        if (s->proto == 2)
            return 0;
    } else
        return 0;
    s->len = n - (s->data - p);
    if (!s->offset && !s->more)
        s->right &= !upper_checksum(s->v6, p + (s->v6 ? 8 : 12), p + (s->v6 ? 24 : 16), s->proto, s->data, s->len) ||
                    (s->proto == IPPROTO_UDP && !s->v6 && !get16(s->data + 6));
    if (!s->offset && (s->proto == IPPROTO_UDP || s->proto == IPPROTO_TCP)) {
        s->from_port = get16(s->data);
        s->to_port = get16(s->data + 2);
    }
    if (!s->offset && s->proto == IPPROTO_UDP) {
        s->data += 8;
        s->len -= 8;
    }
    return 1;
}

/* The next packet of a socket. 0 when none comes in time. */
HELPER int far_next(const far *f, seen *s, int ms)
{
    double until = now() + ms / 1e3;
    for (;;) {
        ssize_t n = read(f->fd, s->raw, sizeof s->raw);
        if (n >= 0) {
            n -= far_vnet;
            memmove(s->raw, s->raw + far_vnet, n);
            if (far_parse(f, s, n))
                return 1;
            continue;
        }
        double left = until - now();
        if (left <= 0)
            return 0;
        struct pollfd p = { .fd = f->fd, .events = POLLIN };
        poll(&p, 1, left * 1e3 + 1);
    }
}

HELPER void show_seen(const char *what, const seen *s)
{
    char text[160], part[60] = "", ports[40] = "";
    if (s->more || s->offset)
        snprintf(part, sizeof part, " at=%u%s", s->offset, s->more ? " more" : "");
    if (s->from_port >= EPHEMERAL)
        snprintf(ports, sizeof ports, " some->%d", s->to_port);
    else if (s->from_port || s->to_port)
        snprintf(ports, sizeof ports, " %d->%d", s->from_port, s->to_port);
    say(what, "%s->%s proto=%d%s ttl=%d tos=%d%s%s%s %s", s->from, s->to, s->proto, ports, s->ttl, s->tos,
        s->df ? " DF" : "", part, s->right ? "" : " WRONG", describe_data(text, s->data, s->len));
}

/* Waits for a packet and shows it. */
HELPER int show_next(const char *what, const far *f, seen *s)
{
    int came = far_next(f, s, SOON);
    if (came)
        show_seen(what, s);
    else
        say(what, "no packet");
    return came;
}

HELPER void show_nothing(const char *what, const far *f, seen *s)
{
    if (far_next(f, s, NEVER))
        show_seen(what, s);
    else
        say(what, "no packet");
}

/* An error of ICMP about a packet that was seen, from the other host or a router. The meanings of
   type and code are those of the family. `more` is the second word: an mtu. */
HELPER void far_icmp(const far *f, const char *from, const seen *about, int type, int code, uint32_t more)
{
    unsigned char p[1300];
    size_t len = about->all < 1200 ? about->all : 1200;
    p[0] = type;
    p[1] = code;
    put32(p + 4, more);
    if (!about->v6 && len > 548)
        len = 548;
    memcpy(p + 8, about->ip, len);
    far_send(f, from, about->from, about->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, p, 8 + len, 2);
}

/* What an error is called by both families. */
enum { NO_PORT, NO_HOST, FORBIDDEN, NO_ROUTE, TOO_BIG, EXPIRED, NO_PROTOCOL };

HELPER void far_unreachable(const far *f, const seen *about, int what)
{
    static const unsigned char codes4[][2] = { { 3, 3 }, { 3, 1 }, { 3, 13 }, { 3, 0 }, { 3, 4 }, { 11, 0 }, { 3, 2 } };
    static const unsigned char codes6[][2] = { { 1, 4 }, { 1, 3 }, { 1, 1 }, { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 1 } };
    const unsigned char *code = about->v6 ? codes6[what] : codes4[what];
    uint32_t more = what == TOO_BIG ? 1300 : what == NO_PROTOCOL && about->v6 ? 6 : 0;
    char from[60];
    strcpy(from, about->to);
    far_icmp(f, from, about, code[0], code[1], more);
}

/* Throws away whatever has been sent. */
HELPER void far_drain(const far *f)
{
    static seen s;
    while (far_next(f, &s, 0))
        ;
}

#endif
