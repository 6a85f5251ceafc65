/* random.h - a program of random calls. Its argument is a file that names seeds, and behind a colon
 * the steps that are made of each: "1 2 17 :1,5,9"; without a colon all are. Each seed runs in a
 * process of its own. A step draws from its own seed, so that leaving out others changes nothing
 * of what it draws.
 *
 * A line says seed and step, the call, and what it answers. */
#ifndef RANDOM_H
#define RANDOM_H
#include "../conformance/programs/driver.h"

#define STEPS 60

static uint64_t state_;
static int seed_, step_;
static char call_[400];

HELPER unsigned draw(unsigned below)
{
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = state_;
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    return (unsigned)((x >> 20) % below);
}

HELPER int one_in(int n) { return draw(n) == 0; }

#define PICK(array) ((array)[draw(sizeof(array) / sizeof *(array))])
#define ONE_OF(...) ({ \
    const __typeof__(first_of_(__VA_ARGS__)) all_[] = { __VA_ARGS__ }; \
    PICK(all_); \
})
#define first_of_(first, ...) ((void)0, first)

/* Says which call is made. */
HELPER __attribute__((format(printf, 1, 2))) void what(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(call_, sizeof call_, format, args);
    va_end(args);
}

/* Says what it has answered. */
HELPER __attribute__((format(printf, 1, 2))) void answer(const char *format, ...)
{
    char text[3000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("%d.%d %s: %s\n", seed_, step_, call_, text);
}

HELPER void answer_result(long result)
{
    if (result == -1)
        answer("-1 %s", errno_name(errno));
    else
        answer("%ld", result);
}

HELPER void answer_data(long n, const void *data)
{
    char text[200];
    if (n < 0)
        answer_result(n);
    else
        answer("%ld data=%s", n, describe_data(text, data, n));
}

/* What a program is made of: what it does first, one step, and last. */
static void begin(void);
static void step(void);
static void end(void);

HELPER void draw_from(uint64_t seed, uint64_t step)
{
    state_ = (seed * 0x9e3779b97f4a7c15u) ^ (step * 0xc2b2ae3d27d4eb4fu) ^ 0x1234567;
    for (int i = 0; i < 4; i++)
        draw(2);
}

static const char *steps_;

HELPER int is_wanted(int step)
{
    const char *at = steps_;
    if (!at)
        return 1;
    for (char *behind; *at; at = *behind ? behind + 1 : behind)
        if (strtol(at, &behind, 10) == step)
            return 1;
    return 0;
}

HELPER void run_seed(int seed)
{
    seed_ = seed;
    draw_from(seed, 0);
    begin();
    for (step_ = 1; step_ <= STEPS; step_++)
        if (is_wanted(step_)) {
            draw_from(seed, step_);
            step();
        }
    end();
}

int main(int argc, char **argv)
{
    char text[20000] = "", *at, *behind;
    start(argc, argv);
    FILE *seeds = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!seeds || fread(text, 1, sizeof text - 1, seeds) == 0)
        die("a file of seeds");
    fclose(seeds);
    if ((at = strchr(text, ':'))) {
        *at = 0;
        steps_ = at + 1;
    }
    for (at = text; strtol(at, &behind, 10); at = behind) {
        pid_t pid = child();
        if (!pid) {
            run_seed(strtol(at, NULL, 10));
            exit(0);
        }
        alarm(WATCHDOG_SECONDS);
        printf("%ld.end: %s\n", strtol(at, NULL, 10), finish(pid));
        fflush(stdout);
    }
    return 0;
}

#endif
