/* TUNSETTXFILTER and TUNATTACHFILTER on a tap: which frames reach the program. */
#include "driver.h"
#include <linux/filter.h>

static unsigned char buf[2048];
static const char *const exact = "\x02\x00\x00\x00\x01\x01", *const other = "\x02\x00\x00\x00\x02\x02",
                  *const group = "\x01\x00\x5e\x00\x00\x05",
                  *const other_group = "\x01\x00\x5e\x00\x00\x63";

static int arrives(int fd, driver *d, const char *to)
{
    drv_send(d, frame(buf, 60, to, 0x88b5), 60, 0x88b5);
    return read(fd, buf, sizeof buf) > 0;
}

static void matrix(const char *label, int fd, driver *d)
{
    say(label, "exact=%d other_unicast=%d broadcast=%d mcast_listed=%d mcast_other=%d", arrives(fd, d, exact),
        arrives(fd, d, other), arrives(fd, d, NULL), arrives(fd, d, group), arrives(fd, d, other_group));
}

/* The addresses are given one after the other, six bytes each. */
static void filter(const char *label, int fd, int flags, int count, const char *addresses)
{
    struct { struct tun_filter head; unsigned char address[32][6]; } f = { { flags, count } };
    memcpy(f.address, addresses, 6 * count);
    SHOW(label, ioctl(fd, TUNSETTXFILTER, &f));
}

static void many(const char *label, int fd, int unicast, int multicast)
{
    char list[32 * 6] = "";
    for (int i = 0; i < unicast + multicast; i++) {
        list[6 * i] = i < unicast ? 2 : 1;
        list[6 * i + 5] = i + 1;
    }
    filter(label, fd, 0, unicast + multicast, list);
}

static void exact_filters(int fd, driver *d)
{
    char list[18];
    filter("one exact address", fd, 0, 1, exact);
    matrix("with one exact address", fd, d);
    memcpy(list, exact, 6);
    memset(list + 6, 0xff, 6);
    filter("exact and broadcast", fd, 0, 2, list);
    matrix("with exact and broadcast", fd, d);
    filter("exact and ALLMULTI", fd, TUN_FLT_ALLMULTI, 1, exact);
    matrix("with exact and ALLMULTI", fd, d);
    memcpy(list + 6, group, 6);
    filter("exact and a group", fd, 0, 2, list);
    matrix("with exact and a group", fd, d);
    many("8 unicast", fd, 8, 0);
    many("9 unicast", fd, 9, 0);
    matrix("with 9 unicast", fd, d);
    many("8 unicast and 4 multicast", fd, 8, 4);
    filter("none", fd, 0, 0, exact);
    matrix("with none", fd, d);
}

static void programs(int fd, driver *d)
{
    struct sock_filter take[] = { { BPF_RET | BPF_K, 0, 0, 0 } }, bad[] = { { 0xffff, 0, 0, 0 } };
    struct sock_fprog program = { 1, take }, got = { 0, NULL }, empty = { 0, take }, invalid = { 1, bad };
    SHOW("TUNDETACHFILTER without one", ioctl(fd, TUNDETACHFILTER, &program));
    SHOW("TUNGETFILTER before", ioctl(fd, TUNGETFILTER, &got));
    say("it says", "len=%d filter=%s", got.len, got.filter ? "set" : "NULL");
    SHOW("TUNATTACHFILTER empty", ioctl(fd, TUNATTACHFILTER, &empty));
    SHOW("TUNATTACHFILTER invalid", ioctl(fd, TUNATTACHFILTER, &invalid));
    SHOW("TUNATTACHFILTER returning 0", ioctl(fd, TUNATTACHFILTER, &program));
    matrix("with a program returning 0", fd, d);
    ioctl(fd, TUNGETFILTER, &got);
    say("TUNGETFILTER", "len=%d same_pointer=%d", got.len, got.filter == take);
    take[0].k = 20;
    SHOW("TUNATTACHFILTER returning 20", ioctl(fd, TUNATTACHFILTER, &program));
    drv_send(d, frame(buf, 60, exact, 0x88b5), 60, 0x88b5);
    show_data("cut to 20", read(fd, buf, sizeof buf), buf);
    SHOW("TUNDETACHFILTER", ioctl(fd, TUNDETACHFILTER, &program));
    drv_send(d, frame(buf, 60, exact, 0x88b5), 60, 0x88b5);
    show_data("whole again", read(fd, buf, sizeof buf), buf);
}

/* The bit that looks like IFF_NO_PI in TUNGETIFF means "no filter attached". */
static void no_filter_bit(void)
{
    struct sock_filter take[] = { { BPF_RET | BPF_K, 0, 0, 0 } };
    struct sock_fprog program = { 1, take };
    struct ifreq ifr;
    int fd = tun_attach("tf1", IFF_TAP, 0);
    MUST(ioctl(fd, TUNGETIFF, &ifr));
    say("TUNGETIFF without a program", "0x%x", (unsigned short)ifr.ifr_flags);
    SHOW("TUNATTACHFILTER with PI", ioctl(fd, TUNATTACHFILTER, &program));
    MUST(ioctl(fd, TUNGETIFF, &ifr));
    say("TUNGETIFF with a program", "0x%x", (unsigned short)ifr.ifr_flags);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = tun_ready("tf0", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("tf0");
    matrix("without a filter", fd, &d);
    exact_filters(fd, &d);
    programs(fd, &d);
    no_filter_bit();
    return 0;
}
