/* read(2) on a tun without headers. */
#include "driver.h"

static unsigned char buf[70000];

static void lengths(int fd, driver *d)
{
    drv_packet(d, 60);
    drv_packet(d, 61);
    show_data("first", read(fd, buf, sizeof buf), buf);
    show_data("second", read(fd, buf, sizeof buf), buf);
    SHOW("empty again", read(fd, buf, sizeof buf));
    drv_packet(d, 60);
    drv_packet(d, 61);
    show_data("buffer of 30", read(fd, buf, 30), buf);
    show_data("then the next packet", read(fd, buf, sizeof buf), buf);
    drv_packet(d, 60);
    SHOW("length 0", read(fd, buf, 0));
    show_poll("length 0 leaves it", fd, POLL_ALL, 0);
    show_data("exact length", read(fd, buf, 60), buf);
    drv_packet(d, 60);
    memset(buf, 0xee, 100);
    SHOW("larger buffer", read(fd, buf, sizeof buf));
    say("bytes behind the packet untouched", "%d", buf[60] == 0xee && buf[99] == 0xee);
    SHOW("huge count", (drv_packet(d, 60), read(fd, buf, sizeof buf)));
}

static void vectors(int fd, driver *d)
{
    volatile int minus_one = -1;
    unsigned char a[2], b[16], c[100];
    char ta[40], tb[40];
    struct iovec odd[] = { { a, 2 }, { NULL, 0 }, { b, 16 }, { c, 100 } }, small[] = { { a, 1 }, { b, 16 } };
    struct iovec many[1025];
    drv_packet(d, 60);
    ssize_t n = readv(fd, odd, 4);
    say("readv over odd elements", "%zd %s %s", n, hex(ta, a, 2), hex(tb, b, 16));
    drv_packet(d, 60);
    n = readv(fd, small, 2);
    say("readv short in total", "%zd %s %s", n, hex(ta, a, 1), hex(tb, b, 16));
    SHOW("and the rest is lost", read(fd, buf, sizeof buf));
    drv_packet(d, 60);
    for (int i = 0; i < 1025; i++)
        many[i] = (struct iovec){ buf + i, 1 };
    SHOW("readv 1025 elements", readv(fd, many, 1025));
    SHOW("readv -1 elements", readv(fd, many, minus_one));
    SHOW("readv no elements", readv(fd, many, 0));
    many[0].iov_len = 0;
    SHOW("readv one empty element", readv(fd, many, 1));
    many[0].iov_len = (size_t)-1;
    SHOW("readv negative length", readv(fd, many, 1));
    many[0].iov_len = 1;
    SHOW("readv 1024 elements", readv(fd, many, 1024));
}

static void odd_packets(int fd, driver *d)
{
    unsigned char junk[16];
    memset(junk, 0xab, sizeof junk);
    show_result("send, not IP", drv_send(d, junk, 16, 0x88b5));
    show_data("not IP", read(fd, buf, sizeof buf), buf);
    show_result("send, IPv6", drv_send(d, packet6(buf), 60, ETH_P_IPV6));
    show_data("IPv6", read(fd, buf, sizeof buf), buf);
    show_result("send, one byte", drv_send(d, "\x45", 1, ETH_P_IP));
    show_data("one byte", read(fd, buf, sizeof buf), buf);
}

static void mtu(int fd, driver *d)
{
    show_result("send, mtu", drv_packet(d, 1500));
    show_data("mtu", read(fd, buf, sizeof buf), buf);
    show_result("send, mtu+1", drv_packet(d, 1501));
    SHOW("mtu+1", read(fd, buf, sizeof buf));
    SHOW("SIOCSIFMTU 65535", if_set_mtu("rd0", 65535));
    show_result("send, 65535", drv_packet(d, 65535));
    show_data("65535", read(fd, buf, sizeof buf), buf);
    SHOW("SIOCSIFMTU 100", if_set_mtu("rd0", 100));
    show_result("send, 100", drv_packet(d, 100));
    show_result("send, 101", drv_packet(d, 101));
    show_data("100", read(fd, buf, sizeof buf), buf);
    SHOW("101", read(fd, buf, sizeof buf));
    if_set_mtu("rd0", 1500);
}

static void link_state(int fd, driver *d)
{
    drv_packet(d, 60);
    drv_packet(d, 61);
    link_up("rd0", 0);
    show_result("send while down", drv_packet(d, 62));
    show_poll("queued, link down", fd, POLL_ALL, 0);
    show_data("read while down", read(fd, buf, sizeof buf), buf);
    link_up("rd0", 1);
    show_data("read after up", read(fd, buf, sizeof buf), buf);
    SHOW("nothing more", read(fd, buf, sizeof buf));
}

int main(int argc, char **argv)
{
    struct iovec none = { buf, 0 };
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    SHOW("unattached", read(fd, buf, sizeof buf));
    SHOW("unattached, length 0", read(fd, buf, 0));
    SHOW("unattached, no elements", readv(fd, &none, 0));
    SHOW("unattached, one empty element", readv(fd, &none, 1));
    MUST(tun_set_iff(fd, "rd0", IFF_TUN | IFF_NO_PI));
    SHOW("down, empty queue", read(fd, buf, sizeof buf));
    SHOW("down, length 0", read(fd, buf, 0));
    link_up("rd0", 1);
    SHOW("up, empty queue", read(fd, buf, sizeof buf));
    SHOW("up, length 0, empty queue", read(fd, buf, 0));
    driver d = drv_attach("rd0");
    lengths(fd, &d);
    vectors(fd, &d);
    odd_packets(fd, &d);
    mtu(fd, &d);
    link_state(fd, &d);
    return 0;
}
