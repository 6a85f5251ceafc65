/* Pointers that cannot be read or written: EFAULT, never a signal, and what has happened all the
   same. */
#include "driver.h"

/* An ifreq in memory that can be read but not written. */
static struct ifreq *read_only(const char *name, int flags)
{
    struct ifreq *ifr = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ifr == MAP_FAILED)
        die("mmap");
    strcpy(ifr->ifr_name, name);
    ifr->ifr_flags = flags;
    MUST(mprotect(ifr, page_size(), PROT_READ));
    return ifr;
}

static void requests(const char *state, int fd)
{
    static const struct { const char *name; unsigned long request; } all[] = {
        { "TUNGETIFF", TUNGETIFF }, { "TUNGETFEATURES", TUNGETFEATURES }, { "TUNGETSNDBUF", TUNGETSNDBUF },
        { "TUNSETSNDBUF", TUNSETSNDBUF }, { "TUNGETVNETHDRSZ", TUNGETVNETHDRSZ }, { "TUNSETVNETHDRSZ", TUNSETVNETHDRSZ },
        { "TUNSETVNETLE", TUNSETVNETLE }, { "TUNGETVNETLE", TUNGETVNETLE }, { "TUNSETIFINDEX", TUNSETIFINDEX },
        { "TUNSETQUEUE", TUNSETQUEUE }, { "SIOCGIFHWADDR", SIOCGIFHWADDR }, { "FIONBIO", FIONBIO },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char label[64], zeroes[128] = "", null_text[40], bad_text[40];
        for (int k = 0; k < 2; k++) {
            int r = ioctl(fd, all[i].request, k ? BAD_POINTER : NULL);
            snprintf(k ? bad_text : null_text, 40, r == -1 ? "-1 %s" : "0", errno_name(errno));
        }
        if (all[i].request == FIONBIO)
            ioctl(fd, FIONBIO, zeroes);
        snprintf(label, sizeof label, "%s, %s", all[i].name, state);
        say(label, "null: %s; bad ptr: %s", null_text, bad_text);
    }
}

static void buffers(void)
{
    unsigned char buf[128], *half;
    void *volatile nowhere = NULL, *volatile bad = BAD_POINTER, *volatile kernel = (void *)0xffff800000000000ul;
    int fd = tun_ready("fa0", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("fa0");
    SHOW("write NULL", write(fd, nowhere, 60));
    SHOW("write bad pointer", write(fd, bad, 60));
    SHOW("write kernel pointer", write(fd, kernel, 60));
    half = edge(30);
    packet(buf, 60);
    memcpy(half, buf, 30);
    SHOW("write half unmapped", write(fd, half, 60));
    show_recv("received so far", &d);
    SHOW("read NULL, empty queue", read(fd, nowhere, 60));
    SHOW("read kernel pointer, empty queue", read(fd, kernel, 60));
    drv_packet(&d, 60);
    SHOW("read NULL, a packet waits", read(fd, nowhere, 60));
    SHOW("next read", read(fd, buf, sizeof buf));
    drv_packet(&d, 60);
    SHOW("read kernel pointer, a packet waits", read(fd, kernel, 60));
    show_data("read after it", read(fd, buf, sizeof buf), buf);
    drv_packet(&d, 60);
    half = edge(30);
    ssize_t n = read(fd, half, 60);
    say("read half unmapped", "%zd, mapped part is right: %d", n, !memcmp(half, packet(buf, 60), 30));
    SHOW("read after that", read(fd, buf, sizeof buf));
    drv_detach(&d);
    close(fd);

    fd = tun_ready("fa1", IFF_TUN, O_NONBLOCK);
    d = drv_attach("fa1");
    drv_packet(&d, 60);
    SHOW("with PI, read NULL, a packet waits", read(fd, nowhere, 64));
    SHOW("with PI, next read", read(fd, buf, sizeof buf));
    SHOW("with PI, write NULL", write(fd, nowhere, 64));
    SHOW("with PI, write NULL, too short", write(fd, nowhere, 3));
    drv_detach(&d);
    close(fd);
}

static void vectors(void)
{
    unsigned char buf[128];
    struct iovec *volatile nowhere = NULL, *volatile bad = (void *)8;
    int fd = tun_ready("fa2", IFF_TUN | IFF_NO_PI, O_NONBLOCK);
    driver d = drv_attach("fa2");
    struct iovec v[2] = { { packet(buf, 60), 20 }, { NULL, 40 } };
    SHOW("writev, one element at NULL", writev(fd, v, 2));
    show_recv("received of it", &d);
    SHOW("writev, NULL array", writev(fd, nowhere, 2));
    SHOW("readv, NULL array", readv(fd, nowhere, 1));
    SHOW("readv, bad array", readv(fd, bad, 1));
    drv_packet(&d, 60);
    SHOW("readv, NULL array, a packet waits", readv(fd, nowhere, 1));
    v[0].iov_base = buf;
    SHOW("readv, second element at NULL", readv(fd, v, 2));
    SHOW("readv after it", readv(fd, v, 1));
    close(fd);
}

int main(int argc, char **argv)
{
    struct ifreq ifr, *ro;
    void *volatile nowhere = NULL;
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR));
    SHOW("TUNSETIFF NULL", ioctl(fd, TUNSETIFF, nowhere));
    SHOW("TUNSETIFF bad pointer", ioctl(fd, TUNSETIFF, BAD_POINTER));
    unsigned char *part = edge(32);
    memset(part, 0, 32);
    strcpy((char *)part, "part0");
    ((struct ifreq *)part)->ifr_flags = IFF_TUN | IFF_NO_PI;
    SHOW("TUNSETIFF 32 of 40 bytes mapped", ioctl(fd, TUNSETIFF, part));
    say("made by it", "%d", exists("part0"));
    requests("unattached", fd);
    ro = read_only("ro0", IFF_TUN | IFF_NO_PI);
    SHOW("TUNSETIFF read-only", ioctl(fd, TUNSETIFF, ro));
    say("yet it exists", "%d", exists("ro0"));
    SHOW("yet TUNGETIFF", ioctl(fd, TUNGETIFF, &ifr));
    SHOW("yet a second TUNSETIFF", tun_set_iff(fd, "ro1", IFF_TUN | IFF_NO_PI));
    SHOW("TUNGETIFF read-only", ioctl(fd, TUNGETIFF, ro));
    requests("attached", fd);
    close(fd);
    buffers();
    vectors();
    return 0;
}
