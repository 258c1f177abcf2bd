//! The run as one table with ratios, from what criterion measured.

use std::path::Path;

/// Group, what is compared with it, the ratio to reach (DESIGN of the project).
pub type Row = (&'static str, &'static str, &'static str);

/// Prints the table.
pub fn print(rows: &[Row]) {
    println!(
        "\n{:<22} {:>12} {:>18} {:>9}   to reach",
        "median", "casemate", "compared with", "ratio"
    );
    for &(group, other, reach) in rows {
        let (Some(ours), Some(theirs)) = (median(group, "casemate"), median(group, other)) else {
            continue;
        };
        let ratio = if other == "host" {
            ours / theirs
        } else {
            theirs / ours
        };
        let compared = format!("{other} {}", millis(theirs));
        println!(
            "{group:<22} {:>12} {compared:>18} {ratio:>8.1}x   {reach}",
            millis(ours)
        );
    }
}

fn millis(nanos: f64) -> String {
    format!("{:.2} ms", nanos / 1e6)
}

/// Nanoseconds.
fn median(group: &str, function: &str) -> Option<f64> {
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
