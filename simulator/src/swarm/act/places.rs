//! What somebody does to a node's directories, locks and links while it runs.

use super::{
    super::cloud::{Cloud, INSTANCE_ROOT, SLAPGRID, SOFTWARE_ROOT, release_directory},
    act, after, name,
};
use crate::swarm::script::{Event, Place, Program, Release, Touch};
use slap_impl::env::Env;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Where a node's directories are meanwhile.
const MOVED: &str = "/srv/moved";

/// Does it, and ends it when the time is over.
pub(super) fn touch(cloud: &Rc<Cloud>, node: u32, touch: Touch, milliseconds: u64) {
    if !cloud.machine(Place::Node(node)).is_on() {
        return;
    }
    cloud.world.trace().event(name(Place::Node(node)), format_args!("somebody touches it: {touch:?}"));
    cloud.is_touched.set(true);
    match touch {
        Touch::MoveAway | Touch::RemoveAll => move_away(cloud, node, touch, milliseconds),
        Touch::SoftwareRoot => remove(cloud, node, SOFTWARE_ROOT.into()),
        Touch::Partition(number) => {
            let path = Path::new(INSTANCE_ROOT).join(format!("slappart{number}"));
            cloud.has_lost_partitions(node);
            remove(cloud, node, path);
        }
        Touch::Link => {
            for release in [Release::A, Release::B] {
                let path = release_directory(&cloud.release_url(release));
                let _ = with(cloud, node, |env| link(env, &path));
            }
        }
        Touch::SupervisorLock => {
            take_lock(cloud, node, INSTANCE_ROOT, "var/supervisor/supervisor.lock", milliseconds)
        }
        Touch::SoftwareLock => take_lock(cloud, node, SOFTWARE_ROOT, ".slap/software.lock", milliseconds),
        Touch::InstanceLock => take_lock(cloud, node, INSTANCE_ROOT, ".slap/instance.lock", milliseconds),
        Touch::FormatLock => take_lock(cloud, node, INSTANCE_ROOT, ".slap/format.lock", milliseconds),
        Touch::AgentLock => take_lock(cloud, node, INSTANCE_ROOT, ".slap/agent.lock", milliseconds),
    }
}

/// What was moved away is put back, and what was removed by halves is removed.
pub(super) fn heal(cloud: &Rc<Cloud>) {
    for (node, path) in cloud.half_removed.take() {
        cloud.has_lost_partitions(node);
        remove(cloud, node, path);
    }
    cloud.nodes().for_each(|node| put_back(cloud, node));
}

/// As somebody at a terminal of a node.
fn with<T>(cloud: &Cloud, node: u32, what: impl FnOnce(&Env) -> T) -> T {
    let machine = cloud.machine(Place::Node(node));
    let env = machine.user("/", BTreeMap::new());
    let result = what(&env);
    machine.kill(env.context().identity);
    result
}

/// Removes a directory, for good. When that is cut short, or the power goes before all of it is durable, half of it may be left: a
/// release, say, that counts as built and lacks what is installed. Whoever began that does it again.
fn remove(cloud: &Cloud, node: u32, path: PathBuf) {
    let removed = with(cloud, node, |env| {
        if !env.files().exists(&path) {
            return Ok(());
        }
        env.files().remove_any(&path)?;
        env.files().sync(path.parent().expect("it is not the root"))
    });
    let mut half_removed = cloud.half_removed.borrow_mut();
    if removed.is_err() {
        half_removed.insert((node, path));
    } else {
        half_removed.remove(&(node, path));
    }
}

fn move_away(cloud: &Rc<Cloud>, node: u32, touch: Touch, milliseconds: u64) {
    let moved = with(cloud, node, |env| {
        let files = env.files();
        if files.exists(Path::new(MOVED)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        files.rename(Path::new(SLAPGRID), Path::new(MOVED))?;
        if touch == Touch::RemoveAll {
            files.remove_tree(Path::new(MOVED))?;
            files.create_directory(Path::new(MOVED), 0o755)?;
        }
        files.sync(Path::new("/srv"))
    });
    if touch == Touch::RemoveAll {
        cloud.has_lost_partitions(node);
    } else {
        // Others may be made where they stood.
        cloud.may_have_lost_data(node);
    }
    if moved.is_ok() {
        let cloud = cloud.clone();
        after(milliseconds, move || put_back(&cloud, node));
    }
}

/// Puts a node's directories back, unless others stand there by now: then those stay, and the machine is started again, so that nothing
/// runs in the old ones. So it is where all is empty.
fn put_back(cloud: &Rc<Cloud>, node: u32) {
    let place = Place::Node(node);
    if !cloud.machine(place).is_on() {
        return;
    }
    let is_other = with(cloud, node, |env| {
        let (files, moved, home) = (env.files(), Path::new(MOVED), Path::new(SLAPGRID));
        if !files.exists(moved) {
            return Ok(false);
        }
        let is_taken = files.exists(home);
        let is_empty = files.list(moved)?.is_empty();
        if is_taken {
            files.remove_tree(moved)?;
        } else {
            files.rename(moved, home)?;
        }
        files.sync(Path::new("/srv"))?;
        Ok::<bool, io::Error>(is_taken || is_empty)
    });
    match is_other {
        Ok(false) => {}
        Ok(true) => {
            cloud.has_lost_partitions(node);
            act(cloud, &Rc::default(), &Event::Reboot { machine: place });
        }
        // It is tried again when all is healed.
        Err(error) => cloud.world.trace().event(name(place), format_args!("its operator: {error}")),
    }
}

/// Another program has a lock below a root, if nobody has it; whoever holds it for long is killed first.
fn take_lock(cloud: &Rc<Cloud>, node: u32, root: &str, path: &str, milliseconds: u64) {
    let place = Place::Node(node);
    let machine = cloud.machine(place);
    let holder = match path {
        "var/supervisor/supervisor.lock" => Some(Program::Supervisor(node)),
        ".slap/agent.lock" => Some(Program::Agent(node)),
        _ => None,
    };
    if let Some((_, holder)) = holder.and_then(|holder| cloud.process(holder)) {
        machine.kill(holder);
    }
    let env = machine.user("/", BTreeMap::new());
    let squatter = env.context().identity;
    let Ok(Some(lock)) = env.files().lock(&PathBuf::from(root).join(path)) else {
        return machine.kill(squatter);
    };
    cloud.squatters.borrow_mut().push((place, squatter));
    let cloud = cloud.clone();
    after(milliseconds, move || {
        drop(lock);
        cloud.machine(place).kill(squatter);
        cloud.squatters.borrow_mut().retain(|other| *other != (place, squatter));
    });
}

/// A release's instance profile is moved to a directory beside it, and a link stands in its place.
fn link(env: &Env, release: &Path) -> io::Result<()> {
    let (files, profile, kept) = (env.files(), release.join("instance.cfg"), release.join("kept"));
    if files.is_file(&profile) && !files.exists(&kept) {
        files.create_directory(&kept, 0o755)?;
        files.rename(&profile, &kept.join("instance.cfg"))?;
        files.symlink(Path::new("kept/instance.cfg"), &profile)?;
    }
    Ok(())
}
