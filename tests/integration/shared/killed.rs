//! A `put` that does not end.

use super::*;

/// Kills a `put` with this signal as soon as its helper container runs, and returns what it said.
async fn put_and_kill(lab: &Lab, signal: &str) -> Output {
    let mut command = lab.command(&["shared", "put", "datasets", lab.data.text()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let before = lab.instance.volumes().len();
    eventually("its volume is being filled", SOON, async || {
        let filled = lab.instance.volumes().len() > before;
        let label = lab.instance.label();
        let running = docker::lines(&["ps", "--filter", &label, "--format", "{{.Names}}"]);
        filled && running.iter().any(|name| name.contains("-put-"))
    })
    .await;
    let still = child.try_wait().expect("a status").is_none();
    assert!(still, "it was too fast to be killed");
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-s", signal, &pid]).status();
    assert!(killed.expect("kill").success());
    child.wait_with_output().expect("it ends")
}

/// A file that takes no space here; filling a volume with it takes seconds.
fn large(lab: &Lab) {
    let path = lab.file("large", "");
    let file = std::fs::File::options()
        .write(true)
        .open(path)
        .expect("a file");
    file.set_len(384 << 20).expect("a size");
}

#[tokio::test]
async fn killed_in_the_middle_it_has_changed_nothing_and_can_be_made_again() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let first = lab.list();
    large(&lab);
    let output = put_and_kill(&lab, "KILL").await;
    assert!(!output.status.success());
    assert_eq!(lab.list(), first);
    let server = lab.start("ada").await;
    assert_eq!(value(&server).await, "one");
    // Only an unused volume is left.
    helpers_are_gone(&lab.instance).await;
    let volumes = lab.instance.volumes();
    let shared = volumes.iter().filter(|name| name.contains("-shared-"));
    assert_eq!(
        shared.count(),
        3,
        "the version, its head and the leftover: {volumes:?}"
    );
    let gc = lab.json(&["gc", "--dry-run", "--json"]);
    let items = gc.as_array().expect("a list").iter();
    let items: Vec<_> = items.filter(|item| item["what"] == "shared").collect();
    assert_eq!(items.len(), 1, "{gc}");
    assert_eq!(
        items[0]["fate"]["kept"], "it may be about to be filled",
        "{gc}"
    );

    // A small one, because a gigabyte need not be written twice.
    std::fs::remove_file(Path::new(lab.data.text()).join("large")).expect("removed");
    let put = lab.put_value("two");
    assert_eq!(put["result"], "created");
    assert_eq!(lab.newest(), put["version"]);
}

#[tokio::test]
async fn interrupted_it_removes_what_it_made_and_says_so() {
    let lab = Lab::with_value(FOR_ALL, "one");
    let (first, volumes) = (lab.list(), lab.instance.volumes());
    large(&lab);
    let output = put_and_kill(&lab, "INT").await;
    let errors = text(&output.stderr);
    assert!(
        errors.contains("interrupted; nothing was changed"),
        "{errors}"
    );
    assert_eq!(lab.list(), first);
    assert_eq!(lab.instance.volumes(), volumes);
    helpers_are_gone(&lab.instance).await;
}

#[tokio::test]
async fn the_leftover_of_a_killed_one_is_replaced_by_the_same_content() {
    let lab = Lab::new(FOR_ALL);
    lab.file("value", "one");
    let hash = {
        let put = lab.put(&[]);
        lab.done(&["shared", "rm", "datasets"]);
        put["sha256"].as_str().expect("a hash").to_owned()
    };
    assert!(lab.instance.volumes().is_empty());
    // As a killed one leaves it: a volume with the right name and labels, and something in it.
    let volume = format!(
        "casemate-{}-shared-datasets-{}",
        lab.instance.name(),
        &hash[..12]
    );
    let labels = [
        format!("io.casemate.instance={}", lab.instance.name()),
        "io.casemate.shared=datasets".to_owned(),
        format!("io.casemate.shared.version={hash}"),
    ];
    let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
    docker::output(&[&["volume", "create"][..], &labels, &[&volume]].concat());
    let mount = format!("{volume}:/v");
    let run = [
        "run",
        "--rm",
        "--network=none",
        "--user=0",
        "--volume",
        &mount,
    ];
    let half = [
        "--entrypoint=sh",
        crate::harness::TOOLS_IMAGE,
        "-c",
        "echo half > /v/half",
    ];
    docker::output(&[&run[..], &half].concat());
    let server = lab.start("early").await;
    let none = server
        .shell(&format!("ls {AT} 2> /dev/null; echo none"))
        .await;
    assert_eq!(none.stdout(), "none\n", "it does not count: {}", none.0);
    let put = lab.put(&[]);
    assert_eq!(put["result"], "created");
    let server = lab.start("ada").await;
    let names = server.shell(&format!("ls {AT}; cat {AT}/value")).await;
    assert_eq!(names.stdout(), "value\none", "{}", names.0);
}
