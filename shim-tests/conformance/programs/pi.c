/* The packet information header: flags in host byte order, protocol in network byte order. */
#include "driver.h"

static unsigned char buf[4096];

static void reads(int fd, driver *d)
{
    unsigned char junk[16];
    memset(junk, 0xab, sizeof junk);
    drv_packet(d, 60);
    show_data("read IPv4", read(fd, buf, sizeof buf), buf);
    drv_send(d, packet6(buf), 60, ETH_P_IPV6);
    show_data("read IPv6", read(fd, buf, sizeof buf), buf);
    drv_send(d, junk, 16, 0x88b5);
    show_data("read 0x88b5", read(fd, buf, sizeof buf), buf);
    drv_packet(d, 60);
    show_data("exact buffer", read(fd, buf, 64), buf);
    drv_packet(d, 60);
    show_data("one byte short", read(fd, buf, 63), buf);
    drv_packet(d, 60);
    show_data("buffer of 4", read(fd, buf, 4), buf);
    SHOW("and the packet is lost", read(fd, buf, sizeof buf));
    drv_packet(d, 60);
    SHOW("buffer of 3", read(fd, buf, 3));
    SHOW("and that packet is lost too", read(fd, buf, sizeof buf));
    drv_packet(d, 60);
    SHOW("buffer of 0", read(fd, buf, 0));
    show_data("which leaves it", read(fd, buf, sizeof buf), buf);
}

static void vectors(int fd, driver *d)
{
    unsigned char pi[4];
    char text[40], data[160];
    struct iovec v[] = { { pi, 4 }, { buf, sizeof buf } };
    drv_packet(d, 60);
    ssize_t n = readv(fd, v, 2);
    say("readv", "%zd pi=%s data=%s", n, hex(text, pi, 4), describe_data(data, buf, n - 4));
    v[1].iov_len = 20;
    drv_packet(d, 60);
    n = readv(fd, v, 2);
    say("readv, cut", "%zd pi=%s data=%s", n, hex(text, pi, 4), describe_data(data, buf, n - 4));
    v[0].iov_len = 2;
    v[1] = (struct iovec){ buf, 1 };
    drv_packet(d, 60);
    SHOW("readv, three bytes in all", readv(fd, v, 2));

    memcpy(buf, "\x00\x00\x08\x00", 4);
    packet(buf + 4, 60);
    struct iovec out[] = { { buf, 1 }, { buf + 1, 2 }, { buf + 3, 20 }, { buf + 23, 41 } };
    SHOW("writev, header split", writev(fd, out, 4));
    show_recv("writev, header split, received", d);
}

/* A write of the usual packet behind the given header. */
static void with_header(const char *label, int fd, driver *d, const char *header)
{
    char text[100];
    memcpy(buf, header, 4);
    packet(buf + 4, 60);
    SHOW(label, write(fd, buf, 64));
    snprintf(text, sizeof text, "%s, received", label);
    show_recv(text, d);
}

static void writes(int fd, driver *d)
{
    with_header("write IPv4", fd, d, "\x00\x00\x08\x00");
    with_header("write IPv4 called IPv6", fd, d, "\x00\x00\x86\xdd");
    with_header("write protocol 0", fd, d, "\x00\x00\x00\x00");
    with_header("write 0x88b5", fd, d, "\x00\x00\x88\xb5");
    with_header("write with flags", fd, d, "\xff\xff\x08\x00");
    memset(buf, 0x55, 64);
    memcpy(buf, "\x00\x00\x08\x00", 4);
    SHOW("write bad nibble", write(fd, buf, 64));
    show_recv("write bad nibble, received", d);
    SHOW("write 0 bytes", write(fd, buf, 0));
    SHOW("write 3 bytes", write(fd, buf, 3));
    SHOW("write 4 bytes", write(fd, buf, 4));
    show_recv("write 4 bytes, received", d);
    SHOW("write 5 bytes", write(fd, buf, 5));
    show_recv("write 5 bytes, received", d);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = tun_attach("pi0", IFF_TUN, O_NONBLOCK);
    SHOW("down, 3 bytes", write(fd, buf, 3));
    SHOW("down, 4 bytes", write(fd, buf, 4));
    SHOW("down, 64 bytes", write(fd, buf, 64));
    link_up("pi0", 1);
    driver d = drv_attach("pi0");
    reads(fd, &d);
    writes(fd, &d);
    vectors(fd, &d);
    return 0;
}
