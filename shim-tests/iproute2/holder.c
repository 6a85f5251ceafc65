/* holder SCRIPT: makes tun0 and tap0, whose address is always the same, runs the script with sh,
 * and holds both until it has ended. Its exit status is the script's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_tun.h>

static int make(const char *name, int flags)
{
    struct ifreq ifr = { .ifr_flags = flags | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    strcpy(ifr.ifr_name, name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
        perror(name);
        exit(99);
    }
    return fd;
}

int main(int argc, char **argv)
{
    struct ifreq ifr = { .ifr_hwaddr = { 1, "\2\0\0\0\0\1" } };
    int status, sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (argc != 2 || !getenv("SHIM_TESTS_SIDE")) {
        fprintf(stderr, "run it through the test iproute2\n");
        return 98;
    }
    make("tun0", IFF_TUN);
    make("tap0", IFF_TAP);
    strcpy(ifr.ifr_name, "tap0");
    if (sock < 0 || ioctl(sock, SIOCSIFHWADDR, &ifr)) {
        perror("SIOCSIFHWADDR");
        return 99;
    }
    pid_t pid = fork();
    if (!pid) {
        execlp("sh", "sh", argv[1], (char *)0);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 99;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}
