// A neutral target: an OpenAI-compatible server that answers on a known schedule and logs when it truly sent what.
//
// paced PORT_FILE LOG TTFT_MS ITL_MS TOKENS SPREAD STALL_AT_S STALL_S
//
// One thread, one epoll. A response's head is sent at once, a role event and the first token in one send TTFT after the
// request, then a token every ITL on an absolute schedule, the last with usage, [DONE] and the end in the same send.
// A response has TOKENS tokens, more or less by up to SPREAD of them, whatever was asked for: streams that all end
// together are no load that exists. From STALL_AT_S after the first request, nothing is sent for STALL_S. The prompt tokens of a usage are the response's
// own number, so that a client's sample can be matched with the log's line:
//     number, request, first, last (ns of CLOCK_MONOTONIC, taken just before the send)
// GET /stat gives the events sent so far and both clocks; other GETs are answered as a server with one model does.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 16384
#define REQUEST_BYTES (1 << 18)

struct stream {
    int fd, sent, tokens;
    uint64_t due;         // when the next token is
    uint64_t number, request, first;
    char *in;             // the request so far
    size_t filled;
};

static struct stream streams[CONNECTIONS];  // by descriptor
static struct stream *heap[CONNECTIONS];    // running streams, soonest first
static int running, tokens, spread, epoll;
static uint64_t ttft, itl, stall_at, stall, began, numbers, events;
static FILE *record;
static volatile sig_atomic_t ended;

static uint64_t now(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
}

static uint64_t monotonic(void) { return now(CLOCK_MONOTONIC); }

static void sift_up(int at) {
    while (at && heap[at]->due < heap[(at - 1) / 2]->due) {
        struct stream *other = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = heap[at];
        heap[at] = other;
        at = (at - 1) / 2;
    }
}

static void sift_down(int at) {
    for (;;) {
        int least = at, left = 2 * at + 1, right = left + 1;
        if (left < running && heap[left]->due < heap[least]->due) least = left;
        if (right < running && heap[right]->due < heap[least]->due) least = right;
        if (least == at) return;
        struct stream *other = heap[least];
        heap[least] = heap[at];
        heap[at] = other;
        at = least;
    }
}

static void drop(struct stream *one) {
    for (int at = 0; at < running; at++)
        if (heap[at] == one) {
            heap[at] = heap[--running];
            if (at < running) {
                sift_down(at);
                sift_up(at);
            }
            break;
        }
    free(one->in);
    close(one->fd);
    memset(one, 0, sizeof *one);
    one->fd = -1;
}

static void put(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) continue;
        if (n <= 0) return;  // the reader side sees the end
        data += n;
        size -= (size_t)n;
    }
}

// One server-sent event as one chunk, with the fields that vLLM sends.
static size_t event(char *to, const char *format, ...) {
    char body[1024];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(body, sizeof body, format, values);
    va_end(values);
    return (size_t)sprintf(to, "%x\r\n%s\r\n", size, body);
}

static size_t delta(char *to, const struct stream *one, const char *fields, const char *finish) {
    return event(to,
                 "data: {\"id\":\"chatcmpl-%024llu\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,"
                 "\"model\":\"paced\",\"choices\":[{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s,"
                 "\"token_ids\":null}]}\n\n",
                 (unsigned long long)one->number, fields, finish);
}

// Send the stream's next token; return whether there are more.
static int step(struct stream *one) {
    char out[4096], text[32];
    size_t size = 0;
    int last = one->sent == one->tokens - 1;
    if (!one->sent) size += delta(out, one, "\"role\":\"assistant\",\"content\":\"\"", "null");
    snprintf(text, sizeof text, "\"content\":\" tok%d\"", one->sent % 10);
    size += delta(out + size, one, text, last ? "\"length\"" : "null");
    if (last) {
        size += event(out + size,
                      "data: {\"id\":\"chatcmpl-%024llu\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,"
                      "\"model\":\"paced\",\"choices\":[],\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu,"
                      "\"completion_tokens\":%d,\"prompt_tokens_details\":null}}\n\n",
                      (unsigned long long)one->number, (unsigned long long)one->number,
                      (unsigned long long)one->number + (unsigned)one->tokens, one->tokens);
        size += event(out + size, "data: [DONE]\n\n");
        size += (size_t)sprintf(out + size, "0\r\n\r\n");
    }
    uint64_t at = monotonic();
    put(one->fd, out, size);
    events++;
    if (!one->sent++) one->first = at;
    if (last)
        fprintf(record, "%llu,%llu,%llu,%llu\n", (unsigned long long)one->number, (unsigned long long)one->request,
                (unsigned long long)one->first, (unsigned long long)at);
    one->due += itl;
    return !last;
}

static void plain(int fd, int status, const char *format, ...) {
    char body[1024], out[2048];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(body, sizeof body, format, values);
    va_end(values);
    size = snprintf(out, sizeof out, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                    status, size, body);
    put(fd, out, (size_t)size);
}

static void answer(struct stream *one, size_t length) {
    char *in = one->in;
    if (!strncmp(in, "GET /stat", 9)) {
        plain(one->fd, 200, "{\"events\":%llu,\"requests\":%llu,\"running\":%d,\"monotonic_ns\":%llu,\"wall_ns\":%llu}",
              (unsigned long long)events, (unsigned long long)numbers, running, (unsigned long long)monotonic(),
              (unsigned long long)now(CLOCK_REALTIME));
    } else if (!strncmp(in, "GET ", 4)) {
        plain(one->fd, 200, "{\"object\":\"list\",\"data\":[{\"id\":\"paced\",\"object\":\"model\",\"created\":0,"
                            "\"owned_by\":\"paced\",\"max_model_len\":100000}]}");
    } else if (!strstr(in, "/v1/chat/completions ")) {
        plain(one->fd, 404, "{\"detail\":\"Not Found\"}");
    } else if (!strstr(in, "\"stream\":true") && !strstr(in, "\"stream\": true")) {
        // an empty answer, whose tokens grow with the prompt
        plain(one->fd, 200, "{\"id\":\"chatcmpl-0\",\"object\":\"chat.completion\",\"model\":\"paced\",\"choices\":[{"
                            "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"tok\"},\"finish_reason\":"
                            "\"length\"}],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":1,\"total_tokens\":%zu}}",
              length / 5, length / 5 + 1);
    } else {
        one->request = monotonic();
        if (!began) began = one->request;
        one->number = ++numbers;
        one->sent = 0;
        // a number's own share of the spread, the same in every run
        one->tokens = tokens + (int)((one->number * 2654435761u >> 16) % (2 * (unsigned)spread + 1)) - spread;
        one->due = one->request + ttft;
        static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                                   "transfer-encoding: chunked\r\n\r\n";
        put(one->fd, head, sizeof head - 1);
        heap[running++] = one;
        sift_up(running - 1);
    }
}

static void receive(struct stream *one) {
    if (!one->in) one->in = malloc(REQUEST_BYTES + 1);
    ssize_t n = recv(one->fd, one->in + one->filled, REQUEST_BYTES - one->filled, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        drop(one);
        return;
    }
    one->filled += (size_t)n;
    for (;;) {
        one->in[one->filled] = 0;
        char *end = strstr(one->in, "\r\n\r\n");
        if (!end) break;
        char *field = strcasestr(one->in, "content-length:");
        size_t body = field && field < end ? strtoul(field + 15, NULL, 10) : 0;
        size_t whole = (size_t)(end + 4 - one->in) + body;
        if (one->filled < whole) break;
        char after = one->in[whole];
        one->in[whole] = 0;
        answer(one, body);
        one->in[whole] = after;
        memmove(one->in, one->in + whole, one->filled - whole);
        one->filled -= whole;
    }
    if (!one->filled) {  // most connections are quiet most of the time
        free(one->in);
        one->in = NULL;
    }
}

static void end(int number) { ended = number; }

int main(int count, char **given) {
    if (count != 9) return 2;
    record = fopen(given[2], "w");
    ttft = (uint64_t)(atof(given[3]) * 1e6);
    itl = (uint64_t)(atof(given[4]) * 1e6);
    tokens = atoi(given[5]);
    spread = (int)(tokens * atof(given[6]));
    stall_at = (uint64_t)(atof(given[7]) * 1e9);
    stall = (uint64_t)(atof(given[8]) * 1e9);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (!record || bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) return 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    FILE *port = fopen(given[1], "w");
    fprintf(port, "%d\n", ntohs(address.sin_port));
    fclose(port);
    epoll = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener}, ready[512];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);
    while (!ended) {
        uint64_t at = monotonic(), until = at + 100000000ull;
        int stalled = stall && began && at >= began + stall_at && at < began + stall_at + stall;
        if (stalled) until = began + stall_at + stall;
        else if (running && heap[0]->due < until) until = heap[0]->due;
        uint64_t wait = until > at + 50000 ? until - at - 50000 : 0;  // then look again and again: sleeping is inexact
        struct timespec timeout = {(time_t)(wait / 1000000000ull), (long)(wait % 1000000000ull)};
        int n = epoll_pwait2(epoll, ready, 512, &timeout, NULL);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener) {
                if (streams[fd].fd == fd) receive(&streams[fd]);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= CONNECTIONS) {
                    close(fd);
                    continue;
                }
                int one = 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                streams[fd] = (struct stream){.fd = fd};
                struct epoll_event of = {.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &of);
            }
        }
        at = monotonic();
        if (stall && began && at >= began + stall_at && at < began + stall_at + stall) continue;
        for (int burst = 0; burst < 64 && running && heap[0]->due <= at; burst++) {
            struct stream *one = heap[0];
            if (!step(one)) heap[0] = heap[--running];
            sift_down(0);
        }
    }
    fclose(record);
    return 0;
}
