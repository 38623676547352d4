//! The filter, and how it is laid on a thread.

use super::{KEY_BYTES, calls, trap};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};
use std::{collections::BTreeMap, env::consts::ARCH, hash::RandomState, sync::OnceLock};

/// Seals this thread for ever. Its hash keys are taken from `keys`.
///
/// # Errors
/// What the system says that has no such filters.
pub(super) fn close(keys: [u8; KEY_BYTES]) -> Result<(), String> {
    static PROGRAM: OnceLock<Result<BpfProgram, String>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        trap::install().map_err(|error| format!("SIGSYS cannot be caught: {error}"))?;
        program().map_err(|error| format!("no filter: {error}"))
    });
    apply_filter(program.as_ref()?).map_err(|error| format!("no filter: {error}"))?;
    // std takes them from the system at a thread's first use, and tokio uses them in every runtime.
    trap::while_answering(keys, || drop(RandomState::new()));
    Ok(())
}

/// Traps all that is not listed.
fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        calls::ALLOWED.iter().map(|number| (*number, Vec::new())).collect();
    for (number, argument, width, values) in calls::ALLOWED_WITH {
        let with = |value: &u64| {
            let equal = SeccompCondition::new(*argument, width.clone(), SeccompCmpOp::Eq, *value)?;
            SeccompRule::new(vec![equal])
        };
        rules.insert(*number, values.iter().map(with).collect::<Result<_, _>>()?);
    }
    SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, ARCH.try_into()?)?.try_into()
}
