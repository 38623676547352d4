//! Does what a script says; `act/node.rs`: what happens on a node, beside its programs; `act/places.rs`: to its directories, locks and links;
//! `act/stalls.rs`: programs that stand still, and releases that are spoilt.

mod node;
mod places;
mod stalls;

use super::{
    cloud::{Cloud, name},
    format,
    history::History,
    knobs::Formats,
    local, operator,
    script::{Event, Failure, Moment, Operation, Place, Role, Tell},
    users::{self, operate, strangers},
};
use crate::world::{
    Link, Machine, Mishap,
    disk::{self, Fault},
    foreign::BEHAVIOURS,
    pause, spawn,
};
use jiff::SignedDuration;
use std::{collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};

/// Where a node asks for what the master wants.
const VIEW: &str = "/getFullComputerInformation";

/// Does what happens at its time, and gives it up to tasks of its own what takes longer.
pub(super) fn act(cloud: &Rc<Cloud>, history: &Rc<History>, event: &Event) {
    if !is_possible(cloud, event) {
        return;
    }
    match event {
        _ if event.user().is_some() => operate(cloud, history, event),
        Event::Stranger { text, status, is_half } => strangers::send(cloud, text, *status, *is_half),
        Event::Kill { program } => {
            if let Some((place, identity)) = cloud.process(*program) {
                cloud.machine(place).kill(identity);
            }
        }
        Event::Pause { program, milliseconds } => {
            stalls::pause(cloud, cloud.process(*program), *milliseconds);
        }
        Event::Hang { node, partition, milliseconds } => {
            let services = cloud.services(*node, &format!("slappart{partition}")).into_iter();
            stalls::pause(cloud, services.map(|service| (Place::Node(*node), service)), *milliseconds);
        }
        Event::Spoil { release, how, milliseconds } => stalls::spoil(cloud, *release, *how, *milliseconds),
        Event::KillService { node, partition } => {
            for service in cloud.services(*node, &format!("slappart{partition}")) {
                cloud.machine(Place::Node(*node)).kill(service);
            }
        }
        Event::Power { .. } | Event::Reboot { .. } | Event::Wipe { .. } => lose_machine(cloud, event),
        Event::Step { machine, seconds } => {
            cloud.world.trace().event(name(*machine), format_args!("its clock jumps by {seconds} s"));
            cloud.machine(*machine).clock().step(SignedDuration::from_secs(*seconds));
        }
        Event::Drift { machine, parts_per_million, milliseconds } => {
            let (cloud, place) = (cloud.clone(), *machine);
            cloud.machine(place).clock().drift(*parts_per_million);
            after(*milliseconds, move || cloud.machine(place).clock().drift(0));
        }
        Event::Behave { node, partition, role, line, milliseconds } => {
            behave(cloud, *node, *partition, *role, line, *milliseconds);
        }
        Event::Disk { .. } | Event::Crash { .. } => break_disk(cloud, event),
        Event::TakePort { node, partition, milliseconds } => {
            node::take_port(cloud, *node, *partition, *milliseconds);
        }
        Event::Quota { node, partition, room, milliseconds } => {
            node::use_up_quota(cloud, *node, *partition, *room, *milliseconds);
        }
        Event::Clone { node, milliseconds } => node::clone(cloud, *node, *milliseconds),
        Event::Remove { node, part } => node::remove_part(cloud, *node, *part),
        Event::Pass { node, pass } => operator::pass_beside(cloud, *node, *pass),
        Event::Elsewhere { .. } => users::second::operate(cloud, event),
        Event::MoveReleases { milliseconds } => local::move_releases(cloud, *milliseconds),
        Event::Touch { node, touch, milliseconds } => places::touch(cloud, *node, *touch, *milliseconds),
        Event::Reformat { node, change, restarts, milliseconds } => {
            format::change(cloud, *node, *change, *restarts, *milliseconds);
        }
        Event::StrayPlugin { node, partition, text, milliseconds } => {
            node::add_plugin(cloud, *node, *partition, text, *milliseconds);
        }
        Event::OldView { node, age, times, milliseconds } => {
            let (age, after) = (Duration::from_millis(*age), Duration::from_millis(*milliseconds));
            link(cloud, Place::Node(*node), Place::Master).answer_with_old(VIEW, age, *times, after);
        }
        Event::SkipView { node, times } => {
            link(cloud, Place::Node(*node), Place::Master).lose_requests_for(VIEW, *times);
        }
        _ => disturb(cloud, event),
    }
}

/// Ends all that a script began and did not end yet.
pub(super) fn heal(cloud: &Rc<Cloud>) {
    let places: Vec<Place> = cloud.places().collect();
    for from in &places {
        for to in &places {
            if from != to {
                link(cloud, *from, *to).heal();
            }
        }
    }
    for place in places {
        let machine = cloud.machine(place);
        machine.clock().drift(0);
        machine.disk().heal();
        cloud.power_on(place);
    }
    stalls::heal(cloud);
    node::heal(cloud);
    places::heal(cloud);
    format::heal(cloud);
    local::heal(cloud);
    // Last: what loses its power might have it back.
    for place in cloud.places() {
        let machine = cloud.machine(place);
        let env = machine.user("/", BTreeMap::new());
        let _ = env.files().remove_tree(&PathBuf::from(BEHAVIOURS));
        node::remove_plugins(cloud, place);
        machine.kill(env.context().identity);
    }
}

/// A script that was made for another cloud may name what is not there.
fn is_possible(cloud: &Cloud, event: &Event) -> bool {
    if let Event::Tree { act, .. } = event {
        return act.node().is_none_or(|node| cloud.has(Place::Node(node)));
    }
    // Where operators change formats, or addresses come from a network, nobody else knows what a node's own format is.
    let is_format = matches!(event, Event::Tell { tell: Tell::Format { .. }, .. });
    if is_format && cloud.knobs.formats != Formats::default() {
        return false;
    }
    // Where what instances publish is judged in the end, nobody else publishes: a node replaces it only when it processes the instance again.
    let is_publish = matches!(event, Event::Tell { tell: Tell::Publish { .. }, .. });
    if is_publish && cloud.knobs.trees.is_some() {
        return false;
    }
    let named = match event {
        Event::Look { look, .. } => look.node(),
        Event::Tell { tell, .. } => tell.node(),
        Event::Type { typed, .. } => typed.node(),
        _ => None,
    };
    if named.is_some_and(|node| !cloud.has(Place::Node(node))) {
        return false;
    }
    let machines: &[Place] = match event {
        Event::Supply { node, .. }
        | Event::Bang { node, .. }
        | Event::ReadComputer { node, .. }
        | Event::Request { node: Some(node), .. }
        | Event::KillService { node, .. }
        | Event::Hang { node, .. }
        | Event::Wipe { node }
        | Event::Behave { node, .. }
        | Event::TakePort { node, .. }
        | Event::Quota { node, .. }
        | Event::Clone { node, .. }
        | Event::StrayPlugin { node, .. }
        | Event::Remove { node, .. }
        | Event::Pass { node, .. }
        | Event::Reformat { node, .. }
        | Event::Touch { node, .. }
        | Event::OldView { node, .. }
        | Event::SkipView { node, .. } => &[Place::Node(*node)],
        Event::Power { machine, .. }
        | Event::Reboot { machine }
        | Event::Step { machine, .. }
        | Event::Drift { machine, .. }
        | Event::Disk { machine, .. }
        | Event::Crash { machine, .. } => &[*machine],
        Event::Kill { program } | Event::Pause { program, .. } => &[program.place()],
        Event::Partition { from, to, .. }
        | Event::Refuse { from, to, .. }
        | Event::Reset { from, to }
        | Event::LoseRequest { from, to, .. }
        | Event::LoseAnswer { from, to, .. }
        | Event::Duplicate { from, to, .. }
        | Event::Delay { from, to, .. }
        | Event::Trickle { from, to, .. } => &[*from, *to],
        _ => &[],
    };
    machines.iter().all(|place| cloud.has(*place))
}

fn after(milliseconds: u64, end: impl FnOnce() + 'static) {
    spawn(async move {
        pause(Duration::from_millis(milliseconds)).await;
        end();
    });
}

fn link(cloud: &Cloud, from: Place, to: Place) -> Link {
    cloud.world.link(cloud.machine(from), cloud.machine(to))
}

/// What goes wrong in the network.
fn disturb(cloud: &Rc<Cloud>, event: &Event) {
    match *event {
        Event::Partition { from, to, both, milliseconds } => {
            let mut links = vec![link(cloud, from, to)];
            if both {
                links.push(link(cloud, to, from));
            }
            links.iter().for_each(Link::block);
            after(milliseconds, move || links.iter().for_each(Link::unblock));
        }
        Event::Refuse { from, to, milliseconds } => {
            let link = link(cloud, from, to);
            link.refuse(true);
            after(milliseconds, move || link.refuse(false));
        }
        Event::Reset { from, to } => link(cloud, from, to).reset(),
        Event::LoseRequest { from, to, spared } => link(cloud, from, to).plan(spared, Mishap::LoseRequest),
        Event::LoseAnswer { from, to, spared } => link(cloud, from, to).plan(spared, Mishap::LoseAnswer),
        Event::Duplicate { from, to, spared, milliseconds } => {
            link(cloud, from, to).plan(spared, Mishap::Duplicate(Duration::from_millis(milliseconds)));
        }
        Event::Delay { from, to, extra, milliseconds } => {
            let link = link(cloud, from, to);
            link.delay(Duration::from_millis(extra));
            after(milliseconds, move || link.delay(Duration::ZERO));
        }
        Event::Trickle { from, to, bytes, milliseconds } => {
            let link = link(cloud, from, to);
            link.trickle(Some(bytes.max(1)));
            after(milliseconds, move || link.trickle(None));
        }
        _ => unreachable!("act passes on what concerns the network only"),
    }
}

/// What happens to a whole machine.
fn lose_machine(cloud: &Rc<Cloud>, event: &Event) {
    match *event {
        Event::Power { machine, milliseconds } => {
            cloud.machine(machine).power_off();
            let cloud = cloud.clone();
            after(milliseconds, move || cloud.power_on(machine));
        }
        Event::Reboot { machine } => {
            let cloud = cloud.clone();
            spawn(async move {
                // One without power is not shut down.
                if cloud.machine(machine).is_on() {
                    cloud.machine(machine).reboot().await;
                    cloud.has_booted();
                }
            });
        }
        Event::Wipe { node } => {
            let place = Place::Node(node);
            cloud.half_removed.borrow_mut().retain(|(other, _)| *other != node);
            // The empty disk is a good one.
            cloud.machine(place).disk().heal();
            cloud.power_on(place);
            cloud.machine(place).wipe();
            cloud.install(place);
            cloud.has_booted();
        }
        _ => unreachable!("act passes on what concerns machines only"),
    }
}

/// Lets a program behave so, until the time is over or all is healed.
pub(super) fn behave(
    cloud: &Rc<Cloud>,
    node: u32,
    partition: u32,
    role: Role,
    line: &str,
    milliseconds: u64,
) {
    let place = Place::Node(node);
    let role = match role {
        Role::Service => "service",
        Role::Check => "check",
        Role::CheckAgain => "check-again",
        Role::CheckCommand => "check-command",
    };
    let directory = PathBuf::from(BEHAVIOURS).join(format!("slappart{partition}"));
    let path = directory.join(role);
    let write = |cloud: &Cloud, content: Option<&str>| {
        let machine = cloud.machine(place);
        if !machine.is_on() {
            return;
        }
        let env = machine.user("/", BTreeMap::new());
        let _ = match content {
            Some(content) => env
                .files()
                .create_directory(&directory, 0o755)
                .and_then(|()| env.files().write(&path, content.as_bytes(), 0o644)),
            None => env.files().remove_file(&path),
        };
        machine.kill(env.context().identity);
    };
    cloud.world.trace().event(name(place), format_args!("slappart{partition}/{role} behaves: {line}"));
    write(cloud, Some(line));
    let (cloud, path, directory) = (cloud.clone(), path.clone(), directory.clone());
    after(milliseconds, move || {
        let machine = cloud.machine(place);
        if machine.is_on() {
            let env = machine.user("/", BTreeMap::new());
            let _ = env.files().remove_file(&path);
            machine.kill(env.context().identity);
        }
        drop(directory);
    });
}

/// What happens to a disk.
fn break_disk(cloud: &Rc<Cloud>, event: &Event) {
    match *event {
        Event::Disk { machine, operation, failure, spared, milliseconds } => {
            let machine = cloud.machine(machine);
            let failure = match failure {
                Failure::Full => disk::Failure::Full,
                Failure::Broken => disk::Failure::Broken,
                Failure::Busy => disk::Failure::Busy,
            };
            machine.disk().plan(Fault { operation: on_disk(operation), spared, times: u64::MAX, failure });
            let machine = machine.clone();
            after(milliseconds, move || machine.disk().heal());
        }
        Event::Crash { machine, operation, spared, moment, power } => {
            let moment = match moment {
                Moment::Before => disk::Moment::Before,
                Moment::Within => disk::Moment::Within,
                Moment::After => disk::Moment::After,
            };
            let failure =
                if power { disk::Failure::PowerLoss(moment) } else { disk::Failure::Killed(moment) };
            let fault = Fault { operation: on_disk(operation), spared, times: 1, failure };
            cloud.machine(machine).disk().plan(fault);
        }
        _ => unreachable!("act passes on what concerns the disk only"),
    }
}

fn on_disk(operation: Operation) -> disk::Operation {
    match operation {
        Operation::Read => disk::Operation::Read,
        Operation::Write => disk::Operation::Write,
        Operation::Sync => disk::Operation::Sync,
        Operation::Lock => disk::Operation::Lock,
    }
}

/// Does what a planned fault of a disk ends, for ever.
pub(super) async fn follow_disk(cloud: Rc<Cloud>, place: Place) {
    loop {
        let machine: &Machine = cloud.machine(place);
        machine.struck().await;
        cloud.strikes.set(cloud.strikes.get() + 1);
        cloud.has_booted();
    }
}
