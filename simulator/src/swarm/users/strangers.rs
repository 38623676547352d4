//! Strangers' requests, as bytes over a connection of their own: each is refused with a reason, and the master goes on.

use super::{PATIENCE, Place};
use crate::swarm::cloud::Cloud;
use slap_impl::{
    env::{Address, Env},
    wire::http::client::{self as http, Request},
};
use std::{collections::BTreeMap, rc::Rc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The rule that is broken when a request that is wrong is not refused, or leaves something behind.
pub(in crate::swarm) const RULE: &str = "garbage-is-refused";
/// A refusal that is longer does more than say what is wrong.
const REASON_BYTES_MAX: usize = 10_000;

/// Lets a stranger send a text, and looks at what comes of it.
pub(in crate::swarm) fn send(cloud: &Rc<Cloud>, text: &str, status: u16, is_half: bool) {
    let machine = cloud.machine(Place::Users);
    if !machine.is_on() {
        return;
    }
    let (env, cloud, text) = (machine.user("/root", BTreeMap::new()), cloud.clone(), text.to_owned());
    env.clone().spawn(async move {
        let host = format!("{}:5000", cloud.machine(Place::Master).address());
        let answer = exchange(&env, &host, &filled(&text, &host), is_half).await;
        let shown = answer.as_deref().map_or("nothing", |answer| answer.lines().next().unwrap_or_default());
        cloud.world.trace().event("stranger", format_args!("{text:?} is answered {shown}"));
        let wrong = match answer {
            Some(answer) => judge(&answer, status).err(),
            None => None,
        };
        let wrong = match wrong {
            None if !is_half => goes_on(&cloud, &env).await.err(),
            wrong => wrong,
        };
        if let Some(wrong) = wrong {
            cloud.world.trace().alarm(RULE, "master", format_args!("after {text:?}: {wrong}"));
        }
        cloud.machine(Place::Users).kill(env.context().identity);
    });
}

/// The bytes that a text stands for: up to U+00FF each character is one.
fn filled(text: &str, host: &str) -> Vec<u8> {
    let long = [
        ("{host}", host.to_owned()),
        ("{fill}", "x".repeat(40_000)),
        ("{values}", format!("[0{}]", ",0".repeat(40_000))),
        ("{deep}", "[".repeat(30_000)),
    ];
    let text = long.iter().fold(text.to_owned(), |text, (name, long)| text.replace(name, long));
    let length = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.chars().count());
    text.replace("{length}", &length.to_string()).chars().map(|character| character as u8).collect()
}

/// What comes back until the other side closes; none when nothing does, for whatever reason.
async fn exchange(env: &Env, host: &str, bytes: &[u8], is_half: bool) -> Option<String> {
    let address = Address::Tcp(host.parse().ok()?);
    let talk = async {
        let mut stream = env.network().connect(&address).await.ok()?;
        // Who is refused early may not be heard to the end.
        let _ = stream.write_all(bytes).await;
        let _ = stream.flush().await;
        let mut answer = Vec::new();
        loop {
            let mut piece = [0; 4096];
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => answer.extend_from_slice(&piece[..length]),
            }
            // Not everybody asks for the connection to be closed.
            if !is_half && is_whole(&answer) {
                break;
            }
        }
        (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
    };
    env.timeout(PATIENCE, talk).await.ok().flatten()
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

/// Whether an answer refuses what was asked, in that way, and says why. A connection may end in the midst of it.
fn judge(answer: &str, expected: u16) -> Result<(), String> {
    let found = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
    let Some(found) = found else { return Ok(()) };
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).filter(|_| is_whole(answer.as_bytes()));
    let short: String = answer.chars().take(300).collect();
    match found {
        // It was too slow on its way; or the database cannot be read now.
        408 | 503 => Ok(()),
        _ if found == expected || (expected == 0 && (400..500).contains(&found)) => {
            let is_told = body.is_none_or(|body| !body.trim().is_empty() && body.len() <= REASON_BYTES_MAX);
            if is_told || expected == 0 {
                Ok(())
            } else {
                Err(format!("it is refused without a reason: {short:?}"))
            }
        }
        _ => Err(format!("it is answered {short:?}, where {expected} is a refusal")),
    }
}

/// Whether the next one who asks is answered; none is, when something is wrong with the network or the machine.
async fn goes_on(cloud: &Cloud, env: &Env) -> Result<(), String> {
    let url = format!("{}/getRunId", cloud.master_url()).parse().expect("the URL is good");
    match http::send(env, Request { deadline: PATIENCE, ..Request::get(url) }).await {
        Ok(response) if response.is_success() || response.status == 503 => Ok(()),
        Ok(response) => Err(format!("who asks next is answered {}", response.status)),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_sent_as_it_is_meant() {
        let text = "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n\u{ff}{deep}";
        let sent = filled(text, "10.0.0.1:5000");
        let head = b"POST / HTTP/1.1\r\nhost: 10.0.0.1:5000\r\ncontent-length: 30001\r\n\r\n\xff[[";
        assert_eq!(&sent[..head.len()], head);
        assert_eq!(sent.len(), head.len() - 3 + 30_001);
    }

    #[test]
    fn a_refusal_is_one_of_its_kind_with_a_reason() {
        let check = |answer: &str, expected: u16, is_good: bool| {
            assert_eq!(judge(answer, expected).is_ok(), is_good, "{expected} {answer:?}");
        };
        check("HTTP/1.1 404 Not Found\r\n\r\nthere is nothing", 404, true);
        check("HTTP/1.1 400 Bad Request\r\n\r\nthere is nothing", 404, false);
        check("HTTP/1.1 404 Not Found\r\ncontent-length: 1\r\n\r\n\n", 404, false);
        check("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n", 404, true);
        check("HTTP/1.1 404 Not Fou", 404, true);
        check("HTT", 404, true);
        check("HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n", 0, true);
        check("HTTP/1.1 200 OK\r\n\r\nOK", 0, false);
        check("HTTP/1.1 200 OK\r\n\r\nOK", 404, false);
        check("HTTP/1.1 500 Internal Server Error\r\n\r\nno", 400, false);
        check("HTTP/1.1 503 Service Unavailable\r\n\r\nno", 400, true);
        check("HTTP/1.1 501 Not Implemented\r\n\r\nthere is no panel here", 501, true);
    }
}
