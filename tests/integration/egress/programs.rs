//! Programs as people run them, against stand-ins for the hosts that they want.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::Value;

use super::lab::{Lab, Target, served};
use super::{denied, said, trust};
use crate::harness::{Server, TOOLS_IMAGE, TestServer};

/// What a program may take that reaches nothing.
const GIVES_UP: Duration = Duration::from_secs(5);

/// Makes what the stand-ins serve: an index with a wheel, a registry with a package, a repository
/// that git reads over plain HTTP. Says each file by its path.
const MAKE: &str = r##"
import base64, io, subprocess, tarfile, zipfile

def wheel():
    out = io.BytesIO()
    info = "demo-1.0.dist-info/"
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("demo.py", "print('demo')\n")
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", "demo.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n" % (info, info, info))
    return out.getvalue()

def package():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        content = b'{"name": "demo", "version": "1.0.0"}'
        member = tarfile.TarInfo("package/package.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()

files = {}
name = "demo-1.0-py3-none-any.whl"
files["/simple/demo/"] = b'<a href="/wheels/%s">%s</a>' % (name.encode(), name.encode())
files["/wheels/" + name] = wheel()
tarball = package()
dist = {"tarball": "https://registry.test/demo/-/demo-1.0.0.tgz", "shasum": hashlib.sha1(tarball).hexdigest()}
files["/demo"] = json.dumps({"name": "demo", "dist-tags": {"latest": "1.0.0"},
    "versions": {"1.0.0": {"name": "demo", "version": "1.0.0", "dist": dist}}}).encode()
files["/demo/-/demo-1.0.0.tgz"] = tarball
subprocess.run("""set -e
git init --quiet --template= made; cd made
git -c user.name=a -c user.email=a@example.com commit --quiet --allow-empty -m demo
git clone --quiet --bare --template= . ../demo.git; git -C ../demo.git update-server-info
""", shell=True, check=True)
for place, _, names in os.walk("demo.git"):
    for each in names:
        path = os.path.join(place, each)
        files["/" + path] = open(path, "rb").read()
files["/hello"] = b"welcome"
say({path: base64.b64encode(content).decode() for path, content in files.items()})
"##;

/// The programs: the name, the host that it wants (another for each), and a command that succeeds where it is reached.
const PROGRAMS: [(&str, &str, &str); 6] = [
    (
        "pip",
        "index.test",
        "pip install --cert ca.pem --no-deps --target pip-out \
         --index-url https://index.test/simple demo && test -e pip-out/demo.py",
    ),
    (
        "npm",
        "registry.test",
        "mkdir -p npm-out && cd npm-out && \
         npm install --cafile ../ca.pem --no-audit --no-fund --registry https://registry.test/ demo \
         && test -e node_modules/demo/package.json",
    ),
    (
        "git",
        "code.test",
        "GIT_SSL_CAINFO=$PWD/ca.pem git clone https://code.test/demo.git git-out \
         && git -C git-out log --oneline | grep demo",
    ),
    (
        "fetch of Node.js",
        "site.test",
        "NODE_EXTRA_CA_CERTS=$PWD/ca.pem node -e \
         \"fetch('https://site.test/hello').then(a => a.text()).then(t => { if (t != 'welcome') process.exit(1) })\"",
    ),
    (
        "https of Node.js",
        "page.test",
        "NODE_EXTRA_CA_CERTS=$PWD/ca.pem node -e \
         \"require('https').get('https://page.test/hello', a => process.exit(a.statusCode == 200 ? 0 : 1))\"",
    ),
    (
        "urllib",
        "file.test",
        "python3 -c \"import ssl, urllib.request as r; \
         c = ssl.create_default_context(cafile='ca.pem'); \
         assert r.urlopen('https://file.test/hello', context=c).read() == b'welcome'\"",
    ),
];

/// The hosts, which all serve all files.
async fn hosts(lab: &Lab, server: &Server) -> Target {
    let made = said(server, MAKE).await;
    let files = made.as_object().expect("files").iter();
    let files: HashMap<String, Bytes> = files
        .map(|(path, content)| {
            let content = content.as_str().expect("a text");
            let content = BASE64_STANDARD.decode(content).expect("base64");
            (path.clone(), content.into())
        })
        .collect();
    let names = PROGRAMS.map(|(_, host, _)| host);
    for name in names {
        lab.resolver.set(name, ["93.184.1.1"]);
    }
    lab.https("93.184.1.1:443", &names, served(files))
}

async fn server(lab: &Lab, settings: &str) -> Server {
    let server: TestServer = lab.server(settings).image(TOOLS_IMAGE);
    let server = server.start().await;
    trust(lab, &server).await;
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_reach_the_hosts_of_the_rules() {
    let lab = Lab::new();
    let allow = PROGRAMS.map(|(_, host, _)| format!("\"{host}\""));
    let server = server(&lab, &format!("[egress]\nallow = [{}]\n", allow.join(", "))).await;
    let _hosts = hosts(&lab, &server).await;
    for (program, _, command) in PROGRAMS {
        let begin = Instant::now();
        let result = server.shell_within(command, 80).await;
        eprintln!("{program}: {:?}", begin.elapsed());
        assert_eq!(result.exit_code(), 0, "{program}: {}", result.0);
        assert!(denied(&result).is_empty(), "{program}: {}", result.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_without_a_rule_give_up_soon_and_the_result_names_the_host() {
    let lab = Lab::new();
    let server = server(&lab, "[egress]\nallow = [\"another.test\"]\n").await;
    let hosts = hosts(&lab, &server).await;
    let mut slow = Vec::new();
    for (program, host, command) in PROGRAMS {
        let mut begin = Instant::now();
        let mut result = server.shell_within(command, 80).await;
        if begin.elapsed() > GIVES_UP {
            // The first start of npm on a busy machine takes seconds by itself.
            begin = Instant::now();
            result = server.shell_within(command, 80).await;
        }
        let took = begin.elapsed();
        eprintln!("{program}: {took:?}");
        assert_ne!(result.exit_code(), 0, "{program}");
        let refused = (host.to_owned(), "not_allowed".to_owned());
        assert!(
            denied(&result).contains(&refused),
            "{program}: {}",
            result.0
        );
        let counts = result.field("network")["denied"].as_array();
        let counts = counts.into_iter().flatten().map(|entry| &entry["count"]);
        assert!(counts.into_iter().all(Value::is_u64), "{}", result.0);
        if took > GIVES_UP {
            slow.push(format!("{program}: {took:?}"));
        }
    }
    assert_eq!(slow, Vec::<String>::new(), "longer than {GIVES_UP:?}");
    assert_eq!(hosts.count(), 0);
}
