/* multiqueue.h - what the programs with several queues share. */
#ifndef MULTIQUEUE_H
#define MULTIQUEUE_H
#include "driver.h"

HELPER unsigned char buf[2048];
#define MQ (IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE)

HELPER int queue(int fd, int flags)
{
    struct ifreq ifr = { .ifr_flags = flags };
    return ioctl(fd, TUNSETQUEUE, &ifr);
}

HELPER int drain(int fd)
{
    int n = 0;
    while (read(fd, buf, sizeof buf) >= 0)
        n++;
    return n;
}

#endif
