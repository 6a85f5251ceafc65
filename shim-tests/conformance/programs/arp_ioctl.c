/* Neighbours by SIOCGARP, SIOCSARP and SIOCDARP, and /proc/net/arp. */
#include "host.h"
#include <net/if_arp.h>

static int sock;

static struct arpreq entry(const char *address, const char *mac, int flags, const char *dev)
{
    struct arpreq r = { .arp_pa = inet(address), .arp_ha = { .sa_family = ARPHRD_ETHER }, .arp_flags = flags };
    if (mac)
        memcpy(r.arp_ha.sa_data, mac, 6);
    if (dev)
        memcpy(r.arp_dev, dev, strnlen(dev, 16));
    return r;
}

static int ask(unsigned long request, const char *address, const char *mac, int flags, const char *dev)
{
    struct arpreq r = entry(address, mac, flags, dev);
    return ioctl(sock, request, &r);
}

static void get(const char *what, const char *address, const char *dev)
{
    struct arpreq r = entry(address, NULL, 0, dev);
    char text[40];
    r.arp_ha.sa_family = 0x7777;
    if (ioctl(sock, SIOCGARP, &r))
        show(what, -1);
    else
        say(what, "family=%d mac=%s flags=0x%x dev='%.16s'", r.arp_ha.sa_family, hex(text, r.arp_ha.sa_data, 6),
            r.arp_flags, r.arp_dev);
}

static void table(const char *what, const char *name) { show_lines(what, "/proc/net/arp", name, 0); }

#define SET(text, ...) SHOW(text, ask(SIOCSARP, __VA_ARGS__))
#define DEL(text, ...) SHOW(text, ask(SIOCDARP, __VA_ARGS__))
#define MAC "\x02\x11\x22\x33\x44\x55"
#define OTHER "\x02\x66\x77\x88\x99\xaa"

static void refusals(void)
{
    static const struct { const char *name; unsigned long number; } all[] = {
        { "SIOCGARP", SIOCGARP }, { "SIOCSARP", SIOCSARP }, { "SIOCDARP", SIOCDARP },
    };
    void *volatile nowhere = NULL;
    for (int i = 0; i < 3; i++) {
        struct arpreq r;
        SHOW(label("%s NULL", all[i].name), ioctl(sock, all[i].number, nowhere));
        SHOW(label("%s bad pointer", all[i].name), ioctl(sock, all[i].number, BAD_POINTER));
        r = entry("10.8.0.2", MAC, ATF_COM, "ar0");
        r.arp_pa.sa_family = AF_INET6;
        SHOW(label("%s address of inet6", all[i].name), ioctl(sock, all[i].number, &r));
        r.arp_pa.sa_family = 0;
        SHOW(label("%s address of family 0", all[i].name), ioctl(sock, all[i].number, &r));
        r = entry("10.8.0.2", MAC, ATF_COM, "ar0");
        r.arp_ha.sa_family = ARPHRD_SLIP;
        SHOW(label("%s hardware of another type", all[i].name), ioctl(sock, all[i].number, &r));
        r.arp_ha.sa_family = 0;
        SHOW(label("%s hardware of family 0", all[i].name), ioctl(sock, all[i].number, &r));
        SHOW(label("%s no such device", all[i].name), ask(all[i].number, "10.8.0.2", MAC, ATF_COM, "nothere"));
        SHOW(label("%s a bad netmask", all[i].name),
             ask(all[i].number, "10.8.0.2", MAC, ATF_COM | ATF_PUBL | ATF_NETMASK, "ar0"));
        SHOW(label("%s a netmask without ATF_PUBL", all[i].name),
             ask(all[i].number, "10.8.0.2", MAC, ATF_COM | ATF_NETMASK, "ar0"));
        SHOW(label("%s not on a link, no device", all[i].name),
             ask(all[i].number, "203.0.113.7", MAC, ATF_COM, NULL));
        SHOW(label("%s of the down tap", all[i].name), ask(all[i].number, "10.7.0.2", MAC, ATF_COM, "ar1"));
        SHOW(label("%s 0.0.0.0", all[i].name), ask(all[i].number, "0.0.0.0", MAC, ATF_COM, "ar0"));
        SHOW(label("%s the broadcast address", all[i].name), ask(all[i].number, "10.8.0.255", MAC, ATF_COM, "ar0"));
        SHOW(label("%s multicast", all[i].name), ask(all[i].number, "224.0.0.1", MAC, ATF_COM, "ar0"));
        SHOW(label("%s the own address", all[i].name), ask(all[i].number, "10.8.0.1", MAC, ATF_COM, "ar0"));
        SHOW(label("%s of the tun", all[i].name), ask(all[i].number, "10.9.0.2", MAC, ATF_COM, "ar2"));
        SHOW(label("%s an alias", all[i].name), ask(all[i].number, "10.8.0.9", MAC, ATF_COM, "ar0:1"));
        table(label("after %s", all[i].name), "ar0");
    }
    table("of the tun", "ar2");
    table("of the down tap", "ar1");
}

static void entries(void)
{
    struct arpreq r;
    char text[40];
    get("get, missing", "10.8.0.2", "ar0");
    SET("set", "10.8.0.2", MAC, 0, "ar0");
    get("get", "10.8.0.2", "ar0");
    get("get without device", "10.8.0.2", NULL);
    get("get over another device", "10.8.0.2", "ar2");
    SET("set without device", "10.8.0.3", MAC, ATF_COM, NULL);
    get("get that", "10.8.0.3", "ar0");
    SET("set permanent", "10.8.0.4", OTHER, ATF_PERM, "ar0");
    get("get permanent", "10.8.0.4", "ar0");
    SET("set permanent and complete", "10.8.0.5", OTHER, ATF_PERM | ATF_COM, "ar0");
    get("get permanent and complete", "10.8.0.5", "ar0");
    SET("set over the permanent", "10.8.0.5", MAC, ATF_COM, "ar0");
    get("get what was permanent", "10.8.0.5", "ar0");
    SET("set another's network", "203.0.113.7", MAC, ATF_COM, "ar0");
    get("get another's network", "203.0.113.7", "ar0");
    SET("set a zero address", "10.8.0.6", "\0\0\0\0\0\0", ATF_COM, "ar0");
    get("get a zero address", "10.8.0.6", "ar0");
    SET("set a broadcast address", "10.8.0.7", "\xff\xff\xff\xff\xff\xff", ATF_COM, "ar0");
    get("get a broadcast address", "10.8.0.7", "ar0");
    SET("set with unknown flags", "10.8.0.8", MAC, 0xff00, "ar0");
    get("get with unknown flags", "10.8.0.8", "ar0");
    SET("set with ATF_USETRAILERS", "10.8.0.10", MAC, ATF_USETRAILERS, "ar0");
    get("get with ATF_USETRAILERS", "10.8.0.10", "ar0");
    SET("set with ATF_DONTPUB", "10.8.0.11", MAC, ATF_DONTPUB, "ar0");
    get("get with ATF_DONTPUB", "10.8.0.11", "ar0");
    table("table", "ar0");
    r = entry("10.8.0.2", NULL, 0, "ar0");
    memset(&r.arp_netmask, 0xee, sizeof r.arp_netmask);
    memset(r.arp_ha.sa_data, 0xee, sizeof r.arp_ha.sa_data);
    MUST(ioctl(sock, SIOCGARP, &r));
    say("the whole hardware address", "%s", hex(text, r.arp_ha.sa_data, 14));
    say("the whole mask", "%s", hex(text, &r.arp_netmask, 16));
    DEL("delete", "10.8.0.2", NULL, 0, "ar0");
    get("get what is deleted", "10.8.0.2", "ar0");
    DEL("delete again", "10.8.0.2", NULL, 0, "ar0");
    DEL("delete without device", "10.8.0.3", NULL, 0, NULL);
    DEL("delete the permanent", "10.8.0.4", NULL, ATF_PERM, "ar0");
    DEL("delete with another hardware address", "10.8.0.5", OTHER, 0, "ar0");
    DEL("delete over another device", "10.8.0.8", NULL, 0, "ar2");
    table("table after deleting", "ar0");
    SET("set again", "10.8.0.2", OTHER, ATF_PERM, "ar0");
    get("get again", "10.8.0.2", "ar0");
}

static void proxies(void)
{
    struct arpreq r;
    SET("publish", "10.8.0.20", MAC, ATF_PUBL, "ar0");
    SET("publish again", "10.8.0.20", MAC, ATF_PUBL, "ar0");
    get("get published", "10.8.0.20", "ar0");
    SET("publish, permanent", "10.8.0.21", MAC, ATF_PUBL | ATF_PERM, "ar0");
    r = entry("10.8.0.22", MAC, ATF_PUBL | ATF_NETMASK, "ar0");
    r.arp_netmask = inet("255.255.255.255");
    SHOW("publish with mask /32", ioctl(sock, SIOCSARP, &r));
    r.arp_netmask = inet("255.255.255.0");
    SHOW("publish with mask /24", ioctl(sock, SIOCSARP, &r));
    r.arp_netmask = inet("0.0.0.0");
    SHOW("publish with mask 0", ioctl(sock, SIOCSARP, &r));
    SET("publish without device", "10.8.0.23", MAC, ATF_PUBL, NULL);
    SET("publish without hardware address", "10.8.0.24", NULL, ATF_PUBL, "ar0");
    SET("publish on the tun", "10.9.0.24", MAC, ATF_PUBL, "ar2");
    r = entry("0.0.0.0", MAC, ATF_PUBL | ATF_NETMASK, "ar0");
    r.arp_netmask = inet("0.0.0.0");
    SHOW("publish all", ioctl(sock, SIOCSARP, &r));
    show_file("proxy_arp after publishing all", "/proc/sys/net/ipv4/conf/ar0/proxy_arp");
    SHOW("publish all no more", ioctl(sock, SIOCDARP, &r));
    show_file("proxy_arp after that", "/proc/sys/net/ipv4/conf/ar0/proxy_arp");
    table("table with proxies", "ar0");
    table("table with proxies of the tun", "ar2");
    say("proxies of no device", "%d", count_lines("/proc/net/arp", "*", "10.8.0.23 "));
    DEL("delete a proxy without ATF_PUBL", "10.8.0.20", NULL, 0, "ar0");
    DEL("delete a proxy", "10.8.0.20", NULL, ATF_PUBL, "ar0");
    DEL("delete a proxy again", "10.8.0.20", NULL, ATF_PUBL, "ar0");
    DEL("delete a proxy without device", "10.8.0.23", NULL, ATF_PUBL, NULL);
    DEL("delete a proxy of all without device", "10.8.0.22", NULL, ATF_PUBL, NULL);
    table("table without them", "ar0");
}

static void effects(void)
{
    SET("a neighbour", "10.8.0.30", MAC, ATF_PERM, "ar0");
    link_up("ar0", 0);
    table("permanent ones while down", "ar0");
    get("get while down", "10.8.0.30", "ar0");
    SET("set while down", "10.8.0.31", MAC, ATF_PERM, "ar0");
    link_up("ar0", 1);
    table("permanent ones after up", "ar0");
    SET("a neighbour again", "10.8.0.30", MAC, ATF_PERM, "ar0");
    struct ifreq ifr = { .ifr_hwaddr = { .sa_family = 1, .sa_data = "\x02\xee\xee\xee\xee\xee" } };
    SHOW("another hardware address of the tap", if_request(SIOCSIFHWADDR, &ifr, "ar0"));
    table("permanent ones after that", "ar0");
    SET("a neighbour once more", "10.8.0.30", MAC, ATF_COM, "ar0");
    SHOW("the address goes", set_address(SIOCSIFADDR, "ar0", "0.0.0.0"));
    table("after the address went", "ar0");
    MUST(set_address(SIOCSIFADDR, "ar0", "10.8.0.1"));
    struct ifreq name = { .ifr_newname = "ar9" };
    MUST(if_request(SIOCSIFNAME, &name, "ar0"));
    SET("a neighbour after renaming", "10.8.0.33", MAC, ATF_PERM, "ar9");
    table("table after renaming", "ar9");
}

static void sockets(void)
{
    static const struct { const char *name; int family, type; } all[] = {
        { "inet stream", AF_INET, SOCK_STREAM }, { "inet6", AF_INET6, SOCK_DGRAM }, { "unix", AF_UNIX, SOCK_DGRAM },
        { "netlink", AF_NETLINK, SOCK_RAW },
    };
    int kept = sock;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        sock = MUST(socket(all[i].family, all[i].type, 0));
        SHOW(label("%s, SIOCSARP", all[i].name), ask(SIOCSARP, "10.8.0.40", MAC, ATF_PERM, "ar9"));
        SHOW(label("%s, SIOCGARP", all[i].name), ask(SIOCGARP, "10.8.0.40", NULL, 0, "ar9"));
        SHOW(label("%s, SIOCDARP", all[i].name), ask(SIOCDARP, "10.8.0.40", NULL, 0, "ar9"));
        SHOW(label("%s, SIOCGRARP", all[i].name), ask(SIOCGRARP, "10.8.0.40", NULL, 0, "ar9"));
        close(sock);
    }
    sock = kept;
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int tap = tun_with("ar0", IFF_TAP, "10.8.0.1", "255.255.255.0");
    int down = tun_attach("ar1", IFF_TAP | IFF_NO_PI, 0);
    int tun = tun_with("ar2", IFF_TUN, "10.9.0.1", "255.255.255.0");
    refusals();
    entries();
    proxies();
    effects();
    sockets();
    close(tap);
    table("after close", "ar9");
    get("get after close", "10.8.0.33", "ar9");
    close(down);
    close(tun);
    return 0;
}
