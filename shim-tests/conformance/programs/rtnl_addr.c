/* Addresses through rtnetlink, of both families, on a tun and a tap. */
#include "rtnl.h"

/* The addresses of a family on tun0 and tap0, short. */
static void list_of(const char *what, int family)
{
    char label[100];
    snprintf(label, sizeof label, "%s, list", what);
    dump_request(RTM_GETADDR, family);
    ask(label);
}

static void add(const char *label, int flags, const char *name, const char *cidr)
{
    addr_request(RTM_NEWADDR, flags, name, cidr);
    ask(label);
}

static void del(const char *label, const char *name, const char *cidr)
{
    addr_request(RTM_DELADDR, 0, name, cidr);
    ask(label);
}

static struct { int index, found; struct ifaddrmsg info; unsigned char local[16]; size_t len; } first;

static void take_first(const struct nlmsghdr *h)
{
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    int left = IFA_PAYLOAD(h), plain = 0;
    if (first.found || (int)m->ifa_index != first.index)
        return;
    first.found = 1;
    first.info = *m;
    for (const struct rtattr *a = IFA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFA_LOCAL || (a->rta_type == IFA_ADDRESS && !plain)) {
            plain = a->rta_type == IFA_LOCAL;
            first.len = RTA_PAYLOAD(a);
            memcpy(first.local, RTA_DATA(a), first.len);
        }
}

static void flush(int family)
{
    static const char *const names[] = { "tun0", "tap0" };
    for (int i = 0; i < 2; i++)
        for (int n = 0; n < 40; n++) {
            memset(&first, 0, sizeof first);
            first.index = if_index(names[i]);
            if (!each(RTM_GETADDR, family, take_first) || !first.found)
                break;
            request(RTM_DELADDR, 0, &first.info, sizeof first.info);
            put(IFA_LOCAL, first.local, first.len);
            if (quietly())
                break;
        }
}

/* ---- IPv4 ---- */

static void v4(void)
{
    list_of("dump of nothing", AF_INET);
    add("v4 while down", NLM_F_CREATE | NLM_F_EXCL, "tun0", "10.9.0.1/24");
    add("v4 again, EXCL", NLM_F_CREATE | NLM_F_EXCL, "tun0", "10.9.0.1/24");
    add("v4 again, CREATE", NLM_F_CREATE, "tun0", "10.9.0.1/24");
    add("v4 again, REPLACE", NLM_F_REPLACE, "tun0", "10.9.0.1/24");
    add("v4 again, no flags", 0, "tun0", "10.9.0.1/24");
    add("v4, same address, other prefix", 0, "tun0", "10.9.0.1/16");
    add("v4, REPLACE of a missing one", NLM_F_REPLACE, "tun0", "10.9.8.1/24");
    list_of("v4 dump", AF_INET);
    add("v4 second of the prefix", 0, "tun0", "10.9.0.2/24");
    add("v4 third of the prefix", 0, "tun0", "10.9.0.3/24");
    list_of("v4 secondary", AF_INET);
    del("v4 delete the primary", "tun0", "10.9.0.1/24");
    list_of("v4 secondaries went", AF_INET);
    flush(AF_INET);
    list_of("v4 flushed", AF_INET);
    int fd = MUST(open("/proc/sys/net/ipv4/conf/tun0/promote_secondaries", O_WRONLY));
    MUST(write(fd, "1", 1));
    close(fd);
    add("v4 primary", 0, "tun0", "10.9.0.1/24");
    add("v4 secondary one", 0, "tun0", "10.9.0.2/24");
    add("v4 secondary two", 0, "tun0", "10.9.0.3/24");
    del("v4 delete the primary, promoting", "tun0", "10.9.0.1/24");
    list_of("v4 promoted", AF_INET);
    flush(AF_INET);
    add("v4 on a tap", NLM_F_CREATE, "tap0", "10.9.1.1/24");
    list_of("v4 of a tap, no broadcast is invented", AF_INET);
    flush(AF_INET);
    add("v4 on lo", NLM_F_CREATE, "lo", "127.0.0.1/8");
    list_of("v4 on lo", AF_INET);
    del("v4 on lo, deleted", "lo", "127.0.0.1/8");
}

static void v4_attributes(void)
{
    addr_request(RTM_NEWADDR, NLM_F_CREATE, "tun0", "10.8.0.1/32");
    put_address(IFA_ADDRESS, "10.8.0.2");
    ask("peer");
    list_of("peer", AF_INET);
    addr_request(RTM_NEWADDR, NLM_F_CREATE, "tun0", "10.8.0.1/32");
    put_address(IFA_ADDRESS, "10.8.0.3");
    ask("the same with another peer");
    list_of("the same with another peer", AF_INET);
    addr_request(RTM_DELADDR, 0, "tun0", "10.8.0.1/32");
    put_address(IFA_ADDRESS, "10.8.0.9");
    ask("delete with a wrong peer");
    addr_request(RTM_DELADDR, 0, "tun0", "10.8.0.1/32");
    put_address(IFA_ADDRESS, "10.8.0.3");
    ask("delete with its peer");
    flush(AF_INET);
    addr_request(RTM_NEWADDR, NLM_F_CREATE, "tap0", "10.8.0.1/24");
    put_address(IFA_BROADCAST, "10.8.0.255");
    put_text(IFA_LABEL, "tap0:lab");
    ask("label and broadcast");
    list_of("label and broadcast", AF_INET);
    addr_request(RTM_DELADDR, 0, "tap0", "10.8.0.1/24");
    put_text(IFA_LABEL, "tap0:other");
    ask("delete with a wrong label");
    addr_request(RTM_DELADDR, 0, "tap0", "10.8.0.1/24");
    put_text(IFA_LABEL, "tap0:lab");
    ask("delete with its label");
    addr_request(RTM_NEWADDR, 0, "tap0", "10.8.0.1/24");
    put_text(IFA_LABEL, "other");
    ask("label not of the interface");
    addr_request(RTM_NEWADDR, 0, "tap0", "10.8.0.2/24");
    put_text(IFA_LABEL, "a2345678901234567");
    ask("label too long");
    addr_request(RTM_NEWADDR, 0, "tap0", "10.8.0.3/24");
    put(IFA_LABEL, "", 0);
    ask("label of no bytes");
    list_of("labels", AF_INET);
    flush(AF_INET);
    for (int scope = 0; scope < 4; scope++) {
        static const int scopes[] = { RT_SCOPE_LINK, RT_SCOPE_HOST, RT_SCOPE_SITE, RT_SCOPE_NOWHERE };
        char label[40];
        snprintf(label, sizeof label, "scope %d", scopes[scope]);
        struct ifaddrmsg *m = addr_request(RTM_NEWADDR, 0, "tun0", "10.7.0.1/24");
        m->ifa_scope = scopes[scope];
        ((unsigned char *)rt_ask)[NLMSG_HDRLEN + sizeof *m + 4 + 2] = scope;
        ask(label);
    }
    list_of("scopes", AF_INET);
    flush(AF_INET);
    struct ifa_cacheinfo life = { .ifa_prefered = 600, .ifa_valid = 1200 };
    addr_request(RTM_NEWADDR, 0, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("lifetimes");
    list_of("lifetimes", AF_INET);
    life.ifa_valid = 3000;
    addr_request(RTM_NEWADDR, 0, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("lifetimes, changed without REPLACE");
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("lifetimes, changed");
    list_of("lifetimes, changed", AF_INET);
    life.ifa_prefered = 0;
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("preferred 0");
    list_of("preferred 0", AF_INET);
    life.ifa_valid = 0;
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("valid 0");
    life.ifa_valid = 10, life.ifa_prefered = 20;
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("preferred longer than valid");
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, 8);
    ask("lifetimes of 8 bytes");
    life.ifa_valid = life.ifa_prefered = 0xffffffff;
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "10.7.0.1/24");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("lifetimes forever");
    list_of("lifetimes forever", AF_INET);
    flush(AF_INET);
    addr_request(RTM_NEWADDR, 0, "tun0", "10.7.0.1/24");
    put_u32(IFA_FLAGS, IFA_F_NOPREFIXROUTE);
    put_u8(IFA_PROTO, 7);
    put_u32(IFA_RT_PRIORITY, 55);
    ask("noprefixroute, protocol and metric");
    list_of("noprefixroute, protocol and metric", AF_INET);
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "10.7.0.1/24");
    put_u32(IFA_RT_PRIORITY, 66);
    put_u8(IFA_PROTO, 8);
    ask("metric changed");
    list_of("metric changed", AF_INET);
    flush(AF_INET);
    addr_request(RTM_NEWADDR, 0, "tun0", "10.7.0.1/24");
    put_u32(IFA_FLAGS, 0xffffffff);
    ask("all flags");
    list_of("all flags", AF_INET);
    flush(AF_INET);
    addr_request(RTM_NEWADDR, 0, "tun0", "10.7.0.1/24");
    put_u32(IFA_FLAGS, IFA_F_MCAUTOJOIN);
    ask("autojoin");
    addr_request(RTM_NEWADDR, 0, "tun0", "10.7.0.2/24")->ifa_flags = IFA_F_SECONDARY;
    ask("secondary in the header");
    list_of("secondary in the header", AF_INET);
    flush(AF_INET);
}

static void v4_errors(void)
{
    add("prefix 33", 0, "tun0", "10.9.0.1/33");
    add("prefix 0", 0, "tun0", "10.9.0.1/0");
    flush(AF_INET);
    add("no interface", 0, NULL, "10.9.0.1/24");
    addr_request(RTM_NEWADDR, 0, NULL, "10.9.0.1/24")->ifa_index = 9999;
    ask("interface 9999");
    addr_request(RTM_NEWADDR, 0, "tun0", "/24")->ifa_family = AF_INET;
    ask("no address");
    addr_request(RTM_NEWADDR, 0, "tun0", "/24")->ifa_family = AF_INET;
    put_address(IFA_ADDRESS, "10.9.0.1");
    ask("IFA_ADDRESS alone");
    addr_request(RTM_NEWADDR, 0, "tun0", "/24")->ifa_family = AF_INET;
    put(IFA_LOCAL, "\x0a\x09", 2);
    ask("IFA_LOCAL of 2 bytes");
    addr_request(RTM_NEWADDR, 0, "tun0", "/24")->ifa_family = AF_INET;
    put_address(IFA_LOCAL, "fd00::1");
    ask("IFA_LOCAL of 16 bytes");
    list_of("IFA_LOCAL of 16 bytes", AF_INET);
    flush(AF_INET);
    add("address 0.0.0.0", 0, "tun0", "0.0.0.0/24");
    add("multicast address", 0, "tun0", "224.0.0.5/24");
    add("broadcast address", 0, "tun0", "255.255.255.255/32");
    add("loopback address", 0, "tun0", "127.0.0.5/8");
    list_of("odd addresses", AF_INET);
    flush(AF_INET);
    addr_request(RTM_NEWADDR, 0, "tun0", "10.9.0.1/24")->ifa_family = AF_UNSPEC;
    ask("family 0");
    addr_request(RTM_NEWADDR, 0, "tun0", "10.9.0.1/24")->ifa_family = AF_PACKET;
    ask("family packet");
    addr_request(RTM_NEWADDR, 0, "tun0", "10.9.0.1/24")->ifa_family = 200;
    ask("family 200");
    addr_request(RTM_NEWADDR, 0, "tun0", "10.9.0.1/24");
    put_u32(100, 1);
    ask("unknown attribute 100");
    del("unknown attribute, deleted", "tun0", "10.9.0.1/24");
    del("delete a missing one", "tun0", "10.9.0.77/24");
    del("delete with a wrong prefix", "tun0", "10.9.0.77/25");
    add("for deletion", 0, "tun0", "10.9.0.1/24");
    del("delete with another prefix", "tun0", "10.9.0.1/16");
    del("delete of another interface", "tap0", "10.9.0.1/24");
    addr_request(RTM_DELADDR, 0, NULL, "10.9.0.1/24");
    ask("delete without an interface");
    addr_request(RTM_DELADDR, 0, "tun0", "/24")->ifa_family = AF_INET;
    ask("delete without an address");
    list_of("delete without an address", AF_INET);
    struct ifaddrmsg m = { .ifa_family = AF_INET };
    request(RTM_NEWADDR, 0, &m, 4);
    ask("short header");
    request(RTM_GETADDR, 0, &m, sizeof m);
    ask("get of one, IPv4");
    request(RTM_GETADDR, 0, &m, sizeof m);
    ((struct ifaddrmsg *)NLMSG_DATA(rt_head))->ifa_family = AF_UNSPEC;
    ask("get of one, no family");
    flush(AF_INET);
}

/* ---- IPv6 ---- */

static void v6(void)
{
    list_of("v6 dump, both down", AF_INET6);
    add("v6 while down", NLM_F_CREATE | NLM_F_EXCL, "tun0", "fd00::1/64");
    add("v6 of a tap while down", NLM_F_CREATE | NLM_F_EXCL, "tap0", "fd03::1/64");
    say("v6 of a tun while down, settled", "%d", settled_on("tun0"));
    list_of("v6 while down", AF_INET6);
    link_up("tun0", 1);
    link_up("tap0", 1);
    say("v6 settled", "%d", settled());
    list_of("v6 dump, both up", AF_INET6);
    add("v6 again, EXCL", NLM_F_CREATE | NLM_F_EXCL, "tun0", "fd00::1/64");
    add("v6 again, CREATE", NLM_F_CREATE, "tun0", "fd00::1/64");
    add("v6 again, REPLACE", NLM_F_REPLACE, "tun0", "fd00::1/64");
    add("v6 again, other prefix", 0, "tun0", "fd00::1/80");
    add("v6 on another interface", 0, "tap0", "fd00::1/64");
    addr_request(RTM_NEWADDR, 0, "tap0", "fd01::1/64")->ifa_flags = IFA_F_NODAD;
    ask("v6 nodad");
    say("v6 nodad settled", "%d", settled());
    list_of("v6 nodad", AF_INET6);
    add("v6 with detection", 0, "tap0", "fd02::1/64");
    say("v6 detection ends", "%d", settled());
    list_of("v6 detected", AF_INET6);
    del("v6 delete", "tap0", "fd02::1/64");
    del("v6 delete again", "tap0", "fd02::1/64");
    del("v6 delete with another prefix", "tap0", "fd01::1/80");
    del("v6 delete of another interface", "tun0", "fd01::1/64");
    link_up("tun0", 0);
    list_of("v6 after down", AF_INET6);
    link_up("tap0", 0);
    list_of("v6 after both down", AF_INET6);
    link_up("tun0", 1);
    link_up("tap0", 1);
    settled();
    flush(AF_INET6);
    list_of("v6 flushed", AF_INET6);
}

static void v6_attributes(void)
{
    addr_request(RTM_NEWADDR, 0, "tun0", "fd00::1/128");
    put_address(IFA_ADDRESS, "fd00::2");
    ask("v6 peer");
    settled();
    list_of("v6 peer", AF_INET6);
    flush(AF_INET6);
    addr_request(RTM_NEWADDR, 0, "tun0", "/64")->ifa_family = AF_INET6;
    put_address(IFA_ADDRESS, "fd00::5");
    ask("v6 IFA_ADDRESS alone");
    addr_request(RTM_NEWADDR, 0, "tun0", "/64")->ifa_family = AF_INET6;
    ask("v6 no address");
    addr_request(RTM_NEWADDR, 0, "tun0", "/64")->ifa_family = AF_INET6;
    put_address(IFA_LOCAL, "10.0.0.1");
    ask("v6 address of 4 bytes");
    flush(AF_INET6);
    struct ifa_cacheinfo life = { .ifa_prefered = 600, .ifa_valid = 1200 };
    addr_request(RTM_NEWADDR, 0, "tun0", "fd00::1/64");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("v6 lifetimes");
    settled();
    list_of("v6 lifetimes", AF_INET6);
    life.ifa_prefered = 0;
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "fd00::1/64");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("v6 deprecated");
    list_of("v6 deprecated", AF_INET6);
    life.ifa_valid = 0;
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "fd00::1/64");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("v6 valid 0");
    life.ifa_valid = 10, life.ifa_prefered = 20;
    addr_request(RTM_NEWADDR, NLM_F_REPLACE, "tun0", "fd00::1/64");
    put(IFA_CACHEINFO, &life, sizeof life);
    ask("v6 preferred longer than valid");
    flush(AF_INET6);
    static const struct { const char *label; unsigned flag; const char *cidr; } flags[] = {
        { "home", IFA_F_HOMEADDRESS, "fd00::10/64" }, { "mngtmpaddr", IFA_F_MANAGETEMPADDR, "fd00::11/64" },
        { "mngtmpaddr of /80", IFA_F_MANAGETEMPADDR, "fd00::12/80" }, { "noprefixroute", IFA_F_NOPREFIXROUTE, "fd00::13/64" },
        { "optimistic", IFA_F_OPTIMISTIC, "fd00::14/64" }, { "temporary", IFA_F_TEMPORARY, "fd00::15/64" },
        { "permanent", IFA_F_PERMANENT, "fd00::16/64" }, { "autojoin", IFA_F_MCAUTOJOIN, "fd00::17/64" },
        { "stable privacy", IFA_F_STABLE_PRIVACY, "fd00::18/64" }, { "dadfailed", IFA_F_DADFAILED, "fd00::19/64" } };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        char label[60];
        snprintf(label, sizeof label, "v6 flag %s", flags[i].label);
        addr_request(RTM_NEWADDR, 0, "tun0", flags[i].cidr);
        put_u32(IFA_FLAGS, flags[i].flag);
        ask(label);
    }
    settled();
    list_of("v6 flags", AF_INET6);
    flush(AF_INET6);
    addr_request(RTM_NEWADDR, 0, "tun0", "fd00::1/64");
    put_u32(IFA_RT_PRIORITY, 77);
    put_u8(IFA_PROTO, 9);
    ask("v6 metric and protocol");
    settled();
    list_of("v6 metric and protocol", AF_INET6);
    flush(AF_INET6);
    add("v6 prefix 0", 0, "tun0", "fd00::1/0");
    add("v6 prefix 128", 0, "tun0", "fd00::2/128");
    add("v6 prefix 129", 0, "tun0", "fd00::3/129");
    add("v6 link-local", 0, "tun0", "fe80::5/64");
    add("v6 link-local /10", 0, "tun0", "fe80::6/10");
    add("v6 loopback", 0, "tun0", "::1/128");
    add("v6 unspecified", 0, "tun0", "::/128");
    add("v6 multicast", 0, "tun0", "ff02::5/64");
    add("v6 mapped", 0, "tun0", "::ffff:10.0.0.1/128");
    add("v6 site-local", 0, "tun0", "fec0::1/64");
    addr_request(RTM_NEWADDR, 0, "tun0", "fd00::9/64")->ifa_scope = RT_SCOPE_HOST;
    ask("v6 scope of the caller");
    settled();
    list_of("v6 bounds", AF_INET6);
    flush(AF_INET6);
    add("v6 no interface", 0, NULL, "fd00::1/64");
    addr_request(RTM_NEWADDR, 0, NULL, "fd00::1/64")->ifa_index = 9999;
    ask("v6 interface 9999");
    add("v6 before the mtu", 0, "tun0", "fd00::1/64");
    settled();
    MUST(if_set_mtu("tun0", 1279));
    list_of("v6 with mtu 1279", AF_INET6);
    add("v6 add with mtu 1279", 0, "tun0", "fd00::1/64");
    MUST(if_set_mtu("tun0", 1280));
    say("v6 with mtu 1280, settled", "%d", settled());
    list_of("v6 with mtu 1280", AF_INET6);
    MUST(if_set_mtu("tun0", 1500));
    addr_request(RTM_GETADDR, 0, NULL, "fd00::77/64");
    ask("v6 get of a missing one");
    add("v6 to be asked for", 0, "tun0", "fd00::77/64");
    settled();
    addr_request(RTM_GETADDR, 0, NULL, "fd00::77/64");
    ask("v6 get of one");
    addr_request(RTM_GETADDR, 0, "tap0", "fd00::77/64");
    ask("v6 get of one, other interface");
    struct ifaddrmsg m = { .ifa_family = AF_INET6 };
    request(RTM_GETADDR, 0, &m, sizeof m);
    ask("v6 get without an address");
    flush(AF_INET6);
}

/* ---- dumps ---- */

static void dumps(void)
{
    add("dump, v4 on the tun", 0, "tun0", "10.1.0.1/24");
    add("dump, v4 on the tap", 0, "tap0", "10.2.0.1/24");
    add("dump, v6 on the tun", 0, "tun0", "fd01::1/64");
    settled();
    ONLY(IFA_LOCAL, IFA_ADDRESS);
    list_of("dump AF_UNSPEC", AF_UNSPEC);
    list_of("dump AF_INET", AF_INET);
    list_of("dump AF_INET6", AF_INET6);
    list_of("dump AF_PACKET", AF_PACKET);
    list_of("dump AF_BRIDGE", AF_BRIDGE);
    list_of("dump family 200", 200);
    ((struct ifaddrmsg *)dump_request(RTM_GETADDR, AF_INET))->ifa_index = if_index("tap0");
    ask("dump with an index, not strict");
    struct rtgenmsg one = { AF_INET };
    request(RTM_GETADDR, NLM_F_DUMP, &one, 1);
    ask("dump with a one-byte header");
    request(RTM_GETADDR, NLM_F_DUMP, &one, 0);
    rt_wait_ms = 300;
    ask("dump without a header");
    rt_wait_ms = WAIT_MS;
    strict(1);
    list_of("strict, dump AF_UNSPEC", AF_UNSPEC);
    ((struct ifaddrmsg *)dump_request(RTM_GETADDR, AF_INET))->ifa_index = if_index("tap0");
    ask("strict, dump with an index");
    ((struct ifaddrmsg *)dump_request(RTM_GETADDR, AF_INET6))->ifa_index = if_index("tun0");
    ask("strict, dump with an index, v6");
    ((struct ifaddrmsg *)dump_request(RTM_GETADDR, AF_UNSPEC))->ifa_index = if_index("tun0");
    ask("strict, dump with an index, any family");
    ((struct ifaddrmsg *)dump_request(RTM_GETADDR, AF_INET))->ifa_index = 9999;
    ask("strict, dump with index 9999");
    ((struct ifaddrmsg *)dump_request(RTM_GETADDR, AF_INET))->ifa_scope = 1;
    ask("strict, dump with a scope");
    ((struct ifaddrmsg *)dump_request(RTM_GETADDR, AF_INET6))->ifa_prefixlen = 1;
    ask("strict, dump with a prefix, v6");
    request(RTM_GETADDR, NLM_F_DUMP, &one, 1);
    ask("strict, dump with a one-byte header");
    dump_request(RTM_GETADDR, AF_INET);
    put_address(IFA_LOCAL, "10.1.0.1");
    ask("strict, dump with an attribute");
    dump_request(RTM_GETADDR, AF_INET);
    put_u32(IFA_TARGET_NETNSID, 77);
    ask("strict, dump of a missing namespace");
    strict(0);
    static const int groups[] = { RTM_GETMULTICAST, RTM_GETANYCAST, RTM_GETADDRLABEL };
    ALL();
    list("multicast dump, v6", groups[0], AF_INET6);
    list("anycast dump, v6", groups[1], AF_INET6);
    static const char *const joined[] = { "239.1.1.1/32", "224.5.5.5/32", "10.99.0.1/32", "ff02::77/128", "ff02::1/128", "ff05::1/128", "2001:db8::9/128" };
    for (unsigned i = 0; i < sizeof joined / sizeof *joined; i++) {
        char label[60];
        snprintf(label, sizeof label, "autojoin %u", i);
        addr_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "tap0", joined[i]);
        put_u32(IFA_FLAGS, IFA_F_MCAUTOJOIN | IFA_F_NODAD);
        ask(label);
        settled();
    }
    list("autojoin, groups of v4", groups[0], AF_INET);
    list("autojoin, groups of v6", groups[0], AF_INET6);
    for (unsigned i = 0; i < sizeof joined / sizeof *joined; i++) {
        addr_request(RTM_DELADDR, 0, "tap0", joined[i]);
        quietly();
    }
    strict(1);
    for (unsigned i = 0; i < 6; i++) {
        static const struct { int type, family, index, prefix; } some[] = { { RTM_GETMULTICAST, AF_INET, 0, 0 }, { RTM_GETMULTICAST, AF_INET6, 0, 0 },
            { RTM_GETANYCAST, AF_INET6, 0, 0 }, { RTM_GETMULTICAST, AF_INET6, 9999, 0 }, { RTM_GETMULTICAST, AF_INET, 0, 3 }, { RTM_GETANYCAST, AF_INET6, 0, 3 } };
        struct ifaddrmsg head = { .ifa_family = some[i].family, .ifa_index = some[i].index ? some[i].index : (int)if_index("tap0"), .ifa_prefixlen = some[i].prefix };
        char label[60];
        snprintf(label, sizeof label, "strict, groups of one link, %u", i);
        request(some[i].type, NLM_F_DUMP, &head, sizeof head);
        ask(label);
    }
    strict(0);
    list("autojoin, groups of v4 afterwards", groups[0], AF_INET);
    list("autojoin, groups of v6 afterwards", groups[0], AF_INET6);
    struct ifaddrlblmsg label = { .ifal_family = AF_INET6 };
    request(groups[2], NLM_F_DUMP, &label, sizeof label);
    ask("address labels");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    rt_start();
    int tun = tun_named("tun0"), tap = tap_with_address("tap0", 1);
    v4();
    v4_attributes();
    v4_errors();
    v6();
    v6_attributes();
    dumps();
    close(tun);
    close(tap);
    return 0;
}
