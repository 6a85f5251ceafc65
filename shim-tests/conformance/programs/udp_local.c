/* Datagrams between two sockets of the net: what the receiver is told of a header that the sender
 * has chosen, by options and by control messages, for one datagram or for all. */
#include "far.h"
#include <sys/uio.h>

#ifdef V6
enum { LEVEL = IPPROTO_IPV6, HOPS = IPV6_UNICAST_HOPS, CLASS = IPV6_TCLASS, TOLD_HOPS = IPV6_RECVHOPLIMIT,
       TOLD_CLASS = IPV6_RECVTCLASS, HOPS_MESSAGE = IPV6_HOPLIMIT };
#else
enum { LEVEL = IPPROTO_IP, HOPS = IP_TTL, CLASS = IP_TOS, TOLD_HOPS = IP_RECVTTL, TOLD_CLASS = IP_RECVTOS, HOPS_MESSAGE = IP_TTL };
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static int receiver;

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

/* Shows all datagrams that wait, each with its hop limit and class. */
static void received(const char *of)
{
    char what[100];
    snprintf(what, sizeof what, "%s", of);
    for (int i = 0; EVENTUALLY(now_events(receiver, POLLIN), i ? NEVER : SOON); i++) {
        char control[400], data[40];
        struct iovec iov = { data, sizeof data };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
        ssize_t n = recvmsg(receiver, &m, MSG_DONTWAIT);
        int hops = -1, class = -1;
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
            if (h->cmsg_level == LEVEL && h->cmsg_type == HOPS_MESSAGE)
                memcpy(&hops, CMSG_DATA(h), sizeof hops);
            if (h->cmsg_level == LEVEL && h->cmsg_type == CLASS)
                class = *CMSG_DATA(h);
        }
        say(label("%s, comes %d", what, i), "%zd hops %d class %#x", n, hops, class);
    }
}

static size_t put(char *control, size_t at, int level, int type, const void *value, size_t size)
{
    struct cmsghdr *h = (struct cmsghdr *)(control + at);
    h->cmsg_level = level;
    h->cmsg_type = type;
    h->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(h), value, size);
    return at + CMSG_SPACE(size);
}

/* Sends with control messages; 0 leaves one away. */
static void sends(const char *how, const char *of, int sock, int connected, int hops, int class, unsigned short segment)
{
    char what[80];
    snprintf(what, sizeof what, "%s, %s", how, of);
    _Alignas(8) char control[200] = { 0 };
    size_t used = 0;
    if (hops)
        used = put(control, used, LEVEL, HOPS_MESSAGE, &hops, sizeof hops);
    if (class)
        used = put(control, used, LEVEL, CLASS, &class, sizeof class);
    if (segment)
        used = put(control, used, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    name n = any_name(OWN, 5000);
    struct iovec iov = { "abcdefgh", 8 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = used ? control : NULL, .msg_controllen = used };
    if (!connected) {
        m.msg_name = &n.sa;
        m.msg_namelen = n.len;
    }
    SHOW(label("%s, sendmsg", what), sendmsg(sock, &m, 0));
    received(what);
}

static void all(const char *how, int sock, int connected)
{
    sends(how, "nothing said", sock, connected, 0, 0, 0);
    sends(how, "hops", sock, connected, 7, 0, 0);
    sends(how, "class", sock, connected, 0, 0x41, 0);
    sends(how, "both and segments", sock, connected, 7, 0x41, 3);
    sends(how, "segments", sock, connected, 0, 0, 3);
    sends(how, "wrong hops", sock, connected, 256, 0, 0);
    SHOW(label("%s, set hops", how), option(sock, LEVEL, HOPS, 9));
    SHOW(label("%s, set class", how), option(sock, LEVEL, CLASS, 0x22));
    sends(how, "of the socket", sock, connected, 0, 0, 0);
    sends(how, "of the socket and hops", sock, connected, 7, 0, 0);
    if (connected)
        SHOW(label("%s, send", how), send(sock, "12", 2, 0));
    else
        SHOW(label("%s, sendto", how), send_to(sock, OWN, 5000, "12", 2));
    received(label("%s, without a message", how));
    SHOW(label("%s, set hops again", how), option(sock, LEVEL, HOPS, 64));
    SHOW(label("%s, set class again", how), option(sock, LEVEL, CLASS, 0));
    sends(how, "as at first", sock, connected, 0, 0, 0);
}

int main(int argc, char **argv)
{
    (void)far_start(argc, argv);
    receiver = new_socket();
    MUST(bind_to(receiver, OWN, 5000));
    MUST(option(receiver, LEVEL, TOLD_HOPS, 1));
    MUST(option(receiver, LEVEL, TOLD_CLASS, 1));
    int sock = new_socket();
    all("by name", sock, 0);
    SHOW("connect", connect_to(sock, OWN, 5000));
    all("connected", sock, 1);
    return 0;
}
