/* Packets for others: passed on between two tunnels once that is allowed, with the errors of those
   that cannot be. */
#include "wire.h"

static wire a, b, *in;
static pkt p;

/* What comes out of the other tunnel, up to an echo request that is passed on behind it. */
static void passed(const char *what, int v6)
{
    static unsigned char f[70100];
    static pkt mark;
    static int sequence;
    wire *out = in == &a ? &b : &a;
    int count = 0;
    char prefix[200];
    snprintf(prefix, sizeof prefix, "%s", what);
    send_packet(in, &p);
    show_answers(label("%s, back", prefix), in, v6 ? "fd09::99" : "10.9.0.99", v6 ? "fd09::1" : "10.9.0.1");
    echo(&mark, v6 ? "fd08::99" : "10.8.0.99", v6 ? "fd08::1" : "10.8.0.1", 0xdead, ++sequence, 4);
    send_packet(out, &mark);
    for (;;) {
        ssize_t n = next_frame(out, f, sizeof f, 3000);
        if (n < 0) {
            say(label("%s, end", prefix), "no answer to the echo");
            return;
        }
        const unsigned char *message = f[0] >> 4 == 4 ? f + 20 : f + 40;
        if (message[4] == 0xde && message[5] == 0xad)
            break;
        show_frame(label("%s, on %d", prefix, ++count), out, f, n);
    }
    if (!count)
        say(label("%s, on", prefix), "none");
}

static void cases(const char *when)
{
    char kept[40];
    snprintf(kept, sizeof kept, "%s", when);
    udp(&p, "10.9.0.2", "10.8.0.2", 1, 2, 8);
    passed(label("%s, datagram", kept), 0);
    udp(&p, "fd09::2", "fd08::2", 1, 2, 8);
    passed(label("%s, datagram by IPv6", kept), 1);
    udp(&p, "10.9.0.3", "10.8.0.2", 1, 2, 8)->bytes[8] = 1;
    finish_ip(&p);
    passed(label("%s, with one hop", kept), 0);
    udp(&p, "fd09::3", "fd08::2", 1, 2, 8)->bytes[7] = 1;
    passed(label("%s, with one hop by IPv6", kept), 1);
    udp(&p, "10.9.0.4", "10.8.0.2", 1, 2, 8)->bytes[8] = 2;
    finish_ip(&p);
    passed(label("%s, with two hops", kept), 0);
    udp(&p, "fd09::4", "fd08::2", 1, 2, 8)->bytes[7] = 2;
    passed(label("%s, with two hops by IPv6", kept), 1);
    udp(&p, "10.9.0.5", "10.8.0.2", 1, 2, 1400)->bytes[6] = 0x40;
    finish_ip(&p);
    passed(label("%s, too long and whole", kept), 0);
    udp(&p, "10.9.0.6", "10.8.0.2", 1, 2, 1400);
    passed(label("%s, too long", kept), 0);
    udp(&p, "fd09::6", "fd08::2", 1, 2, 1400);
    passed(label("%s, too long by IPv6", kept), 1);
    udp(&p, "10.9.0.7", "192.0.2.1", 1, 2, 8);
    passed(label("%s, no way", kept), 0);
    udp(&p, "fd09::7", "2001:db8::1", 1, 2, 8);
    passed(label("%s, no way by IPv6", kept), 1);
    udp(&p, "10.9.0.8", "10.8.0.255", 1, 2, 8);
    passed(label("%s, the broadcast address of the other", kept), 0);
    udp(&p, "10.9.0.9", "224.0.0.9", 1, 2, 8);
    passed(label("%s, a group", kept), 0);
    udp(&p, "fd09::9", "ff05::9", 1, 2, 8);
    passed(label("%s, a group by IPv6", kept), 1);
    udp(&p, "fe80::9", "fd08::2", 1, 2, 8);
    passed(label("%s, from an address of the link", kept), 1);
    udp(&p, "10.9.0.10", "10.8.0.1", 1, 2, 8);
    passed(label("%s, the other address of this host", kept), 0);
    udp(&p, "fd09::10", "fd08::1", 1, 2, 8);
    passed(label("%s, the other address of this host by IPv6", kept), 1);
    udp(&p, "10.8.0.1", "10.8.0.2", 1, 2, 8);
    passed(label("%s, from an address of this host", kept), 0);
    udp(&p, "10.9.0.11", "10.8.0.2", 1, 2, 8)->bytes[1] = 0xb9;
    finish_ip(&p);
    passed(label("%s, with a class", kept), 0);
    tcp(&p, "10.9.0.12", "10.8.0.2", 80, 2, 0);
    passed(label("%s, segment", kept), 0);
    icmp(&p, "10.9.0.13", "10.8.0.2", 3, 1, 0, NULL, 28)->bytes[8] = 1;
    finish_ip(&p);
    passed(label("%s, an error with one hop", kept), 0);
    icmp(&p, "fd09::13", "fd08::2", 1, 1, 0, NULL, 48)->bytes[7] = 1;
    passed(label("%s, an error with one hop by IPv6", kept), 1);
    echo(&p, "10.9.0.14", "10.8.0.2", 5, 5, 8)->bytes[8] = 1;
    finish_ip(&p);
    passed(label("%s, an echo with one hop", kept), 0);
    udp(&p, "10.9.0.15", "10.8.0.2", 1, 2, 8)->bytes[7] = 3;
    p.bytes[8] = 1;
    finish_ip(&p);
    passed(label("%s, a later piece with one hop", kept), 0);
}

/* Packets that leave where they came in: the sender hears of it. */
static void within(void)
{
    udp(&p, "10.9.0.20", "10.9.0.21", 1, 2, 8);
    passed("within one network", 0);
    udp(&p, "10.9.0.22", "10.9.0.21", 1, 2, 8);
    passed("within one network, another sender", 0);
    udp(&p, "10.9.0.23", "10.9.0.21", 1, 2, 1000)->bytes[1] = 0x1c;
    finish_ip(&p);
    passed("within one network, long", 0);
    udp(&p, "192.0.2.9", "10.9.0.21", 1, 2, 8);
    passed("from another network", 0);
    udp(&p, "fd09::20", "fd09::21", 1, 2, 8);
    passed("within one network by IPv6", 1);
    passed("within one network by IPv6 again", 1);
    udp(&p, "fd09::22", "fd09::23", 1, 2, 1400);
    passed("within one network by IPv6, long", 1);
    set_conf("ipv4", "conf", "fa0", "send_redirects", "0");
    set_conf("ipv4", "conf", "all", "send_redirects", "0");
    udp(&p, "10.9.0.24", "10.9.0.21", 1, 2, 8);
    passed("within one network without redirects", 0);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    spit("/proc/sys/net/ipv4/icmp_msgs_burst", "1000");
    a = wire_ready("fa0", 0, "10.9.0.1", "255.255.255.0", "fd09::1");
    b = wire_ready("fb0", 0, "10.8.0.1", "255.255.255.0", "fd08::1");
    MUST(if_set_mtu("fb0", 1300));
    in = &a;
    cases("not allowed");
    MUST(spit("/proc/sys/net/ipv4/ip_forward", "1"));
    MUST(spit("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
    cases("allowed");
    within();
    set_conf("ipv4", "conf", "fa0", "forwarding", "0");
    udp(&p, "10.9.0.30", "10.8.0.2", 1, 2, 8);
    passed("not from this one", 0);
    set_conf("ipv4", "conf", "fa0", "forwarding", "1");
    set_conf("ipv4", "conf", "fb0", "forwarding", "0");
    udp(&p, "10.9.0.31", "10.8.0.2", 1, 2, 8);
    passed("not from the other", 0);
    set_conf("ipv4", "conf", "fa0", "rp_filter", "1");
    udp(&p, "10.7.0.1", "10.8.0.2", 1, 2, 8);
    passed("from where no answer leads, filtered", 0);
    udp(&p, "10.8.0.7", "10.8.0.2", 1, 2, 8);
    passed("from the other network, filtered", 0);
    udp(&p, "10.9.0.7", "10.8.0.2", 1, 2, 8);
    passed("from this network, filtered", 0);
    link_up("fb0", 0);
    udp(&p, "10.9.0.32", "10.8.0.2", 1, 2, 8);
    send_packet(in, &p);
    show_answers("the other is down, back", in, "10.9.0.99", "10.9.0.1");
    return 0;
}
