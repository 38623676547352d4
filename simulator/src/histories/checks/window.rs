//! Which operations can explain what was seen: a few orders over the windows in which operations take effect.

use crate::histories::history::Operation;

/// Operations of one kind on one object, to be asked which of them could take effect when.
#[derive(Default)]
pub(super) struct Windows {
    /// Index, invoked and returned, in the order of invocations.
    operations: Vec<(usize, u64, u64)>,
    /// The latest return among the first so many and this.
    latest: Vec<u64>,
}

impl Windows {
    /// Adds an operation; they come in the order of invocations.
    pub(super) fn add(&mut self, index: usize, operation: &Operation) {
        self.operations.push((index, operation.invoked, operation.returned));
        let before = self.latest.last().copied().unwrap_or(0);
        self.latest.push(before.max(operation.returned));
    }

    /// Whether one of them can take effect between the two moments, both included.
    pub(super) fn any_between(&self, from: u64, to: u64) -> bool {
        let count = self.operations.partition_point(|(_, invoked, _)| *invoked <= to);
        count > 0 && self.latest[count - 1] >= from
    }

    /// One of them that was invoked after the one moment and returned before the other.
    pub(super) fn one_inside(&self, from: u64, to: u64) -> Option<usize> {
        let start = self.operations.partition_point(|(_, invoked, _)| *invoked <= from);
        let inside = self.operations[start..].iter().take_while(|(_, invoked, _)| *invoked < to);
        inside.into_iter().find(|(_, _, returned)| *returned < to).map(|(index, ..)| *index)
    }
}

/// The latest invocation among what had returned before a moment: what returned before that invocation is overwritten then.
#[derive(Default)]
pub(super) struct Cutoff {
    /// Return, and the latest invocation until then with its index.
    steps: Vec<(u64, u64, usize)>,
}

impl Cutoff {
    /// Of acknowledged operations, each with its index.
    pub(super) fn of<'a>(operations: impl IntoIterator<Item = (usize, &'a Operation)>) -> Cutoff {
        let mut steps: Vec<(u64, u64, usize)> = operations
            .into_iter()
            .map(|(index, operation)| (operation.returned, operation.invoked, index))
            .collect();
        steps.sort_unstable();
        for place in 1..steps.len() {
            let (_, before, index) = steps[place - 1];
            if before > steps[place].1 {
                (steps[place].1, steps[place].2) = (before, index);
            }
        }
        Cutoff { steps }
    }

    /// The latest invocation of what had returned before `moment`, with its index.
    pub(super) fn at(&self, moment: u64) -> Option<(u64, usize)> {
        let count = self.steps.partition_point(|(returned, ..)| *returned < moment);
        let (_, invoked, index) = self.steps.get(count.checked_sub(1)?)?;
        Some((*invoked, *index))
    }
}
