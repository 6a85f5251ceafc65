/* A tunnel in a message: SCM_RIGHTS, also in flight, and pidfd_getfd. */
#include "driver.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static void send_fd(int sock, int fd)
{
    char byte = 'x';
    struct iovec v = { &byte, 1 };
    union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
    struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    MUST(sendmsg(sock, &message, 0));
}

static int receive_fd(int sock, int flags)
{
    char byte;
    int fd = -1;
    struct iovec v = { &byte, 1 };
    union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
    struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    MUST(recvmsg(sock, &message, flags));
    memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
    return fd;
}

static void pair(int ends[2]) { MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)); }

static void in_flight(void)
{
    struct ifreq ifr;
    unsigned char buf[64];
    int ends[2], fd = tun_ready("sc0", TUN, O_NONBLOCK), got;
    pair(ends);
    send_fd(ends[0], fd);
    close(fd);
    say("in flight", "%d", exists("sc0"));
    driver d = drv_attach("sc0");
    drv_packet(&d, 60);
    got = receive_fd(ends[1], MSG_CMSG_CLOEXEC);
    SHOW("received, TUNGETIFF", ioctl(got, TUNGETIFF, &ifr));
    say("received, name", "%s", ifr.ifr_name);
    SHOW("received, FD_CLOEXEC", fcntl(got, F_GETFD));
    SHOW("received, the packet", read(got, buf, sizeof buf));
    SHOW("received, write", write(got, packet(buf, 60), 60));
    show_recv("received, written", &d);
    close(got);
    say("receiver closed", "%d", exists("sc0"));
    drv_detach(&d);

    fd = tun_attach("sc0", TUN, 0);
    send_fd(ends[0], fd);
    close(fd);
    say("sent again", "%d", exists("sc0"));
    close(ends[0]);
    close(ends[1]);
    say("a message never received goes with the socket", "%d", EVENTUALLY(!exists("sc0"), 2000));
}

/* The creator is another process that has ended by the time its descriptor is used. */
static void from_another_process(void)
{
    struct ifreq ifr;
    unsigned char buf[64];
    unsigned features;
    int ends[2], got;
    pair(ends);
    pid_t pid = child();
    if (!pid) {
        send_fd(ends[0], tun_ready("sc1", TUN, O_NONBLOCK));
        send_fd(ends[0], MUST(open(DEVICE, O_RDWR)));
        _exit(0);
    }
    say("creator", "%s", finish(pid));
    say("creator ended", "%d", exists("sc1"));
    got = receive_fd(ends[1], 0);
    SHOW("its TUNGETFEATURES", ioctl(got, TUNGETFEATURES, &features));
    SHOW("its TUNGETIFF", ioctl(got, TUNGETIFF, &ifr));
    say("its name", "%s", ifr.ifr_name);
    driver d = drv_attach("sc1");
    show_poll("its poll", got, POLL_ALL, 0);
    SHOW("its write", write(got, packet(buf, 60), 60));
    show_recv("its packet", &d);
    drv_packet(&d, 61);
    SHOW("its read", read(got, buf, sizeof buf));
    close(got);
    say("closed", "%d", exists("sc1"));
    drv_detach(&d);
    got = receive_fd(ends[1], 0);
    SHOW("an unattached one", ioctl(got, TUNGETIFF, &ifr));
    SHOW("is attached here", tun_set_iff(got, "sc2", TUN));
    say("and exists", "%d", exists("sc2"));
    close(got);
    say("until it is closed", "%d", exists("sc2"));
}

/* The received number replaces standard input, as servers do with their workers. */
static void as_descriptor_0(void)
{
    struct ifreq ifr;
    unsigned char buf[64];
    int ends[2], fd = tun_ready("sc3", TUN, O_NONBLOCK);
    pair(ends);
    pid_t pid = child();
    if (!pid) {
        close(fd);
        close(0);
        int got = receive_fd(ends[1], 0);
        if (got != 0 || ioctl(0, TUNGETIFF, &ifr) || write(0, packet(buf, 62), 62) != 62)
            _exit(1);
        _exit(0);
    }
    driver d = drv_attach("sc3");
    send_fd(ends[0], fd);
    close(fd);
    say("as descriptor 0", "%s", finish(pid));
    show_recv("from descriptor 0", &d);
    close(ends[0]);
    close(ends[1]);
    say("gone with it", "%d", exists("sc3"));
    drv_detach(&d);
}

static void by_pidfd(void)
{
    struct ifreq ifr;
    int number[2];
    MUST(pipe(number));
    pid_t pid = child();
    if (!pid) {
        int fd = tun_attach("sc4", TUN, 0);
        MUST(write(number[1], &fd, sizeof fd));
        pause();
    }
    int fd, pidfd = MUST(syscall(SYS_pidfd_open, pid, 0));
    MUST(read(number[0], &fd, sizeof fd));
    int got = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    SHOW("pidfd_getfd, TUNGETIFF", ioctl(got, TUNGETIFF, &ifr));
    kill(pid, SIGKILL);
    say("pidfd_getfd, creator", "%s", finish(pid));
    say("pidfd_getfd, the copy holds it", "%d", exists("sc4"));
    close(got);
    say("pidfd_getfd, closed", "%d", exists("sc4"));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    in_flight();
    from_another_process();
    as_descriptor_0();
    by_pidfd();
    return 0;
}
