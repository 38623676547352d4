//! Requests for instances that came before, to the letter: most of what a cloud at rest is asked, for each instance asks for its
//! children again at each of its passes.
//!
//! Their answers are kept as they were sent, until anything is committed. Only what was decided by reading is kept, so giving it once
//! more is what deciding on it once more would do.

use super::Master;
use crate::wire::http::server::{Request, Response};
use std::{cell::RefCell, collections::BTreeMap};

/// Bytes of requests and answers that are kept; above that, all are forgotten.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// The answers by request.
#[derive(Default)]
pub(super) struct Repeated(RefCell<Kept>);

#[derive(Default)]
struct Kept {
    /// After how many commits these were true.
    commits: u64,
    answers: BTreeMap<Box<[u8]>, Response>,
    bytes: usize,
}

impl Master {
    /// The answer that such a request had, if nothing was committed since.
    pub(super) fn answered_before(&self, request: &Request) -> Option<Response> {
        let commits = self.queue.commits()?;
        let found = {
            let kept = self.repeated.0.borrow();
            if kept.commits != commits || kept.answers.is_empty() {
                return None;
            }
            kept.answers.get(letters(request).as_slice()).cloned()
        };
        // The database may have been removed.
        found.filter(|_| self.read(|_| Ok(())).is_ok())
    }

    /// Keeps the answer to a request, which was found by reading after so many commits.
    pub(super) fn keep_answer(&self, commits: Option<u64>, request: &Request, response: &Response) {
        let Some(commits) = commits else { return };
        let mut kept = self.repeated.0.borrow_mut();
        if kept.commits != commits || kept.bytes > KEPT_BYTES_MAX {
            *kept = Kept { commits, ..Kept::default() };
        }
        let letters = letters(request).into_boxed_slice();
        kept.bytes += letters.len() + response.body.len();
        kept.answers.insert(letters, response.clone());
    }
}

/// All of a request on which its answer may depend. No part of it holds a line break but the body, which stands last.
fn letters(request: &Request) -> Vec<u8> {
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut letters = Vec::with_capacity(
        request.method.len() + request.path.len() + request.query.len() + headers + request.body.len() + 4,
    );
    let lines = [&request.method, &request.path, &request.query].into_iter();
    let headers = request.headers.iter().flat_map(|(name, value)| [name, value]);
    for line in lines.chain(headers) {
        letters.extend_from_slice(line.as_bytes());
        letters.push(b'\n');
    }
    letters.push(b'\n');
    letters.extend_from_slice(&request.body);
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_differ_are_not_taken_for_each_other() {
        let base = Request {
            method: "POST".to_owned(),
            path: "/requestComputerPartition".to_owned(),
            query: String::new(),
            headers: vec![("host".to_owned(), "localhost".to_owned())],
            body: "a=b".into(),
            peer: None,
        };
        let others = [
            Request { path: "/requestcomputerpartition".to_owned(), ..base.clone() },
            Request { query: "x".to_owned(), ..base.clone() },
            Request { headers: vec![("host".to_owned(), "127.0.0.1".to_owned())], ..base.clone() },
            Request { headers: Vec::new(), body: "host\nlocalhost\n\na=b".into(), ..base.clone() },
            Request { body: "a=c".into(), ..base.clone() },
            Request { body: "".into(), ..base.clone() },
        ];
        for other in &others {
            assert_ne!(letters(other), letters(&base), "{other:?}");
        }
        assert_eq!(letters(&base.clone()), letters(&base));
    }
}
