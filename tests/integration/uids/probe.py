"""Takes a little of each pool that the kernel counts by uid, and says what it could not have."""
import array, ctypes, fcntl, json, os, select, signal, socket

libc = ctypes.CDLL(None, use_errno=True)
librt = ctypes.CDLL("librt.so.1", use_errno=True)
missing = []

notify = libc.inotify_init1(0)
if notify < 0:
    missing.append("inotify_instances")
elif libc.inotify_add_watch(notify, b"/tmp", 2) < 0:
    missing.append("inotify_watches")

reader, writer = os.pipe()
if fcntl.fcntl(writer, 1032) < 65536:  # F_GETPIPE_SZ
    missing.append("pipe_mib")

left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
try:
    left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
except OSError:
    missing.append("descriptors_in_flight")

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
libc.sigqueue.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
if libc.sigqueue(os.getpid(), signal.SIGRTMIN, None) != 0:
    missing.append("signals")

if librt.mq_open(b"/probe", os.O_CREAT | os.O_RDWR, 0o600, None) < 0:
    missing.append("message_queues")
librt.mq_unlink(b"/probe")

poll = select.epoll()
try:
    for _ in range(2000):
        poll.register(libc.eventfd(0, 0), select.EPOLLIN)
except OSError:
    missing.append("epoll_watches")

print(json.dumps(missing))
