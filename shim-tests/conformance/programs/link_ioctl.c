/* What is left of SIOC[GS]IF* about the link itself, and what changes of the link do to addresses
   and routes. */
#include "host.h"

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)

static int sock;

static const struct { const char *name; unsigned long number; } gets[] = {
    { "SIOCGIFFLAGS", SIOCGIFFLAGS }, { "SIOCGIFMTU", SIOCGIFMTU }, { "SIOCGIFMETRIC", SIOCGIFMETRIC },
    { "SIOCGIFHWADDR", SIOCGIFHWADDR }, { "SIOCGIFTXQLEN", SIOCGIFTXQLEN }, { "SIOCGIFINDEX", SIOCGIFINDEX },
    { "SIOCGIFMAP", SIOCGIFMAP }, { "SIOCGIFSLAVE", SIOCGIFSLAVE }, { "SIOCGIFMEM", SIOCGIFMEM },
    { "SIOCGIFENCAP", SIOCGIFENCAP }, { "SIOCGIFPFLAGS", SIOCGIFPFLAGS },
    { "SIOCGIFCOUNT", SIOCGIFCOUNT }, { "SIOCGMIIPHY", SIOCGMIIPHY }, { "SIOCGMIIREG", SIOCGMIIREG },
    { "SIOCGHWTSTAMP", SIOCGHWTSTAMP }, { "SIOCBONDINFOQUERY", SIOCBONDINFOQUERY },
};
/* SIOCSIFTXQLEN and SIOCSIFMAP are not here: the kernel permits them to the root of the machine
 * only, which the root of a namespace is not, and memtun answers as to that one. */
static const struct { const char *name; unsigned long number; } sets[] = {
    { "SIOCSIFFLAGS", SIOCSIFFLAGS }, { "SIOCSIFMTU", SIOCSIFMTU }, { "SIOCSIFMETRIC", SIOCSIFMETRIC },
    { "SIOCSIFHWADDR", SIOCSIFHWADDR },
    { "SIOCSIFSLAVE", SIOCSIFSLAVE }, { "SIOCSIFMEM", SIOCSIFMEM }, { "SIOCSIFENCAP", SIOCSIFENCAP },
    { "SIOCSIFPFLAGS", SIOCSIFPFLAGS }, { "SIOCSIFLINK", SIOCSIFLINK }, { "SIOCSIFHWBROADCAST", SIOCSIFHWBROADCAST },
    { "SIOCSIFNAME", SIOCSIFNAME }, { "SIOCSMIIREG", SIOCSMIIREG },
    { "SIOCSHWTSTAMP", SIOCSHWTSTAMP }, { "SIOCADDMULTI", SIOCADDMULTI }, { "SIOCDELMULTI", SIOCDELMULTI },
    { "SIOCADDDLCI", SIOCADDDLCI }, { "SIOCWANDEV", SIOCWANDEV },
};

/* The bytes that a request writes, in a struct of ee. */
static void show_get(const char *name, size_t i, const char *state)
{
    struct ifreq ifr;
    char text[100];
    memset(&ifr, 0xee, sizeof ifr);
    int result = if_request(gets[i].number, &ifr, name);
    if (result)
        show(label("%s %s, %s", name, state, gets[i].name), result);
    else if (gets[i].number == SIOCGIFINDEX)
        say(label("%s %s, %s", name, state, gets[i].name), "0 tail=%s", hex(text, &ifr.ifr_ifindex + 1, 20));
    else if (gets[i].number == SIOCGIFHWADDR)
        say(label("%s %s, %s", name, state, gets[i].name), "0 family=%d", ifr.ifr_hwaddr.sa_family);
    else
        say(label("%s %s, %s", name, state, gets[i].name), "0 %s", hex(text, &ifr.ifr_ifru, 24));
}

static void queries(void)
{
    void *volatile nowhere = NULL;
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        struct ifreq ifr = { 0 };
        SHOW(label("%s NULL", gets[i].name), ioctl(sock, gets[i].number, nowhere));
        SHOW(label("%s of none", gets[i].name), if_request(gets[i].number, &ifr, "nothere"));
        show_get("li0", i, "down");
        show_get("li1", i, "down");
        show_get("li0:7", i, "down");
        SHOW(label("%s of a name of 16 bytes", gets[i].name),
             (memset(ifr.ifr_name, 'l', 16), ioctl(sock, gets[i].number, &ifr)));
    }
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct ifreq ifr = { 0 };
        SHOW(label("%s NULL", sets[i].name), ioctl(sock, sets[i].number, nowhere));
        SHOW(label("%s bad pointer", sets[i].name), ioctl(sock, sets[i].number, BAD_POINTER));
        SHOW(label("%s of none", sets[i].name), if_request(sets[i].number, &ifr, "nothere"));
        ifr = (struct ifreq){ 0 };
        if (sets[i].number == SIOCSIFMTU)
            ifr.ifr_mtu = 1400;
        SHOW(label("%s of the tun", sets[i].name), if_request(sets[i].number, &ifr, "li0"));
        SHOW(label("%s of the tap", sets[i].name), if_request(sets[i].number, &ifr, "li1"));
    }
    for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
        show_get("li0", i, "after all");
        show_get("li1", i, "after all");
    }
}

static void names(void)
{
    struct ifreq ifr = { .ifr_ifindex = 0 };
    SHOW("SIOCGIFNAME index 0", ioctl(sock, SIOCGIFNAME, &ifr));
    ifr.ifr_ifindex = -1;
    SHOW("SIOCGIFNAME index -1", ioctl(sock, SIOCGIFNAME, &ifr));
    ifr.ifr_ifindex = 99999999;
    SHOW("SIOCGIFNAME index of none", ioctl(sock, SIOCGIFNAME, &ifr));
    SHOW("SIOCGIFNAME NULL", ioctl(sock, SIOCGIFNAME, (void *volatile)NULL));
    memset(&ifr, 0xee, sizeof ifr);
    ifr.ifr_ifindex = if_index("li0");
    SHOW("SIOCGIFNAME", ioctl(sock, SIOCGIFNAME, &ifr));
    char text[80];
    say("SIOCGIFNAME, the name's bytes", "%s", hex(text, ifr.ifr_name, 16));
}

static void multicast(void)
{
    static const char mac[] = "\x01\x00\x5e\x01\x02\x03";
    struct ifreq ifr = { .ifr_hwaddr = { .sa_family = AF_UNSPEC } };
    memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
    SHOW("SIOCADDMULTI tap", if_request(SIOCADDMULTI, &ifr, "li1"));
    show_lines("dev_mcast", "/proc/net/dev_mcast", "li1", 1);
    SHOW("SIOCADDMULTI tap again", if_request(SIOCADDMULTI, &ifr, "li1"));
    show_lines("dev_mcast twice", "/proc/net/dev_mcast", "li1", 1);
    SHOW("SIOCDELMULTI tap", if_request(SIOCDELMULTI, &ifr, "li1"));
    SHOW("SIOCDELMULTI tap again", if_request(SIOCDELMULTI, &ifr, "li1"));
    SHOW("SIOCDELMULTI tap a third time", if_request(SIOCDELMULTI, &ifr, "li1"));
    ifr.ifr_hwaddr.sa_family = 1;
    SHOW("SIOCADDMULTI family 1", if_request(SIOCADDMULTI, &ifr, "li1"));
    ifr.ifr_hwaddr.sa_family = AF_UNSPEC;
    SHOW("SIOCADDMULTI tun", if_request(SIOCADDMULTI, &ifr, "li0"));
}

static void hardware(void)
{
    struct ifreq ifr = { .ifr_hwaddr = { .sa_family = 1, .sa_data = "\x02\x01\x02\x03\x04\x05" } };
    char text[80];
    SHOW("SIOCSIFHWADDR tap", if_request(SIOCSIFHWADDR, &ifr, "li1"));
    show_file("address of sysfs", "/sys/class/net/li1/address");
    show_file("addr_assign_type", "/sys/class/net/li1/addr_assign_type");
    link_up("li1", 1);
    ifr.ifr_hwaddr.sa_data[5] = 6;
    SHOW("SIOCSIFHWADDR tap, up", if_request(SIOCSIFHWADDR, &ifr, "li1"));
    ifr.ifr_hwaddr.sa_data[0] = 1;
    SHOW("SIOCSIFHWADDR a multicast address", if_request(SIOCSIFHWADDR, &ifr, "li1"));
    memset(ifr.ifr_hwaddr.sa_data, 0, 6);
    SHOW("SIOCSIFHWADDR zero", if_request(SIOCSIFHWADDR, &ifr, "li1"));
    memset(ifr.ifr_hwaddr.sa_data, 0xff, 6);
    SHOW("SIOCSIFHWADDR broadcast", if_request(SIOCSIFHWADDR, &ifr, "li1"));
    memcpy(ifr.ifr_hwaddr.sa_data, "\x02\x01\x02\x03\x04\x07", 6);
    ifr.ifr_hwaddr.sa_family = 0;
    SHOW("SIOCSIFHWADDR family 0", if_request(SIOCSIFHWADDR, &ifr, "li1"));
    ifr.ifr_hwaddr.sa_family = 0xfffe;
    SHOW("SIOCSIFHWADDR family of a tun", if_request(SIOCSIFHWADDR, &ifr, "li1"));
    SHOW("SIOCSIFHWADDR tun", if_request(SIOCSIFHWADDR, &ifr, "li0"));
    MUST(if_request(SIOCGIFHWADDR, &ifr, "li1"));
    say("SIOCGIFHWADDR", "%s", hex(text, ifr.ifr_hwaddr.sa_data, 14));
    ifr.ifr_hwaddr = (struct sockaddr){ .sa_family = 1, .sa_data = "\xfe\xfe\xfe\xfe\xfe\xfe" };
    SHOW("SIOCSIFHWBROADCAST tap", if_request(SIOCSIFHWBROADCAST, &ifr, "li1"));
    show_file("broadcast of sysfs", "/sys/class/net/li1/broadcast");
    ifr.ifr_hwaddr.sa_family = 7;
    SHOW("SIOCSIFHWBROADCAST another type", if_request(SIOCSIFHWBROADCAST, &ifr, "li1"));
    ifr.ifr_hwaddr.sa_family = 0xfffe;
    SHOW("SIOCSIFHWBROADCAST tun", if_request(SIOCSIFHWBROADCAST, &ifr, "li0"));
    link_up("li1", 0);
}

/* What the link's flags are in every place. */
static void everywhere(const char *what, const char *name)
{
    char prefix[100];
    snprintf(prefix, sizeof prefix, "%s", what);
    show_if_flags(label("%s, SIOCGIFFLAGS", prefix), name);
    show_file(label("%s, flags", prefix), label("/sys/class/net/%s/flags", name));
    show_file(label("%s, operstate", prefix), label("/sys/class/net/%s/operstate", name));
    show_file(label("%s, carrier", prefix), label("/sys/class/net/%s/carrier", name));
    show_addresses(label("%s, addresses", prefix), name);
    show_routes(label("%s, routes", prefix), name);
}

static void effects(void)
{
    int zero = 0, one = 1;
    int tun = tun_attach("le0", TUN, 0), tap = tun_attach("le1", TAP, 0);
    everywhere("fresh", "le0");
    MUST(set_address(SIOCSIFADDR, "le0", "10.9.0.1"));
    MUST(set_address(SIOCSIFNETMASK, "le0", "255.255.255.0"));
    MUST(set_address(SIOCSIFADDR, "le1", "10.8.0.1"));
    everywhere("address", "le0");
    link_up("le0", 1);
    link_up("le1", 1);
    everywhere("up", "le0");
    everywhere("tap up", "le1");
    SHOW("mtu 68", if_set_mtu("le0", 68));
    everywhere("mtu 68", "le0");
    SHOW("mtu 67", if_set_mtu("le0", 67));
    MUST(if_set_mtu("le0", 1500));
    SHOW("no NOARP", if_set_flags("le1", if_flags("le1") | IFF_NOARP));
    everywhere("tap with NOARP", "le1");
    SHOW("PROMISC and ALLMULTI", if_set_flags("le1", if_flags("le1") | IFF_PROMISC | IFF_ALLMULTI));
    everywhere("tap with PROMISC", "le1");
    SHOW("TUNSETCARRIER 0", ioctl(tun, TUNSETCARRIER, &zero));
    EVENTUALLY(!(if_flags("le0") & IFF_RUNNING), 3000);
    everywhere("without carrier", "le0");
    SHOW("TUNSETCARRIER 1", ioctl(tun, TUNSETCARRIER, &one));
    EVENTUALLY(if_flags("le0") & IFF_RUNNING, 3000);
    everywhere("with carrier again", "le0");
    link_up("le0", 0);
    everywhere("down", "le0");
    link_up("le0", 1);
    MUST(ioctl(tun, TUNSETPERSIST, 1));
    close(tun);
    EVENTUALLY(!(if_flags("le0") & IFF_RUNNING), 3000);
    everywhere("detached", "le0");
    tun = tun_attach("le0", TUN, 0);
    EVENTUALLY(if_flags("le0") & IFF_RUNNING, 3000);
    everywhere("attached again", "le0");
    MUST(ioctl(tun, TUNSETPERSIST, 0));
    close(tun);
    everywhere("gone", "le0");
    close(tap);
}

/* What a rename gives back, and when. */
static void renamed(void)
{
    char text[2 * IFNAMSIZ + 1];
    int tun = tun_attach("li2", TUN, 0);
    struct ifreq *ifr = (struct ifreq *)(edge(page_size()));
    strcpy(ifr->ifr_name, "li2");
    memset(ifr->ifr_newname, 'z', IFNAMSIZ);
    SHOW("a new name without an end", ioctl(sock, SIOCSIFNAME, ifr));
    say("what is given back", "%s", hex(text, ifr->ifr_newname, IFNAMSIZ));
    memset(ifr, 0, sizeof *ifr);
    strcpy(ifr->ifr_name, "zzzzzzzzzzzzzzz");
    strcpy(ifr->ifr_newname, "li3");
    MUST(mprotect(ifr, page_size(), PROT_READ));
    SHOW("a new name in memory that is only read", ioctl(sock, SIOCSIFNAME, ifr));
    say("it is in force", "%d", if_nametoindex("li3") != 0);
    close(tun);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    plain_sysctls();
    own_sysfs();
    sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int tun = tun_attach("li0", TUN, 0), tap = tun_attach("li1", TAP, 0);
    queries();
    close(tun);
    close(tap);
    tun = tun_attach("li0", TUN, 0);
    tap = tun_attach("li1", TAP, 0);
    names();
    multicast();
    hardware();
    close(tun);
    close(tap);
    effects();
    renamed();
    return 0;
}
