/* The interface is deleted or renamed from outside while the descriptor is open. */
#include "driver.h"

static unsigned char buf[256];
#define TUN (IFF_TUN | IFF_NO_PI)

static void deleted(void)
{
    struct ifreq ifr = { 0 };
    struct iovec none = { buf, 0 };
    unsigned features;
    int fd = tun_ready("de0", TUN, O_NONBLOCK), copy = dup(fd);
    driver d = drv_attach("de0");
    drv_packet(&d, 60);
    show_result("delete", drv_delete(&d));
    say("exists", "%d", exists("de0"));
    SHOW("read", read(fd, buf, sizeof buf));
    SHOW("read of 0 bytes", read(fd, buf, 0));
    SHOW("readv of nothing", readv(fd, &none, 0));
    SHOW("write", write(fd, packet(buf, 60), 60));
    show_poll("poll", fd, POLL_ALL, 0);
    SHOW("TUNGETIFF", ioctl(fd, TUNGETIFF, &ifr));
    SHOW("TUNGETFEATURES", ioctl(fd, TUNGETFEATURES, &features));
    SHOW("TUNSETPERSIST", ioctl(fd, TUNSETPERSIST, 1));
    SHOW("unknown ioctl", ioctl(fd, 0x54fe, buf));
    SHOW("TUNGETIFF on a dup", ioctl(copy, TUNGETIFF, &ifr));
    show_result("delete again", drv_delete(&d));
    show_result("send", drv_packet(&d, 60) < 0);
    drv_detach(&d);

    SHOW("attach the same descriptor", tun_set_iff(fd, "de1", TUN));
    link_up("de1", 1);
    d = drv_attach("de1");
    SHOW("what was queued is gone", read(fd, buf, sizeof buf));
    drv_packet(&d, 60);
    SHOW("read works", read(fd, buf, sizeof buf));
    SHOW("write works", write(fd, packet(buf, 60), 60));
    show_recv("received", &d);
    SHOW("TUNGETIFF on the dup", ioctl(copy, TUNGETIFF, &ifr));
    say("its name", "%s", ifr.ifr_name);
    drv_delete(&d);
    drv_detach(&d);
    SHOW("attach as a tap", tun_set_iff(copy, "de2", IFF_TAP | IFF_NO_PI));
    link_up("de2", 1);
    SHOW("write a frame", write(fd, frame(buf, 60, NULL, 0x88b5), 60));
    close(fd);
    say("a dup holds it", "%d", exists("de2"));
    close(copy);
    say("gone", "%d", exists("de2"));
}

static void renamed(void)
{
    struct ifreq ifr = { 0 };
    int index, other, fd = tun_ready("re0", TUN, O_NONBLOCK);
    driver d = drv_attach("re0");
    index = if_index("re0");
    drv_packet(&d, 60);
    show_result("rename while up", drv_rename(&d, "re0", "vpn0"));
    say("names", "old=%d new=%d same_index=%d", exists("re0"), exists("vpn0"), if_index("vpn0") == index);
    SHOW("TUNGETIFF after renaming", ioctl(fd, TUNGETIFF, &ifr));
    say("its new name", "%s", ifr.ifr_name);
    SHOW("the queue is kept", read(fd, buf, sizeof buf));
    drv_packet(&d, 61);
    SHOW("the driver follows", read(fd, buf, sizeof buf));
    other = MUST(open(DEVICE, O_RDWR));
    SHOW("the old name is free", tun_set_iff(other, "re0", TUN));
    show_result("rename to an existing name", drv_rename(&d, "vpn0", "re0"));
    show_result("rename to a bad name", drv_rename(&d, "vpn0", "a/b"));
    show_result("rename to itself", drv_rename(&d, "vpn0", "vpn0"));
    SHOW("TUNSETIFF of the new name", tun_set_iff(fd, "vpn0", TUN));
    drv_detach(&d);
    close(fd);
    say("gone under the new name", "%d", exists("vpn0"));
    close(other);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    deleted();
    renamed();
    return 0;
}
