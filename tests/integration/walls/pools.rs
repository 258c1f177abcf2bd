//! Pools of the whole host that one sandbox could use up.

use serde_json::json;

use super::{attack, host};
use crate::harness::TestServer;

/// Another user's first container needs the pool of compiled filters: with a full pool the start
/// failed with errno 524.
#[tokio::test]
async fn packet_and_seccomp_filters_are_refused_and_other_containers_start() {
    const SCRIPT: &str = r#"
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000) * 4096)
program = Program(4096, ctypes.addressof(code))
address = ctypes.c_void_p(ctypes.addressof(program))
number = ctypes.c_void_p(ctypes.addressof(ctypes.create_string_buffer(struct.pack("i", 99))))

def attach(family, kind, level, option, value=address, size=16):
    kept.append(socket.socket(family, kind))
    return call(54, 208, kept[-1].fileno(), level, option, value, ctypes.c_long(size))

def all_of(attempt):
    """2,000 tries: every answer there was."""
    answers = set()
    for index in range(2000):
        answers.add(attempt())
        if len(kept) > 1000:
            kept.clear()
    return sorted(answers)

U, I, D = socket.AF_UNIX, socket.AF_INET, socket.SOCK_DGRAM
print(json.dumps({
    "SO_ATTACH_FILTER": all_of(lambda: attach(I, D, 1, 26)),
    "on AF_UNIX": all_of(lambda: attach(U, D, 1, 26)),
    "high level": all_of(lambda: attach(I, D, HIGH | 1, 26)),
    "high option": all_of(lambda: attach(I, D, 1, HIGH | 26)),
    "both high": all_of(lambda: attach(I, D, -HIGH | 1, -HIGH | 26)),
    "SO_ATTACH_BPF": all_of(lambda: attach(I, D, 1, 50, number, 4)),
    "SO_ATTACH_REUSEPORT_CBPF": all_of(lambda: attach(I, D, 1, 51)),
    "SO_ATTACH_REUSEPORT_EBPF": all_of(lambda: attach(I, D, 1, 52, number, 4)),
    "seccomp": all_of(lambda: call(317, 277, 1, 0, address)),
    "seccomp, high": all_of(lambda: call(317, 277, HIGH | 1, 0, address)),
    "prctl": all_of(lambda: call(157, 167, 22, 2, address)),
    "prctl, high": all_of(lambda: call(157, 167, HIGH | 22, 2, address)),
}))
"#;
    let server = TestServer::new();
    let other = server.clone().user("other").start().await;
    let server = server.start().await;
    server.shell("true").await;
    let (found, first) = tokio::join!(attack(&server, SCRIPT), other.shell("echo first"));
    for (way, answers) in found.as_object().expect("ways") {
        let errno = if way.starts_with("seccomp") || way.starts_with("prctl") {
            22 // EINVAL: programs go on without sandboxing themselves
        } else {
            1
        };
        assert_eq!(answers, &json!([errno]), "{way}");
    }
    assert_eq!(first.stdout(), "first\n", "{}", first.0);
}

#[tokio::test]
async fn the_contexts_of_asynchronous_io_stay_the_hosts() {
    const SCRIPT: &str = r#"
contexts = [ctypes.c_ulong(0) for _ in range(100)]
print(json.dumps(sorted({call(206, 0, 1, ctypes.c_void_p(ctypes.addressof(it))) for it in contexts})))
"#;
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let before = host("fs/aio-nr");
    assert_eq!(attack(&server, SCRIPT).await, json!([1]));
    assert!(host("fs/aio-nr") < before + 100);
}
