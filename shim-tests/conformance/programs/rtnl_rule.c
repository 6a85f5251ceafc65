/* Rules of routing through rtnetlink, of both families. */
#include "rtnl.h"

static int family;
static const char *prefix;

static const char *labelled(const char *what)
{
    static char label[100];
    snprintf(label, sizeof label, "%s %s", prefix, what);
    return label;
}

/* The rules that the kernel did not make, unless all are wanted. */
static int not_default(const struct nlmsghdr *h)
{
    const struct fib_rule_hdr *m = NLMSG_DATA(h);
    int len = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
    unsigned priority = 0;
    for (const struct rtattr *a = (const void *)(m + 1); RTA_OK(a, len); a = RTA_NEXT(a, len))
        if (a->rta_type == FRA_PRIORITY)
            memcpy(&priority, RTA_DATA(a), 4);
    return priority && priority < 32766;
}

static void rules(const char *what)
{
    char label[120];
    snprintf(label, sizeof label, "%s, list", labelled(what));
    rt_wanted = not_default;
    dump_request(RTM_GETRULE, family);
    ask(label);
    rt_wanted = NULL;
}

#define NEW (NLM_F_CREATE | NLM_F_EXCL)
#define RULE(...) do { rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL); __VA_ARGS__; } while (0)

static unsigned char first[2048] __attribute__((aligned(8)));

static void take_first(const struct nlmsghdr *h)
{
    if (!((struct nlmsghdr *)first)->nlmsg_len && not_default(h) && h->nlmsg_len <= sizeof first)
        memcpy(first, h, h->nlmsg_len);
}

static void delete_all(void)
{
    for (int n = 0; n < 60; n++) {
        memset(first, 0, sizeof first);
        if (!each(RTM_GETRULE, family, take_first) || !((struct nlmsghdr *)first)->nlmsg_len)
            return;
        memcpy(rt_ask, first, ((struct nlmsghdr *)first)->nlmsg_len);
        rt_head->nlmsg_type = RTM_DELRULE;
        rt_head->nlmsg_flags = NLM_F_REQUEST;
        if (quietly())
            return;
    }
}

static const char *address(int n)
{
    static char text[2][60];
    snprintf(text[n % 2], 60, family == AF_INET ? "10.%d.0.0" : "fd%02d::", n);
    return text[n % 2];
}

static void selectors(void)
{
    struct fib_rule_hdr *m;
    dump_request(RTM_GETRULE, family);
    ask(labelled("at first"));
    RULE(put_u32(FRA_PRIORITY, 1000));
    ask(labelled("priority 1000"));
    ask(labelled("again, EXCL"));
    rt_head->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
    ask(labelled("again, CREATE"));
    rt_head->nlmsg_flags = NLM_F_REQUEST;
    ask(labelled("again, no flags"));
    rt_head->nlmsg_flags = NLM_F_REQUEST | NLM_F_REPLACE;
    ask(labelled("again, REPLACE"));
    RULE();
    ask(labelled("automatic priority"));
    RULE(put_u8(FRA_PROTOCOL, RTPROT_STATIC));
    ask(labelled("automatic priority, second"));
    rules("priorities");
    delete_all();
    rules("deleted");
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->src_len = 16;
    put_address(FRA_SRC, address(1));
    put_u32(FRA_PRIORITY, 100);
    ask(labelled("from"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->dst_len = 16;
    put_address(FRA_DST, address(2));
    put_u32(FRA_PRIORITY, 101);
    ask(labelled("to"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->dst_len = family == AF_INET ? 33 : 129;
    put_address(FRA_DST, address(2));
    ask(labelled("to, prefix too long"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->dst_len = 16;
    ask(labelled("to without an address"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->src_len = 16;
    put(FRA_SRC, "ab", 2);
    ask(labelled("from of 2 bytes"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->src_len = 8;
    put_address(FRA_SRC, family == AF_INET ? "10.1.2.3" : "fd01::5");
    put_u32(FRA_PRIORITY, 102);
    ask(labelled("from with host bits"));
    RULE(put_u32(FRA_PRIORITY, 103), put_text(FRA_IIFNAME, "tun0"));
    ask(labelled("iif"));
    RULE(put_u32(FRA_PRIORITY, 104), put_text(FRA_OIFNAME, "tap0"));
    ask(labelled("oif"));
    RULE(put_u32(FRA_PRIORITY, 105), put_text(FRA_IIFNAME, "nothere"));
    ask(labelled("iif that is missing"));
    RULE(put_u32(FRA_PRIORITY, 106), put_text(FRA_OIFNAME, "nothere"));
    ask(labelled("oif that is missing"));
    RULE(put_text(FRA_IIFNAME, "a234567890123456"));
    ask(labelled("iif too long"));
    RULE(put_text(FRA_IIFNAME, "lo"), put_u32(FRA_PRIORITY, 107));
    ask(labelled("iif lo"));
    RULE(put_u32(FRA_PRIORITY, 108), put_u32(FRA_FWMARK, 0x10));
    ask(labelled("fwmark"));
    RULE(put_u32(FRA_PRIORITY, 109), put_u32(FRA_FWMARK, 0x10), put_u32(FRA_FWMASK, 0xf0));
    ask(labelled("fwmark and mask"));
    RULE(put_u32(FRA_PRIORITY, 110), put_u32(FRA_FWMASK, 0xf0));
    ask(labelled("mask alone"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->tos = 0x10;
    put_u32(FRA_PRIORITY, 111);
    ask(labelled("tos 0x10"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->tos = 0x03;
    ask(labelled("tos 3"));
    m = rule_request(RTM_NEWRULE, NEW, family, 0, FR_ACT_TO_TBL);
    put_u32(FRA_TABLE, 1000);
    put_u32(FRA_PRIORITY, 112);
    ask(labelled("table 1000"));
    m = rule_request(RTM_NEWRULE, NEW, family, 0, FR_ACT_TO_TBL);
    ask(labelled("table 0"));
    RULE(put_u32(FRA_PRIORITY, 113), put_u32(FRA_SUPPRESS_PREFIXLEN, 0));
    ask(labelled("suppress_prefixlength 0"));
    RULE(put_u32(FRA_PRIORITY, 114), put_u32(FRA_SUPPRESS_IFGROUP, 5));
    ask(labelled("suppress_ifgroup 5"));
    uint32_t range[2] = { getuid(), getuid() };
    RULE(put_u32(FRA_PRIORITY, 115), put(FRA_UID_RANGE, range, 8));
    ask(labelled("uidrange"));
    range[0]++;
    RULE(put_u32(FRA_PRIORITY, 116), put(FRA_UID_RANGE, range, 8));
    ask(labelled("uidrange, inverted"));
    RULE(put(FRA_UID_RANGE, range, 4));
    ask(labelled("uidrange of 4 bytes"));
    RULE(put_u32(FRA_PRIORITY, 117), put_u8(FRA_IP_PROTO, 6));
    ask(labelled("ipproto"));
    uint16_t ports[2] = { 80, 90 };
    RULE(put_u32(FRA_PRIORITY, 118), put_u8(FRA_IP_PROTO, 17), put(FRA_SPORT_RANGE, ports, 4), put(FRA_DPORT_RANGE, ports, 4));
    ask(labelled("ports"));
    ports[0] = 91;
    RULE(put_u32(FRA_PRIORITY, 119), put(FRA_DPORT_RANGE, ports, 4));
    ask(labelled("ports, inverted"));
    RULE(put_u32(FRA_PRIORITY, 120), put_u8(FRA_L3MDEV, 1));
    ask(labelled("l3mdev and a table"));
    RULE(put_u32(FRA_PRIORITY, 121), put_u8(FRA_PROTOCOL, 99));
    ask(labelled("protocol 99"));
    RULE(put_u32(FRA_PRIORITY, 122), put_u32(FRA_FLOW, 7));
    ask(labelled("realm"));
    RULE(put_u32(FRA_PRIORITY, 123), put(FRA_TUN_ID, "\0\0\0\0\0\0\0\5", 8));
    ask(labelled("tunnel id"));
    RULE(put_u32(FRA_PRIORITY, 124), put_u32(60, 7));
    ask(labelled("unknown attribute 60"));
    RULE(put_u16(FRA_PRIORITY, 124));
    ask(labelled("priority of 2 bytes"));
    m = rule_request(RTM_NEWRULE, NEW, family, 100, FR_ACT_TO_TBL);
    m->flags = FIB_RULE_INVERT;
    put_u32(FRA_PRIORITY, 125);
    put_u32(FRA_FWMARK, 1);
    ask(labelled("not"));
    rules("selectors");
    int fd = tun_named("nothere");
    rules("the missing one came");
    close(fd);
    rules("the missing one went");
    delete_all();
}

static void actions(void)
{
    for (int action = 0; action <= 9; action++) {
        char what[40];
        snprintf(what, sizeof what, "action %d", action);
        rule_request(RTM_NEWRULE, NEW, family, 0, action);
        put_u32(FRA_PRIORITY, 200 + action);
        ask(labelled(what));
    }
    rule_request(RTM_NEWRULE, NEW, family, 0, FR_ACT_GOTO);
    put_u32(FRA_PRIORITY, 300);
    put_u32(FRA_GOTO, 400);
    ask(labelled("goto nowhere yet"));
    rules("goto nowhere yet");
    rule_request(RTM_NEWRULE, NEW, family, 0, FR_ACT_NOP);
    put_u32(FRA_PRIORITY, 400);
    ask(labelled("the target"));
    rules("goto the target");
    rule_request(RTM_NEWRULE, NEW, family, 0, FR_ACT_GOTO);
    put_u32(FRA_PRIORITY, 500);
    put_u32(FRA_GOTO, 400);
    ask(labelled("goto backwards"));
    rule_request(RTM_NEWRULE, NEW, family, 0, FR_ACT_NOP);
    put_u32(FRA_PRIORITY, 501);
    put_u32(FRA_GOTO, 600);
    ask(labelled("nop with a target"));
    delete_all();
    rules("actions deleted");
}

static void deletion(void)
{
    RULE(put_u32(FRA_PRIORITY, 700), put_u32(FRA_FWMARK, 7));
    ask(labelled("for deletion"));
    rule_request(RTM_DELRULE, 0, family, 0, 0);
    put_u32(FRA_PRIORITY, 701);
    ask(labelled("delete, wrong priority"));
    rule_request(RTM_DELRULE, 0, family, 0, 0);
    put_u32(FRA_PRIORITY, 700);
    put_u32(FRA_FWMARK, 8);
    ask(labelled("delete, wrong mark"));
    rule_request(RTM_DELRULE, 0, family, 101, 0);
    put_u32(FRA_PRIORITY, 700);
    ask(labelled("delete, wrong table"));
    rule_request(RTM_DELRULE, 0, family, 0, FR_ACT_BLACKHOLE);
    put_u32(FRA_PRIORITY, 700);
    ask(labelled("delete, wrong action"));
    rule_request(RTM_DELRULE, 0, family, 0, 0);
    put_u32(FRA_FWMARK, 7);
    ask(labelled("delete by its mark"));
    ask(labelled("delete again"));
    rule_request(RTM_DELRULE, 0, family, 0, 0);
    put_u32(FRA_PRIORITY, 32767);
    ask(labelled("delete the default"));
    rule_request(RTM_DELRULE, 0, family, 0, 0);
    put_u32(FRA_PRIORITY, 0);
    ask(labelled("delete local"));
    dump_request(RTM_GETRULE, family);
    ask(labelled("without defaults, list"));
    rule_request(RTM_NEWRULE, NEW, family, RT_TABLE_LOCAL, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 0);
    ask(labelled("local again"));
    rule_request(RTM_NEWRULE, NEW, family, RT_TABLE_DEFAULT, FR_ACT_TO_TBL);
    put_u32(FRA_PRIORITY, 32767);
    ask(labelled("default again"));
    dump_request(RTM_GETRULE, family);
    ask(labelled("with defaults, list"));
    rule_request(RTM_GETRULE, 0, family, 0, 0);
    ask(labelled("get of one"));
    struct fib_rule_hdr m = { .family = family };
    request(RTM_NEWRULE, NEW, &m, 4);
    ask(labelled("short header"));
    strict(1);
    dump_request(RTM_GETRULE, family);
    ask(labelled("strict, dump"));
    ((struct fib_rule_hdr *)dump_request(RTM_GETRULE, family))->table = 254;
    ask(labelled("strict, dump with a table"));
    dump_request(RTM_GETRULE, family);
    put_u32(FRA_TABLE, 254);
    ask(labelled("strict, dump with an attribute"));
    strict(0);
}

/* What a rule does to a lookup. */
static void lookups(void)
{
    addr_request(RTM_NEWADDR, 0, "tun0", "10.9.0.1/24");
    ask("an address");
    link_up("tun0", 1);
    route_request(RTM_NEWROUTE, NEW, "10.50.0.0/16", "tun0")->rtm_table = 100;
    ask("a route of table 100");
    struct rtmsg *m = route_request(RTM_GETROUTE, 0, "10.50.0.1", NULL);
    m->rtm_table = m->rtm_protocol = m->rtm_type = m->rtm_scope = 0;
    ask("lookup without a rule");
    family = AF_INET, prefix = "lookup";
    RULE(put_u32(FRA_PRIORITY, 100), put_u32(FRA_FWMARK, 5));
    ask("a rule by mark");
    m = route_request(RTM_GETROUTE, 0, "10.50.0.1", NULL);
    m->rtm_table = m->rtm_protocol = m->rtm_type = m->rtm_scope = 0;
    ask("lookup without the mark");
    m = route_request(RTM_GETROUTE, 0, "10.50.0.1", NULL);
    m->rtm_table = m->rtm_protocol = m->rtm_type = m->rtm_scope = 0;
    put_u32(RTA_MARK, 5);
    ask("lookup with the mark");
    m->rtm_flags = RTM_F_LOOKUP_TABLE;
    ask("lookup with the mark, table");
    rule_request(RTM_NEWRULE, NEW, AF_INET, 0, FR_ACT_PROHIBIT)->dst_len = 16;
    put_address(FRA_DST, "10.60.0.0");
    ask("a prohibiting rule");
    m = route_request(RTM_GETROUTE, 0, "10.60.0.1", NULL);
    m->rtm_table = m->rtm_protocol = m->rtm_type = m->rtm_scope = 0;
    ask("lookup, prohibited");
    uint32_t range[2] = { getuid(), getuid() };
    RULE(put_u32(FRA_PRIORITY, 99), put(FRA_UID_RANGE, range, 8));
    ask("a rule by uid");
    link_up("tun0", 0);
    delete_all();
    family = AF_UNSPEC;
    ONLY(FRA_PRIORITY);
    list("rules of all families", RTM_GETRULE, AF_UNSPEC);
    list("rules of family 200", RTM_GETRULE, 200);
    struct rtgenmsg one = { AF_INET };
    request(RTM_GETRULE, NLM_F_DUMP, &one, 1);
    ask("rules with a one-byte header");
    rule_request(RTM_NEWRULE, NEW, AF_UNSPEC, 100, FR_ACT_TO_TBL);
    ask("new rule of family 0");
    rule_request(RTM_NEWRULE, NEW, 200, 100, FR_ACT_TO_TBL);
    ask("new rule of family 200");
    ALL();
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    int tun = tun_named("tun0"), tap = tap_with_address("tap0", 1);
    static const struct { int family; const char *prefix; } both[] = { { AF_INET, "v4" }, { AF_INET6, "v6" } };
    for (int i = 0; i < 2; i++) {
        family = both[i].family;
        prefix = both[i].prefix;
        selectors();
        actions();
        deletion();
    }
    lookups();
    close(tun);
    close(tap);
    return 0;
}
