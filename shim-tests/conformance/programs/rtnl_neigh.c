/* Neighbours through rtnetlink, on a tap and a tun. */
#include "rtnl.h"

#define NEW (NLM_F_CREATE | NLM_F_EXCL)

/* Not what the kernel learns by itself, of multicast, and not what is forgotten by itself. */
static int lasting(const struct nlmsghdr *h)
{
    const struct ndmsg *m = NLMSG_DATA(h);
    if (m->ndm_family == AF_INET6 && m->ndm_state & NUD_NOARP)
        return 0;
    return !(m->ndm_state & (NUD_NOARP | NUD_INCOMPLETE | NUD_FAILED)) || m->ndm_state == NUD_NOARP;
}

static void neighbours(const char *what, int family)
{
    char label[100];
    snprintf(label, sizeof label, "%s, list", what);
    rt_wanted = lasting;
    dump_request(RTM_GETNEIGH, family);
    ask(label);
    rt_wanted = NULL;
}

static void neigh(const char *label, int flags, const char *name, const char *to, int state, const char *lladdr, size_t len)
{
    neigh_request(RTM_NEWNEIGH, flags, name, to, state);
    if (lladdr)
        put(NDA_LLADDR, lladdr, len);
    ask(label);
}

static void forget(const char *label, const char *name, const char *to)
{
    neigh_request(RTM_DELNEIGH, 0, name, to, 0);
    ask(label);
}

#define MAC1 "\x02\0\0\0\0\x11", 6
#define MAC2 "\x02\0\0\0\0\x22", 6

static void states(const char *name, int net)
{
    static const struct { int state; const char *text; } all[] = {
        { NUD_PERMANENT, "permanent" }, { NUD_NOARP, "noarp" }, { NUD_STALE, "stale" }, { NUD_REACHABLE, "reachable" }, { NUD_NONE, "none" },
        { NUD_FAILED, "failed" }, { NUD_PERMANENT | NUD_STALE, "permanent and stale" } };
    char label[80], to[40];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(label, sizeof label, "%s %s", name, all[i].text);
        snprintf(to, sizeof to, "10.%d.0.%zu", net, 10 + i);
        neigh(label, NEW, name, to, all[i].state, MAC1);
        neigh_request(RTM_GETNEIGH, 0, name, to, 0);
        snprintf(label, sizeof label, "%s %s, get", name, all[i].text);
        ask(label);
        snprintf(label, sizeof label, "%s %s, delete", name, all[i].text);
        forget(label, name, to);
    }
}

static void changes(void)
{
    neigh("new", NEW, "tap0", "10.20.0.50", NUD_PERMANENT, MAC1);
    neigh("again, EXCL", NEW, "tap0", "10.20.0.50", NUD_PERMANENT, MAC1);
    neigh("again, CREATE", NLM_F_CREATE, "tap0", "10.20.0.50", NUD_PERMANENT, MAC2);
    neighbours("again, CREATE", AF_INET);
    neigh("again, no flags", 0, "tap0", "10.20.0.50", NUD_PERMANENT, MAC2);
    neigh("REPLACE", NLM_F_REPLACE, "tap0", "10.20.0.50", NUD_PERMANENT, MAC2);
    neighbours("REPLACE", AF_INET);
    neigh("CREATE and REPLACE", NLM_F_CREATE | NLM_F_REPLACE, "tap0", "10.20.0.51", NUD_PERMANENT, MAC2);
    neigh("APPEND", NLM_F_CREATE | NLM_F_APPEND, "tap0", "10.20.0.50", NUD_PERMANENT, MAC1);
    neigh("missing, no flags", 0, "tap0", "10.20.0.52", NUD_PERMANENT, MAC1);
    neigh("missing, REPLACE", NLM_F_REPLACE, "tap0", "10.20.0.52", NUD_PERMANENT, MAC1);
    neigh("REPLACE to none", NLM_F_REPLACE, "tap0", "10.20.0.51", NUD_NONE, NULL, 0);
    neigh("REPLACE of the state alone", NLM_F_REPLACE, "tap0", "10.20.0.50", NUD_NOARP, NULL, 0);
    neighbours("changed", AF_INET);
    neigh("no lladdr, permanent", NEW, "tap0", "10.20.0.60", NUD_PERMANENT, NULL, 0);
    neigh("no lladdr, none", NEW, "tap0", "10.20.0.61", NUD_NONE, NULL, 0);
    neigh("lladdr of 4 bytes", NEW, "tap0", "10.20.0.62", NUD_PERMANENT, "\x02\0\0\0", 4);
    neigh("lladdr of 8 bytes", NEW, "tap0", "10.20.0.63", NUD_PERMANENT, "\x02\0\0\0\0\x33\0\0", 8);
    neigh("no interface", NEW, NULL, "10.20.0.64", NUD_PERMANENT, MAC1);
    neigh_request(RTM_NEWNEIGH, NEW, NULL, "10.20.0.64", NUD_PERMANENT)->ndm_ifindex = 9999;
    ask("interface 9999");
    struct ndmsg *m = neigh_request(RTM_NEWNEIGH, NEW, "tap0", "", NUD_PERMANENT);
    m->ndm_family = AF_INET;
    put(NDA_LLADDR, MAC1);
    ask("no destination");
    m = neigh_request(RTM_NEWNEIGH, NEW, "tap0", "", NUD_PERMANENT);
    m->ndm_family = AF_INET;
    put(NDA_DST, "\x0a\x14", 2);
    ask("destination of 2 bytes");
    m = neigh_request(RTM_NEWNEIGH, NEW, "tap0", "fd20::1", NUD_PERMANENT);
    m->ndm_family = AF_INET;
    put(NDA_LLADDR, MAC1);
    ask("destination of 16 bytes");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.0.65", NUD_PERMANENT)->ndm_family = 200;
    ask("family 200");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.0.65", NUD_PERMANENT)->ndm_family = AF_UNSPEC;
    ask("family 0");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.0.65", NUD_PERMANENT)->ndm_family = AF_BRIDGE;
    ask("family bridge");
    neigh("multicast destination", NEW, "tap0", "224.0.0.9", NUD_PERMANENT, MAC1);
    neigh("broadcast destination", NEW, "tap0", "255.255.255.255", NUD_PERMANENT, MAC1);
    neigh("zero destination", NEW, "tap0", "0.0.0.0", NUD_PERMANENT, MAC1);
    neigh("on lo", NEW, "lo", "127.0.0.9", NUD_PERMANENT, MAC1);
    forget("delete a missing one", "tap0", "10.20.0.99");
    forget("delete without an interface", NULL, "10.20.0.50");
    forget("delete", "tap0", "10.20.0.50");
    forget("delete again", "tap0", "10.20.0.50");
    m = neigh_request(RTM_DELNEIGH, 0, "tap0", "", 0);
    m->ndm_family = AF_INET;
    ask("delete without a destination");
}

static unsigned rt_left[64];
static int rt_lefts;

static void of_no_interface(const struct nlmsghdr *h)
{
    const struct rtattr *to = (const void *)((const char *)NLMSG_DATA(h) + sizeof(struct ndmsg));
    if (!((const struct ndmsg *)NLMSG_DATA(h))->ndm_ifindex && to->rta_type == NDA_DST && rt_lefts < 64)
        memcpy(&rt_left[rt_lefts++], RTA_DATA(to), 4);
}

/* The kernel keeps proxies of no interface when their namespace ends, and shows them in one that
 * comes to lie in the same memory. */
static void forget_those_of_no_interface(void)
{
    rt_lefts = 0;
    ((struct ndmsg *)dump_request(RTM_GETNEIGH, AF_INET))->ndm_flags = NTF_PROXY;
    if (!each_answer(of_no_interface))
        say("proxies of no interface", "no end");
    for (int i = 0; i < rt_lefts; i++) {
        neigh_request(RTM_DELNEIGH, 0, NULL, inet_ntoa((struct in_addr){ rt_left[i] }), 0)->ndm_flags = NTF_PROXY;
        quietly();
    }
}

static void flags(void)
{
    forget_those_of_no_interface();
    static const struct { int flag; const char *text; } all[] = { { NTF_ROUTER, "router" }, { NTF_EXT_LEARNED, "ext_learned" },
                                                                  { NTF_USE, "use" }, { NTF_SELF, "self" }, { NTF_MASTER, "master" },
                                                                  { NTF_STICKY, "sticky" }, { NTF_OFFLOADED, "offloaded" } };
    char label[80], to[40];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(label, sizeof label, "flag %s", all[i].text);
        snprintf(to, sizeof to, "10.20.1.%zu", 10 + i);
        neigh_request(RTM_NEWNEIGH, NEW, "tap0", to, NUD_PERMANENT)->ndm_flags = all[i].flag;
        put(NDA_LLADDR, MAC1);
        ask(label);
        snprintf(label, sizeof label, "flag %s, get", all[i].text);
        neigh_request(RTM_GETNEIGH, 0, "tap0", to, 0);
        ask(label);
        if (all[i].flag == NTF_USE)
            forget("flag use, delete", "tap0", to);
    }
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.1.50", NUD_PERMANENT)->ndm_flags = NTF_PROXY;
    ask("proxy");
    neigh_request(RTM_NEWNEIGH, NEW, NULL, "10.20.1.51", NUD_PERMANENT)->ndm_flags = NTF_PROXY;
    ask("proxy of no interface");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.1.50", NUD_PERMANENT)->ndm_flags = NTF_PROXY;
    ask("proxy again, EXCL");
    neighbours("proxies are not shown", AF_INET);
    ((struct ndmsg *)dump_request(RTM_GETNEIGH, AF_INET))->ndm_flags = NTF_PROXY;
    ask("proxies");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "10.20.1.50", 0)->ndm_flags = NTF_PROXY;
    ask("get a proxy");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "10.20.1.55", 0)->ndm_flags = NTF_PROXY;
    ask("get a missing proxy");
    neigh_request(RTM_DELNEIGH, 0, "tap0", "10.20.1.50", 0)->ndm_flags = NTF_PROXY;
    ask("delete a proxy");
    ask("delete a proxy again");
    neigh_request(RTM_DELNEIGH, 0, NULL, "10.20.1.51", 0)->ndm_flags = NTF_PROXY;
    ask("delete the proxy of no interface");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.1.60", NUD_PERMANENT);
    put(NDA_LLADDR, MAC1);
    put_u8(NDA_PROTOCOL, 42);
    ask("protocol 42");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.1.61", NUD_PERMANENT);
    put(NDA_LLADDR, MAC1);
    put_u32(NDA_FLAGS_EXT, 1);
    ask("managed and permanent");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "10.20.1.62", NUD_PERMANENT);
    put(NDA_LLADDR, MAC1);
    put_u32(40, 1);
    ask("unknown attribute 40");
    neighbours("protocol", AF_INET);
}

static void v6(void)
{
    neigh("v6 new", NEW, "tap0", "fd20::50", NUD_PERMANENT, MAC1);
    neigh("v6 again, EXCL", NEW, "tap0", "fd20::50", NUD_PERMANENT, MAC1);
    neigh("v6 stale", NEW, "tap0", "fd20::51", NUD_STALE, MAC2);
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "fd20::52", NUD_PERMANENT)->ndm_flags = NTF_ROUTER;
    put(NDA_LLADDR, MAC1);
    ask("v6 router");
    neigh_request(RTM_NEWNEIGH, NEW, "tap0", "fd20::53", NUD_PERMANENT)->ndm_flags = NTF_PROXY;
    ask("v6 proxy");
    neigh("v6 on a tun", NEW, "tun0", "fd09::50", NUD_PERMANENT, MAC1);
    neigh("v6 on a tun without lladdr", NEW, "tun0", "fd09::51", NUD_PERMANENT, NULL, 0);
    neigh("v6 multicast", NEW, "tap0", "ff02::9", NUD_PERMANENT, MAC1);
    neigh_request(RTM_GETNEIGH, 0, "tap0", "fd20::50", 0);
    ask("v6 get");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "fd20::99", 0);
    ask("v6 get a missing one");
    forget("v6 delete", "tap0", "fd20::50");
    forget("v6 delete again", "tap0", "fd20::50");
}

static void errors_of_get(void)
{
    neigh_request(RTM_GETNEIGH, 0, NULL, "10.20.1.60", 0);
    ask("get without an interface");
    neigh_request(RTM_GETNEIGH, 0, NULL, "10.20.1.60", 0)->ndm_ifindex = 9999;
    ask("get, interface 9999");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "10.20.1.99", 0);
    ask("get a missing one");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "", 0)->ndm_family = AF_INET;
    ask("get without a destination");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "10.20.1.60", 0)->ndm_family = 0;
    ask("get, family 0");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "10.20.1.60", NUD_STALE);
    ask("get with a state");
    neigh_request(RTM_GETNEIGH, 0, "tap0", "10.20.1.60", 0);
    put(NDA_LLADDR, MAC1);
    ask("get with an lladdr");
    struct ndmsg m = { .ndm_family = AF_INET };
    request(RTM_NEWNEIGH, NEW, &m, 4);
    ask("short header");
}

static void dump_with(const char *label, int family, int attr, unsigned value)
{
    dump_request(RTM_GETNEIGH, family);
    if (attr)
        put_u32(attr, value);
    rt_wanted = lasting;
    ask(label);
    rt_wanted = NULL;
}

static void dumps(void)
{
    ONLY(NDA_DST, NDA_LLADDR);
    neigh("dump, one of the tun", NEW, "tun0", "10.9.0.70", NUD_PERMANENT, MAC1);
    dump_with("dump of the tap's", AF_INET, NDA_IFINDEX, if_index("tap0"));
    dump_with("dump of the tun's", AF_INET, NDA_IFINDEX, if_index("tun0"));
    dump_with("dump of interface 9999", AF_INET, NDA_IFINDEX, 9999);
    dump_with("dump of master 9999", AF_INET, NDA_MASTER, 9999);
    dump_with("dump of master 0", AF_INET, NDA_MASTER, 0);
    ((struct ndmsg *)dump_request(RTM_GETNEIGH, AF_INET))->ndm_ifindex = if_index("tun0");
    ask("dump with an index in the header");
    ((struct ndmsg *)dump_request(RTM_GETNEIGH, AF_INET))->ndm_state = NUD_STALE;
    ask("dump with a state in the header");
    dump_with("dump of all families", AF_UNSPEC, 0, 0);
    dump_with("dump of family 200", 200, 0, 0);
    dump_with("dump of family bridge", AF_BRIDGE, 0, 0);
    struct rtgenmsg one = { AF_INET };
    request(RTM_GETNEIGH, NLM_F_DUMP, &one, 1);
    ask("dump with a one-byte header");
    strict(1);
    dump_with("strict, dump", AF_INET, 0, 0);
    dump_with("strict, dump of the tun's", AF_INET, NDA_IFINDEX, if_index("tun0"));
    dump_with("strict, dump of interface 9999", AF_INET, NDA_IFINDEX, 9999);
    dump_with("strict, dump with a protocol", AF_INET, NDA_PROTOCOL, 9);
    ((struct ndmsg *)dump_request(RTM_GETNEIGH, AF_INET))->ndm_ifindex = if_index("tun0");
    ask("strict, dump with an index in the header");
    ((struct ndmsg *)dump_request(RTM_GETNEIGH, AF_INET))->ndm_flags = NTF_ROUTER;
    ask("strict, dump with a flag in the header");
    request(RTM_GETNEIGH, NLM_F_DUMP, &one, 1);
    ask("strict, dump with a one-byte header");
    strict(0);
    ALL();
    neighbours("before down", AF_INET);
    link_up("tap0", 0);
    neighbours("the tap is down", AF_INET);
    link_up("tap0", 1);
    neigh("new again", NEW, "tap0", "10.20.0.50", NUD_PERMANENT, MAC1);
    struct ifreq ifr = { .ifr_hwaddr = { 1, "\x02\0\0\0\0\x77" } };
    SHOW("the tap's address changes", if_request(SIOCSIFHWADDR, &ifr, "tap0"));
    neighbours("the tap's address changed", AF_INET);
    link_up("tap0", 0);
    neigh("new while down", NEW, "tap0", "10.20.0.50", NUD_PERMANENT, MAC1);
    neigh("stale while down", NEW, "tap0", "10.20.0.51", NUD_STALE, MAC1);
    neighbours("while down", AF_INET);
}

static int of_interest(const struct nlmsghdr *h)
{
    const struct rtattr *a = (const void *)((const char *)NLMSG_DATA(h) + sizeof(struct ndtmsg));
    int len = h->nlmsg_len - NLMSG_LENGTH(sizeof(struct ndtmsg));
    const char *name = "";
    int parms = 0, index = -1;
    for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        if (a->rta_type == NDTA_NAME)
            name = RTA_DATA(a);
        if (a->rta_type == NDTA_PARMS) {
            int left = RTA_PAYLOAD(a);
            parms = 1;
            for (const struct rtattr *b = RTA_DATA(a); RTA_OK(b, left); b = RTA_NEXT(b, left))
                if (b->rta_type == NDTPA_IFINDEX)
                    memcpy(&index, RTA_DATA(b), 4);
        }
    }
    return parms && index != 1 && strcmp(name, "dn_neigh_cache");
}

static void tables(void)
{
    rt_wanted = of_interest;
    list("tables, v4", RTM_GETNEIGHTBL, AF_INET);
    list("tables, v6", RTM_GETNEIGHTBL, AF_INET6);
    rt_wanted = NULL;
    struct ndtmsg m = { .ndtm_family = AF_INET };
    request(RTM_SETNEIGHTBL, 0, &m, sizeof m);
    ask("set of no table");
    request(RTM_SETNEIGHTBL, 0, &m, sizeof m);
    put_text(NDTA_NAME, "nosuch_cache");
    ask("set of a missing table");
    request(RTM_SETNEIGHTBL, 0, &m, sizeof m);
    put_text(NDTA_NAME, "arp_cache");
    size_t parms = nest(NDTA_PARMS);
    put_u32(NDTPA_IFINDEX, if_index("tap0"));
    put_u32(NDTPA_APP_PROBES, 5);
    nest_end(parms);
    ask("set app_probes of the tap");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    rt_sorted = 1;
    int tun = tun_named("tun0"), tap = tap_with_address("tap0", 1);
    addr_request(RTM_NEWADDR, 0, "tun0", "10.9.0.1/24");
    ask("address of the tun");
    addr_request(RTM_NEWADDR, 0, "tap0", "10.20.0.1/16");
    ask("address of the tap");
    neighbours("at first", AF_INET);
    link_up("tun0", 1);
    link_up("tap0", 1);
    settled();
    neighbours("up", AF_INET);
    states("tap0", 20);
    states("tun0", 9);
    changes();
    flags();
    errors_of_get();
    v6();
    dumps();
    tables();
    forget_those_of_no_interface();
    close(tun);
    close(tap);
    return 0;
}
