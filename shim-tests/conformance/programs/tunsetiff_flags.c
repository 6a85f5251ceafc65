/* TUNSETIFF: flags, and what TUNGETIFF says of them. */
#include "driver.h"

static void flags(const char *label, int asked)
{
    char text[200];
    struct ifreq ifr = { .ifr_flags = asked }, get;
    int fd = MUST(open(DEVICE, O_RDWR));
    errno = 0;
    if (ioctl(fd, TUNSETIFF, &ifr)) {
        show(label, -1);
    } else {
        int result = ioctl(fd, TUNGETIFF, &get), up = if_flags(ifr.ifr_name);
        say(label, "0 name=%s flags_after=0x%x getiff=%d,%s,0x%x ifflags=0x%x=%s", ifr.ifr_name,
            (unsigned short)ifr.ifr_flags, result, get.ifr_name, (unsigned short)get.ifr_flags, up, if_flag_bits(text, up));
    }
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    flags("0", 0);
    flags("IFF_NO_PI only", IFF_NO_PI);
    flags("0x000c", 0x000c);
    flags("IFF_TUN", IFF_TUN);
    flags("IFF_TAP", IFF_TAP);
    flags("IFF_TUN|IFF_TAP", IFF_TUN | IFF_TAP);
    flags("IFF_TUN|IFF_NO_PI", IFF_TUN | IFF_NO_PI);
    flags("IFF_TAP|IFF_NO_PI", IFF_TAP | IFF_NO_PI);
    flags("unknown 0x0004", IFF_TUN | 0x0004);
    flags("unknown 0x0008", IFF_TUN | 0x0008);
    flags("unknown 0x0080", IFF_TUN | 0x0080);
    flags("IFF_PERSIST", IFF_TUN | IFF_PERSIST);
    flags("IFF_ATTACH_QUEUE", IFF_TUN | IFF_ATTACH_QUEUE);
    flags("IFF_DETACH_QUEUE", IFF_TUN | IFF_DETACH_QUEUE);
    flags("IFF_TUN_EXCL", IFF_TUN | IFF_TUN_EXCL);
    flags("IFF_NO_CARRIER", IFF_TUN | IFF_NO_CARRIER);
    flags("IFF_NAPI", IFF_TUN | IFF_NAPI);
    flags("IFF_ONE_QUEUE", IFF_TUN | IFF_ONE_QUEUE);
    flags("IFF_VNET_HDR", IFF_TUN | IFF_VNET_HDR);
    flags("IFF_MULTI_QUEUE", IFF_TUN | IFF_MULTI_QUEUE);
    flags("IFF_VNET_HDR|IFF_MULTI_QUEUE|IFF_NO_PI, tap", IFF_TAP | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_NO_PI);
    flags("all 16 bits but NAPI_FRAGS", 0xffff & ~IFF_NAPI_FRAGS);
    return 0;
}
