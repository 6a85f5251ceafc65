/* TUNSETIFF when something is there already: the same descriptor, the same name; and TUNGETIFF in
   every state. */
#include "driver.h"

static int try_as(const char *name, int flags)
{
    int fd = MUST(open(DEVICE, O_RDWR)), result = tun_set_iff(fd, name, flags), error = errno;
    close(fd);
    errno = error;
    return result;
}

int main(int argc, char **argv)
{
    char text[100];
    void *volatile nowhere = NULL;
    struct ifreq ifr;
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR)), copy, index;
    SHOW("TUNGETIFF before", ioctl(fd, TUNGETIFF, &ifr));
    SHOW("TUNSETIFF", tun_set_iff(fd, "tk0", IFF_TUN | IFF_NO_PI));
    memset(&ifr, 0xa5, sizeof ifr);
    SHOW("TUNGETIFF", ioctl(fd, TUNGETIFF, &ifr));
    say("its bytes", "%s", hex(text, &ifr, sizeof ifr));
    SHOW("second TUNSETIFF, same", tun_set_iff(fd, "tk0", IFF_TUN | IFF_NO_PI));
    SHOW("second TUNSETIFF, other name", tun_set_iff(fd, "tk1", IFF_TUN | IFF_NO_PI));
    SHOW("second TUNSETIFF, nonsense", tun_set_iff(fd, "a/b", 0));
    SHOW("second TUNSETIFF, NULL", ioctl(fd, TUNSETIFF, nowhere));
    say("other name exists", "%d", exists("tk1"));

    SHOW("another descriptor, same type", try_as("tk0", IFF_TUN | IFF_NO_PI));
    SHOW("another descriptor, other type", try_as("tk0", IFF_TAP | IFF_NO_PI));
    SHOW("another descriptor, no type", try_as("tk0", IFF_NO_PI));
    SHOW("another descriptor, multi-queue", try_as("tk0", IFF_TUN | IFF_MULTI_QUEUE));
    SHOW("another descriptor, exclusive", try_as("tk0", IFF_TUN | IFF_TUN_EXCL));
    SHOW("another descriptor, exclusive and other type", try_as("tk0", IFF_TAP | IFF_TUN_EXCL));
    SHOW("another descriptor, both types", try_as("tk0", IFF_TUN | IFF_TAP | IFF_NO_PI));
    int tap = MUST(open(DEVICE, O_RDWR));
    SHOW("a tap", tun_set_iff(tap, "tk8", IFF_TAP | IFF_NO_PI));
    SHOW("another descriptor on it, both types", try_as("tk8", IFF_TUN | IFF_TAP | IFF_NO_PI));
    close(tap);
    SHOW("exclusive, a free name", try_as("tk9", IFF_TUN | IFF_TUN_EXCL));
    SHOW("TUNGETIFF after all that", ioctl(fd, TUNGETIFF, &ifr));
    say("name", "%s", ifr.ifr_name);
    close(fd);

    fd = MUST(open(DEVICE, O_RDWR));
    copy = dup(fd);
    SHOW("TUNSETIFF on a dup", tun_set_iff(copy, "tk2", IFF_TUN | IFF_NO_PI));
    SHOW("TUNGETIFF on the original", ioctl(fd, TUNGETIFF, &ifr));
    SHOW("TUNSETIFF on the original", tun_set_iff(fd, "tk3", IFF_TUN | IFF_NO_PI));
    close(copy);
    close(fd);

    fd = MUST(open(DEVICE, O_RDWR));
    index = 777;
    SHOW("TUNSETIFINDEX 777", ioctl(fd, TUNSETIFINDEX, &index));
    index = -5;
    SHOW("TUNSETIFINDEX negative", ioctl(fd, TUNSETIFINDEX, &index));
    SHOW("then TUNSETIFF", tun_set_iff(fd, "tk4", IFF_TUN | IFF_NO_PI));
    say("index", "%d", if_index("tk4"));
    index = 778;
    SHOW("TUNSETIFINDEX attached", ioctl(fd, TUNSETIFINDEX, &index));
    copy = MUST(open(DEVICE, O_RDWR));
    index = 777;
    SHOW("TUNSETIFINDEX of a taken index", ioctl(copy, TUNSETIFINDEX, &index));
    SHOW("fails in TUNSETIFF", tun_set_iff(copy, "tk5", IFF_TUN | IFF_NO_PI));
    return 0;
}
