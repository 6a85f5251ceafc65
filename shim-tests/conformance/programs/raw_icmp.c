/* Raw sockets of IP: what they hear of ICMP and other protocols, and what they send. */
#include "far.h"
#ifdef V6
#include <linux/icmpv6.h>
#else
#include <linux/icmp.h>
#endif

static far tun, tap;
static seen s;
static unsigned char buf[3000];

#ifdef V6
enum { ICMP = IPPROTO_ICMPV6, REQUEST = 128, REPLY = 129, LEVEL = IPPROTO_IPV6, HEADER = 0, INFO = IPV6_RECVPKTINFO,
    HOPS = IPV6_UNICAST_HOPS, RECEIVE_HOPS = IPV6_RECVHOPLIMIT };
#else
enum { ICMP = IPPROTO_ICMP, REQUEST = 8, REPLY = 0, LEVEL = IPPROTO_IP, HEADER = 20, INFO = IP_PKTINFO, HOPS = IP_TTL,
    RECEIVE_HOPS = IP_RECVTTL };
#endif

static int new_socket(int protocol)
{
    return MUST(socket(FAMILY, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

static size_t message(unsigned char *p, int type, const char *text)
{
    memset(p, 0, 8);
    p[0] = type;
    put16(p + 4, 0x1234);
    put16(p + 6, 7);
    strcpy((char *)p + 8, text);
    return 8 + strlen(text);
}

static void arrives(const char *from, const char *to, int type, const char *text)
{
    unsigned char p[500];
    size_t len = message(p, type, text);
    far_send(&tun, from, to, ICMP, p, len, 2);
}

static void receive(const char *what, int sock)
{
    name from = { .len = sizeof from.room };
    char text[240];
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    ssize_t n = recvfrom(sock, buf, sizeof buf, MSG_DONTWAIT, &from.sa, &from.len);
    if (n < 0) {
        show(what, n);
        return;
    }
    /* The identification and the checksum of the header are not the program's affair. */
    if (HEADER && n >= HEADER)
        memset(buf + 4, 0, 2), memset(buf + 10, 0, 2);
    say(what, "%zd from %s len=%d %s %s", n, shown(&from), from.len, hex(text, buf, HEADER),
        describe_data(text + 80, buf + HEADER, n - HEADER));
}

static void nothing(const char *what, int sock)
{
    struct pollfd p = { .fd = sock, .events = POLLIN };
    SHOW(what, poll(&p, 1, NEVER));
}

static void sent(const char *what, const far *f)
{
    char text[160];
    if (!far_next(f, &s, SOON)) {
        say(what, "no packet");
        return;
    }
    say(what, "%s->%s proto=%d ttl=%d tos=%d df=%d right=%d %s", s.from, s.to, s.proto, s.ttl, s.tos, s.df, s.right,
        describe_data(text, s.data, s.len));
}

static void options(void)
{
    int sock = new_socket(ICMP);
    show_own("name", sock);
    show_peer("peer", sock);
    SHOW("SO_DOMAIN", option_of(sock, SOL_SOCKET, SO_DOMAIN) == FAMILY);
    SHOW("SO_TYPE", option_of(sock, SOL_SOCKET, SO_TYPE));
    SHOW("SO_PROTOCOL", option_of(sock, SOL_SOCKET, SO_PROTOCOL) == ICMP);
    SHOW("set hops", option(sock, LEVEL, HOPS, 9));
    SHOW("hops", option_of(sock, LEVEL, HOPS));
    SHOW("hops of 256", option(sock, LEVEL, HOPS, 256));
    SHOW("receive of nothing", recv(sock, buf, sizeof buf, 0));
    SHOW("listen", listen(sock, 1));
    unsigned char p[100];
    size_t len = message(p, REQUEST, "nobody");
    SHOW("send without a destination", send(sock, p, len, 0));
    SHOW("MSG_OOB", send(sock, p, len, MSG_OOB));
    name other = any_name(FAMILY == AF_INET ? "fd09::2" : "10.9.0.2", 0);
    SHOW("to another family", sendto(sock, p, len, 0, &other.sa, other.len));
    close(sock);
}

static void hears(void)
{
    int sock = new_socket(ICMP), other = new_socket(ICMP), strange = new_socket(200);
    int filtered = new_socket(ICMP);
#ifdef V6
    struct icmp6_filter { uint32_t data[8]; } filter;
    memset(&filter, 0xff, sizeof filter);
    filter.data[REPLY / 32] &= ~(1u << REPLY % 32);
    SHOW("a filter of types", setsockopt(filtered, IPPROTO_ICMPV6, 1, &filter, sizeof filter));
#else
    struct icmp_filter filter = { ~(1u << REPLY) };
    SHOW("a filter of types", setsockopt(filtered, SOL_RAW, ICMP_FILTER, &filter, sizeof filter));
#endif
    arrives(FAR, OWN, REPLY, "a reply");
    receive("a reply", sock);
    receive("a reply, again", other);
    receive("a reply, through a filter", filtered);
    arrives(FAR, OWN, REQUEST, "a request");
    receive("a request", sock);
    sent("and it is answered", &tun);
    nothing("a filter keeps it away", filtered);
    arrives(FAR2, OWN2, REPLY, "to the other address");
    receive("to the other address", sock);
    arrives(FAR, BEYOND, REPLY, "to somebody else");
    unsigned char p[40] = "anything";
    far_send(&tun, FAR, OWN, 200, p, 20, -1);
    receive("another protocol", strange);
    SHOW("connect", connect_to(other, FAR2, 0));
    arrives(FAR, OWN, REPLY, "from the other end");
    arrives(FAR2, OWN, REPLY, "from this end");
    receive("what was before", other);
    receive("what was before, to a filter", filtered);
    while (recv(other, buf, sizeof buf, MSG_PEEK) > 0 && !memmem(buf, sizeof buf, "from this end", 13))
        recv(other, buf, sizeof buf, 0);
    receive("from the end it is connected to", other);
    close(sock), close(other), close(strange), close(filtered);
}

static void control(void)
{
    int sock = new_socket(ICMP);
    char room[200], text[160];
    struct iovec part = { buf, sizeof buf };
    name from = { 0 };
    struct msghdr m = { .msg_name = &from.sa, .msg_namelen = sizeof from.room, .msg_iov = &part, .msg_iovlen = 1,
        .msg_control = room, .msg_controllen = sizeof room };
    SHOW("wants the destination", option(sock, LEVEL, INFO, 1));
    SHOW("wants hops", option(sock, LEVEL, RECEIVE_HOPS, 1));
#ifdef V6
    SHOW("wants the destination by RFC 2292", option(sock, LEVEL, IPV6_2292PKTINFO, 1));
    SHOW("wants hops by RFC 2292", option(sock, LEVEL, IPV6_2292HOPLIMIT, 1));
    SHOW("hops by RFC 2292 are told", option_of(sock, LEVEL, IPV6_2292HOPLIMIT));
#endif
    far_ttl = 33;
    arrives(FAR, OWN2, REPLY, "with more");
    far_ttl = 64;
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    SHOW("recvmsg", recvmsg(sock, &m, 0));
    int at = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        unsigned char *data = CMSG_DATA(c);
        size_t len = c->cmsg_len - CMSG_LEN(0);
        /* An index is not told. */
        if (len == 12)
            memset(data, 0, 4);
        if (len == 20)
            memset(data + 16, 0, 4);
        say(label("control message %d", at++), "level=%d type=%d %s", c->cmsg_level, c->cmsg_type, hex(text, data, len));
    }
    close(sock);
}

static void sends(void)
{
    int sock = new_socket(ICMP), strange = new_socket(200);
    unsigned char p[2000] = { 0 };
    size_t len = message(p, REQUEST, "hello");
    put16(p + 2, upper_checksum(0, p, p, IPPROTO_ICMP, p, len));
    SHOW("sendto", send_to(sock, FAR, 0, p, len));
    sent("on the wire", &tun);
    SHOW("hops anew", option(sock, LEVEL, HOPS, 5));
    SHOW("sendto with hops", send_to(sock, FAR, 0, p, len));
    sent("on the wire with hops", &tun);
    SHOW("connect to another", connect_to(sock, FAR2, 0));
    show_own("name, connected", sock);
    show_peer("peer, connected", sock);
    SHOW("send", send(sock, p, len, 0));
    sent("on the wire, connected", &tun);
    SHOW("write", write(sock, p, len));
    sent("on the wire by write", &tun);
    SHOW("send another protocol", send_to(strange, FAR, 0, "anything", 8));
    sent("another protocol on the wire", &tun);
    SHOW("to the tap", send_to(sock, TAP_FAR, 0, p, len));
    sent("on the wire of the tap", &tap);
#ifndef V6
    int whole = new_socket(IPPROTO_RAW);
    memset(p, 0, sizeof p);
    size_t at = ip_header(p, "0.0.0.0", FAR, 201, 5, 0);
    memcpy(p + at, "whole", 5);
    put16(p + 2, 1), put16(p + 10, 1), p[8] = 77;
    SHOW("with a header", send_to(whole, FAR, 0, p, at + 5));
    sent("with a header on the wire", &tun);
    SHOW("with a short header", send_to(whole, FAR, 0, p, 12));
    SHOW("IP_HDRINCL", option_of(whole, IPPROTO_IP, IP_HDRINCL));
    SHOW("IP_HDRINCL of another", option_of(strange, IPPROTO_IP, IP_HDRINCL));
    SHOW("set IP_HDRINCL", option(strange, IPPROTO_IP, IP_HDRINCL, 1));
    p[9] = 202;
    SHOW("with a header by another", send_to(strange, FAR, 0, p, at + 5));
    sent("with a header by another on the wire", &tun);
    nothing("who sends whole packets hears none", whole);
    SHOW("to everybody", send_to(sock, "10.9.0.255", 0, p, 8));
    SHOW("SO_BROADCAST", option(sock, SOL_SOCKET, SO_BROADCAST, 1));
    close(whole);
#endif
    SHOW("bind to nobody's address", bind_to(strange, FAR, 0));
    SHOW("bind", bind_to(strange, OWN2, 0));
    show_own("name, bound", strange);
#ifdef V6
    SHOW("send from it", send_to(strange, FAR, 0, "anything", 8));
    sent("on the wire from it", &tun);
#endif
    close(sock), close(strange);
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    options();
    hears();
    control();
    sends();
    return 0;
}
