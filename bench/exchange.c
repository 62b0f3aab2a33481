/* The least a program can do to ask imd something: connect, write requests, read their answers.
 *
 * usage: exchange SOCKET METHOD PARAMS [COUNT WINDOW]     COUNT requests, at most WINDOW of them unanswered; default 1 1
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    static char line[4096], answers[1 << 16];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc < 4 || strlen(argv[1]) >= sizeof address.sun_path) return 64;
    long count = argc > 5 ? atol(argv[4]) : 1, window = argc > 5 ? atol(argv[5]) : 1;
    strcpy(address.sun_path, argv[1]);
    int size = snprintf(line, sizeof line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", argv[2], argv[3]);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (size >= (int)sizeof line || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) return 69;
    double began = now();
    long sent = 0, answered = 0, failed = 0;
    size_t used = 0;
    while (answered < count) {
        for (; sent < count && sent - answered < window; sent++)
            if (write(descriptor, line, (size_t)size) != size) return 74;
        ssize_t got = read(descriptor, answers + used, sizeof answers - used - 1);
        if (got <= 0) return 74;
        used += (size_t)got;
        answers[used] = 0;
        char *start = answers, *end;
        for (; (end = strchr(start, '\n')); start = end + 1, answered++) {
            *end = 0;
            if (!strstr(start, "\"result\"")) failed++;
        }
        used = (size_t)(answers + used - start);
        memmove(answers, start, used);
    }
    if (argc > 5) printf("{\"per_second\": %.0f}\n", (double)count / (now() - began));
    return failed ? 70 : 0;
}
