//! To which addresses of a name connections are made.

use std::time::Duration;

use serde_json::json;

use super::lab::{Answer, Lab, SERVER, SERVER_PUBLIC, Talk, Target, addresses_of};
use super::{assert_denied, denied, run, said, started};

/// A rule that allows the networks of all metadata services, bare and wrapped.
const WIDE: &str = r#"[egress]
allow = [{ host = "name.test", port = 443, allow_cidrs = [
    "169.254.0.0/16", "100.64.0.0/10", "168.63.129.0/24", "fd00::/8", "2002::/16", "64:ff9b::/96",
] }]
"#;

/// Longer than judged addresses and answers are kept.
const FORGOTTEN: Duration = Duration::from_secs(62);

/// A server for the name at an address in the server's own namespace.
fn at_the_server(lab: &Lab, address: &str) -> Target {
    let listener = lab.here.listen(address.parse().expect("an address"));
    Target::start(listener, None, Talk::Echo)
}

#[tokio::test]
async fn a_name_whose_addresses_are_not_public_does_not_exist() {
    let lab = Lab::new();
    let addresses = [
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.9",
        "100.64.0.1",
        "169.254.1.1",
        "198.18.0.1",
        "203.0.113.7",
        "240.0.0.1",
    ];
    let decoys = addresses.map(|address| lab.tcp(&format!("{address}:443"), Talk::Echo));
    let six = [
        "fd00::7",
        "fe80::7",
        "::ffff:10.1.2.3",
        "64:ff9b::a01:203",
        "2001:db8::1",
    ];
    let server = started(&lab, "[egress]\nallow = [\"*.private.test\"]\n").await;
    let all: Vec<_> = addresses.iter().chain(&six).collect();
    for (number, address) in all.iter().enumerate() {
        let name = format!("n{number}.private.test");
        lab.resolver.set(&name, [**address]);
        let run = run(&server, &format!("say(attempt(tls, '{name}'))")).await;
        assert_eq!(run.said, "EAI_NONAME", "{address}");
        assert_denied(&run.result, &name, "private_address");
    }
    for decoy in &decoys {
        assert_eq!(decoy.count(), 0, "{}", decoy.address);
    }
    assert_eq!(lab.resolver.lookups("n0.private.test"), 1);
}

#[tokio::test]
async fn of_several_addresses_only_those_that_pass_are_dialled() {
    let lab = Lab::new();
    let private = lab.tcp("10.1.2.3:443", Talk::Echo);
    let public = lab.tls(
        "93.184.1.1:443",
        &["both.test", "dead.test", "mapped.test"],
        Talk::Echo,
    );
    lab.resolver.set("both.test", ["10.1.2.3", "93.184.1.1"]);
    lab.resolver.set("dead.test", ["93.186.0.1", "93.184.1.1"]);
    lab.resolver
        .set("mapped.test", ["::ffff:10.1.2.3", "93.184.1.1"]);
    let allow = "[egress]\nallow = [\"both.test\", \"dead.test\", \"mapped.test\"]\n";
    let server = started(&lab, allow).await;
    let names = "('both.test', 'dead.test', 'mapped.test')";
    let script = format!("say([attempt(tls, name) for name in {names} for _ in range(3)])");
    assert_eq!(said(&server, &script).await, json!(vec!["ping"; 9]));
    assert_eq!((private.count(), public.count()), (0, 9));
}

#[tokio::test]
async fn four_addresses_are_tried_and_no_fifth() {
    let lab = Lab::new();
    let fifth = lab.tls("93.184.1.5:443", &["fifth.test", "fourth.test"], Talk::Echo);
    // Nothing listens at the others. An answer with forty comes over TCP.
    let many: Vec<_> = (1..=40).map(|last| format!("93.184.1.{last}")).collect();
    lab.resolver
        .set("fifth.test", many.iter().map(String::as_str));
    lab.resolver
        .set("fourth.test", many[1..].iter().map(String::as_str));
    let allow = "[egress]\nallow = [\"fifth.test\", \"fourth.test\"]\n";
    let server = started(&lab, allow).await;
    assert_eq!(
        said(&server, "say(attempt(tls, 'fourth.test'))").await,
        "ping"
    );
    let run = run(&server, "say(attempt(tls, 'fifth.test'))").await;
    assert_ne!(run.said, "ping");
    assert_denied(&run.result, "fifth.test", "unreachable");
    assert_eq!(fifth.count(), 1);
}

#[tokio::test]
async fn a_resolver_that_changes_its_answer_gains_nothing() {
    let lab = Lab::new();
    let public = lab.tls("93.184.1.1:443", &["name.test"], Talk::Echo);
    let loopback = at_the_server(&lab, "127.0.0.1:443");
    // A and AAAA of the first lookup.
    let [judged, other] = ["93.184.1.1", "127.0.0.1"].map(|address| addresses_of([address]));
    lab.resolver
        .answer("name.test", [judged.clone(), judged, other]);
    let server = started(&lab, "[egress]\nallow = [\"name.test\"]\n").await;
    let script = "say([attempt(tls, 'name.test') for _ in range(5)])";
    assert_eq!(said(&server, script).await, json!(vec!["ping"; 5]));
    assert_eq!(
        lab.resolver.lookups("name.test"),
        1,
        "the judged address was dialled"
    );
    assert_eq!((public.count(), loopback.count()), (5, 0));

    // An address that is kept for too long leads to a new question, and that answer is judged.
    let kept = "open('kept', 'w').write(addresses('name.test')[0]); say(True)";
    assert_eq!(said(&server, kept).await, true);
    tokio::time::sleep(FORGOTTEN).await;
    let script = "say(attempt(tls, open('kept').read(), server_name='name.test'))";
    assert_ne!(said(&server, script).await, "ping");
    let run = run(&server, "say(attempt(tls, 'name.test'))").await;
    assert_eq!(run.said, "EAI_NONAME");
    assert_denied(&run.result, "name.test", "own_address");
    assert_eq!((public.count(), loopback.count()), (5, 0));
}

#[tokio::test]
async fn no_rule_reaches_a_clouds_metadata() {
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ] {
        let lab = Lab::new();
        let decoys = [
            "169.254.169.254:443",
            "[fd00:ec2::254]:443",
            "[2002:a9fe:a9fe::1]:443",
        ]
        .map(|address| lab.tcp(address, Talk::Echo));
        lab.resolver.set("name.test", [address]);
        let server = started(&lab, WIDE).await;
        let run = run(&server, "say(attempt(tls, 'name.test'))").await;
        assert_eq!(run.said, "EAI_NONAME", "{address}");
        assert_denied(&run.result, "name.test", "metadata_address");
        for decoy in decoys {
            assert_eq!(decoy.count(), 0, "{address}");
        }
    }
}

#[tokio::test]
async fn the_servers_own_addresses_are_refused_and_deny_goes_before_every_rule() {
    let lab = Lab::new();
    let own = [SERVER, SERVER_PUBLIC, "127.0.0.1"]
        .map(|address| at_the_server(&lab, &format!("{address}:443")));
    let denied_host = lab.host("denied.test", "93.184.1.1");
    lab.resolver.set("interface.test", [SERVER]);
    lab.resolver.set("public.test", [SERVER_PUBLIC]);
    lab.resolver.set("six.test", ["2600:9000::1"]);
    lab.resolver.set("loopback.test", ["127.0.0.1"]);
    let server = started(
        &lab,
        r#"[egress]
allow = [
    "interface.test", "public.test", "six.test", "loopback.test",
    { host = "denied.test", port = 443, allow_cidrs = ["93.184.0.0/16"] },
]
deny = ["93.184.1.0/24"]
"#,
    )
    .await;
    for (name, reason) in [
        ("interface.test", "own_address"),
        ("public.test", "own_address"),
        ("six.test", "own_address"),
        ("loopback.test", "own_address"),
        ("denied.test", "denied_address"),
    ] {
        let run = run(&server, &format!("say(attempt(tls, '{name}'))")).await;
        assert_eq!(run.said, "EAI_NONAME", "{name}");
        assert_denied(&run.result, name, reason);
    }
    assert!(own.iter().all(|target| target.count() == 0));
    assert_eq!(denied_host.count(), 0);
}

#[tokio::test]
async fn a_rule_with_a_private_network_reaches_it_and_no_other() {
    let lab = Lab::new();
    let mirror = lab.host("mirror.test", "10.1.2.3");
    let other = lab.host("other.test", "10.1.3.3");
    let server = started(
        &lab,
        r#"[egress]
allow = [
    { host = "mirror.test", port = 443, allow_cidrs = ["10.1.2.0/24"] },
    { host = "other.test", port = 443, allow_cidrs = ["10.1.2.0/24"] },
]
"#,
    )
    .await;
    let run = run(
        &server,
        "say([attempt(tls, name) for name in ('mirror.test', 'other.test')])",
    )
    .await;
    assert_eq!(run.said, json!(["ping", "EAI_NONAME"]));
    assert_denied(&run.result, "other.test", "private_address");
    assert_eq!((mirror.count(), other.count()), (1, 0));
}

#[tokio::test]
async fn a_resolver_that_fails_is_no_answer_that_the_name_does_not_exist() {
    let lab = Lab::new();
    lab.resolver.answer("silent.test", [Answer::Silence]);
    lab.resolver.answer("failed.test", [Answer::Failure]);
    let allow = "[egress]\nallow = [\"silent.test\", \"failed.test\", \"unknown.test\"]\n";
    let server = started(&lab, allow).await;
    let run = run(
        &server,
        r#"
names = ("silent.test", "failed.test", "unknown.test")
four = lambda name: socket.getaddrinfo(name, 443, socket.AF_INET)
say([[attempt(look, name) for name in names] for look in (four, addresses)])"#,
    )
    .await;
    let failures = json!(["EAI_AGAIN", "EAI_AGAIN", "EAI_NONAME"]);
    assert_eq!(run.said[0], failures, "the answer for IPv4");
    assert_eq!(run.said[1], failures, "with the answer for IPv6 beside it");
    let unresolved = ("unknown.test".to_owned(), "unresolved".to_owned());
    assert!(
        denied(&run.result).contains(&unresolved),
        "{}",
        run.result.0
    );
}
