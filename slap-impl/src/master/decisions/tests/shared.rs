//! Shared instances and their hosts.

use super::*;

impl World {
    /// What the node sees in the list of slappartN: references and parameters.
    fn listed(&self, partition: &str) -> String {
        let listed = store::listed_shared(
            &self.connection,
            &"COMP-1".parse().unwrap(),
            Some(&partition.replace('p', "slappart").parse().unwrap()),
        );
        let entries = listed.unwrap().into_values().flatten();
        let show = |it: store::Instance| match &it.place {
            Place::Shared { reference, .. } => format!("{reference}{}{}", it.software_type, it.parameters),
            Place::Partition(..) => panic!("{it:?}"),
        };
        entries.map(|it| show(it).replace(EMPTY, "")).collect::<Vec<_>>().join(" ")
    }

    fn shared_status(&self, reference: &str) -> Option<String> {
        let reference = reference.parse().unwrap();
        let status = store::access_status(&self.connection, Subject::Shared(&reference)).unwrap();
        status.map(|status| status.text)
    }
}

#[test]
fn the_first_that_fits_is_the_host() {
    let mut world = World::with(5);
    world.play(
        "user requests s shared => 404
        user requests a release=/other.cfg => p0 started +p0
        user requests b destroyed => 404
        user requests b type=x => p1 started +p1
        user requests c stopped => p2 stopped +p2
        user requests s shared => p1 started +p1
        user requests t shared type=default => p2 started +p2
        user requests u shared type=y => 404
        user requests u shared release=/no.cfg => 404
        user requests u shared instance_guid=COMP-1-slappart2 => p2 started +p2
        user requests v shared instance_guid=COMP-1-slappart0 => 404
        user requests v shared instance_guid=slappart2 => 404
        user requests w shared computer_guid=COMP-1 instance_guid=slappart2 => p2 started +p2
        user requests v shared computer_guid=COMP-2 => 404
        user requests v shared colour=red => 400
        user requests d instance_guid=COMP-1-slappart3 => 400
        user requests b type=x destroyed => p1 destroyed +p1
        user requests v shared => p2 started +p2
        user requests s shared instance_guid=COMP-1-slappart2 => p1 started",
    );
    assert_eq!(
        (world.listed("p1"), world.listed("p2")),
        ("_sx".into(), "_tdefault _udefault _vdefault _wdefault".into())
    );
}

#[test]
fn it_is_listed_while_it_is_started() {
    let mut world = World::with(1);
    world.play(
        "user requests a => p0 started +p0
        user requests s shared => p0 started +p0
        user requests s shared => p0 started
        user requests s shared parameters=<x/> => p0 started +p0",
    );
    assert_eq!(world.listed("p0"), "_sdefault<x/>");
    world.play(
        "user requests s shared parameters=<x/> stopped => p0 stopped +p0
        user requests s shared parameters=<y/> => p0 stopped
        user requests t shared stopped => p0 stopped",
    );
    assert_eq!(world.listed("p0"), "");
    world.play(
        "user requests s shared started => p0 started +p0
        p0 reports error of=_s => OK
        user requests s shared destroyed => p0 destroyed +p0
        user requests s shared destroyed => 404
        user requests t shared destroyed => p0 destroyed",
    );
    assert_eq!((world.instances(), world.shared_status("_s")), ("a@p0 started".into(), None));
}

#[test]
fn it_keeps_what_serves_it() {
    let mut world = World::with(2);
    world.play(
        "user requests a type=x => p0 started +p0
        user requests s shared => p0 started +p0
        user requests t shared type=x => p0 started +p0
        user requests s shared type=x => p0 started
        user requests s shared type=y => 409
        user requests t shared => p0 started
        user requests t shared type=y => 409
        user requests s shared release=/new.cfg => 409
        user requests a type=x release=/new.cfg => p0 started +p0
        user requests s shared => 409
        user requests s shared release=/new.cfg => p0 started
        user requests t shared destroyed => p0 destroyed +p0
        user requests a shared => 409
        user requests s => 409
        user requests a shared destroyed => 409",
    );
}

#[test]
fn references_are_unique_and_stay() {
    let mut world = World::with(3);
    world.play(
        "user requests x => p0 started +p0
        user requests x_y => p1 started +p1
        p0 requests y_z shared => p0 started +p0
        p1 requests z shared => 409
        p1 requests y_z shared => p0 started +p0
        p0 renames w => done
        p0 renames other of=x_y_z => done
        p0 requests other shared => p0 started
        user requests x => p2 started +p2
        p2 requests y_z shared => 409
        p1 renames other of=x_y_y_z => 404
        p0 renames other of=x_y_y_z => done
        p0 renames x_y of=x_y_y_z => 409
        p0 renames other of=nobody => 404",
    );
    assert_eq!(world.listed("p0"), "x_y_y_zdefault x_y_zdefault");
    assert_eq!(
        world.instances(),
        "w@p0 started, x_y@p1 started, other@p0(x_y_z)<w started, other@p0(x_y_y_z)<x_y started, x@p2 started"
    );
}

#[test]
fn it_follows_its_tree() {
    let mut world = World::with(3);
    world.play(
        "user requests h => p0 started +p0
        user requests r => p1 started +p1
        p1 requests c => p2 started +p2
        p2 requests s shared => p0 started +p0
        p1 requests t shared => p0 started +p0
        p1 requests u shared instance_guid=COMP-1-slappart2 => p2 started +p2
        user requests r stopped => p1 stopped +p0 +p1 +p2
        p1 requests s shared started => p0 stopped
        p1 requests v shared => p0 stopped
        user requests r started => p1 started +p1
        p1 requests s shared started => p0 started +p0
        p1 requests u shared started => p2 started +p2
        user requests r destroyed => p1 destroyed +p0 +p1 +p2",
    );
    assert_eq!(world.instances(), "h@p0 started, r@p1 destroyed, c@p2<r destroyed");
}

#[test]
fn it_outlives_its_host() {
    let mut world = World::with(2);
    world.play(
        "user requests a => p0 started +p0
        user requests s shared parameters=<x/> => p0 started +p0
        p0 publishes <c/> of=_s => done
        user requests a destroyed => p0 destroyed +p0
        user requests s shared parameters=<y/> => p0 started +p0
        p0 reports destroyed => OK",
    );
    assert_eq!(world.instances(), "s@-(_s) started");
    let instance = store::instances(&world.connection).unwrap().remove(0);
    assert_eq!(instance.connection, "");
    world.play(
        "user requests s shared parameters=<z/> => 404
        user requests b release=/new.cfg type=x => p0 started +p0
        p0 publishes <c/> of=_s => 404
        user requests s shared parameters=<y/> => 404
        user requests s shared parameters=<y/> release=/new.cfg type=default => 404
        user requests s shared parameters=<y/> release=/new.cfg => p0 started +p0
        user requests s shared parameters=<y/> release=/new.cfg type=default => 409
        user requests b destroyed release=/new.cfg type=x => p0 destroyed +p0
        p0 reports destroyed => OK
        user requests s shared destroyed => - destroyed",
    );
    assert_eq!(world.instances(), "");
}

#[test]
fn its_next_host_may_have_another_release_and_nothing_else() {
    let mut world = World::with(1);
    world.play(
        "user requests a => p0 started +p0
        user requests s shared => p0 started +p0
        user requests a destroyed => p0 destroyed +p0
        p0 reports destroyed => OK
        user requests b release=/new.cfg => p0 started +p0
        user requests s shared release=/new.cfg => p0 started +p0",
    );
    let shared = store::instances(&world.connection).unwrap().remove(0);
    assert_eq!((shared.title.as_str(), shared.release.as_str()), ("s", "/new.cfg"));
}

#[test]
fn its_host_speaks_for_it() {
    let mut world = World::with(4);
    world.play(
        "user requests h => p0 started +p0
        user requests r => p1 started +p1
        p1 requests c => p2 started +p2
        p2 requests s shared => p0 started +p0
        p0 publishes a of=r_s => done +p2
        p0 publishes a of=r_s => done
        p1 publishes b of=r_s => 404
        p3 publishes b of=r_s => 404
        p0 reports error of=r_s => OK
        p0 reports error of=nobody => 404
        p1 reports error of=r_s => 404
        p0 reports started of=r_s => 400",
    );
    assert_eq!(world.shared_status("r_s").unwrap(), "#error while instanciating: no");
    assert_eq!(world.status("COMP-1", "slappart0"), None, "not that of the host");
    world.play(
        "p0 reports bang of=r_s => OK +p0 +p1 +p2
        user requests t shared => p0 started +p0
        p0 publishes a of=_t => done
        p0 reports bang of=_t => OK +p0
        user requests h destroyed => p0 destroyed +p0
        p0 reports bang of=_t => OK
        p0 reports bang of=r_s => OK +p1 +p2
        p1 requests c destroyed => p2 destroyed +p2
        p0 publishes b of=r_s => done",
    );
    assert_eq!(world.shared_status("r_s").unwrap(), "#error bang called: now");
}

#[test]
fn a_host_serves_no_more_than_so_many() {
    let mut world = World::with(1);
    world.play("user requests h => p0 started +p0");
    world
        .connection
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO instance (title, shared, reference, host, release, software_type, parameters, connection, state)
            SELECT 's' || i, 1, '_s' || i, (SELECT number FROM instance), '/software.cfg', '', '', '', 'stopped' FROM n",
            [HOSTED_MAX],
        )
        .unwrap();
    world.play(
        "user requests t shared => 403
        user requests s7 shared destroyed => p0 destroyed
        user requests t shared => p0 started +p0",
    );
}
