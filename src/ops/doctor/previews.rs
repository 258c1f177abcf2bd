//! Checks the domain of previews: what runs in sandboxes is shown below it.

use super::Finding;
use crate::config::HttpSettings;

/// Checks that no preview shares cookies with the server itself, as far as names tell.
pub fn look(http: &HttpSettings) -> Option<Finding> {
    let domain = &http.previews.domain.as_ref()?.host;
    let Some(public) = http.public_host() else {
        let said = "preview_domain has no effect for users: links need public_url too";
        return Some(Finding::warning("previews", said).fix("set public_url"));
    };
    let public = public.to_ascii_lowercase();
    let is_parent = public
        .strip_suffix(domain.as_str())
        .is_some_and(|rest| rest.ends_with('.'));
    let said = if public == *domain {
        format!("preview_domain is {domain}, the server's own name")
    } else if is_parent {
        format!("the server's own name, {public}, is below preview_domain, {domain}")
    } else {
        return None;
    };
    let said =
        format!("{said}: what runs in a sandbox can set cookies that browsers send to the server");
    Some(Finding::warning("previews", said).fix(
        "use another domain for previews, best one that is registered for nothing else: docs/previews.md",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, MapEnvironment, SettingsArgs};

    fn found(public: Option<&str>, domain: Option<&str>) -> Option<String> {
        let mut environment = MapEnvironment {
            os_user: "ada".to_owned(),
            ..MapEnvironment::default()
        };
        let pairs = [
            ("CASEMATE_PUBLIC_URL", public),
            ("CASEMATE_PREVIEW_DOMAIN", domain),
        ];
        let given = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name.into(), value?.into())));
        environment.variables.extend(given);
        let config = Config::load(SettingsArgs::default(), &environment).expect("settings");
        look(&config.http).map(|finding| finding.found)
    }

    #[test]
    fn a_domain_that_is_or_holds_the_servers_own_name_is_a_warning() {
        let public = Some("https://Casemate.example.com");
        for domain in ["casemate.example.com", "example.com", "example.com:8443"] {
            let found = found(public, Some(domain)).expect("a warning");
            assert!(found.contains("cookies"), "{domain}: {found}");
        }
        for domain in ["preview.example.com", "mate.example.com", "example.net"] {
            assert_eq!(found(public, Some(domain)), None, "{domain}");
        }
        assert_eq!(found(public, None), None);
        let without = found(None, Some("preview.example.com")).expect("a warning");
        assert!(without.contains("public_url"), "{without}");
    }
}
