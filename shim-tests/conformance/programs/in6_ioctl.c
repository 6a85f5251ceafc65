/* IPv6 addresses by ioctl: struct in6_ifreq on an inet6 socket. */
#include "host.h"

/* <linux/ipv6.h> cannot be included beside <netinet/in.h>. */
struct in6_request { struct in6_addr address; uint32_t prefix; int index; };

static int sock;

static int ask(unsigned long request, int index, const char *address, uint32_t prefix)
{
    struct in6_request in6 = { .prefix = prefix, .index = index };
    if (inet_pton(AF_INET6, address, &in6.address) != 1)
        die(address);
    return ioctl(sock, request, &in6);
}

/* The addresses and the routes: of if_inet6 all but the index, of ipv6_route all
   but the counters. */
static void state(const char *what, const char *name)
{
    char prefix[100];
    snprintf(prefix, sizeof prefix, "%s", what);
    ipv6_settled(name);
    show_lines(label("%s, if_inet6", prefix), "/proc/net/if_inet6", name, 1 << 1);
    show_lines(label("%s, ipv6_route", prefix), "/proc/net/ipv6_route", name, 3 << 6);
}

static void refusals(const char *name)
{
    void *volatile nowhere = NULL;
    int index = if_index(name);
    SHOW(label("%s, SIOCSIFADDR NULL", name), ioctl(sock, SIOCSIFADDR, nowhere));
    SHOW(label("%s, SIOCSIFADDR bad pointer", name), ioctl(sock, SIOCSIFADDR, BAD_POINTER));
    SHOW(label("%s, SIOCDIFADDR NULL", name), ioctl(sock, SIOCDIFADDR, nowhere));
    SHOW(label("%s, SIOCSIFDSTADDR NULL", name), ioctl(sock, SIOCSIFDSTADDR, nowhere));
    SHOW(label("%s, the struct cut by 4 bytes", name), ioctl(sock, SIOCSIFADDR, edge(sizeof(struct in6_request) - 4)));
    SHOW(label("%s, index 0", name), ask(SIOCSIFADDR, 0, "2001:db8::1", 64));
    SHOW(label("%s, index -1", name), ask(SIOCSIFADDR, -1, "2001:db8::1", 64));
    SHOW(label("%s, index of none", name), ask(SIOCSIFADDR, 99999999, "2001:db8::1", 64));
    SHOW(label("%s, index of none, prefix 129", name), ask(SIOCSIFADDR, 99999999, "2001:db8::1", 129));
    SHOW(label("%s, delete, index of none", name), ask(SIOCDIFADDR, 99999999, "2001:db8::1", 64));
    SHOW(label("%s, prefix 129", name), ask(SIOCSIFADDR, index, "2001:db8::1", 129));
    SHOW(label("%s, prefix 4294967295", name), ask(SIOCSIFADDR, index, "2001:db8::1", ~0u));
    SHOW(label("%s, delete, prefix 129", name), ask(SIOCDIFADDR, index, "2001:db8::1", 129));
    SHOW(label("%s, delete what is not there", name), ask(SIOCDIFADDR, index, "2001:db8::1", 64));
    SHOW(label("%s, multicast", name), ask(SIOCSIFADDR, index, "ff02::1", 64));
    SHOW(label("%s, unspecified", name), ask(SIOCSIFADDR, index, "::", 64));
    SHOW(label("%s, loopback", name), ask(SIOCSIFADDR, index, "::1", 128));
    SHOW(label("%s, v4-mapped", name), ask(SIOCSIFADDR, index, "::ffff:10.9.0.1", 96));
    SHOW(label("%s, delete the loopback address", name), ask(SIOCDIFADDR, index, "::1", 128));
    SHOW(label("%s, delete the v4-mapped", name), ask(SIOCDIFADDR, index, "::ffff:10.9.0.1", 96));
    SHOW(label("%s, SIOCGIFADDR", name), ask(SIOCGIFADDR, index, "2001:db8::1", 64));
    SHOW(label("%s, SIOCGIFDSTADDR", name), ask(SIOCGIFDSTADDR, index, "2001:db8::1", 64));
    SHOW(label("%s, SIOCSIFDSTADDR", name), ask(SIOCSIFDSTADDR, index, "2001:db8::1", 64));
    SHOW(label("%s, SIOCSIFDSTADDR of none", name), ask(SIOCSIFDSTADDR, 99999999, "2001:db8::1", 64));
    SHOW(label("%s, SIOCSIFNETMASK", name), ask(SIOCSIFNETMASK, index, "2001:db8::1", 64));
    SHOW(label("%s, SIOCGIFNETMASK", name), ask(SIOCGIFNETMASK, index, "2001:db8::1", 64));
    state(label("%s refused", name), name);
}

static void life(const char *name)
{
    int index = if_index(name);
    SHOW(label("%s down, set 2001:db8::1/64", name), ask(SIOCSIFADDR, index, "2001:db8::1", 64));
    state(label("%s down, set", name), name);
    SHOW(label("%s down, twice", name), ask(SIOCSIFADDR, index, "2001:db8::1", 64));
    SHOW(label("%s down, with another prefix", name), ask(SIOCSIFADDR, index, "2001:db8::1", 48));
    SHOW(label("%s down, delete with another prefix", name), ask(SIOCDIFADDR, index, "2001:db8::1", 48));
    link_up(name, 1);
    state(label("%s up", name), name);
    SHOW(label("%s up, a second of the network", name), ask(SIOCSIFADDR, index, "2001:db8::2", 64));
    SHOW(label("%s up, /128", name), ask(SIOCSIFADDR, index, "2001:db8:1::1", 128));
    SHOW(label("%s up, /0", name), ask(SIOCSIFADDR, index, "2001:db8:2::1", 0));
    SHOW(label("%s up, /127", name), ask(SIOCSIFADDR, index, "2001:db8:3::1", 127));
    SHOW(label("%s up, /1", name), ask(SIOCSIFADDR, index, "2001:db8:4::1", 1));
    SHOW(label("%s up, link-local", name), ask(SIOCSIFADDR, index, "fe80::7", 64));
    SHOW(label("%s up, site-local", name), ask(SIOCSIFADDR, index, "fec0::7", 64));
    SHOW(label("%s up, unique local", name), ask(SIOCSIFADDR, index, "fd00::7", 64));
    SHOW(label("%s up, v4-compatible", name), ask(SIOCSIFADDR, index, "::10.9.0.1", 96));
    SHOW(label("%s up, the network's own address", name), ask(SIOCSIFADDR, index, "2001:db8:5::", 64));
    state(label("%s with ten", name), name);
    SHOW(label("%s, delete a second", name), ask(SIOCDIFADDR, index, "2001:db8::2", 64));
    SHOW(label("%s, delete it again", name), ask(SIOCDIFADDR, index, "2001:db8::2", 64));
    SHOW(label("%s, delete /0", name), ask(SIOCDIFADDR, index, "2001:db8:2::1", 0));
    SHOW(label("%s, delete /1", name), ask(SIOCDIFADDR, index, "2001:db8:4::1", 1));
    SHOW(label("%s, delete with prefix 0 what has 64", name), ask(SIOCDIFADDR, index, "fec0::7", 0));
    state(label("%s after deleting", name), name);
    SHOW(label("%s, mtu 1280", name), if_set_mtu(name, 1280));
    show_lines(label("%s with mtu 1280", name), "/proc/net/if_inet6", name, 1 << 1);
    SHOW(label("%s, mtu 1279", name), if_set_mtu(name, 1279));
    state(label("%s with mtu 1279", name), name);
    SHOW(label("%s, set with mtu 1279", name), ask(SIOCSIFADDR, index, "2001:db8::1", 64));
    SHOW(label("%s, its sysctls with mtu 1279", name), access(label("/proc/sys/net/ipv6/conf/%s/mtu", name), F_OK));
    SHOW(label("%s, mtu 1500", name), if_set_mtu(name, 1500));
    SHOW(label("%s, its sysctls with mtu 1500", name), access(label("/proc/sys/net/ipv6/conf/%s/mtu", name), F_OK));
    ipv6_on(name);
    SHOW(label("%s, set with mtu 1500", name), ask(SIOCSIFADDR, index, "2001:db8::1", 64));
    state(label("%s with mtu 1500 again", name), name);
    link_up(name, 0);
    state(label("%s down again", name), name);
    SHOW(label("%s, set while down", name), ask(SIOCSIFADDR, index, "2001:db8::9", 64));
    SHOW(label("%s, set link-local while down", name), ask(SIOCSIFADDR, index, "fe80::9", 64));
    state(label("%s set while down", name), name);
    link_up(name, 1);
    state(label("%s up again", name), name);
    link_up(name, 0);
    state(label("%s down for the last time", name), name);
    sysctl("ipv6", name, "keep_addr_on_down", "1");
    MUST(ask(SIOCSIFADDR, index, "2001:db8::a", 64));
    ipv6_settled(name);
    link_up(name, 1);
    ipv6_settled(name);
    link_up(name, 0);
    state(label("%s down with keep_addr_on_down", name), name);
    link_up(name, 1);
    state(label("%s up with keep_addr_on_down", name), name);
    sysctl("ipv6", name, "disable_ipv6", "1");
    state(label("%s with disable_ipv6", name), name);
    SHOW(label("%s, set with disable_ipv6", name), ask(SIOCSIFADDR, index, "2001:db8::1", 64));
    sysctl("ipv6", name, "disable_ipv6", "0");
    state(label("%s without disable_ipv6", name), name);
}

/* The link-local address that the kernel makes: of the hardware address on a tap. */
static void link_local(void)
{
    struct ifreq ifr = { .ifr_hwaddr = { .sa_family = 1, .sa_data = "\x02\x11\x22\x33\x44\x55" } };
    int tap = tun_attach("i63", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    MUST(if_request(SIOCSIFHWADDR, &ifr, "i63"));
    ipv6_on("i63");
    sysctl("ipv6", "i63", "addr_gen_mode", "0");
    state("tap with a hardware address, down", "i63");
    link_up("i63", 1);
    state("tap with a hardware address, up", "i63");
    SHOW("delete what the kernel made", ask(SIOCDIFADDR, if_index("i63"), "fe80::11:22ff:fe33:4455", 64));
    state("tap without it", "i63");
    close(tap);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    /* A link begins without IPv6, so that it has nothing that the kernel has made. */
    sysctl("ipv6", "default", "disable_ipv6", "1");
    int tun = tun_attach("i60", IFF_TUN | IFF_NO_PI, O_NONBLOCK), tap = tun_attach("i61", IFF_TAP | IFF_NO_PI, O_NONBLOCK);
    sock = MUST(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ipv6_on("i60");
    ipv6_on("i61");
    refusals("i60");
    refusals("i61");
    life("i60");
    life("i61");
    int wrong = MUST(socket(AF_INET, SOCK_DGRAM, 0)), kept = sock;
    sock = wrong;
    SHOW("in6_ifreq on an inet socket", ask(SIOCSIFADDR, if_index("i60"), "2001:db8::1", 64));
    sock = kept;
    MUST(ask(SIOCSIFADDR, if_index("i61"), "2001:db8::77", 64));
    close(tun);
    close(tap);
    state("gone", "i61");
    link_local();
    return 0;
}
