//! Rules that hold for every way to authenticate.

use axum::http::Request;

use super::*;
use crate::identity::User;

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

fn alice() -> User {
    User::local("alice".parse().unwrap())
}

fn nobody() -> Authenticator {
    Authenticator::Nobody(alice().into())
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
    assert_eq!(principal.unwrap().identity, alice().into());
    let other = nobody()
        .authenticate(&parts("x-casemate-user", "bob"))
        .await;
    assert_eq!(other, Err(AuthRejection::NotADelegate));
}
