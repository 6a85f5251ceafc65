/* TUNSETCARRIER with no queue and with several, and the carrier that the next tunnel of an
   interface finds. RUNNING follows late (up to a second), so it is waited for. */
#include "driver.h"

static void set(const char *label, int fd, int on) { SHOW(label, ioctl(fd, TUNSETCARRIER, &on)); }

static int running(const char *name) { return !!(if_flags(name) & IFF_RUNNING); }

/* In which order the kernel looks. */
static void order(void)
{
    struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
    void *volatile nowhere = NULL;
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    SHOW("unattached, NULL", ioctl(fd, TUNSETCARRIER, nowhere));
    set("unattached, 1", fd, 1);
    set("unattached, 0", fd, 0);
    MUST(tun_set_iff(fd, "ca2", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE));
    SHOW("down, bad pointer", ioctl(fd, TUNSETCARRIER, BAD_POINTER));
    SHOW("down, cut", ioctl(fd, TUNSETCARRIER, edge(3)));
    set("down, 0", fd, 0);
    set("down, 1", fd, 1);
    set("down, 0x100", fd, 0x100);
    set("down, -1", fd, -1);
    MUST(ioctl(fd, TUNSETQUEUE, &ifr));
    SHOW("no queue, NULL", ioctl(fd, TUNSETCARRIER, nowhere));
    set("no queue, 1", fd, 1);
    set("no queue, 2", fd, 2);
    set("no queue, 0", fd, 0);
    set("no queue, 0 again", fd, 0);
    set("no queue, 1 after 0", fd, 1);
    int other = tun_attach("ca2", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, O_NONBLOCK);
    set("another queue, 1", fd, 1);
    set("another queue, 0", other, 0);
    link_up("ca2", 1);
    say("without carrier, RUNNING goes", "%d", EVENTUALLY(!running("ca2"), 3000));
    ifr.ifr_flags = IFF_ATTACH_QUEUE;
    MUST(ioctl(fd, TUNSETQUEUE, &ifr));
    set("attached again, 1", fd, 1);
    say("then RUNNING comes", "%d", EVENTUALLY(running("ca2"), 3000));
    close(other);
    close(fd);
}

/* What the next tunnel of an interface does to the carrier. */
static void again(void)
{
    int fd = tun_ready("ca3", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    set("persistent, 0", fd, 0);
    close(fd);
    say("left without carrier, RUNNING goes", "%d", EVENTUALLY(!running("ca3"), 3000));
    fd = tun_attach("ca3", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    say("next tunnel, RUNNING comes", "%d", EVENTUALLY(running("ca3"), 3000));
    close(fd);
    say("left, RUNNING goes", "%d", EVENTUALLY(!running("ca3"), 3000));
    fd = tun_attach("ca3", IFF_TUN | IFF_NO_PI | IFF_NO_CARRIER, O_NONBLOCK);
    say("next tunnel with IFF_NO_CARRIER, RUNNING comes", "%d", EVENTUALLY(running("ca3"), 1300));
    set("next tunnel with IFF_NO_CARRIER, 1", fd, 1);
    say("then RUNNING comes to it", "%d", EVENTUALLY(running("ca3"), 3000));
    MUST(ioctl(fd, TUNSETPERSIST, 0));
    close(fd);

    fd = tun_ready("ca4", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, O_NONBLOCK);
    set("first queue, 0", fd, 0);
    say("first queue, RUNNING goes", "%d", EVENTUALLY(!running("ca4"), 3000));
    int other = tun_attach("ca4", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, O_NONBLOCK);
    say("second queue, RUNNING comes", "%d", EVENTUALLY(running("ca4"), 1300));
    set("second queue, 1", other, 1);
    say("then RUNNING comes to both", "%d", EVENTUALLY(running("ca4"), 3000));
    close(other);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    order();
    again();
    return 0;
}
