//! Sandboxes from any Linux image: its parts are used or ignored as documented, an unusable
//! image is refused with the reason, and Casemate needs no shell.

mod data;
mod described;
mod documented;
mod ignored;
mod unusable;
mod work;

use crate::harness::docker::{self, Image};
use crate::harness::{Server, TOOLS_IMAGE, TestServer};

/// The output of a command. Panics if it fails.
async fn output(server: &Server, command: &str) -> String {
    let result = server.shell(command).await;
    assert_eq!(result.exit_code(), 0, "{command:.200}: {}", result.0);
    result.stdout().trim_end().to_owned()
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
        // By id: a tag can move. Podman stores the id, and shows a name of the image here.
        if !docker::is_podman() {
            assert_eq!(container["Config"]["Image"], prepared[0].as_str());
        }
        assert_eq!(container["Image"], prepared[0].as_str());
    }
}

/// One line for each program of images/tools/packages that [`work`] does not use: it does its work.
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
