/* IPv4 addresses by SIOC* requests: what they set, what they refuse and in which order, aliases,
   secondary addresses, SIOCGIFCONF. */
#include "host.h"

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)

static const struct { const char *name; unsigned long get, set; } parts[] = {
    { "ADDR", SIOCGIFADDR, SIOCSIFADDR },
    { "NETMASK", SIOCGIFNETMASK, SIOCSIFNETMASK },
    { "DSTADDR", SIOCGIFDSTADDR, SIOCSIFDSTADDR },
    { "BRDADDR", SIOCGIFBRDADDR, SIOCSIFBRDADDR },
};
#define PARTS (sizeof parts / sizeof *parts)

static int sock;

/* The request with a name that may fill all 16 bytes. */
static int raw(unsigned long request, const char *name, int family, const char *address)
{
    struct ifreq ifr = { .ifr_addr = inet(address) };
    ifr.ifr_addr.sa_family = family;
    memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ));
    return ioctl(sock, request, &ifr);
}

static void none_yet(const char *name)
{
    void *volatile nowhere = NULL;
    for (size_t i = 0; i < PARTS; i++) {
        SHOW(label("%s, SIOCGIF%s NULL", name, parts[i].name), ioctl(sock, parts[i].get, nowhere));
        SHOW(label("%s, SIOCSIF%s NULL", name, parts[i].name), ioctl(sock, parts[i].set, nowhere));
        SHOW(label("%s, SIOCGIF%s bad pointer", name, parts[i].name), ioctl(sock, parts[i].get, BAD_POINTER));
        SHOW(label("%s, SIOCGIF%s family 0", name, parts[i].name), raw(parts[i].get, name, 0, "0.0.0.0"));
        SHOW(label("%s, SIOCGIF%s family inet6", name, parts[i].name), raw(parts[i].get, name, AF_INET6, "0.0.0.0"));
        SHOW(label("%s, SIOCSIF%s family 0", name, parts[i].name), raw(parts[i].set, name, 0, "10.9.0.1"));
        SHOW(label("%s, SIOCSIF%s family inet6", name, parts[i].name), raw(parts[i].set, name, AF_INET6, "10.9.0.1"));
        SHOW(label("%s, SIOCGIF%s of none", name, parts[i].name), raw(parts[i].get, "nothere", AF_INET, "0.0.0.0"));
        SHOW(label("%s, SIOCSIF%s of none", name, parts[i].name), raw(parts[i].set, "nothere", AF_INET, "10.9.0.1"));
        SHOW(label("%s, SIOCSIF%s of none, family 0", name, parts[i].name), raw(parts[i].set, "nothere", 0, "10.9.0.1"));
        SHOW(label("%s, SIOCGIF%s empty name", name, parts[i].name), raw(parts[i].get, "", AF_INET, "0.0.0.0"));
        SHOW(label("%s, SIOCGIF%s without address", name, parts[i].name), raw(parts[i].get, name, AF_INET, "0.0.0.0"));
        if (parts[i].set != SIOCSIFADDR)
            SHOW(label("%s, SIOCSIF%s without address", name, parts[i].name),
                 raw(parts[i].set, name, AF_INET, "255.255.255.0"));
    }
    SHOW(label("%s, SIOCSIFADDR 0.0.0.0 without address", name), set_address(SIOCSIFADDR, name, "0.0.0.0"));
    SHOW(label("%s, SIOCDIFADDR without address", name), set_address(SIOCDIFADDR, name, "10.9.0.1"));
}

/* What each address makes of an interface without one. */
static void kinds(const char *name, int up)
{
    static const char *const all[] = { "10.9.0.1", "127.0.0.1", "128.1.2.3", "172.16.0.1", "191.255.0.1", "192.0.2.1",
                                       "223.255.255.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
                                       "0.0.0.1", "0.1.2.3", "10.0.0.0", "192.0.2.0", "10.255.255.255", "169.254.1.1" };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *state = up ? "up" : "down";
        SHOW(label("%s %s, set %s", name, state, all[i]), set_address(SIOCSIFADDR, name, all[i]));
        show_addresses(label("%s %s, with %s", name, state, all[i]), name);
        show_routes(label("%s %s, routes with %s", name, state, all[i]), name);
        set_address(SIOCSIFADDR, name, "0.0.0.0");
    }
    show_addresses(label("%s %s, none left", name, up ? "up" : "down"), name);
}

static void masks(const char *name)
{
    static const char *const all[] = { "255.255.255.0", "255.255.255.0", "255.255.255.254", "255.255.255.255",
                                       "255.255.255.252", "255.0.255.0", "0.0.0.255", "255.255.255.1", "0.0.0.0",
                                       "128.0.0.0", "255.255.0.0", "127.255.255.255" };
    MUST(set_address(SIOCSIFADDR, name, "192.0.2.5"));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        SHOW(label("%s, mask %zu %s", name, i, all[i]), set_address(SIOCSIFNETMASK, name, all[i]));
        show_addresses(label("%s, after mask %zu", name, i), name);
        show_routes(label("%s, routes after mask %zu", name, i), name);
    }
    MUST(set_address(SIOCSIFADDR, name, "192.0.2.5"));
    show_addresses(label("%s, the address again", name), name);
    MUST(set_address(SIOCSIFNETMASK, name, "255.255.255.0"));
    SHOW(label("%s, broadcast 192.0.2.77", name), set_address(SIOCSIFBRDADDR, name, "192.0.2.77"));
    show_addresses(label("%s, with that broadcast", name), name);
    SHOW(label("%s, a shorter mask keeps an odd broadcast", name), set_address(SIOCSIFNETMASK, name, "255.255.0.0"));
    show_addresses(label("%s, after the shorter mask", name), name);
    SHOW(label("%s, broadcast 192.0.255.255", name), set_address(SIOCSIFBRDADDR, name, "192.0.255.255"));
    SHOW(label("%s, a longer mask moves the usual one", name), set_address(SIOCSIFNETMASK, name, "255.255.255.0"));
    show_addresses(label("%s, after the longer mask", name), name);
    SHOW(label("%s, broadcast 0.0.0.0", name), set_address(SIOCSIFBRDADDR, name, "0.0.0.0"));
    show_addresses(label("%s, without broadcast", name), name);
    SHOW(label("%s, peer 192.0.2.9", name), set_address(SIOCSIFDSTADDR, name, "192.0.2.9"));
    show_addresses(label("%s, with a peer", name), name);
    show_routes(label("%s, routes with a peer", name), name);
    SHOW(label("%s, peer again", name), set_address(SIOCSIFDSTADDR, name, "192.0.2.9"));
    SHOW(label("%s, peer 198.51.100.1", name), set_address(SIOCSIFDSTADDR, name, "198.51.100.1"));
    show_routes(label("%s, routes with that peer", name), name);
    SHOW(label("%s, peer with bad mask", name), set_address(SIOCSIFDSTADDR, name, "255.255.255.255"));
    SHOW(label("%s, peer multicast", name), set_address(SIOCSIFDSTADDR, name, "224.0.0.9"));
    show_addresses(label("%s, peers taken", name), name);
    SHOW(label("%s, mask 32 with a peer", name), set_address(SIOCSIFNETMASK, name, "255.255.255.255"));
    show_addresses(label("%s, after mask 32", name), name);
    show_routes(label("%s, routes after mask 32", name), name);
    SHOW(label("%s, peer 0.0.0.0", name), set_address(SIOCSIFDSTADDR, name, "0.0.0.0"));
    show_addresses(label("%s, after peer 0.0.0.0", name), name);
    show_routes(label("%s, routes after peer 0.0.0.0", name), name);
    SHOW(label("%s, 0.0.0.0 takes it away", name), set_address(SIOCSIFADDR, name, "0.0.0.0"));
    show_addresses(label("%s, gone", name), name);
}

/* The names of an interface's addresses, in the order of SIOCGIFCONF. */
static void listed(const char *what, const char *name)
{
    static struct ifreq room[64];
    struct ifconf conf = { .ifc_len = sizeof room, .ifc_req = room };
    char text[600] = "", address[40];
    MUST(ioctl(sock, SIOCGIFCONF, &conf));
    for (size_t i = 0; i < conf.ifc_len / sizeof *room; i++)
        if (!strncmp(room[i].ifr_name, name, strlen(name)))
            append(text, sizeof text, " %.16s=%s/%d", room[i].ifr_name,
                   inet_ntop(AF_INET, &((struct sockaddr_in *)&room[i].ifr_addr)->sin_addr, address, 40),
                   room[i].ifr_addr.sa_family);
    say(what, "%s", text[0] ? text + 1 : "nothing");
}

static void aliases(void)
{
    static const char *const names[] = { "aa0:1", "aa0:x", "aa0:", "aa0:1:2", "aa0:a b", "aa0:123456789ab",
                                         "aa0:123456789abc", "aa0:123456789abcd", "nothere:1", ":1" };
    struct ifreq ifr = { 0 };
    int tun = tun_attach("aa0", TUN, 0);
    SHOW("alias without address, get", raw(SIOCGIFADDR, "aa0:9", AF_INET, "0.0.0.0"));
    SHOW("alias without address, mask", raw(SIOCSIFNETMASK, "aa0:9", AF_INET, "255.255.255.0"));
    SHOW("alias without address, flags", if_request(SIOCGIFFLAGS, &ifr, "aa0:9"));
    SHOW("alias without address, delete", raw(SIOCSIFADDR, "aa0:9", AF_INET, "0.0.0.0"));
    SHOW("alias without address, down", if_set_flags("aa0:9", 0));
    SHOW("alias without address, up", if_set_flags("aa0:9", IFF_UP));
    MUST(set_address(SIOCSIFADDR, "aa0", "10.1.0.1"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        SHOW(label("alias '%s' of 10.1.%zu.2", names[i], i),
             raw(SIOCSIFADDR, names[i], AF_INET, label("10.1.%zu.2", i)));
        SHOW(label("alias '%s' read", names[i]), raw(SIOCGIFADDR, names[i], AF_INET, "0.0.0.0"));
    }
    listed("aliases listed", "aa0");
    show_addresses("the name itself", "aa0");
    show_addresses("alias aa0:1", "aa0:1");
    ifr.ifr_addr = inet("10.1.1.2");
    SHOW("SIOCGIFADDR with the address of another alias", if_request(SIOCGIFADDR, &ifr, "aa0"));
    char text[40];
    say("it says", "%s", inet_ntop(AF_INET, &((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr, text, 40));
    ifr.ifr_addr = inet("10.77.1.2");
    SHOW("SIOCGIFADDR with an address that it has not", if_request(SIOCGIFADDR, &ifr, "aa0"));
    say("then it says", "%s", inet_ntop(AF_INET, &((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr, text, 40));
    SHOW("the name comes back as given", if_request(SIOCGIFADDR, &ifr, "aa0:1"));
    say("name after SIOCGIFADDR", "%s", ifr.ifr_name);
    SHOW("mask of an alias", set_address(SIOCSIFNETMASK, "aa0:1", "255.255.255.0"));
    SHOW("peer of an alias", set_address(SIOCSIFDSTADDR, "aa0:1", "10.1.0.9"));
    SHOW("broadcast of an alias", set_address(SIOCSIFBRDADDR, "aa0:1", "10.1.0.255"));
    show_addresses("alias aa0:1 after them", "aa0:1");
    show_if_flags("flags of an alias", "aa0:1");
    SHOW("an alias up brings up the link", if_set_flags("aa0:1", IFF_UP));
    show_if_flags("the link after that", "aa0");
    show_routes("routes with aliases", "aa0");
    SHOW("an alias down", if_set_flags("aa0:1", 0));
    show_if_flags("the link stays up", "aa0");
    SHOW("the alias is gone", raw(SIOCGIFADDR, "aa0:1", AF_INET, "0.0.0.0"));
    SHOW("the alias down again", if_set_flags("aa0:1", 0));
    SHOW("0.0.0.0 on an alias", raw(SIOCSIFADDR, "aa0:x", AF_INET, "0.0.0.0"));
    listed("aliases left", "aa0");
    SHOW("alias with the address that the name has", raw(SIOCSIFADDR, "aa0:2", AF_INET, "10.1.0.1"));
    SHOW("alias with another alias' address", raw(SIOCSIFADDR, "aa0:3", AF_INET, "10.1.5.2"));
    SHOW("mtu by an alias", if_set_mtu("aa0:1", 1400));
    say("mtu after that", "%d", if_mtu("aa0"));
    SHOW("index by an alias", if_index("aa0:zz") == if_index("aa0"));
    SHOW("SIOCDIFADDR by an alias", raw(SIOCDIFADDR, "aa0:3", AF_INET, "0.0.0.0"));
    MUST(if_set_flags("aa0", 0));
    show_addresses("the link down keeps addresses", "aa0");
    SHOW("0.0.0.0 on the name", set_address(SIOCSIFADDR, "aa0", "0.0.0.0"));
    listed("what 0.0.0.0 on the name leaves", "aa0");
    show_addresses("the name then", "aa0");
    close(tun);
}

/* Two addresses of one network: the second hangs on the first. */
static void secondaries(void)
{
    static char path[] = "/proc/sys/net/ipv4/conf/as0/promote_secondaries";
    int tap = tun_attach("as0", TAP, 0);
    for (int promote = 0; promote < 2; promote++) {
        const char *how = promote ? "promoted" : "not promoted";
        SHOW(label("%s, promote_secondaries", how), spit(path, promote ? "1" : "0"));
        MUST(set_address(SIOCSIFADDR, "as0", "10.2.0.1"));
        MUST(set_address(SIOCSIFNETMASK, "as0", "255.255.255.0"));
        for (int i = 1; i < 4; i++) {
            MUST(set_address(SIOCSIFADDR, label("as0:%d", i), label("10.2.0.%d", i + 1)));
            MUST(set_address(SIOCSIFNETMASK, label("as0:%d", i), "255.255.255.0"));
        }
        MUST(set_address(SIOCSIFADDR, "as0:8", "10.3.0.1"));
        link_up("as0", 1);
        listed(label("%s, all", how), "as0");
        show_routes(label("%s, routes", how), "as0");
        SHOW(label("%s, a secondary goes", how), set_address(SIOCSIFADDR, "as0:2", "0.0.0.0"));
        listed(label("%s, without it", how), "as0");
        SHOW(label("%s, the first goes", how), set_address(SIOCSIFADDR, "as0", "0.0.0.0"));
        listed(label("%s, left", how), "as0");
        show_routes(label("%s, routes left", how), "as0");
        link_up("as0", 0);
        for (int i = 1; i < 9; i++)
            set_address(SIOCSIFADDR, label("as0:%d", i), "0.0.0.0");
        listed(label("%s, in the end", how), "as0");
    }
    close(tap);
}

static void configuration(void)
{
    struct ifreq room[64];
    void *volatile nowhere = NULL;
    int tun = tun_attach("ac0", TUN, 0), tap = tun_attach("ac1", TAP, 0);
    listed("without addresses", "ac");
    struct ifconf conf = { .ifc_len = 0, .ifc_req = NULL };
    MUST(ioctl(sock, SIOCGIFCONF, &conf));
    int before = conf.ifc_len;
    MUST(set_address(SIOCSIFADDR, "ac0", "10.4.0.1"));
    MUST(set_address(SIOCSIFADDR, "ac1", "10.5.0.1"));
    MUST(set_address(SIOCSIFADDR, "ac1:7", "10.6.0.1"));
    MUST(set_address(SIOCSIFADDR, "ac0:7", "10.7.0.1"));
    listed("with addresses", "ac");
    link_up("ac0", 1);
    listed("up or down is the same", "ac");
    conf = (struct ifconf){ .ifc_len = 12345, .ifc_req = NULL };
    SHOW("no buffer", ioctl(sock, SIOCGIFCONF, &conf));
    say("no buffer, more than before", "%d", (conf.ifc_len - before) / (int)sizeof *room);
    int total = conf.ifc_len;
    for (int cut = 1; cut < 4; cut++) {
        conf = (struct ifconf){ .ifc_len = total - cut * 20, .ifc_req = room };
        SHOW(label("%d bytes too small", cut * 20), ioctl(sock, SIOCGIFCONF, &conf));
        say(label("%d bytes too small, missing", cut * 20), "%d", (total - conf.ifc_len) / (int)sizeof *room);
    }
    conf = (struct ifconf){ .ifc_len = sizeof *room - 1, .ifc_req = room };
    SHOW("less than one", ioctl(sock, SIOCGIFCONF, &conf));
    say("less than one, length", "%d", conf.ifc_len);
    conf = (struct ifconf){ .ifc_len = 0, .ifc_req = room };
    SHOW("room for none", ioctl(sock, SIOCGIFCONF, &conf));
    say("room for none, length", "%d", conf.ifc_len);
    conf = (struct ifconf){ .ifc_len = -1, .ifc_req = room };
    SHOW("negative", ioctl(sock, SIOCGIFCONF, &conf));
    say("negative, length", "%d", conf.ifc_len);
    conf = (struct ifconf){ .ifc_len = total, .ifc_req = BAD_POINTER };
    SHOW("bad buffer", ioctl(sock, SIOCGIFCONF, &conf));
    say("bad buffer, length kept", "%d", conf.ifc_len == total);
    SHOW("NULL", ioctl(sock, SIOCGIFCONF, nowhere));
    SHOW("bad pointer", ioctl(sock, SIOCGIFCONF, BAD_POINTER));
    memset(room, 0xee, sizeof room);
    conf = (struct ifconf){ .ifc_len = sizeof room, .ifc_req = room };
    MUST(ioctl(sock, SIOCGIFCONF, &conf));
    char text[100];
    for (size_t i = 0; i < conf.ifc_len / sizeof *room; i++)
        if (!strcmp(room[i].ifr_name, "ac0"))
            say("the bytes of an entry", "%s", hex(text, &room[i], sizeof *room));
    close(tun);
    listed("after close", "ac");
    close(tap);
}

static void families(void)
{
    static const struct { const char *name; int family, type; } all[] = {
        { "inet stream", AF_INET, SOCK_STREAM }, { "inet6 dgram", AF_INET6, SOCK_DGRAM },
        { "inet6 stream", AF_INET6, SOCK_STREAM }, { "unix stream", AF_UNIX, SOCK_STREAM },
        { "unix dgram", AF_UNIX, SOCK_DGRAM }, { "netlink", AF_NETLINK, SOCK_RAW },
    };
    int tun = tun_attach("af0", TUN, 0), kept = sock;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct ifconf conf = { 0 };
        sock = MUST(socket(all[i].family, all[i].type, 0));
        for (size_t k = 0; k < PARTS; k++) {
            const char *address = parts[k].set == SIOCSIFNETMASK ? "255.255.255.0" : "10.9.0.1";
            SHOW(label("%s, SIOCSIF%s", all[i].name, parts[k].name), raw(parts[k].set, "af0", AF_INET, address));
            SHOW(label("%s, SIOCGIF%s", all[i].name, parts[k].name), raw(parts[k].get, "af0", AF_INET, "0.0.0.0"));
        }
        SHOW(label("%s, SIOCGIFCONF", all[i].name), ioctl(sock, SIOCGIFCONF, &conf));
        close(sock);
        sock = kept;
        set_address(SIOCSIFADDR, "af0", "0.0.0.0");
    }
    close(tun);
}

/* An address by rtnetlink, with the interface's own name as label. */
static int add_address(int index, const char *address, int len)
{
    struct {
        struct nlmsghdr head;
        struct ifaddrmsg info;
        struct { struct rtattr head; uint32_t address; } local;
    } ask = {
        { sizeof ask, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 1, 0 },
        { AF_INET, len, 0, RT_SCOPE_UNIVERSE, index },
        { { sizeof ask.local, IFA_LOCAL }, inet_addr(address) },
    };
    struct { struct nlmsghdr head; struct nlmsgerr error; char rest[512]; } answer;
    int nl = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    MUST(send(nl, &ask, sizeof ask, 0));
    MUST(recv(nl, &answer, sizeof answer, 0));
    close(nl);
    return answer.error.error;
}

/* Several addresses under one label: a getter is told by its argument which is meant. */
static void one_label(void)
{
    static const struct { const char *name; int family; const char *address; } asks[] = {
        { "the first", AF_INET, "10.1.0.1" }, { "the second", AF_INET, "10.2.0.1" }, { "the third", AF_INET, "10.3.0.1" },
        { "none of them", AF_INET, "10.4.0.1" }, { "the second, but no family", 0, "10.2.0.1" },
    };
    int tun = tun_attach("ao0", TUN, 0), index = if_index("ao0");
    char text[40];
    say("the first of one label", "%d", add_address(index, "10.1.0.1", 8));
    say("the second of one label", "%d", add_address(index, "10.2.0.1", 16));
    say("the third of one label", "%d", add_address(index, "10.3.0.1", 24));
    listed("they are listed", "ao0");
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++)
        for (size_t k = 0; k < 2; k++) {
            struct ifreq ifr = { .ifr_name = "ao0", .ifr_addr = inet(asks[i].address) };
            ifr.ifr_addr.sa_family = asks[i].family;
            MUST(ioctl(sock, parts[k].get, &ifr));
            say(label("SIOCGIF%s asked with %s", parts[k].name, asks[i].name), "%s",
                inet_ntop(AF_INET, &((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr, text, sizeof text));
        }
    SHOW("SIOCSIFADDR replaces the first", set_address(SIOCSIFADDR, "ao0", "10.5.0.1"));
    listed("after it", "ao0");
    SHOW("SIOCSIFADDR of one that is there", set_address(SIOCSIFADDR, "ao0", "10.3.0.1"));
    listed("after that", "ao0");
    SHOW("SIOCSIFNETMASK", set_address(SIOCSIFNETMASK, "ao0", "255.255.255.0"));
    listed("after the mask", "ao0");
    SHOW("SIOCSIFADDR 0.0.0.0", set_address(SIOCSIFADDR, "ao0", "0.0.0.0"));
    listed("after 0.0.0.0", "ao0");
    SHOW("SIOCSIFFLAGS 0 by the name", if_set_flags("ao0", 0));
    listed("down takes none", "ao0");
    close(tun);
}

static void going(void)
{
    int tun = tun_with("ag0", IFF_TUN, "10.9.0.1", "255.255.255.0");
    int other = tun_attach("ag1", TUN, 0);
    SHOW("the same address on another interface", set_address(SIOCSIFADDR, "ag1", "10.9.0.1"));
    listed("both have it", "ag");
    close(tun);
    listed("one is gone", "ag");
    tun = tun_attach("ag0", TUN, 0);
    show_addresses("a new one of the name has none", "ag0");
    MUST(set_address(SIOCSIFADDR, "ag0", "10.9.0.1"));
    MUST(set_address(SIOCSIFADDR, "ag0:5", "10.9.1.1"));
    struct ifreq ifr = { .ifr_newname = "ag7" };
    SHOW("renamed", if_request(SIOCSIFNAME, &ifr, "ag0"));
    listed("labels after renaming", "ag7");
    show_addresses("address after renaming", "ag7");
    show_addresses("alias after renaming", "ag7:5");
    close(tun);
    close(other);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int tun = tun_attach("ad0", TUN, 0), tap = tun_attach("ad1", TAP, 0);
    none_yet("ad0");
    none_yet("ad1");
    kinds("ad0", 0);
    kinds("ad1", 0);
    link_up("ad0", 1);
    link_up("ad1", 1);
    kinds("ad0", 1);
    kinds("ad1", 1);
    masks("ad0");
    masks("ad1");
    close(tun);
    close(tap);
    aliases();
    secondaries();
    configuration();
    families();
    one_label();
    going();
    return 0;
}
