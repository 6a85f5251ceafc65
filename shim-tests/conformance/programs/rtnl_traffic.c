/* Queueing disciplines and classes through rtnetlink: those that every kernel has, and those of the
 * token buckets. */
#include "rtnl.h"
#include <linux/pkt_sched.h>

#define NEW (NLM_F_CREATE | NLM_F_EXCL)
#define REPLACE (NLM_F_CREATE | NLM_F_REPLACE)
#define MAJ(n) ((unsigned)(n) << 16)

static int listener;

static void begin(int type, int flags, const char *name, unsigned handle, unsigned parent, const char *kind)
{
    struct tcmsg m = { .tcm_family = AF_UNSPEC, .tcm_ifindex = name ? if_index(name) : 9999, .tcm_handle = handle, .tcm_parent = parent };
    request(type, flags, &m, sizeof m);
    if (kind)
        put_text(TCA_KIND, kind);
}

/* Asks, and prints what is told about it. */
static void told(const char *label)
{
    char heard[120];
    ask(label);
    for (ssize_t n; (n = recv(listener, rt_got, sizeof rt_got, MSG_DONTWAIT)) > 0;) {
        out("[ ");
        for (struct nlmsghdr *h = (void *)rt_got; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
            out_message(h);
            out(" ");
        }
        out("] ");
    }
    snprintf(heard, sizeof heard, "%s, heard", label);
    out_line(heard);
}

static void qdisc(const char *label, int type, int flags, unsigned handle, unsigned parent, const char *kind)
{
    begin(type, flags, "tc0", handle, parent, kind);
    told(label);
}

static void with(const void *options, size_t len) { put(TCA_OPTIONS, options, len); }

static void fifo(const char *label, int flags, unsigned handle, unsigned parent, const char *kind, unsigned limit)
{
    begin(RTM_NEWQDISC, flags, "tc0", handle, parent, kind);
    with(&limit, sizeof limit);
    told(label);
}

static int of_index;

static int of_tc0(const struct nlmsghdr *h)
{
    const struct tcmsg *m = NLMSG_DATA(h);
    return m->tcm_ifindex == of_index;
}

static void disciplines(const char *label)
{
    struct tcmsg m = { .tcm_family = AF_UNSPEC };
    of_index = if_index("tc0");
    request(RTM_GETQDISC, NLM_F_DUMP, &m, sizeof m);
    rt_wanted = of_tc0;
    ask(label);
    rt_wanted = NULL;
}

static void classes(const char *label)
{
    struct tcmsg m = { .tcm_family = AF_UNSPEC, .tcm_ifindex = if_index("tc0") };
    request(RTM_GETTCLASS, NLM_F_DUMP, &m, sizeof m);
    ask(label);
}

static void simple(void)
{
    disciplines("at first");
    qdisc("delete the first", RTM_DELQDISC, 0, 0, TC_H_ROOT, NULL);
    qdisc("delete by number nothing", RTM_DELQDISC, 0, MAJ(7), 0, NULL);
    qdisc("delete below nothing", RTM_DELQDISC, 0, 0, MAJ(7) | 1, NULL);
    qdisc("delete of ingress", RTM_DELQDISC, 0, 0, TC_H_INGRESS, NULL);
    qdisc("get the first", RTM_GETQDISC, 0, 0, TC_H_ROOT, NULL);
    qdisc("get with another number", RTM_GETQDISC, 0, MAJ(1), TC_H_ROOT, NULL);
    begin(RTM_NEWQDISC, NEW, NULL, MAJ(1), TC_H_ROOT, "pfifo");
    told("no device");
    qdisc("no kind", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, NULL);
    qdisc("unknown kind", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "nosuchkind");
    qdisc("long kind", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "a-kind-with-a-name-too-long");
    qdisc("no number and no parent", RTM_NEWQDISC, NEW, 0, 0, "pfifo");
    qdisc("no parent", RTM_NEWQDISC, NEW, MAJ(1), 0, "pfifo");
    qdisc("parent that is not there", RTM_NEWQDISC, NEW, MAJ(1), MAJ(5) | 1, "pfifo");
    qdisc("number with a minor", RTM_NEWQDISC, NEW, MAJ(1) | 1, TC_H_ROOT, "pfifo");
    qdisc("change what is not there", RTM_NEWQDISC, 0, MAJ(1), TC_H_ROOT, "pfifo");
    qdisc("new", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "pfifo");
    disciplines("new, list");
    qdisc("again", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "pfifo");
    qdisc("again without a number", RTM_NEWQDISC, NEW, 0, TC_H_ROOT, "pfifo");
    qdisc("another number", RTM_NEWQDISC, NEW, MAJ(2), TC_H_ROOT, "pfifo");
    qdisc("same number, another kind", RTM_NEWQDISC, REPLACE, MAJ(1), TC_H_ROOT, "bfifo");
    fifo("change", 0, MAJ(1), TC_H_ROOT, "pfifo", 20);
    fifo("change without a number", 0, 0, TC_H_ROOT, "pfifo", 21);
    fifo("change by number", 0, MAJ(1), 0, "pfifo", 22);
    fifo("replace with the same", REPLACE, MAJ(1), TC_H_ROOT, "pfifo", 23);
    fifo("replace with another", REPLACE, MAJ(2), TC_H_ROOT, "bfifo", 3000);
    fifo("replace only", NLM_F_REPLACE, MAJ(3), TC_H_ROOT, "bfifo", 3000);
    begin(RTM_NEWQDISC, 0, "tc0", MAJ(2), TC_H_ROOT, "bfifo");
    with("\1", 1);
    told("short options");
    begin(RTM_NEWQDISC, 0, "tc0", MAJ(2), TC_H_ROOT, "bfifo");
    told("change without options");
    qdisc("get it", RTM_GETQDISC, 0, MAJ(2), 0, NULL);
    qdisc("get it, echo", RTM_GETQDISC, NLM_F_ECHO, 0, TC_H_ROOT, NULL);
    qdisc("get it as another kind", RTM_GETQDISC, 0, MAJ(2), 0, "pfifo");
    qdisc("delete with a wrong number", RTM_DELQDISC, 0, MAJ(1), TC_H_ROOT, NULL);
    qdisc("delete as another kind", RTM_DELQDISC, 0, 0, TC_H_ROOT, "pfifo");
    qdisc("delete by its number", RTM_DELQDISC, 0, MAJ(2), 0, NULL);
    qdisc("child of it", RTM_NEWQDISC, NEW, MAJ(9), MAJ(2) | 1, "pfifo");
    qdisc("delete its child", RTM_DELQDISC, 0, 0, MAJ(2) | 1, NULL);
    qdisc("delete", RTM_DELQDISC, 0, 0, TC_H_ROOT, NULL);
    disciplines("deleted, list");
    static const char *const kinds[] = { "pfifo_fast", "pfifo_head_drop", "noqueue", "mq", "ingress", "clsact", "bfifo" };
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char label[60];
        snprintf(label, sizeof label, "kind %s", kinds[i]);
        qdisc(label, RTM_NEWQDISC, REPLACE, MAJ(10 + i), TC_H_ROOT, kinds[i]);
        snprintf(label, sizeof label, "kind %s, options", kinds[i]);
        fifo(label, 0, MAJ(10 + i), TC_H_ROOT, kinds[i], 7);
    }
    qdisc("delete the last", RTM_DELQDISC, 0, 0, TC_H_ROOT, NULL);
}

static void ingress(void)
{
    qdisc("ingress", RTM_NEWQDISC, NEW, 0, TC_H_INGRESS, "ingress");
    disciplines("ingress, list");
    qdisc("ingress again", RTM_NEWQDISC, NEW, 0, TC_H_INGRESS, "ingress");
    qdisc("clsact instead", RTM_NEWQDISC, REPLACE, 0, TC_H_INGRESS, "clsact");
    qdisc("clsact instead, by number", RTM_NEWQDISC, REPLACE, MAJ(0xffff), TC_H_INGRESS, "ingress");
    qdisc("pfifo there", RTM_NEWQDISC, REPLACE, 0, TC_H_INGRESS, "pfifo");
    qdisc("child of ingress", RTM_NEWQDISC, NEW, MAJ(9), MAJ(0xffff) | 2, "pfifo");
    fifo("change ingress", 0, 0, TC_H_INGRESS, "clsact", 5);
    qdisc("get ingress", RTM_GETQDISC, NLM_F_ECHO, MAJ(0xffff), 0, NULL);
    qdisc("delete ingress as another", RTM_DELQDISC, 0, 0, TC_H_INGRESS, "ingress");
    qdisc("delete ingress", RTM_DELQDISC, 0, 0, TC_H_INGRESS, NULL);
    qdisc("delete ingress again", RTM_DELQDISC, 0, 0, TC_H_INGRESS, NULL);
    disciplines("no ingress, list");
}

static void tbf(const char *label, int flags, unsigned rate, unsigned peak, unsigned limit, unsigned burst, unsigned pburst)
{
    struct tc_tbf_qopt opt = { .rate = { .rate = rate, .linklayer = 1 }, .peakrate = { .rate = peak, .linklayer = 1 }, .limit = limit,
                               .buffer = 50000, .mtu = 3000 };
    begin(RTM_NEWQDISC, flags, "tc0", MAJ(1), TC_H_ROOT, "tbf");
    size_t at = nest(TCA_OPTIONS);
    put(TCA_TBF_PARMS, &opt, sizeof opt);
    if (burst)
        put_u32(TCA_TBF_BURST, burst);
    if (pburst)
        put_u32(TCA_TBF_PBURST, pburst);
    nest_end(at);
    told(label);
}

static void buckets(void)
{
    qdisc("tbf without options", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "tbf");
    tbf("tbf", NEW, 125000, 0, 30000, 10000, 0);
    disciplines("tbf, list");
    classes("tbf, classes");
    tbf("tbf, no burst", 0, 250000, 0, 20000, 0, 0);
    tbf("tbf, peak", 0, 250000, 500000, 20000, 5000, 1600);
    tbf("tbf, peak too low", 0, 250000, 250000, 20000, 5000, 1600);
    qdisc("child of tbf", RTM_NEWQDISC, NEW, MAJ(5), MAJ(1) | 1, "pfifo");
    qdisc("another child of tbf", RTM_NEWQDISC, REPLACE, MAJ(6), MAJ(1) | 9, "pfifo");
    qdisc("noqueue below tbf", RTM_NEWQDISC, REPLACE, MAJ(7), MAJ(1) | 1, "noqueue");
    disciplines("children of tbf, list");
    classes("children of tbf, classes");
    qdisc("delete the child of tbf", RTM_DELQDISC, 0, 0, MAJ(1) | 1, NULL);
    qdisc("delete it again", RTM_DELQDISC, 0, 0, MAJ(1) | 1, NULL);
    qdisc("class of tbf", RTM_GETTCLASS, NLM_F_ECHO, MAJ(1) | 1, 0, NULL);
    qdisc("new class of tbf", RTM_NEWTCLASS, NEW, MAJ(1) | 2, MAJ(1), "tbf");
    qdisc("new class of tbf, CREATE", RTM_NEWTCLASS, NLM_F_CREATE, MAJ(1) | 2, MAJ(1), "tbf");
    qdisc("delete the class of tbf", RTM_DELTCLASS, 0, MAJ(1) | 1, 0, NULL);
    qdisc("delete tbf", RTM_DELQDISC, 0, 0, TC_H_ROOT, NULL);
}

static void class(const char *label, int type, int flags, unsigned handle, unsigned parent, unsigned rate, unsigned quantum, unsigned prio)
{
    struct tc_htb_opt opt = { .rate = { .rate = rate, .linklayer = 1, .mpu = 64 }, .ceil = { .rate = 2 * rate, .linklayer = 1 }, .buffer = 1000,
                              .cbuffer = 2000, .quantum = quantum, .prio = prio };
    begin(type, flags, "tc0", handle, parent, "htb");
    if (type == RTM_NEWTCLASS) {
        size_t at = nest(TCA_OPTIONS);
        put(1, &opt, sizeof opt);
        nest_end(at);
    }
    told(label);
}

static void hierarchy(void)
{
    struct tc_htb_glob glob = { .version = 3, .rate2quantum = 10, .defcls = 0x30 };
    qdisc("htb without options", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "htb");
    for (int version = 2; version <= 3; version++) {
        begin(RTM_NEWQDISC, NEW, "tc0", MAJ(1), TC_H_ROOT, "htb");
        size_t at = nest(TCA_OPTIONS);
        glob.version = version;
        put(2, &glob, sizeof glob);
        nest_end(at);
        told(version == 2 ? "htb of another version" : "htb");
    }
    disciplines("htb, list");
    fifo("change htb", 0, MAJ(1), TC_H_ROOT, "htb", 5);
    class("class of another", RTM_NEWTCLASS, NEW, MAJ(2) | 1, MAJ(1), 125000, 0, 0);
    class("class of nothing", RTM_NEWTCLASS, NEW, MAJ(2) | 1, MAJ(2), 125000, 0, 0);
    class("class without a rate", RTM_NEWTCLASS, NEW, MAJ(1) | 1, TC_H_ROOT, 0, 0, 0);
    class("class without a number", RTM_NEWTCLASS, NEW, 0, MAJ(1), 125000, 0, 0);
    class("class 1", RTM_NEWTCLASS, NEW, MAJ(1) | 1, TC_H_ROOT, 125000, 0, 0);
    class("class 1 again", RTM_NEWTCLASS, NEW, MAJ(1) | 1, TC_H_ROOT, 125000, 0, 0);
    class("class 10", RTM_NEWTCLASS, NEW, MAJ(1) | 0x10, MAJ(1) | 1, 5000, 0, 9);
    class("class 20", RTM_NEWTCLASS, NEW, MAJ(1) | 0x20, MAJ(1) | 1, 50000000, 0, 1);
    class("class 30", RTM_NEWTCLASS, NEW, 0x30, MAJ(1) | 0x10, 60000, 1500, 1);
    for (unsigned n = 0x40; n < 0x48; n++) {
        char label[20];
        snprintf(label, sizeof label, "class %x", n);
        class(label, RTM_NEWTCLASS, NEW, MAJ(1) | n, MAJ(1) | 1, 60000, 1500, 1);
    }
    classes("classes");
    disciplines("classes, list of disciplines");
    class("change class 30", RTM_NEWTCLASS, 0, MAJ(1) | 0x30, MAJ(1) | 0x10, 90000, 0, 2);
    class("change class 10", RTM_NEWTCLASS, 0, MAJ(1) | 0x10, MAJ(1) | 1, 90000, 0, 2);
    class("change no class", RTM_NEWTCLASS, 0, MAJ(1) | 0x77, MAJ(1) | 1, 90000, 0, 2);
    class("get class 30", RTM_GETTCLASS, NLM_F_ECHO, MAJ(1) | 0x30, 0, 0, 0, 0);
    class("get no class", RTM_GETTCLASS, NLM_F_ECHO, MAJ(1) | 0x77, 0, 0, 0, 0);
    qdisc("leaf of class 30", RTM_NEWQDISC, NEW, MAJ(3), MAJ(1) | 0x30, "bfifo");
    qdisc("leaf of class 20", RTM_NEWQDISC, NEW, MAJ(4), MAJ(1) | 0x20, "pfifo");
    qdisc("leaf of class 1", RTM_NEWQDISC, NEW, MAJ(5), MAJ(1) | 1, "pfifo");
    qdisc("leaf of no class", RTM_NEWQDISC, NEW, MAJ(5), MAJ(1) | 0x77, "pfifo");
    qdisc("the same number elsewhere", RTM_NEWQDISC, NEW, MAJ(3), MAJ(1) | 0x40, "pfifo");
    disciplines("leaves, list");
    class("delete class 1", RTM_DELTCLASS, 0, MAJ(1) | 1, 0, 0, 0, 0);
    class("delete class 30", RTM_DELTCLASS, 0, MAJ(1) | 0x30, 0, 0, 0, 0);
    class("get class 10", RTM_GETTCLASS, NLM_F_ECHO, MAJ(1) | 0x10, 0, 0, 0, 0);
    qdisc("delete the leaf of class 20", RTM_DELQDISC, 0, 0, MAJ(1) | 0x20, NULL);
    disciplines("without leaves, list");
    qdisc("delete htb", RTM_DELQDISC, 0, 0, TC_H_ROOT, NULL);
    classes("no classes");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    /* Without IPv6, which would ask for routers: each packet is counted. */
    nl = rt_socket(SOCK_RAW, 0);
    int fd = tun_named("tc0");
    listener = rt_socket(SOCK_RAW, 1 << (RTNLGRP_TC - 1));
    rt_port = 0;
    struct sockaddr_nl at;
    socklen_t len = sizeof at;
    MUST(getsockname(nl, (struct sockaddr *)&at, &len));
    rt_port = at.nl_pid;
    disciplines("while it was never up");
    qdisc("new while down", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "pfifo");
    qdisc("delete while down", RTM_DELQDISC, 0, 0, TC_H_ROOT, NULL);
    disciplines("deleted while down");
    link_up("tc0", 1);
    simple();
    ingress();
    buckets();
    hierarchy();
    qdisc("before the end", RTM_NEWQDISC, NEW, MAJ(1), TC_H_ROOT, "pfifo");
    close(fd);
    fd = tun_attach("tc0", TUN, 0);
    disciplines("another of the name");
    close(fd);
    return 0;
}
