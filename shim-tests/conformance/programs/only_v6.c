/* Sockets of UDP that are of IPv6 alone (IPV6_V6ONLY) and have any address: what they send to
 * sockets of this host and to others, and what reaches them. */
#define V6
#include "far.h"

#define LINK_OWN "fe80::1"
static far tun;

static int of_v6(int alone, const char *address, int port)
{
    int sock = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    MUST(option(sock, IPPROTO_IPV6, IPV6_V6ONLY, alone) + 1);
    if (port)
        MUST(bind_to(sock, address, port));
    return sock;
}

static void received(const char *what, int sock)
{
    char byte;
    name from = { .len = sizeof from.room };
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    ssize_t n = recvfrom(sock, &byte, 1, MSG_DONTWAIT, &from.sa, &from.len);
    if (n < 0)
        show(label("%s, received", what), n);
    else
        say(label("%s, received", what), "%zd from %s", n, shown(&from));
}

int main(int argc, char **argv)
{
    static const char *const all[] = { OWN, OWN2, LINK_OWN, LOOP };
    static seen s;
    tun = far_start(argc, argv);
    MUST(add_address6("tun0", LINK_OWN, 64));
    ipv6_settled("tun0");
    for (int there = 0; there < 2; there++) {
        int receiver = of_v6(there, ANY, 5000);
        for (int here = 0; here < 2; here++)
            for (int bound = 0; bound < 2; bound++) {
                int sender = of_v6(here, ANY, bound ? 5001 : 0);
                for (int i = 0; i < 4; i++) {
                    const char *what = label("%s to %s, %s, at %s", here ? "alone" : "both", there ? "alone" : "both",
                                             bound ? "bound" : "not bound", all[i]);
                    char kept[200];
                    snprintf(kept, sizeof kept, "%s", what);
                    name to = any_name(all[i], 5000);
                    to.in6.sin6_scope_id = all[i] == all[2] ? if_index("tun0") : 0;
                    SHOW(label("%s, sent", kept), sendto(sender, "x", 1, 0, &to.sa, to.len));
                    received(kept, receiver);
                }
                far_drain(&tun);
                SHOW(label("%s to another host, %s", here ? "alone" : "both", label("%d %d", there, bound)),
                     send_to(sender, FAR, 5000, "x", 1));
                show_next(label("%s leaves, %s", here ? "alone" : "both", label("%d %d", there, bound)), &tun, &s);
                close(sender);
            }
        close(receiver);
    }
    return 0;
}
