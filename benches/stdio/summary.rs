//! The run as one table with ratios, from what criterion measured.

use crate::median::{median, millis};

/// Group, its comparison, and the ratio to reach.
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
