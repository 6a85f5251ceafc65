/* Several queues of one interface. Which queue a flow gets by itself is the driver's business: sums
   and predicates only. */
#include "multiqueue.h"

static unsigned get_iff(int fd)
{
    struct ifreq ifr;
    return ioctl(fd, TUNGETIFF, &ifr) ? 0 : (unsigned short)ifr.ifr_flags;
}

static void flows(driver *d, int count, unsigned port)
{
    for (int i = 0; i < count; i++)
        drv_send(d, udp4(buf, 60, port ? port : 1024u + 7 * i), 60, ETH_P_IP);
}

static void opening(void)
{
    int a = tun_ready("mq0", MQ, O_NONBLOCK), b = MUST(open(DEVICE, O_RDWR)), c = MUST(open(DEVICE, O_RDWR));
    SHOW("second open with the flag", tun_set_iff(b, "mq0", MQ));
    SHOW("without the flag", tun_set_iff(c, "mq0", IFF_TUN | IFF_NO_PI));
    SHOW("as a tap", tun_set_iff(c, "mq0", IFF_TAP | IFF_MULTI_QUEUE));
    SHOW("with other framing flags", tun_set_iff(c, "mq0", IFF_TUN | IFF_MULTI_QUEUE | IFF_VNET_HDR));
    say("those are ignored", "0x%x 0x%x", get_iff(a), get_iff(c));
    close(a);
    say("the interface lives by the others", "%d", exists("mq0"));
    close(b);
    close(c);
    say("and ends with the last", "%d", exists("mq0"));
}

static void spreading(void)
{
    int a = tun_ready("mq1", MQ, O_NONBLOCK), b = tun_attach("mq1", MQ, O_NONBLOCK), na, nb;
    driver d = drv_attach("mq1");
    flows(&d, 64, 0);
    na = drain(a);
    nb = drain(b);
    say("64 flows", "sum=%d both_used=%d", na + nb, na && nb);
    flows(&d, 20, 5000);
    na = drain(a);
    nb = drain(b);
    say("one flow of 20", "sum=%d one_queue=%d", na + nb, !na || !nb);
    show_poll("idle, a", a, POLL_ALL, 0);
    show_poll("idle, b", b, POLL_ALL, 0);
    SHOW("write to a", write(a, packet(buf, 60), 60));
    SHOW("write to b", write(b, packet(buf, 61), 61));
    show_recv("from a", &d);
    show_recv("from b", &d);
    drv_detach(&d);
    close(a);
    close(b);
}

/* The answer to a flow comes to the queue that wrote it. */
static void answers(void)
{
    int fds[2], right[2] = { 0, 0 }, wrong[2] = { 0, 0 };
    unsigned char back[60];
    fds[0] = tun_ready("mq5", MQ, O_NONBLOCK);
    fds[1] = tun_attach("mq5", MQ, O_NONBLOCK);
    driver d = drv_attach("mq5");
    for (int i = 0; i < 32; i++) {
        int q = i & 1;
        udp4(buf, 60, 3000 + i);
        MUST(write(fds[q], buf, 60));
        memcpy(back, buf, 60);
        memcpy(back + 12, buf + 16, 4);
        memcpy(back + 16, buf + 12, 4);
        memcpy(back + 20, buf + 22, 2);
        memcpy(back + 22, buf + 20, 2);
        drv_send(&d, back, 60, ETH_P_IP);
        right[q] += drain(fds[q]);
        wrong[q] += drain(fds[!q]);
    }
    say("answers to queue 0", "right=%d wrong=%d", right[0], wrong[0]);
    say("answers to queue 1", "right=%d wrong=%d", right[1], wrong[1]);
    drv_detach(&d);
    close(fds[0]);
    close(fds[1]);
}

static void detaching(void)
{
    int a = tun_ready("mq2", MQ, O_NONBLOCK), b = tun_attach("mq2", MQ, O_NONBLOCK), na, nb;
    driver d = drv_attach("mq2");
    SHOW("DETACH", queue(b, IFF_DETACH_QUEUE));
    SHOW("DETACH again", queue(b, IFF_DETACH_QUEUE));
    SHOW("both bits while detached", queue(b, IFF_ATTACH_QUEUE | IFF_DETACH_QUEUE));
    SHOW("and DETACH", queue(b, IFF_DETACH_QUEUE));
    say("TUNGETIFF of both", "0x%x 0x%x", get_iff(a), get_iff(b));
    SHOW("detached, read", read(b, buf, sizeof buf));
    SHOW("detached, write", write(b, packet(buf, 60), 60));
    show_recv("detached, received", &d);
    show_poll("detached, poll", b, POLL_ALL, 0);
    link_up("mq2", 0);
    show_poll("detached and down, poll", b, POLL_ALL, 0);
    link_up("mq2", 1);
    show_poll("detached and up again, poll", b, POLL_ALL, 0);
    SHOW("detached, TUNSETIFF", tun_set_iff(b, "mq2", MQ));
    flows(&d, 32, 0);
    na = drain(a);
    nb = drain(b);
    say("32 flows", "attached=%d detached=%d", na, nb);
    SHOW("ATTACH", queue(b, IFF_ATTACH_QUEUE));
    SHOW("ATTACH again", queue(b, IFF_ATTACH_QUEUE));
    SHOW("both bits", queue(b, IFF_ATTACH_QUEUE | IFF_DETACH_QUEUE));
    SHOW("no bit", queue(b, 0));
    flows(&d, 64, 0);
    na = drain(a);
    nb = drain(b);
    say("64 flows again", "sum=%d both_used=%d", na + nb, na && nb);
    flows(&d, 64, 0);
    SHOW("DETACH with packets queued", queue(b, IFF_DETACH_QUEUE));
    say("they are dropped", "%d", drain(b));
    SHOW("DETACH of the last one", queue(a, IFF_DETACH_QUEUE));
    say("the interface stays", "%d", exists("mq2"));
    flows(&d, 8, 0);
    say("nobody gets packets", "%d", drain(a) + drain(b));
    close(a);
    say("a detached queue keeps it alive", "%d", exists("mq2"));
    SHOW("and comes back", queue(b, IFF_ATTACH_QUEUE));
    flows(&d, 8, 0);
    say("with all packets", "%d", drain(b));
    queue(b, IFF_DETACH_QUEUE);
    close(b);
    say("until it is closed", "%d", exists("mq2"));
    drv_detach(&d);
}

static void refusals(void)
{
    int single = tun_attach("mq3", IFF_TUN | IFF_NO_PI, 0), fresh = MUST(open(DEVICE, O_RDWR));
    SHOW("TUNSETQUEUE DETACH on a single queue", queue(single, IFF_DETACH_QUEUE));
    SHOW("TUNSETQUEUE ATTACH on a single queue", queue(single, IFF_ATTACH_QUEUE));
    SHOW("TUNSETQUEUE DETACH before TUNSETIFF", queue(fresh, IFF_DETACH_QUEUE));
    SHOW("TUNSETQUEUE ATTACH before TUNSETIFF", queue(fresh, IFF_ATTACH_QUEUE));
    close(single);
    close(fresh);
}

static void limit(void)
{
    int fds[300], n = 0;
    for (; n < 300; n++) {
        fds[n] = MUST(open(DEVICE, O_RDWR));
        if (tun_set_iff(fds[n], "mq4", MQ))
            break;
    }
    say("at most", "%d then %s", n, errno_name(errno));
    for (int i = 0; i <= n && i < 300; i++)
        close(fds[i]);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    opening();
    spreading();
    answers();
    detaching();
    refusals();
    limit();
    return 0;
}
