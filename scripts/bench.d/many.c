/* many COUNT NAME: opens COUNT tunnels in one process and keeps them. The driver chooses their
 * numbers if NAME says so ("tun%d"); otherwise they are appended ("many" gives many0, many1, ...).
 * Prints "started", "one" and "all FIRST LAST" (median nanoseconds of the first and the last
 * twenty) and waits for a line after each, so that its memory can be looked at from outside. */
#include "bench.h"

#include <sys/resource.h>

enum { EDGE = 20 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, EDGE, sizeof *values, ascending);
    return (values[EDGE / 2 - 1] + values[EDGE / 2]) / 2;
}

static void pause_here(void)
{
    char byte;
    fflush(stdout);
    while (read(0, &byte, 1) == 1 && byte != '\n')
        ;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    alarm(60);
    int count = atoi(argv[1]);
    if (count < EDGE)
        return 2;
    double *times = calloc(count, sizeof *times);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    kernel_without_ipv6();

    /* Touched now, so that the array and stdio do not count as a tunnel's memory. */
    memset(times, 1, count * sizeof *times);
    printf("started\n");
    pause_here();
    for (int i = 0; i < count; i++) {
        char name[64];
        int by_driver = strchr(argv[2], '%') != NULL;
        snprintf(name, sizeof name, by_driver ? "%.8s" : "%.8s%d", argv[2], i);
        double begin = now_ns();
        tunnel_open(name, 0);
        times[i] = now_ns() - begin;
        if (i == 0) {
            printf("one\n");
            pause_here();
        }
    }
    printf("all %.0f %.0f\n", median(times), median(times + count - EDGE));
    pause_here();
    return 0;
}
