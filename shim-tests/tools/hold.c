/* hold: makes a tun "tun0" and two taps "tap0" and "tap1" with fixed hardware addresses, keeps them
 * attached while `sh SCRIPT` runs in their sight, and ends with its status. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sched.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_tun.h>

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
    exit(99);
}

/* "--real-device" asks only whether this user may create an interface on the real driver: 0 yes, 77
   no. */
static int real_device(void)
{
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR);
    return fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0 ? 0 : 77;
}

static void sysctl(const char *name, const char *what, const char *value)
{
    char path[200];
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/%s", name, what);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    must(fd, path);
    must(write(fd, value, strlen(value)), path);
    close(fd);
}

/* An interface, down, with IPv6 but without packets and addresses that nobody asked for. */
static void make(const char *name, int flags, char last)
{
    struct ifreq ifr = { .ifr_flags = flags | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd, "/dev/net/tun");
    strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
    must(ioctl(fd, TUNSETIFF, &ifr), "TUNSETIFF");
    if (flags & IFF_TAP) {
        ifr.ifr_hwaddr = (struct sockaddr){ .sa_family = 1, .sa_data = { 2, 0, 0, 0, 0, last } };
        must(ioctl(sock, SIOCSIFHWADDR, &ifr), "SIOCSIFHWADDR");
    }
    sysctl(name, "addr_gen_mode", "1");
    sysctl(name, "accept_dad", "0");
    sysctl(name, "router_solicitations", "0");
    sysctl(name, "disable_ipv6", "0");
    close(sock);
}

/* The sysfs of the namespace, for who reads it: the one that is mounted is the machine's. */
static void own_sysfs(void)
{
    must(unshare(CLONE_NEWNS), "unshare");
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
    must(mount("sysfs", "/sys", "sysfs", 0, NULL), "sysfs");
}

int main(int argc, char **argv)
{
    int status;
    if (argc > 1 && !strcmp(argv[1], "--real-device"))
        return real_device();
    if (argc < 2 || !getenv("SHIM_TESTS_SIDE")) {
        fprintf(stderr, "hold SCRIPT: run it through the test\n");
        return 98;
    }
    if (!strcmp(getenv("SHIM_TESTS_SIDE"), "kernel"))
        own_sysfs();
    sysctl("default", "disable_ipv6", "1");
    make("tun0", IFF_TUN, 0);
    make("tap0", IFF_TAP, 1);
    make("tap1", IFF_TAP, 2);
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", argv[1]);
    setenv("TOOLS", dirname(folder), 1);
    pid_t child = fork();
    must(child, "fork");
    if (!child) {
        execlp("sh", "sh", argv[1], (char *)NULL);
        _exit(97);
    }
    must(waitpid(child, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 96;
}
