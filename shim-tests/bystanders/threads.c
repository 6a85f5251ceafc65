/* Threads that open, duplicate, read, write, poll and close descriptors while others fork and exec.
   */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 300 };

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%d: %s: %s\n", __LINE__, #condition, strerror(errno));       \
            _exit(1);                                                                     \
        }                                                                                 \
    } while (0)

static long through_a_pipe(unsigned seed)
{
    int ends[2], ready, bytes;
    char out[64], in[64];
    struct iovec parts[2] = {{out, 10}, {out + 10, 22}};
    struct pollfd poll_in;
    struct epoll_event event = {.events = EPOLLIN};

    for (unsigned i = 0; i < sizeof out; i++)
        out[i] = (char)(seed + i);
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    CHECK(writev(ends[1], parts, 2) == 32);
    int copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 50);
    CHECK(copy >= 50);
    CHECK(close(ends[0]) == 0);
    poll_in = (struct pollfd){copy, POLLIN, 0};
    CHECK(poll(&poll_in, 1, 1000) == 1);
    CHECK(ioctl(copy, FIONREAD, &bytes) == 0 && bytes == 32);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, copy, &event) == 0);
    ready = epoll_wait(epoll, &event, 1, 1000);
    CHECK(ready == 1);
    CHECK(read(copy, in, sizeof in) == 32 && memcmp(in, out, 32) == 0);
    CHECK(close(epoll) == 0 && close(copy) == 0 && close(ends[1]) == 0);
    return 32;
}

static void *worker(void *argument)
{
    unsigned number = (unsigned)(size_t)argument;
    long sum = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        sum += through_a_pipe(number * ROUNDS + i);
        int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        char *block = malloc(100 + i);
        CHECK(zero >= 0 && block && read(zero, block, 100 + i) == (ssize_t)(100 + i));
        CHECK(close(zero) == 0);
        free(block);
        if (i % 100 == number) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                execlp("true", "true", (char *)NULL);
                _exit(127);
            }
            int status;
            CHECK(waitpid(child, &status, 0) == child && status == 0);
        }
    }
    return (void *)sum;
}

int main(void)
{
    pthread_t threads[THREADS];
    long sum = 0;

    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, worker, (void *)i) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *part;
        CHECK(pthread_join(threads[i], &part) == 0);
        sum += (long)part;
    }
    errno = 0;
    CHECK(read(12345, &sum, 0) == -1 && errno == EBADF);
    printf("%ld bytes through %d pipes\n", sum, THREADS * ROUNDS);
    return 0;
}
