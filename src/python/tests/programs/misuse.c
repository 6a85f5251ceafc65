/* misuse.c - memtun.h is used as it must not be: each call fails with an errno, a kind and a
 * sentence, and nothing crashes.
 *
 * Run without the shim, linked with the library. It prints nothing when all is well.
 */
#include "memtun.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void check(int that, const char *what, int line)
{
    if (that)
        return;
    printf("%d: %s; kind %d, errno %d, %s\n", line, what, memtun_error_kind(), errno, memtun_error_text());
    failures++;
}

#define CHECK(that) check((that) ? 1 : 0, #that, __LINE__)

/* Checks a call that returns a number. */
static void fails(long answer, int error, int kind, const char *what, int line)
{
    check(answer == -error, what, line);
    check(memtun_error_kind() == kind, what, line);
    check(memtun_error_text()[0] != '\0', what, line);
}

/* Checks a call that returns a handle. */
static void makes_none(const void *handle, int error, int kind, const char *what, int line)
{
    check(handle == NULL && errno == error, what, line);
    check(memtun_error_kind() == kind, what, line);
}

#define FAILS(call, error, kind) fails((long)(call), error, MEMTUN_KIND_##kind, #call, __LINE__)
#define MAKES_NONE(call, error, kind) (errno = 0, makes_none(call, error, MEMTUN_KIND_##kind, #call, __LINE__))

static char room[4096];
static uint16_t number;

static void without_a_handle(void)
{
    const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
    const struct iovec one = {room, 1};
    size_t done = 7;
    memtun_packet packets[2];
    memtun_datagram datagrams[2];
    FAILS(memtun_net_path(NULL, room, sizeof room), EINVAL, INVALID);
    FAILS(memtun_net_remove(NULL), EINVAL, INVALID);
    FAILS(memtun_net_fault(NULL, "write=EINTR"), EINVAL, INVALID);
    FAILS(memtun_net_take_back(NULL, "write=EINTR"), EINVAL, INVALID);
    FAILS(memtun_net_permit(NULL, "open"), EINVAL, INVALID);
    FAILS(memtun_net_deny(NULL, "open"), EINVAL, INVALID);
    FAILS(memtun_net_permits(NULL, "open"), EINVAL, INVALID);
    FAILS(memtun_net_had_interface(NULL, "tun0"), EINVAL, INVALID);
    FAILS(memtun_net_set_send_buffer_size(NULL, 0), EINVAL, INVALID);
    FAILS(memtun_net_set_name_suffix(NULL, ""), EINVAL, INVALID);
    FAILS(memtun_net_reset(NULL), EINVAL, INVALID);
    FAILS(memtun_net_describe(NULL, room, sizeof room), EINVAL, INVALID);
    FAILS(memtun_net_environment(NULL, NULL, NULL, NULL, room, sizeof room), EINVAL, INVALID);
    FAILS(memtun_net_describe_tunnel(NULL, 1, room, sizeof room), EINVAL, INVALID);
    MAKES_NONE(memtun_net_open_of_user(NULL, 0), EINVAL, INVALID);
    MAKES_NONE(memtun_interface_open(NULL, "tun0", MEMTUN_TIMEOUT_DEFAULT), EINVAL, INVALID);
    FAILS(memtun_interface_inject(NULL, "x", 1, 0, MEMTUN_TIMEOUT_FOREVER), EINVAL, INVALID);
    FAILS(memtun_interface_deliver(NULL, "x", 1, MEMTUN_TIMEOUT_FOREVER), EINVAL, INVALID);
    FAILS(memtun_interface_offer(NULL, "x", 1, 0, MEMTUN_TIMEOUT_FOREVER), EINVAL, INVALID);
    FAILS(memtun_interface_offer_ip(NULL, "x", 1, MEMTUN_TIMEOUT_FOREVER), EINVAL, INVALID);
    FAILS(memtun_interface_send_udp(NULL, NULL, 0, "10.0.0.1", 7, "x", 1, -1), EINVAL, INVALID);
    FAILS(memtun_interface_offer_udp(NULL, NULL, 0, "10.0.0.1", 7, "x", 1, -1), EINVAL, INVALID);
    FAILS(memtun_interface_inject_many(NULL, &one, 1, 0, &done, -1), EINVAL, INVALID);
    FAILS(memtun_interface_inject_many(NULL, NULL, 1, 0, NULL, -1), EFAULT, OTHER);
    FAILS(memtun_interface_offer_many(NULL, &one, 1, 0, NULL, -1), EINVAL, INVALID);
    FAILS(memtun_interface_send_udp_many(NULL, NULL, 0, "10.0.0.1", 7, &one, 1, &done, -1), EINVAL, INVALID);
    FAILS(memtun_interface_send_udp_many(NULL, NULL, 0, "10.0.0.x", 7, &one, 1, &done, -1), EINVAL, INVALID);
    FAILS(memtun_interface_offer_udp_many(NULL, NULL, 0, "10.0.0.1", 7, &one, 1, NULL, -1), EINVAL, INVALID);
    CHECK(done == 0);
    FAILS(memtun_interface_set_up(NULL, 1), EINVAL, INVALID);
    FAILS(memtun_interface_set_mtu(NULL, 1500), EINVAL, INVALID);
    FAILS(memtun_interface_set_txqueuelen(NULL, 1), EINVAL, INVALID);
    FAILS(memtun_interface_set_owner(NULL, (uid_t)-1), EINVAL, INVALID);
    FAILS(memtun_interface_set_group(NULL, (gid_t)-1), EINVAL, INVALID);
    FAILS(memtun_interface_set_mac(NULL, mac), EINVAL, INVALID);
    FAILS(memtun_interface_set_name(NULL, "tun1"), EINVAL, INVALID);
    FAILS(memtun_interface_set_carrier(NULL, 1), EINVAL, INVALID);
    FAILS(memtun_interface_delete(NULL), EINVAL, INVALID);
    FAILS(memtun_interface_describe(NULL, room, sizeof room), EINVAL, INVALID);
    FAILS(memtun_interface_recv(NULL, room, sizeof room, NULL, -1), EINVAL, INVALID);
    FAILS(memtun_interface_recv_udp(NULL, NULL, 7, room, sizeof room, -1), EINVAL, INVALID);
    FAILS(memtun_interface_recv_many(NULL, room, sizeof room, packets, 2, -1), EINVAL, INVALID);
    FAILS(memtun_subscriber_recv_many(NULL, room, sizeof room, packets, 2, -1), EINVAL, INVALID);
    FAILS(memtun_receiver_recv_many(NULL, room, sizeof room, datagrams, 2, -1), EINVAL, INVALID);
    MAKES_NONE(memtun_subscriber_open(NULL), EINVAL, INVALID);
    FAILS(memtun_subscriber_recv(NULL, room, sizeof room, NULL, NULL, -1), EINVAL, INVALID);
    MAKES_NONE(memtun_receiver_open(NULL, NULL, 7), EINVAL, INVALID);
    FAILS(memtun_receiver_recv(NULL, room, sizeof room, NULL, 0, NULL, -1), EINVAL, INVALID);
    memtun_net_close(NULL);
    memtun_interface_close(NULL);
    memtun_subscriber_close(NULL);
    memtun_receiver_close(NULL);
}

static void with_bad_values(memtun_net *net)
{
    char path[200];
    char small[4] = "???";
    long length = memtun_net_path(net, path, sizeof path);
    CHECK(length > 4 && path[length] == '\0');
    CHECK(memtun_net_path(net, small, sizeof small) == length && strncmp(small, path, 3) == 0 && small[3] == '\0');
    CHECK(memtun_net_path(net, NULL, 0) == length);
    FAILS(memtun_net_path(net, NULL, 10), EFAULT, OTHER);
    FAILS(memtun_net_fault(net, NULL), EFAULT, OTHER);
    FAILS(memtun_net_fault(net, "write"), EINVAL, INVALID);
    FAILS(memtun_net_deny(net, "everything"), EINVAL, INVALID);
    FAILS(memtun_net_set_name_suffix(net, "a/b"), EINVAL, INVALID);
    FAILS(memtun_net_had_interface(net, "a/b"), EINVAL, INVALID);
    FAILS(memtun_net_environment(net, "sideways", NULL, NULL, room, sizeof room), EINVAL, INVALID);
    FAILS(memtun_net_describe_tunnel(net, 1, room, sizeof room), ENOENT, NOT_FOUND);
    MAKES_NONE(memtun_interface_open(net, "a/b", MEMTUN_TIMEOUT_FOREVER), EINVAL, INVALID);
    MAKES_NONE(memtun_interface_open(net, NULL, 0), EFAULT, OTHER);
    MAKES_NONE(memtun_interface_open(net, "tun0", 0), ENODEV, TIMEOUT);
    MAKES_NONE(memtun_net_open("/proc/nowhere/net"), ENOENT, NOT_FOUND);
    MAKES_NONE(memtun_net_open("/etc/passwd"), ENOTDIR, OTHER);
    FAILS(memtun_udp_source(NULL, 0, "localhost", room, sizeof room, &number), EINVAL, INVALID);
    FAILS(memtun_udp_source(NULL, 0, NULL, room, sizeof room, &number), EFAULT, OTHER);
    CHECK(memtun_udp_source(NULL, 0, "fd00::1", room, MEMTUN_HOST_LEN, NULL) == 0 && strcmp(room, "fd00:1:2::3") == 0);
    FAILS(memtun_packet_describe(NULL, 1, 0, 0, room, sizeof room), EFAULT, OTHER);
    CHECK(memtun_packet_describe(NULL, 0, 0, 0, room, sizeof room) >= 0);
    FAILS(memtun_program_examine(NULL, NULL, NULL, NULL, 0, room, sizeof room), EFAULT, OTHER);
    FAILS(memtun_program_examine("/nowhere/x", NULL, NULL, NULL, 0, room, sizeof room), ENOENT, NOT_FOUND);
    CHECK(memtun_error_lost() == 0);
}

int main(void)
{
    memtun_net *net;
    CHECK(memtun_error_kind() == MEMTUN_KIND_NONE && memtun_error_text()[0] == '\0');
    CHECK(!memtun_active() && memtun_version()[0] != '\0');
    without_a_handle();
    net = memtun_net_open_temporary();
    CHECK(net != NULL);
    with_bad_values(net);
    memtun_net_close(net);
    return failures != 0;
}
