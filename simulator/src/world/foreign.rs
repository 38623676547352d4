//! Foreign programs as data: `/bin/foreign ROLE [ADDRESS]` behaves as a file says that stands outside of what it runs in.
//!
//! `/etc/foreign/PLACE/ROLE` holds lines `WHEN AFTER JITTER THEN`, times in milliseconds; PLACE is the last part of its working
//! directory. What no line says is what a good program does.
//!
//! | when | then |
//! |---|---|
//! | `start` | `run` for ever (what a good one does), or end, if that is still so then: `exit CODE`; or `leave` a process in a session of its own, or `shout LINES` of 1000 bytes, and run; or `leave exit CODE` |
//! | `term`: it is asked to end | `exit CODE`, or `ignore` |
//! | `check`: it is run as a promise | `pass` whatever is so, `fail` or `hang`, `shout LINES` and fail, or `flap SECONDS`: fail in each other so many seconds; without a line it passes if the service of its partition runs |
//! | `ask`: somebody asks it by HTTP | `answer STATUS`; without a line 200 |
//!
//! A service holds a lock as long as it runs. Where somebody else holds it, one service runs twice, which is an alarm. One that has an
//! address listens there, and ends when somebody else does. What it answers is read at
//! each request, and what it does when it is asked to end then.
//!
//! A service keeps data: a file in its working directory, which it makes when it finds none. The world is told which it found.

use super::{Trace, random::Random};
use slap_impl::{
    env::{Address, Command, Either, Env, Exit, LocalFuture, Output, race},
    wire::http::server::{self, Handler, Limits, Request, Response},
};
use std::{cell::RefCell, net::IpAddr, num::NonZeroU16, path::PathBuf, rc::Rc, str::FromStr, time::Duration};

/// Where behaviours stand.
pub(crate) const BEHAVIOURS: &str = "/etc/foreign";
/// Where the locks of services stand.
const LOCKS: &str = "/run/foreign";
/// Where services listen.
pub(crate) const PORT: u16 = 8000;
/// Bytes of a behaviour.
const BEHAVIOUR_BYTES_MAX: u64 = 4096;
/// The role of what a service left; its partition follows.
pub(crate) const STRAY: &str = "stray";
/// The rule that a service which runs twice breaks.
const TWICE: &str = "service-runs-once";

/// The file of a service's data.
const DATA: &str = "data";
/// Bytes of it.
const DATA_BYTES_MAX: u64 = 100;

/// A service found its data, or has made it anew, which is durable then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The last part of its working directory.
    pub(crate) place: String,
    /// Which data: no two are the same.
    pub(crate) data: String,
    /// Whether there was none before.
    pub(crate) is_new: bool,
}

/// What happens when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    when: When,
    after: Duration,
    jitter: Duration,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Start,
    Term,
    Check,
    Ask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Run,
    Leave,
    LeaveAndExit(u8),
    Shout(u8),
    Exit(u8),
    Ignore,
    Pass,
    Fail,
    Flap(NonZeroU16),
    Hang,
    Answer(u16),
}

/// Whether that is a behaviour.
///
/// # Errors
/// The line that is none, and what is expected.
pub(crate) fn check(text: &str) -> Result<(), String> {
    text.lines().try_for_each(|line| Line::from_str(line).map(drop))
}

/// Runs as the role that the first argument names.
pub(crate) async fn run(env: &Env, trace: &Trace, begun: &RefCell<Vec<Begun>>, arguments: &[String]) -> Exit {
    let (role, address) = match arguments {
        [role, _] if role == STRAY => std::future::pending().await,
        [role] => (role, None),
        [role, address] => match address.parse::<IpAddr>() {
            Ok(address) => (role, Some(address)),
            Err(_) => {
                env.tell(format_args!("foreign: {address:?} is no address"));
                return Exit::USAGE;
            }
        },
        _ => {
            env.tell("foreign: expected a role, and an address if it listens");
            return Exit::USAGE;
        }
    };
    let place = env.context().directory.file_name().map(|name| name.to_string_lossy().into_owned());
    let place = place.unwrap_or_default();
    let lines = match behaviour(env, &place, role) {
        Ok(lines) => lines,
        Err(problem) => {
            env.tell(format_args!("foreign: {problem}"));
            return Exit::USAGE;
        }
    };
    let random = Random::of_bytes(&env.random_bytes(32));
    if role.starts_with("check") {
        return judge(env, &lines, &random, &place).await;
    }
    let termination = env.processes().termination();
    let _ = env.files().create_directory(&PathBuf::from(LOCKS), 0o755);
    let _held = match env.files().lock(&lock_path(&place, role)) {
        Ok(Some(held)) => held,
        Ok(None) => {
            trace.alarm(TWICE, format_args!("{place}/{role}"), "it was started while it runs already");
            return Exit::FAILED;
        }
        // A disk that fails says nothing of others.
        Err(error) => {
            env.tell(format_args!("foreign: {error}"));
            return Exit::FAILED;
        }
    };
    begun.borrow_mut().extend(open_data(env, &place, &random.child("data")));
    let listener = address.map(|address| env.network().listen(&Address::Tcp((address, PORT).into())));
    let Ok(listener) = listener.transpose() else {
        env.tell(format_args!("port {PORT} is in use"));
        return Exit::FAILED;
    };
    if let Some(listener) = listener {
        let page = Rc::new(Page {
            env: env.clone(),
            place: place.clone(),
            role: role.clone(),
            random: random.child("page"),
        });
        let env = env.clone();
        env.clone().spawn(async move { server::serve(&env, listener, Limits::default(), page).await });
    }
    let asked = async {
        termination.await;
        behaviour(env, &place, role).unwrap_or_default()
    };
    serve(env, (&place, role), &lines, &random, asked).await
}

fn behaviour(env: &Env, place: &str, role: &str) -> Result<Vec<Line>, String> {
    let path = PathBuf::from(BEHAVIOURS).join(place).join(role);
    if !env.files().exists(&path) {
        return Ok(Vec::new());
    }
    let text = env.files().read_text(&path, BEHAVIOUR_BYTES_MAX).map_err(|error| error.to_string())?;
    text.lines().map(Line::from_str).collect()
}

/// A service's data, made where there is none. What cannot be read or made is passed over: nobody relies on it then.
fn open_data(env: &Env, place: &str, random: &Random) -> Option<Begun> {
    let (place, path) = (place.to_owned(), env.context().directory.join(DATA));
    if let Ok(data) = env.files().read_text(&path, DATA_BYTES_MAX) {
        return Some(Begun { place, data, is_new: false });
    }
    if env.files().exists(&path) {
        return None;
    }
    let data = format!("{:016x}", random.below(u64::MAX));
    let made = env.files().replace(&path, data.as_bytes(), 0o600);
    made.is_ok().then_some(Begun { place, data, is_new: true })
}

/// Starts a process that hears nothing of its parent's end.
fn leave(env: &Env, place: &str) {
    let command = Command {
        variables: env.context().variables.clone(),
        directory: env.context().directory.clone(),
        output: Output::Null,
        session: true,
        ..Command::new("/bin/foreign").arguments([STRAY, place])
    };
    if let Err(error) = env.processes().spawn(&command) {
        env.tell(format_args!("foreign: {error}"));
    }
}

/// Writes much.
fn shout(env: &Env, lines: u8) {
    for number in 0..lines {
        env.print(format_args!("{number:03} {}", "la ".repeat(332)));
    }
}

/// What a service answers by HTTP.
struct Page {
    env: Env,
    place: String,
    role: String,
    random: Random,
}

impl Handler for Page {
    fn handle(self: Rc<Self>, _: Request) -> LocalFuture<'static, Response> {
        Box::pin(async move {
            let lines = behaviour(&self.env, &self.place, &self.role).unwrap_or_default();
            let Some(line) = lines.iter().find(|line| line.when == When::Ask) else {
                return Response::text(200, "it works\n");
            };
            self.env.sleep(line.draw(&self.random)).await;
            match line.then {
                Then::Answer(status) => Response::text(status, "as it was told\n"),
                _ => Response::text(200, "it works\n"),
            }
        })
    }
}

fn lock_path(place: &str, role: &str) -> PathBuf {
    PathBuf::from(LOCKS).join(format!("{place}.{role}"))
}

/// Runs until it ends by itself, or is asked to and has heard how it shall.
async fn serve(
    env: &Env,
    (place, role): (&str, &str),
    lines: &[Line],
    random: &Random,
    asked: impl Future<Output = Vec<Line>>,
) -> Exit {
    let life = async {
        match lines.iter().find(|line| line.when == When::Start) {
            Some(line) => {
                env.sleep(line.draw(random)).await;
                let ends = matches!(line.then, Then::Exit(_) | Then::LeaveAndExit(_));
                if ends && !behaviour(env, place, role).unwrap_or_default().contains(line) {
                    return std::future::pending().await;
                }
                match line.then {
                    Then::Exit(code) => Exit(code),
                    Then::Leave => {
                        leave(env, place);
                        std::future::pending().await
                    }
                    Then::LeaveAndExit(code) => {
                        leave(env, place);
                        Exit(code)
                    }
                    Then::Shout(lines) => {
                        shout(env, lines);
                        std::future::pending().await
                    }
                    _ => std::future::pending().await,
                }
            }
            None => std::future::pending().await,
        }
    };
    let asked = async {
        match asked.await.iter().find(|line| line.when == When::Term) {
            Some(line) if line.then == Then::Ignore => std::future::pending().await,
            Some(line) => {
                env.sleep(line.draw(random)).await;
                if let Then::Exit(code) = line.then { Exit(code) } else { Exit::DONE }
            }
            None => Exit::DONE,
        }
    };
    match race(life, asked).await {
        Either::First(exit) | Either::Second(exit) => exit,
    }
}

async fn judge(env: &Env, lines: &[Line], random: &Random, place: &str) -> Exit {
    if let Some(line) = lines.iter().find(|line| line.when == When::Check) {
        env.sleep(line.draw(random)).await;
        match line.then {
            Then::Pass => return Exit::DONE,
            Then::Flap(seconds) if is_good_time(env.clock().elapsed(), seconds) => return Exit::DONE,
            Then::Fail | Then::Flap(_) => {
                env.tell("it does not work");
                return Exit::FAILED;
            }
            Then::Shout(lines) => {
                shout(env, lines);
                return Exit::FAILED;
            }
            Then::Hang => return std::future::pending().await,
            _ => {}
        }
    }
    let path = lock_path(place, "service");
    let runs = env.files().exists(&path) && matches!(env.files().lock(&path), Ok(None));
    if runs {
        return Exit::DONE;
    }
    env.tell("the service does not run");
    Exit::FAILED
}

/// What flaps begins with a good time.
fn is_good_time(elapsed: Duration, seconds: NonZeroU16) -> bool {
    (elapsed.as_secs() / u64::from(seconds.get())).is_multiple_of(2)
}

impl Line {
    fn draw(&self, random: &Random) -> Duration {
        random.duration(self.after, self.after + self.jitter)
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(line: &str) -> Result<Line, String> {
        let expected =
            || format!("{line:?}: expected WHEN AFTER JITTER THEN, such as: start 5000 100 exit 1");
        let words: Vec<&str> = line.split(' ').collect();
        let [when, after, jitter, then @ ..] = words.as_slice() else { return Err(expected()) };
        let milliseconds = |word: &str| {
            word.parse::<u32>().map(|number| Duration::from_millis(number.into())).map_err(|_| expected())
        };
        let (when, then) = match (*when, then) {
            ("start", ["run"]) => (When::Start, Then::Run),
            ("start", ["leave"]) => (When::Start, Then::Leave),
            ("start", ["leave", "exit", code]) => {
                (When::Start, Then::LeaveAndExit(code.parse().map_err(|_| expected())?))
            }
            ("start", ["shout", lines]) => (When::Start, Then::Shout(lines.parse().map_err(|_| expected())?)),
            ("check", ["shout", lines]) => (When::Check, Then::Shout(lines.parse().map_err(|_| expected())?)),
            ("start", ["exit", code]) => (When::Start, Then::Exit(code.parse().map_err(|_| expected())?)),
            ("term", ["exit", code]) => (When::Term, Then::Exit(code.parse().map_err(|_| expected())?)),
            ("term", ["ignore"]) => (When::Term, Then::Ignore),
            ("check", ["pass"]) => (When::Check, Then::Pass),
            ("check", ["fail"]) => (When::Check, Then::Fail),
            ("check", ["flap", seconds]) => {
                (When::Check, Then::Flap(seconds.parse().map_err(|_| expected())?))
            }
            ("check", ["hang"]) => (When::Check, Then::Hang),
            ("ask", ["answer", status]) => match status.parse() {
                Ok(status @ 200..=599) => (When::Ask, Then::Answer(status)),
                _ => return Err(expected()),
            },
            _ => return Err(expected()),
        };
        Ok(Line { when, after: milliseconds(after)?, jitter: milliseconds(jitter)?, then })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_are_read_and_others_refused() {
        for line in [
            "start 0 0 run",
            "start 5000 100 exit 1",
            "term 0 0 ignore",
            "term 9 1 exit 0",
            "check 0 0 hang",
            "check 0 0 shout 5",
            "check 0 9 flap 65535",
            "start 0 0 shout 255",
            "start 0 0 leave",
            "start 0 0 leave exit 1",
            "ask 0 9 answer 503",
        ] {
            assert_eq!(check(line), Ok(()), "{line}");
        }
        for line in [
            " ",
            "start",
            "start 0 0 ignore",
            "start 0 0 leave exit",
            "start 0 0 leave shout 5",
            "check 0 0 exit 1",
            "check 0 0 flap 0",
            "start 0 0 flap 5",
            "term a 0 ignore",
            "start 0 0 exit 300",
            "start 0 0 shout 256",
            "ask 0 0 answer 99",
        ] {
            assert!(check(line).unwrap_err().contains("expected WHEN"), "{line}");
        }
        let two = NonZeroU16::new(2).unwrap();
        let times = (0..6).map(|second| is_good_time(Duration::from_secs(second), two));
        assert_eq!(times.collect::<Vec<_>>(), [true, true, false, false, true, true]);
        let line: Line = "check 30000 500 pass".parse().unwrap();
        assert_eq!((line.after, line.jitter), (Duration::from_secs(30), Duration::from_millis(500)));
    }
}
