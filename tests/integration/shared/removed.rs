//! The removal of a share, and of a user who has one.

use super::*;

#[tokio::test]
async fn a_share_that_a_sandbox_holds_stays_and_the_error_says_who() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
    lab.put_value("two");
    let before = lab.list();
    let errors = lab.refused(&["shared", "rm", "datasets"]);
    assert!(
        errors.contains("datasets is held by the sandbox of \"ada\" of \"local\""),
        "{errors}"
    );
    assert_eq!(lab.list(), before);
    assert_eq!(value(&server).await, "one");

    // The end of the user's sandbox and files leaves it.
    lab.done(&["rm", "ada", "--volume"]);
    assert_eq!(lab.list().len(), 2);
    drop(server);
    let audit = Directory::new(0);
    let mut command = lab.command(&["shared", "rm", "datasets", "--json"]);
    let output = command
        .env("CASEMATE_AUDIT", audit.text())
        .output()
        .expect("it runs");
    let removed: Vec<String> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(removed.len(), 4, "{removed:?}");
    let volumes = lab.instance.volumes();
    assert!(volumes.is_empty(), "{volumes:?}");
    let lines = crate::audit::lines(&audit);
    let recorded: Vec<_> = lines
        .iter()
        .filter(|line| line["outcome"] == "done")
        .map(|line| line["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(recorded, removed);
    let errors = lab.refused(&["shared", "rm", "datasets"]);
    assert!(errors.contains("datasets has no version"), "{errors}");
    // The row of the table is without a version again.
    let rows = lab.list();
    assert_eq!((rows.len(), &rows[0]["version"]), (1, &Value::Null));
}

#[test]
fn a_name_without_a_table_is_an_error_that_names_the_nearest() {
    let lab = Lab::new(FOR_ALL);
    lab.file("value", "one");
    let errors = lab.refused(&["shared", "put", "datsets", lab.data.text()]);
    assert!(
        errors.contains("the nearest that has one is datasets"),
        "{errors}"
    );
    let empty = Directory::new(0);
    let errors = lab.refused(&["shared", "put", "datasets", empty.text()]);
    assert!(errors.contains("the source is empty"), "{errors}");
    let file = lab.file("file", "x");
    let errors = lab.refused(&["shared", "put", "datasets", file.to_str().expect("text")]);
    assert!(errors.contains("is not a directory"), "{errors}");
    assert!(lab.instance.volumes().is_empty());
}

#[tokio::test]
async fn a_volume_of_shared_data_is_no_users_and_no_user_is_called_so() {
    let lab = Lab::with_value(FOR_ALL, "one");
    // A user whose sandbox has nearly the name of the share's volume.
    let server = lab.start("shared-datasets").await;
    assert_eq!(value(&server).await, "one");
    let ps = lab.json(&["ps", "--json"]);
    assert_eq!(ps.as_array().map(Vec::len), Some(1), "{ps}");
    let target = Directory::new(0);
    lab.done(&["backup", "--all", "--to", target.text()]);
    let listed = lab.json(&["backup", "list", "--from", target.text(), "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    lab.done(&["rm", "shared-datasets", "--volume", "--force"]);
    assert_eq!(lab.list().len(), 1);
    let other = lab.start("ada").await;
    assert_eq!(value(&other).await, "one");
}
