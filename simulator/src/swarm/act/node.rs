//! What happens on a node, beside its programs.

use super::{
    super::cloud::{Cloud, INSTANCE_ROOT, SLAPGRID, SOFTWARE_ROOT},
    act, after, name,
};
use crate::{
    swarm::script::{Event, Part, Place},
    world::foreign::PORT,
};
use slap_impl::env::Address;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Ends all that this file began.
pub(super) fn heal(cloud: &Cloud) {
    for (place, squatter) in cloud.squatters.take() {
        cloud.machine(place).kill(squatter);
    }
    cloud.places().for_each(|place| cloud.machine(place).forget_quotas());
    for (node, twin) in cloud.twins() {
        if twin.is_on() {
            twin.power_off();
            cloud.machine(Place::Node(node)).cut_power();
            cloud.has_booted();
        }
    }
}

/// The services of a partition are killed, and before they are started again a program of somebody else listens where they do.
pub(super) fn take_port(cloud: &Rc<Cloud>, node: u32, partition: u32, milliseconds: u64) {
    let place = Place::Node(node);
    let machine = cloud.machine(place);
    if !machine.is_on() {
        return;
    }
    for service in cloud.services(node, &format!("slappart{partition}")) {
        machine.kill(service);
    }
    let Some(address) = cloud.address(node, partition) else { return };
    let env = machine.user("/", BTreeMap::new());
    let squatter = env.context().identity;
    let address = Address::Tcp((address, PORT).into());
    let listener = match env.network().listen(&address) {
        Ok(listener) => listener,
        // Another one has it already.
        Err(_) => return machine.kill(squatter),
    };
    cloud
        .world
        .trace()
        .event(name(place), format_args!("somebody else has port {PORT} of slappart{partition}"));
    cloud.squatters.borrow_mut().push((place, squatter));
    let cloud = cloud.clone();
    after(milliseconds, move || {
        drop(listener);
        cloud.machine(place).kill(squatter);
        cloud.squatters.borrow_mut().retain(|other| *other != (place, squatter));
    });
}

/// What a partition may hold, or all that a node installs, is used up but for some blocks. There is room again when it is over.
pub(super) fn use_up_quota(
    cloud: &Rc<Cloud>,
    node: u32,
    partition: Option<u32>,
    room: u64,
    milliseconds: u64,
) {
    let directory = match partition {
        Some(partition) => Path::new(INSTANCE_ROOT).join(format!("slappart{partition}")),
        None => PathBuf::from(SLAPGRID),
    };
    let place = Place::Node(node);
    cloud.machine(place).set_room(&directory, Some(room));
    let cloud = cloud.clone();
    after(milliseconds, move || cloud.machine(place).set_room(&directory, None));
}

/// Another machine starts with a copy of a node's disk: from then on both are that node, until the operator takes it away and starts the
/// node again, so that it tells anew how it is.
pub(super) fn clone(cloud: &Rc<Cloud>, node: u32, milliseconds: u64) {
    let place = Place::Node(node);
    let twin = cloud.twin(node);
    if twin.is_on() || !cloud.machine(place).is_on() {
        return;
    }
    twin.clone_disk_of(cloud.machine(place));
    twin.power_on();
    cloud.has_booted();
    let cloud = cloud.clone();
    after(milliseconds, move || {
        if twin.is_on() {
            twin.power_off();
            act(&cloud, &Rc::default(), &Event::Reboot { machine: place });
        }
    });
}

/// The file of a plugin that is no release's.
fn stray_plugin(partition: u32) -> PathBuf {
    Path::new(INSTANCE_ROOT).join(format!("slappart{partition}/etc/plugin/stray.py"))
}

/// Somebody puts a plugin among the promises of an instance.
pub(super) fn add_plugin(cloud: &Rc<Cloud>, node: u32, partition: u32, text: &str, milliseconds: u64) {
    let (place, path) = (Place::Node(node), stray_plugin(partition));
    let machine = cloud.machine(place);
    if !machine.is_on() {
        return;
    }
    let directory = path.parent().expect("it stands in a directory");
    let env = machine.user("/", BTreeMap::new());
    // Where no instance is, there are no promises.
    if directory.parent().is_some_and(|etc| env.files().is_directory(etc)) {
        let _ = env
            .files()
            .create_directory(directory, 0o755)
            .and_then(|()| env.files().write(&path, text.as_bytes(), 0o644));
    }
    machine.kill(env.context().identity);
    let cloud = cloud.clone();
    after(milliseconds, move || remove_plugin(&cloud, place, partition));
}

fn remove_plugin(cloud: &Cloud, place: Place, partition: u32) {
    let machine = cloud.machine(place);
    if machine.is_on() {
        let env = machine.user("/", BTreeMap::new());
        let _ = env.files().remove_file(&stray_plugin(partition));
        machine.kill(env.context().identity);
    }
}

/// Removes all that [`add_plugin`] put onto a machine.
pub(super) fn remove_plugins(cloud: &Cloud, place: Place) {
    if let Place::Node(_) = place {
        (0..cloud.knobs.all_partitions()).for_each(|partition| remove_plugin(cloud, place, partition));
    }
}

/// Somebody removes a part of a running node.
pub(super) fn remove_part(cloud: &Cloud, node: u32, part: Part) {
    let machine = cloud.machine(Place::Node(node));
    if !machine.is_on() {
        return;
    }
    let supervisor = Path::new(INSTANCE_ROOT).join("var/supervisor");
    let path = match part {
        Part::SupervisorState => supervisor.join("supervisor.json"),
        Part::SupervisorSocket => supervisor.join("supervisor.socket"),
        Part::SupervisorLock => supervisor.join("supervisor.lock"),
        Part::Supervisor => supervisor,
        Part::InstanceNotes => Path::new(INSTANCE_ROOT).join(".slap"),
        Part::SoftwareNotes => Path::new(SOFTWARE_ROOT).join(".slap"),
    };
    let env = machine.user("/", BTreeMap::new());
    let _ = env.files().remove_any(&path);
    machine.kill(env.context().identity);
}
