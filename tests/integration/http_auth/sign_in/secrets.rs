//! Secrets: none is in the log, and one that cannot be used is refused at the start.

use super::*;
use crate::http_auth::oidc_issuer::{AUDIENCE, CLIENT, Changes, Issuer, at};

#[tokio::test]
async fn no_part_of_a_credential_is_in_the_log() {
    let secret = SettingFile::new("s3cretOfTheClient");
    let issuer = Issuer::start(Some("s3cretOfTheClient")).await;
    let server = at(&issuer).env("CASEMATE_OIDC_CLIENT_SECRET_FILE", &secret.text());
    let (mut server, log) = logged(server).await;
    let mut secrets = vec!["s3cret".to_owned()];
    let mut known = |url: &str, cookie: &str| {
        let (_, query) = url.split_once('?').expect("a query");
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').expect("a pair");
            if ["code", "state", "nonce"].contains(&name) {
                secrets.push(value.to_owned());
            }
        }
        let (_, value) = cookie.split_once('=').expect("a pair");
        secrets.push(value[20..60].to_owned());
    };
    for (changes, status) in [
        (Changes::default(), 303),
        // Text that cannot be parsed is not quoted.
        (
            Changes {
                bare: true,
                ..Changes::default()
            },
            503,
        ),
        (
            Changes {
                token_type: Some("DPoP"),
                ..Changes::default()
            },
            503,
        ),
        (
            Changes {
                id: vec![("nonce", json!("another"))],
                ..Changes::default()
            },
            400,
        ),
    ] {
        let shown = format!("{changes:?}");
        issuer.changes(changes);
        let (location, flow) = begin(&server).await;
        let url = issuer.authorize(&location);
        known(&url, &flow);
        known(&location, &flow);
        let reply = back(&server, &url, &flow).await;
        assert_eq!(reply.status, status, "{shown}: {}", reply.text());
        if status == 303 {
            let cookie = reply.cookie("__Host-casemate");
            known(&url, &cookie);
            assert_eq!(page(&server, "GET", "/status", &cookie).await.status, 200);
            let other = page(&server, "GET", "/v1/files/list", &cookie).await;
            assert_eq!(other.status, 401);
        }
    }
    server.signal("TERM");
    server.wait().await;
    let log = fs::read_to_string(log.path()).expect("a log");
    assert!(
        log.contains("TRACE") && log.contains("a sign-in was refused"),
        "{log}"
    );
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{secret}");
    }
    // The head of each token that this issuer signs.
    assert!(!log.contains("eyJ"), "{log}");
}

#[test]
fn a_key_or_secret_that_is_none_is_refused_at_the_start_and_not_shown() {
    let tokens = SettingFile::new(&rows(&[ADA]));
    let short = SettingFile::new("c2hvcnQta2V5LXNob3J0LWtleQ==");
    let empty = SettingFile::new("\n");
    let tokens = tokens.text();
    let tokens = [
        ("CASEMATE_AUTH", "tokens"),
        ("CASEMATE_TOKENS_FILE", &tokens),
    ];
    let oidc = [
        ("CASEMATE_AUTH", "jwt"),
        ("CASEMATE_JWT_ISSUER", "https://id.test"),
        ("CASEMATE_JWT_AUDIENCE", AUDIENCE),
        ("CASEMATE_JWT_JWKS", "https://id.test/keys"),
        ("CASEMATE_OIDC_CLIENT_ID", CLIENT),
        ("CASEMATE_PUBLIC_URL", "https://a.test"),
    ];
    let (short, empty) = (short.text(), empty.text());
    for (variables, file, said) in [
        (
            &tokens[..],
            ("CASEMATE_SESSION_KEY_FILE", &short),
            "32 bytes in base64",
        ),
        (
            &tokens[..],
            ("CASEMATE_SESSION_KEY_FILE", &empty),
            "32 bytes in base64",
        ),
        (
            &oidc[..],
            ("CASEMATE_OIDC_CLIENT_SECRET_FILE", &empty),
            "the client's secret",
        ),
    ] {
        let variables = [variables, &[(file.0, file.1.as_str())]].concat();
        let (code, _, errors) = casemate(&["serve", "--http", "127.0.0.1:0"], &variables);
        assert_eq!(code, Some(1), "{errors}");
        assert!(
            errors.contains(said) && errors.contains(file.1.as_str()),
            "{errors}"
        );
        assert!(
            !errors.contains("c2hvcnQ") && !errors.contains("listening"),
            "{errors}"
        );
    }
}
