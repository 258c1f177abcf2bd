//! Work that people bring to a sandbox, done with what the tools image has.

use crate::harness::TestServer;

/// Stops at the first line that fails, and names it.
const STRICT: &str = "trap 'echo line $LINENO >&2' ERR\nset -eEuo pipefail\n";

/// The output of a script that may take 80 s. Panics if it fails or writes to stderr.
pub async fn output(server: &TestServer, script: &str) -> String {
    let server = server.clone().start().await;
    let result = server.shell_within(&format!("{STRICT}{script}"), 80).await;
    assert_eq!(result.stderr(), "", "{}", result.0);
    assert_eq!(result.exit_code(), 0, "{}", result.0);
    result.stdout().trim_end().to_owned()
}

#[tokio::test]
async fn a_typescript_program_is_bundled_and_run_by_node() {
    let script = r#"
cat > shapes.ts <<'end'
export interface Shape { readonly name: string; area(): number }
export class Square implements Shape {
  constructor(readonly name: string, private side: number) {}
  area(): number { return this.side ** 2 }
}
end
cat > main.ts <<'end'
import { readFileSync } from "node:fs";
import { Square, type Shape } from "./shapes";
enum Unit { Metre = "m²" }
const sides: number[] = JSON.parse(readFileSync("sides.json", "utf8"));
const shapes: Shape[] = sides.map((side, i) => new Square(`s${i}`, side));
console.log(shapes.map((s) => `${s.name}=${s.area()}${Unit.Metre}`).join(" "));
end
echo '[2, 3]' > sides.json
esbuild main.ts --bundle --platform=node --log-level=warning --outfile=main.js
node main.js
esbuild --loader=ts --log-level=warning <<< 'const n: number = 42; console.log(n)' | node
"#;
    let printed = output(&TestServer::new(), script).await;
    assert_eq!(printed, "s0=4m² s1=9m²\n42");
}

#[tokio::test]
async fn a_program_in_cpp_and_an_extension_of_python_are_built() {
    let script = r#"
cat > count.cpp <<'end'
#include <openssl/sha.h>
#include <algorithm>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>
int main() {
  std::map<std::string, int> words;
  for (std::string word; std::cin >> word;) ++words[word];
  for (const auto& [word, count] : words) std::cout << word << ' ' << count << '\n';
  std::vector<int> squares(4);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { squares[i] = i * i; });
  threads.clear();
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>("abc"), 3, hash);
  std::cout << std::ranges::max(squares) << ' ' << std::hex << int(hash[0]) << '\n';
}
end
cat > Makefile <<'end'
count: count.cpp
	g++ -std=c++20 -Wall -Werror -O1 -o $@ $< $$(pkg-config --cflags --libs libcrypto)
end
make -s
printf 'b a b' | ./count
cat > answer.c <<'end'
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "answer", "", -1, methods};
PyMODINIT_FUNC PyInit_answer(void) { return PyModule_Create(&module); }
end
gcc -shared -fPIC $(python3-config --includes) -o answer.so answer.c
python3 -c 'import answer; print(answer.answer())'
"#;
    let printed = output(&TestServer::new(), script).await;
    assert_eq!(printed, "a 1\nb 2\n9 ba\n42");
}

#[tokio::test]
async fn a_page_is_served_found_by_ss_and_fetched_by_curl_and_wget() {
    let script = r#"
mkdir site && echo '<h1>Grüße</h1>' > site/index.html
python3 -m http.server --directory site --bind 127.0.0.1 8123 > log 2>&1 &
node -e 'require("http").createServer((_, a) => a.end("from node")).listen(8124, "127.0.0.1")' &
for port in 8123 8124; do
    curl --silent --retry 50 --retry-delay 1 --retry-connrefused http://127.0.0.1:$port/
done
echo
wget --quiet --output-document=- http://127.0.0.1:8123/index.html
ss --no-header --listening --tcp --numeric 'sport = :8124' | wc -l
ss -Htlnp | grep -c '127.0.0.1:812[34].*"\(python3\|node\)"'
kill %1 %2
"#;
    let printed = output(&TestServer::new(), script).await;
    assert_eq!(printed, "<h1>Grüße</h1>\nfrom node\n<h1>Grüße</h1>\n1\n2");
}

#[tokio::test]
async fn files_are_copied_packed_signed_and_shown() {
    let script = r#"
mkdir -p from/a && echo text > from/a/b && echo 'name size
x 1' > table
rsync --archive --itemize-changes from/ to | wc -l
rsync --archive --itemize-changes from/ to | wc -l
tree --noreport to
tar --zstd -cf packed.tar.zst from && tar -tf packed.tar.zst | tail -1
zstd --quiet table && zstd --quiet --decompress --stdout table.zst | cmp - table
column --table table
xxd -plain table | xxd -plain -reverse | cmp - table
echo 'scale=3; 22/7' | bc
openssl genpkey -algorithm ed25519 -out key && openssl pkey -in key -pubout -out public
openssl pkeyutl -sign -inkey key -rawin -in table -out signature
openssl pkeyutl -verify -pubin -inkey public -rawin -in table -sigfile signature
"#;
    let wanted = "4\n0\nto\n└── a\n    └── b\nfrom/a/b\nname  size\nx     1\n3.142\n\
                  Signature Verified Successfully";
    let printed = output(&TestServer::new(), script).await;
    assert_eq!(printed.replace('\u{a0}', " "), wanted);
}
