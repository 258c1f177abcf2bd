//! Programs that are in no image of this project's, from the machine that runs the tests: cargo, Go,
//! Java, apt's downloader, and a program with musl. What a machine lacks is left out, with one line.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::lab::{Lab, Target, served};
use super::{denied, said, trust};
use crate::harness::docker::Image;
use crate::harness::{Directory, Server};

/// What a program may take that reaches nothing.
const GIVES_UP: Duration = Duration::from_secs(5);

/// What the stand-ins serve: a registry of cargo, a proxy of Go, and a file.
const MAKE: &str = r##"
import base64, io, tarfile, zipfile

def crate():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in (("Cargo.toml", b'[package]\nname = "demo"\nversion = "1.0.0"\nedition = "2021"\n'), ("src/lib.rs", b"")):
            member = tarfile.TarInfo("demo-1.0.0/" + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()

def module():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("demo.test/mod@v1.0.0/go.mod", "module demo.test/mod\n")
        archive.writestr("demo.test/mod@v1.0.0/mod.go", "package mod\n")
    return out.getvalue()

made = crate()
row = {"name": "demo", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False, "cksum": hashlib.sha256(made).hexdigest()}
files = {
    "/index/config.json": json.dumps({"dl": "https://crates.test/dl"}).encode(),
    "/index/de/mo/demo": json.dumps(row).encode() + b"\n",
    "/dl/demo/1.0.0/download": made,
    "/demo.test/mod/@v/v1.0.0.info": b'{"Version": "v1.0.0", "Time": "2026-01-01T00:00:00Z"}',
    "/demo.test/mod/@v/v1.0.0.mod": b"module demo.test/mod\n",
    "/demo.test/mod/@v/v1.0.0.zip": module(),
    "/hello": b"welcome",
}
say({path: base64.b64encode(content).decode() for path, content in files.items()})
"##;

/// A Java program without any library.
const JAVA: &str = r#"
import java.io.*; import java.net.*; import java.security.KeyStore; import java.security.cert.*; import javax.net.ssl.*;
public class Fetch {
    public static void main(String[] args) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream("ca.pem")));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        HttpsURLConnection connection = (HttpsURLConnection) new URL("https://java.test/hello").openConnection();
        connection.setSSLSocketFactory(context.getSocketFactory());
        String answer = new String(connection.getInputStream().readAllBytes());
        if (!answer.equals("welcome")) throw new Exception(answer);
    }
}
"#;

/// A C program that connects and says `ping`, and fails unless it comes back.
const MUSL: &str = r#"
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    int error = getaddrinfo("musl.test", "5432", &hints, &found);
    if (error) { fprintf(stderr, "%s\n", gai_strerror(error)); return 1; }
    int stream = socket(found->ai_family, found->ai_socktype, 0);
    char answer[5] = "";
    if (connect(stream, found->ai_addr, found->ai_addrlen) || write(stream, "ping", 4) != 4) return 2;
    return read(stream, answer, 4) != 4 || strcmp(answer, "ping");
}
"#;

/// A program, the host that it wants, and a command.
type Program = (&'static str, &'static str, &'static str);

/// A program, the host that it wants, and a command that succeeds where it is reached. `/opt/tools`
/// has what [`provide`] has made.
const PROGRAMS: [Program; 5] = [
    (
        "cargo",
        "crates.test",
        "rm -rf crate && mkdir -p crate/src && cd crate && touch src/lib.rs && \
         printf '[package]\\nname = \"a\"\\nversion = \"0.1.0\"\\n[dependencies]\\ndemo = \"1\"\\n' >Cargo.toml && \
         CARGO_HOME=$PWD/home CARGO_HTTP_CAINFO=$PWD/../ca.pem /opt/tools/cargo vendor --quiet --respect-source-config \
         --config 'source.crates-io.replace-with=\"lab\"' \
         --config 'source.lab.registry=\"sparse+https://crates.test/index/\"' && test -d vendor/demo",
    ),
    (
        "go",
        "modules.test",
        "rm -rf module && mkdir module && cd module && \
         printf 'module a\\n\\ngo 1.21\\n' >go.mod && GOROOT=/opt/tools/go GOPATH=$PWD/path GOSUMDB=off \
         GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPROXY=https://modules.test SSL_CERT_FILE=$PWD/../ca.pem \
         /opt/tools/go/bin/go mod download demo.test/mod@v1.0.0 && ls path/pkg/mod/demo.test/mod@v1.0.0/mod.go",
    ),
    (
        "java",
        "java.test",
        "/opt/tools/java/bin/java -cp /opt/tools/classes Fetch",
    ),
    (
        "apt",
        "apt.test",
        "LD_LIBRARY_PATH=/opt/tools/apt/lib /opt/tools/apt/apt-helper \
         -o Dir::Bin::methods=/opt/tools/apt/methods -o Acquire::Retries=0 \
         -o Acquire::https::CaInfo=$PWD/ca.pem download-file https://apt.test/hello $PWD/apt-out \
         && grep -q welcome apt-out",
    ),
    ("musl", "musl.test", "/opt/tools/musl"),
];

/// The output of a program of this machine.
///
/// # Errors
/// What it lacks.
#[track_caller]
fn on_machine(program: &str, args: &[&str], directory: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    let output = command.args(args).current_dir(directory).output();
    let output = output.map_err(|_| format!("no {program} on this machine"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Makes what a program needs in `tools`.
///
/// # Errors
/// What this machine lacks for it.
fn provide(program: &str, tools: &Path) -> Result<(), String> {
    let copy = |from: &str, to: &str| {
        let to = tools.join(to);
        std::fs::create_dir_all(to.parent().expect("a directory")).expect("made");
        std::fs::copy(from, to).expect(from);
    };
    match program {
        "cargo" => {
            let path = on_machine("rustup", &["which", "cargo"], tools)?;
            copy(&path, "cargo");
        }
        "go" => {
            let root = on_machine("go", &["env", "GOROOT"], tools)?;
            copy(&format!("{root}/bin/go"), "go/bin/go");
            copy(&format!("{root}/VERSION"), "go/VERSION");
        }
        "java" => {
            std::fs::write(tools.join("Fetch.java"), JAVA).expect("written");
            on_machine("javac", &["-d", "classes", "Fetch.java"], tools)?;
            let modules = [
                "--add-modules",
                "java.base,jdk.crypto.ec",
                "--strip-debug",
                "--output",
                "java",
            ];
            on_machine("jlink", &modules, tools)?;
        }
        "apt" => {
            if !Path::new("/usr/lib/apt/apt-helper").exists() {
                return Err("no apt on this machine".to_owned());
            }
            let names = [
                "apt-helper",
                "methods/http",
                "methods/https",
                "methods/store",
            ];
            let libraries = names.map(|name| {
                let path = format!("/usr/lib/apt/{name}");
                copy(&path, &format!("apt/{name}"));
                on_machine("ldd", &[&path], tools)
            });
            for library in libraries.into_iter().flatten() {
                // Those of the C library are the image's own.
                let used = library
                    .lines()
                    .filter_map(|line| line.split(" => ").nth(1)?.split(' ').next());
                for path in
                    used.filter(|path| !path.contains("/libc.so") && !path.contains("/libm.so"))
                {
                    let name = Path::new(path).file_name().expect("a name");
                    copy(path, &format!("apt/lib/{}", name.to_str().expect("UTF-8")));
                }
            }
        }
        _ => {
            std::fs::write(tools.join("musl.c"), MUSL).expect("written");
            on_machine("musl-gcc", &["-static", "-o", "musl", "musl.c"], tools)?;
        }
    }
    Ok(())
}

/// The tools image with what this machine has of them, which, and why others are left out.
fn image() -> (Image, Vec<Program>, Vec<String>) {
    let directory = Directory::new(0);
    let tools = PathBuf::from(directory.text()).join("tools");
    std::fs::create_dir(&tools).expect("made");
    let mut programs = PROGRAMS.to_vec();
    let mut left_out = Vec::new();
    programs.retain(|(program, ..)| {
        let provided = provide(program, &tools);
        left_out.extend(provided.clone().err());
        provided.is_ok()
    });
    (Image::with_files(&tools, "/opt"), programs, left_out)
}

async fn hosts(lab: &Lab, server: &Server) -> [Target; 2] {
    let made = said(server, MAKE).await;
    let files = made.as_object().expect("files").iter();
    let files = files.map(|(path, content)| {
        let content = BASE64_STANDARD.decode(content.as_str().expect("a text"));
        (path.clone(), content.expect("base64").into())
    });
    for (_, host, _) in PROGRAMS {
        lab.resolver.set(host, ["93.184.1.1"]);
    }
    let names = PROGRAMS.map(|(_, host, _)| host);
    let web = lab.https("93.184.1.1:443", &names, served(files.collect()));
    [web, lab.tcp("93.184.1.1:5432", super::lab::Talk::Echo)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_of_other_languages_reach_the_hosts_of_the_rules_and_give_up_soon_without() {
    let (image, programs, left_out) = image();
    for why in left_out {
        eprintln!("left out: {why}");
    }
    let lab = Lab::new();
    let allow: Vec<_> = PROGRAMS
        .iter()
        .map(|(program, host, _)| match *program {
            "musl" => format!("\"{host}:5432/tcp\""),
            _ => format!("\"{host}\""),
        })
        .collect();
    let rules = format!("[egress]\nallow = [{}]\n", allow.join(", "));
    let server = lab.server(&rules).image(image.name()).start().await;
    trust(&lab, &server).await;
    let hosts = hosts(&lab, &server).await;
    for (program, _, command) in &programs {
        let begin = Instant::now();
        let result = server.shell_within(command, 80).await;
        eprintln!("{program}: {:?}", begin.elapsed());
        assert_eq!(result.exit_code(), 0, "{program}: {}", result.0);
        assert!(denied(&result).is_empty(), "{program}: {}", result.0);
    }
    let reached = hosts.each_ref().map(Target::count);

    lab.set("casemate.toml", "[egress]\nallow = [\"another.test\"]\n");
    crate::harness::eventually(
        "the other rules count",
        Duration::from_secs(10),
        async || denied(&server.shell("getent hosts crates.test").await).len() == 1,
    )
    .await;
    let mut slow = Vec::new();
    for (program, host, command) in &programs {
        let begin = Instant::now();
        let result = server.shell_within(command, 80).await;
        let took = begin.elapsed();
        eprintln!("{program}: {took:?}");
        assert_ne!(result.exit_code(), 0, "{program}");
        let refused = ((*host).to_owned(), "not_allowed".to_owned());
        assert!(
            denied(&result).contains(&refused),
            "{program}: {}",
            result.0
        );
        if took > GIVES_UP {
            slow.push(format!("{program}: {took:?}"));
        }
    }
    assert_eq!(slow, Vec::<String>::new(), "longer than {GIVES_UP:?}");
    assert_eq!(hosts.each_ref().map(Target::count), reached);
}
