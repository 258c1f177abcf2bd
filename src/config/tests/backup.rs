//! Where backups go, when, and how many stay.

use std::time::Duration;

use super::*;

#[test]
fn a_target_is_a_directory_or_a_bucket() {
    for (text, shown) in [
        ("/srv/backups", "/srv/backups"),
        ("s3://bucket", "s3://bucket"),
        ("s3://my-bucket.eu/a/b/", "s3://my-bucket.eu/a/b"),
    ] {
        let config = load(&["--backup-target", text], &[]).unwrap();
        assert_eq!(
            config.backup.target.map(|target| target.to_string()),
            Some(shown.to_owned())
        );
    }
    let relative: BackupTarget = "backups".parse().unwrap();
    assert!(matches!(relative, BackupTarget::Directory(path) if path.is_absolute()));
    for text in [
        "s3://",
        "s3://ab",
        "s3://Bucket",
        "s3://bucket/../x",
        "gs://bucket",
        "a\nb",
    ] {
        assert!(text.parse::<BackupTarget>().is_err(), "{text:?}");
    }
}

#[test]
fn the_file_has_them_as_a_table() {
    let file = "[backup]\nevery = \"1h\"\nkeep_last = 3\nkeep_daily = 0\ntarget = \"s3://bucket\"\nverify = false\n";
    let config = load_file("table", file).unwrap();
    assert_eq!(config.backup.every, Some(Duration::from_secs(3600)));
    assert_eq!((config.backup.keep.last, config.backup.keep.daily), (3, 0));
    assert!(!config.backup.verify);
    let message = load_file("table", "[backup]\nkeep_lats = 3\n")
        .unwrap_err()
        .to_string();
    assert!(message.contains("unknown key \"keep_lats\""), "{message}");
    assert!(message.contains("keep_last"), "{message}");
    let message = load_file("table", "backup = 3\n").unwrap_err().to_string();
    assert!(
        message.contains("[backup]") && message.contains("found integer"),
        "{message}"
    );
}

#[test]
fn to_keep_none_is_refused_and_so_is_a_schedule_without_a_target() {
    let message = refused(&["--backup-keep-last", "0"], &[]);
    assert!(message.contains("flag --backup-keep-last"), "{message}");
    assert!(message.contains("it goes from 1 to"), "{message}");
    let message = refused(&["--backup-every", "1h"], &[]);
    assert_eq!(
        message,
        "flag --backup-every: there is no backup_target where the backups go"
    );
    let target = ("CASEMATE_BACKUP_TARGET", "/srv");
    let message = refused(&["--backup-every", "1s"], &[target]);
    assert!(message.contains("it goes from 1m to"), "{message}");
    let never = load(&["--backup-every", "never"], &[]).unwrap();
    assert_eq!(never.backup.every, None);
}

#[test]
fn the_variables_of_aws_are_read_and_their_values_are_not_shown() {
    let environment = environment(&[
        ("AWS_SECRET_ACCESS_KEY", "hidden"),
        ("AWS_REGION", ""),
        ("HOME", "/root"),
    ]);
    let aws = AwsVariables::read(&environment);
    assert_eq!(aws.0.len(), 1);
    assert_eq!(format!("{aws:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
}
