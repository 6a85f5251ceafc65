/* Persistent interfaces. */
#include "driver.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static int attach(const char *name, int flags, int *fd)
{
    *fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    return tun_set_iff(*fd, name, flags);
}

/* One try on a new descriptor that is closed again. */
static int try_as(const char *name, int flags)
{
    int fd, result = attach(name, flags, &fd), error = errno;
    close(fd);
    errno = error;
    return result;
}

static void survives(void)
{
    int index, fd = tun_ready("ps0", TUN, O_NONBLOCK);
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    MUST(if_set_mtu("ps0", 1380));
    index = if_index("ps0");
    close(fd);
    say("after close", "exists=%d same_index=%d mtu=%d", exists("ps0"), if_index("ps0") == index, if_mtu("ps0"));
    EVENTUALLY(!(if_flags("ps0") & IFF_RUNNING), 3000);
    show_if_flags("its flags", "ps0");
    SHOW("as a tap", try_as("ps0", IFF_TAP));
    SHOW("multi-queue", try_as("ps0", IFF_TUN | IFF_MULTI_QUEUE));
    SHOW("exclusive", try_as("ps0", IFF_TUN | IFF_TUN_EXCL));
    SHOW("no type", try_as("ps0", IFF_NO_PI));
    SHOW("attach", attach("ps0", TUN, &fd));
    SHOW("second attach", try_as("ps0", TUN));
    say("same index", "%d", if_index("ps0") == index);
    say("RUNNING comes back", "%d", EVENTUALLY(if_flags("ps0") & IFF_RUNNING, 3000));
    SHOW("TUNSETPERSIST 0", ioctl(fd, TUNSETPERSIST, 0));
    say("exists until close", "%d", exists("ps0"));
    close(fd);
    say("then it is gone", "%d", exists("ps0"));
}

static void patterns(void)
{
    struct ifreq ifr = { .ifr_flags = TUN };
    int kept = tun_attach("pat0", TUN, 0), fd;
    MUST(ioctl(kept, TUNSETPERSIST, 1));
    close(kept);
    fd = MUST(open(DEVICE, O_RDWR));
    strcpy(ifr.ifr_name, "pat%d");
    MUST(ioctl(fd, TUNSETIFF, &ifr));
    say("a pattern never picks an existing one", "%s", ifr.ifr_name);
    close(fd);
    fd = tun_attach("pat0", TUN, 0);
    MUST(ioctl(fd, TUNSETPERSIST, 0));
    close(fd);
}

static unsigned true_flags(int fd)
{
    struct ifreq ifr;
    return ioctl(fd, TUNGETIFF, &ifr) ? 0 : (unsigned short)ifr.ifr_flags;
}

static void what_is_kept(void)
{
    unsigned char buf[200];
    int value, fd = tun_attach("ps1", IFF_TUN | IFF_VNET_HDR | IFF_NO_PI, O_NONBLOCK);
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    value = 16;
    MUST(ioctl(fd, TUNSETVNETHDRSZ, &value));
    value = 1;
    MUST(ioctl(fd, TUNSETVNETLE, &value));
    value = 1;
    MUST(ioctl(fd, TUNSETSNDBUF, &value));
    close(fd);
    SHOW("attach with other framing", attach("ps1", IFF_TUN | IFF_VNET_HDR, &fd));
    say("flags now", "0x%x", true_flags(fd));
    ioctl(fd, TUNGETVNETHDRSZ, &value);
    say("vnet header size is kept", "%d", value);
    ioctl(fd, TUNGETVNETLE, &value);
    say("vnet byte order is kept", "%d", value);
    ioctl(fd, TUNGETSNDBUF, &value);
    say("send buffer is not", "%d", value);
    link_up("ps1", 1);
    driver d = drv_attach("ps1");
    ssize_t n = -1;
    /* The link's transmit side wakes up some time after the attach. */
    EVENTUALLY((drv_packet(&d, 60), n = read(fd, buf, sizeof buf)) > 0, 3000);
    show_data("a packet has PI and 16 bytes", n, buf);
    MUST(ioctl(fd, TUNSETPERSIST, 0));
    drv_detach(&d);
    close(fd);
}

static void by_another_process(void)
{
    struct ifreq ifr = { 0 };
    pid_t pid = child();
    int fd;
    if (!pid) {
        fd = tun_attach("ps2", IFF_TAP | IFF_NO_PI, 0);
        _exit(ioctl(fd, TUNSETPERSIST, 1));
    }
    say("made by a child", "%s", finish(pid));
    say("and still there", "%d", exists("ps2"));
    SHOW("attach it here", attach("ps2", IFF_TAP | IFF_NO_PI, &fd));
    ioctl(fd, TUNGETIFF, &ifr);
    say("it is still persistent", "0x%x", (unsigned short)ifr.ifr_flags);
    SHOW("TUNSETPERSIST 0 here", ioctl(fd, TUNSETPERSIST, 0));
    close(fd);
    say("gone", "%d", exists("ps2"));
}

static void deleted(void)
{
    int fd = tun_attach("ps3", TUN, 0);
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    driver d = drv_attach("ps3");
    close(fd);
    show_result("delete a detached one", drv_delete(&d));
    say("deleted", "%d", exists("ps3"));
    drv_detach(&d);
    fd = tun_attach("ps3", TUN, 0);
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    d = drv_attach("ps3");
    show_result("delete an attached one", drv_delete(&d));
    drv_detach(&d);
    SHOW("attach the same descriptor again", tun_set_iff(fd, "ps3", TUN));
    say("the flag did not survive", "0x%x", true_flags(fd) & IFF_PERSIST);
    close(fd);
    say("so it is gone", "%d", exists("ps3"));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    survives();
    patterns();
    what_is_kept();
    by_another_process();
    deleted();
    return 0;
}
