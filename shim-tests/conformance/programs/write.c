/* write(2) on a tun without headers: what is accepted, what arrives on the far side, and the order
   of the checks. */
#include "driver.h"

static unsigned char buf[262144];

static void down(int fd)
{
    SHOW("down, valid", write(fd, packet(buf, 60), 60));
    buf[0] = 0x55;
    SHOW("down, bad nibble", write(fd, buf, 60));
    SHOW("down, empty", write(fd, buf, 0));
    SHOW("down, 5 bytes", write(fd, "\x45\x00\x00\x00\x05", 5));
}

static void one(const char *label, int fd, driver *d, size_t len)
{
    char text[100];
    SHOW(label, write(fd, buf, len));
    snprintf(text, sizeof text, "%s, received", label);
    show_recv(text, d);
}

static void contents(int fd, driver *d)
{
    one("valid", fd, d, packet(buf, 60) ? 60 : 0);
    buf[0] = 0x45;
    one("one byte 0x45", fd, d, 1);
    buf[0] = 0x60;
    one("one byte 0x60", fd, d, 1);
    packet(buf, 60)[0] = 0x40;
    one("ihl 0", fd, d, 60);
    packet(buf, 60)[10] ^= 0xff;
    one("bad checksum", fd, d, 60);
    put16(packet(buf, 60) + 2, 1000);
    one("total length too big", fd, d, 60);
    packet6(buf);
    one("IPv6", fd, d, 60);
    packet(buf, 60)[0] = 0x05;
    one("nibble 0", fd, d, 60);
    buf[0] = 0x55;
    one("nibble 5", fd, d, 60);
    buf[0] = 0xf5;
    one("nibble 15", fd, d, 60);
    one("length 0", fd, d, 0);
}

static void sizes(int fd, driver *d)
{
    static const int lengths[] = { 1500, 1501, 9000, 65535, 65550, 131072, 262144 };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char label[40];
        snprintf(label, sizeof label, "%d bytes", lengths[i]);
        packet(buf, lengths[i]);
        one(label, fd, d, lengths[i]);
    }
}

static void vectors(int fd, driver *d)
{
    volatile int minus_one = -1;
    packet(buf, 60);
    struct iovec odd[] = { { buf, 0 }, { buf, 1 }, { buf + 1, 30 }, { NULL, 0 }, { buf + 31, 29 } };
    struct iovec empty = { buf, 0 }, huge[] = { { buf, 1 }, { buf, (size_t)-1 } };
    SHOW("writev odd elements", writev(fd, odd, 5));
    show_recv("writev odd elements, received", d);
    SHOW("writev one empty element", writev(fd, &empty, 1));
    SHOW("writev no elements", writev(fd, odd, 0));
    SHOW("writev -1 elements", writev(fd, odd, minus_one));
    SHOW("writev 1025 elements", writev(fd, (struct iovec *)buf, 1025));
    SHOW("writev negative length", writev(fd, huge, 2));
    show_recv("nothing of these arrived", d);
}

int main(int argc, char **argv)
{
    int value = 1, zero = 0;
    struct iovec none = { buf, 0 };
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR));
    SHOW("unattached", write(fd, packet(buf, 60), 60));
    SHOW("unattached, length 0", write(fd, buf, 0));
    SHOW("unattached, no elements", writev(fd, &none, 0));
    SHOW("unattached, one empty element", writev(fd, &none, 1));
    MUST(tun_set_iff(fd, "wr0", IFF_TUN | IFF_NO_PI));
    down(fd);
    link_up("wr0", 1);
    driver d = drv_attach("wr0");
    contents(fd, &d);
    sizes(fd, &d);
    vectors(fd, &d);
    packet(buf, 60);
    MUST(ioctl(fd, TUNSETSNDBUF, &value));
    SHOW("with TUNSETSNDBUF 1", write(fd, buf, 60));
    show_recv("with TUNSETSNDBUF 1, received", &d);
    MUST(ioctl(fd, TUNSETCARRIER, &zero));
    SHOW("carrier off", write(fd, buf, 60));
    show_recv("carrier off, received", &d);
    for (int len = 60; len < 160; len++)
        MUST(write(fd, packet(buf, len), len));
    int in_order = 0;
    unsigned type;
    for (int len = 60; len < 160; len++)
        in_order += drv_recv(&d, buf, sizeof buf, &type) == len;
    say("a hundred writes arrive in order", "%d", in_order);
    link_up("wr0", 0);
    SHOW("down again", write(fd, packet(buf, 60), 60));
    link_up("wr0", 1);
    SHOW("up again", write(fd, packet(buf, 61), 61));
    show_recv("up again, received", &d);
    return 0;
}
