//! What criterion measured last.

use std::path::Path;

/// Nanoseconds, for people.
pub fn millis(nanos: f64) -> String {
    format!("{:.2} ms", nanos / 1e6)
}

/// Nanoseconds of a function of a group; none where it was not run.
pub fn median(group: &str, function: &str) -> Option<f64> {
    let folder = std::env::current_exe().ok()?;
    let target = folder
        .ancestors()
        .find(|folder| folder.ends_with("release"))?
        .parent()?
        .to_owned();
    let file = target
        .join("criterion")
        .join(group)
        .join(function)
        .join("new/estimates.json");
    let text = std::fs::read_to_string(Path::new(&file)).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
