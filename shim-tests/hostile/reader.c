/* reader SECONDS: reads what the host side of its net says, in every way, again and again. Errors
 * are expected. A call that takes longer than LIMIT, or an answer without end, is printed on
 * standard error with the word SLOW. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LIMIT 8.0

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double begun;
static const char *name;

static void begin(const char *what) { name = what, begun = now(); }

static void end(void)
{
    double took = now() - begun;
    if (took > LIMIT)
        fprintf(stderr, "reader: SLOW: %s took %f s\n", name, took);
}

static void file(const char *path)
{
    static char room[65536];
    long total = 0;
    ssize_t n;
    int fd;
    struct stat st;

    begin(path);
    stat(path, &st);
    fd = open(path, O_RDONLY);
    while (fd >= 0 && (n = read(fd, room, sizeof room)) > 0 && now() - begun <= LIMIT)
        total += n;
    close(fd);
    end();
}

static void list(const char *path)
{
    struct dirent *entry;
    DIR *dir;

    begin(path);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) && now() - begun <= LIMIT)
        ;
    if (dir)
        closedir(dir);
    end();
}

static void dump(unsigned short kind)
{
    static char room[65536];
    struct {
        struct nlmsghdr head;
        char rest[16];
    } request = {{sizeof request, kind, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {0}};
    struct timeval limit = {1, 0};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    begin("dump");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (send(fd, &request, sizeof request, 0) > 0)
        while (recv(fd, room, sizeof room, 0) > 0 && now() - begun <= LIMIT) {
            unsigned short type = ((struct nlmsghdr *)room)->nlmsg_type;
            if (type == NLMSG_DONE || type == NLMSG_ERROR)
                break;
        }
    close(fd);
    end();
}

int main(int argc, char **argv)
{
    static const char *const files[] = {
        "/proc/net/dev", "/proc/net/route", "/proc/net/ipv6_route", "/proc/net/if_inet6",
        "/proc/net/arp", "/proc/net/fib_trie", "/sys/class/net/tun0/mtu",
        "/sys/class/net/tun0/address", "/proc/sys/net/ipv4/conf/tun0/forwarding",
        "/proc/sys/net/ipv4/ip_forward", "/sys/class/net/tun0/statistics/rx_bytes"};
    static const unsigned long requests[] = {SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFBRDADDR,
        SIOCGIFDSTADDR, SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFINDEX, SIOCGIFHWADDR, SIOCGIFTXQLEN};
    static char room[65536];
    double until = now() + (argc > 1 ? atof(argv[1]) : 1);
    int ip = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned long rounds = 0;

    do {
        struct ifaddrs *all = NULL;
        struct if_nameindex *names;
        struct ifconf conf = {.ifc_len = sizeof room, .ifc_buf = room};
        struct ifreq request = {.ifr_name = "tun0"};

        begin("getifaddrs");
        if (getifaddrs(&all) == 0)
            freeifaddrs(all);
        end();
        begin("if_nameindex");
        names = if_nameindex();
        if (names)
            if_freenameindex(names);
        end();
        begin("SIOCGIFCONF");
        ioctl(ip, SIOCGIFCONF, &conf);
        conf.ifc_buf = NULL;
        ioctl(ip, SIOCGIFCONF, &conf);
        end();
        for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++) {
            begin("an ioctl");
            ioctl(ip, requests[i], &request);
            end();
        }
        for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
            file(files[i]);
        list("/sys/class/net");
        list("/sys/class/net/tun0/");
        list("/proc/sys/net/ipv4/conf");
        if (rounds++ % 8 == 0) {
            dump(RTM_GETLINK);
            dump(RTM_GETADDR);
            dump(RTM_GETROUTE);
        }
    } while (now() < until);
    printf("%lu\n", rounds);
    return 0;
}
