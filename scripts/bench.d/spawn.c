/* spawn COUNT LIBRARY PROGRAM [ARG...]: median nanoseconds from fork to wait, without and with
   LIBRARY preloaded, in turns. What the program prints goes nowhere. */
#include "bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double run(char **arguments, posix_spawn_file_actions_t *nowhere, char **environment)
{
    pid_t pid;
    int status;
    double begin = now_ns();
    errno = posix_spawn(&pid, arguments[0], nowhere, NULL, arguments, environment);
    if (errno)
        die("%s", arguments[0]);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die("%s: status %d", arguments[0], status);
    return now_ns() - begin;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    alarm(60);
    int count = atoi(argv[1]), variables = 0;
    char preload[4096];
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", argv[2]);
    while (environ[variables])
        variables++;
    char **with = calloc(variables + 2, sizeof *with);
    memcpy(with, environ, variables * sizeof *with);
    with[variables] = preload;

    posix_spawn_file_actions_t nowhere;
    posix_spawn_file_actions_init(&nowhere);
    posix_spawn_file_actions_addopen(&nowhere, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    double *times[2] = {calloc(count, sizeof(double)), calloc(count, sizeof(double))};
    for (int i = -3; i < count; i++)
        for (int side = 0; side < 2; side++) {
            double took = run(argv + 3, &nowhere, side ? with : environ);
            if (i >= 0)
                times[side][i] = took;
        }
    for (int side = 0; side < 2; side++)
        qsort(times[side], count, sizeof(double), ascending);
    printf("%.0f %.0f\n", times[0][count / 2], times[1][count / 2]);
    return 0;
}
