/* The other requests on the tunnel's descriptor: unattached, then attached. */
#include "driver.h"
#include <termios.h>
#include <linux/fs.h>
#include <linux/fiemap.h>
#include <linux/sockios.h>

static char state[32];
static int probed;

/* A request with NULL, a bad pointer and zeroed memory. */
static void probe(const char *name, unsigned long request)
{
    static char zeroes[8192];
    static void *const arguments[] = { NULL, BAD_POINTER, zeroes };
    static const char *const kinds[] = { "null", "bad ptr", "zeroed" };
    char label[80], text[160] = "";
    for (int i = 0; i < 3; i++) {
        char *end = text + strlen(text);
        memset(zeroes, 0, sizeof zeroes);
        int r = ioctl(probed, request, arguments[i]);
        if (r == -1)
            sprintf(end, "%s%s: -1 %s", i ? "; " : "", kinds[i], errno_name(errno));
        else
            sprintf(end, "%s%s: %d", i ? "; " : "", kinds[i], r);
    }
    snprintf(label, sizeof label, "%s, %s", name, state);
    say(label, "%s", text);
}

static void unknown_requests(void)
{
    probe("unknown 'T' 0xfe", _IOWR('T', 0xfe, int));
    probe("unknown 'z' 1", _IO('z', 1));
    probe("unknown 0", 0);
    probe("TCGETS", TCGETS);
    probe("TIOCGWINSZ", TIOCGWINSZ);
    probe("FIONREAD", FIONREAD);
    probe("SIOCOUTQ", SIOCOUTQ);
    probe("unknown of type 0x89", 0x89ee);
    probe("SIOCGIFFLAGS", SIOCGIFFLAGS);
    probe("SIOCGIFINDEX", SIOCGIFINDEX);
    probe("TUNGETFEATURES", TUNGETFEATURES);
    probe("TUNGETVNETBE", TUNGETVNETBE);
    probe("TUNSETVNETBE", TUNSETVNETBE);
    probe("TUNSETTXFILTER", TUNSETTXFILTER);
    probe("TUNATTACHFILTER", TUNATTACHFILTER);
    probe("FIOQSIZE", FIOQSIZE);
    probe("FS_IOC_FIEMAP", FS_IOC_FIEMAP);
}

static void persistence(int fd)
{
    struct ifreq ifr = { 0 };
    SHOW("TUNSETPERSIST 1", ioctl(fd, TUNSETPERSIST, 1));
    SHOW("TUNSETPERSIST 1 again", ioctl(fd, TUNSETPERSIST, 1));
    ioctl(fd, TUNGETIFF, &ifr);
    say("TUNGETIFF while persistent", "0x%x", (unsigned short)ifr.ifr_flags);
    SHOW("TUNSETPERSIST 77", ioctl(fd, TUNSETPERSIST, 77));
    SHOW("TUNSETPERSIST 0", ioctl(fd, TUNSETPERSIST, 0));
    ioctl(fd, TUNGETIFF, &ifr);
    say("TUNGETIFF afterwards", "0x%x", (unsigned short)ifr.ifr_flags);
}

static void owners(int fd)
{
    SHOW("TUNSETOWNER self", ioctl(fd, TUNSETOWNER, (long)getuid()));
    SHOW("TUNSETOWNER -1", ioctl(fd, TUNSETOWNER, -1L));
    SHOW("TUNSETGROUP self", ioctl(fd, TUNSETGROUP, (long)getgid()));
    SHOW("TUNSETGROUP -1", ioctl(fd, TUNSETGROUP, -1L));
    SHOW("TUNSETNOCSUM", ioctl(fd, TUNSETNOCSUM, 1));
    SHOW("TUNSETDEBUG", ioctl(fd, TUNSETDEBUG, 0x1234));
}

static void link_type(int fd)
{
    struct ifreq ifr;
    SHOW("TUNSETLINK 1 while down", ioctl(fd, TUNSETLINK, 1));
    SHOW("SIOCGIFHWADDR after it", if_request(SIOCGIFHWADDR, &ifr, "oi0"));
    say("family", "%d", ifr.ifr_hwaddr.sa_family);
    SHOW("TUNSETLINK 70000", ioctl(fd, TUNSETLINK, 70000));
    if_request(SIOCGIFHWADDR, &ifr, "oi0");
    say("family, cut to 16 bits", "%d", ifr.ifr_hwaddr.sa_family);
    SHOW("TUNSETLINK 65534", ioctl(fd, TUNSETLINK, 65534));
    link_up("oi0", 1);
    SHOW("TUNSETLINK while up", ioctl(fd, TUNSETLINK, 1));
    link_up("oi0", 0);
}

static void addresses(int fd)
{
    char text[80];
    struct ifreq ifr;
    int tap = tun_attach("oi1", IFF_TAP | IFF_NO_PI, 0);
    memset(&ifr, 0xee, sizeof ifr);
    SHOW("SIOCGIFHWADDR on a tun", ioctl(fd, SIOCGIFHWADDR, &ifr));
    say("its bytes", "%s", hex(text, ifr.ifr_hwaddr.sa_data, 14));
    memset(&ifr, 0xee, sizeof ifr);
    SHOW("SIOCGIFHWADDR on a tap", ioctl(tap, SIOCGIFHWADDR, &ifr));
    unsigned char *mac = (unsigned char *)ifr.ifr_hwaddr.sa_data;
    say("its address", "family=%d local=%d multicast=%d name_written=%d", ifr.ifr_hwaddr.sa_family, mac[0] >> 1 & 1,
        mac[0] & 1, (unsigned char)ifr.ifr_name[0] != 0xee);
    memset(&ifr, 0, sizeof ifr);
    ifr.ifr_hwaddr.sa_family = 1;
    memcpy(ifr.ifr_hwaddr.sa_data, "\x02\x01\x02\x03\x04\x05", 6);
    SHOW("SIOCSIFHWADDR on a tun", ioctl(fd, SIOCSIFHWADDR, &ifr));
    SHOW("SIOCSIFHWADDR on a tap", ioctl(tap, SIOCSIFHWADDR, &ifr));
    ifr.ifr_hwaddr.sa_data[0] = 0x03;
    SHOW("SIOCSIFHWADDR multicast", ioctl(tap, SIOCSIFHWADDR, &ifr));
    memset(ifr.ifr_hwaddr.sa_data, 0, 6);
    SHOW("SIOCSIFHWADDR zero", ioctl(tap, SIOCSIFHWADDR, &ifr));
    ifr.ifr_hwaddr.sa_data[0] = 0x02;
    ifr.ifr_hwaddr.sa_family = 5;
    SHOW("SIOCSIFHWADDR wrong family", ioctl(tap, SIOCSIFHWADDR, &ifr));
    ifr.ifr_hwaddr.sa_family = 1;
    link_up("oi1", 1);
    SHOW("SIOCSIFHWADDR while up", ioctl(tap, SIOCSIFHWADDR, &ifr));
    if_request(SIOCGIFHWADDR, &ifr, "oi1");
    say("the address is now", "%s", hex(text, ifr.ifr_hwaddr.sa_data, 6));
    close(tap);
}

int main(int argc, char **argv)
{
    unsigned features = 0;
    start(argc, argv);
    int fd = probed = MUST(open(DEVICE, O_RDWR));
    strcpy(state, "unattached");
    SHOW("TUNGETFEATURES before TUNSETIFF", ioctl(fd, TUNGETFEATURES, &features));
    say("features", "0x%x", features);
    unknown_requests();
    SHOW("TUNSETPERSIST unattached", ioctl(fd, TUNSETPERSIST, 1));
    SHOW("TUNSETOWNER unattached", ioctl(fd, TUNSETOWNER, 0L));
    SHOW("TUNSETLINK unattached", ioctl(fd, TUNSETLINK, 1));
    SHOW("TUNSETCARRIER unattached", ioctl(fd, TUNSETCARRIER, &features));
    MUST(tun_set_iff(fd, "oi0", IFF_TUN | IFF_NO_PI));
    strcpy(state, "attached");
    SHOW("TUNGETFEATURES attached", ioctl(fd, TUNGETFEATURES, &features));
    say("features attached", "0x%x", features);
    unknown_requests();
    SHOW("sign extended request", ioctl(fd, (unsigned long)(int)TUNGETFEATURES, &features));
    SHOW("high bits of the request", ioctl(fd, 0x1234567800000000ul | TUNGETFEATURES, &features));
    persistence(fd);
    owners(fd);
    link_type(fd);
    addresses(fd);
    return 0;
}
