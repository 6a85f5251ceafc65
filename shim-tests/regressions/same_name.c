/* An interface of the net, and one of the host, with the same name: tun0. Says what each call makes
   of the name. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int sock;
static unsigned host_index;

static const char *outcome(int result, const char *good)
{
    return result < 0 ? strerrorname_np(errno) : good;
}

static int request(unsigned long what, struct ifreq *ifr, const char *name)
{
    strcpy(ifr->ifr_name, name);
    return ioctl(sock, what, ifr);
}

static int listed(void)
{
    struct if_nameindex *list = if_nameindex();
    int n = 0;
    for (int i = 0; list && list[i].if_index; i++)
        n += !strcmp(list[i].if_name, "tun0");
    if_freenameindex(list);
    return n;
}

static int in_addresses(const char *name)
{
    struct ifaddrs *list, *at;
    int n = 0;
    if (getifaddrs(&list))
        return -1;
    for (at = list; at; at = at->ifa_next)
        n += !strcmp(at->ifa_name, name);
    freeifaddrs(list);
    return n;
}

static void show_mtu(const char *name)
{
    struct ifreq ifr;
    char mtu[20];
    int result = request(SIOCGIFMTU, &ifr, name);
    sprintf(mtu, "%d", ifr.ifr_mtu);
    printf(" mtu of %s %s\n", name, outcome(result, mtu));
}

/* Entries of the name in SIOCGIFCONF; -2 when the length that it tells beforehand is another. */
static int in_ifconf(const char *name)
{
    struct ifreq room[64];
    struct ifconf all = { .ifc_len = sizeof room, .ifc_req = room }, length = { 0 };
    int n = 0;
    if (ioctl(sock, SIOCGIFCONF, &all) || ioctl(sock, SIOCGIFCONF, &length))
        return -1;
    for (size_t i = 0; i < all.ifc_len / sizeof *room; i++)
        n += !strncmp(room[i].ifr_name, name, strlen(name));
    return all.ifc_len == length.ifc_len ? n : -2;
}

static void look(const char *when)
{
    struct ifreq ifr;
    char name[IF_NAMESIZE] = "";
    unsigned index = if_nametoindex("tun0");
    printf("%s\n", when);
    printf(" if_nametoindex %s\n", !index ? strerrorname_np(errno) : index == host_index ? "host's" : "net's");
    printf(" if_nametoindex tun0:1 %s\n", (index = if_nametoindex("tun0:1")) ? index == host_index ? "host's" : "net's" : strerrorname_np(errno));
    show_mtu("tun0");
    show_mtu("tun0:1");
    int result = request(SIOCGIFADDR, &ifr, "tun0");
    printf(" address %s\n", outcome(result, inet_ntoa(((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr)));
    ifr.ifr_ifindex = host_index;
    printf(" SIOCGIFNAME of the host's index %s\n", outcome(ioctl(sock, SIOCGIFNAME, &ifr), "a name"));
    printf(" if_indextoname of the host's index %s\n", if_indextoname(host_index, name) ? name : strerrorname_np(errno));
    printf(" if_nameindex %d\n", listed());
    printf(" getifaddrs %d\n", in_addresses("tun0"));
    printf(" SIOCGIFCONF %d\n", in_ifconf("tun0"));
    printf(" the host's other interface %d %d %s\n", in_addresses("other0") > 0, in_ifconf("other0"), if_nametoindex("other0") ? "found" : "missing");
    fflush(stdout);
}

/* Changes, each twice: they must not reach the host. */
static void change(void)
{
    struct ifreq ifr;
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;
        memset(&ifr, 0, sizeof ifr);
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(0x0a630001);
        printf(" SIOCSIFADDR %s\n", outcome(request(SIOCSIFADDR, &ifr, "tun0"), "0"));
        ifr.ifr_mtu = 1234;
        printf(" SIOCSIFMTU %s\n", outcome(request(SIOCSIFMTU, &ifr, "tun0"), "0"));
        ifr.ifr_flags = IFF_UP;
        printf(" SIOCSIFFLAGS %s\n", outcome(request(SIOCSIFFLAGS, &ifr, "tun0"), "0"));
        int other = socket(AF_INET, SOCK_DGRAM, 0);
        printf(" SO_BINDTODEVICE %s\n", outcome(setsockopt(other, SOL_SOCKET, SO_BINDTODEVICE, "tun0", 5), "0"));
        close(other);
        memset(&ifr, 0, sizeof ifr);
        printf(" SIOCETHTOOL %s\n", outcome(request(0x8946, &ifr, "tun0"), "0"));
        printf(" unknown %s\n", outcome(request(0x89d0, &ifr, "tun0"), "0"));
    }
}

int main(void)
{
    struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "tun0" };
    sock = socket(AF_INET, SOCK_DGRAM, 0);
    host_index = if_nametoindex("tun0");
    look("before");
    int fd = open("/dev/net/tun", O_RDWR);
    printf("TUNSETIFF %s\n", outcome(ioctl(fd, TUNSETIFF, &ifr), ifr.ifr_name));
    look("attached");
    for (int i = 0, none = -1; i < 2; i++)
        printf("TUNSETFILTEREBPF %s\n", outcome(ioctl(fd, TUNSETFILTEREBPF, &none), "0"));
    change();
    close(fd);
    look("gone");
    change();
    return 0;
}
