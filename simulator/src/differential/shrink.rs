//! Makes a list short that shows a difference: events are taken away as long as the same difference remains. An event that no
//! longer applies is answered with a refusal, so every part of a list is a list. What remains is made as plain as it can be.

use slap_model::{
    Event,
    event::{Filter, Wanted},
    names::{Address, DEFAULT_KIND, Parameters, Release},
};

/// A shorter list for which `shows` still says yes. It is asked a bounded number of times.
pub fn shrink(events: &[Event], mut shows: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
    const TRIES_MAX: usize = 20_000;
    let mut best = events.to_vec();
    let mut tries = 0;
    let mut chunk = best.len().div_ceil(2).max(1);
    loop {
        let mut has_shrunk = false;
        let mut end = best.len();
        while end > 0 && tries < TRIES_MAX {
            let begin = end.saturating_sub(chunk);
            let mut shorter = best.clone();
            shorter.drain(begin..end);
            tries += 1;
            let is_shown = !shorter.is_empty()
                && (shows(&shorter) || (chunk == 1 && lower(&mut shorter[begin..]) && shows(&shorter)));
            if is_shown {
                best = shorter;
                has_shrunk = true;
            }
            end = begin;
        }
        if tries >= TRIES_MAX || (chunk == 1 && !has_shrunk) {
            return best;
        }
        if !has_shrunk || chunk > best.len() {
            chunk = (chunk / 2).max(1);
        }
    }
}

/// The same list with plainer events, as long as `shows` says yes.
pub fn simplify(events: &[Event], mut shows: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
    let mut best = events.to_vec();
    for at in 0..best.len() {
        for plainer in PLAINER {
            let mut list = best.clone();
            plainer(&mut list[at]);
            if list != best && shows(&list) {
                best = list;
            }
        }
    }
    best
}

/// Each makes one thing of an event plainer.
const PLAINER: [fn(&mut Event); 9] = [
    |event| of_request(event, |request| request.kind = Some(DEFAULT_KIND)),
    |event| of_request(event, |request| request.release = Release(0)),
    |event| of_request(event, |request| request.parameters = Parameters(0)),
    |event| of_request(event, |request| request.filter = Filter::Anywhere),
    |event| of_request(event, |request| request.state = Some(Wanted::Started)),
    |event| {
        if let Event::Format { partitions, .. } = event {
            partitions.values_mut().for_each(|address| *address = Address(0));
        }
    },
    |event| {
        if let Event::Format { partitions, .. } = event {
            partitions.retain(|partition| partition.0 < 2);
        }
    },
    |event| {
        if let Event::Format { partitions, .. } = event {
            partitions.retain(|partition| partition.0 < 1);
        }
    },
    |event| {
        if let Event::Format { partitions, .. } = event {
            partitions.sort();
        }
    },
];

fn of_request(event: &mut Event, change: impl FnOnce(&mut slap_model::event::Request)) {
    if let Event::Request(request) = event {
        change(request);
    }
}

/// Makes reports one timestamp older: an event before them, which may have renewed what they are about, is gone.
fn lower(events: &mut [Event]) -> bool {
    let abouts = events.iter_mut().filter_map(|event| match event {
        Event::Report(report) => report.about.as_mut().filter(|about| **about > 0),
        _ => None,
    });
    abouts.map(|about| *about -= 1).count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use slap_model::{
        event::{Report, Word},
        names::{Computer, Partition, Place},
    };

    #[test]
    fn what_does_not_matter_goes() {
        let events: Vec<Event> = (0..100).map(|number| Event::Look(Computer(number))).collect();
        let shows =
            |list: &[Event]| [17, 18, 70].iter().all(|number| list.contains(&Event::Look(Computer(*number))));
        let expected: Vec<Event> = [17, 18, 70].map(|number| Event::Look(Computer(number))).to_vec();
        assert_eq!(shrink(&events, shows), expected);
        assert_eq!(shrink(&events[..1], |_| true), events[..1].to_vec());
    }

    #[test]
    fn what_is_not_plain_has_a_reason() {
        let world = slap_model::worlds::everything();
        let events = crate::differential::choices::seeded(&world, 1, 40);
        let is_shown = |list: &[Event]| {
            list.iter().any(|event| matches!(event, Event::Request(it) if it.release == Release(1)))
        };
        assert!(is_shown(&events));
        let plain = simplify(&shrink(&events, is_shown), is_shown);
        let [Event::Request(request)] = plain.as_slice() else { panic!("{plain:?}") };
        assert_eq!((request.kind, request.release), (Some(DEFAULT_KIND), Release(1)));
        assert_eq!((request.parameters, request.filter), (Parameters(0), Filter::Anywhere));
    }

    #[test]
    fn reports_follow_what_they_are_about() {
        let place = Place { computer: Computer(0), partition: Partition(0) };
        let report = |about| Event::Report(Report { place, word: Word::Started, about: Some(about) });
        let mut events = vec![Event::BangComputer(Computer(0)); 9];
        events.push(report(9));
        let is_last = |list: &[Event]| list.last() == Some(&report(list.len() as u32 - 1));
        assert_eq!(shrink(&events, is_last), [report(0)]);
    }
}
