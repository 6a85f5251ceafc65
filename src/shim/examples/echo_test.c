/* echo_test.c - a test in C, in one process: the code under test on one side of a tunnel, the
 * test on the other.
 *
 *     cc -Wall -I src/shim -o echo_test src/shim/examples/echo_test.c
 *
 *     memtun run -- ./echo_test
 *
 * Nothing is linked: memtun's functions are weak and come from the preloaded library. */
#define MEMTUN_WEAK
#include "memtun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- What is tested: a program that sends every IPv4 datagram back to where it came from. ---- */

static int tunnel_open(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

static void swap(unsigned char *a, unsigned char *b, size_t n)
{
    while (n--) {
        unsigned char byte = *a;
        *a++ = *b;
        *b++ = byte;
    }
}

static int echo_once(int fd)
{
    unsigned char packet[2048];
    ssize_t n = read(fd, packet, sizeof packet);
    if (n < 28)
        return n < 0 ? -errno : -EBADMSG;
    /* Addresses and ports change places; the checksums over them stay the same. */
    unsigned char *udp = packet + 4 * (packet[0] & 15);
    swap(packet + 12, packet + 16, 4);
    swap(udp, udp + 2, 2);
    while (write(fd, packet, n) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* ---- The test. ---- */

#define CHECK(that)                                                                                          \
    do {                                                                                                     \
        if (!(that)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s; the last error was: %s\n", __FILE__, __LINE__, #that,                \
                    memtun_error_text());                                                                    \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static void datagrams_come_back(memtun_interface *tun, int fd)
{
    char answer[100], host[64];
    uint16_t port;
    CHECK(memtun_interface_send_udp(tun, NULL, 0, "10.0.0.1", 7, "ping", 4, 0) == 0);
    CHECK(echo_once(fd) == 0);
    CHECK(memtun_udp_source(NULL, 0, "10.0.0.1", host, sizeof host, &port) == 0);
    CHECK(memtun_interface_recv_udp(tun, host, port, answer, sizeof answer, 0) == 4);
    CHECK(memcmp(answer, "ping", 4) == 0);
    CHECK(memtun_interface_recv_udp(tun, host, port, answer, sizeof answer, 0) == -EAGAIN);
}

static void an_interrupted_write_is_made_again(memtun_net *net, memtun_interface *tun, int fd)
{
    CHECK(memtun_net_fault(net, "write=EINTR@1") == 0);
    datagrams_come_back(tun, fd);
    CHECK(memtun_net_fault(net, "write=EWHAT") == -EINVAL);
}

static void a_missing_permission_is_reported(memtun_net *net)
{
    CHECK(memtun_net_deny(net, "ioctl") == 0);
    CHECK(tunnel_open("tun1") == -EPERM);
    CHECK(memtun_net_permit(net, "ioctl") == 0);
}

int main(void)
{
    if (!memtun_active || !memtun_active()) {
        fprintf(stderr, "echo_test: not under memtun; start it with: memtun run -- ./echo_test\n");
        return 77;
    }
    int fd = tunnel_open("tun0");
    CHECK(fd >= 0);
    memtun_net *net = memtun_net_open(NULL);
    CHECK(net);
    memtun_interface *tun = memtun_interface_open(net, "tun0", 0);
    CHECK(tun);
    datagrams_come_back(tun, fd);
    an_interrupted_write_is_made_again(net, tun, fd);
    a_missing_permission_is_reported(net);
    memtun_interface_close(tun);
    memtun_net_close(net);
    close(fd);
    puts("echo_test: all is well");
    return 0;
}
