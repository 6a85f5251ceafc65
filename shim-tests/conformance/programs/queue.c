/* The read queue: its length, what is kept when it overflows, and what empties it. */
#include "driver.h"

static void overflow(const char *name, int iff, int offered)
{
    char label[80];
    unsigned char buf[2048];
    int fd = tun_ready(name, iff | IFF_NO_PI, O_NONBLOCK), refused = 0;
    driver d = drv_attach(name);
    for (int i = 0; i < offered; i++)
        refused += (iff == IFF_TAP ? drv_send(&d, frame(buf, 60 + i, NULL, 0x88b5), 60 + i, 0x88b5)
                                   : drv_packet(&d, 60 + i)) != 0;
    snprintf(label, sizeof label, "%s, senders that saw an error, of %d", name, offered);
    say(label, "%d", refused);
    snprintf(label, sizeof label, "%s, kept", name);
    show_drain(label, fd);
    show_poll(iff == IFF_TAP ? "tap, drained" : "tun, drained", fd, POLL_ALL, 0);
    drv_detach(&d);
    close(fd);
}

static void refill(void)
{
    unsigned char buf[2048];
    int fd = tun_ready("qu2", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("qu2");
    for (int i = 0; i < 500; i++)
        drv_packet(&d, 60 + i);
    for (int i = 0; i < 100; i++)
        MUST(read(fd, buf, sizeof buf));
    for (int i = 0; i < 50; i++)
        drv_packet(&d, 600 + i);
    show_drain("100 read, 50 more sent", fd);
    drv_detach(&d);
    close(fd);
}

static void link_state(void)
{
    int fd = tun_ready("qu3", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("qu3");
    for (int i = 0; i < 10; i++)
        drv_packet(&d, 60 + i);
    link_up("qu3", 0);
    link_up("qu3", 1);
    for (int i = 10; i < 15; i++)
        drv_packet(&d, 60 + i);
    show_drain("down and up keep the queue", fd);
    drv_detach(&d);
    close(fd);
}

static void detached(void)
{
    unsigned char buf[2048];
    int fd = tun_ready("qu4", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("qu4");
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    for (int i = 0; i < 5; i++)
        drv_packet(&d, 60 + i);
    close(fd);
    for (int i = 0; i < 5; i++)
        drv_packet(&d, 70 + i);
    fd = tun_attach("qu4", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    show_drain("close drops the queue of a persistent interface", fd);
    /* The link's transmit side wakes up some time after the attach. */
    say("and the next one works", "%d", EVENTUALLY((drv_packet(&d, 80), read(fd, buf, sizeof buf) == 80), 3000));
    MUST(ioctl(fd, TUNSETPERSIST, 0));
    drv_detach(&d);
    close(fd);
}

/* Two descriptors of one interface share the queue; two interfaces do not. */
static void shared(void)
{
    unsigned char buf[2048];
    int a = tun_ready("qu5", IFF_TUN | IFF_NO_PI, O_NONBLOCK), b = tun_ready("qu6", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    int copy = dup(a);
    driver da = drv_attach("qu5"), db = drv_attach("qu6");
    drv_packet(&da, 60);
    drv_packet(&db, 61);
    drv_packet(&da, 62);
    SHOW("first through the dup", read(copy, buf, sizeof buf));
    SHOW("second through the original", read(a, buf, sizeof buf));
    SHOW("then empty", read(copy, buf, sizeof buf));
    SHOW("the other interface has its own", read(b, buf, sizeof buf));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    overflow("tun", IFF_TUN, 600);
    overflow("tap", IFF_TAP, 1100);
    refill();
    link_state();
    detached();
    shared();
    return 0;
}
