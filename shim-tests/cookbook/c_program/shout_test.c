/* shout_test.c - shows a test in C that needs cc and nothing else: it links with no library and
 * knows no path.
 *
 *     cc -Wall -o shout shout.c
 *
 *     cc -Wall -I ../../../src/shim -o shout_test shout_test.c
 *
 *     memtun run -- ./shout_test
 *
 * With MEMTUN_WEAK, memtun's functions are weak: without the preloaded library the test still
 * links and starts, and says that it was skipped. The program that it starts inherits the
 * library and the net. */
#define MEMTUN_WEAK
#include "memtun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON 10000 /* ms */
#define SKIPPED 77 /* what automake and meson call it */

#define CHECK(that)                                                                                                    \
    do {                                                                                                               \
        if (!(that)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s; memtun's last error: %s\n", __FILE__, __LINE__, #that, memtun_error_text());   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

extern char **environ;

static pid_t program;

static pid_t start(char *interface)
{
    char *argv[] = {"./shout", interface, NULL};
    pid_t pid;
    CHECK(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0);
    return pid;
}

/* Also when a check has failed. */
static void end_program(void)
{
    kill(program, SIGTERM);
    waitpid(program, NULL, 0);
}

static void is_answered(memtun_interface *tun, const char *said, const char *heard)
{
    char answer[100];
    CHECK(memtun_interface_send_udp(tun, "10.9.0.2", 4000, "10.9.0.1", 7, said, strlen(said), SOON) == 0);
    ssize_t length = memtun_interface_recv_udp(tun, "10.9.0.2", 4000, answer, sizeof answer, SOON);
    CHECK(length == (ssize_t)strlen(heard));
    CHECK(memcmp(answer, heard, length) == 0);
}

static void a_datagram_is_answered_in_upper_case(memtun_interface *tun)
{
    is_answered(tun, "hello", "HELLO");
}

static void interrupted_calls_are_made_again(memtun_net *net, memtun_interface *tun)
{
    CHECK(memtun_net_fault(net, "write=EINTR@1-3") == 0);
    CHECK(memtun_net_fault(net, "read=EINTR@2") == 0);
    is_answered(tun, "once", "ONCE");
    is_answered(tun, "twice", "TWICE");
}

static void other_packets_are_passed_over(memtun_interface *tun)
{
    unsigned char written[100], ping[28] = {0x45, [3] = 28, [8] = 64, 1, [12] = 10, 9, 0, 2, 10, 9, 0, 1, 8};
    while (memtun_interface_recv(tun, written, sizeof written, NULL, 0) > 0)
        ; /* what it wrote before */
    CHECK(memtun_interface_deliver(tun, ping, sizeof ping, SOON) == 0);
    is_answered(tun, "still there?", "STILL THERE?");
    /* The answer to what came later is the only thing that it has written. */
    CHECK(memtun_interface_recv(tun, written, sizeof written, NULL, 0) == 28 + 12);
    CHECK(memtun_interface_recv(tun, written, sizeof written, NULL, 0) == -EAGAIN);
}

/* The address belongs to the host, and the program answers for another one of its network. This
 * process is under the shim, so that plain sendto and recvfrom would do; these work in any. */
static void an_ordinary_socket_reaches_it(memtun_net *net, memtun_interface *tun)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)}, from;
    socklen_t length = sizeof from;
    struct timeval soon = {.tv_sec = SOON / 1000};
    char answer[100];
    CHECK(inet_pton(AF_INET, "10.9.0.1", &to.sin_addr) == 1);
    CHECK(memtun_interface_add_address(tun, "10.9.0.2/24") == 0);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0);
    CHECK(memtun_net_sendto(net, udp, "anybody?", 8, 0, (struct sockaddr *)&to, sizeof to) == 8);
    CHECK(memtun_net_recvfrom(net, udp, answer, sizeof answer, 0, (struct sockaddr *)&from, &length) == 8);
    CHECK(memcmp(answer, "ANYBODY?", 8) == 0 && from.sin_addr.s_addr == to.sin_addr.s_addr);
    close(udp);
    CHECK(memtun_interface_remove_address(tun, "10.9.0.2/24") == 0);
}

static void without_permission_it_says_so_and_ends(memtun_net *net)
{
    int status;
    CHECK(memtun_net_deny(net, "ioctl") == 0);
    CHECK(waitpid(start("tun1"), &status, 0) > 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    CHECK(memtun_net_permit(net, "ioctl") == 0);
}

int main(void)
{
    if (!memtun_active || !memtun_active()) {
        fprintf(stderr, "skipped: start it with memtun run -- ./shout_test\n");
        return SKIPPED;
    }
    program = start("tun0");
    atexit(end_program);
    memtun_net *net = memtun_net_open(NULL); /* the net of this process, and so of the program */
    CHECK(net);
    memtun_interface *tun = memtun_interface_open(net, "tun0", SOON);
    CHECK(tun);

    a_datagram_is_answered_in_upper_case(tun);
    interrupted_calls_are_made_again(net, tun);
    other_packets_are_passed_over(tun);
    an_ordinary_socket_reaches_it(net, tun);
    without_permission_it_says_so_and_ends(net);

    memtun_interface_close(tun);
    memtun_net_close(net);
    puts("shout_test: passed");
    return 0;
}
