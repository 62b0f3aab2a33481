/* Runs a program again and again and prints its wall time and peak memory as one JSON object.
 *
 * usage: oneshot COUNT PROGRAM [ARGUMENT...]     standard input and output of the program are /dev/null
 *
 * Small on purpose: the peak memory Linux reports for a child is never below that of the process that started it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6; /* milliseconds */
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int count = argc > 2 ? atoi(argv[1]) : 0;
    if (count < 1) return 64;
    double *times = calloc((size_t)count, sizeof *times);
    if (!times) return 71;
    long peak = 0;
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < count; i++) {
        double began = now();
        pid_t child = fork();
        if (child == 0) {
            dup2(null, 0), dup2(null, 1);
            execv(argv[2], argv + 2);
            _exit(127);
        }
        int status;
        struct rusage usage;
        if (child < 0 || wait4(child, &status, 0, &usage) != child) return 71;
        times[i] = now() - began;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            fprintf(stderr, "error: %s ended with status %d\n", argv[2], status);
            return 70;
        }
        if (usage.ru_maxrss > peak) peak = usage.ru_maxrss;
    }
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("{\"min_ms\": %.3f, \"median_ms\": %.3f, \"p90_ms\": %.3f, \"peak_kib\": %ld}\n", times[0], times[count / 2],
           times[count * 9 / 10], peak);
    return 0;
}
