//! A master that is asked to end while requests are under way.

use crate::support::{BOUND, Master, rest, wait_until};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

/// The head of a form of so many bytes. Who is told to continue knows that the rest of it is waited for.
fn begun(master: &Master, endpoint: &str, length: usize) -> TcpStream {
    let mut stream = master.sent(&format!(
        "POST /{endpoint} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
    ));
    let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, expected);
    stream
}

#[test]
fn it_ends_with_what_is_under_way_and_without_what_never_ends() {
    let mut master = Master::start("-n 4096", "");
    master.format("COMP-1", 3);
    let form = "partition_reference=a&software_release=/r&software_type=t";
    let mut half = begun(&master, "requestComputerPartition", form.len());
    let mut endless = begun(&master, "requestComputerPartition", form.len());
    endless.write_all(b"partition_reference=").unwrap();
    let held =
        master.sent("GET /events?since=1000000 HTTP/1.1\r\nhost: localhost\r\nprefer: wait=300\r\n\r\n");
    // It is heard after those.
    master.serves();
    master.serves();
    master.ask_to_end();
    wait_until("nobody else is let in", || {
        TcpStream::connect(master.address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    // Before there is any change.
    let answer = rest(held);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"events\":[]"), "who waits: {answer}");
    half.write_all(form.as_bytes()).unwrap();
    let answer = rest(half);
    assert!(answer.starts_with("HTTP/1.1 200"), "what was under way: {answer}");
    endless.set_read_timeout(Some(BOUND)).unwrap();
    // Its own time is not up yet: then it would be told so.
    assert_eq!(rest(endless), "", "what never ends is cut");
    master.ends();
    let place = master.kill();
    let master = Master::start_in(place, ":", "").unwrap_or_else(|(said, _)| panic!("{said}"));
    assert!(master.get("hateoas/partitions/a").starts_with("HTTP/1.1 200"), "what was acknowledged is kept");
}
