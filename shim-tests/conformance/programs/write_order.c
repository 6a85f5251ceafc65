/* Which error a refused write gets when several apply: the order of the checks, with the link down
   and up. */
#include "driver.h"
#include <linux/virtio_net.h>

static unsigned char buf[128];
static void *volatile nowhere = NULL, *volatile bad = BAD_POINTER;

static void checks(const char *state, int tun, int pi, int tap, int vnet, int vnet_tap)
{
    char label[100];
    struct virtio_net_hdr header = { 0 };
    struct iovec v[2] = { { &header, 10 }, { bad, 60 } };
#define TRY(what, expr) do { snprintf(label, sizeof label, "%s, %s", what, state); SHOW(label, expr); } while (0)
    TRY("good", write(tun, packet(buf, 60), 60));
    TRY("bad buffer", write(tun, bad, 60));
    TRY("NULL buffer", write(tun, nowhere, 60));
    TRY("NULL buffer of length 0", write(tun, nowhere, 0));
    buf[0] = 0x55;
    TRY("bad nibble", write(tun, buf, 60));
    TRY("PI, too short and a bad buffer", write(pi, bad, 3));
    TRY("PI, long enough and a bad buffer", write(pi, bad, 4));
    TRY("tap, too short and a bad buffer", write(tap, bad, 13));
    TRY("tap, long enough and a bad buffer", write(tap, bad, 14));
    TRY("vnet, too short and a bad buffer", write(vnet, bad, 9));
    TRY("vnet, long enough and a bad buffer", write(vnet, bad, 10));
    header.hdr_len = 61;
    TRY("vnet, hdr_len too long and a bad buffer", writev(vnet, v, 2));
    header.hdr_len = 0;
    header.gso_type = 0x42;
    TRY("vnet, bad gso_type and a bad buffer", writev(vnet, v, 2));
    v[1].iov_base = packet(buf, 60);
    TRY("vnet, bad gso_type", writev(vnet, v, 2));
    buf[0] = 0x55;
    header.gso_type = 0;
    TRY("vnet, bad nibble", writev(vnet, v, 2));
    TRY("vnet tap, a frame too short", writev(vnet_tap, (struct iovec[]){ { &header, 10 }, { buf, 13 } }, 2));
    header.gso_type = 0x42;
    TRY("vnet tap, a frame too short and a bad gso_type", writev(vnet_tap, (struct iovec[]){ { &header, 10 }, { buf, 13 } }, 2));
    TRY("vnet tap, bad gso_type", writev(vnet_tap, (struct iovec[]){ { &header, 10 }, { buf, 60 } }, 2));
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "wo0", "wo1", "wo2", "wo3", "wo4" };
    static const int flags[] = { IFF_TUN | IFF_NO_PI, IFF_TUN, IFF_TAP | IFF_NO_PI, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR,
                                 IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int fd[5];
    start(argc, argv);
    int fresh = MUST(open(DEVICE, O_RDWR));
    SHOW("bad buffer, unattached", write(fresh, bad, 60));
    for (int i = 0; i < 5; i++)
        fd[i] = tun_attach(names[i], flags[i], 0);
    checks("down", fd[0], fd[1], fd[2], fd[3], fd[4]);
    for (int i = 0; i < 5; i++)
        link_up(names[i], 1);
    driver d = drv_attach(names[0]);
    checks("up", fd[0], fd[1], fd[2], fd[3], fd[4]);
    show_recv("the good one arrived", &d);
    show_recv("and nothing else", &d);
    return 0;
}
