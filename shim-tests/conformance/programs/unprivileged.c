/* What goes on working after privileges are dropped, with an interface that was attached before or
   is one's own. */
#include "driver.h"
#include <linux/capability.h>

static unsigned char buf[256];

static void drop(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { { 0 } };
    MUST(syscall(SYS_capset, &head, none));
}

int main(int argc, char **argv)
{
    int value = 1, index = 4000;
    unsigned features;
    struct ifreq ifr;
    start(argc, argv);
    int fd = tun_ready("up0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("up0");
    int mine = tun_attach("up1", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    MUST(ioctl(mine, TUNSETOWNER, (long)getuid()));
    MUST(ioctl(mine, TUNSETPERSIST, 1));
    close(mine);
    int fresh = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    drop();
    SHOW("write", write(fd, packet(buf, 60), 60));
    show_recv("received", &d);
    drv_packet(&d, 60);
    SHOW("read", read(fd, buf, sizeof buf));
    SHOW("TUNGETIFF", ioctl(fd, TUNGETIFF, &ifr));
    SHOW("TUNSETOFFLOAD", ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM));
    SHOW("TUNSETCARRIER", ioctl(fd, TUNSETCARRIER, &value));
    SHOW("TUNSETPERSIST 1", ioctl(fd, TUNSETPERSIST, 1));
    SHOW("TUNSETPERSIST 0", ioctl(fd, TUNSETPERSIST, 0));
    SHOW("fresh, TUNGETFEATURES", ioctl(fresh, TUNGETFEATURES, &features));
    SHOW("fresh, TUNSETIFINDEX", ioctl(fresh, TUNSETIFINDEX, &index));
    close(fresh);
    fresh = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    SHOW("attach to one's own", tun_set_iff(fresh, "up1", IFF_TAP | IFF_NO_PI));
    memset(&ifr, 0, sizeof ifr);
    ifr.ifr_hwaddr.sa_family = 1;
    memcpy(ifr.ifr_hwaddr.sa_data, "\x02\x01\x02\x03\x04\x05", 6);
    SHOW("SIOCSIFHWADDR through it", ioctl(fresh, SIOCSIFHWADDR, &ifr));
    SHOW("give it up", ioctl(fresh, TUNSETPERSIST, 0));
    close(fresh);
    say("it is gone", "%d", exists("up1"));
    drv_detach(&d);
    close(fd);
    say("so is the first", "%d", exists("up0"));
    return 0;
}
