/* TUNSETIFF: names. */
#include "driver.h"

/* One TUNSETIFF on a new descriptor; the interface goes away with it. */
static void name(const char *label, const char *asked, int flags)
{
    char after[IFNAMSIZ + 1] = "";
    struct ifreq ifr = { .ifr_flags = flags };
    int fd = MUST(open(DEVICE, O_RDWR)), result;
    strncpy(ifr.ifr_name, asked, IFNAMSIZ);
    errno = 0;
    result = ioctl(fd, TUNSETIFF, &ifr);
    memcpy(after, ifr.ifr_name, IFNAMSIZ);
    if (result)
        say(label, "-1 %s name_after='%s'", errno_name(errno), after);
    else
        say(label, "%d name='%s' exists=%d", result, after, exists(after));
    close(fd);
}

static void characters(void)
{
    char refused[1024] = "";
    for (int c = 1; c < 256; c++) {
        struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
        int fd = MUST(open(DEVICE, O_RDWR));
        snprintf(ifr.ifr_name, IFNAMSIZ, "a%cb", c);
        if (ioctl(fd, TUNSETIFF, &ifr))
            sprintf(refused + strlen(refused), "%s%02x", *refused ? "," : "", c);
        close(fd);
    }
    say("bytes that a name may not contain", "%s", refused);
}

/* Only the name is rewritten, up to its NUL; the last byte is zeroed. */
static void untouched(void)
{
    char text[80];
    struct ifreq ifr;
    unsigned char before[sizeof ifr];
    int fd = MUST(open(DEVICE, O_RDWR));
    memset(&ifr, 0xa5, sizeof ifr);
    strcpy(ifr.ifr_name, "tun%d");
    ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
    memcpy(before, &ifr, sizeof ifr);
    SHOW("ifreq full of a5", ioctl(fd, TUNSETIFF, &ifr));
    say("name bytes on return", "%s", hex(text, ifr.ifr_name, IFNAMSIZ));
    say("the rest is unchanged", "%d", !memcmp((char *)&ifr + IFNAMSIZ, before + IFNAMSIZ, sizeof ifr - IFNAMSIZ));
    close(fd);

    fd = MUST(open(DEVICE, O_RDWR));
    memset(&ifr, 0xa5, sizeof ifr);
    strcpy(ifr.ifr_name, "a%s");
    ifr.ifr_flags = IFF_TUN | IFF_NO_PI;
    memcpy(before, &ifr, sizeof ifr);
    SHOW("refused", ioctl(fd, TUNSETIFF, &ifr));
    say("refused leaves the ifreq alone", "%d", !memcmp(&ifr, before, sizeof ifr));
    SHOW("and the descriptor can be tried again", tun_set_iff(fd, "again0", IFF_TUN | IFF_NO_PI));
    close(fd);
}

static void numbers(void)
{
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fds[4], first;
    for (int i = 0; i < 3; i++)
        fds[i] = tun_attach("xx%d", i == 1 ? IFF_TAP : IFF_TUN, 0);
    say("three of one pattern", "xx0=%d xx1=%d xx2=%d", exists("xx0"), exists("xx1"), exists("xx2"));
    close(fds[1]);
    fds[1] = MUST(open(DEVICE, O_RDWR));
    strcpy(ifr.ifr_name, "xx%d");
    ioctl(fds[1], TUNSETIFF, &ifr);
    say("lowest free number", "%s", ifr.ifr_name);
    fds[3] = tun_attach("xx%d", IFF_TUN, 0);
    say("next", "xx3=%d", exists("xx3"));
    first = if_index("xx0");
    say("indexes grow", "%d", if_index("xx1") > if_index("xx2") && if_index("xx3") > if_index("xx1"));
    close(fds[0]);
    fds[0] = tun_attach("xx0", IFF_TUN, 0);
    say("a name made again has a new index", "%d", if_index("xx0") > first);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    name("empty, tun", "", IFF_TUN);
    name("empty, tap", "", IFF_TAP);
    name("tun%d", "tun%d", IFF_TUN);
    name("tap%d", "tap%d", IFF_TAP);
    name("tun%d as a tap", "tun%d", IFF_TAP);
    name("vpn%dx", "vpn%dx", IFF_TUN);
    name("%d", "%d", IFF_TUN);
    name("two patterns", "a%db%d", IFF_TUN);
    name("%s", "a%s", IFF_TUN);
    name("lone percent", "a%", IFF_TUN);
    name("two percents", "a%%", IFF_TUN);
    name("%02d", "a%02d", IFF_TUN);
    name("plain", "vpn7", IFF_TUN);
    name("15 characters", "abcdefghijklmno", IFF_TUN);
    name("16 characters", "abcdefghijklmnop", IFF_TUN);
    name("dot", ".", IFF_TUN);
    name("dot dot", "..", IFF_TUN);
    name("three dots", "...", IFF_TUN);
    name("slash", "a/b", IFF_TUN);
    name("colon", "a:b", IFF_TUN);
    name("space", "a b", IFF_TUN);
    name("UTF-8", "t\xc3\xbcn0", IFF_TUN);
    name("all", "all", IFF_TUN);
    name("default", "default", IFF_TUN);
    name("lo", "lo", IFF_TUN);
    name("lo, exclusive", "lo", IFF_TUN | IFF_TUN_EXCL);
    name("15 characters with a pattern", "abcdefghijklm%d", IFF_TUN);
    characters();
    untouched();
    numbers();
    return 0;
}
