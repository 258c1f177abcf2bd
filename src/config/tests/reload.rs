//! Files that are read again when they change.

use std::path::Path;
use std::time::Duration;

use super::*;

fn number(path: &Arc<Path>, text: &str) -> Result<u32, FileError> {
    text.parse().map_err(|_| FileError::Whole {
        path: path.clone(),
        message: "it is no number".to_owned(),
    })
}

#[tokio::test]
async fn a_file_is_read_again_and_a_broken_one_leaves_what_it_said() {
    let file = TempFile::new("reload", "1");
    let reload = Reload::load(&file.0, number).unwrap();
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
    std::fs::remove_file(&file.0).unwrap();
    file.write("3");
    becomes(3).await;
    // In place and of the same size.
    std::fs::write(&file.0, "4").unwrap();
    becomes(4).await;
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let error = Reload::load(std::env::temp_dir().as_path(), number).unwrap_err();
    assert!(error.to_string().starts_with("cannot read "), "{error}");
    assert!(Reload::load("/nonexistent/tokens.toml".as_ref(), number).is_err());
}
