//! Checks the sign-in on the page: its secrets, and the name under which browsers find it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, Inputs};
use crate::config::{AllowedHost, Config, HttpSettings, WebOrigin};

/// The permission of everybody to read a file.
const OTHERS_READ: u32 = 0o004;

/// Checks that people could sign in.
pub fn look(config: &Config, given: &Inputs<'_>) -> Vec<Finding> {
    let error = given.sessions.as_ref().err().map(|error| {
        let said = format!("users could not sign in on the page: {error}");
        Finding::error("sign-in", said)
            .fix("fix the file named above; this user must be able to read it")
    });
    let secrets = secrets(&config.http).filter_map(open_to_all);
    let found = error.into_iter().chain(secrets);
    found.chain(unlisted(&config.http)).collect()
}

fn secrets(http: &HttpSettings) -> impl Iterator<Item = &Path> {
    let client = http.sign_in.as_ref();
    let client = client.and_then(|client| client.client_secret_file.as_deref());
    http.session_key_file.as_deref().into_iter().chain(client)
}

/// A reader of the session key can be any user of the page.
fn open_to_all(secret: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(secret).ok()?.mode();
    let said = format!("every user of this machine can read {secret:?}");
    (mode & OTHERS_READ != 0).then(|| {
        Finding::warning("sign-in", said)
            .fix("let only the user that the server runs as read it: `chmod 0400`")
    })
}

/// The server refuses requests to a name, and from an origin, that is not listed.
fn unlisted(http: &HttpSettings) -> Option<Finding> {
    let url = http.sign_in.as_ref()?.public_url.as_uri();
    // Plain HTTP is for this machine, whose names are listed already.
    let authority = url
        .authority()
        .filter(|_| url.scheme_str() == Some("https"))?;
    // Both headers leave out the scheme's own port.
    let origin: WebOrigin = format!("https://{authority}").parse().ok()?;
    let name = origin.as_str().trim_start_matches("https://");
    let host: AllowedHost = name.parse().ok()?;
    let hosts = http.allowed_hosts.as_deref().unwrap_or_default();
    let origins = http.allowed_origins.as_deref().unwrap_or_default();
    let (setting, value) = if !hosts.iter().any(|listed| listed.fits(&host)) {
        ("allowed_hosts", name)
    } else if !origins.contains(&origin) {
        ("allowed_origins", origin.as_str())
    } else {
        return None;
    };
    let said =
        format!("the server refuses the page at public_url: {setting} does not list {value}");
    Some(Finding::warning("sign-in", said).fix(format!("add {value} to {setting}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{AwsVariables, MapEnvironment, SettingsArgs};

    const JWT: [(&str, &str); 6] = [
        ("CASEMATE_AUTH", "jwt"),
        ("CASEMATE_JWT_ISSUER", "https://id.test"),
        ("CASEMATE_JWT_AUDIENCE", "casemate"),
        ("CASEMATE_JWT_JWKS", "https://id.test/keys"),
        ("CASEMATE_OIDC_CLIENT_ID", "page"),
        ("CASEMATE_PUBLIC_URL", "https://A.test"),
    ];
    const HOSTS: (&str, &str) = ("CASEMATE_ALLOWED_HOSTS", "b.test,a.test");
    const ORIGINS: (&str, &str) = ("CASEMATE_ALLOWED_ORIGINS", "https://a.test");

    fn found(variables: &[(&str, &str)], sessions: Result<(), String>) -> Vec<String> {
        let mut environment = MapEnvironment {
            os_user: "ada".to_owned(),
            ..MapEnvironment::default()
        };
        let variables = JWT.iter().chain(variables);
        let variables = variables.map(|(name, value)| ((*name).into(), (*value).into()));
        environment.variables.extend(variables);
        let config = Config::load(SettingsArgs::default(), &environment).expect("settings");
        let given = Inputs {
            keeps_old_egress: false,
            config: Ok(&config),
            callers: Ok(()),
            sessions,
            aws: AwsVariables::default(),
        };
        let found = look(&config, &given).into_iter();
        found.map(|finding| finding.found).collect()
    }

    #[test]
    fn a_page_that_the_server_would_refuse_is_named() {
        let missing = |variables: &[(&str, &str)]| {
            let found = found(variables, Ok(()));
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        assert!(missing(&[]).ends_with("allowed_hosts does not list a.test"));
        assert!(missing(&[HOSTS]).ends_with("allowed_origins does not list https://a.test"));
        assert_eq!(found(&[HOSTS, ORIGINS], Ok(())), [""; 0]);
        let port = ("CASEMATE_PUBLIC_URL", "https://A.test:443");
        assert!(missing(&[port]).ends_with("allowed_hosts does not list a.test"));
        assert_eq!(found(&[port, HOSTS, ORIGINS], Ok(())), [""; 0]);
        let other = ("CASEMATE_PUBLIC_URL", "https://a.test:8443");
        assert!(missing(&[other, HOSTS, ORIGINS]).ends_with("does not list https://a.test:8443"));
        let here = ("CASEMATE_PUBLIC_URL", "http://localhost:8080");
        assert_eq!(found(&[here], Ok(())), [""; 0]);
    }

    #[test]
    fn a_secret_that_everybody_can_read_is_a_warning() {
        let path = std::env::temp_dir().join(format!("casemate-test-{}", uuid::Uuid::new_v4()));
        fs::write(&path, "s3cret").expect("a file");
        let text = path.display().to_string();
        let said = |mode, name| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            found(&[HOSTS, ORIGINS, (name, &text)], Ok(()))
        };
        for name in [
            "CASEMATE_SESSION_KEY_FILE",
            "CASEMATE_OIDC_CLIENT_SECRET_FILE",
        ] {
            assert_eq!(said(0o440, name), [""; 0]);
            let found = said(0o644, name);
            assert!(found.len() == 1 && found[0].contains(&text), "{found:?}");
        }
        fs::remove_file(&path).expect("removed");
        let broken = found(&[HOSTS, ORIGINS], Err("no key".to_owned()));
        assert!(
            broken.len() == 1 && broken[0].ends_with("no key"),
            "{broken:?}"
        );
    }
}
