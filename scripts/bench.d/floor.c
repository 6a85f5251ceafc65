/* floor WHAT LENGTH SECONDS: nanoseconds of what a packet costs at least, whoever carries it.
 * With COUNTx for SECONDS it is done so many times, to have the instructions counted.
 *
 *   copy   two memcpy(3) of LENGTH bytes, in and out of memory that 32 packets go round in
 *   trip   a cache line from one CPU to the other and back, each with a copy of LENGTH bytes */
#include "bench.h"

#include <pthread.h>
#include <sched.h>

enum { PLACES = 32, MOST = 1 << 17 };

static struct {
    _Alignas(128) volatile unsigned there;
    _Alignas(128) volatile unsigned back;
    _Alignas(128) unsigned char packet[MOST];
} line;
static size_t length;
static unsigned char from[MOST], into[MOST];

static cpu_set_t allowed;

static void pin(int cpu_of_ours)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && cpu_of_ours-- == 0) {
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
    errno = ENOENT, die("not enough CPUs");
}

static inline void rest(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void copy(unsigned char *to, const unsigned char *what)
{
    memcpy(to, what, length);
    __asm__ volatile("" : : "r"(to) : "memory");
}

static void *answer(void *unused)
{
    static unsigned char packet[MOST];
    pin(1);
    for (unsigned turn = 1;; turn++) {
        while (line.there != turn)
            rest();
        copy(packet, line.packet);
        copy(line.packet, packet);
        __sync_synchronize();
        line.back = turn;
    }
    return unused;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    alarm(30);
    length = strtoul(argv[2], NULL, 10);
    if (length > MOST)
        return 2;
    double seconds = atof(argv[3]), begin, passed;
    long packets = 0, count = strchr(argv[3], 'x') ? atol(argv[3]) : 0;
    memset(from, 'x', sizeof from);
    if (strcmp(argv[1], "copy") == 0) {
        size_t step = (length + 16 + 15) & ~(size_t)15;
        unsigned char *ring = malloc(PLACES * step);
        memset(ring, 1, PLACES * step);
        begin = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        do {
            for (int round = 0; round < 8; round++) {
                for (int i = 0; i < PLACES; i++)
                    copy(ring + i * step, from);
                for (int i = 0; i < PLACES; i++)
                    copy(into, ring + i * step);
            }
            packets += 8 * PLACES;
            passed = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begin;
        } while (count ? packets < count : passed < seconds * 1e9);
    } else {
        pthread_t other;
        sched_getaffinity(0, sizeof allowed, &allowed);
        if (CPU_COUNT(&allowed) < 2)
            errno = ENOENT, die("two CPUs");
        pin(0);
        if (pthread_create(&other, NULL, answer, NULL))
            die("pthread_create");
        begin = now_ns();
        do {
            for (int i = 0; i < 256; i++) {
                unsigned turn = ++packets;
                copy(line.packet, from);
                __sync_synchronize();
                line.there = turn;
                while (line.back != turn)
                    rest();
                copy(into, line.packet);
            }
            passed = now_ns() - begin;
        } while (passed < seconds * 1e9);
    }
    printf("%.1f\n", passed / packets);
    return 0;
}
