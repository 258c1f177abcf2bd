//! Node.js in a sandbox, which has no netlink sockets: `os.networkInterfaces()` answers loopback,
//! wherever it is asked, unless NODE_OPTIONS is the image's or the call's own.

use serde_json::{Value, json};

use crate::harness::docker::Image;
use crate::harness::{CallResult, Server, TestServer};

/// Asks in every possible way, and prints one answer per line.
pub const EVERYWHERE: &str = r#"
set -eu
mkdir -p asks && cd asks
echo 'console.log(JSON.stringify(require("os").networkInterfaces()))' > common.cjs
echo 'import os from "os"; console.log(JSON.stringify(os.networkInterfaces()))' > default.mjs
echo 'import { networkInterfaces } from "os"; console.log(JSON.stringify(networkInterfaces()))' > named.mjs
echo 'new (require("worker_threads").Worker)("./common.cjs")' > worker.cjs
echo 'new (require("worker_threads").Worker)("./common.cjs", { execArgv: [] })' > plain-worker.cjs
echo 'require("child_process").fork("./common.cjs")' > fork.cjs
echo 'require("child_process").spawn(process.execPath, ["./common.cjs"], { stdio: "inherit" })' > spawn.cjs
for file in *.?js; do node $file; done
node < common.cjs
node --eval 'console.log(JSON.stringify(os.networkInterfaces()))'
"#;

/// How many lines it prints.
pub const ANSWERS: usize = 9;

/// What Node.js answers for loopback where it has netlink sockets; with ::1 where that can be bound.
pub fn loopback(has_ipv6: bool) -> Value {
    let mac = "00:00:00:00:00:00";
    let mut lo = vec![json!({
        "address": "127.0.0.1", "netmask": "255.0.0.0", "family": "IPv4", "mac": mac,
        "internal": true, "cidr": "127.0.0.1/8",
    })];
    if has_ipv6 {
        let netmask = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        lo.push(json!({
            "address": "::1", "netmask": netmask, "family": "IPv6", "mac": mac,
            "internal": true, "cidr": "::1/128", "scopeid": 0,
        }));
    }
    json!({ "lo": lo })
}

/// Binds ::1, which works where loopback has it.
pub const BINDS_IPV6: &str =
    "python3 -c 'import socket; socket.socket(socket.AF_INET6).bind((\"::1\", 0))' 2> /dev/null";

/// A line for each answer.
pub fn answers(result: &CallResult) -> Vec<Value> {
    let lines = result.stdout().lines();
    let answers = lines.map(|line| serde_json::from_str(line).expect("JSON"));
    answers.collect()
}

async fn with_env(server: &Server, command: &str, env: Value) -> CallResult {
    let arguments = json!({ "command": command, "env": env });
    server.call("shell_exec", arguments).await
}

/// The output of a command. Panics if it fails.
async fn output(server: &Server, command: &str) -> String {
    let result = server.shell(command).await;
    assert_eq!(result.exit_code(), 0, "{command:.200}: {}", result.0);
    result.stdout().trim_end().to_owned()
}

#[tokio::test]
async fn the_interfaces_are_loopback_wherever_a_script_asks() {
    let server = TestServer::new().start().await;
    let has_ipv6 = server.shell(BINDS_IPV6).await.exit_code() == 0;
    let result = server.shell(EVERYWHERE).await;
    assert_eq!(result.exit_code(), 0, "{}", result.0);
    assert_eq!(answers(&result), vec![loopback(has_ipv6); ANSWERS]);
    // A caller may change the object that it got.
    let changed = "os.networkInterfaces().lo.pop(); os.networkInterfaces().lo.length";
    let left = output(&server, &format!("node -p '{changed}'")).await;
    assert_eq!(left, if has_ipv6 { "2" } else { "1" });
    let tested = "cat > one.test.js <<'end'\n\
                  require('node:test')('it', () => { console.log(Object.keys(require('os').networkInterfaces())) })\n\
                  end\n\
                  node --test one.test.js";
    assert!(output(&server, tested).await.contains("# pass 1"));
}

/// The error that it throws: libuv has no name for the refused call.
const THROWN: &str = "ERR_SYSTEM_ERROR";

#[tokio::test]
async fn the_calls_and_the_images_own_options_win_whole() {
    let asked = "node -p 'try { os.networkInterfaces().lo[0].address } catch (error) { error.code }'; \
                 node -p 'process.env.NODE_OPTIONS'";
    let server = TestServer::new().start().await;
    let ours = "127.0.0.1\n--require=/casemate/netif.cjs";
    assert_eq!(output(&server, asked).await, ours);
    for options in ["", "--no-warnings"] {
        let result = with_env(&server, asked, json!({ "NODE_OPTIONS": options })).await;
        assert_eq!(result.stdout(), format!("{THROWN}\n{options}\n"));
    }
    let image = Image::from_tools("true", &["ENV NODE_OPTIONS=--no-deprecation"]);
    let server = TestServer::new().image(image.name()).start().await;
    let theirs = format!("{THROWN}\n--no-deprecation");
    assert_eq!(output(&server, asked).await, theirs);
}

#[tokio::test]
async fn an_answer_that_node_has_and_errors_of_another_kind_are_left_as_they_are() {
    let server = TestServer::new().start().await;
    let loaded = r#"
        const os = require("os");
        const after = (ask) => { os.networkInterfaces = ask; delete require.cache[file]; require(file); };
        const file = "/casemate/netif.cjs";
        after(() => ({ eth0: [] }));
        console.log(JSON.stringify(os.networkInterfaces()));
        after(() => { throw new RangeError("too deep"); });
        try { os.networkInterfaces() } catch (error) { console.log(error.message) }"#;
    let printed = output(&server, &format!("node - <<'end'\n{loaded}\nend")).await;
    assert_eq!(printed, "{\"eth0\":[]}\ntoo deep");
    let file = "stat -c '%U %a' /casemate /casemate/netif.cjs; echo > /casemate/netif.cjs";
    let result = server.shell(file).await;
    assert_eq!(result.stdout(), "root 755\nroot 644\n");
    assert!(result.stderr().contains("Read-only"), "{}", result.0);
}

/// Facts about the machine that programs in Node.js ask for.
const ORDINARY: &str = r#"
const { Worker, isMainThread, parentPort } = require('worker_threads');
const { fork, execFileSync } = require('child_process');
const http = require('http');
const dns = require('dns');

if (process.send) {
  process.on('message', (number) => { process.send(number + 1); process.disconnect(); });
} else if (!isMainThread) {
  parentPort.postMessage('from a thread');
} else {
  const server = http.createServer((request, response) => response.end(request.url));
  server.listen(0, async () => {
    const { port } = server.address();
    for (const host of ['localhost', '127.0.0.1']) {
      console.log(await (await fetch(`http://${host}:${port}/${host}`)).text());
    }
    server.close();
    server.closeAllConnections();
    console.log((await dns.promises.lookup('localhost', { family: 4 })).address);
    new Worker(__filename).on('message', (message) => {
      console.log(message);
      const child = fork(__filename);
      child.on('message', (number) => console.log(number)).send(41);
    });
  });
  console.log(execFileSync('npm', ['--version']).toString().split('.').length);
}
"#;

#[tokio::test]
async fn ordinary_programs_work() {
    let server = TestServer::new().start().await;
    server.write("ordinary.js", ORDINARY).await;
    let printed = output(&server, "node ordinary.js").await;
    let wanted = "3\nlocalhost\n127.0.0.1\n127.0.0.1\nfrom a thread\n42";
    assert_eq!(printed.replace("/l", "l").replace("/1", "1"), wanted);
    let package = "mkdir package && cd package && npm init -y > /dev/null && \
                   npm pkg set scripts.greet='echo hello from npm' && npm run --silent greet";
    assert_eq!(output(&server, package).await, "hello from npm");
}
