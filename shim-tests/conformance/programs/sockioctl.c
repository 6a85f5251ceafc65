/* The interface through SIOC* requests on ordinary sockets, and the names of <net/if.h>. */
#include "driver.h"

#define TUN (IFF_TUN | IFF_NO_PI)

static void flags(void)
{
    int tun = tun_attach("so0", TUN, 0), tap = tun_attach("so1", IFF_TAP | IFF_NO_PI, 0);
    show_if_flags("tun", "so0");
    show_if_flags("tap", "so1");
    link_up("so0", 1);
    link_up("so1", 1);
    show_if_flags("tun, up, RUNNING at once", "so0");
    show_if_flags("tap, up", "so1");
    SHOW("set IFF_UP alone", if_set_flags("so0", IFF_UP));
    show_if_flags("clears NOARP and MULTICAST", "so0");
    SHOW("set 0", if_set_flags("so0", 0));
    show_if_flags("POINTOPOINT stays", "so0");
    SHOW("set 0 on the tap", if_set_flags("so1", 0));
    show_if_flags("BROADCAST stays", "so1");
    SHOW("set all bits", if_set_flags("so0", 0xffff));
    show_if_flags("all bits", "so0");
    SHOW("set IFF_RUNNING and IFF_BROADCAST", if_set_flags("so0", IFF_RUNNING | IFF_BROADCAST));
    show_if_flags("cannot be set", "so0");
    SHOW("up twice", if_set_flags("so0", IFF_UP) | if_set_flags("so0", IFF_UP));
    SHOW("missing interface", if_set_flags("nothere", IFF_UP));
    close(tun);
    close(tap);
}

static void set_mtu(const char *name, int mtu)
{
    char label[60];
    int result = if_set_mtu(name, mtu), error = errno;
    snprintf(label, sizeof label, "%s mtu %d", name, mtu);
    if (result)
        say(label, "-1 %s now=%d", errno_name(error), if_mtu(name));
    else
        say(label, "0 now=%d", if_mtu(name));
}

static void mtus(void)
{
    static const int tun_values[] = { 1500, 68, 67, 0, -1, 9000, 65535, 65536, 1400 };
    static const int tap_values[] = { 1500, 68, 67, 65521, 65522, 1400 };
    int tun = tun_attach("sm0", TUN, 0), tap = tun_attach("sm1", IFF_TAP | IFF_NO_PI, 0);
    say("default mtu", "tun=%d tap=%d", if_mtu("sm0"), if_mtu("sm1"));
    for (size_t i = 0; i < sizeof tun_values / sizeof(int); i++)
        set_mtu("sm0", tun_values[i]);
    for (size_t i = 0; i < sizeof tap_values / sizeof(int); i++)
        set_mtu("sm1", tap_values[i]);
    close(tun);
    close(tap);
}

static void queries(void)
{
    char text[80];
    struct ifreq ifr;
    int tun = tun_attach("sq0", TUN, 0), tap = tun_attach("sq1", IFF_TAP | IFF_NO_PI, 0), index;
    memset(&ifr, 0xee, sizeof ifr);
    SHOW("SIOCGIFHWADDR tun", if_request(SIOCGIFHWADDR, &ifr, "sq0"));
    say("tun address", "family=%d data=%s", ifr.ifr_hwaddr.sa_family, hex(text, ifr.ifr_hwaddr.sa_data, 14));
    memset(&ifr, 0xee, sizeof ifr);
    SHOW("SIOCGIFHWADDR tap", if_request(SIOCGIFHWADDR, &ifr, "sq1"));
    say("tap address", "family=%d tail=%s", ifr.ifr_hwaddr.sa_family, hex(text, ifr.ifr_hwaddr.sa_data + 6, 8));
    SHOW("SIOCGIFTXQLEN tun", if_request(SIOCGIFTXQLEN, &ifr, "sq0"));
    say("tun queue", "%d", ifr.ifr_qlen);
    SHOW("SIOCGIFTXQLEN tap", if_request(SIOCGIFTXQLEN, &ifr, "sq1"));
    say("tap queue", "%d", ifr.ifr_qlen);
    SHOW("SIOCGIFMTU", if_request(SIOCGIFMTU, &ifr, "sq0"));
    SHOW("SIOCGIFINDEX", if_request(SIOCGIFINDEX, &ifr, "sq0"));
    index = ifr.ifr_ifindex;
    say("index", "positive=%d if_nametoindex_same=%d tap_differs=%d", index > 0, (int)if_nametoindex("sq0") == index,
        if_index("sq1") != index);
    say("if_indextoname", "%s", if_indextoname(index, text) ? text : errno_name(errno));
    ifr.ifr_ifindex = index;
    int sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    memset(ifr.ifr_name, 0, IFNAMSIZ);
    SHOW("SIOCGIFNAME", ioctl(sock, SIOCGIFNAME, &ifr));
    say("SIOCGIFNAME says", "%s", ifr.ifr_name);
    struct if_nameindex *list = if_nameindex();
    int found = 0;
    for (int i = 0; list && list[i].if_index; i++)
        found += !strcmp(list[i].if_name, "sq0") || !strcmp(list[i].if_name, "sq1");
    if_freenameindex(list);
    say("if_nameindex lists both", "%d", found);
    close(tun);
    close(tap);
    errno = 0;
    say("if_nametoindex after close", "%u %s", if_nametoindex("sq0"), errno_name(errno));
    errno = 0;
    const char *name = if_indextoname(index, text);
    say("if_indextoname after close", "%s", name ? name : errno_name(errno));
    close(sock);
}

static void refusals(void)
{
    struct ifreq ifr = { 0 };
    void *volatile nowhere = NULL;
    int tun = tun_attach("sr0", TUN, 0), sock = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    SHOW("SIOCGIFFLAGS missing", if_request(SIOCGIFFLAGS, &ifr, "nothere"));
    SHOW("SIOCGIFMTU missing", if_request(SIOCGIFMTU, &ifr, "nothere"));
    SHOW("SIOCSIFMTU missing", if_set_mtu("nothere", 1400));
    SHOW("SIOCGIFINDEX missing", if_request(SIOCGIFINDEX, &ifr, "nothere"));
    SHOW("SIOCGIFHWADDR missing", if_request(SIOCGIFHWADDR, &ifr, "nothere"));
    SHOW("SIOCGIFFLAGS empty name", if_request(SIOCGIFFLAGS, &ifr, ""));
    SHOW("SIOCGIFFLAGS NULL", ioctl(sock, SIOCGIFFLAGS, nowhere));
    SHOW("SIOCGIFFLAGS bad pointer", ioctl(sock, SIOCGIFFLAGS, BAD_POINTER));
    SHOW("SIOCGIFFLAGS on a file", ioctl(0, SIOCGIFFLAGS, &ifr) == -1 && (errno == ENOTTY || errno == EBADF));
    SHOW("SIOCGIFFLAGS of lo", if_request(SIOCGIFFLAGS, &ifr, "lo"));
    SHOW("SIOCGIFMTU of lo", if_request(SIOCGIFMTU, &ifr, "lo"));
    close(sock);
    SHOW("SIOCGIFFLAGS on a closed socket", ioctl(sock, SIOCGIFFLAGS, &ifr));
    close(tun);
}

static void families(void)
{
    static const struct { const char *name; int family, type; } all[] = {
        { "inet stream", AF_INET, SOCK_STREAM }, { "inet6", AF_INET6, SOCK_DGRAM }, { "unix", AF_UNIX, SOCK_DGRAM },
        { "netlink", AF_NETLINK, SOCK_RAW },
    };
    struct ifreq ifr = { 0 };
    int tun = tun_attach("sf0", TUN, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char label[60];
        int sock = MUST(socket(all[i].family, all[i].type, 0));
        strcpy(ifr.ifr_name, "sf0");
        snprintf(label, sizeof label, "SIOCGIFFLAGS on an %s socket", all[i].name);
        SHOW(label, ioctl(sock, SIOCGIFFLAGS, &ifr));
        close(sock);
    }
    close(tun);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    flags();
    mtus();
    queries();
    refusals();
    families();
    return 0;
}
