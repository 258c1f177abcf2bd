# What code of the user's can do to PID 1, to a supervisor, and to itself. Prints what succeeded.
import ctypes, errno, os, signal, struct

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args):
    args = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    done = libc.syscall(ctypes.c_long(number), *args)
    return done, ctypes.get_errno() if done < 0 else 0


def role(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return None
    return words[1].decode() if words[0] == b"/casemate-init" and len(words) > 1 else None


roles = {int(name): role(name) for name in os.listdir("/proc") if name.isdigit()}
targets = [1] + sorted(pid for pid, what in roles.items() if what == "supervise")
threads = [int(name) for name in os.listdir("/proc/1/task")]
succeeded = []


def attack(name, done):
    if done:
        succeeded.append(name)


def sends(number, *args):
    done, error = call(number, *args)
    return done == 0 or error not in (errno.EPERM, errno.EACCES)


def opens(path, flags):
    try:
        os.close(os.open(path, flags))
        return True
    except OSError as error:
        # A process that has ended meanwhile proves nothing, and is no success.
        return error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ESRCH)


KILL, TKILL, TGKILL, SIGQUEUE, TGSIGQUEUE = 62, 200, 234, 129, 297
info = ctypes.create_string_buffer(struct.pack("iii", signal.SIGKILL, 0, -1), 128)
for pid in targets:
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGUSR1, signal.SIGSEGV):
        attack(f"kill {pid} {number}", sends(KILL, pid, int(number)))
    attack(f"sigqueue {pid}", sends(SIGQUEUE, pid, int(signal.SIGKILL), info))
    attack(f"prlimit {pid}", sends(302, pid, 7, ctypes.create_string_buffer(16), 0))
    attack(f"ptrace attach {pid}", sends(101, 16, pid, 0, 0))
    attack(f"ptrace seize {pid}", sends(101, 0x4206, pid, 0, 0))
    vector = ctypes.create_string_buffer(16)
    attack(f"process_vm_readv {pid}", call(310, pid, vector, 0, vector, 0, 0)[0] > 0)
    pidfd, _ = call(434, pid, 0)
    if pidfd >= 0:
        attack(f"pidfd_send_signal {pid}", sends(424, pidfd, int(signal.SIGKILL), 0, 0))
        attack(f"pidfd_getfd {pid}", call(438, pidfd, 1, 0)[0] >= 0)
    for name in ("mem", "environ", "maps", "fd/0", "fd/1", "fd/2", "fd/3", "fd/11", "root", "cwd"):
        for flags in (os.O_RDONLY, os.O_RDWR):
            if not (name in ("root", "cwd") and flags == os.O_RDWR):
                attack(f"open {pid} {name}", opens(f"/proc/{pid}/{name}", flags))
for tid in threads:
    attack(f"tkill {tid}", sends(TKILL, tid, int(signal.SIGKILL)))
    attack(f"tgkill {tid}", sends(TGKILL, 1, tid, int(signal.SIGKILL)))
    attack(f"tgsigqueue {tid}", sends(TGSIGQUEUE, 1, tid, int(signal.SIGKILL), info))

# A signal by way of a descriptor's owner: it is sent when the pipe can be read.
import fcntl

reader, writer = os.pipe()
for owner in (1, -1):
    for command, value in ((8, owner), (10, int(signal.SIGKILL))):
        try:
            fcntl.fcntl(reader, command, value)
        except OSError:
            pass
    fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | 0o20000)
    os.write(writer, b"x")

# All others, and all of PID 1's group: whoever is left answers the next call.
for uid in (0, 65534):
    attack(f"setuid {uid}", call(105, uid)[0] == 0)
    attack(f"setresuid {uid}", call(117, uid, uid, uid)[0] == 0)
print("targets", len(targets), "threads", len(threads))
print("succeeded", succeeded)
