/* Some thousand vnet headers in front of as many packets, from a seed: which writes the driver
 * takes. A line holds 100 answers: "." for a write that was taken, "I" for EINVAL, "F" for EFAULT,
 * "?" for anything else. Fields are mostly right and a little wrong, because random ones are
 * refused at the first check. VNET_CASE=LINE:COLUMN (from 0) shows a case. */
#include "driver.h"
#include <linux/virtio_net.h>

#define NEEDS_CSUM 1
#define LINES 36
#define CASES 100

static unsigned char buf[70000];
static uint64_t state;

static int draw(int below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

static int one_in(int n) { return draw(n) == 0; }
#define ONE_OF(...) ({ static const int all_[] = { __VA_ARGS__ }; all_[draw((int)(sizeof all_ / sizeof *all_))]; })

/* An IP header and its length; the transport header behind it is `proto`'s. */
static int ip_header(unsigned char *p, int version, int proto, int len)
{
    int n = version == 6 ? 40 : 20;
    if (version == 6) {
        p[0] = 0x60;
        put16(p + 4, len - 40);
        p[6] = proto;
        p[7] = 64;
    } else {
        p[0] = 0x45;
        put16(p + 2, len);
        p[8] = 64;
        p[9] = proto;
    }
    if (proto == 6)
        p[n + 12] = 0x50;
    return n;
}

typedef struct {
    int len, transport, outer_transport, inner_network, proto, version, tunnel;
} shape;

/* A packet of a plausible kind at p, which is zeroed. */
static shape make_packet(unsigned char *p, int tap)
{
    shape s = { 0 };
    int at = 0;
    s.proto = ONE_OF(6, 17, 17, 6, 1);
    s.version = ONE_OF(4, 4, 6);
    s.tunnel = one_in(4);
    s.len = ONE_OF(60, 100, 200, 1000, 3000, 3000, 5000, 20000);
    s.len += draw(40);
    if (one_in(12))
        s.len = draw(60);
    if (tap) {
        memcpy(p, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x09", 12);
        put16(p + 12, s.version == 6 ? ETH_P_IPV6 : ETH_P_IP);
        at = 14;
    }
    if (s.tunnel) {
        at += ip_header(p + at, s.version, 17, s.len - at);
        s.outer_transport = at;
        at += 8 + 8 + 14;
        s.inner_network = at;
        s.version = ONE_OF(4, 6);
    }
    at += ip_header(p + at, s.version, s.proto, s.len - at);
    s.transport = at;
    if (one_in(20))
        p[tap ? 14 : 0] = draw(256);
    return s;
}

static int near(int value)
{
    switch (draw(40)) {
    case 0: return value + 1;
    case 1: return value - 1;
    case 2: return draw(200);
    case 3: return 0xffff - draw(8);
    default: return value;
    }
}

static void put_header(unsigned char *h, const shape *s)
{
    struct virtio_net_hdr v = { 0 };
    int type = ONE_OF(0, 1, 4, 3, 5, 5, 1, 4);
    int right = s->proto == 6 ? (s->version == 6 ? 4 : 1) : 5;
    uint16_t outer = near(s->outer_transport), inner = near(s->inner_network);
    if (!one_in(6))
        type = right;
    if (one_in(10))
        type |= VIRTIO_NET_HDR_GSO_ECN;
    if (s->tunnel ? !one_in(4) : one_in(16))
        type |= ONE_OF(0x20, 0x40, 0x20, 0x40, 0x60);
    if (one_in(40))
        type = draw(256);
    v.flags = one_in(5) ? draw(256) & ~NEEDS_CSUM : ONE_OF(0, 0, 2, 8, 16);
    if (!one_in(4))
        v.flags |= NEEDS_CSUM;
    v.gso_type = type;
    v.csum_start = near(s->transport);
    v.csum_offset = near(one_in(10) ? 12 : s->proto == 6 ? 16 : 6);
    v.hdr_len = one_in(3) ? near(one_in(4) ? s->len : s->transport + 8) : 0;
    v.gso_size = near(ONE_OF(1, 7, 20, 100, 500, 1000, 1400));
    if (one_in(12))
        v.gso_size = one_in(2) ? 0 : s->len / 128 + draw(3) - 1;
    memcpy(h, &v, 10);
    memcpy(h + 20, &outer, 2);
    memcpy(h + 22, &inner, 2);
}

static char answer(ssize_t n, size_t whole)
{
    if (n == (ssize_t)whole)
        return '.';
    return n == -1 && errno == EINVAL ? 'I' : n == -1 && errno == EFAULT ? 'F' : '?';
}

static void line(int number, const char *wanted)
{
    static const int sizes[] = { 10, 12, 20, 24, 24, 23, 40, 10, 24 };
    int flags = number % 4 < 2 ? IFF_TUN : IFF_TAP, tap = flags == IFF_TAP, pi = number % 5 == 4, le = number % 3 == 1;
    int size = sizes[number % 9];
    char label[80], text[CASES + 1] = "";
    int fd = tun_ready("vr0", flags | IFF_VNET_HDR | (pi ? 0 : IFF_NO_PI), O_NONBLOCK);
    MUST(ioctl(fd, TUNSETVNETHDRSZ, &size));
    MUST(ioctl(fd, TUNSETVNETLE, &le));
    state = number * 1000003u + 17;
    for (int i = 0; i < CASES; i++) {
        size_t whole, front = (pi ? 4 : 0) + size;
        char name[20];
        memset(buf, 0, 25000 + front);
        shape s = make_packet(buf + front, tap);
        unsigned char header[40] = { 0 };
        put_header(header, &s);
        memcpy(buf + (pi ? 4 : 0), header, size);
        if (pi)
            put16(buf + 2, ETH_P_IP);
        whole = front + s.len;
        if (one_in(50))
            whole = draw(front + 2);
        /* The last of them reach behind the program's memory. */
        unsigned char *from = buf;
        if (one_in(40) && whole < (size_t)page_size()) {
            size_t usable = 1 + draw(front + 2);
            from = edge(usable);
            memcpy(from, buf, usable);
        }
        text[i] = answer(write(fd, from, whole), whole);
        sprintf(name, "%d:%d", number, i);
        if (wanted && !strcmp(name, wanted)) {
            char digits[200];
            struct virtio_net_hdr v;
            memcpy(&v, header, 10);
            fprintf(stderr, "%s: %c len=%d (%zu) transport=%d outer=%d,%d proto=%d version=%d size=%d tap=%d pi=%d | flags=%#x type=%#x "
                    "hdr_len=%d gso_size=%d start=%d offset=%d %s\n", name, text[i], s.len, whole, s.transport, s.outer_transport,
                    s.inner_network, s.proto, s.version, size, tap, pi, v.flags, v.gso_type, v.hdr_len, v.gso_size,
                    v.csum_start, v.csum_offset, hex(digits, header, 24));
        }
        if (from != buf)
            munmap((void *)((uintptr_t)from & -page_size()), page_size());
    }
    snprintf(label, sizeof label, "%02d %s, header size %d%s%s", number, tap ? "tap" : "tun", size, pi ? ", PI" : "", le ? ", LE" : "");
    say(label, "%s", text);
    close(fd);
}

/* Every value of ten bits, as a set of those that are taken. */
static void offloads(void)
{
    int fd = tun_attach("vr1", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, 0);
    for (unsigned high = 0; high < 0x400; high += 0x80) {
        char label[60], text[0x81] = "";
        for (unsigned low = 0; low < 0x80; low++)
            text[low] = ioctl(fd, TUNSETOFFLOAD, (unsigned long)(high | low)) == 0 ? '.' : errno == EINVAL ? 'I' : '?';
        snprintf(label, sizeof label, "TUNSETOFFLOAD 0x%03x to 0x%03x", high, high | 0x7f);
        say(label, "%s", text);
    }
    SHOW("TUNSETOFFLOAD of more than 32 bits", ioctl(fd, TUNSETOFFLOAD, 0x100000000ul));
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    for (int number = 0; number < LINES; number++)
        line(number, getenv("VNET_CASE"));
    offloads();
    return 0;
}
