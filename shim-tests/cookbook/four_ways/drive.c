/* drive.c - the scenario in C: memtun run --capture FILE -- ./drive PROGRAM */
#define MEMTUN_WEAK
#include "memtun.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SOON 5000 /* ms */

extern char **environ;

static void must(int that, const char *what)
{
    if (!that) {
        fprintf(stderr, "drive: %s: %s\n", what, memtun_error_text());
        exit(1);
    }
}

/* A datagram from 10.9.0.2:PORT to a port of the program, and its answer. */
static void exchange(memtun_interface *tun, uint16_t port, uint16_t to, const char *data)
{
    char answer[2048], host[64];
    uint16_t from;
    must(memtun_interface_send_udp(tun, "10.9.0.2", port, "10.0.0.1", to, data, strlen(data), SOON) == 0, "send");
    printf("10.9.0.2:%d > 10.0.0.1:%d %s\n", port, to, data);
    memtun_receiver *receiver = memtun_receiver_open(tun, "10.9.0.2", port);
    must(receiver != NULL, "receiver");
    ssize_t n = memtun_receiver_recv(receiver, answer, sizeof answer, host, sizeof host, &from, SOON);
    must(n >= 0, "receive");
    printf("%s:%d > 10.9.0.2:%d %.*s\n", host, from, port, (int)n, answer);
    memtun_receiver_close(receiver);
}

int main(int argc, char **argv)
{
    pid_t program;
    if (argc != 2 || !memtun_active || !memtun_active()) {
        fprintf(stderr, "usage: memtun run -- ./drive PROGRAM\n");
        return 2;
    }
    if (posix_spawn(&program, argv[1], NULL, NULL, argv + 1, environ) != 0) {
        perror(argv[1]);
        return 1;
    }
    memtun_net *net = memtun_net_open(NULL);
    must(net != NULL, "net");
    memtun_interface *tun = memtun_interface_open(net, "tun0", SOON);
    must(tun != NULL, "tun0");
    puts("tun0 is there");
    exchange(tun, 4001, 7, "ping");
    must(memtun_net_fault(net, "write=EINTR@1") == 0, "fault");
    puts("fault write=EINTR@1");
    exchange(tun, 4002, 7, "ping");
    exchange(tun, 4003, 13, "how often?");
    exchange(tun, 4004, 22, "once more");
    must(memtun_net_deny(net, "open") == 0, "deny");
    puts("deny open");
    exchange(tun, 4005, 22, "once more");
    must(memtun_net_permit(net, "open") == 0, "permit");
    puts("permit open");
    exchange(tun, 4006, 22, "once more");

    kill(program, SIGTERM);
    waitpid(program, NULL, 0);
    memtun_interface_close(tun);
    memtun_net_close(net);
    return 0;
}
