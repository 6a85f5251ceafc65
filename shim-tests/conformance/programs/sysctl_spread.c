/* What a setting of all links, of new ones or of one link does to the others, to addresses and to
   routes. */
#include "host.h"

#define TUN (IFF_TUN | IFF_NO_PI)
#define TAP (IFF_TAP | IFF_NO_PI)

static void values(const char *given, const char *path, const char *const *names, size_t count)
{
    char text[600] = "", value[100], what[120];
    snprintf(what, sizeof what, "%s", given);
    for (size_t i = 0; i < count; i++) {
        ssize_t n = slurp(label(path, names[i]), value, sizeof value);
        append(text, sizeof text, "%s%s=%.*s", i ? " " : "", names[i], n > 0 ? (int)n - 1 : (int)strlen(errno_name(errno)), n > 0 ? value : errno_name(errno));
    }
    say(what, "%s", text);
}

static void spreading(void)
{
    static const char *const names[] = { "all", "default", "lo", "sp0", "sp1" };
    int a = tun_attach("sp0", TUN, 0), b = tun_attach("sp1", TAP, 0);
    static const char *const of4[] = { "forwarding", "rp_filter", "accept_redirects", "send_redirects", "proxy_arp", "arp_ignore", "promote_secondaries",
                                       "log_martians", "accept_local", "route_localnet", "disable_policy", "tag", "bc_forwarding", "mc_forwarding" };
    static const char *const of6[] = { "forwarding", "accept_ra", "disable_ipv6", "use_tempaddr", "mtu", "hop_limit", "addr_gen_mode", "accept_dad", "proxy_ndp",
                                       "force_forwarding", "ignore_routes_with_linkdown", "ndisc_evict_nocarrier", "autoconf", "keep_addr_on_down", "disable_policy" };
    static const char *const to[] = { "all", "default", "sp0" };
    for (int family = 0; family < 2; family++)
        for (size_t i = 0; i < (family ? sizeof of6 : sizeof of4) / sizeof *of4; i++)
            for (size_t k = 0; k < 3; k++) {
                char path[100], what[100];
                snprintf(what, sizeof what, "%s/%s", family ? "ipv6" : "ipv4", family ? of6[i] : of4[i]);
                snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%%s/%s", family ? "ipv6" : "ipv4", family ? of6[i] : of4[i]);
                char one[200];
                snprintf(one, sizeof one, path, to[k]);
                values(label("%s, before %s", what, to[k]), path, names, 5);
                const char *value = strstr(what, "mtu") ? "1300" : "1";
                SHOW(label("%s, %s gets %s", what, to[k], value), spit(one, value));
                values(label("%s, after %s", what, to[k]), path, names, 5);
                int c = tun_attach("sp2", TAP, 0);
                show_file(label("%s, a new one after %s", what, to[k]), label("/proc/sys/net/%s/conf/sp2/%s", family ? "ipv6" : "ipv4", family ? of6[i] : of4[i]));
                close(c);
                SHOW(label("%s, %s gets 0", what, to[k]), spit(one, "0"));
                values(label("%s, after %s and 0", what, to[k]), path, names, 5);
            }
    static const char *const neigh[] = { "gc_stale_time", "mcast_solicit", "retrans_time_ms", "locktime", "base_reachable_time_ms", "unres_qlen_bytes" };
    static const char *const links[] = { "default", "lo", "sp0", "sp1" };
    for (int family = 0; family < 2; family++)
        for (size_t i = 0; i < sizeof neigh / sizeof *neigh; i++) {
            char path[100], what[100];
            snprintf(what, sizeof what, "%s/%s", family ? "ipv6" : "ipv4", neigh[i]);
            snprintf(path, sizeof path, "/proc/sys/net/%s/neigh/%%s/%s", family ? "ipv6" : "ipv4", neigh[i]);
            char one[200];
            snprintf(one, sizeof one, path, "sp0");
            SHOW(label("neigh %s, sp0 gets 7", what), spit(one, "7"));
            snprintf(one, sizeof one, path, "default");
            SHOW(label("neigh %s, default gets 9", what), spit(one, "9"));
            values(label("neigh %s, after it", what), path, links, 4);
            int c = tun_attach("sp3", TAP, 0);
            show_file(label("neigh %s, a new one", what), label("/proc/sys/net/%s/neigh/sp3/%s", family ? "ipv6" : "ipv4", neigh[i]));
            close(c);
        }
    close(a);
    close(b);
}

/* What IPv6 being turned off and on does to addresses and routes. */
static void turning(void)
{
    int fd = tun_attach("sd0", TAP, 0);
    ipv6_on("sd0");
    spit("/proc/sys/net/ipv6/conf/sd0/addr_gen_mode", "1");
    link_up("sd0", 1);
    int sock = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    struct { struct in6_addr addr; unsigned prefix; int index; } add = { .prefix = 64, .index = if_index("sd0") };
    inet_pton(AF_INET6, "2001:db8:77::1", &add.addr);
    SHOW("an address", ioctl(sock, SIOCSIFADDR, &add));
    ipv6_settled("sd0");
    static const char *const steps[] = { "1", "0", "2", "0" };
    show_lines("at first, if_inet6", "/proc/net/if_inet6", "sd0", 1 << 1);
    for (size_t i = 0; i < 4; i++) {
        SHOW(label("turn %zu", i), spit("/proc/sys/net/ipv6/conf/sd0/disable_ipv6", steps[i]));
        show_lines(label("turn %zu, if_inet6", i), "/proc/net/if_inet6", "sd0", 1 << 1);
        show_lines(label("turn %zu, ipv6_route", i), "/proc/net/ipv6_route", "sd0", 3 << 6);
        show_file(label("turn %zu, conf", i), "/proc/sys/net/ipv6/conf/sd0/disable_ipv6");
        SHOW(label("turn %zu, an address", i), ioctl(sock, SIOCSIFADDR, &add));
        ipv6_settled("sd0");
    }
    SHOW("all off", spit("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
    show_lines("all off, if_inet6", "/proc/net/if_inet6", "sd0", 1 << 1);
    show_file("all off, conf", "/proc/sys/net/ipv6/conf/sd0/disable_ipv6");
    show_file("all off, default", "/proc/sys/net/ipv6/conf/default/disable_ipv6");
    show_file("all off, lo", "/proc/sys/net/ipv6/conf/lo/disable_ipv6");
    SHOW("all on", spit("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"));
    show_file("all on, conf", "/proc/sys/net/ipv6/conf/sd0/disable_ipv6");
    static const char *const secrets[] = { "2001:db8::1", "::", "2001:db8:0:0:0:0:0:5\n", "x", "1", "2001:db8::1 x", "2001:0db8:0000:0000:0000:0000:0000:0001:2", "", "\n" };
    static const char *const of[] = { "sd0", "default", "all" };
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < 9; i++) {
            const char *path = label("/proc/sys/net/ipv6/conf/%s/stable_secret", of[k]);
            show_write(label("secret of %s, %zu", of[k], i), path, secrets[i], strlen(secrets[i]));
            show_file(label("secret of %s after %zu", of[k], i), label("/proc/sys/net/ipv6/conf/%s/stable_secret", of[k]));
            show_file(label("mode of %s after %zu", of[k], i), label("/proc/sys/net/ipv6/conf/%s/addr_gen_mode", of[k]));
        }
    static const char *const modes[] = { "0", "1", "2", "3", "4", "-1", "x", "" };
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < 8; i++) {
            show_write(label("mode of %s, %zu", of[k], i), label("/proc/sys/net/ipv6/conf/%s/addr_gen_mode", of[k]), modes[i], strlen(modes[i]));
            show_file(label("mode of %s, after %zu", of[k], i), label("/proc/sys/net/ipv6/conf/%s/addr_gen_mode", of[k]));
        }
    close(sock);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    close(tun_attach("sn9", TUN, 0));
    plain_sysctls();
    spit("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0");
    spreading();
    turning();
    return 0;
}
