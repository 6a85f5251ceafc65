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
    struct { struct tun_filter head; unsigned char address[32][6]; } f = { { flags, count }, { { 0 } } };
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

/* ---- how the list is read ---- */

static unsigned char list[4 + 6 * 65535];

static void filled(const char *label, int fd, int flags, int count, const char *one)
{
    struct tun_filter head = { flags, count };
    memcpy(list, &head, sizeof head);
    for (int i = 0; i < count; i++)
        memcpy(list + sizeof head + 6 * i, one, 6);
    SHOW(label, ioctl(fd, TUNSETTXFILTER, list));
}

/* A list of which only the first bytes can be read. */
static void cut(const char *label, int fd, int count, size_t usable)
{
    struct tun_filter head = { 0, count };
    unsigned char whole[4 + 6 * 12], *some = edge(usable);
    memset(whole, 2, sizeof whole);
    memcpy(whole, &head, sizeof head);
    memcpy(some, whole, usable);
    SHOW(label, ioctl(fd, TUNSETTXFILTER, some));
}

static void reading(int fd, driver *d)
{
    void *volatile nowhere = NULL;
    filter("exact again", fd, 0, 1, exact);
    SHOW("list at NULL", ioctl(fd, TUNSETTXFILTER, nowhere));
    SHOW("list at a bad pointer", ioctl(fd, TUNSETTXFILTER, BAD_POINTER));
    cut("list of 3 bytes", fd, 1, 3);
    cut("list of 4 bytes", fd, 1, 4);
    cut("list of 9 bytes", fd, 1, 9);
    cut("list of 12, the last one cut", fd, 12, 4 + 6 * 12 - 1);
    matrix("after bad lists", fd, d);
    cut("count 0 of 4 bytes", fd, 0, 4);
    matrix("after count 0", fd, d);
    cut("list of 10 bytes", fd, 1, 10);
    matrix("after a list of 10 bytes", fd, d);
    filled("100 groups", fd, 0, 100, group);
    matrix("with 100 groups", fd, d);
    filled("65535 groups", fd, 0, 65535, group);
    matrix("with 65535 groups", fd, d);
    filled("65535 addresses", fd, 0, 65535, exact);
    matrix("with 65535 addresses", fd, d);
    filled("9 addresses and ALLMULTI", fd, TUN_FLT_ALLMULTI, 9, exact);
    matrix("with 9 addresses and ALLMULTI", fd, d);
    filled("8 addresses and all flags", fd, 0xffff, 8, exact);
    matrix("with 8 addresses and all flags", fd, d);
    filled("8 addresses and other flags", fd, 0xfffe, 8, exact);
    matrix("with 8 addresses and other flags", fd, d);
    filled("no address and ALLMULTI", fd, TUN_FLT_ALLMULTI, 0, exact);
    matrix("with no address and ALLMULTI", fd, d);
}

/* ---- groups beyond the first eight are hashed ---- */

static void group_number(unsigned char *address, int i)
{
    memcpy(address, "\x01\x00\x5e\x00\x00\x00", 6);
    address[4] = i >> 8;
    address[5] = i;
}

/* Which of 256 groups reach the program, when so many are listed behind eight addresses? */
static void hashed(const char *label, int fd, driver *d, int first, int count)
{
    struct tun_filter head = { 0, 8 + count };
    char text[65];
    memcpy(list, &head, sizeof head);
    for (int i = 0; i < 8; i++)
        memcpy(list + sizeof head + 6 * i, exact, 6);
    for (int i = 0; i < count; i++)
        group_number(list + sizeof head + 6 * (8 + i), first + i);
    SHOW(label, ioctl(fd, TUNSETTXFILTER, list));
    for (int i = 0; i < 64; i++) {
        int four = 0;
        for (int j = 0; j < 4; j++) {
            unsigned char to[6];
            group_number(to, 4 * i + j);
            four |= arrives(fd, d, (char *)to) << j;
        }
        text[i] = "0123456789abcdef"[four];
    }
    text[64] = 0;
    char through[100];
    snprintf(through, sizeof through, "%s, through", label);
    say(through, "%s", text);
    snprintf(through, sizeof through, "%s, others", label);
    matrix(through, fd, d);
}

static void hashes(int fd, driver *d)
{
    hashed("no group hashed", fd, d, 0, 0);
    hashed("one group hashed", fd, d, 1, 1);
    hashed("another group hashed", fd, d, 200, 1);
    hashed("ten groups hashed", fd, d, 5, 10);
    hashed("200 groups hashed", fd, d, 0, 200);
    hashed("groups elsewhere hashed", fd, d, 5000, 3);
    filter("none again", fd, 0, 0, exact);
}

/* A frame without a destination that anybody has. */
static void odd_frames(int fd, driver *d)
{
    filter("zeroes", fd, 0, 1, "\0\0\0\0\0\0");
    say("to zeroes", "%d", arrives(fd, d, "\0\0\0\0\0\0"));
    matrix("with zeroes", fd, d);
    filter("none after zeroes", fd, 0, 0, exact);
}

/* The list belongs to the interface, not to the tunnel, and is there with all of its queues. */
static void kept(void)
{
    int fd = tun_attach("tf2", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    filter("before the tunnel goes", fd, 0, 1, exact);
    close(fd);
    fd = tun_ready("tf2", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("tf2");
    matrix("after another tunnel", fd, &d);
    link_up("tf2", 0);
    link_up("tf2", 1);
    matrix("after down and up", fd, &d);
    SHOW("renamed", drv_rename(&d, "tf2", "tf3"));
    matrix("after a rename", fd, &d);
    drv_delete(&d);
    drv_detach(&d);
    MUST(tun_set_iff(fd, "tf2", IFF_TAP | IFF_NO_PI));
    link_up("tf2", 1);
    d = drv_attach("tf2");
    matrix("on a new interface", fd, &d);
    drv_detach(&d);
    close(fd);
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
    reading(fd, &d);
    hashes(fd, &d);
    odd_frames(fd, &d);
    programs(fd, &d);
    kept();
    no_filter_bit();
    return 0;
}
