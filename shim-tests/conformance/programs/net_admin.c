/* A program without CAP_NET_ADMIN: what it may make, attach to and change. Under the shim a program
 * is as with it, until the net takes the permission "net_admin" away. */
#include "driver.h"
#include <linux/capability.h>
#include <linux/sockios.h>
#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227)
#endif
#pragma weak memtun_net_deny

static void drop(void)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2] = { { 0 } };
    if (under_shim())
        MUST(memtun_net_deny(memtun_net_open(NULL), "net_admin"));
    else
        MUST(syscall(SYS_capset, &head, none));
}

/* A persistent interface with this owner and group, -1 for none. */
static void make(const char *name, int flags, long owner, long group)
{
    int fd = tun_attach(name, flags | IFF_NO_PI, 0);
    if (owner >= 0)
        MUST(ioctl(fd, TUNSETOWNER, owner));
    if (group >= 0)
        MUST(ioctl(fd, TUNSETGROUP, group));
    MUST(ioctl(fd, TUNSETPERSIST, 1));
    close(fd);
}

/* Attaches, and gives the interface up for good. */
static void attach(const char *label, const char *name, int flags)
{
    int fd = MUST(open(DEVICE, O_RDWR));
    int result = tun_set_iff(fd, name, flags | IFF_NO_PI);
    show(label, result);
    if (!result)
        MUST(ioctl(fd, TUNSETPERSIST, 0));
    close(fd);
}

static void requests(const char *name)
{
    static const struct { const char *name; unsigned long number; } all[] = {
        { "SIOCGIFFLAGS", SIOCGIFFLAGS }, { "SIOCSIFFLAGS", SIOCSIFFLAGS }, { "SIOCSIFMTU", SIOCSIFMTU },
        { "SIOCSIFHWADDR", SIOCSIFHWADDR }, { "SIOCSIFTXQLEN", SIOCSIFTXQLEN }, { "SIOCSIFNAME", SIOCSIFNAME },
        { "SIOCSIFMETRIC", SIOCSIFMETRIC }, { "SIOCSIFADDR", SIOCSIFADDR }, { "SIOCSIFNETMASK", SIOCSIFNETMASK },
        { "SIOCSIFDSTADDR", SIOCSIFDSTADDR }, { "SIOCSIFBRDADDR", SIOCSIFBRDADDR }, { "SIOCADDMULTI", SIOCADDMULTI },
        { "SIOCSIFMAP", SIOCSIFMAP }, { "SIOCSIFHWBROADCAST", SIOCSIFHWBROADCAST }, { "SIOCSIFPFLAGS", SIOCSIFPFLAGS },
        { "SIOCSIFSLAVE", SIOCSIFSLAVE }, { "SIOCDEVPRIVATE", SIOCDEVPRIVATE }, { "SIOCGMIIPHY", SIOCGMIIPHY },
        { "SIOCGMIIREG", SIOCGMIIREG }, { "SIOCSMIIREG", SIOCSMIIREG },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char label[60];
        struct ifreq ifr = { .ifr_mtu = 1400 };
        if (all[i].number == SIOCSIFADDR || all[i].number == SIOCSIFNETMASK || all[i].number == SIOCSIFDSTADDR || all[i].number == SIOCSIFBRDADDR)
            ifr.ifr_addr.sa_family = AF_INET;
        snprintf(label, sizeof label, "%s, %s", all[i].name, name);
        SHOW(label, if_request(all[i].number, &ifr, name));
    }
}

int main(int argc, char **argv)
{
    long uid = getuid(), gid = getgid();
    int value = 1;
    start(argc, argv);
    make("na0", IFF_TUN, -1, -1);
    make("na1", IFF_TUN, uid, -1);
    make("na2", IFF_TAP, -1, gid);
    make("na3", IFF_TUN, uid, gid);
    make("na4", IFF_TUN, -1, -1);
    int held = tun_attach("na5", IFF_TUN | IFF_NO_PI, 0), fd;
    drop();
    attach("a new one", "nb0", IFF_TUN);
    attach("a new one, no name", "", IFF_TUN);
    attach("a new one, a bad name", "a/b", IFF_TUN);
    attach("a new one, no type", "nb1", 0);
    attach("of another type", "na0", IFF_TAP);
    attach("IFF_TUN_EXCL", "na0", IFF_TUN | IFF_TUN_EXCL);
    attach("lo", "lo", IFF_TUN);
    attach("busy", "na5", IFF_TUN);
    requests("na4");
    requests("nothere");
    SHOW("TUNGETDEVNETNS", ioctl(held, TUNGETDEVNETNS, 0));
    SHOW("SIOCGSKNS", ioctl(held, SIOCGSKNS, 0));
    SHOW("TUNSETPERSIST", ioctl(held, TUNSETPERSIST, 1));
    SHOW("TUNSETOWNER", ioctl(held, TUNSETOWNER, uid));
    SHOW("TUNSETCARRIER", ioctl(held, TUNSETCARRIER, &value));
    SHOW("TUNSETPERSIST 0", ioctl(held, TUNSETPERSIST, 0));
    fd = MUST(open(DEVICE, O_RDWR));
    SHOW("SIOCGSKNS unattached", ioctl(fd, SIOCGSKNS, 0));
    SHOW("TUNSETIFINDEX", ioctl(fd, TUNSETIFINDEX, &(int){ 777 }));
    close(fd);
    attach("nobody's", "na0", IFF_TUN);
    attach("the user's", "na1", IFF_TUN);
    attach("the group's", "na2", IFF_TAP);
    attach("both", "na3", IFF_TUN);
    attach("nobody's, with a busy one beside it", "na4", IFF_TUN);
    say("all are gone", "%d", !exists("na0") && !exists("na1") && !exists("na2") && !exists("na3") && !exists("na4"));
    close(held);
    return 0;
}
