//! What a command may ask for.

use casemate_protocol::{
    Failure, FailureExt as _, MAX_ENV, MAX_SCRIPT, MAX_STDIN, StartRequest, TAG_BYTES,
    failure::Code,
};

/// Characters of output that a request may ask to be kept.
pub(super) const MAX_OUTPUT_CHARS: usize = 100_000;

/// As [`check`], for a command whose streams are its caller's.
pub(super) fn check_attached(request: &StartRequest) -> Result<(), Failure> {
    if !request.stdin.is_empty() || !request.tag.is_empty() || request.output_chars > 0 {
        let detail = "standard input, a tag or an output's length for a command that has none";
        return Err(Failure::new(Code::Invalid, detail));
    }
    check(request)
}

/// Nobody is trusted with the bounds: a broken one is `INVALID`.
pub(super) fn check(request: &StartRequest) -> Result<(), Failure> {
    let env: usize = request
        .env
        .iter()
        .map(|var| var.name.len() + var.value.len() + 2)
        .sum();
    let has_nul = request.script.contains(&0)
        || request.cwd.contains('\0')
        || request.env.iter().any(|var| var.value.contains(&0));
    let bad_name = |name: &str| name.is_empty() || name.contains(['=', '\0']);
    let problem = if request.id.len() != 32 || !request.id.bytes().all(|b| b.is_ascii_hexdigit()) {
        "the id is not 32 hexadecimal digits"
    } else if request.tag.len() > TAG_BYTES {
        "the tag is too long"
    } else if request.script.len() > MAX_SCRIPT {
        "the script is too long"
    } else if request.stdin.len() > MAX_STDIN {
        "the standard input is too long"
    } else if env > MAX_ENV {
        "the environment is too long"
    } else if has_nul {
        "a NUL byte in script, cwd or environment"
    } else if request.env.iter().any(|var| bad_name(&var.name)) {
        "an empty name, or one with = or NUL, in the environment"
    } else {
        return Ok(());
    };
    Err(Failure::new(Code::Invalid, problem))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    proptest! {
        #[test]
        fn what_passes_the_check_is_within_all_bounds(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let Ok(mut request) = StartRequest::decode(bytes.as_slice()) else {
                return Ok(());
            };
            request.id = "0123456789abcdef0123456789abcdef".to_owned();
            if check(&request).is_ok() {
                prop_assert!(!request.script.contains(&0) && !request.cwd.contains('\0'));
                for var in &request.env {
                    prop_assert!(!var.name.is_empty() && !var.name.contains(['=', '\0']));
                    prop_assert!(!var.value.contains(&0));
                }
            }
        }
    }

    #[test]
    fn every_bound_is_checked() {
        let good = StartRequest {
            id: "0123456789abcdef0123456789abcdef".to_owned(),
            ..StartRequest::default()
        };
        assert!(check(&good).is_ok() && check_attached(&good).is_ok());
        let with_stdin = StartRequest {
            stdin: "x".into(),
            ..good.clone()
        };
        assert!(check(&with_stdin).is_ok() && check_attached(&with_stdin).is_err());
        let long = |bytes: usize| vec![b'a'; bytes].into();
        for bad in [
            StartRequest {
                id: "../x".to_owned(),
                ..good.clone()
            },
            StartRequest {
                tag: long(TAG_BYTES + 1),
                ..good.clone()
            },
            StartRequest {
                script: long(MAX_SCRIPT + 1),
                ..good.clone()
            },
            StartRequest {
                stdin: long(MAX_STDIN + 1),
                ..good.clone()
            },
            StartRequest {
                cwd: "a\0".to_owned(),
                ..good.clone()
            },
            StartRequest {
                env: vec![casemate_protocol::EnvVar {
                    name: "A".to_owned(),
                    value: long(MAX_ENV),
                }],
                ..good.clone()
            },
        ] {
            assert!(check(&bad).is_err());
        }
    }
}
