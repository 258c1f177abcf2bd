//! Sandboxes from any Linux image: what the image brings is used or ignored as
//! documented, what cannot be used is refused by name, and nothing needs a shell.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::docker::{self, Image};
use crate::harness::{Server, TOOLS_IMAGE, TestServer, eventually};

/// What a command prints. Panics when it fails.
async fn output(server: &Server, command: &str) -> String {
    let result = server.shell(command).await;
    assert_eq!(result.exit_code(), 0, "{command:.200}: {}", result.0);
    result.stdout().trim_end().to_owned()
}

/// A tar archive on the disk, removed when the test is over.
struct Archive(PathBuf);

impl Archive {
    /// With these files.
    fn with(files: &[(&str, &str)]) -> Self {
        let name = format!("casemate-test-{}.tar", uuid::Uuid::new_v4().simple());
        let archive = Self(std::env::temp_dir().join(name));
        let mut tar = tar::Builder::new(std::fs::File::create(&archive.0).expect("a file"));
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, content.as_bytes())
                .expect("append");
        }
        tar.finish().expect("finish");
        archive
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Volumes that nobody named: 64 hex digits.
fn anonymous_volumes() -> BTreeSet<String> {
    let is_anonymous =
        |name: &String| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    docker::lines(&["volume", "ls", "--quiet"])
        .into_iter()
        .filter(is_anonymous)
        .collect()
}

#[tokio::test]
async fn without_bash_sh_runs_and_the_images_own_path_user_and_environment_count() {
    let image = Image::from_tools(
        "rm /bin/bash /bin/rbash; mkdir -p /opt/x/bin; \
         printf '#!/bin/sh\\necho found\\n' > /opt/x/bin/only-here; chmod 755 /opt/x/bin/only-here; \
         echo node:x:1000:1000::/home/node:/bin/sh >> /etc/passwd; echo node:x:1000: >> /etc/group",
        &[
            "ENV PATH=/opt/x/bin:/usr/bin:/bin",
            "ENV GREETING=\"hello world\"",
            "ENV HOME=/home/node",
        ],
    );
    let server = TestServer::new().image(image.name()).start().await;
    assert_eq!(
        output(&server, "echo \"$0 [$BASH_VERSION]\"").await,
        "sh []"
    );
    assert_eq!(server.shell("exec bash").await.exit_code(), 127);
    assert_eq!(
        output(&server, "only-here; echo $PATH").await,
        "found\n/workspace/.home/.local/bin:/opt/x/bin:/usr/bin:/bin"
    );
    assert_eq!(
        output(&server, "echo $GREETING; echo $HOME").await,
        "hello world\n/workspace/.home"
    );
    // What the user installs there goes first.
    let own = "mkdir -p ~/.local/bin && printf '#!/bin/sh\\necho mine\\n' > ~/.local/bin/only-here && chmod +x ~/.local/bin/only-here";
    output(&server, own).await;
    assert_eq!(output(&server, "only-here").await, "mine");
    let long = format!("echo long # {}", "x".repeat(200_000));
    assert_eq!(output(&server, &long).await, "long");
}

#[tokio::test]
async fn every_volume_of_an_image_is_bounded_memory_and_none_is_anonymous() {
    let image = Image::from_tools(
        "mkdir -p /data /var/lib/database; echo of the image > /data/file; chmod 755 /tmp",
        &[
            "VOLUME /data",
            "VOLUME [\"/var/lib/database/\"]",
            "VOLUME /workspace",
            "VOLUME /tmp",
        ],
    );
    let before = anonymous_volumes();
    let server = TestServer::new().image(image.name()).start().await;
    for volume in ["/data", "/var/lib/database"] {
        let mount = output(
            &server,
            &format!("findmnt --noheadings --output FSTYPE,OPTIONS {volume}"),
        )
        .await;
        assert!(mount.starts_with("tmpfs "), "{mount}");
        for option in ["nosuid", "nodev", "size=16384k"] {
            assert!(mount.contains(option), "{mount}");
        }
        // Whatever mode and owner the image's directory has.
        let write = format!("echo new > {volume}/new; cat {volume}/new");
        assert_eq!(output(&server, &write).await, "new");
        let flood = server
            .shell(&format!("head -c 64M /dev/zero > {volume}/flood"))
            .await;
        assert!(
            flood.stderr().contains("No space left on device"),
            "{}",
            flood.0
        );
    }
    assert_eq!(
        output(&server, "echo kept > kept; stat -c %U . ; stat -c %s kept").await,
        format!(
            "casemate-{}\n5",
            server.instance.uid().parse::<u32>().expect("a uid") - 65_536
        )
    );
    let tmp = "echo new > /tmp/new && df --block-size=1 --output=size /tmp | tail -1";
    assert_eq!(output(&server, tmp).await, (128 << 20).to_string());

    let mounts = docker::inspect("container", &server.instance.container())["Mounts"].clone();
    let mounts = mounts.as_array().expect("mounts");
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    assert_eq!(mounts[0]["Name"], server.instance.volumes()[0].as_str());
    // Others on the Engine may have some for a while.
    eventually(
        "no new anonymous volume is there",
        Duration::from_secs(20),
        async || anonymous_volumes().is_subset(&before),
    )
    .await;
}

#[tokio::test]
async fn entrypoint_command_user_directory_and_healthcheck_of_an_image_are_ignored() {
    let image = Image::build(&format!(
        "FROM {TOOLS_IMAGE}\n\
         ENTRYPOINT [\"/bin/false\"]\n\
         CMD [\"of\", \"the\", \"image\"]\n\
         USER 0:0\n\
         WORKDIR /opt\n\
         STOPSIGNAL SIGUSR1\n\
         EXPOSE 80\n\
         LABEL io.casemate.user=mallory io.casemate.instance=other of.the=image\n\
         HEALTHCHECK --interval=1s CMD touch /workspace/checked\n"
    ));
    let server = TestServer::new().image(image.name()).start().await;
    assert_eq!(
        output(&server, "id -u; id -g; pwd").await,
        format!("{0}\n{0}\n/workspace", server.instance.uid())
    );
    let pid_1 = output(&server, "tr '\\0' ' ' < /proc/1/cmdline").await;
    assert!(
        pid_1.starts_with("/casemate-init pid1 ") && !pid_1.contains("image"),
        "{pid_1}"
    );
    let container = docker::inspect("container", &server.instance.container());
    assert_eq!(container["Config"]["Healthcheck"]["Test"][0], "NONE");
    assert!(
        container["State"]["Health"].is_null(),
        "{}",
        container["State"]
    );
    assert_eq!(container["Config"]["Labels"]["io.casemate.user"], "tester");
    assert_eq!(server.shell("ls").await.stdout(), "");
    // The prepared image is still the operator's image: it can be run as that.
    let config = |image: &str| docker::inspect("image", image)["Config"].clone();
    let [prepared] = &image.prepared()[..] else {
        panic!("{:?}", image.prepared())
    };
    for field in [
        "Entrypoint",
        "Cmd",
        "User",
        "WorkingDir",
        "Env",
        "Healthcheck",
    ] {
        assert_eq!(
            config(prepared)[field],
            config(image.name())[field],
            "{field}"
        );
    }
}

#[tokio::test]
async fn an_image_without_a_shell_serves_files_and_says_why_no_command_runs() {
    let archive = Archive::with(&[("etc/only", "file\n")]);
    let image = Image::import(&archive.0);
    let server = TestServer::new().image(image.name()).start().await;
    let result = server.shell("true").await;
    assert!(result.is_error());
    assert_eq!(result.code(), "no_shell", "{}", result.text());
    assert!(
        result.text().contains("bash") && result.text().contains("CASEMATE_IMAGE"),
        "{}",
        result.text()
    );
    let written = server.write("notes/today.txt", "one\ntwo\n").await;
    assert_eq!(written.field("size"), 8, "{}", written.0);
    assert_eq!(server.read("notes/today.txt").await.text(), "one\ntwo\n");
    let listed = server.list("notes").await;
    assert_eq!(
        listed.field("entries")[0]["path"],
        "notes/today.txt",
        "{}",
        listed.0
    );
    // The files outlive the container, as everywhere.
    docker::output(&["rm", "--force", &server.instance.container()]);
    assert_eq!(
        server.read("notes/today.txt").await.text().lines().next(),
        Some("one")
    );
}

#[tokio::test]
async fn an_image_that_cannot_be_used_is_refused_by_what_is_wrong_with_it() {
    for (line, named) in [
        ("VOLUME /", "VOLUME /"),
        ("VOLUME /workspace/sub", "VOLUME /workspace/sub"),
        ("VOLUME /tmp/sub", "VOLUME /tmp/sub"),
        ("VOLUME /proc", "VOLUME /proc"),
        ("VOLUME /casemate-init", "VOLUME /casemate-init"),
        ("ONBUILD RUN true", "ONBUILD"),
    ] {
        let image = Image::build(&format!("FROM {TOOLS_IMAGE}\n{line}\n"));
        let server = TestServer::new().image(image.name()).start().await;
        for result in [server.shell("true").await, server.list(".").await] {
            assert_eq!(result.code(), "image_unusable", "{line}: {}", result.0);
            let text = result.text();
            assert!(
                text.contains(named) && text.contains(image.name()),
                "{line}: {text}"
            );
            assert!(text.contains("CASEMATE_IMAGE"), "{line}: {text}");
        }
        assert!(server.instance.containers().is_empty(), "{line}");
        assert!(server.instance.volumes().is_empty(), "{line}");
        assert!(image.prepared().is_empty(), "{line}");
    }
}

#[tokio::test]
async fn an_image_that_is_missing_is_named_and_used_once_it_is_there() {
    // No registry listens there.
    let missing = Image(format!(
        "127.0.0.1:1/casemate-test-{}:latest",
        uuid::Uuid::new_v4().simple()
    ));
    let server = TestServer::new().image(missing.name()).start().await;
    for result in [
        server.shell("true").await,
        server.write("file", "").await,
        server.shell("true").await,
    ] {
        assert!(result.is_error());
        assert_eq!(result.code(), "image_missing", "{}", result.text());
        assert!(result.text().contains(missing.name()), "{}", result.text());
    }
    assert!(server.instance.containers().is_empty());

    let image = Image::build(&format!(
        "FROM {TOOLS_IMAGE}\nLABEL unique={}\n",
        missing.name()
    ));
    docker::output(&["tag", image.name(), missing.name()]);
    assert_eq!(output(&server, "echo there").await, "there");
}

#[tokio::test]
async fn a_prepared_image_is_made_once_however_many_servers_want_it() {
    let image = Image::build(&format!(
        "FROM {TOOLS_IMAGE}\nLABEL unique={}\n",
        uuid::Uuid::new_v4()
    ));
    let first = TestServer::new().image(image.name()).start().await;
    assert_eq!(output(&first, "echo first").await, "first");
    let prepared = image.prepared();
    assert_eq!(prepared.len(), 1, "{prepared:?}");
    let second = TestServer::new().image(image.name()).start().await;
    assert_eq!(output(&second, "echo second").await, "second");
    assert_eq!(image.prepared(), prepared);
    for server in [&first, &second] {
        let container = docker::inspect("container", &server.instance.container());
        // By id: a tag can move.
        assert_eq!(container["Config"]["Image"], prepared[0].as_str());
        assert_eq!(container["Image"], prepared[0].as_str());
    }
}

/// One line for each program of images/tools/packages: it does its work.
const PROGRAMS: &str = r#"
set -eu
test "$(bash -c 'echo $BASH_VERSION')" != ""
printf 'one\ntwo\nthree\n' > lines
test "$(grep -c t lines)" = 2
test "$(sed -n 2p lines)" = two
test "$(find . -maxdepth 1 -name lines)" = ./lines
test "$(jq -r .a <<< '{"a": "b"}')" = b
test "$(rg --count t lines)" = 2
test "$(file --brief lines)" = "ASCII text"
less --version | grep -q '^less '
printf 'one\n2\nthree\n' > other
diff -u lines other > change || test $? = 1
patch -s lines change && cmp lines other

for program in gzip bzip2 xz; do
    cp lines packed && $program packed && $program -dc packed.* | cmp - lines && rm packed.*
done
tar -czf packed.tar.gz lines && tar -tzf packed.tar.gz | grep -qx lines
zip -q packed.zip lines && rm lines && unzip -q packed.zip && cmp lines other

printf '#include <stdio.h>\n#include <math.h>\nint main(void) { printf("%%.0f\\n", sqrt(1764)); }\n' > answer.c
printf 'answer: answer.c\n\tgcc -Wall -Werror -O2 -o answer answer.c -lm\n' > Makefile
make -s && test "$(./answer)" = 42

test "$(sqlite3 data.db 'create table t(n); insert into t values (7); select n from t;')" = 7
git init -q repository
cd repository
git config user.name tester && git config user.email tester@example.com
echo text > file && git add file && git commit -q -m first
test "$(git log --format=%s)" = first
cd ..
ps -ef | grep -q '[c]asemate-init pid1'
pgrep -f 'casemate-init pid1' | grep -qx 1
free -m > /dev/null
test -s /etc/ssl/certs/ca-certificates.crt

python3 -m venv environment
environment/bin/python -c 'import ctypes, lzma, sqlite3, ssl, sys, zlib; assert sys.prefix != sys.base_prefix'
environment/bin/pip --version | grep -q '^pip .*/workspace/environment/'
pip --version > /dev/null

test "$(node -p '6 * 7')" = 42
mkdir package && cd package && npm init -y > /dev/null
test "$(npm --silent run env | grep ^npm_package_name=)" = npm_package_name=package
npx --offline --version > /dev/null
cd ..
touch café && test "$(ls caf*)" = café
echo all of them
"#;

#[tokio::test]
async fn every_program_of_the_tools_image_does_its_work_in_a_sandbox() {
    let server = TestServer::new().start().await;
    let result = server
        .shell_within(
            &format!("trap 'echo line $LINENO >&2' ERR; set -E; {PROGRAMS}"),
            80,
        )
        .await;
    assert_eq!(result.stdout(), "all of them\n", "{}", result.0);
    assert_eq!(result.stderr(), "");
}
