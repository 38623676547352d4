//! Makes a list short that shows a difference: events are taken away as long as the same difference remains. An event that no
//! longer applies is answered with a refusal, so every part of a list is a list.

use slap_model::Event;

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
            if !shorter.is_empty() && shows(&shorter) {
                best = shorter;
                has_shrunk = true;
            } else if chunk == 1 && lower(&mut shorter[begin..]) && shows(&shorter) {
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
    fn reports_follow_what_they_are_about() {
        let place = Place { computer: Computer(0), partition: Partition(0) };
        let report = |about| Event::Report(Report { place, word: Word::Started, about: Some(about) });
        let mut events = vec![Event::BangComputer(Computer(0)); 9];
        events.push(report(9));
        let is_last = |list: &[Event]| list.last() == Some(&report(list.len() as u32 - 1));
        assert_eq!(shrink(&events, is_last), [report(0)]);
    }
}
