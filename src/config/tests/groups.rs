//! Groups: their users, and the settings that count for them.

use serde_json::{Value, json};

use super::*;
use crate::identity::GroupName;

const GROUPS: &str = r#"
memory = "1g"
pids = 100

[egress]
allow = ["everybody.example.com"]

[[groups]]
name = "analysts"
users = ["ada", "bob"]
memory = "2g"
pids = 200
egress = { allow = ["analysts.example.com"], extend = true }

[[groups]]
name = "remote"
users = ["ada"]
issuer = "https://issuer.example"
pids = 201

[[groups]]
name = "chat"
delegate = "webapp"
image = "debian:12"
egress = { allow = ["chat.example.com"] }

[[users]]
user = "ada"
pids = 300
egress = { allow = ["ada.example.com"], extend = true }

[[users]]
user = "bob"
egress = { allow = ["bob.example.com"] }
"#;

const BY_CLAIMS: &str = r#"
auth = "jwt"
jwt_issuer = "https://issuer.example"
jwt_audience = "casemate"
jwt_jwks = "/srv/keys.json"

[[groups]]
name = "listed"
users = ["zoe"]
issuer = "https://issuer.example"

[[groups]]
name = "analysts"
claims = { groups = "analysts" }

[[groups]]
name = "leads"
claims = { groups = "staff", role = "lead" }

[[groups]]
name = "all-staff"
claims = { groups = "staff" }
"#;

const ISSUER: &str = "https://issuer.example";

fn user(issuer: &str, subject: &str) -> User {
    User {
        issuer: issuer.parse().unwrap(),
        subject: subject.parse().unwrap(),
    }
}

fn group(config: &Config, user: User) -> Option<String> {
    let identity = config.without_token(user);
    identity.group_str().map(str::to_owned)
}

fn rules(config: &Config, identity: &Identity) -> Vec<String> {
    let rules = config.egress.rules(identity);
    rules.iter().map(ToString::to_string).collect()
}

#[test]
fn a_value_is_the_users_own_or_the_groups_or_everybodys() {
    let config = load_file("order", GROUPS).unwrap();
    let of = |user: User| {
        let settings = config.for_identity(&config.without_token(user));
        (settings.memory.0 >> 30, settings.pids)
    };
    assert_eq!(of(local("ada")), (2, 300));
    assert_eq!(of(local("bob")), (2, 200));
    assert_eq!(of(local("carol")), (1, 100));
    assert_eq!(of(user(ISSUER, "ada")), (1, 201));
    let chat = config.for_identity(&config.without_token(user("webapp", "anybody")));
    assert_eq!(chat.image.as_str(), "debian:12");
    assert!(
        config
            .images()
            .contains(&("debian:12".parse().unwrap(), Profile::Standard))
    );

    let names = [
        (local("ada"), Some("analysts")),
        (local("Ada"), None),
        (local("ada "), None),
        (user(ISSUER, "ada"), Some("remote")),
        (user(ISSUER, "bob"), None),
        (user("webapp", "bob"), Some("chat")),
        (user("webapp2", "bob"), None),
        (local("webapp"), None),
    ];
    for (user, expected) in names {
        let shown = user.to_string();
        assert_eq!(group(&config, user).as_deref(), expected, "{shown}");
    }
}

#[test]
fn rules_extend_from_everybody_over_the_group_to_the_user() {
    let config = load_file("rules", GROUPS).unwrap();
    let of = |user: User| rules(&config, &config.without_token(user));
    let (everybody, analysts) = ("everybody.example.com", "analysts.example.com");
    assert_eq!(of(local("ada")), ["ada.example.com", analysts, everybody]);
    // The user's own replaces both.
    assert_eq!(of(local("bob")), ["bob.example.com"]);
    assert_eq!(of(local("carol")), [everybody]);
    assert_eq!(of(user("webapp", "eve")), ["chat.example.com"]);
    // A group without a list has that of everybody.
    assert_eq!(of(user(ISSUER, "ada")), [everybody]);
    assert!(!config.egress.is_empty());
    assert_eq!(config.egress.all_rules().len(), 5);

    let ada = config.without_token(local("ada"));
    let rules = config.egress.rules(&ada);
    let layers: Vec<_> = rules
        .iter()
        .map(|rule| config.egress.layer_of(&ada, rule))
        .collect();
    assert_eq!(
        layers,
        [RuleLayer::User, RuleLayer::Group, RuleLayer::Everybody]
    );
    let from = config.egress_origin(&ada, RuleLayer::Group).to_string();
    assert!(from.starts_with("key egress in line 13 of"), "{from}");
}

#[test]
fn a_group_that_the_settings_do_not_have_reaches_nothing() {
    let config = load_file("gone", GROUPS).unwrap();
    let name: GroupName = "gone".parse().unwrap();
    for subject in ["ada", "bob", "carol"] {
        let group = Some(name.clone());
        let user = local(subject);
        assert!(
            rules(
                &config,
                &Identity {
                    group,
                    ..Identity::from(user)
                }
            )
            .is_empty(),
            "{subject}"
        );
    }
}

fn claimed(config: &Config, claims: &Value) -> Result<Option<String>, GroupUnknown> {
    let claims: TokenClaims = serde_json::from_value(claims.clone()).unwrap();
    let ada = user(ISSUER, "ada");
    let group = config.groups.find(&ada, TokenView::Claims(&claims))?;
    Ok(group.map(|group| group.name.to_string()))
}

#[test]
fn the_first_group_whose_claims_match_holds() {
    let config = load_file("claims", BY_CLAIMS).unwrap();
    for (claims, expected) in [
        (json!({ "groups": ["staff", "analysts"] }), Some("analysts")),
        (
            json!({ "groups": ["staff"], "role": "lead" }),
            Some("leads"),
        ),
        (
            json!({ "groups": "staff", "role": ["member"] }),
            Some("all-staff"),
        ),
        (json!({ "groups": [] }), None),
        (json!({ "groups": ["Staff"], "role": "lead" }), None),
    ] {
        assert_eq!(
            claimed(&config, &claims),
            Ok(expected.map(str::to_owned)),
            "{claims}"
        );
    }
}

#[test]
fn a_missing_claim_never_leads_to_a_later_group() {
    let config = load_file("missing", BY_CLAIMS).unwrap();
    let optional = load_file(
        "optional",
        &format!("groups_claim = \"optional\"\n{BY_CLAIMS}"),
    )
    .unwrap();
    for (claims, group, claim, falls_to) in [
        (json!({}), "analysts", "groups", None),
        (json!({ "role": "lead" }), "analysts", "groups", None),
        // Whether it is a lead is not known; that it is staff would be enough for the next table.
        (
            json!({ "groups": ["staff"] }),
            "leads",
            "role",
            Some("all-staff"),
        ),
        (
            json!({ "groups": ["analysts"], "_claim_names": { "groups": "src1" } }),
            "analysts",
            "groups",
            None,
        ),
        (json!({ "hasgroups": true }), "analysts", "groups", None),
    ] {
        let error = claimed(&config, &claims).unwrap_err();
        let expected = (group, claim, false);
        let found = (
            error.group.as_str(),
            error.claim.as_str(),
            error.is_malformed,
        );
        assert_eq!(found, expected, "{claims}");
        let fallen = claimed(&optional, &claims);
        assert_eq!(fallen, Ok(falls_to.map(str::to_owned)), "{claims}");
    }
    for config in [&config, &optional] {
        let error = claimed(config, &json!({ "groups": { "staff": true } })).unwrap_err();
        assert!(error.is_malformed);
        assert!(
            error.to_string().contains("not a text or a list"),
            "{error}"
        );
    }
}

#[test]
fn without_the_token_an_operator_is_told_nothing_that_it_decides() {
    for groups_claim in ["required", "optional"] {
        let content = format!("groups_claim = \"{groups_claim}\"\n{BY_CLAIMS}");
        let config = load_file("operator", &content).unwrap();
        let error = config.named_by_operator(user(ISSUER, "ada")).unwrap_err();
        assert_eq!(error.group.as_str(), "analysts");
        // The first table is certain, and so is that a local user has no token.
        let listed = config.named_by_operator(user(ISSUER, "zoe")).unwrap();
        assert_eq!(listed.group_str(), Some("listed"));
        assert_eq!(
            config.named_by_operator(local("ada")).unwrap(),
            local("ada").into()
        );
    }
}

#[test]
fn who_is_in_which_group_is_a_text_that_tells_settings_apart() {
    let text = |content: &str| load_file("text", content).unwrap().groups.membership_text();
    assert_eq!(text(""), "");
    let (all, other) = (BY_CLAIMS, BY_CLAIMS.replace("\"staff\"", "\"stuff\""));
    let optional = format!("groups_claim = \"optional\"\n{BY_CLAIMS}");
    assert_eq!(text(all), text(all));
    assert_ne!(text(all), text(&other));
    assert_ne!(text(all), text(&optional));
}

#[test]
fn a_bound_directory_may_be_a_groups() {
    let content =
        "bind_root = \"/srv/work\"\n[[groups]]\nname = \"a\"\nusers = [\"ada\"]\nmode = \"bind\"";
    let config = load_file("bind", content).unwrap();
    let ada = config.without_token(local("ada"));
    assert_eq!(config.for_identity(&ada).mode, Mode::Bind);
    assert!(!config.all_users_bind());
}

#[test]
fn a_changed_file_has_the_rules_of_its_groups() {
    let file = TempFile::new("again", GROUPS);
    let config = load(&["--config", file.path()], &[]).unwrap();
    file.write(&GROUPS.replace("analysts.example.com", "other.example.com"));
    let again = config.egress_source.read().unwrap().unwrap();
    let ada = config.without_token(local("ada"));
    let rules: Vec<_> = again.rules(&ada).iter().map(ToString::to_string).collect();
    assert!(rules.contains(&"other.example.com".to_owned()), "{rules:?}");
}
