//! Rules that hold for every way to authenticate.

use std::time::Duration;

use axum::http::Request;

use super::reload::Reload;
use super::testing::TempFile;
use super::*;

#[test]
fn without_authentication_only_loopback_is_listened_on() {
    let tokens = Auth::Tokens("tokens.toml".into());
    for address in [
        "127.0.0.1:0",
        "127.8.8.8:80",
        "[::1]:8080",
        "[::ffff:127.0.0.1]:80",
    ] {
        assert_eq!(
            check(address.parse().unwrap(), &Auth::None),
            Ok(()),
            "{address}"
        );
    }
    for address in [
        "0.0.0.0:80",
        "[::]:80",
        "192.0.2.1:80",
        "10.0.0.1:80",
        "[::ffff:10.0.0.1]:80",
        "[fe80::1]:80",
    ] {
        let socket = address.parse().unwrap();
        let error = check(socket, &Auth::None).unwrap_err().to_string();
        assert!(
            error.contains(address) && error.contains("CASEMATE_AUTH"),
            "{error}"
        );
        assert_eq!(check(socket, &tokens), Ok(()));
    }
}

fn nobody() -> Authenticator {
    Authenticator::Nobody(User::local("alice".parse().unwrap()))
}

#[tokio::test]
async fn with_none_there_is_one_user_whatever_the_request_says() {
    let parts = |name: &str, value: &str| {
        let request = Request::get("/?access_token=a")
            .header(name, value)
            .body(());
        request.unwrap().into_parts().0
    };
    let principal = nobody()
        .authenticate(&parts("authorization", "Bearer a"))
        .await;
    assert_eq!(
        principal.unwrap().user,
        User::local("alice".parse().unwrap())
    );
    let other = nobody()
        .authenticate(&parts("x-casemate-user", "bob"))
        .await;
    assert_eq!(other, Err(AuthRejection::NotADelegate));
}

fn number(path: &std::sync::Arc<std::path::Path>, text: &str) -> Result<u32, FileError> {
    text.parse().map_err(|_| FileError::Whole {
        path: path.clone(),
        message: "it is no number".to_owned(),
    })
}

#[tokio::test]
async fn a_file_is_read_again_and_a_broken_one_leaves_what_it_said() {
    let file = TempFile::new("1");
    let reload = Reload::load(file.path(), number).unwrap();
    let becomes = async |expected: u32| {
        let within = Duration::from_secs(10);
        let wait = async {
            while *reload.current() != expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(within, wait)
            .await
            .expect("it is read again");
    };
    assert_eq!(*reload.current(), 1);
    file.write("2");
    becomes(2).await;
    file.write("two");
    // Long enough for a look or two at the broken one.
    for _ in 0..30 {
        assert_eq!(*reload.current(), 2);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::remove_file(file.path()).unwrap();
    file.write("3");
    becomes(3).await;
    // In place and of the same size.
    std::fs::write(file.path(), "4").unwrap();
    becomes(4).await;
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let error = Reload::load(std::env::temp_dir().as_path(), number).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
    assert!(Reload::load("/nonexistent/tokens.toml".as_ref(), number).is_err());
}
