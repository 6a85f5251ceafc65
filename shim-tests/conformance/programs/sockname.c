/* SIOCSIFNAME: another name for an interface by a request on a socket. */
#include "driver.h"

static int fd;

static void rename_to(const char *label, const char *from, const char *to)
{
    struct ifreq ifr = { 0 }, now = { 0 };
    char text[60];
    memcpy(ifr.ifr_newname, to, strnlen(to, IFNAMSIZ));
    int result = if_request(SIOCSIFNAME, &ifr, from), error = errno;
    MUST(ioctl(fd, TUNGETIFF, &now));
    snprintf(text, sizeof text, "%s", result ? errno_name(error) : "0");
    say(label, "%s now=%.16s exists=%d", text, now.ifr_name, exists(now.ifr_name));
}

int main(int argc, char **argv)
{
    struct ifreq ifr = { 0 };
    start(argc, argv);
    fd = tun_attach("sn0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    int other = tun_attach("sn1", IFF_TAP | IFF_NO_PI, 0), index = if_index("sn0");
    driver d = drv_attach("sn0");
    rename_to("a name", "sn0", "ren0");
    say("the index stays, the old name is free", "%d %d", if_index("ren0") == index, exists("sn0"));
    rename_to("the same name", "ren0", "ren0");
    rename_to("another's name", "ren0", "sn1");
    rename_to("lo", "ren0", "lo");
    rename_to("a pattern", "ren0", "sn%d");
    rename_to("the same pattern", "sn0", "sn%d");
    rename_to("another pattern", "sn2", "x%dy");
    rename_to("two numbers", "x0y", "a%db%d");
    rename_to("a percent sign", "x0y", "a%s");
    rename_to("empty", "x0y", "");
    rename_to("a slash", "x0y", "a/b");
    rename_to("a colon", "x0y", "a:b");
    rename_to("a space", "x0y", "a b");
    rename_to("all", "x0y", "all");
    rename_to("16 bytes", "x0y", "0123456789abcdef");
    rename_to("back", "0123456789abcde", "sn0");
    rename_to("by an alias", "sn0:1", "sn2");
    rename_to("of none", "nothere", "sn3");
    link_up("sn2", 1);
    rename_to("while up", "sn2", "sn4");
    drv_packet(&d, 60);
    SHOW("a packet is still delivered", read(fd, &(char[100]){ 0 }, 100));
    SHOW("the old name", if_request(SIOCGIFMTU, &ifr, "sn2"));
    SHOW("a new interface takes it", tun_set_iff(MUST(open(DEVICE, O_RDWR)), "sn2", IFF_TUN));
    drv_detach(&d);
    close(other);
    close(fd);
    return 0;
}
