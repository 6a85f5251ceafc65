/* shout.c - the program under test: answers every IPv4 UDP datagram, in upper case. It knows
 * nothing of memtun.
 *
 *     ./shout tun0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "shout: %s: %s\n", what, strerror(errno));
    return 1;
}

static void swap(unsigned char *a, unsigned char *b, size_t n)
{
    for (; n > 0; n--, a++, b++) {
        unsigned char byte = *a;
        *a = *b;
        *b = byte;
    }
}

/* Makes the answer of a datagram; 0 for any other packet. */
static int answer(unsigned char *packet, size_t length)
{
    if (length < 28 || packet[0] != 0x45 || packet[9] != IPPROTO_UDP)
        return 0;
    unsigned char *udp = packet + 20;
    swap(packet + 12, packet + 16, 4);
    swap(udp, udp + 2, 2);
    udp[6] = udp[7] = 0; /* no checksum, which IPv4 permits */
    for (unsigned char *byte = udp + 8; byte < packet + length; byte++)
        *byte = toupper(*byte);
    return 1;
}

int main(int argc, char **argv)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    unsigned char packet[65536];

    if (argc != 2 || strlen(argv[1]) >= IFNAMSIZ) {
        fprintf(stderr, "usage: shout INTERFACE\n");
        return 2;
    }
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun < 0)
        return fail("/dev/net/tun");
    strcpy(request.ifr_name, argv[1]);
    if (ioctl(tun, TUNSETIFF, &request) < 0)
        return fail(argv[1]);
    for (;;) {
        ssize_t length = read(tun, packet, sizeof packet);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return fail("read");
        if (!answer(packet, length))
            continue;
        while (write(tun, packet, length) < 0)
            if (errno != EINTR)
                return fail("write");
    }
}
