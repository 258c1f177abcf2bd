//! The environment of a sandbox: the image's variables, with ours added.

use casemate_protocol::WORKSPACE;

use super::node;

/// Docker's PATH for an image that sets none (moby, `oci/defaults.go`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The image's variables, in their order, with HOME, TMPDIR and PATH replaced, and LANG and
/// NODE_OPTIONS added where they are missing. The image's own PATH follows ours: golang, rust and
/// conda images need it.
pub(super) fn environment(image: &[String]) -> Vec<String> {
    let home = format!("{WORKSPACE}/.home");
    let path = match value_of(image, "PATH") {
        Some(path) if !path.is_empty() => path,
        _ => DEFAULT_PATH,
    };
    let mut ours = vec![
        format!("PATH={home}/.local/bin:{path}"),
        format!("HOME={home}"),
        "TMPDIR=/tmp".to_owned(),
    ];
    for (name, value) in [
        ("LANG", "C.UTF-8".to_owned()),
        (node::VARIABLE, node::options()),
    ] {
        if value_of(image, name).is_none() {
            ours.push(format!("{name}={value}"));
        }
    }
    let kept = image.iter().filter(|variable| {
        name_of(variable).is_some_and(|name| !["PATH", "HOME", "TMPDIR"].contains(&name))
    });
    kept.cloned().chain(ours).collect()
}

/// Docker removes a variable without `=`, so it has no name.
fn name_of(variable: &str) -> Option<&str> {
    variable.split_once('=').map(|(name, _)| name)
}

fn value_of<'a>(variables: &'a [String], wanted: &str) -> Option<&'a str> {
    variables.iter().rev().find_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        (name == wanted).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(image: &[&str]) -> Vec<String> {
        let image: Vec<_> = image.iter().map(|&variable| variable.to_owned()).collect();
        environment(&image)
    }

    #[test]
    fn the_paths_of_the_image_follow_the_user_s_own() {
        let env = of(&["PATH=/usr/local/go/bin:/bin", "GOPATH=/go"]);
        assert_eq!(
            env,
            [
                "GOPATH=/go",
                "PATH=/workspace/.home/.local/bin:/usr/local/go/bin:/bin",
                "HOME=/workspace/.home",
                "TMPDIR=/tmp",
                "LANG=C.UTF-8",
                "NODE_OPTIONS=--require=/casemate/netif.cjs",
            ]
        );
    }

    #[test]
    fn an_image_without_a_path_gets_docker_s() {
        let wanted = format!("PATH=/workspace/.home/.local/bin:{DEFAULT_PATH}");
        for image in [&[][..], &["PATH="], &["PATH"]] {
            assert!(of(image).contains(&wanted), "{image:?}");
        }
    }

    #[test]
    fn what_is_ours_stands_once() {
        let env = of(&[
            "HOME=/root",
            "TMPDIR=/var/tmp",
            "LANG=de_DE.UTF-8",
            "NODE_OPTIONS=--no-warnings",
            "A=b=c",
            "GONE",
        ]);
        for name in ["HOME", "TMPDIR", "PATH", "LANG", "NODE_OPTIONS", "A"] {
            let count = env.iter().filter(|v| name_of(v) == Some(name)).count();
            assert_eq!(count, 1, "{name} in {env:?}");
        }
        assert!(env.contains(&"LANG=de_DE.UTF-8".to_owned()));
        assert!(env.contains(&"NODE_OPTIONS=--no-warnings".to_owned()));
        assert!(env.contains(&"A=b=c".to_owned()));
        assert!(!env.contains(&"GONE".to_owned()));
    }
}
