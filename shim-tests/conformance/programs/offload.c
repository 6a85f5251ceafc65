/* TUNSETOFFLOAD, send buffer, vnet header size and byte order. */
#include "driver.h"
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static void offloads(int fd)
{
    static const struct { const char *name; unsigned long value; } all[] = {
        { "0", 0 }, { "CSUM", TUN_F_CSUM }, { "TSO4 without CSUM", TUN_F_TSO4 },
        { "CSUM|TSO4|TSO6", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 },
        { "CSUM|TSO_ECN without TSO", TUN_F_CSUM | TUN_F_TSO_ECN },
        { "CSUM|TSO4|TSO_ECN", TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN }, { "UFO alone", TUN_F_UFO },
        { "CSUM|UFO", TUN_F_CSUM | TUN_F_UFO }, { "CSUM|USO4", TUN_F_CSUM | TUN_F_USO4 },
        { "CSUM|USO6", TUN_F_CSUM | TUN_F_USO6 }, { "CSUM|USO4|USO6", TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6 },
        { "USO4|USO6 without CSUM", TUN_F_USO4 | TUN_F_USO6 },
        { "CSUM|bit 7", TUN_F_CSUM | 0x80 }, { "CSUM|TSO4|bit 7", TUN_F_CSUM | TUN_F_TSO4 | 0x80 },
        { "bit 9", 1 << 9 }, { "CSUM|bit 30", TUN_F_CSUM | 1 << 30 }, { "0 again", 0 },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char label[80];
        snprintf(label, sizeof label, "TUNSETOFFLOAD %s", all[i].name);
        SHOW(label, ioctl(fd, TUNSETOFFLOAD, all[i].value));
    }
}

/* Sets a value and says what it is afterwards. */
static void set(const char *label, int fd, unsigned long set_request, unsigned long get_request, int value)
{
    int result = ioctl(fd, set_request, &value), error = errno, current = -1;
    ioctl(fd, get_request, &current);
    if (result)
        say(label, "-1 %s now=%d", errno_name(error), current);
    else
        say(label, "0 now=%d", current);
}

static void header_sizes(const char *kind, int fd)
{
    static const int sizes[] = { 12, 10, 9, 0, -1, 24, 65536, 2147483647, 10 };
    char label[80];
    int value = -1;
    ioctl(fd, TUNGETVNETHDRSZ, &value);
    snprintf(label, sizeof label, "TUNGETVNETHDRSZ default, %s", kind);
    say(label, "%d", value);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(label, sizeof label, "TUNSETVNETHDRSZ #%zu %d, %s", i, sizes[i], kind);
        set(label, fd, TUNSETVNETHDRSZ, TUNGETVNETHDRSZ, sizes[i]);
    }
}

int main(int argc, char **argv)
{
    int value = 12;
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR));
    SHOW("TUNSETOFFLOAD unattached", ioctl(fd, TUNSETOFFLOAD, 0));
    SHOW("TUNSETVNETHDRSZ unattached", ioctl(fd, TUNSETVNETHDRSZ, &value));
    SHOW("TUNGETSNDBUF unattached", ioctl(fd, TUNGETSNDBUF, &value));
    MUST(tun_set_iff(fd, "of0", IFF_TUN | IFF_NO_PI));
    offloads(fd);
    SHOW("TUNGETSNDBUF", ioctl(fd, TUNGETSNDBUF, &value));
    say("TUNGETSNDBUF default", "%d", value);
    set("TUNSETSNDBUF 1", fd, TUNSETSNDBUF, TUNGETSNDBUF, 1);
    set("TUNSETSNDBUF 0", fd, TUNSETSNDBUF, TUNGETSNDBUF, 0);
    set("TUNSETSNDBUF -1", fd, TUNSETSNDBUF, TUNGETSNDBUF, -1);
    set("TUNSETSNDBUF 2147483647", fd, TUNSETSNDBUF, TUNGETSNDBUF, 2147483647);
    header_sizes("no IFF_VNET_HDR", fd);
    set("TUNSETVNETLE 1", fd, TUNSETVNETLE, TUNGETVNETLE, 1);
    set("TUNSETVNETLE 7", fd, TUNSETVNETLE, TUNGETVNETLE, 7);
    set("TUNSETVNETLE 0", fd, TUNSETVNETLE, TUNGETVNETLE, 0);
    close(fd);
    fd = tun_attach("of1", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 0);
    header_sizes("IFF_VNET_HDR", fd);
    return 0;
}
