/* Packets that a host passes on between its interfaces: time to live, errors about those that it
 * cannot pass on, and what it does not pass on. */
#include "far.h"

static far tun, tap;
static seen s;
static unsigned char data[3000];

#ifdef V6
#define FORWARD "/proc/sys/net/ipv6/conf/all/forwarding"
#else
#define FORWARD "/proc/sys/net/ipv4/ip_forward"
#endif

static void from_tunnel(const char *to, size_t len, int ttl)
{
    far_ttl = ttl;
    far_udp(&tun, FAR, 9000, to, 9001, data, len);
    far_ttl = 64;
}

/* An error of ICMP: who sends it, what it says, and what it quotes. */
static void show_error_message(const char *what, int came)
{
    if (!came) {
        say(what, "no packet");
        return;
    }
    const unsigned char *quoted = s.data + 8;
    say(what, "%s->%s proto=%d type=%d code=%d more=%u right=%d, quotes %zu bytes with ttl %d", s.from, s.to, s.proto, s.data[0],
        s.data[1], get32(s.data + 4), s.right, s.len - 8, quoted[FAMILY == AF_INET6 ? 7 : 8]);
}

static void show_icmp(const char *what, const far *f) { show_error_message(what, far_next(f, &s, SOON)); }

int main(int argc, char **argv)
{
    tun = far_start(argc, argv);
    tap = far_tap();
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = i;
    from_tunnel(TAP_FAR, 10, 64);
    show_nothing("not forwarding", &tap, &s);
    far_drain(&tun);
    spit("/proc/sys/net/ipv4/conf/all/send_redirects", "0");
    spit("/proc/sys/net/ipv4/conf/tun0/send_redirects", "0");
    SHOW("forwarding", spit(FORWARD, "1"));
    from_tunnel(TAP_FAR, 10, 64);
    show_next("to the tap", &tap, &s);
    far_tos = 0x10;
    from_tunnel(TAP_FAR, 10, 2);
    show_next("ttl 2, tos", &tap, &s);
    far_tos = 0;
    from_tunnel(TAP_FAR, 10, 1);
    show_icmp("ttl 1", &tun);
    from_tunnel(TAP_FAR, 10, 0);
    show_icmp("ttl 0", &tun);
    far_udp(&tap, TAP_FAR, 9000, FAR, 9001, data, 10);
    show_next("to the tunnel", &tun, &s);
    far_udp(&tap, TAP_FAR, 9000, FAR2, 9001, data, 10);
    show_next("to another host in the tunnel", &tun, &s);
    from_tunnel(BEYOND, 10, 64);
    show_icmp("without a route", &tun);
    from_tunnel(TAP_OWN, 10, 64);
    show_icmp("to the other interface's address, nobody listens", &tun);
    int sock = MUST(socket(FAMILY, SOCK_DGRAM, 0));
    MUST(bind_to(sock, TAP_OWN, 9001));
    from_tunnel(TAP_OWN, 10, 64);
    (void)EVENTUALLY(now_events(sock, POLLIN), SOON);
    SHOW("to the other interface's address, a socket", recv(sock, data, 100, MSG_DONTWAIT));
    close(sock);
    from_tunnel(FAR2, 10, 64);
    show_next("back into the tunnel", &tun, &s);
    far_drain(&tun);

    /* Sizes. */
    MUST(if_set_mtu("tap0", 1280));
#ifdef V6
    from_tunnel(TAP_FAR, 1400, 64);
    show_icmp("too big", &tun);
    show_nothing("too big, nothing passes", &tap, &s);
#else
    /* A whole packet without DF, and one with it. */
    from_tunnel(TAP_FAR, 1400, 64);
    for (int i = 0; i < 2; i++) {
        int came = far_next(&tap, &s, SOON);
        say(label("without DF, fragment %d", i), "%d at %u%s ttl=%d right=%d %zu bytes", came, s.offset, s.more ? " more" : "", s.ttl,
            s.right, s.len);
    }
    unsigned char p[1500];
    size_t at = ip_header(p, FAR, TAP_FAR, IPPROTO_UDP, 1408, 0x4000);
    udp_header(p + at, 9000, 9001, 1400);
    memset(p + at + 8, 7, 1400);
    MUST(write(tun.fd, p, at + 1408));
    show_icmp("with DF", &tun);
    show_nothing("with DF, nothing passes", &tap, &s);
#endif
    MUST(if_set_mtu("tap0", 1500));
    /* Fragments pass as they are. */
    far_udp_fragments(&tun, FAR, 9000, TAP_FAR, 9001, data, 3000, 1400, -1, 0);
    for (int i = 0; i < 3; i++) {
        int came = far_next(&tap, &s, SOON);
        say(label("fragment %d", i), "%d at %u%s ttl=%d %zu bytes", came, s.offset, s.more ? " more" : "", s.ttl, s.len);
    }

    /* What is not passed on. */
    from_tunnel(LOOP, 10, 64);
    show_nothing("to the loopback", &tap, &s);
    far_udp(&tun, LOOP, 9000, TAP_FAR, 9001, data, 10);
    show_nothing("from the loopback", &tap, &s);
    far_udp(&tun, OWN, 9000, TAP_FAR, 9001, data, 10);
    show_nothing("from an own address", &tap, &s);
#ifdef V6
    far_udp(&tun, "fe80::2", 9000, TAP_FAR, 9001, data, 10);
    show_nothing("from an address of the link", &tap, &s);
    far_udp(&tun, "::", 9000, TAP_FAR, 9001, data, 10);
    show_nothing("from no address", &tap, &s);
    far_udp(&tun, FAR, 9000, "ff15::7", 9001, data, 10);
#else
    far_udp(&tun, FAR, 9000, "10.9.1.255", 9001, data, 10);
    show_nothing("to the other network's broadcast", &tap, &s);
    far_udp(&tun, "0.0.0.0", 9000, TAP_FAR, 9001, data, 10);
    show_nothing("from no address", &tap, &s);
    far_udp(&tun, FAR, 9000, "239.1.2.3", 9001, data, 10);
#endif
    show_nothing("to a group", &tap, &s);
    far_drain(&tun);

    /* A neighbour that does not answer. */
    far_udp(&tun, FAR, 9000, TAP_FAR2, 9001, data, 10);
    int looked = 0, came = 0;
    for (double until = now() + 6; !came && now() < until; came = far_next(&tun, &s, 50))
        while (read(tap.fd, s.raw, sizeof s.raw) > 0)
            looked++;
    say("a neighbour that does not answer is looked for", "%d", looked > 1);
    show_error_message("a neighbour that does not answer", came);

    /* A route by a router on the tap. */
    default_route("tap0", TAP_FAR);
    from_tunnel(BEYOND, 10, 64);
    show_next("by a router", &tap, &s);
    char text[20];
    say("by a router, its frame is for", "%s", hex(text, s.to_mac, 6));
    SHOW("not forwarding any more", spit(FORWARD, "0"));
    from_tunnel(TAP_FAR, 10, 64);
    show_nothing("not forwarding any more, packet", &tap, &s);
    return 0;
}
