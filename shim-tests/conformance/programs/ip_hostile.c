/* Packets that are wrong in every way: afterwards the host answers as before. */
#define WATCHDOG_SECONDS 60
#include "wire.h"

#define COUNT 30000

static wire tunnels[2];
static uint64_t seed = 1;
static pkt p;

static unsigned draw(unsigned most)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % most;
}

static const char *const v4[] = { "10.9.0.1", "10.9.0.2", "10.8.0.1", "10.8.0.2", "224.0.0.1",
                                  "10.9.0.255", "255.255.255.255", "127.0.0.1", "0.0.0.0", "192.0.2.1" };
static const char *const v6[] = { "fd09::1", "fd09::2", "fd08::1", "fd08::2", "ff02::1",
                                  "fe80::1", "::1", "::", "ff02::1:ff00:1", "2001:db8::1" };

/* A packet of IPv6 with two headers in front of what it carries. */
static void with_headers(const char *from, const char *to)
{
    static const unsigned char kinds[] = { 0, 43, 44, 51, 60, 58, 17 };
    unsigned char headers[16] = { kinds[draw(7)], draw(3), draw(256), draw(256), draw(256), draw(256), draw(256),
                                  draw(256), kinds[draw(7)], 0, 1, 4 };
    begin(&p, from, to, kinds[draw(6)]);
    finish_ip(fill(add(&p, headers, sizeof headers), draw(100)));
}

/* An error about a packet that may be this host's. */
static void about(int six, const char *from, const char *to)
{
    static pkt quoted;
    udp(&quoted, to, from, draw(65536), draw(65536), draw(100));
    icmp(&p, from, to, six ? 1 + draw(4) : 3 + draw(10), draw(16), draw(2000), quoted.bytes,
         quoted.len - draw(quoted.len + 1));
}

static void make(void)
{
    int six = draw(2);
    const char *from = six ? v6[draw(10)] : v4[draw(10)], *to = six ? v6[draw(10)] : v4[draw(10)];
    switch (draw(8)) {
    case 0: udp(&p, from, to, draw(65536), draw(65536), draw(2000)); break;
    case 1: tcp(&p, from, to, draw(100), draw(64), draw(1500)); break;
    case 2: echo(&p, from, to, draw(1000), draw(1000), draw(2000)); break;
    case 3: icmp(&p, from, to, draw(160), draw(4), draw(100000), NULL, draw(200)); break;
    case 4: about(six, from, to); break;
    case 5: finish_ip(fill(begin(&p, from, to, draw(256)), draw(300))); break;
    case 6: discovery(&p, 133 + draw(5), six ? from : v6[1], six ? to : v6[0], v6[draw(10)], draw(100000), draw(2) ? PEER_MAC : NULL); break;
    case 7: with_headers(six ? from : v6[1], six ? to : v6[0]); break;
    }
    if (p.bytes[0] >> 4 == 4 && !draw(3)) {
        put16(p.bytes + 6, draw(0x4000) & (draw(2) ? 0x200f : 0xffff));
        finish_ip(&p);
    }
    for (int changes = draw(4) ? 0 : draw(6); changes > 0; changes--)
        p.bytes[draw(p.len)] = draw(256);
    if (!draw(5))
        p.len -= draw(p.len);
}

/* An ARP message with any bytes in it. */
static void send_any_arp(wire *w)
{
    unsigned char f[60];
    memcpy(f, ALL_MAC PEER_MAC "\x08\x06\x00\x01\x08\x00\x06\x04", 20);
    for (int i = 20; i < 60; i++)
        f[i] = draw(256);
    put16(f + 20, 1 + draw(2));
    memcpy(f + 28, "\x0a\x08\x00", 3);
    memcpy(f + 38, "\x0a\x08\x00\x01", 4);
    if (write(w->fd, f, 14 + draw(46)) < 0 && errno != EINVAL)
        die("write");
}

static int answers(wire *w, const char *peer, const char *own)
{
    static unsigned char f[70100];
    static int sequence;
    double until = now() + 10;
    while (now() < until) {
        ssize_t n;
        send_packet(w, echo(&p, peer, own, 0xbeef, ++sequence, 4));
        while ((n = next_frame(w, f, sizeof f, 300)) > 0) {
            const unsigned char *b = f + (w->tap ? 14 : 0);
            if (b[0] >> 4 == 4 && b[20] == 0 && b[24] == 0xbe && b[25] == 0xef)
                return 1;
        }
        if (w->tap)
            send_arp(w, ALL_MAC, 1, PEER_MAC, peer, "\0\0\0\0\0\0", own);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static unsigned char f[70100];
    start(argc, argv);
    tunnels[0] = wire_ready("ho0", 0, "10.9.0.1", "255.255.255.0", "fd09::1");
    tunnels[1] = wire_ready("ho1", 1, "10.8.0.1", "255.255.255.0", "fd08::1");
    MUST(spit("/proc/sys/net/ipv4/ip_forward", "1"));
    MUST(spit("/proc/sys/net/ipv6/conf/all/forwarding", "1"));
    for (int i = 0; i < COUNT; i++) {
        wire *w = &tunnels[draw(2)];
        make();
        if (w->tap && !draw(6))
            send_any_arp(w);
        else if (w->tap)
            send_framed(w, draw(3) ? OWN_MAC : ALL_MAC, &p);
        else if (write(w->fd, p.bytes, p.len) < 0 && errno != EINVAL)
            die("write");
        for (int t = 0; i % 16 == 0 && t < 2; t++)
            while (read(tunnels[t].fd, f, sizeof f) > 0)
                ;
    }
    say("the tun is answered", "%d", answers(&tunnels[0], "10.9.0.99", "10.9.0.1"));
    say("the tap is answered", "%d", answers(&tunnels[1], "10.8.0.99", "10.8.0.1"));
    return 0;
}
