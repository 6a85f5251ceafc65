/* Sockets of echo requests: who may have them, names and identifiers, what is sent, heard and
 * told. */
/* The identifiers that the kernel chooses can be any. */
#define EPHEMERAL 1
#include "far.h"

static far tun, tap;
static seen s;
static unsigned char buf[70000];

#ifdef V6
enum { PROTOCOL = IPPROTO_ICMPV6, REQUEST = 128, REPLY = 129, LEVEL = IPPROTO_IPV6 };
#else
enum { PROTOCOL = IPPROTO_ICMP, REQUEST = 8, REPLY = 0, LEVEL = IPPROTO_IP };
#endif

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, PROTOCOL)); }

static size_t request(unsigned char *p, int number, const char *text)
{
    memset(p, 0, 8);
    p[0] = REQUEST;
    put16(p + 4, 0x1111);
    put16(p + 6, number);
    strcpy((char *)p + 8, text);
    return 8 + strlen(text);
}

/* A request on the wire, whose identifier is the socket's. */
static void show_request(const char *what, const far *f, int sock)
{
    char text[160];
    if (!far_next(f, &s, SOON)) {
        say(what, "no packet");
        return;
    }
    say(what, "%s->%s proto=%d ttl=%d tos=%d right=%d type=%d code=%d its identifier %d number=%u %s", s.from, s.to, s.proto, s.ttl,
        s.tos, s.right, s.data[0], s.data[1], get16(s.data + 4) == (unsigned)own_port(sock), get16(s.data + 6),
        describe_data(text, s.data + 8, s.len - 8));
}

static void answer(const far *f, const char *from)
{
    unsigned char p[2000];
    size_t len = s.len;
    char to[60];
    memcpy(p, s.data, len);
    p[0] = REPLY;
    strcpy(to, s.from);
    far_send(f, from, to, PROTOCOL, p, len, 2);
}

static void receive(const char *what, int sock)
{
    name from = { .len = sizeof from.room };
    char text[160];
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    ssize_t n = recvfrom(sock, buf, sizeof buf, MSG_DONTWAIT, &from.sa, &from.len);
    if (n < 0)
        show(what, n);
    else
        say(what, "%zd from %s len=%d type=%d its identifier %d number=%u %s", n, shown(&from), from.len, buf[0],
            get16(buf + 4) == (unsigned)own_port(sock), get16(buf + 6), describe_data(text, buf + 8, n - 8));
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    spit("/proc/sys/net/ipv4/ping_group_range", "0 0");
    unsigned char p[2000];
    int sock = new_socket();
    show_own("name", sock);
    SHOW("SO_PROTOCOL", option_of(sock, SOL_SOCKET, SO_PROTOCOL) == PROTOCOL);
    SHOW("SO_TYPE", option_of(sock, SOL_SOCKET, SO_TYPE));
    size_t len = request(p, 1, "hello");
    SHOW("sendto", send_to(sock, FAR, 0, p, len));
    show_request("request", &tun, sock);
    show_own("name then", sock);
    answer(&tun, FAR);
    receive("reply", sock);
    answer(&tun, FAR2);
    receive("reply of another host", sock);
    /* Replies to others. */
    unsigned char other[2000];
    memcpy(other, s.data, s.len);
    other[0] = REPLY;
    other[4] ^= 0x55;
    far_send(&tun, FAR, OWN, PROTOCOL, other, s.len, 2);
    (void)EVENTUALLY(now_events(sock, POLLIN), NEVER);
    receive("a reply with another identifier", sock);
    SHOW("to a host on the tap", send_to(sock, TAP_FAR, 7, p, request(p, 2, "tap")));
    show_request("request on the tap", &tap, sock);
    answer(&tap, TAP_FAR);
    receive("reply on the tap", sock);
    SHOW("without a route", send_to(sock, BEYOND, 0, p, len));
    SHOW("too short", send_to(sock, FAR, 0, p, 7));
    p[0] = REPLY;
    SHOW("a reply", send_to(sock, FAR, 0, p, len));
    p[0] = REQUEST;
    p[1] = 1;
    SHOW("another code", send_to(sock, FAR, 0, p, len));
    p[1] = 0;
    SHOW("MSG_OOB", sendto(sock, p, len, MSG_OOB, &(struct sockaddr){ 0 }, 0));
    SHOW("without a name", send(sock, p, len, 0));
    close(sock);

    sock = new_socket();
    SHOW("bind with an identifier", bind_to(sock, OWN2, 1234));
    show_own("bound, name", sock);
    SHOW("bound, identifier", own_port(sock));
    int second = new_socket();
    SHOW("bind with the same one", bind_to(second, OWN2, 1234));
    SHOW("bind to a foreign address", bind_to(second, FAR, 0));
    close(second);
    SHOW("bound, sendto", send_to(sock, FAR, 0, p, request(p, 3, "second")));
    show_request("bound, request", &tun, sock);
    answer(&tun, FAR);
    receive("bound, reply", sock);
    close(sock);

    sock = new_socket();
    SHOW("connect", connect_to(sock, FAR, 0));
    show_own("connected, name", sock);
    show_peer("connected, peer", sock);
    SHOW("ttl", option(sock, LEVEL, FAMILY == AF_INET6 ? IPV6_UNICAST_HOPS : IP_TTL, 3));
    SHOW("RECVTTL", option(sock, LEVEL, FAMILY == AF_INET6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1));
    SHOW("connected, send", send(sock, p, request(p, 4, "connected"), 0));
    show_request("connected, request", &tun, sock);
    far_ttl = 33;
    answer(&tun, FAR);
    far_ttl = 64;
    char control[200];
    struct iovec iov = { buf, 100 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    ssize_t n = recvmsg(sock, &m, 0);
    struct cmsghdr *h = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    int ttl = 0;
    if (h)
        memcpy(&ttl, CMSG_DATA(h), sizeof ttl);
    say("connected, reply", "%zd ttl %d", n, ttl);
    SHOW("an error is asked for", option(sock, LEVEL, FAMILY == AF_INET6 ? IPV6_RECVERR : IP_RECVERR, 1));
    far_drain(&tun);
    (void)send(sock, p, request(p, 5, "lost"), 0);
    if (far_next(&tun, &s, SOON))
        far_unreachable(&tun, &s, EXPIRED);
    show_state("expired, poll", sock, POLLERR);
    SHOW("expired, queue", recv(sock, buf, 100, MSG_ERRQUEUE));
    (void)send(sock, p, request(p, 6, "lost"), 0);
    if (far_next(&tun, &s, SOON))
        far_unreachable(&tun, &s, NO_HOST);
    show_state("no host, poll", sock, POLLERR);
    SHOW("no host, recv", recv(sock, buf, 100, 0));
    SHOW("no host, queue", recv(sock, buf, 100, MSG_ERRQUEUE));
    close(sock);

    /* The own address answers. */
    sock = new_socket();
    SHOW("to the own address", send_to(sock, OWN, 0, p, request(p, 7, "self")));
    receive("reply of the own address", sock);
    SHOW("to the loopback", send_to(sock, LOOP, 0, p, request(p, 8, "loop")));
    receive("reply of the loopback", sock);
    memset(buf, 0, 3000);
    request(buf, 9, "long");
    SHOW("a long one", send_to(sock, FAR, 0, buf, 3000));
    int parts = 0;
    while (far_next(&tun, &s, parts ? NEVER : SOON) && ++parts && s.more)
        ;
    say("a long one, packets", "%d", parts);
    close(sock);
    return 0;
}
