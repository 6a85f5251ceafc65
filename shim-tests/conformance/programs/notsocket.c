/* A tunnel is not a socket, whatever it is made of. */
#include "driver.h"

static void socket_calls(const char *state, int fd)
{
    char buf[64], label[64];
    int value = 0;
    socklen_t len = sizeof value;
    struct sockaddr_storage address = { .ss_family = AF_UNIX };
    socklen_t address_len = sizeof address;
    struct iovec v = { buf, sizeof buf };
    struct msghdr message = { .msg_iov = &v, .msg_iovlen = 1 };
    struct mmsghdr many = { .msg_hdr = message };
#define CALL(name, expr) do { snprintf(label, sizeof label, "%s, %s", name, state); SHOW(label, expr); } while (0)
    CALL("send", send(fd, buf, 1, MSG_DONTWAIT));
    CALL("recv", recv(fd, buf, 1, MSG_DONTWAIT));
    CALL("sendto", sendto(fd, buf, 1, MSG_DONTWAIT, NULL, 0));
    CALL("recvfrom", recvfrom(fd, buf, 1, MSG_DONTWAIT, NULL, NULL));
    CALL("sendmsg", sendmsg(fd, &message, MSG_DONTWAIT));
    CALL("recvmsg", recvmsg(fd, &message, MSG_DONTWAIT));
    CALL("sendmmsg", sendmmsg(fd, &many, 1, MSG_DONTWAIT));
    CALL("recvmmsg", recvmmsg(fd, &many, 1, MSG_DONTWAIT, NULL));
    CALL("getsockopt SO_TYPE", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &len));
    CALL("setsockopt SO_SNDBUF", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    CALL("getsockname", getsockname(fd, (struct sockaddr *)&address, &address_len));
    CALL("getpeername", getpeername(fd, (struct sockaddr *)&address, &address_len));
    CALL("bind", bind(fd, (struct sockaddr *)&address, sizeof address));
    CALL("connect", connect(fd, (struct sockaddr *)&address, sizeof address));
    CALL("listen", listen(fd, 1));
    CALL("accept", accept(fd, NULL, NULL));
    CALL("shutdown", shutdown(fd, SHUT_RDWR));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = MUST(open(DEVICE, O_RDWR));
    socket_calls("unattached", fd);
    MUST(tun_set_iff(fd, "ns0", IFF_TUN | IFF_NO_PI));
    socket_calls("attached", fd);
    link_up("ns0", 1);
    driver d = drv_attach("ns0");
    drv_packet(&d, 60);
    socket_calls("a packet waits", fd);
    show_poll("the packet is still there", fd, POLLIN, 0);
    return 0;
}
