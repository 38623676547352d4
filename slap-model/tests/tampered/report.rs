//! What reports, bangs, renames, formats and supplies may not do.

use super::{Case, Tampering};
use slap_model::{
    Event, Reply, Rule,
    event::{ReleaseReport, Report, Wanted, Word},
    names::{Computer, Number, Partition, Place, Release, Title},
    reply::Ignored,
    state::{Instance, Status},
};

pub(super) const TAMPERINGS: &[Tampering] = &[
    (Rule::GoesWhenReported, "an instance that is to be destroyed goes unreported", |case| {
        let is_report = matches!(case.event, Event::Report(_));
        let (number, _) = stays(case, |it| !is_report && it.state == Wanted::Destroyed)?;
        case.but(|it| it.remove(number))
    }),
    (Rule::GoesWhenReported, "an instance goes with the report on another", |case| {
        let place = destroyed(case)?;
        let (number, _) = stays(case, |it| it.state == Wanted::Destroyed && it.place != Some(place))?;
        case.but(|it| it.remove(number))
    }),
    (Rule::GoesWhenReported, "an instance that is wanted goes when it is reported to be gone", |case| {
        let place = destroyed(case)?;
        let (number, _) = stays(case, |it| it.place == Some(place) && it.state != Wanted::Destroyed)?;
        case.but(|it| it.remove(number))
    }),
    (Rule::LateFreesNothing, "a late report frees a partition", |case| {
        let (place, _) = gone(case)?;
        let rank = case.before.slot(place)?.rank;
        let about = Some(rank.checked_sub(1)?);
        let report = Report { place, word: Word::Destroyed, about };
        case.but(|it| it.event = Event::Report(report))
    }),
    (Rule::DroppedGoes, "a partition that was dropped stays", |case| {
        let (place, _) = gone(case)?;
        let slot = case.before.slot(place).filter(|slot| !slot.listed)?.clone();
        case.but(|it| {
            let computer = it.after.computers.get_mut(&place.computer).expect("it is registered");
            computer.partitions.insert(place.partition, slot);
        })
    }),
    (Rule::SharedGoesWhenAsked, "a shared instance goes by itself", |case| {
        let is_request = matches!(case.event, Event::Request(_));
        let is_there = |number: Number| !is_request && case.before.instances.contains_key(&number);
        let (number, _) = case.shared(|number, _| is_there(number))?;
        case.but(|it| it.remove(number))
    }),
    (Rule::SharedGoesWhenAsked, "a shared instance goes with the request for another", |case| {
        let Event::Request(request) = &case.event else { return None };
        let title_of = |number: Number| case.before.instances.get(&number).map(|it| it.title);
        let is_other = |number: Number, it: &Instance| {
            title_of(number).is_some_and(|title| title != request.title)
                && it.root.is_none_or(|root| title_of(root) != Some(request.title))
        };
        let (number, _) = case.shared(|number, it| is_other(number, it))?;
        case.but(|it| it.remove(number))
    }),
    (Rule::SharedGoesWhenAsked, "a shared instance goes when it is asked to stay", |case| {
        let Event::Request(request) = &case.event else { return None };
        let is_it =
            |number: Number| case.before.instances.get(&number).is_some_and(|it| it.title == request.title);
        let (number, _) =
            case.shared(|number, _| request.state != Some(Wanted::Destroyed) && is_it(number))?;
        case.but(|it| it.remove(number))
    }),
    (Rule::PublishedIsKept, "what is published is lost", |case| {
        let Event::Publish { place, shared: None, connection } = case.event else { return None };
        let (number, _) = case.after.tenant(place).filter(|_| case.reply == Reply::Done)?;
        case.but(|it| it.instance(number).connection.0 = connection.0 ^ 1)
    }),
    (Rule::RenameChangesOneTitle, "a rename is lost", |case| {
        let (number, old) = renamed(case)?;
        case.but(|it| it.instance(number).title = old)
    }),
    (Rule::RenameChangesOneTitle, "a rename changes something else", |case| {
        let (number, _) = renamed(case)?;
        let (other, _) = case.own(|it, _| it != number)?;
        case.but(|it| it.instance(other).parameters.0 ^= 1)
    }),
    (Rule::LateIsNotShown, "an earlier report takes the place of a later", |case| {
        let reported = |it: &Instance| case.before.slot(it.place?)?.status.filter(|status| status.about > 0);
        let (_, place) = stays(case, |it| reported(it).is_some())?;
        let about = case.before.slot(place)?.status?.about - 1;
        case.but(|it| it.slot(place).status = Some(Status { about, word: Word::Started }))
    }),
    (Rule::ReportIsShown, "a report is lost", |case| {
        let (place, about) = reported(case)?;
        let rank = case.after.slot(place)?.rank;
        about.is_none_or(|about| about >= rank).then_some(())?;
        case.but(|it| it.slot(place).status = None)
    }),
    (Rule::ReportIsShown, "a report is kept as another", |case| {
        let (place, about) = reported(case)?;
        let rank = case.after.slot(place)?.rank;
        about.is_none_or(|about| about >= rank).then_some(())?;
        case.but(|it| it.slot(place).status = Some(Status { about: rank, word: Word::Bang }))
    }),
    (Rule::SharedErrorIsItsOwn, "the error of a shared instance is its host's", |case| {
        let Event::ReportSharedError { place, .. } = case.event else { return None };
        let about = case.after.slot(place).filter(|_| case.reply == Reply::Done)?.rank + 1;
        case.but(|it| it.slot(place).status = Some(Status { about, word: Word::Error }))
    }),
    (Rule::SharedErrorIsItsOwn, "the error of a shared instance is lost", |case| {
        let Event::ReportSharedError { place, shared } = case.event else { return None };
        let number = case.after.shared_at(place, shared).filter(|_| case.reply == Reply::Done)?;
        case.but(|it| it.instance(number).shared.as_mut().expect("it is shared").status = None)
    }),
    (Rule::BangIsShown, "a bang is not shown", |case| {
        let Event::Bang { place, shared: None } = case.event else { return None };
        case.after.slot(place).filter(|_| case.reply == Reply::Done)?;
        case.but(|it| it.slot(place).status = None)
    }),
    (Rule::BangIsShown, "a bang of a computer is not shown", |case| {
        let Event::BangComputer(computer) = case.event else { return None };
        case.after.computers.get(&computer).filter(|_| case.reply == Reply::Done)?;
        case.but(|it| it.after.computers.get_mut(&computer).expect("it is registered").banged = false)
    }),
    (Rule::ReleaseReportIsShown, "a report on a release is lost", |case| {
        let Event::ReportRelease { computer, release, report } = case.event else { return None };
        let supplied = case.after.computers.get(&computer)?.supplies.get(&release)?;
        (report != ReleaseReport::Destroyed && supplied.status == Some(report)).then_some(())?;
        case.but(|it| {
            let registered = it.after.computers.get_mut(&computer).expect("it is registered");
            registered.supplies.get_mut(&release).expect("it is supplied").status = None;
        })
    }),
    (Rule::ReleaseReportIsShown, "a report on a release comes by itself", |case| {
        let (computer, registered) = case.after.computers.first_key_value()?;
        let (release, supplied) = registered.supplies.first_key_value()?;
        let (computer, release) = (*computer, *release);
        (!matches!(case.event, Event::ReportRelease { .. }) && supplied.status.is_none()).then_some(())?;
        case.but(|it| {
            let registered = it.after.computers.get_mut(&computer).expect("it is registered");
            let supplied = registered.supplies.get_mut(&release).expect("it is supplied");
            supplied.status = Some(ReleaseReport::Available);
        })
    }),
    (Rule::FreeIsIgnored, "a report on a free partition is kept", |case| {
        let place = ignored(case)?;
        case.but(|it| it.slot(place).status = Some(Status { about: 0, word: Word::Error }))
    }),
    (Rule::FreeIsIgnored, "a report on a free partition is answered as if it were done", |case| {
        ignored(case)?;
        case.but(|it| it.reply = Reply::Done)
    }),
    (Rule::FormatTellsWhatStays, "what stays is not told", |case| {
        matches!(case.reply, Reply::Kept(_)).then_some(())?;
        case.but(|it| it.reply = Reply::Done)
    }),
    (Rule::FormatTellsWhatStays, "something else is told to stay", |case| {
        let Reply::Kept(mut kept) = case.reply.clone() else { return None };
        kept.insert(Partition(99));
        case.but(|it| it.reply = Reply::Kept(kept))
    }),
    (Rule::FormatTellsWhatStays, "something is told to stay though all is as it was", |case| {
        matches!((&case.event, &case.reply), (Event::Format { .. }, Reply::Done)).then_some(())?;
        case.but(|it| it.reply = Reply::Kept([Partition(0)].into()))
    }),
    (Rule::FormatIsObeyed, "a partition is missing", |case| {
        let Event::Format { computer, ref partitions } = case.event else { return None };
        let partition = *partitions.keys().next()?;
        case.but(|it| it.slot(Place { computer, partition }).listed = false)
    }),
    (Rule::FormatIsObeyed, "a partition that was dropped is given away again", |case| {
        let Event::Format { computer, .. } = case.event else { return None };
        let Reply::Kept(kept) = &case.reply else { return None };
        let partition = *kept.first()?;
        case.but(|it| it.slot(Place { computer, partition }).listed = true)
    }),
    (Rule::SupplyIsObeyed, "a supply is lost", |case| {
        let Event::Supply { computer, release, .. } = case.event else { return None };
        (case.reply == Reply::Done).then_some(())?;
        case.but(|it| forget(it, computer, release))
    }),
    (Rule::SupplyIsObeyed, "a supply is kept as its opposite", |case| {
        let Event::Supply { computer, release, .. } = case.event else { return None };
        (case.reply == Reply::Done).then_some(())?;
        case.but(|it| {
            let supplies = &mut it.after.computers.get_mut(&computer).expect("it is registered").supplies;
            supplies.get_mut(&release).expect("it was supplied").wanted ^= true;
        })
    }),
    (Rule::ReleaseGoesWhenReported, "an unwanted release goes unreported", |case| {
        let is_report = matches!(case.event, Event::ReportRelease { .. });
        (!is_report).then_some(())?;
        without_release(case, |_, _, wanted| !wanted)
    }),
    (Rule::ReleaseGoesWhenReported, "a wanted release goes when it is reported to be gone", |case| {
        let Event::ReportRelease { report: ReleaseReport::Destroyed, .. } = case.event else { return None };
        without_release(case, |_, _, wanted| wanted)
    }),
    (Rule::ReleaseGoesWhenReported, "an unwanted release goes when another is reported to be gone", |case| {
        let Event::ReportRelease { report: ReleaseReport::Destroyed, release, .. } = case.event else {
            return None;
        };
        without_release(case, |_, which, wanted| !wanted && which != release)
    }),
    (Rule::ReleaseGoesWhenReported, "an unwanted release goes when it is reported to be there", |case| {
        let Event::ReportRelease { report, release, computer } = case.event else { return None };
        (report != ReleaseReport::Destroyed).then_some(())?;
        without_release(case, |at, which, wanted| !wanted && which == release && at == computer)
    }),
];

/// An instance with a partition that was there before and is there after the step.
fn stays(case: &Case, is_it: impl Fn(&Instance) -> bool) -> Option<(Number, Place)> {
    let was = |number: Number| case.before.instances.get(&number).is_some_and(&is_it);
    case.own(|number, _| was(number))
}

/// The partition that was reported to be empty.
fn destroyed(case: &Case) -> Option<Place> {
    match case.event {
        Event::Report(Report { place, word: Word::Destroyed, .. }) => Some(place),
        _ => None,
    }
}

/// The partition of an instance that went.
fn gone(case: &Case) -> Option<(Place, Number)> {
    let place = destroyed(case)?;
    let (number, _) = case.before.tenant(place)?;
    (!case.after.instances.contains_key(&number)).then_some((place, number))
}

/// What was reported to be started, stopped or in error.
/// The free partition that a report is about.
fn ignored(case: &Case) -> Option<Place> {
    let Event::Report(Report { place, .. }) = case.event else { return None };
    (case.reply == Reply::Ignored(Ignored::Free)).then_some(place)
}

fn reported(case: &Case) -> Option<(Place, Option<u32>)> {
    let Event::Report(Report { place, word: Word::Started | Word::Stopped | Word::Error, about }) =
        case.event
    else {
        return None;
    };
    (case.reply == Reply::Done).then_some((place, about))
}

/// The instance in a partition that got another title, and its old one.
fn renamed(case: &Case) -> Option<(Number, Title)> {
    let Event::Rename { place, shared: None, .. } = case.event else { return None };
    let (number, old) = case.before.tenant(place)?;
    (case.after.instances[&number].title != old.title).then_some((number, old.title))
}

fn forget(case: &mut Case, computer: Computer, release: Release) {
    let registered = case.after.computers.get_mut(&computer).expect("it is registered");
    registered.supplies.remove(&release);
}

fn without_release(case: &Case, is_it: impl Fn(Computer, Release, bool) -> bool) -> Option<Case> {
    let (computer, release) = case.before.computers.iter().find_map(|(computer, registered)| {
        let mut supplies = registered.supplies.iter();
        let found = supplies.find(|(release, it)| is_it(*computer, **release, it.wanted));
        found.map(|(release, _)| (*computer, *release))
    })?;
    case.but(|it| forget(it, computer, release))
}
