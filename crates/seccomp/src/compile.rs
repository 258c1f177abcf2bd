//! From the profile and the rules to BPF, at build time, by [seccompiler].
//!
//! A filter of seccompiler has one answer for what matches and one for what does not. So there are
//! several, one for each errno, and the kernel asks all of them: the strictest answer holds, and
//! of two errnos that of the filter that was installed last (seccomp(2)).
//!
//! | filter | answer |
//! |---|---|
//! | the profile | EPERM to what it does not name |
//! | what is there (`absent`) | ENOSYS to numbers above the highest that the profile allows, or in no table: programs fall back, as from an older kernel. The same as runc's stub |
//! | one for each errno of the rules | that errno |
//! | EINVAL, the last: it refuses `seccomp(2)` | no filter after it |
//!
//! A call of a 32-bit ABI ends its process (SIGSYS), on x86_64 one of x32 gets ENOSYS.
//!
//! [seccompiler]: https://docs.rs/seccompiler

mod absent;
mod architecture;
mod profile;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use profile::{Chains, Profile};

pub use architecture::{Architecture, CompileError};

use crate::errno::{EINVAL, EPERM};
use crate::{Argument, Rule, Test, rules};

pub use seccompiler::sock_filter;

/// The filters, in the order in which they are installed.
///
/// # Errors
/// [`CompileError`]: the data has a mistake.
pub fn filters(arch: Architecture) -> Result<Vec<BpfProgram>, CompileError> {
    filters_of(arch, &Profile::ours()?, rules())
}

fn filters_of(
    arch: Architecture,
    profile: &Profile,
    rules: &[Rule],
) -> Result<Vec<BpfProgram>, CompileError> {
    let allowed = profile.allowed(arch)?;
    let highest = allowed.keys().max().copied().unwrap_or(0);
    let highest = u32::try_from(highest).unwrap_or(0);
    let denied = profile.absent(arch);
    let is_there = |number: u32| arch.has(number) && !denied.contains(&number);
    let mut filters = vec![
        only(allowed, EPERM, arch)?,
        absent::filter(arch, highest, is_there),
    ];
    let mut errnos: Vec<u16> = rules.iter().map(|rule| rule.errno).collect();
    // EINVAL, which refuses seccomp(2), comes last.
    errnos.sort_by_key(|errno| (*errno == EINVAL, *errno));
    errnos.dedup();
    for errno in errnos {
        let of_this = rules.iter().filter(|rule| rule.errno == errno);
        filters.push(without(of_this, errno, arch)?);
    }
    Ok(filters)
}

/// Allows what is named, and answers all else with `errno`.
fn only(named: Chains, errno: u16, arch: Architecture) -> Result<BpfProgram, CompileError> {
    let refused = SeccompAction::Errno(errno.into());
    let filter = SeccompFilter::new(named, refused, SeccompAction::Allow, arch.target())?;
    Ok(filter.try_into()?)
}

/// Answers what the rules are true of with `errno`, and allows all else.
fn without<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    errno: u16,
    arch: Architecture,
) -> Result<BpfProgram, CompileError> {
    let mut chains = Chains::new();
    for rule in rules {
        let Some(number) = arch.number(rule.call) else {
            return Err(CompileError::Profile(format!("no call {}", rule.call)));
        };
        let chain = chains.entry(number.into()).or_default();
        for conditions in alternatives(rule.when)? {
            chain.push(SeccompRule::new(conditions)?);
        }
    }
    let refused = SeccompAction::Errno(errno.into());
    let filter = SeccompFilter::new(chains, SeccompAction::Allow, refused, arch.target())?;
    Ok(filter.try_into()?)
}

/// The conditions as alternatives, in each of which all must hold. None: always.
fn alternatives(when: &[Argument]) -> Result<Vec<Vec<SeccompCondition>>, CompileError> {
    let low = |argument: &Argument, op, value: u32| {
        SeccompCondition::new(argument.index, SeccompCmpArgLen::Dword, op, value.into())
    };
    let mut all = vec![Vec::new()];
    for argument in when {
        let choices: Vec<Vec<SeccompCondition>> = match argument.test {
            Test::In(values) => {
                let one = |value: &u32| Ok(vec![low(argument, SeccompCmpOp::Eq, *value)?]);
                values
                    .iter()
                    .map(one)
                    .collect::<Result<_, CompileError>>()?
            }
            Test::NotIn(values) => {
                let each = values.iter().map(|it| low(argument, SeccompCmpOp::Ne, *it));
                vec![each.collect::<Result<_, _>>()?]
            }
            Test::Masked { mask, value } => {
                let op = SeccompCmpOp::MaskedEq(mask.into());
                vec![vec![low(argument, op, value)?]]
            }
        };
        let with = |so_far: &Vec<_>| {
            let joined = choices
                .iter()
                .map(|choice| [so_far, choice.as_slice()].concat());
            joined.collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    // seccompiler knows "always" as a call without rules.
    all.retain(|conditions| !conditions.is_empty());
    Ok(all)
}

#[cfg(test)]
mod kernel_table;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;
