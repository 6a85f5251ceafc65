/* Links through rtnetlink: what a tun, a tap and lo answer, and every change of them. */
#include "rtnl.h"

/* ---- what is answered ---- */

static const char *attribute_name(const struct attribute *names, int type, char text[20])
{
    for (; names->name; names++)
        if (names->type == type)
            return names->name;
    snprintf(text, 20, "#%d", type);
    return text;
}

/* The message, the order of its attributes, and each attribute in a line of its own, if wanted. */
static void link_of(const char *prefix, const char *name, int values)
{
    char label[80], text[20];
    link_request(RTM_GETLINK, 0, name);
    rt_send();
    ssize_t n = rt_ready(nl, WAIT_MS) ? recv(nl, rt_got, sizeof rt_got, 0) : -1;
    struct nlmsghdr *h = (void *)rt_got;
    if (n < 0 || !NLMSG_OK(h, n) || h->nlmsg_type != RTM_NEWLINK) {
        say(prefix, "no answer");
        return;
    }
    ONLY(IFLA_IFNAME);
    out_message(h);
    ALL();
    out_line(prefix);
    struct rtattr *a = IFLA_RTA(NLMSG_DATA(h));
    int len = IFLA_PAYLOAD(h);
    for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
        out("%s%s%s", rt_used ? " " : "", attribute_name(rt_link_names, a->rta_type & NLA_TYPE_MASK, text),
            a->rta_type & NLA_F_NESTED ? "+" : "");
    snprintf(label, sizeof label, "%s, order", prefix);
    out_line(label);
    for (a = IFLA_RTA(NLMSG_DATA(h)), len = IFLA_PAYLOAD(h); values && RTA_OK(a, len); a = RTA_NEXT(a, len)) {
        ONLY(a->rta_type & NLA_TYPE_MASK);
        out_attributes(rt_link_names, (void *)a, a->rta_len, 1);
        snprintf(label, sizeof label, "%s %s", prefix, attribute_name(rt_link_names, a->rta_type & NLA_TYPE_MASK, text));
        out_line(label);
    }
    ALL();
}

#define BRIEF() ONLY(IFLA_IFNAME, IFLA_MTU, IFLA_OPERSTATE, IFLA_ADDRESS)

static void answers(void)
{
    link_of("lo", "lo", 1);
    link_of("tun", "tun0", 1);
    link_of("tap", "tap0", 1);
    link_up("tun0", 1);
    link_up("tap0", 1);
    settled();
    link_of("tun up", "tun0", 1);
    link_of("tap up", "tap0", 1);
    link_up("tun0", 0);
    link_up("tap0", 0);
}

static void by_name(const char *label, int attr, const char *name)
{
    link_request(RTM_GETLINK, 0, NULL);
    put_text(attr, name);
    ask(label);
}

static void queries(void)
{
    BRIEF();
    link_request(RTM_GETLINK, 0, NULL);
    ask("get without index and name");
    link_request(RTM_GETLINK, 0, NULL)->ifi_index = 9999;
    ask("get index 9999");
    link_request(RTM_GETLINK, 0, NULL)->ifi_index = -1;
    ask("get index -1");
    by_name("get by IFLA_IFNAME", IFLA_IFNAME, "tun0");
    by_name("get by IFLA_IFNAME, missing", IFLA_IFNAME, "nothere");
    by_name("get by IFLA_IFNAME, empty", IFLA_IFNAME, "");
    by_name("get by IFLA_IFNAME, too long", IFLA_IFNAME, "a234567890123456");
    by_name("get by IFLA_ALT_IFNAME, a real name", IFLA_ALT_IFNAME, "tun0");
    by_name("get by IFLA_ALT_IFNAME, missing", IFLA_ALT_IFNAME, "nothere");
    by_name("get lo by name", IFLA_IFNAME, "lo");
    link_request(RTM_GETLINK, 0, "tun0");
    put_text(IFLA_IFNAME, "tap0");
    ask("get index of one, name of another");
    link_request(RTM_GETLINK, 0, "tun0")->ifi_family = AF_INET6;
    ask("get with family 10");
    link_request(RTM_GETLINK, 0, "tun0")->ifi_family = AF_BRIDGE;
    ask("get with family bridge");
    link_request(RTM_GETLINK, 0, "tun0")->ifi_flags = IFF_UP;
    ask("get with flags in the header");
    link_request(RTM_GETLINK, 0, "tun0");
    put_u32(IFLA_MTU, 1);
    ask("get with a needless attribute");
    link_request(RTM_GETLINK, 0, "tun0");
    put_u16(IFLA_EXT_MASK, 1);
    ask("get, EXT_MASK of 2 bytes");
    link_request(RTM_GETLINK, 0, "lo");
    put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    ONLY(IFLA_EXT_MASK, IFLA_NUM_VF, IFLA_STATS, IFLA_STATS64);
    ask("get, EXT_MASK skip stats");
    link_request(RTM_GETLINK, 0, "lo");
    put_u32(IFLA_EXT_MASK, RTEXT_FILTER_VF);
    ask("get, EXT_MASK VF");
    link_request(RTM_GETLINK, 0, "lo");
    put_u32(IFLA_TARGET_NETNSID, 77);
    ask("get, missing target namespace");
    strict(1);
    BRIEF();
    link_request(RTM_GETLINK, 0, "tun0")->ifi_flags = IFF_UP;
    ask("strict, get with flags in the header");
    link_request(RTM_GETLINK, 0, "tun0");
    put_u32(IFLA_MTU, 1);
    ask("strict, get with a needless attribute");
    link_request(RTM_GETLINK, 0, "tun0");
    put_u32(500, 1);
    ask("strict, get with an unknown attribute");
    by_name("strict, get by IFLA_IFNAME", IFLA_IFNAME, "tun0");
    strict(0);
}

static void dump(const char *label, int family)
{
    dump_request(RTM_GETLINK, family);
    ask(label);
}

static void dumps(void)
{
    BRIEF();
    dump("dump AF_UNSPEC", AF_UNSPEC);
    dump("dump AF_PACKET", AF_PACKET);
    dump("dump AF_INET", AF_INET);
    dump("dump AF_BRIDGE", AF_BRIDGE);
    dump("dump AF_MPLS", 28);
    dump("dump family 200", 200);
    ONLY(IFLA_IFNAME, IFLA_MTU, IFLA_PROTINFO);
    dump("dump AF_INET6", AF_INET6);
    link_up("tun0", 1);
    link_up("tap0", 1);
    settled();
    ONLY(IFLA_IFNAME, IFLA_MTU, IFLA_OPERSTATE, IFLA_ADDRESS, IFLA_LINK);
    dump("dump AF_INET6, up", AF_INET6);
    link_up("tun0", 0);
    link_up("tap0", 0);
    BRIEF();
    struct rtgenmsg one = { AF_UNSPEC };
    request(RTM_GETLINK, NLM_F_DUMP, &one, 1);
    rt_head->nlmsg_len = 17;
    ask("dump with a one-byte header, 17 bytes");
    request(RTM_GETLINK, NLM_F_DUMP, &one, 1);
    ask("dump with a one-byte header, 20 bytes");
    request(RTM_GETLINK, NLM_F_DUMP, &one, 0);
    rt_wait_ms = 300;
    ask("dump without a header");
    rt_wait_ms = WAIT_MS;
    request(RTM_GETLINK, NLM_F_ROOT, &one, 1);
    rt_head->nlmsg_len = 32;
    ask("dump with NLM_F_ROOT alone");
    request(RTM_GETLINK, NLM_F_MATCH, &one, 1);
    rt_head->nlmsg_len = 32;
    ask("dump with NLM_F_MATCH alone");
    dump_request(RTM_GETLINK, 0);
    size_t info = nest(IFLA_LINKINFO);
    put(IFLA_INFO_KIND, "tun", 3);
    nest_end(info);
    ask("dump of kind tun");
    dump_request(RTM_GETLINK, 0);
    info = nest(IFLA_LINKINFO);
    put(IFLA_INFO_KIND, "nokind", 6);
    nest_end(info);
    ask("dump of kind nokind");
    dump_request(RTM_GETLINK, 0);
    info = nest(IFLA_LINKINFO);
    put(IFLA_INFO_KIND, "dummy", 5);
    nest_end(info);
    ask("dump of kind dummy");
    dump_request(RTM_GETLINK, 0);
    put_u32(IFLA_MASTER, 9999);
    ask("dump of a missing master");
    dump_request(RTM_GETLINK, 0);
    put_u32(IFLA_MASTER, 0);
    ask("dump of master 0");
    dump_request(RTM_GETLINK, 0);
    put_u32(IFLA_MASTER, if_index("tap0"));
    ask("dump of master tap0");
    strict(1);
    dump("strict, dump", AF_UNSPEC);
    ((struct ifinfomsg *)dump_request(RTM_GETLINK, 0))->ifi_index = if_index("tun0");
    ask("strict, dump with an index");
    ((struct ifinfomsg *)dump_request(RTM_GETLINK, 0))->ifi_flags = 1;
    ask("strict, dump with flags");
    ((struct ifinfomsg *)dump_request(RTM_GETLINK, 0))->ifi_change = 1;
    ask("strict, dump with a change mask");
    request(RTM_GETLINK, NLM_F_DUMP, &one, 1);
    ask("strict, dump with a one-byte header");
    dump_request(RTM_GETLINK, 0);
    put_u32(IFLA_MTU, 1500);
    ask("strict, dump with a needless attribute");
    dump_request(RTM_GETLINK, 0);
    put_u32(IFLA_MASTER, if_index("tap0"));
    ask("strict, dump of master tap0");
    dump_request(RTM_GETLINK, 0);
    put_u32(IFLA_EXT_MASK, 0);
    ask("strict, dump with EXT_MASK 0");
    strict(0);
}

/* ---- changes ---- */

/* The link afterwards, with what the change was about. */
static void now_is(const char *what, const char *name)
{
    char label[120];
    snprintf(label, sizeof label, "%s, then", what);
    link_request(RTM_GETLINK, 0, name);
    ask(label);
}

static void set32(const char *label, int type, int attr, const char *name, uint32_t value)
{
    link_request(type, 0, name);
    put_u32(attr, value);
    ask(label);
}

static void set_flags(const char *label, const char *name, unsigned flags, unsigned change)
{
    struct ifinfomsg *m = link_request(RTM_NEWLINK, 0, name);
    m->ifi_flags = flags;
    m->ifi_change = change;
    ask(label);
    ONLY(IFLA_OPERSTATE);
    now_is(label, name);
    ALL();
}

static void flags(void)
{
    set_flags("up", "tun0", IFF_UP, IFF_UP);
    set_flags("up again", "tun0", IFF_UP, IFF_UP);
    set_flags("change 0, flags up alone", "tun0", IFF_UP, 0);
    set_flags("change 0, flags 0", "tun0", 0, 0);
    set_flags("change all, flags up", "tun0", IFF_UP, 0xffffffff);
    set_flags("change all, all flags", "tun0", 0xffffffff, 0xffffffff);
    set_flags("change NOARP|MULTICAST", "tun0", IFF_NOARP | IFF_MULTICAST, 0xffff);
    set_flags("change PROMISC", "tap0", IFF_PROMISC, IFF_PROMISC);
    set_flags("change ALLMULTI", "tap0", IFF_ALLMULTI, IFF_ALLMULTI);
    set_flags("flags without a mask's bit", "tap0", 0, IFF_POINTOPOINT);
    set_flags("tap, all off", "tap0", 0, 0xffffffff);
    set_flags("tun, all off", "tun0", 0, 0xffffffff);
    set_flags("restore the tun", "tun0", IFF_NOARP | IFF_MULTICAST, 0xffffffff);
    set_flags("restore the tap", "tap0", IFF_MULTICAST, 0xffffffff);
    struct ifinfomsg *m = link_request(RTM_SETLINK, 0, "tun0");
    m->ifi_flags = m->ifi_change = IFF_UP;
    ask("SETLINK up");
    m = link_request(RTM_SETLINK, 0, NULL);
    m->ifi_change = IFF_UP;
    put_text(IFLA_IFNAME, "tun0");
    ask("SETLINK down by name");
    m = link_request(RTM_SETLINK, 0, NULL);
    m->ifi_change = IFF_UP;
    ask("SETLINK of nothing");
    m = link_request(RTM_SETLINK, 0, NULL);
    m->ifi_change = IFF_UP;
    put_text(IFLA_IFNAME, "nothere");
    ask("SETLINK of a missing name");
    link_request(RTM_SETLINK, 0, NULL)->ifi_index = 9999;
    ask("SETLINK of a missing index");
    m = link_request(RTM_SETLINK, 0, "tun0");
    m->ifi_type = 1;
    m->ifi_family = AF_INET;
    ask("SETLINK with type and family");
}

static void numbers(void)
{
    ONLY(IFLA_MTU);
    set32("mtu 1400", RTM_NEWLINK, IFLA_MTU, "tun0", 1400);
    now_is("mtu 1400", "tun0");
    set32("mtu 67", RTM_NEWLINK, IFLA_MTU, "tun0", 67);
    set32("mtu 68", RTM_NEWLINK, IFLA_MTU, "tun0", 68);
    set32("mtu 65535", RTM_SETLINK, IFLA_MTU, "tun0", 65535);
    set32("mtu 65536", RTM_SETLINK, IFLA_MTU, "tun0", 65536);
    set32("mtu -1", RTM_SETLINK, IFLA_MTU, "tun0", -1);
    set32("mtu 65521 of a tap", RTM_SETLINK, IFLA_MTU, "tap0", 65521);
    set32("mtu 65522 of a tap", RTM_SETLINK, IFLA_MTU, "tap0", 65522);
    now_is("mtu 65522 of a tap", "tap0");
    set32("mtu 1500", RTM_SETLINK, IFLA_MTU, "tun0", 1500);
    set32("mtu 1500 of a tap", RTM_SETLINK, IFLA_MTU, "tap0", 1500);
    set32("mtu of lo 1000", RTM_SETLINK, IFLA_MTU, "lo", 1000);
    set32("mtu of lo 65536", RTM_SETLINK, IFLA_MTU, "lo", 65536);
    link_request(RTM_SETLINK, 0, "tun0");
    put_u16(IFLA_MTU, 1400);
    ask("mtu of 2 bytes");
    link_request(RTM_SETLINK, 0, "tun0");
    put(IFLA_MTU, "\x78\x05\0\0\0\0\0", 8);
    ask("mtu of 8 bytes");
    now_is("mtu of 8 bytes", "tun0");
    set32("mtu 1500 after 8 bytes", RTM_SETLINK, IFLA_MTU, "tun0", 1500);
    ONLY(IFLA_TXQLEN);
    set32("txqlen 77", RTM_SETLINK, IFLA_TXQLEN, "tun0", 77);
    now_is("txqlen 77", "tun0");
    set32("txqlen 0", RTM_SETLINK, IFLA_TXQLEN, "tun0", 0);
    now_is("txqlen 0", "tun0");
    set32("txqlen -1", RTM_SETLINK, IFLA_TXQLEN, "tun0", -1);
    now_is("txqlen -1", "tun0");
    set32("txqlen 500", RTM_SETLINK, IFLA_TXQLEN, "tun0", 500);
    ONLY(IFLA_GROUP);
    set32("group 5", RTM_SETLINK, IFLA_GROUP, "tun0", 5);
    now_is("group 5", "tun0");
    set32("group -1", RTM_SETLINK, IFLA_GROUP, "tun0", -1);
    now_is("group -1", "tun0");
    set32("group 0", RTM_SETLINK, IFLA_GROUP, "tun0", 0);
    ONLY(IFLA_OPERSTATE, IFLA_LINKMODE);
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_OPERSTATE, 6);
    ask("operstate up while down");
    now_is("operstate up while down", "tun0");
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_OPERSTATE, 5);
    ask("operstate dormant");
    now_is("operstate dormant", "tun0");
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_OPERSTATE, 4);
    ask("operstate testing");
    now_is("operstate testing", "tun0");
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_OPERSTATE, 2);
    ask("operstate down");
    now_is("operstate down", "tun0");
    for (int mode = 1; mode <= 3; mode++) {
        char label[40];
        snprintf(label, sizeof label, "linkmode %d", mode);
        link_request(RTM_SETLINK, 0, "tun0");
        put_u8(IFLA_LINKMODE, mode);
        ask(label);
        now_is(label, "tun0");
    }
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_LINKMODE, 0);
    ask("linkmode 0");
    ONLY(IFLA_CARRIER);
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_CARRIER, 0);
    ask("carrier 0 while down");
    set_flags("up for carrier", "tun0", IFF_UP, IFF_UP);
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_CARRIER, 0);
    ask("carrier 0 while up");
    ONLY(IFLA_CARRIER);
    now_is("carrier 0 while up", "tun0");
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_CARRIER, 1);
    ask("carrier 1");
    set_flags("down after carrier", "tun0", 0, IFF_UP);
    set32("carrier of 4 bytes", RTM_SETLINK, IFLA_CARRIER, "tun0", 1);
    set32("promiscuity 1", RTM_SETLINK, IFLA_PROMISCUITY, "tun0", 1);
    set32("num_tx_queues 4", RTM_SETLINK, IFLA_NUM_TX_QUEUES, "tun0", 4);
    link_request(RTM_SETLINK, 0, "tun0");
    put_u8(IFLA_PROTO_DOWN, 1);
    ask("proto_down");
    ONLY(IFLA_GSO_MAX_SIZE, IFLA_GSO_MAX_SEGS);
    set32("gso_max_size 1000", RTM_SETLINK, IFLA_GSO_MAX_SIZE, "tun0", 1000);
    set32("gso_max_segs 10", RTM_SETLINK, IFLA_GSO_MAX_SEGS, "tun0", 10);
    now_is("gso_max_segs 10", "tun0");
    set32("gso_max_segs 65535", RTM_SETLINK, IFLA_GSO_MAX_SEGS, "tun0", 65535);
    set32("gso_max_size 65536", RTM_SETLINK, IFLA_GSO_MAX_SIZE, "tun0", 65536);
    set32("master 0", RTM_SETLINK, IFLA_MASTER, "tun0", 0);
    set32("master 9999", RTM_SETLINK, IFLA_MASTER, "tun0", 9999);
    set32("master tap0", RTM_SETLINK, IFLA_MASTER, "tun0", if_index("tap0"));
    set32("link tap0", RTM_SETLINK, IFLA_LINK, "tun0", if_index("tap0"));
    set32("net_ns_pid of nobody", RTM_SETLINK, IFLA_NET_NS_PID, "tun0", 99999999);
    set32("net_ns_fd -1", RTM_SETLINK, IFLA_NET_NS_FD, "tun0", -1);
    set32("new_ifindex", RTM_SETLINK, IFLA_NEW_IFINDEX, "tun0", 4000);
    set32("unknown attribute 500", RTM_SETLINK, 500, "tun0", 1);
    set32("attribute 0", RTM_SETLINK, 0, "tun0", 1);
    set32("event attribute", RTM_SETLINK, IFLA_EVENT, "tun0", 1);
    ALL();
}

static void bytes(const char *label, const char *name, int attr, const void *data, size_t len)
{
    link_request(RTM_SETLINK, 0, name);
    put(attr, data, len);
    ask(label);
    now_is(label, name);
}

static void addresses(void)
{
    ONLY(IFLA_ADDRESS, IFLA_BROADCAST, IFLA_PERM_ADDRESS);
    bytes("address of a tap", "tap0", IFLA_ADDRESS, "\x02\x11\x22\x33\x44\x55", 6);
    bytes("address of 4 bytes", "tap0", IFLA_ADDRESS, "\x02\x11\x22\x33", 4);
    bytes("address of 8 bytes", "tap0", IFLA_ADDRESS, "\x02\x11\x22\x33\x44\x66\x77\x88", 8);
    bytes("address multicast", "tap0", IFLA_ADDRESS, "\x01\x11\x22\x33\x44\x55", 6);
    bytes("address 0", "tap0", IFLA_ADDRESS, "\0\0\0\0\0\0", 6);
    bytes("address of a tun", "tun0", IFLA_ADDRESS, "\x02\x11\x22\x33\x44\x55", 6);
    bytes("empty address of a tun", "tun0", IFLA_ADDRESS, "", 0);
    bytes("broadcast", "tap0", IFLA_BROADCAST, "\xff\xff\xff\xff\xff\xfe", 6);
    bytes("broadcast of 2 bytes", "tap0", IFLA_BROADCAST, "\xff\xff", 2);
    bytes("broadcast again", "tap0", IFLA_BROADCAST, "\xff\xff\xff\xff\xff\xff", 6);
    bytes("broadcast of a tun", "tun0", IFLA_BROADCAST, "\xff\xff\xff\xff\xff\xff", 6);
    link_up("tap0", 1);
    bytes("address while up", "tap0", IFLA_ADDRESS, "\x02\x00\x00\x00\x00\x02", 6);
    link_up("tap0", 0);
    ONLY(IFLA_IFALIAS);
    bytes("alias", "tun0", IFLA_IFALIAS, "my tunnel", 9);
    bytes("alias with a zero", "tun0", IFLA_IFALIAS, "my\0tunnel", 10);
    bytes("alias empty", "tun0", IFLA_IFALIAS, "", 0);
    char big[300];
    memset(big, 'x', sizeof big);
    link_request(RTM_SETLINK, 0, "tun0");
    put(IFLA_IFALIAS, big, 255);
    ask("alias of 255");
    link_request(RTM_SETLINK, 0, "tun0");
    put(IFLA_IFALIAS, big, 256);
    ask("alias of 256");
    bytes("alias of one zero", "tun0", IFLA_IFALIAS, "", 1);
    ALL();
}

static void rename_to(const char *label, const char *from, const char *to)
{
    link_request(RTM_NEWLINK, 0, from);
    put_text(IFLA_IFNAME, to);
    ask(label);
}

static void alt(const char *label, int type, int flags, const char *name, const char *alternative)
{
    link_request(type, flags, name);
    size_t list = nest(IFLA_PROP_LIST | NLA_F_NESTED);
    put_text(IFLA_ALT_IFNAME, alternative);
    nest_end(list);
    ask(label);
}

static void names(void)
{
    ONLY(IFLA_IFNAME, IFLA_PROP_LIST);
    rename_to("rename", "tun0", "ren0");
    now_is("rename", "ren0");
    rename_to("rename to itself", "ren0", "ren0");
    rename_to("rename to another's", "ren0", "tap0");
    rename_to("rename to a bad name", "ren0", "a/b");
    rename_to("rename to a name with a blank", "ren0", "a b");
    rename_to("rename to a name with a colon", "ren0", "a:b");
    rename_to("rename to a dot", "ren0", ".");
    rename_to("rename to nothing", "ren0", "");
    rename_to("rename to a long name", "ren0", "a234567890123456");
    rename_to("rename to a pattern", "ren0", "pat%d");
    now_is("rename to a pattern", "pat0");
    rename_to("rename to a bad pattern", "pat0", "pat%s");
    now_is("rename to a bad pattern", "pat0");
    link_up("pat0", 1);
    rename_to("rename while up", "pat0", "tun0");
    now_is("rename while up", "tun0");
    link_up("tun0", 0);
    alt("altname add", RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND, "tun0", "an-alternative-name-of-the-tunnel");
    now_is("altname add", "tun0");
    alt("altname add again", RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND, "tun0", "an-alternative-name-of-the-tunnel");
    alt("altname of another", RTM_NEWLINKPROP, NLM_F_CREATE, "tap0", "an-alternative-name-of-the-tunnel");
    alt("altname that is a name", RTM_NEWLINKPROP, 0, "tun0", "tap0");
    alt("altname, second", RTM_NEWLINKPROP, 0, "tun0", "second");
    now_is("altname, second", "tun0");
    alt("altname with a slash", RTM_NEWLINKPROP, 0, "tun0", "a/b");
    alt("altname empty", RTM_NEWLINKPROP, 0, "tun0", "");
    link_request(RTM_SETLINK, 0, "tun0");
    put_text(IFLA_IFALIAS, "an alias");
    ask("an alias beside the altnames");
    link_of("with alias and altnames", "tun0", 0);
    ONLY(IFLA_IFNAME, IFLA_PROP_LIST);
    by_name("get by altname", IFLA_ALT_IFNAME, "an-alternative-name-of-the-tunnel");
    by_name("get by altname in IFLA_IFNAME", IFLA_IFNAME, "second");
    rename_to("rename to the altname of another", "tap0", "second");
    say("SIOCGIFINDEX of an altname", "%d", if_index("second") == if_index("tun0"));
    alt("altname del", RTM_DELLINKPROP, 0, "tun0", "second");
    alt("altname del again", RTM_DELLINKPROP, 0, "tun0", "second");
    alt("altname del of a name", RTM_DELLINKPROP, 0, "tun0", "tun0");
    alt("altname del through another", RTM_DELLINKPROP, 0, "tap0", "an-alternative-name-of-the-tunnel");
    now_is("altname del", "tun0");
    link_request(RTM_NEWLINKPROP, 0, "tun0");
    ask("NEWLINKPROP without a list");
    link_request(RTM_NEWLINKPROP, 0, "tun0");
    put(IFLA_PROP_LIST | NLA_F_NESTED, "", 0);
    ask("NEWLINKPROP with an empty list");
    link_request(RTM_NEWLINKPROP, 0, NULL);
    ask("NEWLINKPROP of nothing");
    link_request(RTM_NEWLINKPROP, 0, NULL)->ifi_index = 9999;
    ask("NEWLINKPROP of index 9999");
    ALL();
}

/* ---- creation and deletion ---- */

static void create(const char *label, int flags, const char *name, const char *kind)
{
    link_request(RTM_NEWLINK, flags, NULL);
    if (name)
        put_text(IFLA_IFNAME, name);
    if (kind) {
        size_t info = nest(IFLA_LINKINFO);
        put(IFLA_INFO_KIND, kind, strlen(kind));
        nest_end(info);
    }
    ask(label);
}

static void creation(void)
{
    ONLY(IFLA_IFNAME);
    create("probe, nothing", 0, NULL, NULL);
    create("probe, CREATE without name and kind", NLM_F_CREATE | NLM_F_EXCL, NULL, NULL);
    create("missing name without CREATE", 0, "new0", NULL);
    create("missing name, CREATE, no kind", NLM_F_CREATE, "new0", NULL);
    create("missing name, kind tun, no CREATE", 0, "new0", "tun");
    create("kind tun", NLM_F_CREATE | NLM_F_EXCL, "new0", "tun");
    create("kind tun without name", NLM_F_CREATE | NLM_F_EXCL, NULL, "tun");
    create("kind tun, bad name", NLM_F_CREATE | NLM_F_EXCL, "a/b", "tun");
    create("kind tap", NLM_F_CREATE | NLM_F_EXCL, "new0", "tap");
    create("kind nokind", NLM_F_CREATE | NLM_F_EXCL, "new0", "nokind");
    create("empty kind", NLM_F_CREATE | NLM_F_EXCL, "new0", "");
    create("existing name, EXCL", NLM_F_CREATE | NLM_F_EXCL, "tun0", NULL);
    create("existing name, EXCL, kind tun", NLM_F_CREATE | NLM_F_EXCL, "tun0", "tun");
    create("existing name, CREATE", NLM_F_CREATE, "tun0", NULL);
    create("existing name, REPLACE", NLM_F_REPLACE, "tun0", NULL);
    create("existing name, REPLACE, kind tun", NLM_F_REPLACE, "tun0", "tun");
    create("existing name, kind tun, no flags", 0, "tun0", "tun");
    create("existing name, another kind", 0, "tun0", "nokind");
    create("existing name, no flags", 0, "tun0", NULL);
    link_request(RTM_NEWLINK, NLM_F_CREATE, NULL)->ifi_index = 4000;
    put_text(IFLA_IFNAME, "new0");
    ask("CREATE with an index, no kind");
    link_request(RTM_NEWLINK, 0, "tun0");
    size_t info = nest(IFLA_LINKINFO);
    put_text(IFLA_INFO_KIND, "tun");
    size_t data = nest(IFLA_INFO_DATA);
    put_u8(IFLA_TUN_TYPE, 2);
    nest_end(data);
    nest_end(info);
    ask("data of kind tun");
    link_request(RTM_NEWLINK, 0, NULL);
    put_u32(IFLA_GROUP, 42);
    put_u32(IFLA_MTU, 1300);
    ask("NEWLINK of an empty group");
    link_request(RTM_SETLINK, 0, "tun0");
    put_u32(IFLA_GROUP, 42);
    ask("tun into group 42");
    link_request(RTM_NEWLINK, 0, NULL);
    put_u32(IFLA_GROUP, 42);
    put_u32(IFLA_MTU, 1300);
    ask("NEWLINK of group 42");
    ONLY(IFLA_MTU, IFLA_GROUP);
    now_is("NEWLINK of group 42", "tun0");
    link_request(RTM_SETLINK, 0, "tun0");
    put_u32(IFLA_MTU, 1350);
    put_u32(IFLA_TXQLEN, -1);
    ask("two attributes, the second wrong");
    ONLY(IFLA_MTU, IFLA_TXQLEN);
    now_is("two attributes, the second wrong", "tun0");
    ALL();
}

static void afspec(void)
{
    ONLY(IFLA_IFNAME);
    for (int mode = 0; mode <= 4; mode++) {
        char label[40];
        snprintf(label, sizeof label, "addr_gen_mode %d", mode);
        link_request(RTM_SETLINK, 0, "tun0");
        size_t spec = nest(IFLA_AF_SPEC), six = nest(AF_INET6);
        put_u8(IFLA_INET6_ADDR_GEN_MODE, mode);
        nest_end(six);
        nest_end(spec);
        ask(label);
    }
    link_request(RTM_SETLINK, 0, "tun0");
    size_t spec = nest(IFLA_AF_SPEC), six = nest(AF_INET6);
    put_address(IFLA_INET6_TOKEN, "::5");
    nest_end(six);
    nest_end(spec);
    ask("token of a tun");
    link_request(RTM_SETLINK, 0, "tap0");
    spec = nest(IFLA_AF_SPEC), six = nest(AF_INET6);
    put_address(IFLA_INET6_TOKEN, "::5");
    nest_end(six);
    nest_end(spec);
    ask("token of a tap");
    link_request(RTM_SETLINK, 0, "tun0");
    spec = nest(IFLA_AF_SPEC), six = nest(200);
    nest_end(six);
    nest_end(spec);
    ask("AF_SPEC of family 200");
    ALL();
}

static void statistics(void)
{
    struct if_stats_msg m = { .ifindex = if_index("tun0"), .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) };
    request(RTM_GETSTATS, 0, &m, sizeof m);
    ask("GETSTATS");
    m.filter_mask = 0;
    request(RTM_GETSTATS, 0, &m, sizeof m);
    ask("GETSTATS without a filter");
    m.filter_mask = 0x8000;
    request(RTM_GETSTATS, 0, &m, sizeof m);
    ask("GETSTATS, unknown filter");
    m.filter_mask = 1, m.ifindex = 0;
    request(RTM_GETSTATS, 0, &m, sizeof m);
    ask("GETSTATS of nothing");
    m.ifindex = 9999;
    request(RTM_GETSTATS, 0, &m, sizeof m);
    ask("GETSTATS of index 9999");
    m.ifindex = 0;
    request(RTM_GETSTATS, NLM_F_DUMP, &m, sizeof m);
    ask("GETSTATS dump");
    request(RTM_GETSTATS, 0, &m, 4);
    ask("GETSTATS, short");
}

static void deletion(int tun)
{
    link_request(RTM_DELLINK, 0, NULL);
    ask("DELLINK of nothing");
    link_request(RTM_DELLINK, 0, NULL)->ifi_index = 9999;
    ask("DELLINK of index 9999");
    link_request(RTM_DELLINK, 0, NULL)->ifi_index = -1;
    ask("DELLINK of index -1");
    link_request(RTM_DELLINK, 0, NULL);
    put_text(IFLA_IFNAME, "nothere");
    ask("DELLINK of a missing name");
    link_request(RTM_DELLINK, 0, "lo");
    ask("DELLINK of lo");
    link_request(RTM_DELLINK, 0, NULL);
    put_u32(IFLA_GROUP, 77);
    ask("DELLINK of an empty group");
    link_request(RTM_DELLINK, 0, NULL);
    put_u32(IFLA_GROUP, 0);
    ask("DELLINK of group 0");
    link_request(RTM_DELLINK, 0, "tun0");
    ask("DELLINK");
    SHOW("read afterwards", read(tun, rt_got, 10));
    link_request(RTM_DELLINK, 0, NULL);
    put_text(IFLA_IFNAME, "tun0");
    ask("DELLINK again by name");
    int one = tun_named("de0"), two = tun_named("de1"), three = tun_named("de2");
    link_request(RTM_DELLINK, 0, NULL);
    put_text(IFLA_IFNAME, "de0");
    ask("DELLINK by name");
    alt("altname for deletion", RTM_NEWLINKPROP, 0, "de1", "another-name-of-de1");
    link_request(RTM_DELLINK, 0, NULL);
    put_text(IFLA_ALT_IFNAME, "another-name-of-de1");
    ask("DELLINK by altname");
    link_request(RTM_SETLINK, 0, "de2");
    put_u32(IFLA_GROUP, 77);
    ask("de2 into group 77");
    link_request(RTM_DELLINK, 0, NULL);
    put_u32(IFLA_GROUP, 77);
    ask("DELLINK of group 77");
    say("gone", "%d %d %d", !exists("de0"), !exists("de1"), !exists("de2"));
    close(one);
    close(two);
    close(three);
}

static void kinds(void)
{
    static const struct { const char *label; int flags; } made[] = {
        { "tun with PI", IFF_TUN }, { "tap with vnet header", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR },
        { "multi-queue", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE } };
    ONLY(IFLA_LINKINFO, IFLA_NUM_TX_QUEUES, IFLA_NUM_RX_QUEUES, IFLA_QDISC);
    for (int i = 0; i < 3; i++) {
        int fd = tun_attach("kind0", made[i].flags, 0);
        name_index("kind0");
        link_request(RTM_GETLINK, 0, "kind0");
        ask(made[i].label);
        if (!i) {
            MUST(ioctl(fd, TUNSETPERSIST, 1));
            MUST(ioctl(fd, TUNSETOWNER, 0));
            link_request(RTM_GETLINK, 0, "kind0");
            ask("persistent, with an owner");
            MUST(ioctl(fd, TUNSETPERSIST, 0));
        }
        close(fd);
    }
    ALL();
}

/* The carrier of an interface to which nobody is attached. */
static void without_a_queue(void)
{
    int tun = tun_named("tun0");
    MUST(ioctl(tun, TUNSETPERSIST, 1));
    close(tun);
    set_flags("nobody attached, up", "tun0", IFF_UP, IFF_UP);
    for (int carrier = 0; carrier < 2; carrier++) {
        char label[60];
        snprintf(label, sizeof label, "nobody attached, mtu and carrier %d", carrier);
        link_request(RTM_SETLINK, 0, "tun0");
        put_u32(IFLA_MTU, 1400 + carrier);
        put_u8(IFLA_CARRIER, carrier);
        ask(label);
        ONLY(IFLA_CARRIER, IFLA_MTU);
        now_is(label, "tun0");
        ALL();
    }
    tun = tun_named("tun0");
    MUST(ioctl(tun, TUNSETPERSIST, 0));
    close(tun);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    without_a_queue();
    int tun = tun_named("tun0"), tap = tap_with_address("tap0", 1);
    answers();
    queries();
    dumps();
    flags();
    numbers();
    addresses();
    names();
    creation();
    afspec();
    statistics();
    kinds();
    deletion(tun);
    close(tap);
    return 0;
}
