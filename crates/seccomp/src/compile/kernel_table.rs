//! The numbers for aarch64 are those of the kernel's own table. A name that it does not have would
//! be denied there without a word: no test on x86_64 sees it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::architecture::Architecture;
use super::profile::Profile;

/// The table that aarch64 has in common with other architectures. It comes with the headers of
/// the C library.
const TABLE: &str = "/usr/include/asm-generic/unistd.h";

/// How arch/arm64/include/uapi/asm/unistd.h includes it (the C preprocessor's definitions).
const SOURCE: &str = "
#define __ARCH_WANT_RENAMEAT
#define __ARCH_WANT_NEW_STAT
#define __ARCH_WANT_SET_GET_RLIMIT
#define __ARCH_WANT_TIME32_SYSCALLS
#define __ARCH_WANT_SYS_CLONE3
#define __ARCH_WANT_MEMFD_SECRET
#include <asm-generic/unistd.h>
";

/// From here on a call has one number on all architectures.
const COMMON: u32 = 424;

/// In the header, and no calls: a range that no 64-bit ARM uses, and the length of the table.
const NO_CALLS: [&str; 2] = ["arch_specific_syscall", "syscalls"];

/// The kernel's table, by name.
fn table() -> BTreeMap<String, u32> {
    let mut compiler = Command::new("cc")
        .args(["-E", "-dM", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("rustc needs a C compiler too");
    let mut input = compiler.stdin.take().expect("piped");
    input.write_all(SOURCE.as_bytes()).expect("it reads");
    drop(input);
    let output = compiler.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // `#define __NR_fcntl __NR3264_fcntl`, `#define __NR3264_fcntl 25`.
    let defined = text.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
        name.starts_with("__NR").then_some((name, value))
    });
    let defined: BTreeMap<_, _> = defined.collect();
    let numbers = defined.iter().filter_map(|(name, value)| {
        let value = defined.get(value).unwrap_or(value);
        let name = name.strip_prefix("__NR_")?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    let mut numbers: BTreeMap<_, _> = numbers.collect();
    numbers.retain(|name, _| !NO_CALLS.contains(&name.as_str()));
    numbers
}

#[test]
fn a_call_has_the_number_on_aarch64_that_the_kernel_gives_it() {
    if !Path::new(TABLE).exists() {
        // Not Linux, or another C library: CI's is Debian's.
        return;
    }
    let (arch, table) = (Architecture::Aarch64, table());
    assert!(table.len() > 300, "{table:?}");
    for (name, number) in &table {
        // A kernel newer than ours has calls that we do not name.
        if *number < COMMON || Architecture::X86_64.number(name).is_some() {
            assert_eq!(arch.number(name), Some(*number), "{name}");
        }
    }
    for number in 0..COMMON {
        let is_there = table.values().any(|it| *it == number);
        assert_eq!(arch.has(number), is_there, "{number}");
    }
}

/// An older kernel's table lacks the newest calls.
#[test]
fn a_new_call_has_one_number_on_all_architectures() {
    let groups = Profile::ours().expect("the profile").syscalls;
    let names = groups.iter().flat_map(|group| &group.names);
    for name in names {
        let numbers = [Architecture::X86_64, Architecture::Aarch64].map(|arch| arch.number(name));
        if numbers.iter().flatten().any(|number| *number >= COMMON) {
            assert_eq!(numbers[0], numbers[1], "{name}");
        }
    }
}
