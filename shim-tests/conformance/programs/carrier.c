/* Carrier: IFF_NO_CARRIER and TUNSETCARRIER. RUNNING follows late (up to a second), so it is waited
   for. */
#include "driver.h"

static unsigned char buf[256];

static void set(const char *label, int fd, int on) { SHOW(label, ioctl(fd, TUNSETCARRIER, &on)); }

static int running(const char *name) { return !!(if_flags(name) & IFF_RUNNING); }

/* The link's transmit side wakes up late as well. */
static int passes(int fd, driver *d)
{
    return EVENTUALLY((drv_packet(d, 60), read(fd, buf, sizeof buf) == 60), 3000);
}

/* The kernel takes what is sent and drops it, memtun says so to who injects. */
static void nothing_passes(const char *label, int fd, driver *d)
{
    char text[80];
    for (int i = 0; i < 4; i++)
        drv_packet(d, 60);
    snprintf(text, sizeof text, "%s, read", label);
    SHOW(text, read(fd, buf, sizeof buf));
    snprintf(text, sizeof text, "%s, poll", label);
    show_poll(text, fd, POLL_ALL, 0);
}

int main(int argc, char **argv)
{
    void *volatile nowhere = NULL;
    start(argc, argv);
    int fd = tun_ready("ca0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("ca0");
    show_if_flags("with carrier", "ca0");
    set("TUNSETCARRIER 0", fd, 0);
    say("RUNNING goes", "%d", EVENTUALLY(!running("ca0"), 3000));
    show_if_flags("without carrier", "ca0");
    show_poll("poll without carrier", fd, POLL_ALL, 0);
    SHOW("write without carrier", write(fd, packet(buf, 60), 60));
    show_recv("received without carrier", &d);
    nothing_passes("sent without carrier", fd, &d);
    link_up("ca0", 0);
    link_up("ca0", 1);
    nothing_passes("sent after down and up without carrier", fd, &d);
    set("TUNSETCARRIER 0 again", fd, 0);
    set("TUNSETCARRIER 1", fd, 1);
    say("RUNNING comes", "%d", EVENTUALLY(running("ca0"), 3000));
    set("TUNSETCARRIER 7", fd, 7);
    SHOW("TUNSETCARRIER NULL", ioctl(fd, TUNSETCARRIER, nowhere));
    say("a packet passes again", "%d", passes(fd, &d));
    drv_detach(&d);
    close(fd);

    fd = tun_attach("ca1", IFF_TUN | IFF_NO_PI | IFF_NO_CARRIER, O_NONBLOCK);
    show_if_flags("IFF_NO_CARRIER, down", "ca1");
    link_up("ca1", 1);
    say("IFF_NO_CARRIER, RUNNING goes", "%d", EVENTUALLY(!running("ca1"), 3000));
    show_if_flags("IFF_NO_CARRIER, up", "ca1");
    show_poll("IFF_NO_CARRIER, poll", fd, POLL_ALL, 0);
    SHOW("IFF_NO_CARRIER, write", write(fd, packet(buf, 60), 60));
    d = drv_attach("ca1");
    nothing_passes("IFF_NO_CARRIER, sent", fd, &d);
    set("IFF_NO_CARRIER, TUNSETCARRIER 1", fd, 1);
    say("IFF_NO_CARRIER, RUNNING comes", "%d", EVENTUALLY(running("ca1"), 3000));
    say("IFF_NO_CARRIER, then a packet passes", "%d", passes(fd, &d));
    drv_detach(&d);
    close(fd);
    return 0;
}
