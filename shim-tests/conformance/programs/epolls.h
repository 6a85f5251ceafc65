/* epolls.h - what the epoll programs share. */
#ifndef EPOLLS_H
#define EPOLLS_H
#include "driver.h"

HELPER unsigned char buf[2048];

HELPER int ep_make(void) { return MUST(epoll_create1(EPOLL_CLOEXEC)); }

HELPER int ep_ctl(int ep, int op, int fd, unsigned events, int data)
{
    struct epoll_event e = { .events = events, .data.u64 = data };
    return epoll_ctl(ep, op, fd, &e);
}

#define EP_ALL (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI)

HELPER void ep_show_for(const char *label, int ep, int timeout_ms)
{
    char line[400] = "", text[160];
    struct epoll_event e[8];
    int n = epoll_wait(ep, e, 8, timeout_ms);
    if (n < 0) {
        show(label, n);
        return;
    }
    for (int i = 0; i < n; i++)
        sprintf(line + strlen(line), " events=%s data=%d", poll_bits(text, e[i].events), (int)e[i].data.u64);
    say(label, "%d%s", n, line);
}

/* Events are there when the call that made them has returned, so nothing waits. */
HELPER void ep_show(const char *label, int ep) { ep_show_for(label, ep, 0); }

#endif
