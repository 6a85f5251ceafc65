/* Names with a colon (aliases of an interface's addresses) in requests on sockets of several
   families, and in <net/if.h>. */
#include "driver.h"
#include <linux/sockios.h>

static const struct { const char *name; unsigned long number; } requests[] = {
    { "SIOCGIFFLAGS", SIOCGIFFLAGS }, { "SIOCGIFMTU", SIOCGIFMTU }, { "SIOCGIFINDEX", SIOCGIFINDEX },
    { "SIOCGIFHWADDR", SIOCGIFHWADDR }, { "SIOCGIFTXQLEN", SIOCGIFTXQLEN }, { "SIOCGIFMETRIC", SIOCGIFMETRIC },
    { "SIOCGIFMAP", SIOCGIFMAP }, { "SIOCGIFADDR", SIOCGIFADDR }, { "SIOCGIFDSTADDR", SIOCGIFDSTADDR },
    { "SIOCGIFBRDADDR", SIOCGIFBRDADDR }, { "SIOCGIFNETMASK", SIOCGIFNETMASK },
    { "SIOCSIFFLAGS", SIOCSIFFLAGS }, { "SIOCSIFMTU", SIOCSIFMTU }, { "SIOCSIFMETRIC", SIOCSIFMETRIC },
    { "SIOCSIFHWADDR", SIOCSIFHWADDR }, { "SIOCDEVPRIVATE", SIOCDEVPRIVATE }, { "SIOCGMIIPHY", SIOCGMIIPHY },
    { "SIOCGIFSLAVE", SIOCGIFSLAVE }, { "SIOCGIFPFLAGS", SIOCGIFPFLAGS }, { "SIOCGIFMEM", SIOCGIFMEM },
};
#define REQUESTS (sizeof requests / sizeof *requests)

static void ask(const char *family, int sock, const char *name)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        char label[100], digits[64];
        struct ifreq ifr;
        memset(&ifr, 0, sizeof ifr);
        memcpy(ifr.ifr_name, name, strlen(name));
        if (requests[i].number == SIOCSIFMTU)
            ifr.ifr_mtu = 1400;
        if (requests[i].number == SIOCSIFFLAGS)
            ifr.ifr_flags = IFF_NOARP | IFF_MULTICAST;
        if (requests[i].number == SIOCSIFHWADDR)
            memcpy(&ifr.ifr_hwaddr, "\x01\x00\x02\x01\x02\x03\x04\x05", 8);
        int result = ioctl(sock, requests[i].number, &ifr), error = errno;
        snprintf(label, sizeof label, "%s \"%s\" %s", requests[i].name, name, family);
        if (result)
            say(label, "-1 %s", errno_name(error));
        else
            say(label, "0 name=\"%.16s\" value=%s", ifr.ifr_name,
                requests[i].number == SIOCGIFINDEX ? ifr.ifr_ifindex == if_index("sa0") ? "sa0's" : "another" : hex(digits, &ifr.ifr_flags, 8));
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "sa0", "sa0:1", "sa0:", "sa0:a:b", "sa0:0123456789", ":1", "nothere:1", "sa1" };
    static const struct { const char *name; int family; } families[] = {
        { "inet", AF_INET }, { "inet6", AF_INET6 }, { "unix", AF_UNIX },
    };
    start(argc, argv);
    int fd = tun_attach("sa0", IFF_TUN | IFF_NO_PI, 0);
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        int sock = MUST(socket(families[f].family, SOCK_DGRAM, 0));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            ask(families[f].name, sock, names[i]);
        close(sock);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char label[80];
        errno = 0;
        unsigned index = if_nametoindex(names[i]);
        snprintf(label, sizeof label, "if_nametoindex \"%s\"", names[i]);
        say(label, "%s", index ? (int)index == if_index("sa0") ? "sa0's" : "another" : errno_name(errno));
    }
    struct ifreq ifr = { .ifr_flags = IFF_TUN };
    int other = MUST(open(DEVICE, O_RDWR));
    strcpy(ifr.ifr_name, "sa0:1");
    SHOW("TUNSETIFF \"sa0:1\"", ioctl(other, TUNSETIFF, &ifr));
    close(other);
    close(fd);
    return 0;
}
