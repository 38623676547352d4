//! Trees: who may request whom, and what follows a root.

use super::*;

#[test]
fn partitions_request_children() {
    let mut world = World::with(5);
    world.play(
        "user requests a => p0 started +p0
        p0 requests b => p1 started +p1
        p0 requests b => p1 started
        p1 requests c stopped => p2 stopped +p2
        user requests b => p3 started +p3
        p0 requests b parameters=<x/> => p1 started +p1
        p9 requests d => 404
        p4 requests d => 404
        p0 requests nobody destroyed => 404
        p0 requests a => 409
        p1 requests a => 409
        p3 requests a => p4 started +p4
        p3 requests d => 404",
    );
    assert_eq!(
        world.instances(),
        "a@p0 started, b@p1<a started, c@p2<b stopped, b@p3 started, a@p4<b started"
    );
}

#[test]
fn whoever_requests_last_is_the_requester() {
    let mut world = World::with(4);
    world.play(
        "user requests r => p0 started +p0
        p0 requests a => p1 started +p1
        p0 requests b => p2 started +p2
        p1 requests c => p3 started +p3
        p2 requests c => p3 started",
    );
    assert_eq!(world.instances(), "r@p0 started, a@p1<r started, b@p2<r started, c@p3<b started");
    // a -> a; c -> b -> c; and once a is requested by c, b -> a is a circle, too, over c.
    world.play(
        "p1 requests a => 409
        p3 requests b => 409
        p3 requests a => p1 started
        p1 requests b => 409
        p1 requests c => 409
        p2 requests c => p3 started
        p3 requests r => 409",
    );
    assert_eq!(world.instances(), "r@p0 started, a@p1<c started, b@p2<r started, c@p3<b started");
}

#[test]
fn a_tree_stops_with_its_root_and_starts_by_requests() {
    let mut world = World::with(5);
    world.play(
        "user requests r => p0 started +p0
        p0 requests a => p1 started +p1
        p1 requests b => p2 started +p2
        p0 requests c stopped => p3 stopped +p3
        user requests r stopped => p0 stopped +p0 +p1 +p2
        user requests r stopped => p0 stopped
        p0 requests a started => p1 stopped
        p0 requests d started => p4 stopped +p4
        p0 requests d destroyed => p4 destroyed +p4
        p0 requests d => p4 destroyed
        p0 requests d started => p4 stopped +p4
        user requests r started => p0 started +p0
        p0 requests a => p1 stopped
        p0 requests a started => p1 started +p1",
    );
}

#[test]
fn a_tree_goes_from_its_leaves_up() {
    let mut world = World::with(4);
    world.play(
        "user requests r => p0 started +p0
        p0 requests a => p1 started +p1
        p1 requests b => p2 started +p2
        p2 requests c => p3 started +p3
        p0 requests a destroyed => p1 destroyed +p1
        p1 requests z => 409
        user requests r destroyed parameters=<x/> => p0 destroyed +p0 +p2 +p3
        p0 requests a started => 409
        p2 requests c started => 409
        p0 reports destroyed => Not destroying yet, because it has child partitions: a, b, c
        p0 reports destroyed => Not destroying yet, because it has child partitions: a, b, c
        p1 reports destroyed => OK",
    );
    assert_eq!(world.instances(), "r@p0 destroyed, b@p2<r destroyed, c@p3<b destroyed");
    world.play(
        "p3 reports destroyed => OK
        p2 reports destroyed => OK +p0
        p2 reports destroyed => OK
        p0 reports destroyed => OK",
    );
    assert_eq!(world.instances(), "");
}

#[test]
fn what_comes_back_comes_back_alone() {
    let mut world = World::with(2);
    world.play(
        "user requests r => p0 started +p0
        p0 requests a => p1 started +p1
        user requests r destroyed => p0 destroyed +p0 +p1
        user requests r => p0 destroyed
        user requests r started => p0 started +p0
        p0 reports destroyed => 409
        p0 requests a => p1 destroyed
        p1 reports destroyed => OK
        p0 requests a => p1 started +p1
        user requests r destroyed => p0 destroyed +p0 +p1
        user requests r stopped => p0 stopped +p0",
    );
    assert_eq!(world.instances(), "r@p0 stopped, a@p1<r destroyed");
    world.play("p0 requests a started => p1 stopped +p1");
}

#[test]
fn a_bang_stays_in_its_tree_and_spares_what_goes() {
    let mut world = World::with(5);
    world.play(
        "user requests r => p0 started +p0
        p0 requests a => p1 started +p1
        p0 requests b stopped => p2 stopped +p2
        p1 requests c destroyed => 404
        p1 requests c => p3 started +p3
        p1 requests c destroyed => p3 destroyed +p3
        user requests other => p4 started +p4
        p1 reports bang => OK +p0 +p1 +p2
        p3 reports bang => OK +p0 +p1 +p2
        p4 reports bang => OK +p4",
    );
    assert_eq!(world.status("COMP-1", "slappart1").unwrap().text, "#error bang called: now");
    assert_eq!(world.status("COMP-1", "slappart0"), None);
    let partition = world.partition("COMP-1", "slappart1");
    assert!(world.status("COMP-1", "slappart1").unwrap().about < partition.timestamp);
}

#[test]
fn a_changed_connection_wakes_the_requester() {
    let mut world = World::with(3);
    world.play(
        "user requests r => p0 started +p0
        p0 requests a => p1 started +p1
        p1 requests b => p2 started +p2
        p0 publishes a => done
        p2 publishes a => done +p1
        p2 publishes a => done
        p0 requests b => p2 started
        p2 publishes b => done +p0
        p1 requests b => p2 started
        p0 requests a destroyed => p1 destroyed +p1
        p2 publishes <c/> => done
        p1 reports destroyed => OK
        p2 publishes <d/> => done +p0
        p1 publishes a => 404",
    );
}

#[test]
fn renamed_within_the_tree() {
    let mut world = World::with(4);
    world.play(
        "user requests r => p0 started +p0
        p0 requests a => p1 started +p1
        p0 requests b => p2 started +p2
        user requests s => p3 started +p3
        p1 renames b => 409
        p1 renames r => 409
        p1 renames s => done
        p0 renames s => 409
        p0 renames b => 409
        p0 renames a => done
        p0 renames a => done
        p3 renames r => done
        p1 requests r => 404
        p1 requests a => 409",
    );
    let root_title = world.partition("COMP-1", "slappart1").root_title.unwrap();
    assert_eq!(root_title.as_str(), "a", "children follow");
    assert_eq!(world.instances(), "a@p0 started, s@p1<a started, b@p2<a started, r@p3 started");
}

#[test]
fn the_nodes_of_the_children_see_a_renamed_root() {
    let mut world = World::with(1);
    world.format("COMP-2", 1);
    world.play("user requests r => p0 started +p0");
    let mut child = request("a", None, &[]);
    if let Command::Request { requester, .. } = &mut child {
        let (computer, partition) = ("COMP-1".parse().unwrap(), "slappart0".parse().unwrap());
        *requester = Some(Requester { computer, partition });
    }
    assert_eq!(world.given(&child).computer.as_str(), "COMP-2");
    let revision = world.revision("COMP-2");
    world.play("p0 renames s => done");
    assert!(world.revision("COMP-2") > revision);
    let timestamp = world.partition("COMP-2", "slappart0").timestamp;
    world.play("p0 reports bang => OK +p0");
    assert!(world.partition("COMP-2", "slappart0").timestamp > timestamp);
}

/// A report that was on its way while the partition got another instance, or its own one came back.
#[test]
fn a_late_report_frees_nothing() {
    let mut world = World::with(1);
    world.play(
        "user requests a => p0 started +p0
        user requests a destroyed => p0 destroyed +p0",
    );
    let about = world.partition("COMP-1", "slappart0").timestamp;
    world.play(
        "user requests a started => p0 started +p0
        user requests a destroyed => p0 destroyed +p0",
    );
    let mut late = report("COMP-1", "slappart0", InstanceReport::Destroyed);
    let mut send = |world: &mut World, timestamp| {
        if let Command::ReportInstance { about, .. } = &mut late {
            *about = Some(timestamp);
        }
        world.text(&late)
    };
    assert_eq!(send(&mut world, about), "Ignored: the report is about an earlier state");
    assert_eq!(world.instances(), "a@p0 destroyed");
    let about = world.partition("COMP-1", "slappart0").timestamp;
    assert_eq!(send(&mut world, about), "OK");
    assert_eq!(world.instances(), "");
}
