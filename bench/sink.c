/* Where do requests go when nothing but the sender is to be measured? Reads them whole, answers 202, keeps nothing.
 *
 * One thread, epoll. Knows Content-Length and no more. A GET is told what came in so far.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1024, HEAD = 16384, PAGE = 1 << 20 };

struct line { char head[HEAD + 1]; size_t kept; long long rest; int told; };

static struct line *lines[MOST];
static char page[PAGE];
static unsigned long long requests, bytes;

static const char TAKEN[] =
    "HTTP/1.1 202 Accepted\r\nX-Message-Id: sink\r\nContent-Length: 0\r\n\r\n";

static void answer(int wire, struct line *one) {
    char text[512];
    if (!one->told) {
        requests++;
        if (write(wire, TAKEN, sizeof TAKEN - 1) < 0) return;
        return;
    }
    char body[160];
    int size = snprintf(body, sizeof body, "{\"requests\": %llu, \"bytes\": %llu}", requests, bytes);
    int all = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body);
    if (write(wire, text, all) < 0) return;
}

static long long stated(const char *head) {
    const char *found = strcasestr(head, "\r\ncontent-length:");
    return found ? atoll(found + 17) : 0;
}

/* Give 0 when the line is at its end. */
static int take(int wire, struct line *one, const char *data, size_t size) {
    while (size) {
        if (one->rest < 0) {
            size_t room = HEAD - one->kept, part = size < room ? size : room;
            memcpy(one->head + one->kept, data, part);
            size_t before = one->kept;
            one->kept += part;
            one->head[one->kept] = 0;
            char *end = strstr(one->head, "\r\n\r\n");
            if (!end) return one->kept < HEAD;
            size_t used = (size_t)(end - one->head) + 4 - before;
            end[2] = 0;
            one->rest = stated(one->head);
            one->told = !strncmp(one->head, "GET", 3);
            data += used, size -= used;
            if (!one->told) bytes += (unsigned long long)(end - one->head) + 4;
        }
        size_t part = (long long)size < one->rest ? size : (size_t)one->rest;
        one->rest -= (long long)part;
        if (!one->told) bytes += part;
        data += part, size -= part;
        if (one->rest == 0) {
            answer(wire, one);
            one->rest = -1, one->kept = 0;
        }
    }
    return 1;
}

int main(void) {
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    if (bind(door, (void *)&here, size) || listen(door, 256) || getsockname(door, (void *)&here, &size)) return 1;
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    int many = epoll_create1(0);
    struct epoll_event wish = {.events = EPOLLIN, .data.fd = door}, seen[64];
    epoll_ctl(many, EPOLL_CTL_ADD, door, &wish);
    for (;;) {
        int count = epoll_wait(many, seen, 64, -1);
        for (int i = 0; i < count; i++) {
            int wire = seen[i].data.fd;
            if (wire == door) {
                int fresh = accept4(door, 0, 0, SOCK_NONBLOCK);
                if (fresh < 0) continue;
                if (fresh >= MOST) { close(fresh); continue; }
                setsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                lines[fresh] = calloc(1, sizeof(struct line));
                lines[fresh]->rest = -1;
                struct epoll_event add = {.events = EPOLLIN, .data.fd = fresh};
                epoll_ctl(many, EPOLL_CTL_ADD, fresh, &add);
                continue;
            }
            ssize_t got = recv(wire, page, PAGE, 0);
            if (got > 0 && take(wire, lines[wire], page, (size_t)got)) continue;
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
            free(lines[wire]);
            lines[wire] = 0;
            close(wire);
        }
    }
}
