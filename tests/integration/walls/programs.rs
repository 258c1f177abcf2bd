//! Common programs still run, with their own fallbacks where a call is refused.

use crate::harness::TestServer;

/// One program for each way in which the filters could be noticed. All must exit with 0.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "multiprocessing",
        "python3 -c 'import multiprocessing as m; assert m.Pool(2).map(abs, [-1, 2]) == [1, 2]'",
    ),
    (
        "shared memory",
        "python3 -c 'from multiprocessing import shared_memory as s; m = s.SharedMemory(create=True, size=9); m.unlink()'",
    ),
    (
        "asyncio",
        "python3 -c 'import asyncio; asyncio.run(asyncio.create_subprocess_exec(\"true\"))'",
    ),
    (
        "ssl",
        "python3 -c 'import ssl; ssl.create_default_context()'",
    ),
    (
        "getaddrinfo",
        "python3 -c 'import socket; assert socket.getaddrinfo(\"localhost\", 80)'",
    ),
    (
        "HTTP over localhost",
        "python3 -m http.server 8123 --bind 127.0.0.1 > /dev/null 2>&1 & server=$!; \
        for _ in $(seq 100); do python3 -c 'import urllib.request as u; u.urlopen(\"http://localhost:8123/\")' 2> /dev/null && break; sleep 0.1; done; \
        kill $server && wait $server; [ $? = 143 ]",
    ),
    (
        "a UDP socket with its usual options",
        "python3 -c 'import socket as s; a = s.socket(s.AF_INET6, s.SOCK_DGRAM); \
        a.setsockopt(s.IPPROTO_IPV6, s.IPV6_V6ONLY, 0); a.setsockopt(s.SOL_SOCKET, s.SO_REUSEPORT, 1); a.setsockopt(s.SOL_SOCKET, s.SO_BROADCAST, 1)'",
    ),
    (
        "git",
        "git init -q repo && cd repo && echo x > f && git add f && git -c user.name=a -c user.email=a@example.com commit -qm m && git gc -q && git clone -q . ../clone",
    ),
    ("pip", "python3 -m pip --version"),
    (
        "venv",
        "python3 -m venv --without-pip venv && venv/bin/python -c ''",
    ),
    (
        "sqlite",
        "python3 -c 'import sqlite3; c = sqlite3.connect(\"d.db\"); c.execute(\"pragma journal_mode=wal\"); c.execute(\"create table t(a)\"); c.commit()'",
    ),
    (
        "gcc",
        "printf 'int main(){return 0;}' > m.c && gcc -pthread -o m m.c && ./m",
    ),
    (
        "sanitizers",
        "printf '#include <stdlib.h>\\nint main(){return malloc(9)==0;}' > s.c && gcc -fsanitize=address -o s s.c && ./s && \
        gcc -fsanitize=leak -o s s.c && ./s",
    ),
    ("file", "! command -v file || file /bin/sh | grep -q ':'"),
    ("man", "! command -v man || man --version"),
    (
        "cp",
        "mkdir -p d && echo x > d/a && cp --reflink=auto -a d e && tar cf d.tar d && tar xf d.tar",
    ),
    ("nice", "[ $(nice -n 5 nice) = 5 ]"),
    (
        "renice of itself",
        "python3 -c 'import os; os.setpriority(os.PRIO_PROCESS, 0, 3)'",
    ),
    ("taskset", "taskset 1 true && taskset -p $$"),
    (
        "chrt",
        "chrt --idle 0 true && chrt --batch 0 true && chrt -p $$",
    ),
    ("ionice", "ionice -c 3 true"),
    (
        "threads with an affinity",
        "python3 -c 'import os, threading; t = threading.Thread(target=lambda: os.sched_setaffinity(threading.get_native_id(), {0})); t.start(); t.join()'",
    ),
    (
        "locks",
        "python3 -c 'import fcntl; f = open(\"l\", \"w\"); fcntl.flock(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_EX)'",
    ),
    (
        "script in a terminal",
        "python3 -c 'import pty; raise SystemExit(pty.spawn([\"tty\"]))'",
    ),
];

#[tokio::test]
async fn ordinary_programs_feel_no_filter() {
    let server = TestServer::new().start().await;
    let mut failed = Vec::new();
    for (name, command) in PROGRAMS {
        let result = server.shell_that_ends(command, 40).await;
        if result.outcome() != "exited" || result.exit_code() != 0 {
            failed.push(format!("{name}: {}", result.0));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
