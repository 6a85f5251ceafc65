/* What the host does with packets that come in: echoes, ports and protocols that nobody has, wrong
   headers, groups. Each case comes from an address of its own, so that no limit of errors is met. */
#include "wire.h"

static wire w;
static pkt p;

#define OWN "10.9.0.1"
#define OWN6 "fd09::1"

/* The answers to `p`, which was just sent. */
static void answers(const char *what, int v6)
{
    send_packet(&w, &p);
    show_answers(what, &w, v6 ? "fd09::99" : "10.9.0.99", v6 ? OWN6 : OWN);
}

static void echoes(void)
{
    static const size_t lengths[] = { 0, 1, 56, 1472, 1480 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        echo(&p, "10.9.0.2", OWN, 77, 3, lengths[i]);
        answers(label("echo of %zu bytes", lengths[i]), 0);
        echo(&p, "fd09::2", OWN6, 77, 3, lengths[i]);
        answers(label("echo of %zu bytes by IPv6", lengths[i]), 1);
    }
    echo(&p, "10.9.0.2", OWN, 77, 3, 8);
    p.bytes[1] = 0x2d;
    p.bytes[6] = 0x40;
    p.bytes[8] = 1;
    finish_ip(&p);
    answers("echo with a class, DF and one hop", 0);
    echo(&p, "fd09::2", OWN6, 77, 3, 8);
    p.bytes[0] = 0x62;
    p.bytes[1] = 0xd0;
    p.bytes[7] = 1;
    answers("echo with a class and one hop by IPv6", 1);
    echo(&p, "10.9.0.2", OWN, 77, 3, 8);
    p.bytes[30] ^= 1;
    answers("echo with a wrong sum", 0);
    echo(&p, "fd09::2", OWN6, 77, 3, 8);
    p.bytes[50] ^= 1;
    answers("echo with a wrong sum by IPv6", 1);
    icmp(&p, "10.9.0.2", OWN, 0, 0, 77 << 16 | 3, NULL, 8);
    answers("a reply that nobody waits for", 0);
    icmp(&p, "10.9.0.2", OWN, 99, 0, 0, NULL, 8);
    answers("a message that nobody knows", 0);
    icmp(&p, "fd09::2", OWN6, 99, 0, 0, NULL, 8);
    answers("an error that nobody knows by IPv6", 1);
    icmp(&p, "fd09::2", OWN6, 200, 0, 0, NULL, 8);
    answers("a message that nobody knows by IPv6", 1);
    echo(&p, "10.9.0.2", "10.9.0.255", 77, 3, 8);
    answers("echo to the broadcast address", 0);
    echo(&p, "10.9.0.2", "255.255.255.255", 77, 3, 8);
    answers("echo to everybody", 0);
    echo(&p, "10.9.0.2", "224.0.0.1", 77, 3, 8);
    answers("echo to all hosts", 0);
    echo(&p, "fd09::2", "ff02::1", 77, 3, 8);
    answers("echo to all nodes", 1);
    echo(&p, "fd09::2", "ff02::1:ff00:1", 77, 3, 8);
    answers("echo to the group of the address", 1);
    echo(&p, "fd09::2", "ff02::1:ff00:7", 77, 3, 8);
    answers("echo to the group of another address", 1);
    echo(&p, "fd09::2", "ff02::2", 77, 3, 8);
    answers("echo to all routers", 1);
}

static void settings(void)
{
    spit("/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", "0");
    echo(&p, "10.9.0.2", "10.9.0.255", 77, 3, 8);
    answers("allowed echo to the broadcast address", 0);
    spit("/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", "1");
    spit("/proc/sys/net/ipv4/ip_default_ttl", "33");
    echo(&p, "10.9.0.2", OWN, 77, 3, 8);
    answers("echo with another hop limit", 0);
    spit("/proc/sys/net/ipv4/ip_default_ttl", "64");
    set_conf("ipv6", "conf", w.name, "hop_limit", "34");
    echo(&p, "fd09::2", OWN6, 77, 3, 8);
    answers("echo with another hop limit by IPv6", 1);
    set_conf("ipv6", "conf", w.name, "hop_limit", "64");
}

static void ports(void)
{
    udp(&p, "10.9.0.10", OWN, 1000, 2000, 10);
    answers("a closed port", 0);
    udp(&p, "fd09::10", OWN6, 1000, 2000, 10);
    answers("a closed port by IPv6", 1);
    udp(&p, "10.9.0.11", OWN, 1000, 2000, 1400);
    answers("a closed port, long", 0);
    udp(&p, "fd09::11", OWN6, 1000, 2000, 1400);
    answers("a closed port, long, by IPv6", 1);
    udp(&p, "10.9.0.12", OWN, 1000, 2000, 10);
    p.bytes[1] = 0xff;
    p.bytes[6] = 0x40;
    finish_ip(&p);
    answers("a closed port, with a class and DF", 0);
    udp(&p, "fd09::12", OWN6, 1000, 2000, 10);
    p.bytes[0] = 0x6f;
    p.bytes[1] = 0xf0;
    answers("a closed port, with a class, by IPv6", 1);
    udp(&p, "10.9.0.13", OWN, 1000, 2000, 10);
    p.bytes[29] ^= 1;
    answers("a closed port, wrong sum", 0);
    udp(&p, "fd09::13", OWN6, 1000, 2000, 10);
    p.bytes[49] ^= 1;
    answers("a closed port, wrong sum, by IPv6", 1);
    udp(&p, "10.9.0.14", OWN, 1000, 2000, 10);
    put16(p.bytes + 26, 0);
    answers("a closed port, no sum", 0);
    udp(&p, "fd09::14", OWN6, 1000, 2000, 10);
    put16(p.bytes + 46, 0);
    answers("a closed port, no sum, by IPv6", 1);
    udp(&p, "10.9.0.15", OWN, 1000, 2000, 10);
    put16(p.bytes + 24, 30);
    answers("a closed port, longer than it is", 0);
    udp(&p, "10.9.0.16", "10.9.0.255", 1000, 2000, 10);
    answers("a closed port of the broadcast address", 0);
    udp(&p, "10.9.0.17", "224.0.0.1", 1000, 2000, 10);
    answers("a closed port of all hosts", 0);
    udp(&p, "fd09::17", "ff02::1", 1000, 2000, 10);
    answers("a closed port of all nodes", 1);
    udp(&p, "0.0.0.0", OWN, 1000, 2000, 10);
    answers("a closed port, from nobody", 0);
    udp(&p, "::", OWN6, 1000, 2000, 10);
    answers("a closed port, from nobody, by IPv6", 1);
    udp(&p, OWN, OWN, 1000, 2000, 10);
    answers("a closed port, from this host", 0);
    udp(&p, "127.0.0.1", OWN, 1000, 2000, 10);
    answers("a closed port, from the loopback", 0);
    udp(&p, "224.0.0.5", OWN, 1000, 2000, 10);
    answers("a closed port, from a group", 0);
    udp(&p, "10.9.0.18", "10.9.0.77", 1000, 2000, 10);
    answers("another host", 0);
    udp(&p, "fd09::18", "fd09::77", 1000, 2000, 10);
    answers("another host by IPv6", 1);
    udp(&p, "10.9.0.19", "192.0.2.1", 1000, 2000, 10);
    answers("another network", 0);
    udp(&p, "fd09::19", "2001:db8::1", 1000, 2000, 10);
    answers("another network by IPv6", 1);
}

static void resets(void)
{
    static const struct { const char *name; int flags; size_t len; } cases[] = {
        { "SYN", 2, 0 }, { "SYN with data", 2, 5 }, { "ACK", 16, 0 }, { "ACK with data", 16, 5 }, { "FIN", 1, 0 },
        { "RST", 4, 0 }, { "RST and ACK", 20, 0 }, { "SYN and ACK", 18, 0 }, { "nothing", 0, 3 }, { "URG", 32, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tcp(&p, "10.9.0.20", OWN, 80, cases[i].flags, cases[i].len);
        answers(label("closed port of TCP, %s", cases[i].name), 0);
        tcp(&p, "fd09::20", OWN6, 80, cases[i].flags, cases[i].len);
        answers(label("closed port of TCP, %s, by IPv6", cases[i].name), 1);
    }
    tcp(&p, "10.9.0.20", OWN, 80, 2, 0);
    p.bytes[1] = 0x2b;
    finish_ip(&p);
    answers("closed port of TCP, with a class", 0);
    tcp(&p, "fd09::20", OWN6, 80, 2, 0);
    p.bytes[0] = 0x62;
    p.bytes[1] = 0xb0;
    answers("closed port of TCP, with a class, by IPv6", 1);
    tcp(&p, "10.9.0.20", OWN, 80, 2, 0);
    p.bytes[36] ^= 1;
    answers("closed port of TCP, wrong sum", 0);
    tcp(&p, "10.9.0.20", "10.9.0.255", 80, 2, 0);
    answers("TCP to the broadcast address", 0);
    tcp(&p, "10.9.0.20", "224.0.0.1", 80, 2, 0);
    answers("TCP to all hosts", 0);
}

static void protocols(void)
{
    finish_ip(fill(begin(&p, "10.9.0.30", OWN, 200), 20));
    answers("a protocol that nobody knows", 0);
    finish_ip(fill(begin(&p, "fd09::30", OWN6, 200), 20));
    answers("a protocol that nobody knows by IPv6", 1);
    finish_ip(fill(begin(&p, "fd09::31", OWN6, 59), 20));
    answers("no next header", 1);
    finish_ip(fill(begin(&p, "10.9.0.32", "10.9.0.255", 200), 20));
    answers("a protocol that nobody knows, to the broadcast address", 0);
    finish_ip(fill(begin(&p, "fd09::32", "ff02::1", 200), 20));
    answers("a protocol that nobody knows, to all nodes", 1);
}

/* An echo request behind a header with these bytes. */
static void behind(const char *what, int host, int next, const char *header, size_t len, const char *to)
{
    char from[40];
    snprintf(from, sizeof from, "fd09::4%d", host);
    echo(&p, from, to, 77, 3, 8);
    memmove(p.bytes + 40 + len, p.bytes + 40, p.len - 40);
    memcpy(p.bytes + 40, header, len);
    p.bytes[6] = next;
    p.len += len;
    finish_ip(&p);
    answers(what, 1);
}

static void headers(void)
{
    echo(&p, "10.9.0.40", OWN, 77, 3, 8);
    p.bytes[10] ^= 1;
    answers("a wrong sum of the header", 0);
    echo(&p, "10.9.0.40", OWN, 77, 3, 8);
    put16(p.bytes + 2, 37);
    put16(p.bytes + 10, 0);
    put16(p.bytes + 10, sum_of(p.bytes, 20, 0));
    answers("longer than it is", 0);
    echo(&p, "10.9.0.40", OWN, 77, 3, 8);
    p.len += 9;
    answers("shorter than it is", 0);
    echo(&p, "fd09::40", OWN6, 77, 3, 8);
    p.len += 9;
    answers("shorter than it is, by IPv6", 1);
    echo(&p, "fd09::40", OWN6, 77, 3, 8);
    put16(p.bytes + 4, 17);
    answers("longer than it is, by IPv6", 1);
    behind("options to be skipped", 0, 0, "\x3a\x00\x01\x04\x00\x00\x00\x00", 8, OWN6);
    behind("options to be skipped, unknown", 1, 60, "\x3a\x00\x1e\x04\x00\x00\x00\x00", 8, OWN6);
    behind("an option that drops", 2, 60, "\x3a\x00\x5e\x04\x00\x00\x00\x00", 8, OWN6);
    behind("an option that refuses", 3, 60, "\x3a\x00\x9e\x04\x00\x00\x00\x00", 8, OWN6);
    behind("an option that refuses, of groups not", 4, 60, "\x3a\x00\xde\x04\x00\x00\x00\x00", 8, OWN6);
    behind("an option that refuses, to all nodes", 5, 60, "\x3a\x00\x9e\x04\x00\x00\x00\x00", 8, "ff02::1");
    behind("an option that refuses, of groups not, to all nodes", 6, 60, "\x3a\x00\xde\x04\x00\x00\x00\x00", 8, "ff02::1");
    behind("an option for each hop that refuses", 7, 0, "\x3a\x00\x9e\x04\x00\x00\x00\x00", 8, OWN6);
    behind("a route that has been followed", 8, 43, "\x3a\x02\x00\x00\x00\x00\x00\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, OWN6);
    behind("a route that has not been followed", 9, 43, "\x3a\x02\x00\x01\x00\x00\x00\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, OWN6);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    w = wire_ready("in0", 0, OWN, "255.255.255.0", OWN6);
    spit("/proc/sys/net/ipv4/icmp_msgs_burst", "1000");
    echoes();
    settings();
    ports();
    resets();
    protocols();
    headers();
    return 0;
}
