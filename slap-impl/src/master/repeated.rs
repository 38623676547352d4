//! Requests for instances that came before, to the letter: most of what a cloud at rest is asked, for each instance asks for its
//! children again at each of its passes.
//!
//! Their answers are kept as they were sent, until anything is committed. Only what was decided by reading is kept, so giving it once
//! more is what deciding on it once more would do.
//!
//! Deciding by reading is tried for requests that came before only: what is asked for the first time mostly changes something, and
//! would be decided on twice. This is a guess, which costs time where it is wrong and never changes an answer.

use super::Master;
use crate::wire::http::server::{Request, Response};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

/// Bytes of requests and answers that are kept; above that, all are forgotten.
const KEPT_BYTES_MAX: usize = 4 << 20;
/// Bits of the memory of requests that came, 256 KiB, and how many requests it holds until it is emptied: two bits each, so that at
/// most one new request of 50 is taken for an old one.
const SEEN_BITS: u64 = 1 << 21;
const SEEN_MAX: u32 = 1 << 17;

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

/// Which requests came before, as a Bloom filter.
#[derive(Default)]
pub(super) struct Seen(RefCell<Bits>);

#[derive(Default)]
struct Bits {
    /// Empty until the first request.
    words: Vec<u64>,
    requests: u32,
}

impl Seen {
    /// Notes a request; whether it may have come before. What came may be forgotten, among very many.
    pub(super) fn note(&self, request: &Request) -> bool {
        let mut hasher = DefaultHasher::new();
        letters(request).hash(&mut hasher);
        let hash = hasher.finish();
        let mut bits = self.0.borrow_mut();
        if bits.words.is_empty() || bits.requests >= SEEN_MAX {
            *bits = Bits { words: vec![0; (SEEN_BITS / 64) as usize], requests: 0 };
        }
        let mut was_there = true;
        for part in [hash, hash >> 32] {
            let bit = part % SEEN_BITS;
            let word = &mut bits.words[(bit / 64) as usize];
            was_there &= *word >> (bit % 64) & 1 == 1;
            *word |= 1 << (bit % 64);
        }
        bits.requests += u32::from(!was_there);
        was_there
    }
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

    fn base() -> Request {
        Request {
            method: "POST".to_owned(),
            path: "/requestComputerPartition".to_owned(),
            query: String::new(),
            headers: vec![("host".to_owned(), "localhost".to_owned())],
            body: "a=b".into(),
            peer: None,
        }
    }

    #[test]
    fn what_came_is_known_and_little_else() {
        let seen = Seen::default();
        let numbered = |number: u32| Request { body: format!("title={number}").into(), ..base() };
        let count = SEEN_MAX / 2;
        let mistaken = (0..count).filter(|number| seen.note(&numbered(*number))).count();
        assert!(mistaken < count as usize / 50, "{mistaken} of {count} new ones were taken for old ones");
        assert!((0..count).all(|number| seen.note(&numbered(number))), "one that came was not known");
        for number in count..2 * SEEN_MAX {
            seen.note(&numbered(number));
        }
        let bits = seen.0.borrow();
        assert!(bits.requests <= SEEN_MAX && bits.words.len() as u64 == SEEN_BITS / 64, "it does not grow");
    }

    #[test]
    fn requests_that_differ_are_not_taken_for_each_other() {
        let base = base();
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
