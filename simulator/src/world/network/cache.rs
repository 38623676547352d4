//! What stands between two machines and answers requests of one kind itself: a proxy with an old answer, or with none.

use std::time::Duration;
use tokio::time::Instant;

/// The header by which a request says what it knows already, and as long a one that says nothing.
const CONDITION: (&[u8], &[u8]) = (b"\r\nif-none-match:", b"\r\nxx-none-match:");

/// By which a request says that it wants no answer that was kept (RFC 9111, 5.2.1.4).
const NO_CACHE: &[u8] = b"\r\ncache-control: no-cache\r\n";

/// What answers requests for a path.
pub(super) struct Cache {
    path: String,
    /// The answer that is kept, and from when on it is given.
    kept: Option<Vec<u8>>,
    from: Instant,
    /// How many requests it answers, and how long it takes for that.
    times: u64,
    after: Duration,
}

/// What becomes of a request.
pub(super) enum Fate {
    /// It passes.
    Pass,
    /// It passes in this form, and its answer is to be kept.
    Fill(Vec<u8>),
    /// It does not pass, and this is its answer, so much later.
    Answer(Vec<u8>, Duration),
    /// It is lost.
    Lose,
}

impl Cache {
    /// Keeps the next answer to a request for `path`, and gives it from `from` on to so many.
    pub(super) fn new(path: &str, from: Instant, times: u64, after: Duration) -> Cache {
        Cache { path: path.to_owned(), kept: None, from, times, after }
    }

    /// Whether it has answered all that it shall.
    pub(super) fn is_spent(&self) -> bool {
        self.times == 0
    }

    /// What becomes of a request.
    pub(super) fn meet(&mut self, request: &[u8], now: Instant) -> Fate {
        if !is_for(request, &self.path) || position(request, NO_CACHE).is_some() {
            return Fate::Pass;
        }
        match &self.kept {
            None => Fate::Fill(unconditional(request)),
            Some(answer) if now >= self.from => {
                self.times = self.times.saturating_sub(1);
                Fate::Answer(answer.clone(), self.after)
            }
            Some(_) => Fate::Pass,
        }
    }

    /// Keeps an answer, if it is a whole document.
    pub(super) fn keep(&mut self, answer: Vec<u8>) -> bool {
        let is_document = self.kept.is_none() && answer.starts_with(b"HTTP/1.1 200");
        if is_document {
            self.kept = Some(answer);
        }
        is_document
    }
}

/// Whether a request asks for a path, with or without a query.
pub(super) fn is_for(request: &[u8], path: &str) -> bool {
    let rest = request.strip_prefix(b"GET ").and_then(|rest| rest.strip_prefix(path.as_bytes()));
    rest.is_some_and(|rest| matches!(rest.first(), Some(b'?' | b' ')))
}

fn position(request: &[u8], text: &[u8]) -> Option<usize> {
    request.windows(text.len()).position(|window| window == text)
}

/// The same request, which asks for the document whatever is known already.
fn unconditional(request: &[u8]) -> Vec<u8> {
    let (name, other) = CONDITION;
    let mut request = request.to_vec();
    if let Some(at) = position(&request, name) {
        request[at..at + name.len()].copy_from_slice(other);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_and_given_as_often_as_it_shall() {
        let now = crate::world::now_instant();
        let mut cache = Cache::new("/view", now + Duration::from_secs(9), 2, Duration::from_secs(1));
        let request = b"GET /view?a=b HTTP/1.1\r\nif-none-match: \"1\"\r\n\r\n";
        assert!(matches!(cache.meet(b"GET /viewer HTTP/1.1\r\n\r\n", now), Fate::Pass));
        assert!(matches!(cache.meet(b"POST /view HTTP/1.1\r\n\r\n", now), Fate::Pass));
        let fresh = b"GET /view HTTP/1.1\r\ncache-control: no-cache\r\n\r\n";
        assert!(matches!(cache.meet(fresh, now), Fate::Pass), "who wants the master's own answer");
        let Fate::Fill(asked) = cache.meet(request, now) else { panic!("it has no answer yet") };
        assert_eq!(asked, b"GET /view?a=b HTTP/1.1\r\nxx-none-match: \"1\"\r\n\r\n");
        assert!(!cache.keep(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()));
        assert!(cache.keep(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()));
        assert!(matches!(cache.meet(request, now), Fate::Pass), "it is not old yet");
        for _ in 0..2 {
            assert!(!cache.is_spent());
            let fate = cache.meet(request, now + Duration::from_secs(9));
            assert!(matches!(fate, Fate::Answer(answer, _) if answer.starts_with(b"HTTP/1.1 200")));
        }
        assert!(cache.is_spent());
    }
}
