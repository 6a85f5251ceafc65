/* Connects to itself over a tunnel, whose other end is a mirror, until a connect fails. It prints
 * with what, and the address of tun0 then. When it has closed all, it connects once more. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MOST 60

static int tun, listener;
static struct sockaddr_in own, other;

static void *mirror(void *none)
{
    unsigned char packet[2048], from[4];
    ssize_t n;
    while ((n = read(tun, packet, sizeof packet)) > 0) {
        memcpy(from, packet + 12, 4);
        memcpy(packet + 12, packet + 16, 4);
        memcpy(packet + 16, from, 4);
        if (write(tun, packet, (size_t)n) != n)
            perror("write");
    }
    return none;
}

static void must(int is_so, const char *what)
{
    if (!is_so) {
        perror(what);
        exit(1);
    }
}

/* Connects, and accepts that. Returns an errno or 0. */
static int connected(int ends[2])
{
    struct timeval limit = {.tv_sec = 10};
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    must(ends[0] >= 0, "socket");
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(ends[0], (void *)&other, sizeof other)) {
        int error = errno;
        close(ends[0]);
        return error;
    }
    ends[1] = accept(listener, NULL, NULL);
    must(ends[1] >= 0, "accept");
    return 0;
}

int main(void)
{
    struct ifreq ifr = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    socklen_t length = sizeof own;
    int ends[MOST][2], count = 0, error = 0, asks = socket(AF_INET, SOCK_DGRAM, 0);
    pthread_t thread;
    own = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.9.0.1")};
    tun = open("/dev/net/tun", O_RDWR);
    must(!ioctl(tun, TUNSETIFF, &ifr), "tun0");
    memcpy(&ifr.ifr_addr, &own, sizeof own);
    must(!ioctl(asks, SIOCSIFADDR, &ifr), "SIOCSIFADDR");
    ((struct sockaddr_in *)&ifr.ifr_netmask)->sin_addr.s_addr = inet_addr("255.255.255.0");
    must(!ioctl(asks, SIOCSIFNETMASK, &ifr), "SIOCSIFNETMASK");
    ifr.ifr_flags = IFF_UP;
    must(!ioctl(asks, SIOCSIFFLAGS, &ifr), "SIOCSIFFLAGS");
    must(!pthread_create(&thread, NULL, mirror, NULL), "a thread");
    listener = socket(AF_INET, SOCK_STREAM, 0);
    must(!bind(listener, (void *)&own, sizeof own) && !listen(listener, 16), "listen");
    must(!getsockname(listener, (void *)&own, &length), "getsockname");
    other = own;
    other.sin_addr.s_addr = inet_addr("10.9.0.2");
    while (count < MOST && !(error = connected(ends[count])))
        count++;
    printf("%s\n", strerror(error));
    memset(&ifr.ifr_addr, 0, sizeof ifr.ifr_addr);
    must(!ioctl(asks, SIOCGIFADDR, &ifr), "SIOCGIFADDR");
    memcpy(&own, &ifr.ifr_addr, sizeof own);
    printf("%s\n", inet_ntoa(own.sin_addr));
    while (count--) {
        close(ends[count][0]);
        close(ends[count][1]);
    }
    /* What was closed ends over the wire. */
    struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};
    for (int tries = 0; (error = connected(ends[0])) && tries < 200; tries++)
        nanosleep(&moment, NULL);
    printf("%s\n", strerror(error));
    return 0;
}
