/* Datagrams that go out over an interface: the neighbour that is looked for, and an interface that
 * is gone. */
#include "host.h"
#include <net/if_arp.h>

static int sock;

static void get(const char *what, const char *address, const char *dev)
{
    struct arpreq r = { .arp_pa = inet(address) };
    char text[40];
    memcpy(r.arp_dev, dev, strnlen(dev, 16));
    if (ioctl(sock, SIOCGARP, &r))
        show(what, -1);
    else
        say(what, "family=%d mac=%s flags=0x%x dev='%.16s'", r.arp_ha.sa_family, hex(text, r.arp_ha.sa_data, 6),
            r.arp_flags, r.arp_dev);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    struct sockaddr to = inet("10.8.0.30");
    ((struct sockaddr_in *)&to)->sin_port = htons(9);
    int tap = tun_with("al0", IFF_TAP, "10.8.0.1", "255.255.255.0");
    sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    get("nobody looked for", "10.8.0.30", "al0");
    SHOW("a datagram to somebody unknown", sendto(sock, "x", 1, 0, &to, sizeof to));
    get("an incomplete one", "10.8.0.30", "al0");
    show_lines("table with an incomplete one", "/proc/net/arp", "al0", 0);
    struct ifreq name = { .ifr_newname = "al9" };
    MUST(if_request(SIOCSIFNAME, &name, "al0"));
    show_lines("table after renaming", "/proc/net/arp", "al9", 0);
    MUST(setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "al9", 4));
    close(tap);
    SHOW("over an interface that is gone", sendto(sock, "x", 1, 0, &to, sizeof to));
    close(sock);
    return 0;
}
