//! `casemate shared`: data that sandboxes read and do not own.

mod list;
mod put;
mod rm;

use clap::Subcommand;

/// Flags of `shared`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make the content of a directory or a tar archive the newest version of a share. New sandboxes
    /// have it; those that run keep theirs.
    Put(put::Args),
    /// List the versions of all shares, and the sandboxes that hold an older one.
    List(list::Args),
    /// Remove a share with all its versions, unless a sandbox holds one.
    Rm(rm::Args),
}

/// Runs the verb.
///
/// # Errors
/// For the person at the terminal.
pub fn run(args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Put(args) => put::run(args),
        Verb::List(args) => list::run(args),
        Verb::Rm(args) => rm::run(args),
    }
}

/// A size for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{}.{} KiB", bytes >> 10, ((bytes % 0x400) * 10) >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes % 0x10_0000) * 10) >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((5 << 20) + (1 << 19), "5.5 MiB"),
            (3 << 30, "3072.0 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
