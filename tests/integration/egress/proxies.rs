//! Connections through the operator's proxy.

use serde_json::json;

use super::lab::{Lab, Talk};
use super::{assert_denied, run, said, started};

const URL: &str = "http://ada:secret@93.187.0.1:3128";

fn settings(url: &str, resolve: &str) -> String {
    format!(
        "[egress]\nallow = [\"one.test\", \"two.test\", \"raw.test:5432/tcp\", \"inner.test\"]\n\
         proxy = {{ url = \"{url}\", resolve = \"{resolve}\" }}\n"
    )
}

#[tokio::test]
async fn the_proxy_is_asked_for_addresses_that_were_judged_here() {
    let lab = Lab::new();
    let one = lab.host("one.test", "93.184.1.1");
    lab.resolver.set("raw.test", ["10.0.0.9", "93.184.1.2"]);
    let raw = lab.tcp("93.184.1.2:5432", Talk::Bye);
    lab.resolver.set("two.test", ["10.0.0.1"]);
    let proxy = lab.proxy("93.187.0.1:3128", ("one.test:443", "93.184.9.9:443"));
    let server = started(&lab, &settings(URL, "here")).await;
    let found = run(
        &server,
        r#"
with socket.create_connection(("raw.test", 5432), timeout=LIMIT) as stream:
    first = read(stream).decode()
say([attempt(tls, "one.test"), first, attempt(tls, "two.test")])"#,
    )
    .await;
    // The target speaks first, and what it says is not lost with the proxy's answer.
    assert_eq!(found.said, json!(["ping", "bye", "EAI_NONAME"]));
    assert_denied(&found.result, "two.test", "private_address");
    let mut asked = proxy.asked();
    asked.sort();
    assert_eq!(asked, ["93.184.1.1:443", "93.184.1.2:5432"]);
    assert_eq!((one.count(), raw.count()), (1, 1));
}

#[tokio::test]
async fn a_proxy_that_resolves_gets_the_name_unless_it_is_refused_here() {
    let lab = Lab::new();
    let inner = lab.tls("93.184.1.1:443", &["inner.test"], Talk::Echo);
    lab.resolver
        .set("two.test", ["93.184.1.1", "169.254.169.254"]);
    let proxy = lab.proxy("93.187.0.1:3128", ("inner.test:443", "93.184.1.1:443"));
    let server = started(&lab, &settings(URL, "proxy")).await;
    let found = run(
        &server,
        "say([attempt(tls, 'inner.test'), attempt(tls, 'two.test'),
              attempt(tls, 'inner.test', server_name='two.test')])",
    )
    .await;
    assert_eq!(found.said[0], "ping", "only the proxy knows it");
    assert_eq!(found.said[1], "EAI_NONAME");
    assert_ne!(found.said[2], "ping", "the handshake is read all the same");
    assert_eq!(proxy.asked(), ["inner.test:443"]);
    assert_eq!(inner.count(), 1);
}

#[tokio::test]
async fn a_refusal_of_the_proxy_is_told() {
    let lab = Lab::new();
    let one = lab.host("one.test", "93.184.1.1");
    let _proxy = lab.proxy("93.187.0.1:3128", ("x.test:443", "93.184.1.1:443"));
    // It wants credentials.
    let server = started(&lab, &settings("http://93.187.0.1:3128", "here")).await;
    let found = run(&server, "say(attempt(tls, 'one.test'))").await;
    assert_eq!(found.said, "ECONNRESET");
    assert_denied(&found.result, "one.test", "proxy_refused");
    assert_eq!(one.count(), 0);
    // The file is read again, and the proxy with it.
    lab.set("casemate.toml", &settings(URL, "here"));
    crate::harness::eventually(
        "it passes",
        std::time::Duration::from_secs(10),
        async || said(&server, "say(attempt(tls, 'one.test'))").await == "ping",
    )
    .await;
}
