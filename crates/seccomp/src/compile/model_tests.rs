//! The filters beside the rules as data: any call, any arguments, one answer.

use proptest::prelude::*;

use super::simulator::{Answer, answer};
use super::tests::{ARCHITECTURES, installed, made};
use super::*;

/// What the rules say of a call, read from the data.
fn refusals(call: &str, args: [u64; 3]) -> Vec<u16> {
    let holds = |argument: &Argument| {
        let value = args[usize::from(argument.index)] & 0xffff_ffff;
        let among = |values: &[u32]| values.iter().any(|it| u64::from(*it) == value);
        match argument.test {
            Test::In(values) => among(values),
            Test::NotIn(values) => !among(values),
            Test::Masked {
                mask,
                value: wanted,
            } => value & u64::from(mask) == u64::from(wanted),
        }
    };
    let true_of = |rule: &&Rule| rule.call == call && rule.when.iter().all(holds);
    rules()
        .iter()
        .filter(true_of)
        .map(|rule| rule.errno)
        .collect()
}

/// Small numbers, those that the rules name and their neighbours, with and without high bits.
fn argument() -> impl Strategy<Value = u64> {
    let named: Vec<u64> = rules()
        .iter()
        .flat_map(|rule| rule.when)
        .flat_map(|argument| match argument.test {
            Test::In(values) | Test::NotIn(values) => values.to_vec(),
            Test::Masked { mask, value } => vec![mask, value],
        })
        .map(u64::from)
        .collect();
    let named = (proptest::sample::select(named), 0u32..32, any::<bool>())
        .prop_map(|(value, bit, flip)| if flip { value ^ (1 << bit) } else { value });
    let low = prop_oneof![0u64..300, named, any::<u32>().prop_map(u64::from)];
    (
        low,
        prop_oneof![Just(0u64), any::<u32>().prop_map(u64::from)],
    )
        .prop_map(|(low, high)| high << 32 | low)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_filters_refuse_what_the_rules_say_and_nothing_else(
        call in proptest::sample::select(vec!["setsockopt", "ioctl", "fcntl", "prctl", "seccomp"]),
        args in [argument(), argument(), argument()],
    ) {
        for arch in ARCHITECTURES {
            let filters = installed(arch);
            let found = answer(filters, made(arch, arch.number(call).expect("a number"), args));
            let refused = refusals(call, args);
            prop_assert!(refused.len() <= 1, "{refused:?}: two rules answer one call");
            let wanted = refused.first().map_or(Answer::Allow, |errno| Answer::Errno(*errno));
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_socket_is_of_one_of_three_families_whatever_the_high_bits(
        args in [argument(), argument(), argument()],
    ) {
        let arch = Architecture::X86_64;
        let filters = installed(arch);
        let found = answer(filters, made(arch, 41, args));
        let refused = refusals("socket", args);
        prop_assert!(refused.len() <= 1);
        let wanted = match refused.first() {
            Some(errno) => Answer::Errno(*errno),
            // The profile compares all 64 bits.
            None if args[0] > u64::from(u32::MAX) => Answer::Errno(EPERM),
            None => Answer::Allow,
        };
        prop_assert_eq!(found, wanted);
    }
}
