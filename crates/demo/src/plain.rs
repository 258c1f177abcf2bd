//! The plain way, for comparison: one `docker exec` a command. And the clean-up.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// Times `docker exec CONTAINER true` in a sandbox of `instance`.
pub fn exec_times(instance: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
    let label = format!("label=io.casemate.instance={instance}");
    let containers = docker(&["ps", "--quiet", "--filter", &label])?;
    let container = containers.lines().next().context("no sandbox runs")?;
    (0..count)
        .map(|_| {
            let start = Instant::now();
            docker(&["exec", container, "bash", "-c", "true"])?;
            Ok(start.elapsed())
        })
        .collect()
}

/// Removes what the demo made.
pub fn remove_instance(instance: &str) {
    let label = format!("label=io.casemate.instance={instance}");
    for (list, remove) in [
        (["ps", "--all"], vec!["rm", "--force"]),
        (["volume", "ls"], vec!["volume", "rm", "--force"]),
    ] {
        let list = [list[0], list[1], "--quiet", "--filter", &label];
        let found = docker(&list).unwrap_or_default();
        for id in found.lines() {
            let _ = docker(&[&remove[..], &[id]].concat());
        }
    }
}

fn docker(args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("docker")
        .args(args)
        .output()
        .context("the docker command")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "docker {}: {error}",
        args.join(" ")
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
