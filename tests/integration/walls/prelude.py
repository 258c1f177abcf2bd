import ctypes, errno, json, os, platform, resource, socket, struct, sys

X86 = platform.machine() == "x86_64"
HIGH = 1 << 32  # the kernel reads an int: bits above it must not get round a comparison
MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def call(x86, arm, *args):
    """The raw system call with all 64 bits of each argument: 0, or the errno."""
    ctypes.set_errno(0)
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = libc.syscall(ctypes.c_long(x86 if X86 else arm), *wide, *[ctypes.c_long(0)] * (6 - len(wide)))
    return ctypes.get_errno() if result == -1 else 0


def errno_of(attempt):
    try:
        attempt()
    except OSError as error:
        return error.errno
    return 0


def hold(most, step):
    """Lets step() hold bytes until they are `most`: what is held, and the errno that ended it."""
    held = 0
    try:
        while held < most:
            got = step()
            if got == 0:
                return {"held": held, "ended": "full"}
            held += got
    except OSError as error:
        return {"held": held, "ended": errno.errorcode[error.errno]}
    return {"held": held, "ended": "all of it"}


def use_all_descriptors():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


use_all_descriptors()
kept = []
