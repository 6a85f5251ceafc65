/* SIOCETHTOOL on a tun and a tap: every command, what it answers and what it changes. */
#include "host.h"
#include <linux/ethtool.h>

static int sock;

static int ask(const char *name, void *data)
{
    struct ifreq ifr = { .ifr_data = data };
    memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    return ioctl(sock, SIOCETHTOOL, &ifr);
}

/* Every command with a struct of zeros: which are answered at all. */
static void walk(const char *name)
{
    static const char *const names[] = {
        [1] = "GSET", "SSET", "GDRVINFO", "GREGS", "GWOL", "SWOL", "GMSGLVL", "SMSGLVL", "NWAY_RST", "GLINK",
        "GEEPROM", "SEEPROM", [14] = "GCOALESCE", "SCOALESCE", "GRINGPARAM", "SRINGPARAM", "GPAUSEPARAM",
        "SPAUSEPARAM", "GRXCSUM", "SRXCSUM", "GTXCSUM", "STXCSUM", "GSG", "SSG", "TEST", "GSTRINGS", "PHYS_ID",
        "GSTATS", "GTSO", "STSO", "GPERMADDR", "GUFO", "SUFO", "GGSO", "SGSO", "GFLAGS", "SFLAGS", "GPFLAGS",
        "SPFLAGS", "GRXFH", "SRXFH", "GGRO", "SGRO", "GRXRINGS", "GRXCLSRLCNT", "GRXCLSRULE", "GRXCLSRLALL",
        "SRXCLSRLDEL", "SRXCLSRLINS", "FLASHDEV", "RESET", "SRXNTUPLE", "GRXNTUPLE", "GSSET_INFO", "GRXFHINDIR",
        "SRXFHINDIR", "GFEATURES", "SFEATURES", "GCHANNELS", "SCHANNELS", "SET_DUMP", "GET_DUMP_FLAG",
        "GET_DUMP_DATA", "GET_TS_INFO", "GMODULEINFO", "GMODULEEEPROM", "GEEE", "SEEE", "GRSSH", "SRSSH",
        "GTUNABLE", "STUNABLE", "GPHYSTATS", "PERQUEUE", "GLINKSETTINGS", "SLINKSETTINGS", "PHY_GTUNABLE",
        "PHY_STUNABLE", "GFECPARAM", "SFECPARAM",
    };
    for (uint32_t cmd = 0; cmd < sizeof names / sizeof *names + 1; cmd++) {
        static uint32_t data[1024];
        memset(data, 0, sizeof data);
        data[0] = cmd;
        const char *what = cmd < sizeof names / sizeof *names && names[cmd] ? names[cmd] : "no command";
        SHOW(label("%s, %s (%u)", name, what, cmd), ask(name, data));
    }
}

static void pointers(void)
{
    static const struct { const char *name; uint32_t cmd; size_t size; } all[] = {
        { "GSET", ETHTOOL_GSET, sizeof(struct ethtool_cmd) }, { "GDRVINFO", ETHTOOL_GDRVINFO, sizeof(struct ethtool_drvinfo) },
        { "GMSGLVL", ETHTOOL_GMSGLVL, 8 }, { "SMSGLVL", ETHTOOL_SMSGLVL, 8 }, { "GLINK", ETHTOOL_GLINK, 8 },
        { "GCOALESCE", ETHTOOL_GCOALESCE, sizeof(struct ethtool_coalesce) },
        { "SCOALESCE", ETHTOOL_SCOALESCE, sizeof(struct ethtool_coalesce) },
        { "GCHANNELS", ETHTOOL_GCHANNELS, sizeof(struct ethtool_channels) },
        { "GTSINFO", ETHTOOL_GET_TS_INFO, sizeof(struct ethtool_ts_info) }, { "GTXCSUM", ETHTOOL_GTXCSUM, 8 },
        { "GFEATURES", ETHTOOL_GFEATURES, sizeof(struct ethtool_gfeatures) },
        { "GSTRINGS", ETHTOOL_GSTRINGS, sizeof(struct ethtool_gstrings) },
        { "GSSET_INFO", ETHTOOL_GSSET_INFO, sizeof(struct ethtool_sset_info) },
        { "GPERMADDR", ETHTOOL_GPERMADDR, sizeof(struct ethtool_perm_addr) },
        { "GLINKSETTINGS", ETHTOOL_GLINKSETTINGS, sizeof(struct ethtool_link_settings) },
        { "GRINGPARAM", ETHTOOL_GRINGPARAM, sizeof(struct ethtool_ringparam) }, { "GFLAGS", ETHTOOL_GFLAGS, 8 },
    };
    uint32_t glink[2] = { ETHTOOL_GLINK, 0 };
    SHOW("ifreq NULL", ioctl(sock, SIOCETHTOOL, (void *volatile)NULL));
    SHOW("ifreq bad pointer", ioctl(sock, SIOCETHTOOL, BAD_POINTER));
    SHOW("data NULL", ask("et0", NULL));
    SHOW("data NULL of none", ask("nothere", NULL));
    SHOW("data bad pointer", ask("et0", BAD_POINTER));
    SHOW("of none", ask("nothere", glink));
    SHOW("unknown of none", ask("nothere", (uint32_t[2]){ 999 }));
    SHOW("unknown", ask("et0", (uint32_t[2]){ 999 }));
    SHOW("unknown that is privileged by number", ask("et0", (uint32_t[2]){ 0xffffffff }));
    SHOW("by an alias", ask("et0:1", glink));
    SHOW("empty name", ask("", glink));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        unsigned char *at = edge(4), *cut = edge(all[i].size - 1);
        memset(cut, 0, all[i].size - 1);
        memcpy(at, &all[i].cmd, 4);
        memcpy(cut, &all[i].cmd, 4);
        SHOW(label("%s, only the command", all[i].name), ask("et0", at));
        SHOW(label("%s, one byte too short", all[i].name), ask("et0", cut));
    }
    static const struct { const char *name; int family; } families[] = {
        { "inet6", AF_INET6 }, { "unix", AF_UNIX }, { "netlink", AF_NETLINK },
    };
    int kept = sock;
    for (size_t i = 0; i < 3; i++) {
        sock = MUST(socket(families[i].family, SOCK_DGRAM, 0));
        SHOW(label("on %s", families[i].name), ask("et0", glink));
        close(sock);
    }
    sock = kept;
}

static void driver_info(const char *name)
{
    struct ethtool_drvinfo d;
    char text[200];
    memset(&d, 0xee, sizeof d);
    d.cmd = ETHTOOL_GDRVINFO;
    SHOW(label("%s, driver info", name), ask(name, &d));
    say(label("%s, driver", name), "'%s' version='%s' fw='%s' bus='%s' erom='%s'", d.driver, d.version, d.fw_version,
        d.bus_info, d.erom_version);
    say(label("%s, driver numbers", name), "priv=%u stats=%u test=%u eedump=%u regdump=%u reserved=%s", d.n_priv_flags,
        d.n_stats, d.testinfo_len, d.eedump_len, d.regdump_len, hex(text, d.reserved2, sizeof d.reserved2));
}

static void value(const char *what, const char *name, uint32_t cmd)
{
    uint32_t data[2] = { cmd, 0xeeeeeeee };
    int result = ask(name, data);
    if (result)
        show(what, result);
    else
        say(what, "%d 0x%x", result, data[1]);
}

static void set_value(const char *what, const char *name, uint32_t cmd, uint32_t to)
{
    uint32_t data[2] = { cmd, to };
    SHOW(what, ask(name, data));
}

static void link_state(const char *name, int fd)
{
    int zero = 0, one = 1;
    value(label("%s down, link", name), name, ETHTOOL_GLINK);
    link_up(name, 1);
    value(label("%s up, link", name), name, ETHTOOL_GLINK);
    MUST(ioctl(fd, TUNSETCARRIER, &zero));
    value(label("%s without carrier, link", name), name, ETHTOOL_GLINK);
    MUST(ioctl(fd, TUNSETCARRIER, &one));
    value(label("%s with carrier, link", name), name, ETHTOOL_GLINK);
}

static void settings(const char *name)
{
    struct ethtool_cmd e;
    char text[200];
    memset(&e, 0xee, sizeof e);
    e.cmd = ETHTOOL_GSET;
    SHOW(label("%s, GSET", name), ask(name, &e));
    say(label("%s, GSET bytes", name), "%s", hex(text, &e, sizeof e));
    e.speed = 1000;
    e.speed_hi = 0;
    e.duplex = 0;
    e.port = 3;
    e.cmd = ETHTOOL_SSET;
    SHOW(label("%s, SSET 1000 half", name), ask(name, &e));
    e = (struct ethtool_cmd){ .cmd = ETHTOOL_GSET };
    MUST(ask(name, &e));
    say(label("%s, GSET after SSET", name), "%s", hex(text, &e, sizeof e));
    show_file(label("%s, speed of sysfs", name), label("/sys/class/net/%s/speed", name));
    show_file(label("%s, duplex of sysfs", name), label("/sys/class/net/%s/duplex", name));

    struct { struct ethtool_link_settings s; uint32_t masks[3 * 127]; } l;
    /* How many words there are depends on the kernel: it says so to whoever asks with none. */
    memset(&l, 0, sizeof l);
    l.s.cmd = ETHTOOL_GLINKSETTINGS;
    MUST(ask(name, &l));
    int n = -l.s.link_mode_masks_nwords;
    const struct { const char *name; int words; } asks[] = {
        { "0", 0 }, { "-1", -1 }, { "1", 1 }, { "n-1", n - 1 }, { "n", n }, { "n+1", n + 1 }, { "127", 127 },
        { "-128", -128 }, { "-n", -n },
    };
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        memset(&l, 0, sizeof l);
        l.s.cmd = ETHTOOL_GLINKSETTINGS;
        l.s.link_mode_masks_nwords = asks[i].words;
        const char *what = label("%s, GLINKSETTINGS %s words", name, asks[i].name);
        int result = ask(name, &l), words = l.s.link_mode_masks_nwords;
        if (result)
            show(what, result);
        else
            say(what, "0 words=%s cmd=%u speed=%u duplex=%u port=%u phy=%u autoneg=%u",
                words == n ? "n" : words == -n ? "-n" : "else", l.s.cmd, l.s.speed, l.s.duplex, l.s.port,
                l.s.phy_address, l.s.autoneg);
    }
    memset(&l, 0xee, sizeof l);
    l.s.cmd = ETHTOOL_GLINKSETTINGS;
    l.s.link_mode_masks_nwords = n;
    SHOW(label("%s, GLINKSETTINGS agreed", name), ask(name, &l));
    int set = 0;
    for (int i = 0; i < 3 * n; i++)
        set |= l.masks[i];
    say(label("%s, link modes", name), "%d nwords_same=%d mdio=%u tp=%u,%u transceiver=%u", set,
        l.s.link_mode_masks_nwords == n, l.s.mdio_support, l.s.eth_tp_mdix, l.s.eth_tp_mdix_ctrl, l.s.transceiver);
    l.s.cmd = ETHTOOL_SLINKSETTINGS;
    l.s.speed = 25000;
    l.s.duplex = 1;
    l.s.link_mode_masks_nwords = n;
    SHOW(label("%s, SLINKSETTINGS 25000", name), ask(name, &l));
    l.s.cmd = ETHTOOL_SLINKSETTINGS;
    l.s.link_mode_masks_nwords = n - 1;
    SHOW(label("%s, SLINKSETTINGS with few words", name), ask(name, &l));
    show_file(label("%s, speed after that", name), label("/sys/class/net/%s/speed", name));
    l.s.link_mode_masks_nwords = n;
    l.s.speed = 12345;
    l.s.duplex = 77;
    SHOW(label("%s, SLINKSETTINGS an odd speed", name), ask(name, &l));
    show_file(label("%s, the odd speed", name), label("/sys/class/net/%s/speed", name));
    show_file(label("%s, the odd duplex", name), label("/sys/class/net/%s/duplex", name));
}

static void messages(const char *name)
{
    value(label("%s, message level", name), name, ETHTOOL_GMSGLVL);
    set_value(label("%s, message level 5", name), name, ETHTOOL_SMSGLVL, 5);
    value(label("%s, message level then", name), name, ETHTOOL_GMSGLVL);
}

static void coalescing(const char *name)
{
    struct ethtool_coalesce c = { .cmd = ETHTOOL_GCOALESCE };
    char text[300];
    memset(&c, 0xee, sizeof c);
    c.cmd = ETHTOOL_GCOALESCE;
    SHOW(label("%s, GCOALESCE", name), ask(name, &c));
    say(label("%s, GCOALESCE bytes", name), "%s", hex(text, &c, sizeof c));
    static const unsigned frames[] = { 1, 32, 63, 64, 65, 1000000 };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        c = (struct ethtool_coalesce){ .cmd = ETHTOOL_SCOALESCE, .rx_max_coalesced_frames = frames[i] };
        SHOW(label("%s, SCOALESCE rx frames %u", name, frames[i]), ask(name, &c));
        c = (struct ethtool_coalesce){ .cmd = ETHTOOL_GCOALESCE };
        MUST(ask(name, &c));
        say(label("%s, rx frames after %u", name, frames[i]), "%u", c.rx_max_coalesced_frames);
    }
    c = (struct ethtool_coalesce){ .cmd = ETHTOOL_SCOALESCE, .rx_coalesce_usecs = 10 };
    SHOW(label("%s, SCOALESCE rx usecs", name), ask(name, &c));
    c = (struct ethtool_coalesce){ .cmd = ETHTOOL_SCOALESCE, .tx_max_coalesced_frames = 10 };
    SHOW(label("%s, SCOALESCE tx frames", name), ask(name, &c));
}

static void channels(const char *what, const char *name)
{
    struct ethtool_channels c;
    char text[100];
    memset(&c, 0xee, sizeof c);
    c.cmd = ETHTOOL_GCHANNELS;
    SHOW(label("%s, GCHANNELS", what), ask(name, &c));
    say(label("%s, GCHANNELS bytes", what), "%s", hex(text, &c, sizeof c));
    c.cmd = ETHTOOL_SCHANNELS;
    SHOW(label("%s, SCHANNELS", what), ask(name, &c));
}

static void timestamps(const char *name)
{
    struct ethtool_ts_info t;
    char text[200];
    memset(&t, 0xee, sizeof t);
    t.cmd = ETHTOOL_GET_TS_INFO;
    SHOW(label("%s, GET_TS_INFO", name), ask(name, &t));
    say(label("%s, GET_TS_INFO bytes", name), "%s", hex(text, &t, sizeof t));
}

static void strings(const char *name)
{
    static const char *const sets[] = { "TEST", "STATS", "PRIV_FLAGS", "NTUPLE", "FEATURES", "RSS_HASH", "TUNABLES",
                                        "PHY_STATS", "PHY_TUNABLES", "LINK_MODES" };
    for (uint32_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct { struct ethtool_sset_info info; uint32_t room[32]; } s = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1u << i } };
        int result = ask(name, &s);
        if (result)
            show(label("%s, GSSET_INFO %s", name, sets[i]), result);
        else
            say(label("%s, GSSET_INFO %s", name, sets[i]), "0 mask=0x%x count=%s", (unsigned)s.info.sset_mask,
                s.info.sset_mask ? s.room[0] ? "some" : "0" : "none");
        static struct { struct ethtool_gstrings g; char room[32 * 300]; } g;
        memset(&g, 0, sizeof g);
        g.g.cmd = ETHTOOL_GSTRINGS;
        g.g.string_set = i;
        g.g.len = 300;
        result = ask(name, &g);
        if (result)
            show(label("%s, GSTRINGS %s", name, sets[i]), result);
        else
            say(label("%s, GSTRINGS %s", name, sets[i]), "0 %s first='%.32s'", g.g.len ? "some" : "none", g.room);
    }
}

static void features(const char *name, int fd)
{
    static const struct { const char *name; uint32_t get, set; } all[] = {
        { "rx csum", ETHTOOL_GRXCSUM, ETHTOOL_SRXCSUM }, { "tx csum", ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM },
        { "sg", ETHTOOL_GSG, ETHTOOL_SSG }, { "tso", ETHTOOL_GTSO, ETHTOOL_STSO }, { "ufo", ETHTOOL_GUFO, ETHTOOL_SUFO },
        { "gso", ETHTOOL_GGSO, ETHTOOL_SGSO }, { "gro", ETHTOOL_GGRO, ETHTOOL_SGRO }, { "flags", ETHTOOL_GFLAGS, ETHTOOL_SFLAGS },
    };
    static const struct { const char *name; unsigned bits; } offloads[] = {
        { "none", 0 }, { "csum", TUN_F_CSUM }, { "csum tso4 tso6", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 },
        { "csum tso4 ecn", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN },
        { "all of them", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO },
    };
    for (size_t o = 0; o < sizeof offloads / sizeof *offloads; o++) {
        SHOW(label("%s, TUNSETOFFLOAD %s", name, offloads[o].name), ioctl(fd, TUNSETOFFLOAD, offloads[o].bits));
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            value(label("%s with %s, %s", name, offloads[o].name, all[i].name), name, all[i].get);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (uint32_t on = 0; on < 2; on++) {
            set_value(label("%s, set %s %u", name, all[i].name, on), name, all[i].set, on);
            value(label("%s, %s then, %u", name, all[i].name, on), name, all[i].get);
        }
    struct { struct ethtool_gfeatures g; struct ethtool_get_features_block room[8]; } g = { .g = { .cmd = ETHTOOL_GFEATURES, .size = 8 } };
    SHOW(label("%s, GFEATURES", name), ask(name, &g));
    say(label("%s, GFEATURES size", name), "%u", (unsigned)g.g.size);
    g.g = (struct ethtool_gfeatures){ .cmd = ETHTOOL_GFEATURES, .size = 0 };
    SHOW(label("%s, GFEATURES without room", name), ask(name, &g));
    say(label("%s, GFEATURES wants", name), "%u", (unsigned)g.g.size);
    struct { struct ethtool_sfeatures s; struct ethtool_set_features_block room[8]; } s = { .s = { .cmd = ETHTOOL_SFEATURES, .size = 2 } };
    SHOW(label("%s, SFEATURES of nothing", name), ask(name, &s));
    s.s.size = 1;
    SHOW(label("%s, SFEATURES too short", name), ask(name, &s));
}

static void hardware(const char *name)
{
    struct { struct ethtool_perm_addr p; unsigned char room[64]; } p = { .p = { .cmd = ETHTOOL_GPERMADDR, .size = 64 } };
    SHOW(label("%s, GPERMADDR", name), ask(name, &p));
    say(label("%s, GPERMADDR size", name), "%u", (unsigned)p.p.size);
    p.p = (struct ethtool_perm_addr){ .cmd = ETHTOOL_GPERMADDR, .size = 2 };
    SHOW(label("%s, GPERMADDR without room", name), ask(name, &p));
}

/* Each feature switched off and on: what the call returns, and what is on then. */
static void each_feature(const char *name)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        char text[120] = "";
        for (int on = 0; on < 2; on++) {
            struct { struct ethtool_sfeatures s; struct ethtool_set_features_block room[2]; } s = { .s = { .cmd = ETHTOOL_SFEATURES, .size = 2 } };
            s.s.features[bit / 32].valid = 1u << bit % 32;
            s.s.features[bit / 32].requested = on ? 1u << bit % 32 : 0;
            int result = ask(name, &s), why = result < 0 ? errno : 0;
            struct { struct ethtool_gfeatures g; struct ethtool_get_features_block room[2]; } g = { .g = { .cmd = ETHTOOL_GFEATURES, .size = 2 } };
            MUST(ask(name, &g));
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d %s 0x%08x 0x%08x", on ? ", on " : "off ", result,
                     why ? strerrorname_np(why) : "-", (unsigned)g.g.features[0].active, (unsigned)g.g.features[1].active);
        }
        say(label("%s, feature %u", name, bit), "%s", text);
    }
}

/* The loopback, whose driver answers nothing. */
static void loopback(void)
{
    walk("lo");
    value("lo down, link", "lo", ETHTOOL_GLINK);
    strings("lo");
    static const uint32_t sets[][2] = { { ETHTOOL_SRXCSUM, 0 }, { ETHTOOL_STXCSUM, 0 }, { ETHTOOL_SSG, 1 }, { ETHTOOL_STSO, 0 },
                                        { ETHTOOL_STSO, 1 }, { ETHTOOL_SUFO, 0 }, { ETHTOOL_SGSO, 0 }, { ETHTOOL_SGSO, 1 },
                                        { ETHTOOL_SGRO, 0 }, { ETHTOOL_SGRO, 1 }, { ETHTOOL_SFLAGS, 0 }, { ETHTOOL_SFLAGS, ETH_FLAG_LRO },
                                        { ETHTOOL_SFLAGS, 1 } };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        set_value(label("lo, command %u with %u", sets[i][0], sets[i][1]), "lo", sets[i][0], sets[i][1]);
        value(label("lo, after command %u with %u", sets[i][0], sets[i][1]), "lo", sets[i][0] - 1);
    }
    each_feature("lo");
    unsigned char *cut = edge(4);
    memcpy(cut, &(uint32_t){ ETHTOOL_GLINK }, 4);
    SHOW("lo, GLINK, only the command", ask("lo", cut));
    SHOW("lo, bad pointer", ask("lo", BAD_POINTER));
    SHOW("lo, by an alias", ask("lo:1", (uint32_t[2]){ ETHTOOL_GLINK }));
    link_up("lo", 1);
    value("lo up, link", "lo", ETHTOOL_GLINK);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    own_sysfs();
    sock = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int tun = tun_attach("et0", IFF_TUN | IFF_NO_PI, 0), tap = tun_attach("et1", IFF_TAP | IFF_NO_PI, 0);
    walk("et0");
    walk("et1");
    close(tun);
    close(tap);
    tun = tun_attach("et0", IFF_TUN | IFF_NO_PI, 0);
    tap = tun_attach("et1", IFF_TAP | IFF_NO_PI, 0);
    int multi = tun_attach("et2", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, 0);
    int second = tun_attach("et2", IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE, 0);
    pointers();
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "et1" : "et0";
        driver_info(name);
        link_state(name, i ? tap : tun);
        settings(name);
        messages(name);
        coalescing(name);
        channels(name, name);
        timestamps(name);
        strings(name);
        features(name, i ? tap : tun);
        hardware(name);
    }
    channels("two queues", "et2");
    close(second);
    channels("one queue closed", "et2");
    close(multi);
    value("gone, link", "et2", ETHTOOL_GLINK);
    each_feature("et0");
    each_feature("et1");
    loopback();
    close(tun);
    close(tap);
    return 0;
}
