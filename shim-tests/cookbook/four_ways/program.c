/* program.c - the program that four drivers test: an ordinary tun program that answers UDP
 * datagrams over IPv4.
 *
 * port 7   the same payload
 * port 13  how often a write was interrupted
 * port 22  what came of opening the device once more
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEVICE "/dev/net/tun"
#define HEADERS 28 /* IPv4 without options, and UDP */

static int interrupted;

static void die(const char *what)
{
    fprintf(stderr, "program: %s: %s\n", what, strerror(errno));
    exit(1);
}

static const char *open_once_more(void)
{
    int fd = open(DEVICE, O_RDWR);
    if (fd < 0)
        return strerrorname_np(errno);
    close(fd);
    return "ok";
}

/* Puts the answer in place of the payload; its length. */
static size_t answer(unsigned port, char *payload, size_t length)
{
    switch (port) {
    case 7:
        return length;
    case 13:
        return sprintf(payload, "%d interrupted", interrupted);
    case 22:
        return sprintf(payload, "open: %s", open_once_more());
    default:
        return sprintf(payload, "no such port");
    }
}

/* Headers for an answer of this length: back to the sender. */
static void turn_round(unsigned char *packet, size_t length)
{
    unsigned char from[4], port[2];
    unsigned sum = 0;
    memcpy(from, packet + 12, 4);
    memmove(packet + 12, packet + 16, 4);
    memcpy(packet + 16, from, 4);
    memcpy(port, packet + 20, 2);
    memmove(packet + 20, packet + 22, 2);
    memcpy(packet + 22, port, 2);
    packet[2] = (HEADERS + length) >> 8;
    packet[3] = HEADERS + length;
    packet[24] = (8 + length) >> 8;
    packet[25] = 8 + length;
    packet[26] = packet[27] = 0; /* no checksum, which IPv4 permits */
    packet[10] = packet[11] = 0;
    for (int i = 0; i < 20; i += 2)
        sum += packet[i] << 8 | packet[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16));
    packet[10] = sum >> 8;
    packet[11] = sum;
}

int main(void)
{
    struct ifreq request = {.ifr_name = "tun0", .ifr_flags = IFF_TUN | IFF_NO_PI};
    unsigned char packet[2048];
    int tun = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (tun < 0)
        die(DEVICE);
    if (ioctl(tun, TUNSETIFF, &request) < 0)
        die("TUNSETIFF");
    for (;;) {
        ssize_t n = read(tun, packet, sizeof packet);
        if (n < 0)
            die("read");
        if (n < HEADERS || packet[0] != 0x45 || packet[9] != 17)
            continue;
        size_t length = answer(packet[22] << 8 | packet[23], (char *)packet + HEADERS, n - HEADERS);
        turn_round(packet, length);
        while (write(tun, packet, HEADERS + length) < 0) {
            if (errno != EINTR)
                die("write");
            interrupted++;
        }
    }
}
