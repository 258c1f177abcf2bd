//! The filter of the numbers that are no system call here. seccompiler compares numbers for equality
//! alone: a list of the 370 that there are is 1,900 instructions, which take the kernel 0.6 ms for
//! every bridge. These are ranges.

use seccompiler::sock_filter;

use super::architecture::Architecture;
use crate::errno::ENOSYS;

const LOAD: u16 = 0x20;
const JUMP_EQ: u16 = 0x15;
const JUMP_GE: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

const KILL_PROCESS: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const ALLOW: u32 = 0x7fff_0000;

/// Answers ENOSYS above `highest` and below it where nothing `is_there`; allows all else.
pub(super) fn filter(
    arch: Architecture,
    highest: u32,
    is_there: impl Fn(u32) -> bool,
) -> Vec<sock_filter> {
    let not_there = statement(RETURN, ERRNO | u32::from(ENOSYS));
    let mut filter = vec![
        statement(LOAD, ARCH),
        jump(JUMP_EQ, arch.audit(), 1, 0),
        statement(RETURN, KILL_PROCESS),
        statement(LOAD, NUMBER),
    ];
    for (first, after) in gaps(highest, is_there) {
        // From `first` on, and not from `after` on.
        filter.push(jump(JUMP_GE, first, 0, 2));
        filter.push(jump(JUMP_GE, after, 1, 0));
        filter.push(not_there.clone());
    }
    filter.push(jump(JUMP_GE, highest + 1, 0, 1));
    filter.push(not_there);
    filter.push(statement(RETURN, ALLOW));
    filter
}

/// The ranges up to `highest` where nothing is: the first number, and the one after the last.
fn gaps(highest: u32, is_there: impl Fn(u32) -> bool) -> Vec<(u32, u32)> {
    let mut gaps: Vec<(u32, u32)> = Vec::new();
    for number in (0..=highest).filter(|number| !is_there(*number)) {
        match gaps.last_mut() {
            Some((_, after)) if *after == number => *after += 1,
            _ => gaps.push((number, number + 1)),
        }
    }
    gaps
}

fn statement(code: u16, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}
