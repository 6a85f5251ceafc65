/* Packets that are odd in one way or two: addresses, lengths, hops, options, headers, pieces. Which
 * they are is drawn from a seed, the same on both sides; what the host answers to each, up to the
 * answer to an echo request behind it, is shown. Numbers of protocols that a module of the kernel
 * may have are left out. */
#define WATCHDOG_SECONDS 60
#include "wire.h"

#define COUNT 700
#define LIST(a) (a)[draw(sizeof(a) / sizeof *(a))]

static wire w;
static pkt p, inner;
static uint64_t seed = 20;
/* What is odd about the packet. */
static char odd[120];

static unsigned draw(unsigned most)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % most;
}

static const char *const from4[] = { "10.9.0.2", "10.9.0.7", "10.9.0.1", "10.9.0.255", "10.9.0.0", "255.255.255.255",
    "127.0.0.1", "127.5.5.5", "0.0.0.0", "0.1.2.3", "192.0.2.1", "224.0.0.1", "240.0.0.1", "169.254.1.1" };
static const char *const to4[] = { "10.9.0.1", "10.9.0.2", "10.9.0.255", "10.9.0.0", "255.255.255.255", "127.0.0.1",
    "0.0.0.0", "192.0.2.1", "224.0.0.1", "224.0.0.5", "239.1.1.1", "240.0.0.1", "10.9.0.7", "10.7.0.1", "10.7.0.255" };
static const char *const from6[] = { "fd09::2", "fd09::7", "fd09::1", "fe80::2", "::1", "::", "ff02::1", "2001:db8::1",
    "::ffff:10.9.0.2", "::10.9.0.2", "fd09::" };
static const char *const to6[] = { "fd09::1", "fd09::2", "ff02::1", "ff02::2", "ff02::1:ff00:1", "ff02::1:ff00:7",
    "ff01::1", "ff00::1", "ff05::1", "ff0e::1", "::1", "::", "2001:db8::1", "fd09::", "::ffff:10.9.0.1", "fd07::1",
    "fe80::7" };

static int is_six(void) { return p.bytes[0] >> 4 == 6; }

static void any_protocol(const char *from, const char *to)
{
    static const unsigned char numbers[] = { 0, 2, 3, 7, 8, 20, 27, 77, 99, 143, 200, 253, 255 };
    begin(&p, from, to, LIST(numbers));
    finish_ip(fill(&p, draw(40)));
}

static void any_message(const char *from, const char *to)
{
    int six = strchr(from, ':') != NULL, type = draw(six ? 256 : 45);
    /* Neighbours and groups are other programs' subjects. */
    if (six && type >= 130 && type <= 153)
        type = 128;
    icmp(&p, from, to, type, draw(3), draw(100000), NULL, draw(50));
}

static void error_about(const char *from, const char *to)
{
    int six = strchr(from, ':') != NULL, type = six ? 1 + draw(5) : 3 + draw(10);
    udp(&inner, to, from, 1000, 9, draw(40));
    icmp(&p, from, to, type, draw(8), draw(2) ? 0 : draw(2000), inner.bytes, inner.len - draw(inner.len));
}

static void with_options(const char *from, const char *to)
{
    /* Those that say the time are not the same twice. */
    static const unsigned char kinds[] = { 0, 1, 7, 130, 131, 134, 136, 137, 148 };
    size_t len = 4 * (1 + draw(10));
    begin(&p, from, to, 1);
    p.bytes[0] = 0x40 | (5 + len / 4);
    for (size_t i = 0; i < len; i++)
        p.bytes[p.len++] = draw(3) ? 1 : draw(2) ? LIST(kinds) : draw(44);
    for (size_t i = 20; i < p.len; i++)
        if (p.bytes[i] == 68)
            p.bytes[i] = 1;
    echo(&inner, from, to, 1, 1, 10);
    finish_ip(add(&p, inner.bytes + 20, inner.len - 20));
}

/* Fills a header of options; most are right. */
static void draw_options(unsigned char *h, size_t len)
{
    static const unsigned char kinds[] = { 0, 1, 4, 5, 0x3e, 0x7e, 0xbe, 0xfe, 194 };
    for (size_t at = 2, size; at < len; at += size) {
        size_t left = len - at;
        int kind = draw(2) ? LIST(kinds) : 1;
        if (!kind || left < 2) {
            size = 1;
            continue;
        }
        size = 2 + (kind == 5 ? 2 : kind == 194 ? 4 : draw(6));
        if (size > left)
            size = left;
        h[at] = kind;
        h[at + 1] = size - 2 + (draw(8) ? 0 : draw(4));
    }
}

static void with_headers(const char *from, const char *to)
{
    static const unsigned char firsts[] = { 0, 43, 44, 60 }, kinds[] = { 0, 43, 44, 51, 60, 58, 17, 59, 99 };
    int count = 1 + draw(3);
    unsigned char next = LIST(firsts);
    begin(&p, from, to, next);
    for (int i = 0; i < count; i++) {
        unsigned char h[32] = { 0 };
        size_t len = next == 44 ? 8 : 8 * (1 + draw(3));
        int kind = next;
        h[0] = next = i < count - 1 || !draw(3) ? LIST(kinds) : 58;
        h[1] = kind == 51 ? len / 4 - 2 : len / 8 - 1;
        if (kind == 0 || kind == 60) {
            draw_options(h, len);
        } else if (kind == 43) {
            /* Type 2 is that of a module. */
            h[2] = (unsigned char[]){ 0, 1, 3, 4, 5 }[draw(5)];
            h[3] = draw(3) ? 0 : draw(4);
        } else if (kind == 44) {
            put16(h + 2, draw(3) ? 0 : draw(3));
            h[7] = draw(200);
        }
        add(&p, h, len);
    }
    echo(&inner, from, to, 1, 1, 10);
    finish_ip(add(&p, inner.bytes + 40, inner.len - 40));
}

static void udp_of_length(const char *from, const char *to)
{
    udp(&p, from, to, 1000, 9, 30);
    size_t at = is_six() ? 40 : 20, told = draw(50), covered = told < 8 || told > 38 ? 38 : told;
    unsigned char *u = p.bytes + at;
    put16(u + 4, told);
    put16(u + 6, 0);
    if (draw(4))
        put16(u + 6, sum_of(u, covered, pseudo(p.bytes, covered, 17)));
}

/* Two or three pieces, most of which fit together. The last one is not sent yet. */
static void pieces(const char *from, const char *to)
{
    static pkt whole;
    if (draw(3))
        echo(&whole, from, to, 3, 4, 40 + draw(60));
    else
        udp(&whole, from, to, 1000, 9, 40 + draw(60));
    int six = whole.bytes[0] >> 4 == 6, head = six ? 40 : 20, body = whole.len - head;
    int id = draw(65536), count = 2 + draw(2), proto = whole.bytes[six ? 6 : 9];
    for (int i = 0; i < count; i++) {
        int start = (body * i / count) & ~7, end = i < count - 1 ? (body * (i + 1) / count) & ~7 : body;
        int more = i < count - 1;
        if (!draw(8))
            start += 8 * draw(4);
        if (!draw(8))
            end += draw(20);
        if (!draw(10))
            more = !more;
        if (end <= start)
            end = start + 8;
        int at = draw(30) ? start : 65528 - 8 * (int)draw(3);
        begin(&p, from, to, six ? 44 : proto);
        if (six) {
            unsigned char h[8] = { proto, 0, 0, 0, 0, 0, id >> 8, id };
            put16(h + 2, at | more);
            add(&p, h, 8);
        } else {
            put16(p.bytes + 4, id);
            put16(p.bytes + 6, at / 8 | (more ? 0x2000 : 0));
        }
        finish_ip(add(&p, whole.bytes + head + start, end - start));
        if (i < count - 1)
            put(&w, p.bytes, p.len);
    }
}

static void plain_udp(const char *from, const char *to) { udp(&p, from, to, 1000, draw(4) ? 9 + draw(9) : 0, draw(60)); }
static void plain_tcp(const char *from, const char *to) { tcp(&p, from, to, 80, draw(64), draw(3) ? 0 : draw(50)); }
static void plain_echo(const char *from, const char *to) { echo(&p, from, to, draw(1000), draw(1000), draw(60)); }

static void with_flags(const char *from, const char *to)
{
    echo(&p, from, to, 5, 5, 20);
    if (!is_six())
        put16(p.bytes + 6, 0x2000 * (1 + draw(7)));
    finish_ip(&p);
}

static const struct { const char *what; void (*make)(const char *from, const char *to); } kinds[] = {
    { "udp", plain_udp }, { "tcp", plain_tcp }, { "echo", plain_echo }, { "message", any_message },
    { "protocol", any_protocol }, { "error", error_about }, { "length", udp_of_length }, { "pieces", pieces },
    { "flags", with_flags }, { "headers", NULL },
};

/* Completes the checksum of a header that may be of any length. */
static void sum_header(int len)
{
    put16(p.bytes + 10, 0);
    put16(p.bytes + 10, sum_of(p.bytes, len, 0));
}

static void change(void)
{
    int six = is_six(), value;
    switch (draw(14)) {
    case 0:
        value = p.bytes[six ? 7 : 8] = draw(3);
        append(odd, sizeof odd, ", hops %d", value);
        if (!six)
            sum_header((p.bytes[0] & 15) * 4);
        break;
    case 1:
        p.len -= draw(p.len - 1);
        append(odd, sizeof odd, ", cut to %zu", p.len);
        break;
    case 2:
        value = draw(20);
        fill(&p, value);
        append(odd, sizeof odd, ", %d more", value);
        break;
    case 3:
        value = draw(100);
        put16(p.bytes + (six ? 4 : 2), value);
        if (!six)
            sum_header(20);
        append(odd, sizeof odd, ", length %d", value);
        break;
    case 4:
        if (six)
            break;
        value = draw(16);
        p.bytes[0] = 0x40 | value;
        sum_header(value * 4);
        append(odd, sizeof odd, ", header %d", value);
        break;
    case 5:
        value = draw(p.len);
        p.bytes[value] ^= 1 << draw(8);
        append(odd, sizeof odd, ", a bit of byte %d", value);
        break;
    case 6:
        value = draw(16);
        p.bytes[0] = value << 4 | (p.bytes[0] & 15);
        append(odd, sizeof odd, ", version %d", value);
        break;
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    /* Errors are not counted. */
    spit("/proc/sys/net/ipv4/icmp_ratemask", "0");
    spit("/proc/sys/net/ipv4/icmp_msgs_per_sec", "1000000");
    spit("/proc/sys/net/ipv4/icmp_msgs_burst", "100000");
    spit("/proc/sys/net/ipv6/icmp/ratelimit", "0");
    w = wire_ready("odd0", 0, "10.9.0.1", "255.255.255.0", "fd09::1");
    link_up("lo", 1);
    wire_ready("odd1", 0, "10.7.0.1", "255.255.255.0", "fd07::1");
    for (int i = 0; i < COUNT; i++) {
        int six = draw(2), kind = draw(sizeof kinds / sizeof *kinds), usual = draw(2);
        const char *from = six ? LIST(from6) : LIST(from4), *to = six ? LIST(to6) : LIST(to4);
        if (usual) {
            from = six ? "fd09::2" : "10.9.0.2";
            to = six ? "fd09::1" : "10.9.0.1";
        }
        snprintf(odd, sizeof odd, "%d %s of IPv%d", i, kinds[kind].what, six ? 6 : 4);
        (kinds[kind].make ? kinds[kind].make : six ? with_headers : with_options)(from, to);
        change();
        if (write(w.fd, p.bytes, p.len) < 0)
            append(odd, sizeof odd, ", %s", errno_name(errno));
        show_answers(odd, &w, six ? "fd09::99" : "10.9.0.99", six ? "fd09::1" : "10.9.0.1");
    }
    return 0;
}
