//! The profile's rules, by number, as seccompiler has them.

use std::collections::BTreeMap;

use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};
use serde::Deserialize;

use super::architecture::{Architecture, CompileError};
use crate::engine_profile;
use crate::errno::ENOSYS;

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Profile {
    pub(super) syscalls: Vec<Group>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Group {
    pub(super) names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    pub(super) args: Vec<Comparison>,
    #[serde(default)]
    includes: Includes,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Comparison {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// `minKernel` is not looked at: Casemate needs a newer one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Includes {
    arches: Vec<String>,
    #[serde(rename = "minKernel")]
    _min_kernel: Option<String>,
}

/// The rules of each call, which say what it may do or what is refused; no rule: all of it.
pub(super) type Chains = BTreeMap<i64, Vec<SeccompRule>>;

impl Profile {
    pub(super) fn ours() -> Result<Self, CompileError> {
        serde_json::from_str(engine_profile()).map_err(|it| CompileError::Profile(it.to_string()))
    }

    /// What it allows, by number.
    pub(super) fn allowed(&self, arch: Architecture) -> Result<Chains, CompileError> {
        let mut allowed = Chains::new();
        for group in self.groups(arch) {
            match (group.action.as_str(), group.errno_ret) {
                ("SCMP_ACT_ALLOW", None) => {}
                // The same as what no rule names; the filter of what is known says ENOSYS.
                ("SCMP_ACT_ERRNO", Some(ENOSYS)) => continue,
                _ => return Err(CompileError::Profile(format!("{:?}", group.names))),
            }
            for number in group.names.iter().filter_map(|name| arch.number(name)) {
                let rules = allowed.entry(number.into()).or_default();
                if !group.args.is_empty() {
                    let conditions = group.args.iter().map(Comparison::condition);
                    rules.push(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?);
                }
            }
        }
        Ok(allowed)
    }

    fn groups(&self, arch: Architecture) -> impl Iterator<Item = &Group> {
        self.syscalls.iter().filter(move |group| {
            let arches = &group.includes.arches;
            arches.is_empty() || arches.iter().any(|name| name == arch.go_name())
        })
    }

    /// What it answers with ENOSYS.
    pub(super) fn absent(&self, arch: Architecture) -> Vec<u32> {
        let absent = self.groups(arch).filter(|it| it.errno_ret == Some(ENOSYS));
        let names = absent.flat_map(|group| &group.names);
        names.filter_map(|name| arch.number(name)).collect()
    }
}

impl Comparison {
    /// All 64 bits, as libseccomp compares.
    fn condition(&self) -> Result<SeccompCondition, CompileError> {
        let (op, value) = match self.op.as_str() {
            "SCMP_CMP_EQ" => (SeccompCmpOp::Eq, self.value),
            "SCMP_CMP_MASKED_EQ" => (SeccompCmpOp::MaskedEq(self.value), self.value_two),
            other => return Err(CompileError::Profile(format!("{other} is not understood"))),
        };
        let width = SeccompCmpArgLen::Qword;
        Ok(SeccompCondition::new(self.index, width, op, value)?)
    }
}
