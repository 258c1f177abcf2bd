//! casemate-init, run by user code.

use serde_json::json;

use super::{pid_1_lives, processes, python, with_stdin};
use crate::harness::{TestServer, docker};

const SUPERVISE: &str = r#"
import json, socket, struct, subprocess
def field(number, value):
    return bytes([number << 3 | 2, len(value)]) + value
order = field(1, b"/usr/bin/id") + field(2, b"id") + field(2, b"-u") + field(4, b"/")
ours, theirs = socket.socketpair()
ours.sendall(struct.pack("<I", len(order)) + order)
command = ["/casemate-init", "supervise", str(theirs.fileno())]
print(json.dumps(subprocess.run(command, pass_fds=[theirs.fileno()], capture_output=True, timeout=20, text=True).stdout))
"#;

#[tokio::test]
async fn casemate_init_run_by_hand_gives_nothing_away() {
    let server = TestServer::new().start().await;
    server.shell("true").await;
    let container = server.instance.container();
    for arguments in [
        "",
        "bridge",
        "pid1",
        "pid1 --idle-timeout-ms=1 --background-ttl-ms=1 --spec=mine",
        "supervise",
        "supervise 0",
        "supervise 99",
    ] {
        for input in ["/dev/null", "/dev/zero"] {
            let run = server
                .shell(&format!("timeout 20 /casemate-init {arguments} < {input}"))
                .await;
            assert!(
                !(run.exit_code() == 0 || run.exit_code() == 124),
                "{arguments}: {}",
                run.0
            );
            assert_eq!(run.stdout(), "", "{arguments}");
        }
    }
    let uid = format!("{}\n", server.instance.uid());
    assert_eq!(python(&server, SUPERVISE).await, uid);
    assert_eq!(processes(&server).await, [""; 0]);
    pid_1_lives(&server, &container).await;
}

#[tokio::test]
async fn a_preloaded_library_is_loaded_by_the_command_and_never_by_casemate_init() {
    const LIBRARY: &str = r#"
        #define _GNU_SOURCE
        #include <errno.h>
        #include <stdio.h>
        __attribute__((constructor)) static void loaded(void) {
            FILE *file = fopen("/tmp/loaded", "a");
            if (file) { fprintf(file, "%s\n", program_invocation_short_name); fclose(file); }
        }
    "#;
    let server = TestServer::new().start().await;
    let built = with_stdin(&server, "gcc -shared -fPIC -x c -o preload.so -", LIBRARY).await;
    assert_eq!(built.exit_code(), 0, "{}", built.0);
    let container = server.instance.container();
    let command = "/casemate-init; /casemate-init bridge; cat /tmp/loaded";
    let arguments = json!({ "command": command, "env": { "LD_PRELOAD": "/workspace/preload.so" } });
    let loaded = server.call("shell_exec", arguments).await;
    assert_eq!(loaded.stdout(), "bash\ncat\n");
    let maps = docker::beside(&container, "cat /proc/1/maps");
    assert!(
        maps.contains("[stack]") && !maps.contains("preload"),
        "{maps}"
    );
    pid_1_lives(&server, &container).await;
}
