use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use casemate_egress::address::OwnAddresses;
use casemate_egress::rules::EgressSettings;

use super::*;

/// Answers with one list after another, the last one from then on.
#[derive(Debug)]
struct TestResolver {
    answers: Vec<Option<Vec<IpAddr>>>,
    asked: AtomicUsize,
    delay: Duration,
}

impl Resolve for TestResolver {
    async fn resolve(&self, _: &HostName) -> io::Result<Vec<IpAddr>> {
        let index = self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.delay).await;
        let answer = &self.answers[index.min(self.answers.len() - 1)];
        answer.clone().ok_or_else(|| io::ErrorKind::TimedOut.into())
    }
}

const RULES: &str = r#"
allow = [
  "packages.example.com",
  "packages.example.com:22/tcp",
  "*.cdn.example.com",
  { host = "mirror.corp.example", port = 8081, protocol = "tcp", allow_cidrs = ["10.1.2.0/24"] },
]
deny = ["198.41.0.4"]
"#;

fn names(answers: &[Option<&[&str]>]) -> Names<TestResolver> {
    let settings: EgressSettings = toml::from_str(RULES).expect("parses");
    let policy = settings.compile("egress.allow").expect("valid");
    let own = OwnAddresses {
        machine: vec!["8.8.4.4".parse().expect("an address")],
        sockets: Vec::new(),
    };
    let addresses = AddressPolicy::new(policy.deny().to_vec(), own);
    let parse = |list: &&[&str]| {
        list.iter()
            .map(|text| text.parse().expect("parses"))
            .collect()
    };
    let resolver = TestResolver {
        answers: answers
            .iter()
            .map(|list| list.as_ref().map(parse))
            .collect(),
        asked: AtomicUsize::new(0),
        delay: Duration::ZERO,
    };
    Names::new(
        Arc::new(policy.rules(&[])),
        Arc::new(addresses),
        Arc::new(resolver),
    )
}

impl Names<TestResolver> {
    fn asked(&self) -> usize {
        self.resolver.asked.load(Ordering::Relaxed)
    }
}

fn host(text: &str) -> HostName {
    HostName::parse(text).expect("a name")
}

fn refused<T>(reason: Reason) -> Result<T, QuestionError> {
    Err(QuestionError::Refused(reason))
}

#[tokio::test]
async fn without_a_rule_no_query_leaves_the_server() {
    let names = names(&[Some(&["1.1.1.1"])]);
    for name in [
        "evil.test",
        "xpackages.example.com",
        "packages.example.com.evil.test",
        "cdn.example.com",
        "a.packages.example.com",
    ] {
        assert_eq!(names.ask(name).await, refused(Reason::NotAllowed), "{name}");
        let target = names.target(&host(name), 443).await;
        assert_eq!(target.err(), Some(Reason::NotAllowed));
    }
    for name in [
        "127.0.0.1",
        "0x7f000001",
        "a b.example.com",
        "packages.example.com%00",
        "",
    ] {
        assert_eq!(
            names.ask(name).await,
            refused(Reason::InvalidName),
            "{name}"
        );
    }
    let other_port = names.target(&host("packages.example.com"), 80).await;
    assert_eq!(other_port.err(), Some(Reason::NotAllowed));
    assert_eq!(names.asked(), 0);
    let none = Names::new(Arc::default(), Arc::default(), names.resolver.clone());
    assert_eq!(
        none.ask("packages.example.com").await,
        refused(Reason::NotAllowed)
    );
    assert_eq!(names.asked(), 0, "no rules: nothing is allowed");
}

#[tokio::test]
async fn every_spelling_is_one_name_with_the_ports_of_its_rules() {
    let names = names(&[Some(&["1.1.1.1"])]);
    let allowed = AllowedName {
        host: host("packages.example.com"),
        ports: vec![22, 443],
    };
    for name in [
        "packages.example.com",
        "Packages.EXAMPLE.com.",
        "packages。example.com",
    ] {
        assert_eq!(names.ask(name).await.as_ref(), Ok(&allowed), "{name}");
    }
    assert_eq!(names.asked(), 1);
}

#[tokio::test]
async fn what_may_not_be_dialled_is_left_out() {
    let mixed = [
        "10.0.0.1",
        "::ffff:169.254.169.254",
        "1.1.1.1",
        "8.8.4.4",
        "1.1.1.1",
    ];
    let mixed = names(&[Some(&mixed)]);
    let target = mixed.target(&host("packages.example.com"), 443).await;
    let passed = target.expect("one is left").addresses.expect("judged here");
    assert_eq!(
        passed.as_slice(),
        ["1.1.1.1".parse::<IpAddr>().expect("parses")]
    );
    for (addresses, reason) in [
        (&["10.0.0.1"][..], Reason::PrivateAddress),
        (&["::ffff:127.0.0.1"], Reason::PrivateAddress),
        (&["169.254.169.254"], Reason::MetadataAddress),
        (&["198.41.0.4"], Reason::DeniedAddress),
        (&["8.8.4.4"], Reason::OwnAddress),
        (&[], Reason::Unresolved),
    ] {
        let names = names(&[Some(addresses)]);
        assert_eq!(names.ask("packages.example.com").await, refused(reason));
        let target = names.target(&host("packages.example.com"), 443).await;
        assert_eq!(target.err(), Some(reason));
        assert_eq!(names.asked(), 1, "a refusal is kept too");
    }
    let inside = names(&[Some(&["10.1.2.3"])]);
    assert!(inside.ask("mirror.corp.example").await.is_ok());
    assert_eq!(
        inside.ask("packages.example.com").await,
        refused(Reason::PrivateAddress)
    );
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_changes_its_answer_gains_nothing() {
    let names = names(&[Some(&["1.1.1.1"]), Some(&["127.0.0.1"])]);
    let name = host("a.cdn.example.com");
    assert!(names.ask("a.cdn.example.com").await.is_ok());
    tokio::time::advance(Duration::from_secs(59)).await;
    let target = names.target(&name, 443).await.expect("as it was judged");
    assert_eq!(
        target.addresses.expect("judged here").as_slice(),
        ["1.1.1.1".parse::<IpAddr>().expect("parses")]
    );
    assert_eq!(names.asked(), 1);
    // Later it is another question, which is judged like the first.
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(
        names.target(&name, 443).await.err(),
        Some(Reason::PrivateAddress)
    );
    assert_eq!(names.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn questions_for_one_name_at_once_are_one_query() {
    let mut names = names(&[Some(&["1.1.1.1"])]);
    Arc::get_mut(&mut names.resolver).expect("alone").delay = Duration::from_secs(1);
    let (first, second, target) = tokio::join!(
        names.ask("packages.example.com"),
        names.ask("PACKAGES.example.com"),
        async { names.target(&host("packages.example.com"), 443).await },
    );
    assert!(first.is_ok() && first == second && target.is_ok());
    assert_eq!(names.asked(), 1);
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_is_asked_again() {
    let names = names(&[None, None, Some(&["1.1.1.1"])]);
    assert_eq!(
        names.ask("packages.example.com").await,
        Err(QuestionError::Failed)
    );
    let target = names.target(&host("packages.example.com"), 443).await;
    assert_eq!(target.err(), Some(Reason::Unresolved));
    assert!(names.ask("packages.example.com").await.is_ok());
}

#[tokio::test]
async fn where_the_proxy_resolves_a_name_that_leads_to_a_refused_address_here_is_refused() {
    let through = |answers: &[Option<&[&str]>]| {
        names(answers).through(Some(Arc::new(Proxy {
            host: "proxy.example.com".to_owned(),
            port: 3128,
            credentials: None,
            resolved_by: ResolvedBy::Proxy,
        })))
    };
    // Known here, unknown here, and no answer.
    for answer in [Some(&["1.1.1.1"][..]), Some(&[]), None] {
        let names = through(&[answer]);
        assert!(names.ask("packages.example.com").await.is_ok());
        let target = names.target(&host("packages.example.com"), 443).await;
        assert_eq!(target.expect("allowed").addresses, None);
        assert_eq!(names.ask("evil.test").await, refused(Reason::NotAllowed));
    }
    // The proxy could choose the second.
    let names = through(&[Some(&["1.1.1.1", "127.0.0.1"])]);
    let target = names.target(&host("packages.example.com"), 443).await;
    assert_eq!(target.err(), Some(Reason::PrivateAddress));
}

#[tokio::test(start_paused = true)]
async fn so_many_names_are_kept_and_the_oldest_goes() {
    let names = names(&[Some(&["1.1.1.1"])]);
    for number in 0..=KEPT_LIMIT {
        let name = format!("{number}.cdn.example.com");
        assert!(names.ask(&name).await.is_ok());
        tokio::time::advance(Duration::from_millis(20)).await;
        assert!(names.kept.lock().len() <= KEPT_LIMIT);
    }
    let asked = names.asked();
    assert!(names.ask("1.cdn.example.com").await.is_ok());
    assert_eq!(names.asked(), asked, "kept");
    assert!(names.ask("0.cdn.example.com").await.is_ok());
    assert_eq!(names.asked(), asked + 1, "forgotten");
}
