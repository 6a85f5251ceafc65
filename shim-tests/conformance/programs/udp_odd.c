/* What random sequences of calls on sockets of datagrams have found: ports of calls that fail,
 * options that want a permission, a socket that was shut, and the MTU of a path when its link is
 * another one. */
#include "far.h"

static far tun;

static int new_socket(void) { return MUST(socket(FAMILY, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

/* A connect(2) that finds no way has given the socket a port. */
static void failed(const char *to, const char *what)
{
    int sock = new_socket();
    SHOW(label("%s, connect", what), connect_to(sock, to, 5000));
    show_own(label("%s, name", what), sock);
    SHOW(label("%s, bind then", what), bind_to(sock, OWN, 5000));
    close(sock);
}

static void numbers(void)
{
    static const struct { const char *what; int option, value, told; } all[] = {
        { "priority 6", SO_PRIORITY, 6, SO_PRIORITY },  { "priority 7", SO_PRIORITY, 7, SO_PRIORITY },
        { "priority 0", SO_PRIORITY, 0, SO_PRIORITY },  { "mark", SO_MARK, 5, SO_MARK }, { "mark 0", SO_MARK, 0, SO_MARK },
        { "interface -1", SO_BINDTOIFINDEX, -1, SO_BINDTOIFINDEX },
    };
    int sock = new_socket();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        SHOW(all[i].what, option(sock, SOL_SOCKET, all[i].option, all[i].value));
        say(label("%s, told", all[i].what), "%d", option_of(sock, SOL_SOCKET, all[i].told));
    }
    close(sock);
}

static void shut(void)
{
    char text[160];
    int sock = new_socket();
    SHOW("shut, unconnected", shutdown(sock, SHUT_RD));
    say("shut, unconnected, poll", "%s", poll_bits(text, now_events(sock, POLL_ALL)));
    close(sock);
    sock = new_socket();
    MUST(connect_to(sock, FAR, 5000));
    SHOW("shut, connected", shutdown(sock, SHUT_RD));
    say("shut, connected, poll", "%s", poll_bits(text, now_events(sock, POLL_ALL)));
    close(sock);
}

static void say_smaller(void)
{
    unsigned char p[600] = { FAMILY == AF_INET6 ? 2 : 3, FAMILY == AF_INET6 ? 0 : 4 };
    int sock = new_socket();
    MUST(connect_to(sock, FAR, 5000));
    MUST(send(sock, "x", 1, 0));
    (void)EVENTUALLY(now_events(tun.fd, POLLIN), SOON);
    ssize_t n = read(tun.fd, p + 8, 500);
    if (FAMILY == AF_INET6)
        put32(p + 4, 1300);
    else
        put16(p + 6, 600);
    MUST(far_send(&tun, FAR, OWN, FAMILY == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, p, 8 + n, 2));
    close(sock);
}

static int path_mtu(void)
{
    int sock = new_socket(), mtu;
    MUST(connect_to(sock, FAR, 5000));
    mtu = FAMILY == AF_INET6 ? option_of(sock, IPPROTO_IPV6, IPV6_MTU) : option_of(sock, IPPROTO_IP, IP_MTU);
    close(sock);
    return mtu;
}

static void another_link(void)
{
    say_smaller();
    int smaller = FAMILY == AF_INET6 ? 1300 : 600;
    say("the path is told to be smaller", "%d", EVENTUALLY(path_mtu() == smaller, SOON));
    close(tun.fd);
    tun = far_up("tun0", OWN, OWN2, FAR, IFF_TUN);
    say("the path by another link", "%d", path_mtu());
}

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
#ifdef V6
    add_address("tun0", "10.9.0.1");
#endif
    failed(FAMILY == AF_INET6 ? "fd30::1" : "192.0.2.1", "no way");
    if (FAMILY == AF_INET)
        failed("10.9.0.255", "broadcast");
    numbers();
    shut();
    another_link();
    return 0;
}
