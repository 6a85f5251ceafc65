/* error_queue.h - what the queue of errors of a socket tells. */
#ifndef ERROR_QUEUE_H
#define ERROR_QUEUE_H
#include "far.h"

/* Appends what the control messages of an element say. */
HELPER void tell_errors(struct msghdr *m, char *line, size_t room)
{
    int level = FAMILY == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    int kind = FAMILY == AF_INET6 ? IPV6_RECVERR : IP_RECVERR;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        struct sock_extended_err *e = (void *)CMSG_DATA(h);
        if (h->cmsg_level != level || h->cmsg_type != kind) {
            append(line, room, " %d/%d", h->cmsg_level, h->cmsg_type);
            continue;
        }
        name from = { .len = FAMILY == AF_INET6 ? sizeof from.in6 : sizeof from.in };
        memcpy(&from.sa, SO_EE_OFFENDER(e), from.len);
        append(line, room, " %s origin %d type %d code %d info %u by %s", errno_name(e->ee_errno), e->ee_origin, e->ee_type,
               e->ee_code, e->ee_info, from.sa.sa_family ? shown(&from) : "none");
    }
}

#endif
