/* Which packets are one flow, and where its answers go once the program has written of it. Which
 * queue a flow gets by itself depends on a secret. */
#include "multiqueue.h"

/* A frame under construction; `tap` puts an Ethernet header in front. */
typedef struct {
    unsigned char data[200];
    int len, tap;
    unsigned type;
} build;

static void add16(build *f, unsigned v)
{
    put16(f->data + f->len, v);
    f->len += 2;
}

static void begin(build *f, unsigned type)
{
    memset(f->data, 0, sizeof f->data);
    f->len = 0;
    f->type = type;
    if (f->tap) {
        memcpy(f->data, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
        f->len = 12;
        add16(f, type);
    }
}

/* `options` words behind the header, 10.9.0.FROM to 10.9.0.TO. */
static void ip4(build *f, int protocol, int from, int to, unsigned fragment, int options, int len)
{
    unsigned char *h = f->data + f->len;
    int head = 20 + 4 * options;
    h[0] = 0x45 + options;
    put16(h + 2, head + len);
    put16(h + 6, fragment);
    h[8] = 64;
    h[9] = protocol;
    memcpy(h + 12, "\12\11\0\0\12\11\0\0", 8);
    h[15] = from;
    h[19] = to;
    memset(h + 20, 1, head - 20);
    f->len += head;
}

static void ip6(build *f, int next, int from, int to)
{
    unsigned char *h = f->data + f->len;
    h[0] = 0x60;
    h[5] = 60;
    h[6] = next;
    h[7] = 64;
    h[8] = h[24] = 0xfd;
    h[23] = from;
    h[39] = to;
    f->len += 40;
}

static void extension(build *f, const char *bytes, int len)
{
    memcpy(f->data + f->len, bytes, len);
    f->len += len;
}

static void ports(build *f, unsigned from, unsigned to)
{
    add16(f, from);
    add16(f, to);
    add16(f, 28);
    f->len += 22;
}

static const char *const kinds[] = {
    "UDP", "other ports of the same sum", "TCP", "ICMP", "ports exchanged", "first fragment", "later fragment", "ESP", "AH",
    "options", "IPv6", "hop by hop", "IPv6 fragment", "IPv4 in IPv4", "that IPv4 alone", "SCTP", "UDP-Lite", "DCCP", "GRE",
    "what was in GRE", "OSPF", "other addresses", "destination options", "routing header", "IPv6 in IPv4", "IPv6 in IPv6",
    "IPv4 in IPv6", "ICMPv6", "IPv6 AH", "cut off",
    /* Of a tap. */
    "ARP", "another type", "MPLS", "PPPoE", "what was in PPPoE"
};
enum { TUN_KINDS = 30, KINDS = sizeof kinds / sizeof *kinds };

/* One packet of each kind, or its answer. */
static void make(build *f, int kind, int answer)
{
    int a = answer ? 2 : 1, b = answer ? 1 : 2, s = answer ? 2000 : 1000, t = answer ? 1000 : 2000;
    static const unsigned char protocols[] = { [2] = 6, [7] = 50, [15] = 132, [16] = 136, [17] = 33 };
    begin(f, (kind >= 10 && kind <= 12) || kind == 22 || kind == 23 || (kind >= 25 && kind <= 28) ? 0x86dd
             : kind == 30 ? 0x806 : kind == 31 ? 0x88b5 : kind == 32 ? 0x8847 : kind == 33 ? 0x8864 : 0x800);
    switch (kind) {
    case 0: ip4(f, 17, a, b, 0, 0, 28); ports(f, s, t); break;
    case 1: ip4(f, 17, a, b, 0, 0, 28); ports(f, s + 1, t + 1); break;
    case 2: case 7: case 15: case 16: case 17: ip4(f, protocols[kind], a, b, 0, 0, 28); ports(f, s, t); break;
    case 3: ip4(f, 1, a, b, 0, 0, 28); ports(f, s, answer ? 7 : 9); break;
    case 4: ip4(f, 17, a, b, 0, 0, 28); ports(f, t, s); break;
    case 5: ip4(f, 17, a, b, 0x2000, 0, 28); ports(f, s, t); break;
    case 6: ip4(f, 17, a, b, 0x00b9, 0, 28); ports(f, answer ? 5 : 6, t); break;
    case 8: ip4(f, 51, a, b, 0, 0, 28); ports(f, 1, 2); break;
    case 9: ip4(f, 17, a, b, 0, 2, 28); ports(f, s, t); break;
    case 10: ip6(f, 17, a, b); ports(f, s, t); break;
    case 11: ip6(f, 0, a, b); extension(f, "\21\0\1\4\0\0\0\0", 8); ports(f, s, t); break;
    case 12: ip6(f, 44, a, b); extension(f, "\21\0\0\1\0\0\0\7", 8); ports(f, s, t); break;
    case 13: ip4(f, 4, a, b, 0, 0, 48); ip4(f, 17, a + 10, b + 10, 0, 0, 28); ports(f, s, t); break;
    case 14: ip4(f, 17, a + 10, b + 10, 0, 0, 28); ports(f, s, t); break;
    case 18: ip4(f, 47, a, b, 0, 0, 52); add16(f, 0); add16(f, 0x800); ip4(f, 17, a + 20, b + 20, 0, 0, 28); ports(f, s, t); break;
    case 19: ip4(f, 17, a + 20, b + 20, 0, 0, 28); ports(f, s, t); break;
    case 20: ip4(f, 89, a, b, 0, 0, 28); ports(f, s, answer ? 3 : 4); break;
    case 21: ip4(f, 17, 3, 0, 0, 0, 28); ports(f, s, t); break;
    case 22: ip6(f, 60, a, b); extension(f, "\21\0\1\4\0\0\0\0", 8); ports(f, s, t); break;
    case 23: ip6(f, 43, a, b); extension(f, "\21\0\4\0\0\0\0\0", 8); ports(f, s, t); break;
    case 24: ip4(f, 41, a, b, 0, 0, 68); ip6(f, 17, a, b); ports(f, s, t); break;
    case 25: ip6(f, 41, a + 5, b + 5); ip6(f, 17, a, b); ports(f, s, t); break;
    case 26: ip6(f, 4, a + 5, b + 5); ip4(f, 17, a, b, 0, 0, 28); ports(f, s, t); break;
    case 27: ip6(f, 58, a, b); ports(f, s, answer ? 7 : 9); break;
    case 28: ip6(f, 51, a, b); extension(f, "\21\4\0\0\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0", 24); ports(f, s, t); break;
    case 29: ip4(f, 17, a, b, 0, 0, 2); add16(f, s); break;
    case 30: f->data[f->len + 7] = a; f->len += 46; break;
    case 31: memset(f->data + f->len, a, 46); f->len += 46; break;
    case 32: extension(f, "\0\1\1\100", 4); ip4(f, 17, a, b, 0, 0, 28); ports(f, s, t); break;
    case 33: extension(f, "\21\0\0\1\0\62\0\41", 8); ip4(f, 17, a, b, 0, 0, 28); ports(f, s + 70, t + 70); break;
    case 34: ip4(f, 17, a, b, 0, 0, 28); ports(f, s + 70, t + 70); break;
    }
}

static void wrote(build *f, int kind, int fd)
{
    make(f, kind, 0);
    MUST(write(fd, f->data, f->len));
}

/* The queue that gets such a packet of the host's. */
static int goes_to(driver *d, build *f, int kind, int answer, const int *fds, int n)
{
    int found = -1, all = 0;
    make(f, kind, answer);
    if (drv_send(d, f->data, f->len, f->type))
        die("drv_send");
    for (int i = 0; i < n; i++) {
        int got = fds[i] < 0 ? 0 : drain(fds[i]);
        all += got;
        found = got ? i : found;
    }
    return all == 1 ? found : -all;
}

/* Which packets are one flow: those whose answers follow the other's. */
static void one_flow(int tap)
{
    const char *name = tap ? "mq6" : "mq7";
    int kind = tap ? IFF_TAP : IFF_TUN, fds[2], count = tap ? KINDS : TUN_KINDS;
    build f = { .tap = tap };
    for (int i = 0; i < 2; i++)
        fds[i] = tun_attach(name, kind | IFF_NO_PI | IFF_MULTI_QUEUE, O_NONBLOCK);
    link_up(name, 1);
    driver d = drv_attach(name);
    for (int a = 0; a < count; a++) {
        char label[80], line[400] = "";
        wrote(&f, a, fds[0]);
        int first = goes_to(&d, &f, a, 1, fds, 2);
        wrote(&f, a, fds[1]);
        int then = goes_to(&d, &f, a, 1, fds, 2);
        for (int b = 0; b < count; b++) {
            if (b == a)
                continue;
            /* One that has a flow of its own stays where it was. */
            wrote(&f, b, fds[0]);
            wrote(&f, a, fds[1]);
            if (goes_to(&d, &f, b, 0, fds, 2) == 1)
                sprintf(line + strlen(line), "; %s", kinds[b]);
        }
        snprintf(label, sizeof label, "%s, flow of %s", tap ? "tap" : "tun", kinds[a]);
        say(label, "answers to %d, to %d%s", first, then, line);
    }
    drv_detach(&d);
    close(fds[0]);
    close(fds[1]);
}

static void show_flows(const char *label, driver *d, const int *fds, int n)
{
    build f = { .tap = 0 };
    say(label, "%d %d %d", goes_to(d, &f, 0, 1, fds, n), n > 1 ? goes_to(d, &f, 1, 1, fds, n) : -9,
        n > 2 ? goes_to(d, &f, 2, 1, fds, n) : -9);
}

/* A queue that goes gives its place to the last one, and the flows of a place stay with it. */
static void moving(void)
{
    int fds[3];
    build f = { .tap = 0 };
    for (int i = 0; i < 3; i++)
        fds[i] = tun_attach("mq8", MQ, O_NONBLOCK);
    link_up("mq8", 1);
    driver d = drv_attach("mq8");
    for (int i = 0; i < 3; i++)
        wrote(&f, i, fds[i]);
    show_flows("flows of three queues", &d, fds, 3);
    MUST(queue(fds[0], IFF_DETACH_QUEUE));
    show_flows("the first is detached", &d, fds, 3);
    wrote(&f, 1, fds[0]);
    show_flows("what it writes does not count", &d, fds, 3);
    MUST(queue(fds[0], IFF_ATTACH_QUEUE));
    show_flows("it comes back as the last", &d, fds, 3);
    close(fds[0]);
    fds[0] = -1;
    show_flows("and is closed", &d, fds, 3);
    fds[0] = tun_attach("mq8", MQ, O_NONBLOCK);
    show_flows("a new one comes", &d, fds, 3);
    for (int i = 0; i < 3; i++)
        wrote(&f, i, fds[i]);
    link_up("mq8", 0);
    link_up("mq8", 1);
    show_flows("down and up", &d, fds, 3);
    drv_detach(&d);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    one_flow(0);
    one_flow(1);
    moving();
    return 0;
}
