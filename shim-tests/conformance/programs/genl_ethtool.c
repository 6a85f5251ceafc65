/* The family "ethtool" of generic netlink, about a tun and a tap: raw requests, good and bad ones,
 * extended acknowledgements, lists of all devices, and what those hear who listen to changes. */
#include "rtnl.h"
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/sockios.h>

/* Commands that older headers lack. */
enum { RSS_GET = 38, PLCA_GET_CFG = 39, RSS_SET = 48, RSS_DELETE = 50 };

static int family, monitor_group, monitor = -1;
static unsigned own_port;

static int generic_socket(void)
{
    struct sockaddr_nl at = { .nl_family = AF_NETLINK };
    socklen_t len = sizeof at;
    int on = 1, fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
    MUST(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on));
    MUST(bind(fd, (struct sockaddr *)&at, sizeof at));
    MUST(getsockname(fd, (struct sockaddr *)&at, &len));
    own_port = at.nl_pid;
    return fd;
}

/* ---- what comes, as text ---- */

static void out_bytes(const unsigned char *p, int n)
{
    int printable = n > 2 && !p[n - 1];
    for (int i = 0; i < n - 1; i++)
        printable = printable && p[i] >= ' ' && p[i] < 127;
    if (printable)
        out("\"%.*s\"", n - 1, (const char *)p);
    else
        for (int i = 0; i < n; i++)
            out("%02x", p[i]);
}

static void out_nested(const unsigned char *p, int n, int header)
{
    const struct nlattr *a;
    for (int first = 1; n >= 4; first = 0) {
        a = (const void *)p;
        int len = a->nla_len, type = a->nla_type & NLA_TYPE_MASK;
        if (len < 4 || len > n)
            break;
        out("%s%d", first ? "" : " ", type);
        if (a->nla_type & NLA_F_NESTED) {
            out("{");
            out_nested(p + 4, len - 4, header == 1 && type == 1);
            out("}");
        } else if (header == 2 && type == ETHTOOL_A_HEADER_DEV_INDEX && len == 8) {
            out("=");
            out_index(*(const int *)(p + 4));
        } else if (len > 4) {
            out("=");
            out_bytes(p + 4, len - 4);
        }
        p += NLA_ALIGN(len);
        n -= NLA_ALIGN(len);
    }
}

/* The header of a message is its first attribute; that of statistics has another number. */
static void out_generic(const struct nlmsghdr *h)
{
    const unsigned char *p = NLMSG_DATA(h);
    int n = h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
    if (h->nlmsg_flags)
        out("flags 0x%x ", h->nlmsg_flags);
    if (h->nlmsg_type != family)
        out("(another family) ");
    out("%d v%d ", p[0], p[1]);
    p += GENL_HDRLEN;
    if (n >= 8 && ((const struct nlattr *)p)->nla_type == (NLA_F_NESTED | 1) && n > 8
        && ((const struct nlattr *)(p + 4))->nla_type == ETHTOOL_A_HEADER_DEV_INDEX) {
        int len = ((const struct nlattr *)p)->nla_len;
        out_index(*(const int *)(p + 8));
        out("=");
        out_bytes(p + 16, ((const struct nlattr *)(p + 12))->nla_len - 4);
        p += NLA_ALIGN(len);
        n -= NLA_ALIGN(len);
        if (n > 0)
            out(" ");
    } else if (p[2] == 2 && n > 8 && ((const struct nlattr *)(p + 4))->nla_type == ETHTOOL_A_HEADER_DEV_INDEX
               && ((const struct nlattr *)(p + 4))->nla_len == 8) {
        int len = ((const struct nlattr *)p)->nla_len;
        out("statistics of ");
        out_index(*(const int *)(p + 8));
        out(" ");
        p += NLA_ALIGN(len);
        n -= NLA_ALIGN(len);
    }
    out_nested(p, n, 0);
}

static void out_end(const struct nlmsghdr *h)
{
    int error = *(const int *)NLMSG_DATA(h), done = h->nlmsg_type == NLMSG_DONE;
    out("%s%s", done ? "done" : "ack", error ? " " : "");
    if (error)
        out("%s", errno_name(-error));
    if (h->nlmsg_flags & ~0x302)
        out(" flags 0x%x", h->nlmsg_flags);
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
        return;
    const unsigned char *p = NLMSG_DATA(h);
    int skip = done ? 4 : 4 + (h->nlmsg_flags & NLM_F_CAPPED ? NLMSG_HDRLEN : (int)((const struct nlmsghdr *)(p + 4))->nlmsg_len);
    out(" (");
    out_nested(p + NLMSG_ALIGN(skip), h->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(skip), 0);
    out(")");
}

/* Everything until the end of the answer. */
static void gather(void)
{
    for (int end = 0, first = 1; !end;) {
        struct sockaddr_nl from = { 0 };
        socklen_t len = sizeof from;
        ssize_t n = rt_ready(nl, rt_wait_ms) ? recvfrom(nl, rt_got, sizeof rt_got, 0, (struct sockaddr *)&from, &len) : -1;
        if (n < 0) {
            out("%sNO END", first ? "" : " ; ");
            return;
        }
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n), first = 0) {
            out("%s", first ? "" : " ; ");
            if (from.nl_pid)
                out("(from a port) ");
            if (h->nlmsg_seq != rt_seq || h->nlmsg_pid != own_port)
                out("(another's) ");
            end = h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE;
            if (end)
                out_end(h);
            else
                out_generic(h);
        }
    }
}

/* What the listener has heard meanwhile. */
static void heard(void)
{
    while (rt_ready(monitor, 0)) {
        struct sockaddr_nl from = { 0 };
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(monitor, rt_got, sizeof rt_got, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
        if (n <= 0)
            return;
        const struct nlmsghdr *h = (void *)rt_got;
        out(" | heard%s ", from.nl_pid || h->nlmsg_pid ? " of somebody" : "");
        if (from.nl_groups != (monitor_group > 32 ? 0 : 1u << (monitor_group - 1)))
            out("(groups 0x%x) ", from.nl_groups);
        out_generic(h);
    }
}

/* ---- requests ---- */

static void command(int cmd, int flags)
{
    struct genlmsghdr g = { .cmd = cmd, .version = 1 };
    request(family, flags, &g, sizeof g);
}

static size_t open_nest(int type) { return nest(type | NLA_F_NESTED); }

static void header(int type, const char *name, int flags)
{
    size_t at = open_nest(type);
    put_text(ETHTOOL_A_HEADER_DEV_NAME, name);
    if (flags >= 0)
        put_u32(ETHTOOL_A_HEADER_FLAGS, flags);
    nest_end(at);
}

static void about(int cmd, const char *name)
{
    command(cmd, 0);
    header(cmd == ETHTOOL_MSG_STATS_GET ? ETHTOOL_A_STATS_HEADER : 1, name, -1);
}

static void compact(int cmd, const char *name)
{
    command(cmd, 0);
    header(cmd == ETHTOOL_MSG_STATS_GET ? ETHTOOL_A_STATS_HEADER : 1, name, ETHTOOL_FLAG_COMPACT_BITSETS);
}

static void query(const char *label)
{
    if ((rt_head->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
        rt_head->nlmsg_flags |= NLM_F_ACK;
    rt_send();
    gather();
    if (monitor != -1)
        heard();
    out_line(label);
}

/* One bit of a set: by number, by name, or by both. */
static void bit(int index, const char *name, int value)
{
    size_t at = open_nest(ETHTOOL_A_BITSET_BITS_BIT);
    if (index >= 0)
        put_u32(ETHTOOL_A_BITSET_BIT_INDEX, index);
    if (name)
        put_text(ETHTOOL_A_BITSET_BIT_NAME, name);
    if (value)
        put(ETHTOOL_A_BITSET_BIT_VALUE, "", 0);
    nest_end(at);
}

static void set_of(int type, int nomask, int index, const char *name, int value)
{
    size_t at = open_nest(type);
    if (nomask)
        put(ETHTOOL_A_BITSET_NOMASK, "", 0);
    size_t bits = open_nest(ETHTOOL_A_BITSET_BITS);
    bit(index, name, value);
    nest_end(bits);
    nest_end(at);
}

/* A set without names; a length below 0 leaves its attribute out. */
static void words(int type, int nomask, int size, int value, int value_len, int mask, int mask_len)
{
    int words[4] = { value }, masks[4] = { mask };
    size_t at = open_nest(type);
    if (nomask)
        put(ETHTOOL_A_BITSET_NOMASK, "", 0);
    if (size >= 0)
        put_u32(ETHTOOL_A_BITSET_SIZE, size);
    if (value_len >= 0)
        put(ETHTOOL_A_BITSET_VALUE, words, value_len);
    if (mask_len >= 0)
        put(ETHTOOL_A_BITSET_MASK, masks, mask_len);
    nest_end(at);
}

static char *label_of(const char *what, int cmd, const char *name)
{
    static char label[80];
    snprintf(label, sizeof label, "%s %d%s%s", what, cmd, name ? " " : "", name ? name : "");
    return label;
}

/* ---- the parts ---- */

static void find_family(void)
{
    struct genlmsghdr g = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
    nl = generic_socket();
    request(GENL_ID_CTRL, NLM_F_ACK, &g, sizeof g);
    put_text(CTRL_ATTR_FAMILY_NAME, ETHTOOL_GENL_NAME);
    rt_send();
    ssize_t n = rt_ready(nl, WAIT_MS) ? recv(nl, rt_got, sizeof rt_got, 0) : -1;
    const struct nlmsghdr *h = (void *)rt_got;
    if (n < 0 || h->nlmsg_type != GENL_ID_CTRL)
        die("no family ethtool");
    int left = h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
    for (const struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + GENL_HDRLEN); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        int type = a->rta_type & NLA_TYPE_MASK;
        if (type == CTRL_ATTR_FAMILY_ID)
            family = *(const uint16_t *)RTA_DATA(a);
        if (type != CTRL_ATTR_MCAST_GROUPS)
            continue;
        int in = RTA_PAYLOAD(a) - 4;
        const struct rtattr *group = (void *)((char *)RTA_DATA(a) + 4);
        for (; RTA_OK(group, in); group = RTA_NEXT(group, in))
            if ((group->rta_type & NLA_TYPE_MASK) == CTRL_ATTR_MCAST_GRP_ID)
                monitor_group = *(const int *)RTA_DATA(group);
    }
    say("family", "id %s, group %s, from the %s", family > GENL_ID_CTRL ? "yes" : "no", monitor_group ? "yes" : "no",
        h->nlmsg_pid == own_port ? "kernel" : "wrong port");
    n = rt_ready(nl, WAIT_MS) ? recv(nl, rt_got, sizeof rt_got, 0) : -1;
    say("family, end", "%s", n >= 20 && h->nlmsg_type == NLMSG_ERROR ? errno_name(-*(int *)NLMSG_DATA(h)) : "none");
}

static void other_families(void)
{
    static const char *const names[] = { "nlctrl", "none-such", "ethtoo", "ethtool2", "ovpn-dco" };
    for (size_t i = 0; i < 5; i++) {
        struct genlmsghdr g = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 };
        request(GENL_ID_CTRL, NLM_F_ACK, &g, sizeof g);
        put_text(CTRL_ATTR_FAMILY_NAME, names[i]);
        rt_send();
        ssize_t n = rt_ready(nl, WAIT_MS) ? recv(nl, rt_got, sizeof rt_got, 0) : -1;
        const struct nlmsghdr *h = (void *)rt_got;
        int is_error = n > 0 && h->nlmsg_type == NLMSG_ERROR;
        say(names[i], "%s", n < 0 ? "no answer" : is_error ? errno_name(-*(int *)NLMSG_DATA(h)) : "found");
        if (!is_error && rt_ready(nl, WAIT_MS))
            recv(nl, rt_got, sizeof rt_got, 0);
    }
    struct genlmsghdr g = { .cmd = 1, .version = 1 };
    request(1000, NLM_F_ACK, &g, sizeof g);
    query("a family that there is not");
    request(NLMSG_NOOP, NLM_F_ACK, &g, sizeof g);
    query("a control message");
}

static void show_socket(void)
{
    int value = -1;
    socklen_t len = sizeof value;
    SHOW("SO_PROTOCOL", getsockopt(nl, SOL_SOCKET, SO_PROTOCOL, &value, &len));
    say("protocol", "%d", value);
    SHOW("group 0", setsockopt(nl, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){ 0 }, sizeof value));
    SHOW("group 100000", setsockopt(nl, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &(int){ 100000 }, sizeof value));
    monitor = generic_socket();
    SHOW("join", setsockopt(monitor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &monitor_group, sizeof monitor_group));
    uint32_t list[8] = { 0 };
    len = sizeof list;
    SHOW("list", getsockopt(monitor, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, list, &len));
    say("has joined", "%d", monitor_group <= 64 && list[(monitor_group - 1) / 32] == 1u << ((monitor_group - 1) % 32));
    own_port = 0;
    struct sockaddr_nl at;
    len = sizeof at;
    MUST(getsockname(nl, (struct sockaddr *)&at, &len));
    own_port = at.nl_pid;
    len = sizeof at;
    MUST(getsockname(monitor, (struct sockaddr *)&at, &len));
    say("groups in the name", "%d", at.nl_groups == 1u << (monitor_group - 1));
}

static void each_command(void)
{
    for (int cmd = 0; cmd <= 50; cmd++) {
        if (cmd != ETHTOOL_MSG_FEATURES_GET)
            for (int i = 0; i < 3; i++) {
                static const char *const names[] = { "tun0", "tap0", "lo" };
                compact(cmd, names[i]);
                query(label_of("command", cmd, names[i]));
            }
        command(cmd, 0);
        query(label_of("without a header", cmd, NULL));
        about(cmd, "none");
        query(label_of("no such device", cmd, NULL));
        if (cmd == ETHTOOL_MSG_FEATURES_GET || cmd == RSS_GET)
            continue;
        command(cmd, NLM_F_DUMP);
        query(label_of("list", cmd, NULL));
    }
    compact(ETHTOOL_MSG_FEATURES_GET, "tun0");
    query("features of tun0");
    compact(ETHTOOL_MSG_FEATURES_GET, "lo");
    query("features of lo");
}

static void headers(void)
{
    static const int get = ETHTOOL_MSG_LINKSTATE_GET;
    command(get, 0);
    size_t at = open_nest(1);
    put_u32(ETHTOOL_A_HEADER_DEV_INDEX, if_index("tun0"));
    nest_end(at);
    query("by index");
    command(get, 0);
    at = open_nest(1);
    put_u32(ETHTOOL_A_HEADER_DEV_INDEX, if_index("tun0"));
    put_text(ETHTOOL_A_HEADER_DEV_NAME, "tun0");
    nest_end(at);
    query("by both");
    command(get, 0);
    at = open_nest(1);
    put_u32(ETHTOOL_A_HEADER_DEV_INDEX, if_index("tun0"));
    put_text(ETHTOOL_A_HEADER_DEV_NAME, "tap0");
    nest_end(at);
    query("by both, which differ");
    command(get, 0);
    at = open_nest(1);
    put_u32(ETHTOOL_A_HEADER_DEV_INDEX, 54321);
    nest_end(at);
    query("no such index");
    command(get, 0);
    put(1 | NLA_F_NESTED, "", 0);
    query("an empty header");
    command(get, 0);
    at = nest(1);
    put_text(ETHTOOL_A_HEADER_DEV_NAME, "tun0");
    nest_end(at);
    query("a header that does not say that it is nested");
    about(get, "tun0");
    put_u32(77, 1);
    query("an attribute that there is not");
    about(ETHTOOL_MSG_LINKINFO_SET, "tun0");
    put_u8(ETHTOOL_A_LINKINFO_TP_MDIX, 1);
    query("an attribute that cannot be set");
    command(get, 0);
    header(1, "tun0", 8);
    query("a flag that there is not");
    command(get, 0);
    header(1, "tun0", ETHTOOL_FLAG_STATS);
    query("statistics of what has none");
    command(ETHTOOL_MSG_TSINFO_GET, 0);
    header(1, "tun0", ETHTOOL_FLAG_STATS | ETHTOOL_FLAG_COMPACT_BITSETS);
    query("statistics of time stamps");
    static const int with_phy[] = { ETHTOOL_MSG_STRSET_GET, ETHTOOL_MSG_PSE_GET, ETHTOOL_MSG_PSE_SET, PLCA_GET_CFG,
                                    ETHTOOL_MSG_CABLE_TEST_ACT };
    for (int i = 0; i < 15; i++) {
        command(with_phy[i % 5], 0);
        at = open_nest(1);
        if (i < 10)
            put_text(ETHTOOL_A_HEADER_DEV_NAME, "tun0");
        put_u32(4, i < 5);
        nest_end(at);
        query(label_of(i < 5 ? "phy 1" : i < 10 ? "phy 0" : "phy 0 of no device", with_phy[i % 5], NULL));
    }
    about(get, "tun0");
    rt_head->nlmsg_flags |= NLM_F_CREATE;
    query("a flag of another kind, old command");
    about(RSS_GET, "tun0");
    rt_head->nlmsg_flags |= NLM_F_CREATE;
    query("a flag of another kind, new command");
    about(get, "tun0");
    ((struct genlmsghdr *)NLMSG_DATA(rt_head))->reserved = 7;
    query("reserved, old command");
    about(RSS_GET, "tun0");
    ((struct genlmsghdr *)NLMSG_DATA(rt_head))->reserved = 7;
    query("reserved, new command");
    about(get, "tun0");
    ((struct genlmsghdr *)NLMSG_DATA(rt_head))->version = 9;
    query("another version");
    about(get, "tun0");
    rt_head->nlmsg_flags |= NLM_F_ROOT;
    query("half a list");
    about(get, "tap0");
    rt_head->nlmsg_flags |= NLM_F_DUMP;
    query("a list, with a device");
    compact(ETHTOOL_MSG_TSINFO_GET, "tap0");
    rt_head->nlmsg_flags |= NLM_F_DUMP;
    query("a list of time stamps, with a device");
    about(get, "none");
    rt_head->nlmsg_flags |= NLM_F_DUMP;
    query("a list, with no such device");
    about(get, "tun0");
    rt_head->nlmsg_len = NLMSG_HDRLEN + 2;
    query("two bytes");
    about(get, "tun0");
    rt_head->nlmsg_flags &= ~NLM_F_REQUEST;
    query("no request");
}

static void strings(void)
{
    static const int sets[] = { 0, 1, 3, 9, 10, 22, 99 };
    for (int i = 0; i < 14; i++) {
        int set = sets[i / 2];
        command(ETHTOOL_MSG_STRSET_GET, 0);
        if (i % 2)
            header(1, "tun0", -1);
        else
            put(1 | NLA_F_NESTED, "", 0);
        size_t all = open_nest(ETHTOOL_A_STRSET_STRINGSETS), one = open_nest(ETHTOOL_A_STRINGSETS_STRINGSET);
        put_u32(ETHTOOL_A_STRINGSET_ID, set);
        nest_end(one);
        nest_end(all);
        if (set != 10)
            put(ETHTOOL_A_STRSET_COUNTS_ONLY, "", 0);
        query(label_of(i % 2 ? "strings of tun0" : "strings", set, NULL));
    }
    about(ETHTOOL_MSG_STRSET_GET, "tun0");
    size_t all = open_nest(ETHTOOL_A_STRSET_STRINGSETS);
    put(ETHTOOL_A_STRINGSETS_STRINGSET | NLA_F_NESTED, "", 0);
    nest_end(all);
    query("a set without a number");
    about(ETHTOOL_MSG_STRSET_GET, "tun0");
    put(ETHTOOL_A_STRSET_STRINGSETS | NLA_F_NESTED, "", 0);
    query("no set");
}

static void bitsets(void)
{
    static const int set = ETHTOOL_MSG_DEBUG_SET, mask = ETHTOOL_A_DEBUG_MSGMASK;
    static const struct { const char *label; int index; const char *name; int value, nomask; } bits[] = {
        { "a bit by number", 1, NULL, 0, 0 }, { "the same again", 1, NULL, 0, 0 }, { "a bit by name", -1, "wol", 1, 0 },
        { "a bit by both", 2, "link", 0, 0 }, { "number and name differ", 1, "link", 1, 0 }, { "no such number", 15, NULL, 1, 0 },
        { "no such name", -1, "links", 1, 0 }, { "neither", -1, NULL, 1, 0 }, { "a list", 3, NULL, 0, 1 },
    };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        about(set, "tun0");
        set_of(mask, bits[i].nomask, bits[i].index, bits[i].name, bits[i].value);
        query(bits[i].label);
    }
    static const struct { const char *label; int nomask, size, value, value_len, mask, mask_len; } sets[] = {
        { "value and mask", 0, 15, 5, 4, 7, 4 }, { "value alone", 1, 15, 9, 4, 0, -1 }, { "mask missing", 0, 15, 9, 4, 0, -1 },
        { "size missing", 0, -1, 9, 4, 1, 4 }, { "value missing", 0, 15, 0, -1, 1, 4 }, { "value too short", 0, 40, 9, 4, 1, 4 },
        { "mask too long", 0, 15, 9, 4, 1, 8 }, { "bits behind the end", 0, 32, 0x80001, 4, 0x80001, 4 },
        { "bits behind the end without mask", 0, 32, 0x80001, 4, 1, 4 }, { "a short list", 1, 2, 7, 4, 0, -1 },
        { "a list with a mask", 1, 15, 1, 4, 1, 4 }, { "too large", 0, 70000, 1, 4, 1, 4 }, { "no bits", 0, 0, 0, 0, 0, 0 },
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        about(set, "tun0");
        words(mask, sets[i].nomask, sets[i].size, sets[i].value, sets[i].value_len, sets[i].mask, sets[i].mask_len);
        query(sets[i].label);
    }
    about(set, "tun0");
    put(mask | NLA_F_NESTED, "", 0);
    query("an empty set");
    compact(ETHTOOL_MSG_DEBUG_GET, "tun0");
    query("messages now");
    about(ETHTOOL_MSG_DEBUG_GET, "tun0");
    query("messages now, with names");
}

static void settings(void)
{
    static const int frames[] = { 32, 100, 64, 0 };
    for (int i = 0; i < 4; i++) {
        about(ETHTOOL_MSG_COALESCE_SET, "tun0");
        put_u32(ETHTOOL_A_COALESCE_RX_MAX_FRAMES, frames[i]);
        query(label_of("frames", frames[i], NULL));
    }
    about(ETHTOOL_MSG_COALESCE_SET, "tun0");
    put_u32(ETHTOOL_A_COALESCE_RX_MAX_FRAMES, 7);
    put_u32(ETHTOOL_A_COALESCE_TX_MAX_FRAMES, 1);
    query("another parameter");
    about(ETHTOOL_MSG_LINKINFO_SET, "tun0");
    put_u8(ETHTOOL_A_LINKINFO_PORT, PORT_FIBRE);
    put_u8(ETHTOOL_A_LINKINFO_PHYADDR, 5);
    put_u8(ETHTOOL_A_LINKINFO_TP_MDIX_CTRL, 2);
    query("port");
    about(ETHTOOL_MSG_LINKINFO_SET, "tun0");
    put_u8(ETHTOOL_A_LINKINFO_PORT, PORT_FIBRE);
    query("the same port");
    static const struct { const char *label; int autoneg, speed, duplex, role, lanes; } modes[] = {
        { "speed and duplex", -1, 1000, DUPLEX_HALF, -1, -1 }, { "autonegotiation and speed", 1, 100, -1, -1, -1 },
        { "no autonegotiation, lanes", 0, -1, -1, -1, 4 }, { "lanes 3", -1, -1, -1, -1, 3 }, { "lanes 9", -1, -1, -1, -1, 9 },
        { "role", -1, -1, -1, 3, -1 }, { "no such role", -1, -1, -1, 9, -1 }, { "nothing", -1, -1, -1, -1, -1 },
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        about(ETHTOOL_MSG_LINKMODES_SET, "tun0");
        if (modes[i].autoneg >= 0)
            put_u8(ETHTOOL_A_LINKMODES_AUTONEG, modes[i].autoneg);
        if (modes[i].speed >= 0)
            put_u32(ETHTOOL_A_LINKMODES_SPEED, modes[i].speed);
        if (modes[i].duplex >= 0)
            put_u8(ETHTOOL_A_LINKMODES_DUPLEX, modes[i].duplex);
        if (modes[i].role >= 0)
            put_u8(ETHTOOL_A_LINKMODES_MASTER_SLAVE_CFG, modes[i].role);
        if (modes[i].lanes >= 0)
            put_u32(ETHTOOL_A_LINKMODES_LANES, modes[i].lanes);
        query(modes[i].label);
    }
    about(ETHTOOL_MSG_LINKMODES_SET, "tun0");
    set_of(ETHTOOL_A_LINKMODES_OURS, 0, -1, "1000baseT/Full", 1);
    query("a mode by name");
    compact(ETHTOOL_MSG_LINKMODES_GET, "tun0");
    query("modes now");
    static const struct { const char *label, *name; int on, flags; } features[] = {
        { "scatter off", "tx-scatter-gather", 0, 1 }, { "scatter off again", "tx-scatter-gather", 0, 1 },
        { "scatter on", "tx-scatter-gather", 1, 0 }, { "segmentation", "tx-tcp-segmentation", 1, 0 }, { "what is fixed", "rx-lro", 1, 0 },
        { "what never changes", "vlan-challenged", 1, 0 }, { "no such feature", "nonsense", 1, 0 }, { "without a reply", "rx-gro", 0, 2 },
    };
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        command(ETHTOOL_MSG_FEATURES_SET, 0);
        header(1, "tun0", features[i].flags);
        set_of(ETHTOOL_A_FEATURES_WANTED, 0, -1, features[i].name, features[i].on);
        query(features[i].label);
    }
    compact(ETHTOOL_MSG_FEATURES_GET, "tun0");
    query("features now");
    static const struct { const char *label, *name; int on; } of_lo[] = {
        { "lo, segmentation off", "tx-tcp-segmentation", 0 }, { "lo, off again", "tx-tcp-segmentation", 0 },
        { "lo, segmentation on", "tx-tcp-segmentation", 1 }, { "lo, scatter", "tx-scatter-gather", 0 }, { "lo, lists", "rx-gro-list", 1 },
    };
    for (size_t i = 0; i < sizeof of_lo / sizeof *of_lo; i++) {
        command(ETHTOOL_MSG_FEATURES_SET, 0);
        header(1, "lo", 1);
        set_of(ETHTOOL_A_FEATURES_WANTED, 0, -1, of_lo[i].name, of_lo[i].on);
        query(of_lo[i].label);
    }
    compact(ETHTOOL_MSG_FEATURES_GET, "lo");
    query("lo, features now");
}

static void others(void)
{
    static const struct { const char *label; int offset, length, page; } parts[] = {
        { "a page", 0, 128, 0 }, { "the lower half of another page", 0, 128, 1 }, { "across the halves", 10, 128, 0 },
        { "behind the end", 200, 128, 0 }, { "far behind the end", 300, 128, 0 },
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        about(ETHTOOL_MSG_MODULE_EEPROM_GET, "tun0");
        put_u32(ETHTOOL_A_MODULE_EEPROM_OFFSET, parts[i].offset);
        put_u32(ETHTOOL_A_MODULE_EEPROM_LENGTH, parts[i].length);
        put_u8(ETHTOOL_A_MODULE_EEPROM_PAGE, parts[i].page);
        put_u8(ETHTOOL_A_MODULE_EEPROM_I2C_ADDRESS, 0x50);
        query(parts[i].label);
    }
    about(ETHTOOL_MSG_STATS_GET, "tun0");
    set_of(ETHTOOL_A_STATS_GROUPS, 0, -1, "eth-mac", 1);
    query("statistics");
    about(ETHTOOL_MSG_STATS_GET, "tun0");
    set_of(ETHTOOL_A_STATS_GROUPS, 0, 0, NULL, 0);
    query("no group of statistics");
    about(ETHTOOL_MSG_STATS_GET, "tun0");
    set_of(ETHTOOL_A_STATS_GROUPS, 0, 0, NULL, 1);
    put_u32(5, 1);
    query("statistics of one layer");
    about(ETHTOOL_MSG_PRIVFLAGS_SET, "tun0");
    put(ETHTOOL_A_PRIVFLAGS_FLAGS | NLA_F_NESTED, "", 0);
    query("private flags");
    about(ETHTOOL_MSG_MODULE_SET, "tun0");
    put_u8(ETHTOOL_A_MODULE_POWER_MODE_POLICY, 1);
    query("power of a module");
    about(ETHTOOL_MSG_MODULE_SET, "tun0");
    put_u8(ETHTOOL_A_MODULE_POWER_MODE_POLICY, 9);
    query("no such power");
    for (int attribute = 2; attribute < 7; attribute++) {
        about(RSS_SET, "tun0");
        put_u32(attribute, 1);
        query(label_of("hash", attribute, NULL));
    }
    about(RSS_DELETE, "tun0");
    put_u32(2, 1);
    query("hash, deleted");
}

/* What is changed by another call is heard as well. */
static void other_ways(int tun)
{
    struct ethtool_value messages = { .cmd = ETHTOOL_SMSGLVL, .data = 0x41 };
    struct ifreq ifr = { .ifr_data = (void *)&messages };
    if (if_request(SIOCETHTOOL, &ifr, "tun0"))
        die("SIOCETHTOOL");
    rt_ready(monitor, WAIT_MS);
    heard();
    out_line("SIOCETHTOOL");
    MUST(ioctl(tun, TUNSETOFFLOAD, TUN_F_CSUM));
    rt_ready(monitor, WAIT_MS);
    heard();
    out_line("TUNSETOFFLOAD");
    struct ethtool_value off = { .cmd = ETHTOOL_SGSO, .data = 0 };
    ifr = (struct ifreq){ .ifr_data = (void *)&off };
    if (if_request(SIOCETHTOOL, &ifr, "lo"))
        die("SIOCETHTOOL of lo");
    rt_ready(monitor, WAIT_MS);
    heard();
    out_line("SIOCETHTOOL of lo");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int tun = tun_named("tun0");
    int tap = tap_with_address("tap0", 1);
    link_up("tun0", 1);
    link_up("tap0", 0);
    find_family();
    other_families();
    show_socket();
    each_command();
    headers();
    strings();
    bitsets();
    settings();
    others();
    other_ways(tun);
    close(tap);
    return 0;
}
