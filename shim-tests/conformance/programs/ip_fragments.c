/* Packets in pieces: what the host puts together, what it drops, and what it says of what is never
   whole. */
#include "wire.h"

static wire w;
static pkt whole, piece;

#define OWN "10.9.0.1"
#define OWN6 "fd09::1"

static void answers(const char *what, int v6) { show_answers(what, &w, v6 ? "fd09::99" : "10.9.0.99", v6 ? OWN6 : OWN); }

/* An echo request to be taken to pieces, of `len` bytes of payload behind the IP header. */
static void request(int v6, int host, size_t len)
{
    char from[40];
    snprintf(from, sizeof from, v6 ? "fd09::%d" : "10.9.0.%d", host);
    echo(&whole, from, v6 ? OWN6 : OWN, 77, 3, len - 8);
}

/* Sends the bytes from `from` up to `to` of what the packet carries as one piece. */
static void send_piece(int id, size_t from, size_t to, int more)
{
    unsigned char *b = piece.bytes;
    if (whole.bytes[0] >> 4 == 4) {
        memcpy(b, whole.bytes, 20);
        piece.len = 20;
        put16(b + 4, id);
        put16(b + 6, (more ? 0x2000 : 0) | from / 8);
        add(&piece, whole.bytes + 20 + from, to - from);
    } else {
        unsigned char head[8] = { 58, 0, 0, 0, 0, 0, id >> 8, id };
        memcpy(b, whole.bytes, 40);
        b[6] = 44;
        piece.len = 40;
        put16(head + 2, (from & ~7) | more);
        add(add(&piece, head, 8), whole.bytes + 40 + from, to - from);
    }
    send_packet(&w, finish_ip(&piece));
}

static void orders(int v6)
{
    const char *family = v6 ? "IPv6" : "IPv4";
    request(v6, 10, 100);
    send_piece(1, 0, 40, 1);
    send_piece(1, 40, 80, 1);
    send_piece(1, 80, 100, 0);
    answers(label("%s, in order", family), v6);
    send_piece(2, 80, 100, 0);
    send_piece(2, 40, 80, 1);
    send_piece(2, 0, 40, 1);
    answers(label("%s, backwards", family), v6);
    send_piece(3, 0, 40, 1);
    send_piece(4, 40, 100, 0);
    answers(label("%s, of two packets", family), v6);
    send_piece(3, 40, 100, 0);
    answers(label("%s, the rest of the first", family), v6);
    send_piece(4, 0, 40, 1);
    answers(label("%s, the rest of the second", family), v6);
    send_piece(5, 0, 40, 1);
    send_piece(5, 0, 40, 1);
    send_piece(5, 40, 100, 0);
    answers(label("%s, one twice", family), v6);
    send_piece(6, 0, 40, 1);
    send_piece(6, 40, 80, 1);
    send_piece(6, 48, 72, 1);
    send_piece(6, 80, 100, 0);
    answers(label("%s, one within another", family), v6);
    send_piece(7, 0, 40, 1);
    send_piece(7, 32, 80, 1);
    send_piece(7, 40, 80, 1);
    send_piece(7, 80, 100, 0);
    answers(label("%s, one over another", family), v6);
    send_piece(8, 80, 100, 0);
    send_piece(8, 80, 96, 1);
    send_piece(8, 40, 80, 1);
    send_piece(8, 0, 40, 1);
    answers(label("%s, the last one otherwise", family), v6);
    send_piece(9, 80, 100, 0);
    send_piece(9, 96, 120, 1);
    send_piece(9, 40, 80, 1);
    send_piece(9, 0, 40, 1);
    answers(label("%s, one behind the last", family), v6);
    send_piece(10, 0, 40, 1);
    send_piece(10, 40, 75, 1);
    answers(label("%s, one of odd length", family), v6);
    send_piece(10, 72, 100, 0);
    answers(label("%s, and the rest", family), v6);
    send_piece(11, 0, 100, 0);
    answers(label("%s, one piece that is all", family), v6);
    send_piece(12, 0, 0, 1);
    send_piece(12, 0, 100, 0);
    answers(label("%s, an empty one first", family), v6);
    request(v6, 11, 3000);
    send_piece(13, 0, 1480, 1);
    send_piece(13, 1480, 2960, 1);
    send_piece(13, 2960, 3000, 0);
    answers(label("%s, long", family), v6);
    request(v6, 12, 65000);
    for (size_t at = 0; at < 65000; at += 1400)
        send_piece(14, at, at + 1400 < 65000 ? at + 1400 : 65000, at + 1400 < 65000);
    static unsigned char f[70100];
    size_t bytes = 0, frames = 0;
    ssize_t n;
    while ((n = next_frame(&w, f, sizeof f, bytes ? 300 : 3000)) > 0)
        bytes += n - (v6 ? 48 : 20), frames++;
    say(label("%s, very long", family), "%zu frames, %zu bytes", frames, bytes);
    request(v6, 13, 1000);
    send_piece(15, 0, 400, 1);
    put16(whole.bytes + (v6 ? 42 : 22), 0);
    send_piece(15, 400, 1000, 0);
    answers(label("%s, whole", family), v6);
    request(v6, 14, 1000);
    send_piece(16, 0, 400, 1);
    whole.bytes[500] ^= 1;
    send_piece(16, 400, 1000, 0);
    answers(label("%s, with a wrong sum", family), v6);
    char from[40];
    snprintf(from, sizeof from, v6 ? "fd09::15" : "10.9.0.15");
    udp(&whole, from, v6 ? OWN6 : OWN, 1000, 2000, 1000);
    send_piece(17, 0, 400, 1);
    answers(label("%s, half of a datagram", family), v6);
}

/* A datagram to a closed port in two pieces: the error quotes it whole. */
static void datagram(void)
{
    udp(&whole, "10.9.0.20", OWN, 1000, 2000, 1000);
    send_piece(30, 0, 800, 1);
    send_piece(30, 800, 1008, 0);
    answers("IPv4, a closed port", 0);
    udp(&whole, "10.9.0.21", OWN, 1000, 2000, 300);
    send_piece(31, 152, 308, 0);
    send_piece(31, 0, 152, 1);
    answers("IPv4, a closed port, backwards", 0);
}

static void refused(void)
{
    request(1, 30, 100);
    send_piece(40, 0, 40, 1);
    unsigned char *b = piece.bytes;
    put16(b + 42, 0xfff8);
    put16(b + 46, 41);
    finish_ip(fill(&piece, 8));
    send_packet(&w, &piece);
    answers("IPv6, beyond the longest packet", 1);
    request(0, 31, 100);
    send_piece(42, 0, 40, 1);
    put16(piece.bytes + 6, 0x1fff);
    finish_ip(&piece);
    send_packet(&w, &piece);
    answers("IPv4, beyond the longest packet", 0);
    request(1, 32, 100);
    send_piece(43, 0, 0, 1);
    answers("IPv6, a first piece without a header", 1);
}

static void expired(void)
{
    static unsigned char f[70100];
    ssize_t n;
    spit("/proc/sys/net/ipv4/ipfrag_time", "1");
    spit("/proc/sys/net/ipv6/ip6frag_time", "1");
    request(0, 40, 100);
    send_piece(50, 40, 80, 1);
    send_piece(50, 0, 40, 1);
    n = next_frame(&w, f, sizeof f, 5000);
    if (n > 0)
        show_frame("IPv4, not whole in time", &w, f, n);
    else
        say("IPv4, not whole in time", "nothing");
    request(1, 41, 100);
    send_piece(51, 40, 80, 1);
    send_piece(51, 0, 40, 1);
    n = next_frame(&w, f, sizeof f, 5000);
    if (n > 0)
        show_frame("IPv6, not whole in time", &w, f, n);
    else
        say("IPv6, not whole in time", "nothing");
    request(0, 42, 100);
    send_piece(52, 40, 80, 1);
    request(1, 42, 100);
    send_piece(52, 40, 80, 1);
    n = next_frame(&w, f, sizeof f, 2500);
    say("without the first piece", "%s", n > 0 ? "an answer" : "nothing");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    w = wire_ready("fr0", 0, OWN, "255.255.255.0", OWN6);
    orders(0);
    orders(1);
    datagram();
    refused();
    expired();
    return 0;
}
