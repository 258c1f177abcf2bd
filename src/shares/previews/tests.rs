use super::*;
use crate::config::{MapEnvironment, SettingsArgs};
use crate::identity::{User, WorkspaceId};
use crate::shares::LinkClaims;

fn previews(domain: Option<&str>) -> Previews {
    let mut variables = vec![];
    if let Some(domain) = domain {
        variables.push(("CASEMATE_PREVIEW_DOMAIN", domain));
        variables.push(("CASEMATE_PUBLIC_URL", "https://casemate.example.com"));
    }
    let name = format!("casemate-previews-{}", uuid::Uuid::new_v4().simple());
    let directory = std::env::temp_dir().join(name);
    variables.push(("XDG_STATE_HOME", directory.to_str().expect("UTF-8")));
    let variables = variables.into_iter();
    let environment = MapEnvironment {
        variables: variables
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        os_user: "ada".to_owned(),
    };
    let config = Config::load(SettingsArgs::default(), &environment).expect("settings");
    let address = "127.0.0.1:8080".parse().expect("an address");
    let links = Links::new(&config, address).expect("links");
    // It has read the key that it made there.
    std::fs::remove_dir_all(&directory).expect("removed");
    Previews::new(links, &config)
}

fn claims(user: &str, port: u16) -> PreviewClaims {
    PreviewClaims {
        share: LinkClaims {
            workspace: WorkspaceId::from(User::local(user.parse().expect("a subject"))).hash(),
            share: "0123456789abcdef0123456789abcdef".parse().expect("an id"),
            expires: crate::shares::now() + 600,
        },
        target: PreviewTarget::Port {
            port,
            container: "c".repeat(64),
        },
        group: SharerGroup::Named("g".repeat(64).parse().expect("a name")),
    }
}

/// The name and the token of a link.
fn parts(link: &str) -> (PreviewName, String) {
    let (host, token) = link.split_once("/.casemate/open#").expect("a link");
    let (_, host) = host.split_once("://").expect("a scheme");
    let (name, _) = host.split_once('.').expect("a name");
    (
        PreviewName::parse(name).expect("16 characters"),
        token.to_owned(),
    )
}

#[test]
fn a_link_leads_to_a_host_of_its_own_that_is_always_the_same() {
    let previews = previews(None);
    let make = |user: &str, port| previews.make(&claims(user, port), None).expect("a link");
    let link = make("ada", 8000);
    assert!(
        link.starts_with("http://") && link.contains(".localhost:8080/.casemate/open#"),
        "{link}"
    );
    let (name, token) = parts(&link);
    assert_eq!(parts(&make("ada", 8000)).0, name);
    assert_ne!(parts(&make("ada", 8001)).0, name);
    assert_ne!(parts(&make("bob", 8000)).0, name);
    assert_eq!(
        previews.check(Use::Link, &name, &token),
        Some(claims("ada", 8000))
    );
    let host: AllowedHost = format!("{}.localhost:8080", name.as_str())
        .parse()
        .expect("a host");
    assert_eq!(previews.name_of(&host), Some(name));
}

#[test]
fn a_domain_has_https_and_only_its_names_are_previews() {
    let previews = previews(Some("preview.example.com"));
    let link = previews.make(&claims("ada", 3000), None).expect("a link");
    let (name, _) = parts(&link);
    let origin = format!("https://{}.preview.example.com", name.as_str());
    assert!(
        link.starts_with(&format!("{origin}/.casemate/open#")),
        "{link}"
    );
    assert_eq!(previews.origin(&name), Some(origin));
    for (host, is_preview) in [
        (format!("{}.preview.example.com", name.as_str()), true),
        (format!("{}.preview.example.com:443", name.as_str()), true),
        ("casemate.example.com".to_owned(), false),
        ("preview.example.com".to_owned(), false),
        ("abc.preview.example.com".to_owned(), false),
        (format!("a.{}.preview.example.com", name.as_str()), false),
        (
            format!("{}.preview.example.com.evil.test", name.as_str()),
            false,
        ),
        (format!("{}xpreview.example.com", name.as_str()), false),
    ] {
        let parsed: AllowedHost = host.parse().expect("a host");
        assert_eq!(previews.name_of(&parsed).is_some(), is_preview, "{host}");
    }
}

#[test]
fn what_is_signed_for_one_use_on_one_host_opens_nothing_else() {
    let previews = previews(None);
    let claims = claims("ada", 8000);
    let (name, _) = parts(&previews.make(&claims, None).expect("a link"));
    let other = PreviewName::parse("aaaaaaaaaaaaaaaa").expect("a name");
    let uses = [Use::Link, Use::Ticket, Use::UserCookie, Use::LinkCookie];
    for signed_for in uses {
        let token = previews.sign(signed_for, &name, &claims, claims.share.expires);
        let token = token.expect("a key");
        for used_for in uses {
            let found = previews.check(used_for, &name, &token);
            assert_eq!(
                found.is_some(),
                signed_for == used_for,
                "{signed_for:?} {used_for:?}"
            );
            assert_eq!(previews.check(used_for, &other, &token), None);
        }
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(
                previews.check(signed_for, &name, &changed),
                None,
                "{changed}"
            );
        }
        assert_eq!(
            previews.check(signed_for, &name, &token[..token.len() - 1]),
            None
        );
    }
    let over = previews.sign(Use::Ticket, &name, &claims, crate::shares::now());
    assert_eq!(
        previews.check(Use::Ticket, &name, &over.expect("a key")),
        None
    );
}
