/* Segments that a program hands over as one piece, and such whose checksum is left to the device
 * (IFF_VNET_HDR): each arrives whole. */
#include "segments.h"
#include <linux/virtio_net.h>

static unsigned char upper[62000], got[62000];

/* What a checksum has to begin with: the sum of the pseudo header. */
static unsigned pseudo(size_t len)
{
    unsigned char p[40] = { 0 };
    int v6 = !!strchr(OWN, ':');
    size_t size = v6 ? 16 : 4;
    inet_pton(v6 ? AF_INET6 : AF_INET, FAR, p);
    inet_pton(v6 ? AF_INET6 : AF_INET, OWN, p + size);
    put16(p + 2 * size, len);
    put16(p + 2 * size + 2, IPPROTO_TCP);
    unsigned sum = 0;
    for (size_t at = 0; at < 2 * size + 4; at += 2)
        sum += get16(p + at);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Hands over so many bytes in pieces of this size; 0 for one segment with a checksum to be made. */
static void hand_over(tcp *c, const char *what, size_t bytes, unsigned size, int told_type)
{
    int v6 = !!strchr(OWN, ':');
    struct virtio_net_hdr header = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = told_type, .gso_size = size,
        .hdr_len = size ? (v6 ? 60 : 40) : 0, .csum_start = v6 ? 40 : 20, .csum_offset = 16,
    };
    memcpy(far_vnet_header, &header, sizeof far_vnet_header);
    memset(upper, 0, 20);
    put16(upper, c->peer_port);
    put16(upper + 2, c->own_port);
    put32(upper + 4, c->seq);
    put32(upper + 8, c->ack);
    upper[12] = 5 << 4;
    upper[13] = ACK | PSH;
    put16(upper + 14, c->window);
    put16(upper + 16, pseudo(20 + bytes));
    for (size_t at = 0; at < bytes; at++)
        upper[20 + at] = at * 7 + at / 251;
    ssize_t n = far_send(&tun, FAR, OWN, IPPROTO_TCP, upper, 20 + bytes, -1);
    memset(far_vnet_header, 0, sizeof far_vnet_header);
    say(label("%s, handed over", what), "%d", n > 0);
    c->seq += bytes;
}

static void take(int sock, const char *what, size_t bytes)
{
    size_t have = 0;
    while (have < bytes) {
        if (!EVENTUALLY(now_events(sock, POLLIN), SOON))
            break;
        ssize_t n = read(sock, got + have, bytes - have);
        if (n <= 0)
            break;
        have += n;
    }
    say(label("%s, read", what), "%zu %s", have, memcmp(got, upper + 20, have) ? "others" : "as sent");
}

/* Acknowledgements, until all that was said is acknowledged. */
static void see_all(tcp *c, const char *what)
{
    const unsigned char *p;
    while ((p = raw_next(c, SOON)) && get32(p + 8) != c->seq)
        ;
    say(label("%s, acknowledged", what), "%d", p != NULL);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    spit("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0");
    link_up("lo", 1);
    far_vnet = sizeof far_vnet_header;
    tun = far_up("tun0", OWN, OWN2, FAR, IFF_TUN | IFF_VNET_HDR);
    set_defaults();
    static tcp c;
    options o = none;
    add_mss(&o, 1400);
    int sock = listener(OWN, 7100, 5);
    int made = server_with(&c, sock, "met", &o, &none);
    int type = strchr(OWN, ':') ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
    struct { const char *name; size_t bytes; unsigned size; } given[] = {
        { "a checksum to be made", 500, 0 }, { "two segments", 2400, 1200 }, { "a short one last", 3000, 1400 },
        { "one that is shorter", 900, 1400 }, { "many segments", 60000, 1400 }, { "an odd size", 20001, 777 },
    };
    for (size_t at = 0; at < sizeof given / sizeof *given; at++) {
        hand_over(&c, given[at].name, given[at].bytes, given[at].size, given[at].size ? type : 0);
        take(made, given[at].name, given[at].bytes);
        see_all(&c, given[at].name);
    }
    reset(made);
    far_drain(&tun);
    return 0;
}
