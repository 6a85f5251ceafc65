/* wire.h - the network behind a tunnel: packets that are built here and written into it, and what
 * the host's IP answers, one line each. What is chosen at random (identifications, flow labels) is
 * not printed, nor what the kernel says by itself when a link comes up. */
#ifndef WIRE_H
#define WIRE_H
#include "host.h"

/* <linux/ipv6.h> cannot be included beside <netinet/in.h>. */
struct in6_request { struct in6_addr address; uint32_t prefix; int index; };

#define OWN_MAC "\x02\x00\x00\x00\x00\x01"
#define PEER_MAC "\x02\x00\x00\x00\x00\x02"
#define ALL_MAC "\xff\xff\xff\xff\xff\xff"

typedef struct {
    int fd, tap;
    char name[IFNAMSIZ];
} wire;

typedef struct {
    unsigned char bytes[70000];
    size_t len;
} pkt;

HELPER void add_address6(const char *name, const char *address, int prefix)
{
    struct in6_request in6 = { .prefix = prefix, .index = if_index(name) };
    int sock = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (inet_pton(AF_INET6, address, &in6.address) != 1)
        die(address);
    MUST(ioctl(sock, SIOCSIFADDR, &in6));
    close(sock);
}

/* A setting of an interface, such as `ipv4` `conf` `forwarding`. */
HELPER void set_conf(const char *family, const char *kind, const char *name, const char *what, const char *value)
{
    if (spit(label("/proc/sys/net/%s/%s/%s/%s", family, kind, name, what), value) < 0)
        die(what);
}

/* May an address of the interface not be used yet? */
HELPER int is_tentative(const char *name)
{
    static char text[200000];
    if (slurp("/proc/net/if_inet6", text, sizeof text) < 0)
        return 0;
    char *rest, *line = strtok_r(text, "\n", &rest);
    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char device[64];
        unsigned flags;
        if (sscanf(line, "%*s %*s %*s %*s %x %63s", &flags, device) == 2 && !strcmp(device, name) && flags & 0x40)
            return 1;
    }
    return 0;
}

/* A tunnel with an address of each family, whose link is up. Nobody looks for duplicates. */
__attribute__((noinline)) HELPER wire wire_ready(const char *name, int tap, const char *v4, const char *mask, const char *v6)
{
    wire w = { .tap = tap };
    snprintf(w.name, sizeof w.name, "%s", name);
    w.fd = tun_attach(name, (tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI, O_NONBLOCK);
    if (tap) {
        struct ifreq ifr = { .ifr_hwaddr = { .sa_family = 1 } };
        memcpy(ifr.ifr_hwaddr.sa_data, OWN_MAC, 6);
        MUST(if_request(SIOCSIFHWADDR, &ifr, name));
    }
    set_conf("ipv6", "conf", name, "disable_ipv6", "0");
    set_conf("ipv6", "conf", name, "dad_transmits", "0");
    set_conf("ipv6", "conf", name, "router_solicitations", "0");
    MUST(set_address(SIOCSIFADDR, name, v4));
    MUST(set_address(SIOCSIFNETMASK, name, mask));
    link_up(name, 1);
    if (v6)
        add_address6(name, v6, 64);
    if (!EVENTUALLY(!is_tentative(name), 5000))
        die("an address stays tentative");
    return w;
}

HELPER void put(wire *w, const void *bytes, size_t len)
{
    if (write(w->fd, bytes, len) != (ssize_t)len)
        die("write");
}

/* ---- building ---- */

HELPER unsigned sum_of(const unsigned char *p, size_t len, unsigned long sum)
{
    for (size_t i = 0; i < len; i++)
        sum += i & 1 ? p[i] : (unsigned)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

/* The sum of the pseudo header. */
HELPER unsigned long pseudo(const unsigned char *ip, size_t len, int protocol)
{
    int v6 = ip[0] >> 4 == 6, size = v6 ? 32 : 8;
    const unsigned char *at = ip + (v6 ? 8 : 12);
    unsigned long sum = protocol + len;
    for (int i = 0; i < size; i += 2)
        sum += at[i] << 8 | at[i + 1];
    return sum;
}

/* Begins a packet; what it carries is added behind it. */
HELPER pkt *begin(pkt *p, const char *from, const char *to, int protocol)
{
    unsigned char *b = p->bytes;
    memset(b, 0, 60);
    if (strchr(from, ':')) {
        b[0] = 0x60;
        b[6] = protocol;
        b[7] = 64;
        if (inet_pton(AF_INET6, from, b + 8) != 1 || inet_pton(AF_INET6, to, b + 24) != 1)
            die(from);
        p->len = 40;
    } else {
        b[0] = 0x45;
        b[4] = 0x12;
        b[5] = 0x34;
        b[8] = 64;
        b[9] = protocol;
        if (inet_pton(AF_INET, from, b + 12) != 1 || inet_pton(AF_INET, to, b + 16) != 1)
            die(from);
        p->len = 20;
    }
    return p;
}

HELPER pkt *add(pkt *p, const void *bytes, size_t len)
{
    memcpy(p->bytes + p->len, bytes, len);
    p->len += len;
    return p;
}

/* `len` bytes 00 01 02 ... */
HELPER pkt *fill(pkt *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p->bytes[p->len++] = i;
    return p;
}

/* Completes lengths and the checksum of the header. */
HELPER pkt *finish_ip(pkt *p)
{
    unsigned char *b = p->bytes;
    if (b[0] >> 4 == 6) {
        put16(b + 4, p->len - 40);
        return p;
    }
    put16(b + 2, p->len);
    put16(b + 10, 0);
    put16(b + 10, sum_of(b, (b[0] & 15) * 4, 0));
    return p;
}

/* Completes the checksum at `at` of what begins at `start`, with a pseudo header for `protocol`, 0
   for none. */
HELPER pkt *finish_sum(pkt *p, size_t start, size_t at, int protocol)
{
    unsigned char *b = p->bytes;
    size_t len = p->len - start;
    put16(b + start + at, 0);
    put16(b + start + at, sum_of(b + start, len, protocol ? pseudo(b, len, protocol) : 0));
    return finish_ip(p);
}

HELPER pkt *udp(pkt *p, const char *from, const char *to, int sport, int dport, size_t len)
{
    unsigned char head[8] = { 0 };
    begin(p, from, to, 17);
    size_t start = p->len;
    put16(head, sport);
    put16(head + 2, dport);
    put16(head + 4, len + 8);
    fill(add(p, head, 8), len);
    return finish_sum(p, start, 6, 17);
}

HELPER pkt *tcp(pkt *p, const char *from, const char *to, int dport, int flags, size_t len)
{
    unsigned char head[20] = { 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 50, 0x50 };
    begin(p, from, to, 6);
    size_t start = p->len;
    put16(head, 1000);
    put16(head + 2, dport);
    head[13] = flags;
    put16(head + 14, 1024);
    fill(add(p, head, 20), len);
    return finish_sum(p, start, 16, 6);
}

/* A message of ICMP or ICMPv6: type, code, the word behind the checksum, and `len` bytes. */
HELPER pkt *icmp(pkt *p, const char *from, const char *to, int type, int code, uint32_t word, const void *data, size_t len)
{
    int v6 = strchr(from, ':') != NULL;
    unsigned char head[8] = { type, code, 0, 0, word >> 24, word >> 16, word >> 8, word };
    begin(p, from, to, v6 ? 58 : 1);
    size_t start = p->len;
    add(p, head, 8);
    if (data)
        add(p, data, len);
    else
        fill(p, len);
    return finish_sum(p, start, 2, v6 ? 58 : 0);
}

HELPER pkt *echo(pkt *p, const char *from, const char *to, int id, int sequence, size_t len)
{
    return icmp(p, from, to, strchr(from, ':') ? 128 : 8, 0, (uint32_t)id << 16 | sequence, NULL, len);
}

/* ---- showing ---- */

/* The address of the link that a tun has is drawn by the kernel. */
HELPER char *address_text(char out[64], const unsigned char *at, int v6)
{
    static const unsigned char given[6];
    if (v6 && at[0] == 0xfe && memcmp(at + 8, given, 6) && !(at[11] == 0xff && at[12] == 0xfe))
        return strcpy(out, "fe80::*");
    inet_ntop(v6 ? AF_INET6 : AF_INET, at, out, 64);
    return out;
}

HELPER char *mac_text(char out[20], const unsigned char *at)
{
    sprintf(out, "%02x:%02x:%02x:%02x:%02x:%02x", at[0], at[1], at[2], at[3], at[4], at[5]);
    return out;
}

/* What the packet carries. */
HELPER void describe_payload(char *out, size_t room, const unsigned char *ip, int protocol, const unsigned char *b, size_t len)
{
    char data[160];
    int right = sum_of(b, len, protocol == 1 ? 0 : pseudo(ip, len, protocol)) == 0;
    *out = 0;
    if ((protocol == 1 || protocol == 58) && len >= 8)
        append(out, room, "icmp %d/%d sum %s word %08x ", b[0], b[1], right ? "right" : "wrong",
               (unsigned)b[4] << 24 | b[5] << 16 | b[6] << 8 | b[7]), b += 8, len -= 8;
    else if (protocol == 6 && len >= 20)
        append(out, room, "tcp %d>%d seq %u ack %u flags %02x window %d sum %s ", b[0] << 8 | b[1], b[2] << 8 | b[3],
               (unsigned)b[4] << 24 | b[5] << 16 | b[6] << 8 | b[7], (unsigned)b[8] << 24 | b[9] << 16 | b[10] << 8 | b[11],
               b[13], b[14] << 8 | b[15], right ? "right" : "wrong"), b += 20, len -= 20;
    append(out, room, "data %s", describe_data(data, b, len));
}

/* One packet in one line. */
HELPER void describe_packet(char *out, size_t room, const unsigned char *b, size_t len)
{
    char from[64], to[64], payload[400];
    *out = 0;
    if (len >= 20 && b[0] >> 4 == 4) {
        int header = (b[0] & 15) * 4, word = b[6] << 8 | b[7];
        append(out, room, "%s > %s tos %02x ttl %d%s%s offset %d protocol %d header %d%s len %zu%s ", address_text(from, b + 12, 0),
               address_text(to, b + 16, 0), b[1], b[8], word & 0x4000 ? " DF" : "", word & 0x2000 ? " MF" : "",
               (word & 0x1fff) * 8, b[9], header, b[4] | b[5] ? "" : " id 0", len,
               sum_of(b, header, 0) ? " WRONG SUM" : "");
        if (word & 0x3fff)
            describe_data(payload, b + header, len - header);
        else
            describe_payload(payload, sizeof payload, b, b[9], b + header, len - header);
        append(out, room, "%s", payload);
    } else if (len >= 40 && b[0] >> 4 == 6) {
        const unsigned char *at = b + 40;
        int next = b[6];
        append(out, room, "%s > %s class %02x hops %d next %d len %zu ", address_text(from, b + 8, 1),
               address_text(to, b + 24, 1), (b[0] & 15) << 4 | b[1] >> 4, b[7], next, len);
        if (next == 44) {
            append(out, room, "fragment next %d offset %d%s ", at[0], (at[2] << 8 | at[3]) & ~7, at[3] & 1 ? " more" : "");
            describe_data(payload, at + 8, len - 48);
        } else
            describe_payload(payload, sizeof payload, b, next, at, len - 40);
        append(out, room, "%s", payload);
    } else
        describe_data(out, b, len);
}

/* Does the kernel say this by itself when a link comes up (router solicitations, reports of groups,
   its own look for duplicates)? */
HELPER int is_chatter(const unsigned char *ip, size_t len)
{
    if (len >= 24 && ip[0] >> 4 == 4)
        return ip[9] == 2;
    if (len < 48 || ip[0] >> 4 != 6)
        return 0;
    static const unsigned char nobody[16];
    return ip[6] == 0 || ip[40] == 133 || (ip[40] == 135 && !memcmp(ip + 8, nobody, 16));
}

/* Reads the next frame that is not chatter; its length, -1 when there is none in time. */
HELPER ssize_t next_frame(wire *w, unsigned char *frame, size_t room, int ms)
{
    ssize_t n = -1;
    double until = now() + ms / 1e3;
    do {
        struct pollfd p = { w->fd, POLLIN, 0 };
        n = read(w->fd, frame, room);
        if (n > 0 && !is_chatter(frame + (w->tap ? 14 : 0), n - (w->tap ? 14 : 0)))
            return n;
        if (n < 0)
            poll(&p, 1, 20);
    } while (now() < until);
    return -1;
}

HELPER void show_frame(const char *what, wire *w, const unsigned char *frame, size_t len)
{
    char text[1800] = "", from[20], to[20];
    const unsigned char *b = frame;
    if (w->tap) {
        append(text, sizeof text, "%s > %s type %02x%02x ", mac_text(from, frame + 6), mac_text(to, frame), frame[12], frame[13]);
        b += 14;
        len -= 14;
    }
    if (w->tap && frame[12] == 8 && frame[13] == 6)
        describe_data(text + strlen(text), b, len);
    else
        describe_packet(text + strlen(text), sizeof text - strlen(text), b, len);
    say(what, "%s", text);
}

/* Sends a packet, on a tap behind a header from the peer to this host. */
HELPER void send_packet(wire *w, const pkt *p)
{
    static unsigned char frame[70100];
    if (!w->tap) {
        put(w, p->bytes, p->len);
        return;
    }
    memcpy(frame, OWN_MAC PEER_MAC, 12);
    put16(frame + 12, p->bytes[0] >> 4 == 4 ? 0x0800 : 0x86dd);
    memcpy(frame + 14, p->bytes, p->len);
    put(w, frame, p->len + 14);
}

/* An ARP message in a frame from the peer. */
HELPER void send_arp(wire *w, const char *frame_to, int operation, const char *mac, const char *from, const char *target_mac,
                     const char *to)
{
    unsigned char f[42] = { 0 };
    memcpy(f, frame_to, 6);
    memcpy(f + 6, PEER_MAC "\x08\x06\x00\x01\x08\x00\x06\x04", 14);
    put16(f + 20, operation);
    memcpy(f + 22, mac, 6);
    memcpy(f + 32, target_mac, 6);
    if (inet_pton(AF_INET, from, f + 28) != 1 || inet_pton(AF_INET, to, f + 38) != 1)
        die(from);
    put(w, f, sizeof f);
}

/* A solicitation (135) or an advertisement (136) about `target`, with an option for a link-layer
   address where `mac` is not NULL. */
HELPER pkt *discovery(pkt *p, int type, const char *from, const char *to, const char *target, uint32_t word, const char *mac)
{
    unsigned char body[24];
    if (inet_pton(AF_INET6, target, body) != 1)
        die(target);
    body[16] = type == 135 ? 1 : 2;
    body[17] = 1;
    if (mac)
        memcpy(body + 18, mac, 6);
    icmp(p, from, to, type, 0, word, body, mac ? 24 : 16);
    p->bytes[7] = 255;
    return p;
}

/* Sends a packet in a frame to `mac`. */
HELPER void send_framed(wire *w, const char *mac, const pkt *p)
{
    static unsigned char f[70100];
    memcpy(f, mac, 6);
    memcpy(f + 6, PEER_MAC, 6);
    put16(f + 12, p->bytes[0] >> 4 == 4 ? 0x0800 : 0x86dd);
    memcpy(f + 14, p->bytes, p->len);
    put(w, f, p->len + 14);
}

/* Makes the peer that the echo requests come from known to this host. */
HELPER void introduce(wire *w, const char *peer, const char *own)
{
    static pkt p;
    unsigned char f[200];
    if (strchr(peer, ':'))
        send_framed(w, OWN_MAC, discovery(&p, 135, peer, own, own, 0, PEER_MAC));
    else
        send_arp(w, ALL_MAC, 1, PEER_MAC, peer, "\0\0\0\0\0\0", own);
    if (next_frame(w, f, sizeof f, 3000) < 0)
        die("nobody answers the peer");
}

/* Everything that has come since, up to the answer to an echo request that is sent now: an answer
   to what was sent before is not behind that one. */
HELPER void show_answers(const char *what, wire *w, const char *peer, const char *own)
{
    static pkt question;
    static unsigned char frame[70100];
    static int sequence;
    int count = 0;
    char prefix[200];
    snprintf(prefix, sizeof prefix, "%s", what);
    send_packet(w, echo(&question, peer, own, 0xbeef, ++sequence, 4));
    for (;;) {
        ssize_t n = next_frame(w, frame, sizeof frame, 3000);
        if (n < 0) {
            say(label("%s, end", prefix), "no answer to the echo");
            return;
        }
        const unsigned char *b = frame + (w->tap ? 14 : 0);
        const unsigned char *message = b[0] >> 4 == 4 ? b + 20 : b + 40;
        if ((message[0] == 0 || message[0] == 129) && message[4] == 0xbe && message[5] == 0xef && message[7] == (sequence & 255))
            break;
        show_frame(label("%s, answer %d", prefix, ++count), w, frame, n);
    }
    if (!count)
        say(label("%s, answer", prefix), "none");
}

#endif
