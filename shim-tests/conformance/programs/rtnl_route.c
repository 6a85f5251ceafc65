/* Routes through rtnetlink: tables, types, metrics, several next hops, lookups, what up and down
 * do to them. */
#include "rtnl.h"

static int only_table;

static int of_table(const struct nlmsghdr *h)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    unsigned table = m->rtm_table;
    int len = RTM_PAYLOAD(h);
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len))
        if (a->rta_type == RTA_TABLE)
            memcpy(&table, RTA_DATA(a), 4);
    return !only_table || (int)table == only_table;
}

/* The routes of a table; 0 for all. */
static void routes(const char *what, int family, int table)
{
    char label[100];
    snprintf(label, sizeof label, "%s, list", what);
    only_table = table;
    rt_wanted = of_table;
    dump_request(RTM_GETROUTE, family);
    ask(label);
    rt_wanted = NULL;
}

static unsigned char first[4096] __attribute__((aligned(8)));

static void take_first(const struct nlmsghdr *h)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    if (!((struct nlmsghdr *)first)->nlmsg_len && m->rtm_table != RT_TABLE_LOCAL && m->rtm_protocol != RTPROT_KERNEL
        && h->nlmsg_len <= sizeof first)
        memcpy(first, h, h->nlmsg_len);
}

static void flush(int family)
{
    for (int n = 0; n < 100; n++) {
        memset(first, 0, sizeof first);
        if (!each(RTM_GETROUTE, family, take_first) || !((struct nlmsghdr *)first)->nlmsg_len)
            return;
        memcpy(rt_ask, first, ((struct nlmsghdr *)first)->nlmsg_len);
        rt_head->nlmsg_type = RTM_DELROUTE;
        rt_head->nlmsg_flags = NLM_F_REQUEST;
        rt_head->nlmsg_pid = 0;
        if (quietly())
            return;
    }
}

static void address(const char *name, const char *cidr)
{
    addr_request(RTM_NEWADDR, NLM_F_CREATE, name, cidr);
    if (family_of(cidr) == AF_INET6)
        put_u32(IFA_FLAGS, IFA_F_NODAD);
    if (quietly())
        die("address");
}

static void route(const char *label, int flags, const char *cidr, const char *name)
{
    route_request(RTM_NEWROUTE, flags, cidr, name);
    ask(label);
}

#define NEW (NLM_F_CREATE | NLM_F_EXCL)

/* ---- IPv4 ---- */

static void v4(void)
{
    routes("v4 at first", AF_INET, 0);
    route("v4 while down", NEW, "10.50.0.0/16", "tun0");
    address("tun0", "10.9.0.1/24");
    routes("v4, address while down", AF_INET, 0);
    link_up("tun0", 1);
    routes("v4, address and up", AF_INET, 0);
    address("tun0", "10.9.0.2/24");
    routes("v4, second address", AF_INET, 0);
    address("tun0", "10.8.0.1/32");
    routes("v4, /32", AF_INET, RT_TABLE_MAIN);
    link_up("tap0", 1);
    address("tap0", "10.20.0.1/24");
    routes("v4, tap", AF_INET, 0);
    route("v4 link route", NEW, "10.50.0.0/16", "tun0");
    route("v4 again, EXCL", NEW, "10.50.0.0/16", "tun0");
    route("v4 again, CREATE", NLM_F_CREATE, "10.50.0.0/16", "tun0");
    route("v4 again, no flags", 0, "10.50.0.0/16", "tun0");
    route("v4 missing, no flags", 0, "10.51.0.0/16", "tun0");
    route("v4 missing, REPLACE alone", NLM_F_REPLACE, "10.51.0.0/16", "tun0");
    route("v4 missing, CREATE and REPLACE", NLM_F_CREATE | NLM_F_REPLACE, "10.51.0.0/16", "tun0");
    route("v4 another device, CREATE", NLM_F_CREATE, "10.50.0.0/16", "tap0");
    route("v4 another device, REPLACE", NLM_F_REPLACE, "10.50.0.0/16", "tap0");
    route("v4 APPEND", NLM_F_CREATE | NLM_F_APPEND, "10.50.0.0/16", "tun0");
    routes("v4, replaced and appended", AF_INET, RT_TABLE_MAIN);
    flush(AF_INET);
    routes("v4, flushed", AF_INET, RT_TABLE_MAIN);
}

static void v4_attributes(void)
{
    static const char *const tables[] = { "100", "1000", "255", "253", "0" };
    for (int i = 0; i < 5; i++) {
        char label[40];
        int table = atoi(tables[i]);
        struct rtmsg *m = route_request(RTM_NEWROUTE, NEW, "10.60.0.0/16", "tun0");
        m->rtm_table = table < 256 ? table : RT_TABLE_UNSPEC;
        put_u32(RTA_TABLE, table);
        snprintf(label, sizeof label, "v4 table %d", table);
        ask(label);
        if (table < 256)
            routes(label, AF_INET, table ? table : RT_TABLE_MAIN);
        else
            routes(label, AF_INET, table);
    }
    struct rtmsg *m = route_request(RTM_DELROUTE, 0, "10.60.0.0/16", "tun0");
    m->rtm_table = 255;
    ask("v4 delete of table local");
    flush(AF_INET);
    for (int type = 0; type <= 12; type++) {
        char label[40], to[40];
        snprintf(label, sizeof label, "v4 type %d", type);
        snprintf(to, sizeof to, "10.61.%d.0/24", type);
        m = route_request(RTM_NEWROUTE, NEW, to, NULL);
        m->rtm_type = type;
        m->rtm_scope = type == RTN_LOCAL ? RT_SCOPE_HOST : type == RTN_UNICAST || type == RTN_BROADCAST ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
        if (type == RTN_UNICAST || type == RTN_LOCAL || type == RTN_BROADCAST || type == RTN_ANYCAST || type == RTN_MULTICAST || type == RTN_NAT)
            put_u32(RTA_OIF, if_index("tun0"));
        ask(label);
    }
    m = route_request(RTM_NEWROUTE, NEW, "10.62.0.0/16", "tun0");
    m->rtm_type = RTN_BLACKHOLE;
    m->rtm_scope = RT_SCOPE_UNIVERSE;
    ask("v4 blackhole with a device");
    m = route_request(RTM_NEWROUTE, NEW, "10.63.0.0/16", NULL);
    ask("v4 unicast without device and gateway");
    routes("v4 types", AF_INET, RT_TABLE_MAIN);
    flush(AF_INET);
    static const int scopes[] = { RT_SCOPE_UNIVERSE, RT_SCOPE_SITE, RT_SCOPE_LINK, RT_SCOPE_HOST, RT_SCOPE_NOWHERE };
    for (int i = 0; i < 5; i++) {
        char label[40], to[40];
        snprintf(label, sizeof label, "v4 scope %d", scopes[i]);
        snprintf(to, sizeof to, "10.64.%d.0/24", i);
        m = route_request(RTM_NEWROUTE, NEW, to, "tun0");
        m->rtm_scope = scopes[i];
        ask(label);
    }
    routes("v4 scopes", AF_INET, RT_TABLE_MAIN);
    flush(AF_INET);
    route_request(RTM_NEWROUTE, NEW, "10.65.0.0/16", "tun0");
    put_u32(RTA_PRIORITY, 77);
    put_address(RTA_PREFSRC, "10.9.0.1");
    size_t metrics = nest(RTA_METRICS);
    put_u32(RTAX_MTU, 1300);
    put_u32(RTAX_ADVMSS, 1200);
    put_u32(RTAX_HOPLIMIT, 9);
    put_u32(RTAX_LOCK, 1 << RTAX_MTU);
    put_text(RTAX_CC_ALGO, "reno");
    nest_end(metrics);
    ask("v4 priority, prefsrc, metrics");
    routes("v4 priority, prefsrc, metrics", AF_INET, RT_TABLE_MAIN);
    route_request(RTM_NEWROUTE, NEW, "10.66.0.0/16", "tun0");
    metrics = nest(RTA_METRICS);
    put_u32(40, 1);
    nest_end(metrics);
    ask("v4 unknown metric");
    route_request(RTM_NEWROUTE, NEW, "10.66.0.0/16", "tun0");
    metrics = nest(RTA_METRICS);
    put_text(RTAX_CC_ALGO, "nosuch");
    nest_end(metrics);
    ask("v4 unknown congestion control");
    route_request(RTM_NEWROUTE, NEW, "10.66.0.0/16", "tun0");
    metrics = nest(RTA_METRICS);
    put_u16(RTAX_MTU, 1);
    nest_end(metrics);
    ask("v4 metric of 2 bytes");
    route_request(RTM_NEWROUTE, NEW, "10.66.0.0/16", "tun0");
    metrics = nest(RTA_METRICS);
    put_u32(RTAX_MTU, 100000);
    put_u32(RTAX_HOPLIMIT, 300);
    nest_end(metrics);
    ask("v4 metrics too big");
    routes("v4 metrics too big", AF_INET, RT_TABLE_MAIN);
    route_request(RTM_NEWROUTE, NEW, "10.67.0.0/16", "tun0");
    put_address(RTA_PREFSRC, "10.77.0.1");
    ask("v4 prefsrc of nobody");
    route_request(RTM_NEWROUTE, NEW, "10.67.0.0/16", "tun0")->rtm_tos = 0x10;
    ask("v4 tos 0x10");
    route_request(RTM_NEWROUTE, NEW, "10.67.0.0/16", "tun0")->rtm_tos = 0x3;
    ask("v4 tos 3");
    route_request(RTM_NEWROUTE, NEW, "10.67.0.0/16", "tun0")->rtm_protocol = 99;
    put_u32(RTA_PRIORITY, 5);
    ask("v4 protocol 99");
    routes("v4 tos and protocol", AF_INET, RT_TABLE_MAIN);
    flush(AF_INET);
    route_request(RTM_NEWROUTE, NEW, "10.67.0.0/16", "tun0");
    put_u32(RTA_EXPIRES, 10);
    ask("v4 expires");
    route_request(RTM_NEWROUTE, NEW, "10.68.0.0/16", "tun0");
    put_u8(RTA_PREF, 1);
    put_u32(RTA_FLOW, 3);
    put_u32(RTA_MARK, 3);
    put_u32(60, 3);
    ask("v4 needless attributes");
    route_request(RTM_NEWROUTE, NEW, "10.69.0.0/16", "tun0")->rtm_flags = RTNH_F_DEAD;
    ask("v4 flag dead");
    route_request(RTM_NEWROUTE, NEW, "10.69.0.0/16", "tun0")->rtm_flags = RTNH_F_LINKDOWN;
    ask("v4 flag linkdown");
    route_request(RTM_NEWROUTE, NEW, "10.69.0.0/16", "tun0")->rtm_flags = RTNH_F_PERVASIVE;
    ask("v4 flag pervasive");
    routes("v4 needless attributes", AF_INET, RT_TABLE_MAIN);
    flush(AF_INET);
}

static void via(const char *label, const char *cidr, const char *gateway, const char *name, int flags)
{
    struct rtmsg *m = route_request(RTM_NEWROUTE, NEW, cidr, name);
    m->rtm_scope = RT_SCOPE_UNIVERSE;
    m->rtm_flags = flags;
    put_address(RTA_GATEWAY, gateway);
    ask(label);
}

static void hop(const char *name, int weight, const char *gateway, int flags)
{
    struct rtnexthop *h = (void *)(rt_ask + rt_head->nlmsg_len);
    size_t at = rt_head->nlmsg_len;
    struct rtnexthop made = { .rtnh_len = sizeof *h, .rtnh_flags = flags, .rtnh_hops = weight - 1 };
    made.rtnh_ifindex = name ? if_index(name) : 0;
    memcpy(h, &made, sizeof made);
    rt_head->nlmsg_len += sizeof *h;
    if (gateway)
        put_address(RTA_GATEWAY, gateway);
    h->rtnh_len = rt_head->nlmsg_len - at;
}

static void v4_gateways(void)
{
    via("v4 via the net", "10.70.0.0/16", "10.20.0.9", NULL, 0);
    via("v4 via the net and device", "10.71.0.0/16", "10.20.0.9", "tap0", 0);
    via("v4 via another device", "10.72.0.0/16", "10.20.0.9", "tun0", 0);
    via("v4 via another device, onlink", "10.72.0.0/16", "10.20.0.9", "tun0", RTNH_F_ONLINK);
    via("v4 onlink without a device", "10.73.0.0/16", "10.20.0.9", NULL, RTNH_F_ONLINK);
    via("v4 via nowhere", "10.73.0.0/16", "10.99.0.9", NULL, 0);
    via("v4 via itself", "10.73.0.0/16", "10.20.0.1", NULL, 0);
    via("v4 via broadcast", "10.73.0.0/16", "10.20.0.255", "tap0", 0);
    via("v4 default", "default", "10.20.0.9", NULL, 0);
    via("v4 default again", "default", "10.20.0.8", NULL, 0);
    via("v4 via the default's gateway", "10.74.0.0/16", "8.8.8.8", NULL, 0);
    route_request(RTM_NEWROUTE, NEW, "10.75.0.0/16", NULL)->rtm_scope = RT_SCOPE_LINK;
    put_address(RTA_GATEWAY, "10.20.0.9");
    ask("v4 gateway with scope link");
    route_request(RTM_NEWROUTE, NEW, "10.75.0.0/16", NULL)->rtm_scope = RT_SCOPE_HOST;
    put_address(RTA_GATEWAY, "10.20.0.9");
    ask("v4 gateway with scope host");
    route_request(RTM_NEWROUTE, NEW, "10.75.0.0/16", NULL);
    put(RTA_GATEWAY, "\x0a\x14", 2);
    ask("v4 gateway of 2 bytes");
    route_request(RTM_NEWROUTE, NEW, "10.75.0.0/16", NULL)->rtm_scope = 0;
    put_address(RTA_GATEWAY, "fd00::1");
    ask("v4 gateway of 16 bytes");
    routes("v4 gateways", AF_INET, RT_TABLE_MAIN);
    struct rtmsg *m = route_request(RTM_NEWROUTE, NEW, "10.76.0.0/16", "tap0");
    m->rtm_scope = 0;
    unsigned char six[18] = { AF_INET6, 0, 0xfe, 0x80, [17] = 9 };
    put(RTA_VIA, six, sizeof six);
    ask("v4 via IPv6");
    m = route_request(RTM_NEWROUTE, NEW, "10.77.0.0/16", "tap0");
    m->rtm_scope = 0;
    unsigned char four[6] = { AF_INET, 0, 10, 20, 0, 9 };
    put(RTA_VIA, four, sizeof four);
    ask("v4 via IPv4 in RTA_VIA");
    m = route_request(RTM_NEWROUTE, NEW, "10.78.0.0/16", "tap0");
    m->rtm_scope = 0;
    put(RTA_VIA, six, sizeof six);
    put_address(RTA_GATEWAY, "10.20.0.9");
    ask("v4 via and gateway");
    m = route_request(RTM_NEWROUTE, NEW, "10.78.0.0/16", "tap0");
    put(RTA_VIA, six, 5);
    ask("v4 short via");
    m = route_request(RTM_NEWROUTE, NEW, "10.79.0.0/16", NULL);
    m->rtm_scope = 0;
    size_t hops = nest(RTA_MULTIPATH);
    hop(NULL, 3, "10.20.0.9", 0);
    hop("tun0", 1, NULL, 0);
    nest_end(hops);
    ask("v4 multipath, universe, a hop without gateway");
    m = route_request(RTM_NEWROUTE, NEW, "10.80.0.0/16", NULL);
    m->rtm_scope = 0;
    hops = nest(RTA_MULTIPATH);
    hop("tap0", 3, "10.20.0.9", 0);
    hop("tap0", 200, "10.20.0.8", 0);
    hop("tun0", 1, "10.99.0.1", RTNH_F_ONLINK);
    nest_end(hops);
    ask("v4 multipath");
    m = route_request(RTM_NEWROUTE, NEW, "10.81.0.0/16", NULL);
    m->rtm_scope = 0;
    hops = nest(RTA_MULTIPATH);
    hop("tap0", 1, "10.20.0.9", 0);
    nest_end(hops);
    ask("v4 multipath of one");
    m = route_request(RTM_NEWROUTE, NEW, "10.82.0.0/16", NULL);
    hops = nest(RTA_MULTIPATH);
    nest_end(hops);
    ask("v4 multipath of none");
    m = route_request(RTM_NEWROUTE, NEW, "10.82.0.0/16", NULL);
    put(RTA_MULTIPATH, "\x20\0\0\0\0\0\0\0", 8);
    ask("v4 multipath with a wrong length");
    m = route_request(RTM_NEWROUTE, NEW, "10.82.0.0/16", "tap0");
    hops = nest(RTA_MULTIPATH);
    hop("tun0", 1, NULL, 0);
    nest_end(hops);
    ask("v4 multipath and a device");
    routes("v4 via and multipath", AF_INET, RT_TABLE_MAIN);
    flush(AF_INET);
}

static void v4_errors(void)
{
    route("v4 host bits", NEW, "10.50.0.1/16", "tun0");
    route("v4 prefix 33", NEW, "10.50.0.0/33", "tun0");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", NULL);
    put_u32(RTA_OIF, 9999);
    ask("v4 device 9999");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", NULL);
    put_u16(RTA_OIF, 1);
    ask("v4 device of 2 bytes");
    route_request(RTM_NEWROUTE, NEW, "default", "tun0")->rtm_dst_len = 16;
    ask("v4 prefix without destination");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tun0")->rtm_src_len = 8;
    ask("v4 source prefix");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tun0")->rtm_type = 13;
    ask("v4 type 13");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tun0")->rtm_flags = RTM_F_CLONED;
    ask("v4 cloned");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tun0")->rtm_family = AF_UNSPEC;
    ask("v4 family 0");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tun0")->rtm_family = 200;
    ask("v4 family 200");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", NULL);
    put_u32(RTA_NH_ID, 5);
    ask("v4 missing nexthop object");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tun0");
    put_u16(RTA_ENCAP_TYPE, 99);
    ask("v4 encap type 99");
    struct rtmsg m = { .rtm_family = AF_INET };
    request(RTM_NEWROUTE, NEW, &m, 4);
    ask("v4 short header");
    route("v4 to delete, a", NEW, "10.50.0.0/16", "tun0");
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tap0");
    put_u32(RTA_PRIORITY, 9);
    ask("v4 to delete, b");
    struct rtmsg *d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_scope = RT_SCOPE_NOWHERE, d->rtm_type = 0, d->rtm_protocol = 0;
    put_u32(RTA_PRIORITY, 10);
    ask("v4 delete, wrong priority");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", "lo");
    d->rtm_scope = RT_SCOPE_NOWHERE, d->rtm_type = 0, d->rtm_protocol = 0;
    ask("v4 delete, wrong device");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_scope = RT_SCOPE_NOWHERE, d->rtm_type = RTN_BLACKHOLE, d->rtm_protocol = 0;
    ask("v4 delete, wrong type");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_scope = RT_SCOPE_NOWHERE, d->rtm_type = 0, d->rtm_protocol = 99;
    ask("v4 delete, wrong protocol");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_scope = RT_SCOPE_HOST, d->rtm_type = 0, d->rtm_protocol = 0;
    ask("v4 delete, wrong scope");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_scope = RT_SCOPE_NOWHERE, d->rtm_type = 0, d->rtm_protocol = 0;
    put_address(RTA_GATEWAY, "10.9.0.9");
    ask("v4 delete, wrong gateway");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_scope = RT_SCOPE_NOWHERE, d->rtm_type = 0, d->rtm_protocol = 0;
    ask("v4 delete by prefix, first");
    routes("v4 delete by prefix", AF_INET, RT_TABLE_MAIN);
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_scope = RT_SCOPE_NOWHERE, d->rtm_type = 0, d->rtm_protocol = 0, d->rtm_table = 0;
    ask("v4 delete by prefix, table 0");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    ask("v4 delete again");
    d = route_request(RTM_DELROUTE, 0, "10.50.0.0/16", NULL);
    d->rtm_table = 77;
    ask("v4 delete from a missing table");
}

/* ---- lookups ---- */

static struct rtmsg *lookup(const char *to, int flags)
{
    struct rtmsg *m = route_request(RTM_GETROUTE, 0, to, NULL);
    m->rtm_table = 0, m->rtm_protocol = 0, m->rtm_type = 0, m->rtm_scope = 0;
    m->rtm_flags = flags;
    return m;
}

static void lookups(void)
{
    route("lookup, route of the tun", NEW, "10.50.0.0/16", "tun0");
    via("lookup, route of the tap", "10.51.0.0/16", "10.20.0.9", NULL, 0);
    struct rtmsg *m = route_request(RTM_NEWROUTE, NEW, "10.52.0.0/16", NULL);
    m->rtm_type = RTN_BLACKHOLE, m->rtm_scope = 0;
    ask("lookup, a blackhole");
    m = route_request(RTM_NEWROUTE, NEW, "10.53.0.0/16", NULL);
    m->rtm_type = RTN_UNREACHABLE, m->rtm_scope = 0;
    ask("lookup, an unreachable");
    m = route_request(RTM_NEWROUTE, NEW, "10.54.0.0/16", NULL);
    m->rtm_type = RTN_PROHIBIT, m->rtm_scope = 0;
    ask("lookup, a prohibit");
    m = route_request(RTM_NEWROUTE, NEW, "10.55.0.0/16", NULL);
    m->rtm_type = RTN_THROW, m->rtm_scope = 0;
    ask("lookup, a throw");
    m = route_request(RTM_NEWROUTE, NEW, "10.56.0.0/16", NULL);
    m->rtm_scope = 0;
    size_t hops = nest(RTA_MULTIPATH);
    hop("tap0", 1, "10.20.0.9", 0);
    hop("tap0", 1, "10.20.0.8", 0);
    nest_end(hops);
    ask("lookup, a multipath");
    route_request(RTM_NEWROUTE, NEW, "10.57.0.0/16", "tun0");
    size_t metrics = nest(RTA_METRICS);
    put_u32(RTAX_MTU, 1200);
    nest_end(metrics);
    ask("lookup, one with metrics");
    static const char *const to[] = { "10.50.1.1", "10.51.1.1", "10.52.1.1", "10.53.1.1", "10.54.1.1", "10.55.1.1", "10.57.1.1",
                                      "10.9.0.77", "10.9.0.1", "10.20.0.255", "10.20.0.9", "127.0.0.1", "255.255.255.255", "224.0.0.1",
                                      "99.1.1.1", "0.0.0.0" };
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        char label[60];
        snprintf(label, sizeof label, "lookup %s", to[i]);
        lookup(to[i], 0);
        ask(label);
        snprintf(label, sizeof label, "lookup %s, table", to[i]);
        lookup(to[i], RTM_F_LOOKUP_TABLE);
        ask(label);
        snprintf(label, sizeof label, "lookup %s, match", to[i]);
        lookup(to[i], RTM_F_FIB_MATCH | RTM_F_LOOKUP_TABLE);
        ask(label);
    }
    lookup("10.56.1.1", RTM_F_FIB_MATCH);
    ask("lookup of multipath, match");
    lookup("10.57.1.1", RTM_F_NOTIFY);
    ask("lookup, notify");
    lookup("10.50.1.1", 0);
    put_u32(RTA_OIF, if_index("tun0"));
    ask("lookup with the oif");
    lookup("10.50.1.1", 0);
    put_u32(RTA_OIF, if_index("tap0"));
    ask("lookup with another oif");
    lookup("99.1.1.1", 0);
    put_u32(RTA_OIF, if_index("tap0"));
    ask("lookup of nothing with an oif");
    lookup("10.50.1.1", 0);
    put_u32(RTA_OIF, 9999);
    ask("lookup with oif 9999");
    lookup("10.50.1.1", 0);
    put_u32(RTA_IIF, if_index("tap0"));
    put_address(RTA_SRC, "10.20.0.9");
    ask("lookup with iif, not forwarding");
    lookup("10.9.0.1", 0);
    put_u32(RTA_IIF, if_index("tap0"));
    put_address(RTA_SRC, "10.20.0.9");
    ask("lookup with iif to a local address");
    lookup("10.9.0.1", 0);
    put_u32(RTA_IIF, 9999);
    ask("lookup with iif 9999");
    lookup("10.50.1.1", 0);
    put_u32(RTA_MARK, 5);
    ask("lookup with a mark");
    lookup("10.50.1.1", 0);
    put_u32(RTA_UID, getuid());
    ask("lookup with a uid");
    lookup("10.50.1.1", 0)->rtm_src_len = 32;
    put_address(RTA_SRC, "10.9.0.2");
    ask("lookup from");
    lookup("10.50.1.1", 0)->rtm_src_len = 32;
    put_address(RTA_SRC, "10.99.0.2");
    ask("lookup from an address of nobody");
    lookup("10.50.1.1", 0)->rtm_tos = 0x10;
    ask("lookup with tos");
    lookup("10.50.1.1", 0);
    put_u8(RTA_IP_PROTO, 17);
    put_u16(RTA_DPORT, htons(53));
    ask("lookup with protocol and port");
    lookup("10.50.1.1", 0);
    put_u8(RTA_IP_PROTO, 99);
    ask("lookup with protocol 99");
    lookup("10.50.1.1", 0)->rtm_dst_len = 24;
    ask("lookup of a prefix");
    lookup("10.50.1.1", 0)->rtm_table = 77;
    ask("lookup in a table of the header");
    lookup("default", 0);
    ask("lookup of nothing");
    strict(1);
    lookup("10.50.1.1", 0)->rtm_dst_len = 24;
    ask("strict, lookup of a prefix");
    lookup("10.50.1.1", 0)->rtm_table = 77;
    ask("strict, lookup in a table of the header");
    lookup("10.50.1.1", 0);
    put_u32(RTA_PRIORITY, 5);
    ask("strict, lookup with a needless attribute");
    lookup("10.50.1.1", 0x1000000);
    ask("strict, lookup with a flag");
    strict(0);
}

/* ---- down, up, dumps ---- */

static void dump_with(const char *label, int family, int attr, unsigned value)
{
    dump_request(RTM_GETROUTE, family);
    if (attr)
        put_u32(attr, value);
    ask(label);
}

static void dumps(void)
{
    route_request(RTM_NEWROUTE, NEW, "10.58.0.0/16", "tun0")->rtm_table = 100;
    ask("dump, one of table 100");
    ONLY(RTA_DST, RTA_TABLE, RTA_OIF);
    dump_with("dump of table 100, not strict", AF_INET, RTA_TABLE, 100);
    dump_with("dump, AF_UNSPEC", AF_UNSPEC, 0, 0);
    dump_with("dump, family 200", 200, 0, 0);
    ((struct rtmsg *)dump_request(RTM_GETROUTE, AF_INET))->rtm_flags = RTM_F_CLONED;
    ask("dump, cloned");
    struct rtgenmsg one = { AF_INET };
    request(RTM_GETROUTE, NLM_F_DUMP, &one, 1);
    ask("dump with a one-byte header");
    strict(1);
    dump_with("strict, dump of table 100", AF_INET, RTA_TABLE, 100);
    dump_with("strict, dump of table 77", AF_INET, RTA_TABLE, 77);
    dump_with("strict, dump of table 254", AF_INET, RTA_TABLE, 254);
    dump_with("strict, dump of the tap's", AF_INET, RTA_OIF, if_index("tap0"));
    dump_with("strict, dump of device 9999", AF_INET, RTA_OIF, 9999);
    dump_with("strict, dump with a priority", AF_INET, RTA_PRIORITY, 1);
    ((struct rtmsg *)dump_request(RTM_GETROUTE, AF_INET))->rtm_protocol = RTPROT_KERNEL;
    ask("strict, dump of protocol kernel");
    ((struct rtmsg *)dump_request(RTM_GETROUTE, AF_INET))->rtm_type = RTN_BLACKHOLE;
    ask("strict, dump of blackholes");
    ((struct rtmsg *)dump_request(RTM_GETROUTE, AF_INET))->rtm_table = RT_TABLE_LOCAL;
    ask("strict, dump of a table in the header");
    ((struct rtmsg *)dump_request(RTM_GETROUTE, AF_INET))->rtm_scope = RT_SCOPE_LINK;
    ask("strict, dump with a scope");
    ((struct rtmsg *)dump_request(RTM_GETROUTE, AF_INET))->rtm_dst_len = 8;
    ask("strict, dump with a prefix");
    request(RTM_GETROUTE, NLM_F_DUMP, &one, 1);
    ask("strict, dump with a one-byte header");
    dump_with("strict, dump of table 100, v6", AF_INET6, RTA_TABLE, 100);
    dump_with("strict, dump of table 100, unspec", AF_UNSPEC, RTA_TABLE, 100);
    strict(0);
    routes("before down", AF_INET, 0);
    link_up("tun0", 0);
    routes("tun down", AF_INET, 0);
    link_up("tun0", 1);
    routes("tun up again", AF_INET, 0);
    addr_request(RTM_DELADDR, 0, "tap0", "10.20.0.1/24");
    ask("the tap's address goes");
    routes("the tap's address went", AF_INET, 0);
    addr_request(RTM_DELADDR, 0, "tun0", "10.9.0.1/24");
    ask("the tun's primary goes");
    routes("the tun's primary went", AF_INET, 0);
    ALL();
    flush(AF_INET);
}

/* ---- IPv6 ---- */

static struct rtmsg *route6(int type, int flags, const char *to, const char *name)
{
    return route_request(type, flags, to, name);
}

static void v6(void)
{
    /* The link-local addresses are there by now. */
    settled();
    routes("v6 at first", AF_INET6, 0);
    address("tap0", "fd20::1/64");
    address("tun0", "fd09::1/64");
    address("tun0", "fe80::a/64");
    settled();
    routes("v6 with addresses", AF_INET6, 0);
    route("v6 link route", NEW, "fd50::/32", "tun0");
    route("v6 again, EXCL", NEW, "fd50::/32", "tun0");
    route("v6 again, CREATE", NLM_F_CREATE, "fd50::/32", "tun0");
    route("v6 again, no flags", 0, "fd50::/32", "tun0");
    route("v6 again, REPLACE", NLM_F_REPLACE, "fd50::/32", "tap0");
    route("v6 missing, no flags", 0, "fd51::/32", "tun0");
    route("v6 missing, REPLACE", NLM_F_REPLACE, "fd52::/32", "tun0");
    route("v6 host bits", NEW, "fd53::1/32", "tun0");
    route("v6 prefix 129", NEW, "fd53::/129", "tun0");
    route("v6 no device", NEW, "fd53::/32", NULL);
    route("v6 APPEND", NLM_F_CREATE | NLM_F_APPEND, "fd50::/32", "tun0");
    routes("v6 plain", AF_INET6, RT_TABLE_MAIN);
    flush(AF_INET6);
    via("v6 via the net", "fd54::/32", "fd20::9", NULL, 0);
    via("v6 via link-local", "fd55::/32", "fe80::9", "tap0", 0);
    via("v6 via link-local without a device", "fd56::/32", "fe80::9", NULL, 0);
    via("v6 via nowhere", "fd56::/32", "fd99::9", NULL, 0);
    via("v6 via another device", "fd56::/32", "fd20::9", "tun0", 0);
    via("v6 via another device, onlink", "fd56::/32", "fd20::9", "tun0", RTNH_F_ONLINK);
    via("v6 via itself", "fd57::/32", "fd20::1", "tap0", 0);
    via("v6 default", "default6", "fd20::9", NULL, 0);
    struct rtmsg *m = route6(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, "fd58::/32", NULL);
    size_t hops = nest(RTA_MULTIPATH);
    hop("tap0", 2, "fd20::9", 0);
    hop("tap0", 5, "fd20::8", 0);
    nest_end(hops);
    ask("v6 multipath");
    route6(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, "fd58::/32", NULL);
    put_address(RTA_GATEWAY, "fd20::7");
    ask("v6 append a hop");
    routes("v6 gateways", AF_INET6, RT_TABLE_MAIN);
    m = route6(RTM_DELROUTE, 0, "fd58::/32", NULL);
    put_address(RTA_GATEWAY, "fd20::8");
    ask("v6 delete a hop");
    routes("v6 a hop less", AF_INET6, RT_TABLE_MAIN);
    flush(AF_INET6);
    for (int type = 0; type <= 10; type++) {
        char label[40], to[40];
        snprintf(label, sizeof label, "v6 type %d", type);
        snprintf(to, sizeof to, "fd6%x::/32", type);
        m = route6(RTM_NEWROUTE, NEW, to, type < RTN_BLACKHOLE ? "tun0" : NULL);
        m->rtm_type = type;
        ask(label);
    }
    routes("v6 types", AF_INET6, RT_TABLE_MAIN);
    flush(AF_INET6);
    route6(RTM_NEWROUTE, NEW, "fd70::/32", "tun0");
    put_u32(RTA_PRIORITY, 7);
    put_address(RTA_PREFSRC, "fd09::1");
    put_u32(RTA_EXPIRES, 600);
    put_u8(RTA_PREF, 3);
    size_t metrics = nest(RTA_METRICS);
    put_u32(RTAX_MTU, 1400);
    put_u32(RTAX_HOPLIMIT, 9);
    nest_end(metrics);
    ask("v6 priority, prefsrc, expires, pref, metrics");
    m = route6(RTM_NEWROUTE, NEW, "fd71::/32", "tun0");
    m->rtm_table = 0;
    put_u32(RTA_TABLE, 1000);
    ask("v6 table 1000");
    m = route6(RTM_NEWROUTE, NEW, "fd72::/32", "tun0");
    m->rtm_src_len = 32;
    put_address(RTA_SRC, "fd09::");
    ask("v6 with a source");
    route6(RTM_NEWROUTE, NEW, "fd73::/32", "tun0");
    put_address(RTA_PREFSRC, "fd99::1");
    ask("v6 prefsrc of nobody");
    route6(RTM_NEWROUTE, NEW, "fd73::/32", "tun0")->rtm_scope = RT_SCOPE_LINK;
    ask("v6 scope link");
    route6(RTM_NEWROUTE, NEW, "fd74::/32", "tun0");
    put_u32(RTA_PRIORITY, 0);
    ask("v6 priority 0");
    route6(RTM_NEWROUTE, NEW, "fd75::/32", "tun0")->rtm_tos = 4;
    ask("v6 tos 4");
    route6(RTM_NEWROUTE, NEW, "fd76::/32", "tun0");
    put_u8(RTA_PREF, 2);
    ask("v6 pref 2");
    routes("v6 attributes", AF_INET6, RT_TABLE_MAIN);
    routes("v6 attributes, table 1000", AF_INET6, 1000);
    m = route6(RTM_DELROUTE, 0, "fd70::/32", "tap0");
    ask("v6 delete, wrong device");
    m = route6(RTM_DELROUTE, 0, "fd70::/32", NULL);
    put_u32(RTA_PRIORITY, 8);
    ask("v6 delete, wrong priority");
    m = route6(RTM_DELROUTE, 0, "fd70::/32", NULL);
    m->rtm_protocol = 99;
    ask("v6 delete, wrong protocol");
    m = route6(RTM_DELROUTE, 0, "fd70::/32", NULL);
    ask("v6 delete");
    ask("v6 delete again");
    m = route6(RTM_NEWROUTE, NEW, "fd77::/32", NULL);
    m->rtm_type = RTN_UNREACHABLE;
    ask("v6 unreachable");
    static const char *const to[] = { "fd09::77", "fd09::1", "fd77::1", "fd99::1", "::1", "ff02::1", "fd74::5" };
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        char label[60];
        snprintf(label, sizeof label, "lookup %s", to[i]);
        lookup(to[i], 0);
        ask(label);
        snprintf(label, sizeof label, "lookup %s, match", to[i]);
        lookup(to[i], RTM_F_FIB_MATCH);
        ask(label);
    }
    lookup("fe80::9", 0);
    put_u32(RTA_OIF, if_index("tap0"));
    ask("lookup of link-local with an oif");
    strict(1);
    ONLY(RTA_DST, RTA_TABLE, RTA_OIF);
    dump_with("strict, v6 dump of table 1000", AF_INET6, RTA_TABLE, 1000);
    dump_with("strict, v6 dump of the tap's", AF_INET6, RTA_OIF, if_index("tap0"));
    strict(0);
    link_up("tun0", 0);
    routes("v6, tun down", AF_INET6, 0);
    link_up("tun0", 1);
    settled();
    routes("v6, tun up again", AF_INET6, 0);
    ALL();
}

/* The tun's link-local address is random, and with it the order of the routes. */
static void no_random_address(void)
{
    link_request(RTM_SETLINK, 0, "tun0");
    size_t spec = nest(IFLA_AF_SPEC), six = nest(AF_INET6);
    put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    nest_end(six);
    nest_end(spec);
    ask("no address of the kernel's choice");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    int tun = tun_named("tun0"), tap = tap_with_address("tap0", 1);
    no_random_address();
    v4();
    v4_attributes();
    v4_gateways();
    v4_errors();
    lookups();
    dumps();
    v6();
    close(tun);
    close(tap);
    return 0;
}
