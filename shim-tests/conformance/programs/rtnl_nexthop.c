/* Objects of next hops through rtnetlink, routes that refer to them, and what is told of both. */
#include "rtnl.h"

#define NEW (NLM_F_CREATE | NLM_F_EXCL)
#define REPLACE (NLM_F_CREATE | NLM_F_REPLACE)

static int listener;

static struct nhmsg *hop(int type, int flags, int family, unsigned id)
{
    struct nhmsg m = { .nh_family = family };
    struct nhmsg *at = request(type, flags, &m, sizeof m);
    if (id)
        put_u32(NHA_ID, id);
    return at;
}

static void heard(const char *label)
{
    char text[120];
    for (ssize_t n; (n = recv(listener, rt_got, sizeof rt_got, MSG_DONTWAIT)) > 0;)
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            out_message(h);
            out(" ; ");
        }
    snprintf(text, sizeof text, "%s, heard", label);
    out_line(text);
}

static void told(const char *label)
{
    ask(label);
    heard(label);
}

static void one(const char *label, int flags, unsigned id, const char *gateway, const char *name)
{
    hop(RTM_NEWNEXTHOP, flags, gateway ? family_of(gateway) : AF_INET, id);
    if (gateway)
        put_address(NHA_GATEWAY, gateway);
    if (name)
        put_u32(NHA_OIF, if_index(name));
    told(label);
}

static void group_of(int flags, unsigned id, int n, const unsigned *members)
{
    struct nexthop_grp all[8] = { { 0 } };
    for (int i = 0; i < n; i++)
        all[i] = (struct nexthop_grp){ .id = members[i] & 0xffff, .weight = members[i] >> 16 };
    hop(RTM_NEWNEXTHOP, flags, AF_UNSPEC, id);
    put(NHA_GROUP, all, n * sizeof *all);
}

#define GROUP(flags, id, ...) group_of(flags, id, sizeof((unsigned[]){ __VA_ARGS__ }) / 4, (unsigned[]){ __VA_ARGS__ })

static void type(int kind) { put_u16(NHA_GROUP_TYPE, kind); }

static void buckets(unsigned n, unsigned idle, unsigned unbalanced)
{
    type(1);
    size_t at = nest(NHA_RES_GROUP | NLA_F_NESTED);
    if (n)
        put_u16(NHA_RES_GROUP_BUCKETS, n);
    if (idle)
        put_u32(NHA_RES_GROUP_IDLE_TIMER, idle);
    if (unbalanced)
        put_u32(NHA_RES_GROUP_UNBALANCED_TIMER, unbalanced);
    nest_end(at);
}

static void dump(const char *label, int family)
{
    hop(RTM_GETNEXTHOP, NLM_F_DUMP, family, 0);
    ask(label);
}

static void of_buckets(const char *label, unsigned id)
{
    hop(RTM_GETNEXTHOPBUCKET, NLM_F_DUMP, AF_UNSPEC, id);
    ask(label);
}

static int has_object(const struct nlmsghdr *h)
{
    const struct rtmsg *m = NLMSG_DATA(h);
    int len = RTM_PAYLOAD(h);
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, len); a = RTA_NEXT(a, len))
        if (a->rta_type == RTA_NH_ID)
            return 1;
    return 0;
}

static void routes(const char *label)
{
    dump_request(RTM_GETROUTE, AF_UNSPEC);
    rt_wanted = has_object;
    ask(label);
    rt_wanted = NULL;
}

static void route(const char *label, int type, int flags, const char *cidr, int scope, unsigned id)
{
    route_request(type, flags, cidr, NULL)->rtm_scope = scope;
    if (type == RTM_DELROUTE)
        ((struct rtmsg *)NLMSG_DATA(rt_head))->rtm_type = 0;
    put_u32(RTA_NH_ID, id);
    told(label);
}

static void errors(void)
{
    struct nhmsg *m;
    hop(RTM_GETNEXTHOP, 0, AF_UNSPEC, 0);
    ask("get without an id");
    hop(RTM_GETNEXTHOP, 0, AF_UNSPEC, 0);
    put_u32(NHA_ID, 0);
    ask("get id 0");
    hop(RTM_GETNEXTHOP, 0, AF_UNSPEC, 9);
    ask("get what is not there");
    hop(RTM_GETNEXTHOP, 0, AF_UNSPEC, 9)->nh_protocol = 3;
    ask("get with a protocol");
    hop(RTM_GETNEXTHOP, 0, AF_UNSPEC, 9);
    put_u32(NHA_OIF, 1);
    ask("get with an interface");
    hop(RTM_GETNEXTHOP, 0, AF_UNSPEC, 9);
    put_u32(14, 0x10);
    ask("get with bad flags of an operation");
    hop(RTM_DELNEXTHOP, 0, AF_UNSPEC, 9);
    ask("delete what is not there");
    hop(RTM_DELNEXTHOP, 0, AF_UNSPEC, 9);
    put_u32(14, 1);
    ask("delete with flags of an operation");
    hop(RTM_DELNEXTHOP, 0, AF_UNSPEC, 0);
    ask("delete without an id");
    hop(RTM_NEWNEXTHOP, NEW, AF_UNSPEC, 1);
    ask("new without a family");
    hop(RTM_NEWNEXTHOP, NEW, AF_BRIDGE, 1);
    ask("new of a bridge");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    ask("new without anything");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1)->nh_scope = 1;
    ask("new with a scope");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1)->nh_flags = RTNH_F_DEAD;
    ask("new with a bad flag");
    m = hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    m->nh_flags = RTNH_F_ONLINK;
    put_u32(NHA_OIF, if_index("nx1"));
    ask("onlink without a gateway");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put_u32(NHA_OIF, 9999);
    ask("no such interface");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put_u32(NHA_OIF, 0);
    ask("interface 0");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET6, 1);
    put_u32(NHA_OIF, if_index("nx1"));
    put_address(NHA_GATEWAY, "10.71.0.2");
    ask("gateway of the other family");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put(NHA_BLACKHOLE, "", 0);
    put_u32(NHA_OIF, if_index("nx1"));
    ask("blackhole with an interface");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put(NHA_BLACKHOLE, "x", 1);
    ask("blackhole with a value");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put(NHA_FDB, "", 0);
    put_u32(NHA_OIF, if_index("nx1"));
    ask("fdb with an interface");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put_u32(NHA_OIF, if_index("nx1"));
    put_u16(NHA_ENCAP_TYPE, 1);
    ask("encapsulation without what it is");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put_u32(NHA_OIF, if_index("nx1"));
    put(NHA_ENCAP | NLA_F_NESTED, "", 0);
    ask("encapsulation without a type");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 1);
    put_u32(99, 1);
    ask("unknown attribute");
    one("replace without an id", REPLACE, 0, "10.71.0.2", "nx1");
    one("replace what is not there", NLM_F_REPLACE, 1, "10.71.0.2", "nx1");
    one("interface that is down", NEW, 1, "10.71.0.2", "nx2");
    one("gateway nowhere", NEW, 1, "10.99.0.2", "nx1");
    one("v6 gateway nowhere", NEW, 1, "fd99::2", "nx1");
    one("v6 gateway that is ours", NEW, 1, "fd71::1", "nx1");
}

static void groups(void)
{
    hop(RTM_NEWNEXTHOP, NEW, AF_UNSPEC, 20);
    put(NHA_GROUP, "", 0);
    ask("group of nothing");
    hop(RTM_NEWNEXTHOP, NEW, AF_UNSPEC, 20);
    put(NHA_GROUP, "1234567", 7);
    ask("group of a bad length");
    hop(RTM_NEWNEXTHOP, NEW, AF_UNSPEC, 20);
    put(NHA_GROUP, "\1\0\0\0\0\0\1", 8);
    ask("group with a reserved field");
    hop(RTM_NEWNEXTHOP, NEW, AF_UNSPEC, 20);
    put(NHA_GROUP, "\1\0\0\0\377\377\0", 8);
    ask("group with a heavy member");
    GROUP(NEW, 20, 1, 1);
    ask("member twice");
    GROUP(NEW, 20, 1, 77);
    ask("member that is not there");
    GROUP(NEW, 20, 1, 3);
    ask("member that refuses");
    GROUP(NEW, 20, 1, 10);
    ask("member of bridges");
    GROUP(NEW, 20, 1, 2);
    type(5);
    ask("type of a group");
    GROUP(NEW, 20, 1, 2);
    put_u32(NHA_OIF, 1);
    ask("group with an interface");
    GROUP(NEW, 20, 1, 2);
    buckets(0, 0, 0);
    ask("no buckets");
    GROUP(NEW, 20, 1, 2);
    told("group");
    GROUP(NEW, 21, 1 | 3 << 16, 2, 4);
    told("group with weights");
    GROUP(NEW, 22, 3);
    told("group that refuses");
    GROUP(NEW, 23, 20);
    ask("group of a group");
    GROUP(NEW, 24, 10);
    put(NHA_FDB, "", 0);
    told("group of bridges");
    GROUP(NEW, 25, 10, 11);
    put(NHA_FDB, "", 0);
    told("group of bridges of two families");
    GROUP(NEW, 25, 1);
    put(NHA_FDB, "", 0);
    told("group of bridges with another member");
    GROUP(NEW, 30, 1, 2);
    buckets(10, 6000, 0);
    told("group with buckets");
    GROUP(NEW, 31, 1, 30);
    ask("group of a group with buckets");
    of_buckets("buckets of the group", 30);
    GROUP(REPLACE, 30, 1 | 3 << 16, 2);
    buckets(0, 0, 3000);
    told("other weights");
    of_buckets("buckets of other weights", 30);
    GROUP(REPLACE, 30, 1);
    buckets(7, 0, 0);
    told("other number of buckets");
    GROUP(REPLACE, 30, 1);
    told("no buckets any more");
    GROUP(REPLACE, 20, 1);
    buckets(7, 0, 0);
    told("buckets now");
    of_buckets("buckets of all", 0);
    of_buckets("buckets of a group without", 20);
    of_buckets("buckets of no group", 1);
    of_buckets("buckets of nothing", 99);
    hop(RTM_GETNEXTHOPBUCKET, 0, AF_UNSPEC, 30);
    ask("which bucket");
    for (int i = 4; i <= 10; i += 6) {
        char label[40];
        hop(RTM_GETNEXTHOPBUCKET, 0, AF_UNSPEC, 30);
        size_t at = nest(NHA_RES_BUCKET | NLA_F_NESTED);
        put_u16(NHA_RES_BUCKET_INDEX, i);
        nest_end(at);
        snprintf(label, sizeof label, "bucket %d", i);
        ask(label);
    }
    hop(RTM_GETNEXTHOP, 0, AF_UNSPEC, 21);
    put_u32(14, 3);
    ask("counters of a group");
    dump("all", AF_UNSPEC);
    dump("those of v4", AF_INET);
    dump("those of v6", AF_INET6);
    hop(RTM_GETNEXTHOP, NLM_F_DUMP, AF_UNSPEC, 0);
    put(NHA_GROUPS, "", 0);
    ask("groups");
    hop(RTM_GETNEXTHOP, NLM_F_DUMP, AF_UNSPEC, 0);
    put_u32(NHA_OIF, if_index("nx1"));
    ask("of an interface");
    hop(RTM_GETNEXTHOP, NLM_F_DUMP, AF_UNSPEC, 0);
    put_u32(NHA_OIF, 0x80000000);
    ask("of an impossible interface");
    hop(RTM_GETNEXTHOP, NLM_F_DUMP, AF_UNSPEC, 0);
    put_u32(NHA_MASTER, 1);
    ask("of a master");
    hop(RTM_GETNEXTHOP, NLM_F_DUMP, AF_UNSPEC, 5);
    ask("dump with an id");
}

static void referring(void)
{
    route("route to one", RTM_NEWROUTE, NEW, "10.80.0.0/16", 0, 1);
    route("route to one, of a host", RTM_NEWROUTE, NEW, "10.81.0.0/16", RT_SCOPE_HOST, 1);
    route("route to a group", RTM_NEWROUTE, NEW, "10.82.0.0/16", 0, 20);
    route("route to a group, of a host", RTM_NEWROUTE, NEW, "10.83.0.0/16", RT_SCOPE_HOST, 20);
    route("route that refuses", RTM_NEWROUTE, NEW, "10.84.0.0/16", 0, 3);
    route("route to bridges", RTM_NEWROUTE, NEW, "10.85.0.0/16", 0, 10);
    route("route over v6", RTM_NEWROUTE, NEW, "10.86.0.0/16", 0, 4);
    route("route to nothing", RTM_NEWROUTE, NEW, "10.87.0.0/16", 0, 99);
    route("route to one again", RTM_NEWROUTE, NEW, "10.80.0.0/16", 0, 1);
    route("route to another", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, "10.80.0.0/16", 0, 2);
    route("route to buckets", RTM_NEWROUTE, NEW, "10.88.0.0/16", 0, 30);
    route("v6 route", RTM_NEWROUTE, NEW, "fd80::/64", 0, 4);
    route("v6 route again", RTM_NEWROUTE, NLM_F_CREATE, "fd80::/64", 0, 4);
    route("v6 route to v4", RTM_NEWROUTE, NEW, "fd81::/64", 0, 1);
    route("v6 route that refuses", RTM_NEWROUTE, NEW, "fd82::/64", 0, 5);
    route("v6 route to nothing", RTM_NEWROUTE, NEW, "fd83::/64", 0, 99);
    GROUP(NEW, 40, 4, 6);
    told("group of v6");
    route("v6 route to a group", RTM_NEWROUTE, NEW, "fd84::/64", 0, 40);
    routes("routes");
    route_request(RTM_NEWROUTE, NEW, "10.89.0.0/16", "nx1");
    put_u32(RTA_NH_ID, 1);
    ask("route to one and an interface");
    route("delete, another", RTM_DELROUTE, 0, "10.80.0.0/16", RT_SCOPE_NOWHERE, 3);
    route("delete, nothing", RTM_DELROUTE, 0, "10.80.0.0/16", RT_SCOPE_NOWHERE, 99);
    route("delete one", RTM_DELROUTE, 0, "10.80.0.0/16", RT_SCOPE_NOWHERE, 2);
    route("v6 delete, another", RTM_DELROUTE, 0, "fd80::/64", 0, 6);
    one("another gateway", REPLACE, 1, "10.71.0.9", "nx1");
    one("another gateway of v6", REPLACE, 4, "fd71::9", "nx1");
    one("v6 in the place of v4", REPLACE, 1, "fd71::8", "nx1");
    one("v4 in the place of v6", REPLACE, 4, "10.71.0.8", "nx1");
    one("v4 again", REPLACE, 1, "10.71.0.9", "nx1");
    hop(RTM_NEWNEXTHOP, REPLACE, AF_INET, 1);
    put(NHA_BLACKHOLE, "", 0);
    told("refusing in a group");
    GROUP(REPLACE, 1, 2);
    told("group in the place of one");
    one("one in the place of a group", REPLACE, 20, "10.71.0.2", "nx1");
    GROUP(REPLACE, 20, 2, 1);
    told("another group");
    routes("routes after that");
}

static void ends(void)
{
    hop(RTM_DELNEXTHOP, 0, AF_UNSPEC, 1);
    told("delete the first");
    of_buckets("buckets without one", 30);
    dump("without one", AF_UNSPEC);
    routes("routes without one");
    hop(RTM_DELNEXTHOP, 0, AF_UNSPEC, 20);
    told("delete a group");
    hop(RTM_DELNEXTHOP, 0, AF_UNSPEC, 4);
    told("delete one of v6");
    hop(RTM_DELNEXTHOP, 0, AF_UNSPEC, 6);
    told("delete the last of a group");
    one("any id", NEW, 0, "10.71.0.6", "nx1");
    one("the next id", NEW, 0, "10.71.0.7", "nx1");
    one("onlink", NEW, 50, "10.71.0.7", "nx1");
    route("route before the end", RTM_NEWROUTE, NEW, "10.90.0.0/16", 0, 50);
    route("v6 route before the end", RTM_NEWROUTE, NEW, "fd90::/64", 0, 8);
    one("v6 before the end", NEW, 51, "fd71::5", "nx1");
    route("v6 route to it", RTM_NEWROUTE, NEW, "fd90::/64", 0, 51);
    struct ifaddrmsg *m = addr_request(RTM_DELADDR, 0, "nx1", "10.71.0.1/24");
    m->ifa_prefixlen = 24;
    quietly();
    rt_used = 0;
    while (recv(listener, rt_got, sizeof rt_got, MSG_DONTWAIT) > 0)
        ;
    dump("without the address", AF_UNSPEC);
    routes("routes without the address");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    int tap = tap_with_address("nx1", 0x71);
    tun_named("nx2");
    link_request(RTM_SETLINK, 0, "nx1");
    size_t spec = nest(IFLA_AF_SPEC), inet6 = nest(AF_INET6);
    put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    nest_end(inet6);
    nest_end(spec);
    MUST(quietly());
    link_up("lo", 1);
    link_up("nx1", 1);
    addr_request(RTM_NEWADDR, NEW, "nx1", "10.71.0.1/24");
    MUST(quietly());
    addr_request(RTM_NEWADDR, NEW, "nx1", "fd71::1/64")->ifa_flags = IFA_F_NODAD;
    MUST(quietly());
    MUST(settled() - 1);
    int on = 1, groups_joined[] = { RTNLGRP_NEXTHOP, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE };
    struct sockaddr_nl at = { .nl_family = AF_NETLINK };
    listener = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    MUST(bind(listener, (struct sockaddr *)&at, sizeof at));
    MUST(setsockopt(listener, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on));
    for (int i = 0; i < 3; i++)
        MUST(setsockopt(listener, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups_joined[i], sizeof(int)));
    errors();
    one("a gateway", NEW, 1, "10.71.0.2", "nx1");
    one("again", NEW, 1, "10.71.0.2", "nx1");
    one("an interface", NEW, 2, NULL, "nx1");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 3)->nh_protocol = RTPROT_STATIC;
    put(NHA_BLACKHOLE, "", 0);
    told("blackhole");
    one("a gateway of v6", NEW, 4, "fd71::2", "nx1");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET6, 5);
    put(NHA_BLACKHOLE, "", 0);
    told("blackhole of v6");
    one("another of v6", NEW, 6, "fd71::6", "nx1");
    one("our own gateway", NEW, 7, "10.71.0.1", "nx1");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET6, 8);
    put_u32(NHA_OIF, if_index("nx1"));
    told("an interface of v6");
    struct nhmsg *m = hop(RTM_NEWNEXTHOP, NEW, AF_INET, 9);
    m->nh_flags = RTNH_F_ONLINK;
    put_address(NHA_GATEWAY, "10.99.0.9");
    put_u32(NHA_OIF, if_index("nx1"));
    told("a gateway on the link");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET, 10);
    put(NHA_FDB, "", 0);
    put_address(NHA_GATEWAY, "172.16.0.1");
    told("of bridges");
    hop(RTM_NEWNEXTHOP, NEW, AF_INET6, 11);
    put(NHA_FDB, "", 0);
    put_address(NHA_GATEWAY, "fd99::1");
    told("of bridges, v6");
    groups();
    referring();
    ends();
    link_up("nx1", 0);
    heard("down");
    dump("down, all", AF_UNSPEC);
    routes("down, routes");
    close(tap);
    return 0;
}
