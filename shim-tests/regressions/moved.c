/* A process that opens and attaches, and then becomes another user, gets another root directory or
 * goes into another user namespace: what it has goes on working, and what it asks for now gets the
 * kernel's EPERM or succeeds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *answer(int failed)
{
    return failed ? strerrorname_np(errno) : "ok";
}

static int attach(int fd, const char *name)
{
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    strcpy(ifr.ifr_name, name);
    return ioctl(fd, TUNSETIFF, &ifr);
}

static int move(const char *how, const char *dir)
{
    if (!strcmp(how, "setuid"))
        return setgid(65534) || setuid(65534);
    if (!strcmp(how, "seteuid"))
        return seteuid(65534);
    if (!strcmp(how, "chroot"))
        return chroot(dir) || chdir("/");
    return unshare(CLONE_NEWUSER);
}

int main(int argc, char **argv)
{
    char packet[100] = { 0x45 };
    struct ifreq ifr;
    int first = open("/dev/net/tun", O_RDWR | O_NONBLOCK), late = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (first < 0 || late < 0 || attach(first, "moved0") || move(argv[1], argv[2])) {
        perror(argv[1]);
        return 1;
    }
    struct pollfd both = { first, POLLIN | POLLOUT, 0 };
    printf("write %s, ", answer(write(first, packet, 60) != 60));
    printf("read %s, ", answer(read(first, packet, 60) < 0));
    printf("poll %d, ", poll(&both, 1, 0));
    printf("%#x, ", both.revents);
    printf("TUNGETIFF %s\n", answer(ioctl(first, TUNGETIFF, &ifr)));
    printf("TUNSETIFF %s, ", answer(attach(late, "moved1")));
    printf("close %s, ", answer(close(late)));
    int again = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    printf("open %s, close %s\n", answer(again < 0), answer(close(first)));
    return 0;
}
