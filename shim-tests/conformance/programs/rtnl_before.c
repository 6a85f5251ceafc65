/* What rtnetlink answers because of what went before: rules that meant a link by another of its
 * names, a tap that received more addresses than its own when it was last up, IPv4 and IPv6 that
 * began anew, and links that were never up. */
#include "host.h"
#include "rtnl.h"
#include <linux/pkt_sched.h>

#define NEW (NLM_F_CREATE | NLM_F_EXCL)

static int listener;

/* What the listener has heard. */
static void heard(const char *label)
{
    char all[150];
    snprintf(all, sizeof all, "%s, heard", label);
    int count = 0;
    ssize_t n;
    while ((n = recv(listener, rt_got, sizeof rt_got, MSG_DONTWAIT)) > 0)
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            out("%s", count++ ? " ; " : "");
            out_message(h);
        }
    out_line(all);
}

static void forget(void)
{
    while (recv(listener, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        ;
}

/* ---- rules ---- */

static void other_name(int type, const char *link, const char *name)
{
    link_request(type, type == RTM_NEWLINKPROP ? NEW : 0, link);
    size_t list = nest(IFLA_PROP_LIST | NLA_F_NESTED);
    put_text(IFLA_ALT_IFNAME, name);
    nest_end(list);
    if (quietly())
        die("another name");
}

static void rename_link(const char *from, const char *to)
{
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    snprintf(ifr.ifr_newname, IFNAMSIZ, "%s", to);
    MUST(if_request(SIOCSIFNAME, &ifr, from));
    name_index(to);
}

static int of_test(const struct nlmsghdr *h)
{
    const struct fib_rule_hdr *m = NLMSG_DATA(h);
    return h->nlmsg_type != RTM_NEWRULE || m->table == 100;
}

static void rules(const char *label)
{
    static const int families[] = { AF_INET, AF_INET6 };
    char all[100];
    rt_wanted = of_test;
    for (int i = 0; i < 2; i++) {
        snprintf(all, sizeof all, "%s, v%d", label, i ? 6 : 4);
        list(all, RTM_GETRULE, families[i]);
    }
    rt_wanted = NULL;
}

static void add_rules(const char *label, const char *iif, const char *oif, unsigned priority)
{
    static const int families[] = { AF_INET, AF_INET6 };
    for (int i = 0; i < 2; i++) {
        rule_request(RTM_NEWRULE, NEW, families[i], 100, FR_ACT_TO_TBL);
        put_u32(FRA_PRIORITY, priority);
        put_text(FRA_IIFNAME, iif);
        put_text(FRA_OIFNAME, oif);
        quietly();
    }
    heard(label);
    rules(label);
}

/* Does a rule lead a socket that is bound to the link to its table? */
static void lookup(const char *label)
{
    struct rtmsg *m = route_request(RTM_GETROUTE, 0, "10.50.0.1", NULL);
    m->rtm_table = m->rtm_protocol = m->rtm_type = m->rtm_scope = 0;
    put_u32(RTA_OIF, if_index("be0"));
    ONLY(RTA_OIF, RTA_TABLE);
    m->rtm_flags = RTM_F_LOOKUP_TABLE;
    ask(label);
    ALL();
}

static void names(void)
{
    ONLY(FRA_PRIORITY, FRA_IIFNAME, FRA_OIFNAME);
    add_rules("rules of a name that nobody has", "other0", "other1", 300);
    other_name(RTM_NEWLINKPROP, "be0", "other0");
    other_name(RTM_NEWLINKPROP, "be1", "other1");
    rules("the links get other names");
    add_rules("rules by other names", "other0", "other1", 301);
    add_rules("rules by an own name and another one", "be0", "other1", 302);
    other_name(RTM_DELLINKPROP, "be1", "other1");
    rules("another name is taken away");
    other_name(RTM_NEWLINKPROP, "be0", "other1");
    rules("another link has the name");
    rename_link("be1", "ren1");
    rules("one is renamed");
    rename_link("ren1", "be1");
    rules("and back");
    rename_link("be0", "ren0");
    rules("the other one is renamed");
    rename_link("ren0", "be0");
    rules("and back as well");
    ALL();
    addr_request(RTM_NEWADDR, 0, "be0", "10.9.0.1/24");
    quietly();
    link_up("be0", 1);
    settled();
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "be0")->rtm_table = 100;
    quietly();
    lookup("a lookup without a rule");
    rule_request(RTM_NEWRULE, NEW, AF_INET, 100, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 400);
    put_text(FRA_OIFNAME, "other0");
    quietly();
    lookup("a lookup by a rule with another name");
    rename_link("be0", "ren0");
    rename_link("ren0", "be0");
    lookup("a lookup after a new name");
    link_up("be0", 0);
    forget();
}

/* ---- what a tap receives ---- */

static void received(const char *label, int type, int last)
{
    struct ndmsg m = { .ndm_family = AF_BRIDGE, .ndm_ifindex = if_index("be2"), .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_SELF };
    unsigned char mac[6] = { 2, 0, 0, 0, 1, last };
    request(type, type == RTM_NEWNEIGH ? NEW : 0, &m, sizeof m);
    put(NDA_LLADDR, mac, 6);
    say(label, "%d", quietly());
}

static void receives(const char *label)
{
    char text[150];
    heard(label);
    snprintf(text, sizeof text, "%s, asked", label);
    link_request(RTM_GETLINK, 0, "be2");
    ask(text);
    int fd = MUST(open("/sys/class/net/be2/flags", O_RDONLY | O_CLOEXEC));
    char flags[20] = "";
    MUST(read(fd, flags, sizeof flags - 1));
    close(fd);
    snprintf(text, sizeof text, "%s, file", label);
    say(text, "%s", strtok(flags, "\n"));
}

static void flags(const char *label, unsigned on, unsigned which)
{
    struct ifinfomsg *m = link_request(RTM_SETLINK, 0, "be2");
    m->ifi_flags = on, m->ifi_change = which;
    quietly();
    settled_on("be2");
    receives(label);
}

static void addresses(void)
{
    int tap = tap_with_address("be2", 1);
    forget();
    ONLY(IFLA_IFNAME, IFLA_PROMISCUITY, IFLA_ALLMULTI);
    received("an address while it is down", RTM_NEWNEIGH, 1);
    receives("an address while it is down");
    flags("it comes up", IFF_UP, IFF_UP);
    flags("it goes down", 0, IFF_UP);
    received("without it while it is down", RTM_DELNEIGH, 1);
    receives("without it while it is down");
    flags("a flag while it is down", IFF_ALLMULTI, IFF_ALLMULTI);
    flags("it is up without it", IFF_UP, IFF_UP);
    received("an address while it is up", RTM_NEWNEIGH, 2);
    receives("an address while it is up");
    flags("promiscuous beside it", IFF_PROMISC, IFF_PROMISC);
    received("promiscuous, without it", RTM_DELNEIGH, 2);
    receives("promiscuous, without it");
    flags("it is down and promiscuous", 0, IFF_UP);
    received("promiscuous, an address", RTM_NEWNEIGH, 3);
    receives("promiscuous, an address");
    flags("no longer promiscuous", 0, IFF_PROMISC);
    flags("up and promiscuous at once", IFF_UP | IFF_PROMISC, IFF_UP | IFF_PROMISC);
    flags("down and not promiscuous at once", 0, IFF_UP | IFF_PROMISC);
    ALL();
    close(tap);
}

/* ---- IPv6 begins anew ---- */

static void show_parms(const struct nlmsghdr *h)
{
    int len = h->nlmsg_len - NLMSG_SPACE(sizeof(struct ndtmsg));
    const struct rtattr *a = (const void *)((const char *)h + NLMSG_SPACE(sizeof(struct ndtmsg)));
    for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if (a->rta_type != NDTA_PARMS)
            continue;
        int within = RTA_PAYLOAD(a), index = 0;
        const struct rtattr *p = RTA_DATA(a);
        for (; RTA_OK(p, within); p = RTA_NEXT(p, within))
            if (p->rta_type == NDTPA_IFINDEX)
                memcpy(&index, RTA_DATA(p), 4);
        out(" ");
        if (index)
            out_index(index);
        else
            out("table");
    }
}

static void order(const char *label)
{
    static const int families[] = { AF_INET, AF_INET6 };
    for (int i = 0; i < 2; i++) {
        out("%s", i ? "; v6" : "v4");
        each(RTM_GETNEIGHTBL, families[i], show_parms);
    }
    out_line(label);
}

static void size(const char *name, int mtu)
{
    struct ifreq ifr;
    memset(&ifr, 0, sizeof ifr);
    ifr.ifr_mtu = mtu;
    MUST(if_request(SIOCSIFMTU, &ifr, name));
}

static void anew(void)
{
    order("tables of new links");
    size("be0", 1279);
    order("one without IPv6");
    size("be0", 1280);
    order("IPv6 again");
    size("be0", 1400);
    order("another size");
    int tun = tun_named("be3");
    order("one more link");
    size("be1", 68);
    size("be1", 1500);
    order("the second one anew");
    close(tun);
    order("one is gone");
    for (int i = 0; i < 2; i++) {
        link_request(RTM_SETLINK, 0, "be1");
        put_u32(IFLA_MTU, i ? 1500 : 68);
        size_t spec = nest(IFLA_AF_SPEC), six = nest(AF_INET6);
        put_u8(IFLA_INET6_ADDR_GEN_MODE, 1);
        nest_end(six);
        nest_end(spec);
        ask(i ? "size and mode where there is no IPv6" : "size that ends IPv6, and its mode");
    }
    say("then", "%d", if_mtu("be1"));
    size("be1", 1500);
}

/* ---- the loopback without IPv4 ---- */

/* The order of the attributes within IFLA_AF_SPEC is all that counts here. */
static void show_families(const struct nlmsghdr *h)
{
    int len = IFLA_PAYLOAD(h);
    for (const struct rtattr *a = IFLA_RTA(NLMSG_DATA(h)); RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if ((a->rta_type & NLA_TYPE_MASK) != IFLA_AF_SPEC)
            continue;
        int within = RTA_PAYLOAD(a);
        for (const struct rtattr *f = RTA_DATA(a); RTA_OK(f, within); f = RTA_NEXT(f, within))
            out(" %d", f->rta_type & NLA_TYPE_MASK);
    }
    out(";");
}

static void without_inet4(void)
{
    static const int sizes[] = { 67, 68, 65536 };
    char label[100];
    neigh_request(RTM_NEWNEIGH, NEW, "lo", "10.2.0.1", NUD_PERMANENT);
    put(NDA_LLADDR, "\2\0\0\0\0\1", 6);
    say("a neighbour of lo", "%d", quietly());
    listener = rt_socket(SOCK_RAW, 1 << (RTNLGRP_NEIGH - 1) | 1 << (RTNLGRP_IPV4_NETCONF - 1));
    struct sockaddr_nl at;
    socklen_t len = sizeof at;
    MUST(getsockname(nl, (struct sockaddr *)&at, &len));
    rt_port = at.nl_pid;
    for (int i = 0; i < 3; i++) {
        link_request(RTM_SETLINK, 0, "lo");
        put_u32(IFLA_MTU, sizes[i]);
        if (!i) {
            size_t spec = nest(IFLA_AF_SPEC), inet = nest(AF_INET);
            nest_end(inet);
            nest_end(spec);
        }
        snprintf(label, sizeof label, "lo of size %d", sizes[i]);
        ask(label);
        ONLY(1, 2);
        heard(label);
        ALL();
        each(RTM_GETLINK, AF_UNSPEC, show_families);
        snprintf(label, sizeof label, "lo of size %d, families", sizes[i]);
        out_line(label);
        snprintf(label, sizeof label, "lo of size %d, tables", sizes[i]);
        order(label);
        ONLY(1);
        snprintf(label, sizeof label, "lo of size %d, settings", sizes[i]);
        list(label, RTM_GETNETCONF, AF_INET);
        struct netconfmsg m = { AF_INET };
        request(RTM_GETNETCONF, 0, &m, sizeof m);
        put_u32(NETCONFA_IFINDEX, if_index("lo"));
        snprintf(label, sizeof label, "lo of size %d, its settings", sizes[i]);
        ask(label);
        neigh_request(RTM_NEWNEIGH, NEW, "lo", "10.2.0.2", NUD_NOARP);
        snprintf(label, sizeof label, "lo of size %d, a neighbour", sizes[i]);
        ask(label);
        static const char *const exempt[] = { "disable_policy", "disable_xfrm" };
        for (int e = 0; sizes[i] >= 68 && e < 2; e++) {
            char path[100], value[8] = "";
            snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/lo/%s", exempt[e]);
            int fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
            MUST(read(fd, value, sizeof value - 1));
            close(fd);
            snprintf(label, sizeof label, "lo of size %d, %s", sizes[i], exempt[e]);
            say(label, "%s", strtok(value, "\n"));
        }
        addr_request(RTM_NEWADDR, 0, "lo", "127.0.0.5/8");
        snprintf(label, sizeof label, "lo of size %d, an address", sizes[i]);
        ask(label);
        ALL();
    }
    close(listener);
}

/* ---- never up ---- */

static void filters(const char *link)
{
    static const unsigned parents[] = { 0, TC_H_ROOT, 0x10000, 1 };
    static const int types[] = { RTM_GETTFILTER, RTM_DELTFILTER, RTM_NEWTFILTER, RTM_GETCHAIN, RTM_DELCHAIN };
    char label[100];
    for (int t = 0; t < 5; t++)
        for (int i = 0; i < 4; i++) {
            struct tcmsg m = { .tcm_ifindex = if_index(link), .tcm_parent = parents[i], .tcm_info = 0x10008 };
            request(types[t], 0, &m, sizeof m);
            snprintf(label, sizeof label, "%s, never up, request %d below %x", link, types[t], parents[i]);
            ask(label);
        }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    own_sysfs();
    rt_start();
    name_index("lo");
    int tun[2] = { tun_named("be0"), tun_named("be1") };
    filters("lo");
    filters("be0");
    anew();
    without_inet4();
    listener = rt_socket(SOCK_RAW, 0);
    static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE };
    for (int i = 0; i < 3; i++)
        MUST(setsockopt(listener, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]));
    struct sockaddr_nl at;
    socklen_t len = sizeof at;
    MUST(getsockname(nl, (struct sockaddr *)&at, &len));
    rt_port = at.nl_pid;
    names();
    addresses();
    close(tun[0]);
    close(tun[1]);
    return 0;
}
