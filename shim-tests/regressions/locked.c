/* Tunnels of a program that locks all the memory it gets: they neither need a limit nor hold more
   than without. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static char packet[1400] = { 0x45 };

static long kilobytes(const char *what)
{
    char line[200];
    long n = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (!strncmp(line, what, strlen(what)))
            n = atol(line + strlen(what));
    fclose(status);
    return n;
}

int main(int argc, char **argv)
{
    int tunnels = atoi(argv[1]);
    setvbuf(stdout, NULL, _IONBF, 0);
    kilobytes("VmLck:");
    if (mlockall(MCL_FUTURE)) {
        perror("mlockall");
        return 1;
    }
    for (int i = 0; i < tunnels; i++) {
        struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
        int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
        if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr)) {
            printf("tunnel %d: %s\n", i, strerror(errno));
            return 1;
        }
        for (int n = 0; n < 500; n++)
            if (write(fd, packet, sizeof packet) != sizeof packet) {
                printf("write %d: %s\n", n, strerror(errno));
                return 1;
            }
    }
    if (kilobytes("VmLck:") > 48 || kilobytes("VmRSS:") > tunnels * 1500 + 8000) {
        printf("locked %ld KiB, resident %ld KiB\n", kilobytes("VmLck:"), kilobytes("VmRSS:"));
        return 1;
    }
    printf("ok\n");
    return 0;
}
