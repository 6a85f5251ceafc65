/* IFF_VNET_HDR: the virtio header on reads and writes. */
#include "driver.h"
#include <linux/virtio_net.h>

static unsigned char buf[8192];

static void reads(void)
{
    static const int sizes[] = { 10, 12, 24 };
    int fd = tun_ready("vn0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    driver d = drv_attach("vn0");
    for (int i = 0; i < 3; i++) {
        char label[60];
        MUST(ioctl(fd, TUNSETVNETHDRSZ, &sizes[i]));
        memset(buf, 0xee, sizeof buf);
        drv_packet(&d, 60);
        snprintf(label, sizeof label, "read, header size %d", sizes[i]);
        show_data(label, read(fd, buf, sizeof buf), buf);
        drv_packet(&d, 60);
        snprintf(label, sizeof label, "buffer one byte short of the header, size %d", sizes[i]);
        SHOW(label, read(fd, buf, sizes[i] - 1));
        snprintf(label, sizeof label, "then, size %d", sizes[i]);
        SHOW(label, read(fd, buf, sizeof buf));
        drv_packet(&d, 60);
        snprintf(label, sizeof label, "buffer of exactly the header, size %d", sizes[i]);
        show_data(label, read(fd, buf, sizes[i]), buf);
        drv_packet(&d, 60);
        snprintf(label, sizeof label, "header and 5 bytes, size %d", sizes[i]);
        show_data(label, read(fd, buf, sizes[i] + 5), buf);
    }
    drv_detach(&d);
    close(fd);

    fd = tun_ready("vn1", IFF_TUN | IFF_VNET_HDR, O_NONBLOCK);
    d = drv_attach("vn1");
    drv_packet(&d, 60);
    show_data("with PI", read(fd, buf, sizeof buf), buf);
    drv_packet(&d, 60);
    show_data("with PI, cut", read(fd, buf, 30), buf);
    drv_packet(&d, 60);
    SHOW("with PI, 13 bytes", read(fd, buf, 13));
    drv_packet(&d, 60);
    show_data("with PI, 14 bytes", read(fd, buf, 14), buf);
    drv_detach(&d);
    close(fd);
}

static struct virtio_net_hdr plain;
static int fd;
static driver d;

/* A write of the header with these fields and the packet of `len` bytes that is already at buf +
   10. */
static void write_with(const char *label, struct virtio_net_hdr header, size_t len)
{
    char text[100];
    memcpy(buf, &header, 10);
    SHOW(label, write(fd, buf, 10 + len));
    snprintf(text, sizeof text, "%s, received", label);
    show_recv(text, &d);
}

#define HEADER(...) ((struct virtio_net_hdr){ __VA_ARGS__ })

static void writes(void)
{
    packet(buf + 10, 60);
    write_with("plain", plain, 60);
    write_with("DATA_VALID", HEADER(.flags = VIRTIO_NET_HDR_F_DATA_VALID), 60);
    write_with("unknown flag bits", HEADER(.flags = 0xf8), 60);
    write_with("hdr_len = len", HEADER(.hdr_len = 60), 60);
    write_with("hdr_len > len", HEADER(.hdr_len = 61), 60);
    write_with("NEEDS_CSUM good", HEADER(.flags = 1, .csum_start = 20, .csum_offset = 6), 60);
    write_with("NEEDS_CSUM start 0", HEADER(.flags = 1, .csum_start = 0, .csum_offset = 6), 60);
    write_with("NEEDS_CSUM past the end", HEADER(.flags = 1, .csum_start = 58, .csum_offset = 6), 60);
    write_with("unknown gso_type", HEADER(.gso_type = 0x42, .gso_size = 100), 60);
    write_with("ECN bit alone", HEADER(.gso_type = VIRTIO_NET_HDR_GSO_ECN), 60);
    write_with("header only", plain, 0);
    SHOW("9 bytes", write(fd, buf, 9));
    SHOW("0 bytes", write(fd, buf, 0));
    packet(buf, 60);
    SHOW("forgotten header", write(fd, buf, 60));
    memset(buf, 0, 10);
    packet(buf + 10, 60)[0] = 0x55;
    SHOW("bad nibble", write(fd, buf, 70));
}

static void segments(void)
{
    tcp4(buf + 10, 4040);
    struct virtio_net_hdr tso = { .flags = 1, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 40, .gso_size = 1000,
                                  .csum_start = 20, .csum_offset = 16 }, h = tso;
    write_with("TCPV4 4040 bytes", tso, 4040);
    h.gso_size = 0;
    write_with("TCPV4 gso_size 0", h, 4040);
    h.gso_size = 0xffff;
    write_with("TCPV4 gso_size 0xffff", h, 4040);
    h = tso;
    h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
    write_with("TCPV6 on IPv4", h, 4040);
    h.csum_start = 40;
    write_with("TCPV6 on IPv4, start 40", h, 4040);
    h = tso;
    h.csum_offset = 6;
    write_with("TCPV4 csum_offset 6", h, 4040);
    h = tso;
    h.gso_size = 7;
    write_with("TCPV4 571 segments", h, 4040);
    buf[10 + 9] = 17;
    write_with("TCPV4 on UDP", tso, 4040);
    memset(buf + 10, 0, 40);
    buf[10] = 0x60;
    write_with("TCPV4 on IPv6", tso, 4040);
    packet(buf + 10, 4028);
    h = HEADER(.flags = 1, .gso_type = 5, .hdr_len = 28, .gso_size = 1000, .csum_start = 20, .csum_offset = 6);
    write_with("UDP_L4", h, 4028);
    h.csum_offset = 16;
    write_with("UDP_L4 csum_offset 16", h, 4028);
    h.csum_offset = 6;
    h.gso_size = 32;
    write_with("UDP_L4 125 segments", h, 4028);
    h.gso_size = 31;
    write_with("UDP_L4 129 segments", h, 4028);
    h.gso_size = 1000;
    h.flags = 0;
    write_with("UDP_L4 without NEEDS_CSUM", h, 4028);
}

/* The kernel counts the start of the checksum in 16 bits, from a little before the packet. */
static void far_into_the_packet(void)
{
    static unsigned char large[80000];
    static const unsigned starts[] = { 65400, 65470, 65471, 65472, 65535 };
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        char label[60];
        struct virtio_net_hdr h = { .flags = 1, .csum_start = starts[i], .csum_offset = 6 };
        memcpy(large, &h, 10);
        packet(large + 10, 70000);
        snprintf(label, sizeof label, "NEEDS_CSUM start %u of 70000 bytes", starts[i]);
        SHOW(label, write(fd, large, 70010));
    }
}

static void on_a_tap(void)
{
    fd = tun_ready("vn3", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    d = drv_attach("vn3");
    frame(buf + 10, 60, NULL, 0x88b5);
    write_with("tap", plain, 60);
    write_with("tap, 14 bytes", plain, 14);
    write_with("tap, 13 bytes", plain, 13);
    write_with("tap, hdr_len 13", HEADER(.hdr_len = 13), 60);
    write_with("tap, hdr_len 14", HEADER(.hdr_len = 14), 60);
    show_result("tap, send", drv_send(&d, frame(buf, 60, NULL, 0x88b5), 60, 0x88b5));
    show_data("tap, read", read(fd, buf, sizeof buf), buf);
    drv_detach(&d);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    reads();
    fd = tun_attach("vn2", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, O_NONBLOCK);
    memset(buf, 0, 100);
    packet(buf + 10, 60);
    SHOW("down, good", write(fd, buf, 70));
    memcpy(buf, &HEADER(.hdr_len = 61), 10);
    SHOW("down, hdr_len > len", write(fd, buf, 70));
    memcpy(buf, &HEADER(.gso_type = 0x42), 10);
    SHOW("down, unknown gso_type", write(fd, buf, 70));
    link_up("vn2", 1);
    d = drv_attach("vn2");
    writes();
    segments();
    far_into_the_packet();
    drv_detach(&d);
    close(fd);
    on_a_tap();
    return 0;
}
