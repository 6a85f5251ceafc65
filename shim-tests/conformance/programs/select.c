/* select(2) and pselect(2) in every state. */
#include "driver.h"

static unsigned char buf[2048];

static void show_select(const char *label, int fd, int timeout_ms)
{
    fd_set r, w, x;
    struct timeval t = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&x);
    FD_SET(fd, &r);
    FD_SET(fd, &w);
    FD_SET(fd, &x);
    int n = select(fd + 1, &r, &w, &x, &t);
    if (n < 0)
        show(label, n);
    else
        say(label, "%d r=%d w=%d x=%d", n, !!FD_ISSET(fd, &r), !!FD_ISSET(fd, &w), !!FD_ISSET(fd, &x));
}

static void show_pselect(const char *label, int fd)
{
    fd_set r;
    struct timespec t = { 1, 0 };
    FD_ZERO(&r);
    FD_SET(fd, &r);
    int n = pselect(fd + 1, &r, NULL, NULL, &t, NULL);
    say(label, "%d r=%d", n, !!FD_ISSET(fd, &r));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    show_select("unattached", fd, 0);
    MUST(tun_set_iff(fd, "se0", IFF_TUN | IFF_NO_PI));
    show_select("down", fd, 0);
    show_select("down, with a timeout", fd, 20);
    link_up("se0", 1);
    show_select("up", fd, 0);
    driver d = drv_attach("se0");
    drv_packet(&d, 60);
    show_select("a packet", fd, 5000);
    show_pselect("pselect, a packet", fd);
    link_up("se0", 0);
    show_select("down with a packet", fd, 0);
    MUST(read(fd, buf, sizeof buf));
    show_select("down, read", fd, 0);
    link_up("se0", 1);
    int copy = MUST(fcntl(fd, F_DUPFD, 900));
    drv_packet(&d, 60);
    show_select("a high descriptor", copy, 0);
    MUST(read(copy, buf, sizeof buf));
    show_select("a high descriptor, read", copy, 0);
    show_result("delete", drv_delete(&d));
    show_select("deleted", fd, 0);
    close(copy);
    show_select("closed", copy, 0);
    return 0;
}
