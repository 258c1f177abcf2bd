//! What the kernel does with the filters: a classic BPF machine, and its choice among the answers.

use seccompiler::sock_filter;

/// `struct seccomp_data` (seccomp(2)).
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub number: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    pub args: [u64; 6],
}

/// What the kernel does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    KillProcess,
    Errno(u16),
    Allow,
}

/// Of all filters the strictest answer, and of two errnos that of the later filter.
pub fn answer(filters: &[Vec<sock_filter>], call: Call) -> Answer {
    let answers = filters.iter().rev().map(|filter| run(filter, call));
    // The first of equals is kept, as the kernel does.
    answers
        .min_by_key(|value| strictness(*value))
        .map_or(Answer::Allow, parse)
}

/// `SECCOMP_RET_ACTION_FULL` as a signed number: less is stricter.
fn strictness(value: u32) -> i32 {
    (value & 0xffff_0000).cast_signed()
}

fn parse(value: u32) -> Answer {
    match (value & 0xffff_0000, value & 0xffff) {
        (0x8000_0000, 0) => Answer::KillProcess,
        (0x0005_0000, errno) => Answer::Errno(u16::try_from(errno).expect("16 bits")),
        (0x7fff_0000, 0) => Answer::Allow,
        other => panic!("an action that no filter of ours has: {other:x?}"),
    }
}

fn run(program: &[sock_filter], call: Call) -> u32 {
    let (mut at, mut register) = (0, 0u32);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let jump = |condition: bool| usize::from(if condition { jt } else { jf });
        match code {
            0x20 => register = load(call, k),                     // ld [k]
            0x05 => at += usize::try_from(k).expect("an offset"), // ja
            0x15 => at += jump(register == k),                    // jeq
            0x25 => at += jump(register > k),                     // jgt
            0x35 => at += jump(register >= k),                    // jge
            0x54 => register &= k,                                // and
            0x06 => return k,                                     // ret
            other => panic!("an instruction that seccompiler does not use: {other:#x}"),
        }
    }
}

/// A word of the call, of a little-endian machine.
fn load(call: Call, offset: u32) -> u32 {
    let low = |value: u64| u32::try_from(value & 0xffff_ffff).expect("32 bits");
    match offset {
        0 => call.number,
        4 => call.arch,
        16..64 => {
            let argument = call.args[usize::try_from((offset - 16) / 8).expect("an index")];
            low(if offset.is_multiple_of(8) {
                argument
            } else {
                argument >> 32
            })
        }
        other => panic!("a word that is not looked at: {other}"),
    }
}
