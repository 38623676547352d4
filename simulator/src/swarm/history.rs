//! What users did in a run, and what they were told.

use super::{act::describe, script::Event};
use slap_impl::client::ClientError;
use std::{cell::RefCell, time::Duration};

/// All operations of a run, in the order in which they began.
#[derive(Default)]
pub(super) struct History(RefCell<Vec<Operation>>);

/// Something that a user did.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) user: u32,
    pub(super) began: Duration,
    pub(super) what: Event,
    /// When an answer came, which, and whether it was a yes; none when none came yet.
    pub(super) ended: Option<(Duration, String, bool)>,
}

impl History {
    pub(super) fn began(&self, at: Duration, user: u32, what: &Event) -> usize {
        let mut operations = self.0.borrow_mut();
        operations.push(Operation { user, began: at, what: what.clone(), ended: None });
        operations.len() - 1
    }

    pub(super) fn ended(&self, number: usize, at: Duration, result: Result<String, ClientError>) {
        let is_done = result.is_ok();
        self.0.borrow_mut()[number].ended = Some((at, describe(&result), is_done));
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        self.0.borrow().clone()
    }
}
