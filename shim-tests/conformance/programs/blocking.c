/* Blocking reads: what they wait for and what ends them. */
#include "driver.h"

static void waits(void)
{
    unsigned char buf[64];
    reader r;
    int fd = MUST(open(DEVICE, O_RDWR));
    SHOW("unattached does not block", read(fd, buf, sizeof buf));
    MUST(tun_set_iff(fd, "bl0", IFF_TUN | IFF_NO_PI));
    driver d = drv_attach("bl0");
    SHOW("length 0 does not block", read(fd, buf, 0));
    reader_start(&r, fd, 2048);
    reader_show(&r, "while down", 30);
    link_up("bl0", 1);
    reader_show(&r, "link up", 30);
    link_up("bl0", 0);
    reader_show(&r, "link down", 30);
    link_up("bl0", 1);
    reader_show(&r, "link up again", 30);
    MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
    reader_show(&r, "O_NONBLOCK set meanwhile", 30);
    SHOW("a new read", read(fd, buf, sizeof buf));
    MUST(write(fd, packet(buf, 60), 60));
    reader_show(&r, "own write", 30);
    drv_packet(&d, 60);
    reader_show(&r, "packet", 5000);
    reader_join(&r);
    MUST(fcntl(fd, F_SETFL, O_RDWR));
    for (int i = 0; i < 3; i++) {
        char label[40];
        reader_start(&r, fd, 2048);
        drv_packet(&d, 61 + i);
        snprintf(label, sizeof label, "round %d", i);
        reader_show(&r, label, 5000);
        reader_join(&r);
    }
    drv_detach(&d);
    close(fd);
}

static void two_readers(void)
{
    reader a, b;
    int fd = tun_ready("bl1", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("bl1");
    reader_start(&a, fd, 2048);
    reader_start(&b, fd, 2048);
    drv_packet(&d, 60);
    EVENTUALLY(a.done || b.done, 5000);
    pause_ms(30);
    say("one packet serves", "%d", a.done + b.done);
    drv_packet(&d, 61);
    EVENTUALLY(a.done && b.done, 5000);
    say("two packets serve", "%d lengths=%zd", a.done + b.done, a.result + b.result);
    reader_join(&a);
    reader_join(&b);
    drv_detach(&d);
    close(fd);
}

static void both_ways_of_waiting(void)
{
    reader r;
    struct iovec v;
    unsigned char buf[256];
    struct pollfd p;
    int fd = tun_ready("bl2", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("bl2");
    drv_packet(&d, 60);
    SHOW("a packet is there already", read(fd, buf, sizeof buf));
    v = (struct iovec){ buf, sizeof buf };
    drv_packet(&d, 61);
    SHOW("readv", readv(fd, &v, 1));
    reader_start(&r, fd, 2048);
    p = (struct pollfd){ fd, POLLIN, 0 };
    SHOW("poll beside a blocked read", poll(&p, 1, 0));
    drv_packet(&d, 62);
    reader_show(&r, "read beside poll", 5000);
    reader_join(&r);
    SHOW("poll afterwards", poll(&p, 1, 0));
    drv_detach(&d);
    close(fd);
}

/* The reader is a child that shares the description; the packet wakes it across processes. */
static void another_process(void)
{
    unsigned char buf[256];
    char path[64];
    int fd = tun_ready("bl3", IFF_TUN | IFF_NO_PI, 0);
    driver d = drv_attach("bl3");
    pid_t pid = child();
    if (!pid)
        _exit(read(fd, buf, sizeof buf));
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    say("the child blocks", "%d", sleeps(pid));
    drv_packet(&d, 77);
    say("it got", "%s", finish(pid));
    drv_detach(&d);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    waits();
    two_readers();
    both_ways_of_waiting();
    another_process();
    return 0;
}
