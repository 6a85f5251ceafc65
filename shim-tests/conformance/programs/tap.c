/* TAP: whole Ethernet frames in both directions. */
#include "driver.h"

static unsigned char buf[70000];
static const char *const own = "\x02\x01\x02\x03\x04\x05";

static void one(const char *label, int fd, driver *d, size_t len)
{
    char text[100];
    SHOW(label, write(fd, buf, len));
    snprintf(text, sizeof text, "%s, received", label);
    show_recv(text, d);
}

static void writes(int fd, driver *d)
{
    frame(buf, 9018, NULL, 0x88b5);
    one("write 60", fd, d, 60);
    one("write 14", fd, d, 14);
    one("write 13", fd, d, 13);
    one("write 0", fd, d, 0);
    one("write 1514", fd, d, 1514);
    one("write 1515", fd, d, 1515);
    one("write 9018", fd, d, 9018);
    frame(buf, 60, own, ETH_P_IP);
    one("unicast IPv4 that is none", fd, d, 60);
    frame(buf, 60, own, 0x0026);
    SHOW("an 802.3 length for a type", write(fd, buf, 60));
    unsigned type;
    say("its length on the far side", "%zd", drv_recv(d, buf, sizeof buf, &type));
}

static void reads(int fd, driver *d)
{
    show_result("send 20", drv_send(d, frame(buf, 20, NULL, 0x88b5), 20, 0x88b5));
    show_data("read 20, no padding", read(fd, buf, sizeof buf), buf);
    show_result("send 14", drv_send(d, frame(buf, 14, NULL, 0x88b5), 14, 0x88b5));
    show_data("read 14", read(fd, buf, sizeof buf), buf);
    show_result("send 1514", drv_send(d, frame(buf, 1514, NULL, 0x88b5), 1514, 0x88b5));
    show_data("read 1514", read(fd, buf, sizeof buf), buf);
    show_result("send 1515", drv_send(d, frame(buf, 1515, NULL, 0x88b5), 1515, 0x88b5));
    SHOW("read 1515", read(fd, buf, sizeof buf));
    frame(buf, 64, NULL, 0x8100);
    memcpy(buf + 14, "\x00\x2a\x88\xb5", 4);
    show_result("send 802.1Q", drv_send(d, buf, 64, 0x8100));
    show_data("read 802.1Q", read(fd, buf, sizeof buf), buf);
    show_result("send another unicast", drv_send(d, frame(buf, 60, "\x02\x99\x99\x99\x99\x99", 0x88b5), 60, 0x88b5));
    show_data("read another unicast", read(fd, buf, sizeof buf), buf);
    show_result("send 60", drv_send(d, frame(buf, 60, NULL, 0x88b5), 60, 0x88b5));
    show_data("read into 30", read(fd, buf, 30), buf);
    SHOW("the rest is lost", read(fd, buf, sizeof buf));
}

static void with_pi(void)
{
    int fd = tun_ready("tp1", IFF_TAP, O_NONBLOCK);
    driver d = drv_attach("tp1");
    memset(buf, 0, 4);
    frame(buf + 4, 60, NULL, 0x88b5);
    one("with PI, write 4+13", fd, &d, 17);
    one("with PI, write 4+14", fd, &d, 18);
    memcpy(buf, "\x00\x00\x08\x00", 4);
    one("with PI, another protocol", fd, &d, 64);
    one("with PI, write 3", fd, &d, 3);
    one("with PI, write 4", fd, &d, 4);
    drv_send(&d, frame(buf, 60, NULL, 0x0806), 60, 0x0806);
    show_data("with PI, read", read(fd, buf, sizeof buf), buf);
    drv_send(&d, frame(buf, 60, NULL, 0x0806), 60, 0x0806);
    show_data("with PI, read, cut", read(fd, buf, 24), buf);
    drv_detach(&d);
    close(fd);
}

static void mac_of(const char *name, unsigned char mac[6])
{
    struct ifreq ifr;
    MUST(if_request(SIOCGIFHWADDR, &ifr, name));
    memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
}

static void addresses(void)
{
    unsigned char a[6], b[6], again[6];
    char text[20];
    struct ifreq ifr = { .ifr_hwaddr.sa_family = 1 };
    int first = tun_attach("tp2", IFF_TAP, 0), second = tun_attach("tp3", IFF_TAP, 0);
    mac_of("tp2", a);
    mac_of("tp3", b);
    close(first);
    first = tun_attach("tp2", IFF_TAP, 0);
    mac_of("tp2", again);
    say("random addresses", "two_differ=%d remade_differs=%d local=%d unicast=%d", memcmp(a, b, 6) != 0,
        memcmp(a, again, 6) != 0, a[0] >> 1 & 1, !(a[0] & 1));
    memcpy(ifr.ifr_hwaddr.sa_data, own, 6);
    SHOW("set while persistent", ioctl(first, TUNSETPERSIST, 1) | ioctl(first, SIOCSIFHWADDR, &ifr));
    close(first);
    mac_of("tp2", a);
    say("kept", "%s", hex(text, a, 6));
    first = tun_attach("tp2", IFF_TAP, 0);
    mac_of("tp2", a);
    say("kept by the next attach", "%s", hex(text, a, 6));
    MUST(ioctl(first, TUNSETPERSIST, 0));
    close(first);
    close(second);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    SHOW("unattached", write(fd, frame(buf, 60, NULL, 0x88b5), 60));
    MUST(tun_set_iff(fd, "tp0", IFF_TAP | IFF_NO_PI));
    SHOW("down, 13", write(fd, frame(buf, 13, NULL, 0x88b5), 13));
    SHOW("down, 14", write(fd, frame(buf, 14, NULL, 0x88b5), 14));
    link_up("tp0", 1);
    driver d = drv_attach("tp0");
    writes(fd, &d);
    reads(fd, &d);
    with_pi();
    addresses();
    return 0;
}
