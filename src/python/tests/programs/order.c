/* order.c - handles are closed in the wrong order: each is valid until it is closed itself,
 * whatever else is closed before.
 *
 * Run under the shim: it is its own driver. */
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

#define CHECK(that)                                                                                                    \
    do {                                                                                                               \
        if (!(that)) {                                                                                                 \
            printf("%d: %s; kind %d, %s\n", __LINE__, #that, memtun_error_kind(), memtun_error_text());                \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A datagram, as the network would have it, comes back as it was: from 10.0.0.1:7 to
   10.1.2.3:21345. */
static void echo(int fd)
{
    unsigned char packet[2048], other[4];
    ssize_t n = read(fd, packet, sizeof packet);
    CHECK(n >= 28);
    memcpy(other, packet + 12, 4);
    memcpy(packet + 12, packet + 16, 4);
    memcpy(packet + 16, other, 4);
    memcpy(other, packet + 20, 2);
    memcpy(packet + 20, packet + 22, 2);
    memcpy(packet + 22, other, 2);
    CHECK(write(fd, packet, n) == n);
}

int main(void)
{
    char data[100], host[MEMTUN_HOST_LEN];
    unsigned char packet[100];
    uint16_t port, ethertype;
    uint64_t when;
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 7}, group[6] = {1, 0, 0, 0, 0, 7};
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    strcpy(request.ifr_name, "tun0");
    CHECK(fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0);

    memtun_net *net = memtun_net_open(NULL);
    CHECK(net);
    memtun_interface *tun = memtun_interface_open(net, "tun0", 0);
    CHECK(tun);
    memtun_net_close(net);
    CHECK(memtun_interface_send_udp(tun, NULL, 0, "10.0.0.1", 7, "ping", 4, 0) == 0);
    echo(fd);

    /* The two errors have one errno and two kinds. */
    CHECK(memtun_interface_set_txqueuelen(tun, 1) == 0);
    CHECK(memtun_interface_send_udp(tun, NULL, 0, "10.0.0.1", 7, "full", 4, 0) == 0);
    CHECK(memtun_interface_send_udp(tun, NULL, 0, "10.0.0.1", 7, "full", 4, 0) == -EAGAIN);
    CHECK(memtun_error_kind() == MEMTUN_KIND_FULL);
    CHECK(memtun_interface_recv_udp(tun, NULL, 99, data, sizeof data, 0) == -EAGAIN);
    CHECK(memtun_error_kind() == MEMTUN_KIND_TIMEOUT);
    CHECK(memtun_interface_set_mac(tun, mac) == -EOPNOTSUPP && memtun_interface_set_mac(tun, group) == -EOPNOTSUPP);

    memtun_subscriber *subscriber = memtun_subscriber_open(tun);
    memtun_receiver *receiver = memtun_receiver_open(tun, "10.1.2.3", 21345);
    CHECK(subscriber && receiver);
    memtun_interface_close(tun);
    close(fd);
    CHECK(memtun_subscriber_recv(subscriber, packet, 4, &ethertype, &when, 0) == 32);
    CHECK(packet[0] == 0x45 && ethertype == 0x0800 && when > 0);
    CHECK(memtun_subscriber_recv(subscriber, packet, sizeof packet, NULL, NULL, 0) == -ENODEV);
    CHECK(memtun_error_kind() == MEMTUN_KIND_GONE);
    CHECK(memtun_receiver_recv(receiver, data, 2, host, sizeof host, &port, 0) == 4);
    CHECK(memcmp(data, "pi", 2) == 0 && strcmp(host, "10.0.0.1") == 0 && port == 7);
    CHECK(memtun_receiver_recv(receiver, data, sizeof data, NULL, 0, NULL, 0) == -ENODEV);
    memtun_receiver_close(receiver);
    memtun_subscriber_close(subscriber);
    puts("order: all is well");
    return 0;
}
