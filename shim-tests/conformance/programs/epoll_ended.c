/* An epoll instance that was registered in another one has ended, and its registration with it:
 * what comes after is another instance, or another file with the same number and datum. */
#include "epolls.h"
#include <sys/eventfd.h>

#define TUN (IFF_TUN | IFF_NO_PI)

/* An outer instance in which an inner one was registered that has told its one event and ended, in
 * the way that `how` says, and a new instance. `beside` is registered in the outer one, too. */
static int left_by_one(int how, int beside, int *made)
{
    int outer = ep_make(), inner = ep_make(), ready = MUST(eventfd(1, EFD_CLOEXEC));
    struct epoll_event told;
    MUST(ep_ctl(inner, EPOLL_CTL_ADD, ready, EPOLLIN, 4));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLONESHOT, 5));
    if (beside >= 0)
        MUST(ep_ctl(outer, EPOLL_CTL_ADD, beside, EPOLLIN, 2));
    MUST(epoll_wait(outer, &told, 1, 0));
    close(ready);
    if (how == 1) { /* A child has had it, too. */
        pid_t pid = child();
        if (!pid)
            _exit(0);
        finish(pid);
    }
    if (how == 2)
        MUST(dup2(outer, inner));
    else
        close(inner);
    *made = ep_make();
    return outer;
}

static const char *const hows[] = { "closed", "closed after a child has ended", "its number taken" };

static void around(int how)
{
    char label[100];
    int made, outer = left_by_one(how, -1, &made), fd = tun_ready("en0", TUN, O_NONBLOCK);
    driver d = drv_attach("en0");
    sprintf(label, "%s, the outer one in the new one", hows[how]);
    show(label, ep_ctl(made, EPOLL_CTL_ADD, outer, EPOLLIN, 6));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, fd, EPOLLIN, 7));
    drv_packet(&d, 60);
    sprintf(label, "%s, an event in the new one", hows[how]);
    ep_show(label, made);
    MUST(read(fd, buf, sizeof buf));
    sprintf(label, "%s, no event in the new one", hows[how]);
    ep_show(label, made);
    sprintf(label, "%s, no event in the outer one", hows[how]);
    ep_show(label, outer);
    drv_detach(&d);
    close(fd);
    close(outer);
    close(made);
}

static void others_event(int how)
{
    char label[100];
    int made, outer = left_by_one(how, -1, &made), ends[2], fd = tun_ready("en1", TUN, O_NONBLOCK);
    MUST(pipe2(ends, O_CLOEXEC));
    MUST(ep_ctl(made, EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, fd, EPOLLIN, 2));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, ends[0], EPOLLIN, 5));
    close(ends[1]);
    sprintf(label, "%s, a pipe with its datum", hows[how]);
    ep_show(label, outer);
    close(ends[0]);
    close(fd);
    close(outer);
    close(made);
}

/* As many are registered as before: a tunnel that is not ready, and in the place of the inner
 * instance a file that is. */
static void ready_beside(int how)
{
    char label[100];
    int made, ends[2], fd = tun_ready("en2", TUN, O_NONBLOCK), outer = left_by_one(how, fd, &made);
    MUST(pipe2(ends, O_CLOEXEC));
    MUST(ep_ctl(outer, EPOLL_CTL_ADD, ends[1], EPOLLOUT, 3));
    sprintf(label, "%s, poll with a pipe beside the tunnel", hows[how]);
    show_poll(label, outer, POLLIN, 0);
    sprintf(label, "%s, a pipe beside the tunnel", hows[how]);
    ep_show(label, outer);
    close(ends[0]);
    close(ends[1]);
    close(fd);
    close(outer);
    close(made);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    for (int how = 0; how < 3; how++) {
        around(how);
        others_event(how);
        ready_beside(how);
    }
    return 0;
}
