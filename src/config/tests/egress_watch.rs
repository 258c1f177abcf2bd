//! The settings file changes while a server runs: what counts of it, and what does not.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::timeout;

use super::*;

/// Long enough for a look or two at the file.
const LOOKS: Duration = Duration::from_millis(2_500);

fn file_with(hosts: &str) -> String {
    format!("[egress]\nallow = [{hosts}]\n")
}

fn watching(file: &TempFile, variables: &[(&str, &str)]) -> (Config, EgressWatch) {
    let config = load(&["--config", file.path()], variables).unwrap();
    let watch = config.watch_egress(CancellationToken::new());
    (config, watch)
}

async fn changed<T: Clone>(receiver: &mut Receiver<T>) -> T {
    let changed = timeout(Duration::from_secs(10), receiver.changed()).await;
    changed.expect("a change").expect("a sender");
    receiver.borrow_and_update().clone()
}

fn rules(config: &EgressConfig, user: &str) -> String {
    let rules = config.rules(&local(user).into());
    let rules: Vec<_> = rules.iter().map(ToString::to_string).collect();
    rules.join(" ")
}

#[tokio::test]
async fn a_changed_file_is_in_force_and_a_broken_one_leaves_what_it_said() {
    let file = TempFile::new("watch", file_with("\"a.example.com\""));
    let (config, watch) = watching(&file, &[]);
    let (mut in_force, mut problem) = (watch.rules(), watch.problem());
    assert_eq!(*in_force.borrow(), config.egress);

    file.write("[egress]\nallow = [\"b.example.com\"]\n[[users]]\nuser = \"bob\"\negress = {}");
    let egress = changed(&mut in_force).await;
    assert_eq!(rules(&egress, "alice"), "b.example.com");
    assert_eq!(rules(&egress, "bob"), "");
    assert_eq!(*problem.borrow(), None);

    for (broken, wanted) in [
        (
            "[egress]\nallow = [\"*.com\"]",
            "key egress.allow[0] in line 2 of ",
        ),
        ("[egress]\nallow = [\n", "line 2 of "),
        ("memroy = \"1g\"", "unknown key \"memroy\" in line 1 of "),
        (
            "[[users]]\nuser = \"a\"\n[[users]]\nuser = \"a\"",
            "line 3 of ",
        ),
    ] {
        file.write(broken);
        let said = changed(&mut problem).await.expect("a problem");
        assert!(said.starts_with(wanted), "{said}");
    }
    std::fs::remove_file(&file.0).unwrap();
    let said = changed(&mut problem).await.expect("a problem");
    assert!(
        said.starts_with("cannot read ") && said.contains("No such file"),
        "{said}"
    );
    assert!(!in_force.has_changed().unwrap());

    file.write("");
    assert_eq!(changed(&mut problem).await, None);
    assert!(
        changed(&mut in_force).await.is_empty(),
        "an empty file allows nothing"
    );
}

#[tokio::test]
async fn only_egress_counts_and_the_variable_stays() {
    let file = TempFile::new("only", "pids = 100\n");
    let (config, watch) = watching(&file, &[("CASEMATE_EGRESS_ALLOW", "v.example.com")]);
    let (mut in_force, problem) = (watch.rules(), watch.problem());
    file.write("pids = 1\n[egress]\nallow = [\"a.example.com\"]\ndeny = [\"203.0.113.7\"]");
    let egress = changed(&mut in_force).await;
    assert_eq!(rules(&egress, "alice"), "v.example.com");
    assert_eq!(egress.deny().len(), 1);
    assert_eq!(config.sandbox.pids, 100);
    assert_eq!(*problem.borrow(), None, "the other settings are not judged");
}

#[tokio::test]
async fn a_change_that_changes_no_rule_is_not_told() {
    let file = TempFile::new("same", file_with("\"a.example.com\""));
    let (_, watch) = watching(&file, &[]);
    let mut in_force = watch.rules();
    file.write(&format!(
        "# more\nmemory = \"1g\"\n{}",
        file_with("\"A.example.com.\"")
    ));
    assert!(timeout(LOOKS, in_force.changed()).await.is_err());
}

#[tokio::test]
async fn without_a_file_or_with_a_pipe_the_rules_stay() {
    let config = load(&["--egress-allow", "a.example.com"], &[]).unwrap();
    let in_force = config.watch_egress(CancellationToken::new()).rules();
    assert_eq!(rules(&in_force.borrow(), "alice"), "a.example.com");

    let (reader, writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut &writer, file_with("\"p.example.com\"").as_bytes()).unwrap();
    drop(writer);
    let pipe = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let config = load(&["--config", &pipe], &[]).unwrap();
    let watch = config.watch_egress(CancellationToken::new());
    let mut in_force = watch.rules();
    assert!(timeout(LOOKS, in_force.changed()).await.is_err());
    assert_eq!(rules(&in_force.borrow(), "alice"), "p.example.com");
    assert_eq!(*watch.problem().borrow(), None);
}

#[tokio::test]
async fn the_watch_ends_with_the_server() {
    let file = TempFile::new("ends", file_with("\"a.example.com\""));
    let config = load(&["--config", file.path()], &[]).unwrap();
    let stop = CancellationToken::new();
    let mut in_force = config.watch_egress(stop.clone()).rules();
    stop.cancel();
    let ended = timeout(Duration::from_secs(10), in_force.changed()).await;
    assert!(ended.expect("an end").is_err());
}
