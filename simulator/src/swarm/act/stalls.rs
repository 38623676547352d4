//! Programs that stand still, and releases that are spoilt at their server.

use super::{
    super::{
        cloud::{Cloud, RELEASES},
        release::directory,
        script::{Place, Release, Spoil},
    },
    after,
};
use crate::world::now_instant;
use slap_impl::env::{Env, Identity};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

/// What names a release to those who build it.
const PROFILE: &str = "software.cfg";

/// Ends all that this file began.
pub(super) fn heal(cloud: &Cloud) {
    for (place, identity) in cloud.paused.take() {
        cloud.machine(place).pause(identity, false);
    }
    let spoilt: Vec<Release> = cloud.spoilt.borrow().keys().copied().collect();
    spoilt.into_iter().for_each(|release| mend(cloud, release));
}

/// Lets processes stand still, until the time is over or all is healed.
pub(super) fn pause(
    cloud: &Rc<Cloud>,
    processes: impl IntoIterator<Item = (Place, Identity)>,
    milliseconds: u64,
) {
    for paused in processes {
        // One that stands still already does so until that time is over.
        if cloud.paused.borrow_mut().insert(paused) {
            cloud.machine(paused.0).pause(paused.1, true);
            let cloud = cloud.clone();
            after(milliseconds, move || {
                if cloud.paused.borrow_mut().remove(&paused) {
                    cloud.machine(paused.0).pause(paused.1, false);
                }
            });
        }
    }
}

/// Spoils a release at its server, until the time is over or all is healed.
pub(super) fn spoil(cloud: &Rc<Cloud>, release: Release, how: Spoil, milliseconds: u64) {
    let until = now_instant() + Duration::from_millis(milliseconds);
    let mut spoilt = cloud.spoilt.borrow_mut();
    let last = spoilt.entry(release).or_insert(until);
    *last = until.max(*last);
    drop(spoilt);
    on_server(cloud, release, |env, path| {
        let _ = match how {
            Spoil::Gone => env.files().remove_file(path),
            Spoil::Empty => env.files().write(path, b"", 0o644),
            Spoil::Cut => env.files().write(path, b"[buil", 0o644),
            Spoil::Wrong => env.files().write(path, b"[buildout]\nparts = nowhere\n", 0o644),
        };
    });
    let cloud = cloud.clone();
    after(milliseconds, move || {
        let is_over = cloud.spoilt.borrow().get(&release).is_some_and(|until| *until <= now_instant());
        if is_over {
            mend(&cloud, release);
        }
    });
}

/// Puts a spoilt release in order. Where its server is off, it stays as it is until all is healed.
fn mend(cloud: &Cloud, release: Release) {
    let files = cloud.release_files(release);
    let text = files.iter().find(|(name, _)| *name == PROFILE).expect("each release has it");
    let is_mended =
        on_server(cloud, release, |env, path| env.files().write(path, text.1.as_bytes(), 0o644).is_ok());
    if is_mended == Some(true) {
        cloud.spoilt.borrow_mut().remove(&release);
    }
}

/// Does something with a release's profile at its server, which does not forget it; none if that is off.
fn on_server<T>(cloud: &Cloud, release: Release, work: impl FnOnce(&Env, &Path) -> T) -> Option<T> {
    let machine = cloud.machine(Place::Web);
    if !machine.is_on() {
        return None;
    }
    let env = machine.user("/", BTreeMap::new());
    let done = work(&env, &PathBuf::from(RELEASES).join(directory(release)).join(PROFILE));
    machine.sync();
    machine.kill(env.context().identity);
    Some(done)
}
