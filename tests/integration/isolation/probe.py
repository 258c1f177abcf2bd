"""Run inside a sandbox: what does the kernel answer to each system call?

Prints one JSON object, name -> 0 (it worked), the errno, -N (killed by signal N) or 255 (the attempt itself is broken).
Each runs in a child of its own, so one that works by mistake changes nothing for the next. Needs python3 with ctypes on
x86_64 or aarch64. The int80_ and x32_ attempts are there on x86_64 only; SIGSYS (-31) is the filter's answer to them,
SIGSEGV (-11) that of a kernel without 32-bit programs.
"""
import ctypes
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import tempfile
import threading

X86 = platform.machine() == "x86_64"
SOCKET, SOCKETPAIR, PRLIMIT, RENAMEAT2 = (41, 53, 302, 316) if X86 else (198, 199, 261, 276)
HIGH = 1 << 32  # the kernel takes an int: bits above it must not get round a comparison
NEWUSER = 0x10000000
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
buffer = ctypes.create_string_buffer(256)  # zeros, for whatever structure a call wants
text = ctypes.c_char_p(b"user")
path = ctypes.c_char_p(b"/proc/self/exe")

# name: (number on x86_64, number on aarch64, arguments)
CALLS = {
    "io_uring_setup": (425, 425, 8, buffer), "io_uring_enter": (426, 426, -1), "io_uring_register": (427, 427, -1),
    "bpf": (321, 280, 0, buffer, 64), "perf_event_open": (298, 241, buffer, 0, -1, -1, 0),
    "userfaultfd": (323, 282, 1), "keyctl": (250, 219, 0, -3, 1), "add_key": (248, 217, text, text, text, 1, -3),
    "request_key": (249, 218, text, text, 0, -3),
    "unshare": (272, 97, NEWUSER), "setns": (308, 268, 0, 0), "clone_newuser": (56, 220, NEWUSER | 17),
    "clone_newuser_high": (56, 220, HIGH | NEWUSER | 17), "clone3": (435, 435, 0, 0),
    "mount": (165, 40, text, text, text), "umount2": (166, 39, text), "pivot_root": (155, 41, text, text),
    "chroot": (161, 51, text), "fsopen": (430, 430, text), "open_tree": (428, 428, -1, text),
    "move_mount": (429, 429, -1, text, -1, text), "mount_setattr": (442, 442, -1, text),
    "fanotify_init": (300, 262, 0x200), "open_by_handle_at": (304, 265, -1, buffer), "pidfd_getfd": (438, 438, -1),
    "process_madvise": (440, 440, -1), "kcmp": (312, 272, 1, 1), "syslog": (103, 116, 3, buffer, 1),
    "init_module": (175, 105, buffer), "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224, text),
    "acct": (163, 89, 0), "quotactl": (179, 60), "settimeofday": (164, 170, buffer), "sethostname": (170, 161, text, 1),
    "mbind": (237, 235), "move_pages": (279, 239), "no_aslr": (135, 92, 0x40000),
    "mknod_device": (259, 33, -100, ctypes.c_char_p(b"device"), 0o20666, 0x103),
    "prlimit_pid1": (302, 261, 1, 7, 0, buffer), "prlimit_pid1_high": (302, 261, HIGH | 1, 7, 0, buffer),
    "prlimit_self": (302, 261, 0, 7, 0, buffer), "prlimit_self_high": (302, 261, HIGH, 7, 0, buffer),
    "io_setup": (206, 0, 1, buffer), "io_destroy": (207, 1), "io_submit": (209, 2), "io_cancel": (210, 3),
    "io_getevents": (208, 4), "io_pgetevents": (333, 292),
    "unknown_call": (1000, 1000), "personality_ask": (135, 92, 0xFFFFFFFF),
    "openat2": (437, 437, -100, path, buffer, 24), "memfd_create": (319, 279, text, 0),
    "statx": (332, 291, -100, path, 0, 0, buffer), "close_range": (436, 436, 900, 901, 0),
    "getrandom": (318, 278, buffer, 8, 0), "faccessat2": (439, 439, -100, path, 0, 0),
    "ptrace_traceme": (101, 117, 0, 0, 0, 0), "epoll_create1": (291, 20, 0), "eventfd2": (290, 19, 0, 0),
    "inotify_init1": (294, 26, 0), "timerfd_create": (283, 85, 1, 0), "pidfd_open_self": (434, 434, os.getpid(), 0),
}
# What sets how a thread is scheduled: (number on x86_64, number on aarch64, arguments before its id, arguments after).
SCHEDULING = {
    "setpriority": (141, 140, [0], [1]), "sched_setparam": (142, 118, [], [buffer]),
    "sched_setscheduler": (144, 119, [], [5, buffer]), "sched_setattr": (314, 274, [], [buffer, 0]),
    "ioprio_set": (251, 30, [1], [0x6000]), "sched_setaffinity": (203, 122, [], [8, ctypes.c_char_p(b"\xff" * 8)]),
}
FAMILIES = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "can": 29, "tipc": 30, "alg": 38,
            "vsock": 40}


def call(number, *args):
    """The raw system call; an int is passed with all its 64 bits."""
    ctypes.set_errno(0)
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = libc.syscall(ctypes.c_long(number), *wide, *[ctypes.c_long(0)] * (6 - len(wide)))
    return ctypes.get_errno() if result == -1 else 0


def call32(number, *args):
    """The same by the 32-bit gate (int 0x80): the way round a filter that knows only 64-bit numbers."""
    page = libc.mmap(None, 4096, 7, 0x62, -1, 0)  # private, anonymous, below 4 GiB
    # push rbx; mov eax, edi; mov ebx, esi; xchg ecx, edx; int 0x80; cdqe; pop rbx; ret
    ctypes.memmove(page, bytes.fromhex("53 89f8 89f3 87d1 cd80 4898 5b c3"), 13)
    ctypes.memmove(page + 64, (ctypes.c_uint32 * 3)(FAMILIES["vsock"], 1, 0), 12)
    gate = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_uint] * 4)(page)
    return max(0, -gate(number, *(page + 64 if a == "arguments" else a for a in args)))


def outcome(attempt):
    """Runs it in a child: its errno, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(attempt() or 0)
        except OSError as error:
            os._exit(error.errno or 255)
        except BaseException:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def loopback():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer = server.accept()[0]
        client.sendall(b"ping")
        return 0 if peer.recv(4) == b"ping" else 255


def pidfd_signal():
    child = os.fork() or signal.pause()
    signal.pidfd_send_signal(os.pidfd_open(child), signal.SIGKILL)
    return 0 if os.waitid(os.P_PID, child, os.WEXITED).si_status == signal.SIGKILL else 255


def other_thread():
    done = threading.Event()
    one = threading.Thread(target=done.wait)
    one.start()
    answer = call(PRLIMIT, one.native_id, 7, 0, buffer)
    done.set()
    return answer


def main():
    attempts = {name: lambda c=c: call(c[0 if X86 else 1], *c[2:]) for name, c in CALLS.items()}
    for name, family in FAMILIES.items():
        kind = 3 if name in ("packet", "can", "netlink") else 5 if name == "alg" else 1
        attempts[f"socket_{name}"] = lambda f=family, k=kind: call(SOCKET, f, k, 0)
        attempts[f"socket_{name}_high"] = lambda f=family, k=kind: call(SOCKET, HIGH | f, k, 0)
        attempts[f"socketpair_{name}"] = lambda f=family, k=kind: call(SOCKETPAIR, f, k, 0, buffer)
    pid1_thread = int(max(os.listdir("/proc/1/task"), key=int))
    ids = {"self": 0, "self_high": HIGH, "pid1": 1, "pid1_high": HIGH | 1, "pid1_thread": pid1_thread}
    for name, (x86, arm, before, after) in SCHEDULING.items():
        for whose, who in ids.items():
            attempts[f"{name}_{whose}"] = lambda n=x86 if X86 else arm, a=(*before, who, *after): call(n, *a)
    for name, number, kind, value in (("setpriority", 141 if X86 else 140, 2, 1), ("ioprio_set", 251 if X86 else 30, 3, 0x6000)):
        attempts[f"{name}_user"] = lambda n=number, k=kind, v=value: call(n, k, 0, v)
        attempts[f"{name}_user_high"] = lambda n=number, k=kind, v=value: call(n, HIGH | k, 0, v)
        attempts[f"{name}_group"] = lambda n=number, k=kind - 1, v=value: call(n, k, 0, v)
    scheduler = SCHEDULING["sched_setscheduler"][0 if X86 else 1]
    for name, policy in (("other", 0), ("idle", 5), ("idle_high", HIGH | 5), ("batch", 3), ("other_reset", 1 << 30)):
        attempts[f"sched_{name}_own_id"] = lambda p=policy: call(scheduler, threading.get_native_id(), p, buffer)
    if X86:
        attempts["int80_getpid"] = lambda: call32(20, 0, 0, 0)
        attempts["int80_socket_vsock"] = lambda: call32(359, FAMILIES["vsock"], 1, 0)
        attempts["int80_socketcall_vsock"] = lambda: call32(102, 1, "arguments", 0)
        attempts["x32_socket_vsock"] = lambda: call(0x40000000 | SOCKET, FAMILIES["vsock"], 1, 0)
    attempts |= {
        "prlimit_pid1_thread": lambda: call(PRLIMIT, pid1_thread, 7, 0, buffer),
        "prlimit_other_thread": other_thread,
        "setrlimit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
        "ulimit": lambda: subprocess.run(["sh", "-c", "ulimit -n 100"]).returncode,
        "tcp_loopback": loopback, "pidfd_send_signal": pidfd_signal,
        "thread": lambda: threading.Thread(target=int).start(),
        "renameat2": lambda: os.mkdir("user") or call(RENAMEAT2, -100, text, -100, ctypes.c_char_p(b"b"), 1),
        "fork_exec": lambda: subprocess.run(["true"]).returncode,
        "posix_spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1],
        "mkfifo": lambda: os.mkfifo("fifo"),
    }
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        print(json.dumps({name: outcome(attempt) for name, attempt in attempts.items()}))


main()
