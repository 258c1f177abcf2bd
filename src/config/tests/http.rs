//! Callers over HTTP: a way to authenticate needs its other settings.

use super::*;

/// What `--auth jwt` needs.
pub const JWT: [&str; 6] = [
    "--jwt-issuer",
    "https://id.example.com/",
    "--jwt-audience",
    "https://mcp.example.com/mcp",
    "--jwt-jwks",
    "https://id.example.com/keys",
];

fn auth(flags: &[&str]) -> Auth {
    load(flags, &[]).unwrap().http.auth
}

#[test]
fn each_way_to_authenticate_has_what_it_needs() {
    assert_eq!(auth(&[]), Auth::None);
    assert_eq!(auth(&["--auth", "none"]), Auth::None);
    assert_eq!(
        auth(&["--auth", "tokens", "--tokens-file", "a/b.toml"]),
        Auth::Tokens("a/b.toml".into())
    );
    let jwt = JwtSettings {
        issuer: "https://id.example.com/".parse().unwrap(),
        audience: "https://mcp.example.com/mcp".to_owned(),
        jwks: JwksSource::Url("https://id.example.com/keys".parse().unwrap()),
    };
    assert_eq!(
        auth(&[&["--auth", "jwt"], &JWT[..]].concat()),
        Auth::Jwt(jwt)
    );
}

#[test]
fn one_without_what_it_needs_names_the_missing_key() {
    assert_eq!(
        refused(&["--auth", "tokens"], &[]),
        "flag --auth: tokens needs tokens_file too"
    );
    for (missing, key) in [(0, "jwt_issuer"), (2, "jwt_audience"), (4, "jwt_jwks")] {
        let mut flags = JWT.to_vec();
        flags.drain(missing..missing + 2);
        assert_eq!(
            refused(&flags, &[("CASEMATE_AUTH", "jwt")]),
            format!("variable CASEMATE_AUTH: jwt needs {key} too")
        );
    }
}

/// Its operator believes that callers are authenticated.
#[test]
fn what_another_way_takes_is_an_error_and_not_ignored() {
    assert_eq!(
        refused(&["--tokens-file", "/a"], &[]),
        "flag --tokens-file: it has no effect unless auth is tokens"
    );
    let flags = ["--auth", "tokens", "--tokens-file", "/a"];
    assert_eq!(
        refused(&flags, &[("CASEMATE_JWT_AUDIENCE", "a")]),
        "variable CASEMATE_JWT_AUDIENCE: it has no effect unless auth is jwt"
    );
}

#[test]
fn the_settings_of_sign_in_need_each_other() {
    let jwt = |more: &[&'static str]| [&["--auth", "jwt"], &JWT[..], more].concat();
    for (flags, said) in [
        (
            vec!["--session-key-file", "/k"],
            "flag --session-key-file: it has no effect unless auth is tokens, or oidc_client_id is given",
        ),
        (
            jwt(&["--session-key-file", "/k"]),
            "flag --session-key-file: it has no effect unless auth is tokens, or oidc_client_id is given",
        ),
        (
            jwt(&["--oidc-client-id", "c"]),
            "flag --oidc-client-id: it needs public_url too",
        ),
        (
            jwt(&["--oidc-client-secret-file", "/s"]),
            "flag --oidc-client-secret-file: it has no effect without oidc_client_id",
        ),
        (
            jwt(&["--oidc-scopes", "openid"]),
            "flag --oidc-scopes: it has no effect without oidc_client_id",
        ),
        (
            vec!["--oidc-client-id", "c", "--public-url", "https://a.test"],
            "flag --oidc-client-id: it has no effect unless auth is jwt",
        ),
    ] {
        assert_eq!(refused(&flags, &[]), said, "{flags:?}");
    }
    for url in [
        "https://a.test/casemate",
        "http://a.test",
        "https://a.test?a",
        "a.test",
    ] {
        let error = refused(&jwt(&["--oidc-client-id", "c", "--public-url", url]), &[]);
        let start = format!("flag --public-url: {url:?} is not allowed: ");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn the_url_of_the_server_is_for_links_too_and_needs_no_sign_in() {
    let http = load(&["--public-url", "https://a.test"], &[]).unwrap().http;
    let url = http.public_url.expect("a URL");
    assert_eq!(url.as_uri().to_string(), "https://a.test/");
    assert!(load(&["--public-url", "https://a.test/b"], &[]).is_err());
}

#[test]
fn a_sign_in_asks_for_openid_and_the_scopes_that_are_given() {
    let client = ["--oidc-client-id", "c", "--public-url", "https://a.test"];
    let flags = [&["--auth", "jwt"], &JWT[..], &client].concat();
    let scopes = |flags: &[&str]| load(flags, &[]).unwrap().http.sign_in.unwrap().scopes;
    assert_eq!(scopes(&flags), limits::OIDC_SCOPES);
    for (given, asked) in [
        ("openid", "openid"),
        ("tools openid", "tools openid"),
        ("api://a/tools b", "openid api://a/tools b"),
        ("openids", "openid openids"),
        ("!#[]~", "openid !#[]~"),
    ] {
        assert_eq!(
            scopes(&[&flags[..], &["--oidc-scopes", given]].concat()),
            asked
        );
    }
    let long = "a".repeat(1025);
    for bad in [
        "", " ", "a  b", " a", "a ", "a\tb", "a\"b", "a\\b", "ä", "a\u{7f}", &long,
    ] {
        let error = refused(&[&flags[..], &["--oidc-scopes", bad]].concat(), &[]);
        assert!(error.starts_with("flag --oidc-scopes: "), "{error}");
        assert!(error.contains("scopes are words"), "{error}");
    }
}

#[test]
fn an_issuer_is_a_url_so_that_no_name_of_a_token_is_one() {
    for issuer in ["local", "webapp", "http://id.example.com", ""] {
        let mut flags = [&["--auth", "jwt"], &JWT[..]].concat();
        flags[3] = issuer;
        let error = refused(&flags, &[]);
        let start = format!("flag --jwt-issuer: {issuer:?} is not allowed: a URL is ");
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn lists_have_commas_and_a_wildcard_is_in_none() {
    let flags = [
        "--allowed-hosts",
        "a.example, B.example:80,",
        "--allowed-origins",
        "",
    ];
    let http = load(&flags, &[]).unwrap().http;
    let hosts = ["a.example", "b.example:80"].map(|host| host.parse().unwrap());
    assert_eq!(http.allowed_hosts, Some(hosts.to_vec()));
    assert_eq!(http.allowed_origins, Some(Vec::new()));
    for (flag, value) in [
        ("--allowed-hosts", "*"),
        ("--allowed-origins", "*"),
        ("--allowed-origins", "null"),
        ("--allowed-origins", "https://a.example/page"),
    ] {
        let error = refused(&[flag, value], &[]);
        assert!(
            error.starts_with(&format!("flag {flag}: {value:?}")),
            "{error}"
        );
    }
}
