/* Signal-driven input: who gets which signal, and when. */
#include "driver.h"

static unsigned char buf[2048];
static sigset_t both;

/* The next pending SIGIO or real-time signal; signals are blocked, so that nothing is lost and
   nothing races. */
static void show_signal(const char *label, int fd, int wait_ms)
{
    char text[160];
    siginfo_t info;
    struct timespec t = { 0, wait_ms * 1000000L };
    int number = sigtimedwait(&both, &info, &t);
    if (number == -1)
        say(label, "none");
    else if (number == SIGIO)
        say(label, "SIGIO code=%s", info.si_code == SI_KERNEL ? "SI_KERNEL" : info.si_code == POLL_IN ? "POLL_IN" : "other");
    else
        say(label, "RT code=%s band=%s fd_matches=%d",
            info.si_code == POLL_IN ? "POLL_IN" : info.si_code == POLL_OUT ? "POLL_OUT" : "other",
            poll_bits(text, info.si_band), info.si_fd == fd);
}

/* What one part left pending is not the next part's. */
static void forget_pending(void)
{
    struct timespec none = { 0, 0 };
    while (sigtimedwait(&both, NULL, &none) != -1)
        ;
}

static void ownership(void)
{
    int fd = tun_ready("si0", IFF_TUN | IFF_NO_PI, O_NONBLOCK), on = 1;
    driver d = drv_attach("si0");
    drv_packet(&d, 60);
    show_signal("without O_ASYNC", fd, 20);
    SHOW("owner before", fcntl(fd, F_GETOWN));
    SHOW("O_ASYNC", fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC));
    say("the process became the owner", "%d", fcntl(fd, F_GETOWN) == getpid());
    drv_packet(&d, 61);
    show_signal("a packet", fd, 20);
    show_signal("once", fd, 20);
    drv_packet(&d, 62);
    show_signal("the next packet, nothing drained", fd, 20);
    drv_packet(&d, 63);
    drv_packet(&d, 64);
    show_signal("two packets merge", fd, 20);
    show_signal("into one signal", fd, 20);
    MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
    drv_packet(&d, 65);
    show_signal("O_ASYNC taken back", fd, 20);
    MUST(ioctl(fd, FIOASYNC, &on));
    drv_packet(&d, 66);
    show_signal("FIOASYNC", fd, 20);
    show_drain("all are there", fd);
    drv_packet(&d, 60);
    show_signal("after draining", fd, 20);
    drv_detach(&d);
    close(fd);
}

static void details(void)
{
    int fd = tun_ready("si1", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("si1");
    SHOW("F_SETSIG", fcntl(fd, F_SETSIG, SIGRTMIN));
    say("F_GETSIG", "%d", fcntl(fd, F_GETSIG) == SIGRTMIN);
    SHOW("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
    SHOW("O_ASYNC with F_SETSIG", fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC));
    say("an owner set before is kept", "%d", fcntl(fd, F_GETOWN) == getpid());
    drv_packet(&d, 60);
    drv_packet(&d, 61);
    show_signal("first of two", fd, 20);
    show_signal("second of two", fd, 20);
    show_signal("no third", fd, 20);
    MUST(write(fd, packet(buf, 60), 60));
    show_signal("write", fd, 20);
    show_drain("read", fd);
    show_signal("reading", fd, 20);
    link_up("si1", 0);
    show_signal("link down", fd, 20);
    link_up("si1", 1);
    show_signal("link up, not polled while down", fd, 20);
    link_up("si1", 0);
    show_poll("poll while down", fd, POLL_ALL, 0);
    link_up("si1", 1);
    show_signal("link up after that", fd, 20);
    int copy = dup(fd);
    close(fd);
    drv_packet(&d, 60);
    show_signal("through a dup, the number is that of F_SETFL", fd, 20);
    show_result("delete", drv_delete(&d));
    show_signal("deletion", fd, 20);
    drv_detach(&d);
    close(copy);
}

static void early(void)
{
    int on = 1, fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK | O_ASYNC));
    MUST(tun_set_iff(fd, "si2", IFF_TUN | IFF_NO_PI));
    link_up("si2", 1);
    driver d = drv_attach("si2");
    drv_packet(&d, 60);
    show_signal("O_ASYNC in open() does nothing", fd, 20);
    drv_detach(&d);
    close(fd);

    fd = MUST(open(DEVICE, O_RDWR | O_NONBLOCK));
    SHOW("FIOASYNC before TUNSETIFF", ioctl(fd, FIOASYNC, &on));
    MUST(tun_set_iff(fd, "si3", IFF_TUN | IFF_NO_PI));
    link_up("si3", 1);
    show_signal("attaching and link up", fd, 20);
    d = drv_attach("si3");
    drv_packet(&d, 60);
    show_signal("it works", fd, 20);
    drv_detach(&d);
    close(fd);
}

/* The owner is a child: only it gets the signal. */
static void another_owner(void)
{
    gate ready, go;
    gate_make(&ready);
    gate_make(&go);
    int fd = tun_ready("si4", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("si4");
    pid_t pid = child();
    if (!pid) {
        struct timespec t = { 5, 0 };
        gate_open(&ready);
        gate_wait(&go);
        _exit(sigtimedwait(&both, NULL, &t) == SIGIO ? 0 : 1);
    }
    gate_wait(&ready);
    SHOW("F_SETOWN to a child", fcntl(fd, F_SETOWN, pid));
    MUST(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC));
    drv_packet(&d, 60);
    gate_open(&go);
    say("the child got SIGIO", "%s", finish(pid));
    show_signal("the parent", fd, 20);
    drv_detach(&d);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    sigemptyset(&both);
    sigaddset(&both, SIGIO);
    sigaddset(&both, SIGRTMIN);
    MUST(sigprocmask(SIG_BLOCK, &both, NULL));
    ownership();
    forget_pending();
    details();
    forget_pending();
    early();
    forget_pending();
    another_owner();
    return 0;
}
