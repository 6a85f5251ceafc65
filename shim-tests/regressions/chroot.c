/* Opens and attaches, then gives up the file system and, if it may, its user; all of it must go on
   working. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what) do { if (!(what)) { printf("FAILED: %s: %s\n", #what, strerror(errno)); return 1; } } while (0)

int main(int argc, char **argv)
{
    char packet[1400];
    struct ifreq ifr = { .ifr_name = "root0", .ifr_flags = IFF_TUN | IFF_NO_PI };
    alarm(20);
    int fd = open("/dev/net/tun", O_RDWR);
    CHECK(argc == 2 && fd >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0);
    CHECK(chroot(argv[1]) == 0 && chdir("/") == 0);
    if (geteuid() == 0 && setgid(65534) == 0)
        printf("setuid %s\n", setuid(65534) ? "refused" : "done");
    printf("ready\n");
    fflush(stdout);
    ssize_t n = read(fd, packet, sizeof packet);
    CHECK(n == 77);
    memset(packet, 0x45, sizeof packet);
    /* More than was reserved when the interface was made, and round the log. */
    for (int i = 0; i < 8000; i++)
        CHECK(write(fd, packet, sizeof packet) == sizeof packet);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write(fd, packet, 100) == 100 ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(ioctl(fd, TUNGETIFF, &ifr) == 0 && close(fd) == 0);
    printf("done\n");
    return 0;
}
