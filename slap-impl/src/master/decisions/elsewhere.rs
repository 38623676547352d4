//! What is passed on to another master: who may, and what is remembered of it.
//!
//! The other master knows the instance under a title that is made of the requester's partition and the title that was asked for, as
//! with slapproxy (slapos/proxy/db.py, `requestInstanceFromDB`). Partitions of two computers may have one name, so two who ask may
//! mean one title there: the first has it, and the second is refused, where slapproxy gives both the same instance.

use super::{Answer, Decision, Desk, Refusal, Requester, Stop};
use crate::{
    store,
    vocabulary::{BadId, ComputerId, InstanceTitle, RequestedState},
};
use rusqlite::Connection;

/// Instances that are passed on at most, to all other masters together.
pub const FORWARDED_MAX: u32 = 10_000;

/// An instance at another master.
#[derive(Clone, Copy, Debug)]
pub struct Errand<'a> {
    /// The other master, as the settings name it.
    pub master: &'a str,
    /// The instance's title there.
    pub title: &'a InstanceTitle,
    /// Who asks here; none for a user.
    pub requester: Option<&'a Requester>,
}

/// The title at another master of what is asked for here.
///
/// # Errors
/// When it would be too long for a title.
pub fn title_elsewhere(title: &InstanceTitle, requester: Option<&Requester>) -> Result<InstanceTitle, BadId> {
    format!("{}_{title}", requester.map_or("user", |requester| requester.partition.as_str())).parse()
}

/// What another master is to be asked for: none when the instance of that title is here already and so stays here; else the
/// state, which for an instance of a stopped tree is never `started`.
///
/// # Errors
/// Those of SQLite; and the refusal of one who may not ask.
pub fn state_elsewhere(
    connection: &Connection,
    default_computer: Option<&ComputerId>,
    title: &InstanceTitle,
    requester: Option<&Requester>,
    state: Option<RequestedState>,
) -> rusqlite::Result<Result<Option<Option<RequestedState>>, Refusal>> {
    judge(connection, default_computer, |desk| {
        let asker = desk.asker(requester)?;
        if store::instance_titled(connection, asker.root_number(), title)?.is_some() {
            return Ok(None);
        }
        let effective = asker.effective_state(state, None);
        Ok(Some(if effective == RequestedState::Stopped { Some(effective) } else { state }))
    })
}

/// Whether the errand may be run: nobody else has that title there, and there is room to remember it.
///
/// # Errors
/// Those of SQLite.
pub fn may_run(connection: &Connection, errand: Errand<'_>) -> rusqlite::Result<Result<(), Refusal>> {
    judge(connection, None, |desk| desk.is_remembered(errand).map(drop))
}

fn judge<T>(
    connection: &Connection,
    default_computer: Option<&ComputerId>,
    judge: impl FnOnce(&Desk<'_>) -> Decision<T>,
) -> rusqlite::Result<Result<T, Refusal>> {
    match judge(&Desk::at(connection, 0, default_computer)) {
        Ok(found) => Ok(Ok(found)),
        Err(Stop::Refused(refusal)) => Ok(Err(refusal)),
        Err(Stop::Changes) => unreachable!("nothing is looked for but what is there"),
        Err(Stop::Sql(error)) => Err(error),
    }
}

impl Desk<'_> {
    /// The other master did what it was asked for: it is remembered, or forgotten when it is gone there.
    pub(super) fn forwarded(&mut self, errand: Errand<'_>, gone: bool) -> Decision {
        let (master, title) = (errand.master, errand.title);
        match (self.is_remembered(errand)?, gone) {
            (true, true) => store::delete_forwarded(self.connection, master, title)?,
            (false, false) => {
                let asker = errand.requester.map(|it| (&it.computer, &it.partition));
                store::insert_forwarded(self.connection, master, title, asker)?;
            }
            (true, false) | (false, true) => {}
        }
        Ok(Answer::Text("done".to_owned()))
    }

    fn is_remembered(&self, errand: Errand<'_>) -> Decision<bool> {
        let asker = errand.requester.map(|it| (it.computer.clone(), it.partition.clone()));
        match store::forwarded(self.connection, errand.master, errand.title)? {
            Some(known) if known == asker => Ok(true),
            Some(known) => {
                let owner = known.map_or_else(
                    || "a user".to_owned(),
                    |(computer, partition)| format!("{partition} of {computer}"),
                );
                Err(taken(errand, &owner).into())
            }
            None if store::count_forwarded(self.connection)? >= FORWARDED_MAX => {
                let message = format!("{FORWARDED_MAX} instances are passed on to other masters already");
                Err(Refusal::new(403, message).hint("destroy those that are not needed any more").into())
            }
            None => Ok(false),
        }
    }
}

/// The refusal for a title that somebody else has at another master.
pub fn taken(errand: Errand<'_>, owner: &str) -> Refusal {
    let Errand { master, title, .. } = errand;
    Refusal::new(409, format!("at {master} the title {:?} is that of an instance of {owner}", title.as_str()))
        .hint("a title there is made of the partition's name and the title that is asked for: give it another title")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::database;

    fn requester(computer: &str) -> Requester {
        Requester { computer: computer.parse().unwrap(), partition: "slappart0".parse().unwrap() }
    }

    #[test]
    fn a_title_elsewhere_belongs_to_one() {
        let connection = database();
        let (first, second) = (requester("COMP-1"), requester("COMP-2"));
        let title = title_elsewhere(&"a".parse().unwrap(), Some(&first)).unwrap();
        assert_eq!(title.as_str(), "slappart0_a");
        assert_eq!(title_elsewhere(&"a".parse().unwrap(), None).unwrap().as_str(), "user_a");
        assert!(title_elsewhere(&"a".repeat(510).parse().unwrap(), None).is_err());
        fn errand<'a>(title: &'a InstanceTitle, requester: Option<&'a Requester>) -> Errand<'a> {
            Errand { master: "http://a/", title, requester }
        }
        let run = |requester: Option<&Requester>, gone| {
            let mut desk = Desk::at(&connection, 1, None);
            match desk.forwarded(errand(&title, requester), gone) {
                Ok(_) => 200,
                Err(Stop::Refused(refusal)) => refusal.status,
                Err(Stop::Changes) => panic!("it may change something"),
                Err(Stop::Sql(error)) => panic!("{error}"),
            }
        };
        assert_eq!(run(Some(&first), true), 200, "what is not remembered is forgotten");
        for _ in 0..2 {
            assert_eq!(run(Some(&first), false), 200);
        }
        for other in [Some(&second), None] {
            assert_eq!((run(other, false), run(other, true)), (409, 409));
            assert_eq!(may_run(&connection, errand(&title, other)).unwrap().unwrap_err().status, 409);
        }
        assert_eq!(store::count_forwarded(&connection).unwrap(), 1);
        assert_eq!(run(Some(&first), true), 200);
        assert_eq!(may_run(&connection, errand(&title, None)).unwrap(), Ok(()));
        assert_eq!((run(None, false), run(None, false)), (200, 200));
        let elsewhere = Errand { master: "http://b/", ..errand(&title, Some(&second)) };
        assert_eq!(may_run(&connection, elsewhere).unwrap(), Ok(()), "another master has other titles");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let connection = database();
        for number in 0..FORWARDED_MAX {
            let title = format!("user_{number}").parse().unwrap();
            store::insert_forwarded(&connection, "http://a/", &title, None).unwrap();
        }
        let run = |title: &str| {
            let errand = Errand { master: "http://a/", title: &title.parse().unwrap(), requester: None };
            may_run(&connection, errand).unwrap().map_err(|refusal| refusal.status)
        };
        assert_eq!((run("user_0"), run("user_x")), (Ok(()), Err(403)));
    }
}
