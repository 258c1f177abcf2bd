//! The run as one table with ratios, from what criterion measured.

use crate::median::{median, millis};

/// Group, what is compared with it, the ratio to reach (DESIGN of the project).
const ROWS: [(&str, &str, &str); 6] = [
    ("shell_exec true", "plain", "25x faster"),
    ("shell_exec true", "host", "at most 1.3x the host's time"),
    ("read_file 1 KiB", "plain", "60x faster"),
    ("write_file 1 KiB", "plain", "60x faster"),
    ("list_files 1 KiB", "plain", "60x faster"),
    ("50 commands at once", "plain", "all in 1 s"),
];

/// Prints the table.
pub fn print() {
    println!(
        "\n{:<22} {:>12} {:>18} {:>9}   to reach",
        "median", "casemate", "compared with", "ratio"
    );
    for (group, other, reach) in ROWS {
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
