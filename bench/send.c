/* The least a program can do to send one message through imd: connect, one request, one answer.
 *
 * usage: send SOCKET JID TEXT       TEXT must need no JSON escape
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **arguments) {
    char line[4096], answer[65536];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (count != 4 || strlen(arguments[1]) >= sizeof address.sun_path) return 64;
    strcpy(address.sun_path, arguments[1]);
    int size = snprintf(line, sizeof line,
                        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message.send\",\"params\":{\"to\":\"%s\",\"body\":\"%s\"}}\n",
                        arguments[2], arguments[3]);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (size >= (int)sizeof line || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) return 69;
    if (write(descriptor, line, (size_t)size) != size) return 74;
    size_t used = 0;
    while (used == 0 || answer[used - 1] != '\n') {
        ssize_t got = read(descriptor, answer + used, sizeof answer - used - 1);
        if (got <= 0) return 74;
        used += (size_t)got;
    }
    answer[used] = 0;
    return strstr(answer, "\"result\"") ? 0 : 70;
}
