/* Fills what the kernel counts by uid, says how much it got, and holds it for argv[1] seconds.
   Bounded: no more than a sandbox's own memory, some 350 MiB, and nothing that outlives it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILES = 1600, INSTANCES = 1000, EVENTS = 1100, AT_ONCE = 250 };

/* Instances (128 by default), and watches: one for each file and instance. */
static void watch_files(void) {
    static char names[FILES][32];
    static int instances[INSTANCES];
    int count = 0, full = 0;
    long watches = 0;
    for (int i = 0; i < FILES; i++) {
        sprintf(names[i], "/tmp/pool-%d", i);
        close(open(names[i], O_CREAT | O_WRONLY, 0600));
    }
    while (count < INSTANCES && (instances[count] = inotify_init1(0)) >= 0) count++;
    for (int i = 0; i < count && !full && watches < 400000; i++)
        for (int j = 0; j < FILES && !full; j++) {
            if (inotify_add_watch(instances[i], names[j], IN_CREATE) < 0) full = 1;
            else watches++;
        }
    printf("{\"inotify_instances\": %d, \"inotify_watches\": %ld", count, watches);
}

/* Room: 16,384 pages by default. */
static void widen_pipes(void) {
    int count = 0, ends[2];
    while (count < 400 && pipe(ends) == 0 && fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0) count++;
    /* What is left is less than that. */
    for (int i = 0; i < 100 && pipe(ends) == 0 && fcntl(ends[1], F_GETPIPE_SZ) >= 65536;) i++;
    printf(", \"pipe_mib\": %d", count);
}

/* As many as one process may have open. */
static void send_descriptors(void) {
    union { char bytes[CMSG_SPACE(AT_ONCE * sizeof(int))]; struct cmsghdr align; } control;
    int count = 0, ends[2];
    while (count < 20000 && socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0) {
        struct iovec byte = { "x", 1 };
        struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1,
            .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
        memset(&control, 0, sizeof control);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(AT_ONCE * sizeof(int)); /* Descriptor 0, so often. */
        if (sendmsg(ends[0], &message, 0) < 0) break;
        count += AT_ONCE;
    }
    printf(", \"descriptors_in_flight\": %d", count);
}

static void queue_signals(void) {
    long count = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    while (count < 500000 && sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }) == 0) count++;
    printf(", \"signals\": %ld", count);
}

/* 800 KiB of them. */
static void make_queues(void) {
    int count = 0;
    char name[32];
    for (; count < 200; count++) {
        sprintf(name, "/pool-%d", count);
        if (mq_open(name, O_CREAT | O_RDWR, 0600, NULL) == (mqd_t)-1) break;
    }
    printf(", \"message_queues\": %d", count);
}

/* A quarter of what one uid may have, or 250 MiB of them (160 bytes each). */
static void watch_descriptors(void) {
    static int events[EVENTS];
    long most = 0, count = 0;
    FILE *file = fopen("/proc/sys/fs/epoll/max_user_watches", "r");
    if (!file || fscanf(file, "%ld", &most) != 1) exit(1);
    fclose(file);
    most = most / 4 + 1000 < 1500000 ? most / 4 + 1000 : 1500000;
    for (int i = 0; i < EVENTS; i++) events[i] = eventfd(0, 0);
    while (count < most) {
        int poll = epoll_create1(0);
        if (poll < 0) break;
        for (int i = 0; i < EVENTS && count < most; i++, count++) {
            struct epoll_event event = { .events = EPOLLIN };
            if (epoll_ctl(poll, EPOLL_CTL_ADD, events[i], &event) < 0) { most = 0; break; }
        }
    }
    printf(", \"epoll_watches\": %ld}\n", count);
}

int main(int argc, char **argv) {
    watch_files();
    widen_pipes();
    send_descriptors();
    queue_signals();
    make_queues();
    watch_descriptors();
    fflush(stdout);
    sleep(argc > 1 ? atoi(argv[1]) : 0);
    return 0;
}
