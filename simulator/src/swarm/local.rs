//! A release that is a path of each node's disk. Its directory has two names there, of which the master is told one
//! (`local_software_release_root`); when it is started with the other one, what stood under the first stands under that.

use super::{
    cloud::{Cloud, DATABASE, SETTINGS, name, product},
    release,
    script::{Place, Program, Release},
};
use crate::world::{pause, spawn};
use std::{collections::BTreeMap, io, path::Path, rc::Rc, time::Duration};

/// The names of the directory.
pub(super) const ROOTS: [&str; 2] = ["/srv/releases/one", "/srv/releases/two"];
/// How often an operator tries to write what cannot be written now.
const RETRY: Duration = Duration::from_secs(10);

impl Cloud {
    /// Whether a release is a path.
    pub(super) fn is_local(&self, release: Release) -> bool {
        self.knobs.local.move_seconds > 0 && release == Release::B
    }

    /// The path of a release under the first name of its directory, under which users ask for it.
    pub(super) fn local_url(release: Release) -> String {
        format!("{}/{}/software.cfg", ROOTS[0], release::directory(release))
    }

    /// What stands on each node of releases that are paths.
    pub(super) fn local_files(&self) -> Vec<(std::path::PathBuf, String)> {
        if !self.is_local(Release::B) {
            return Vec::new();
        }
        let directory = |root: &str| Path::new(root).join(release::directory(Release::B));
        let files = self.release_files(Release::B);
        let under = |root| files.iter().map(move |(file, text)| (directory(root).join(file), text.clone()));
        ROOTS.into_iter().flat_map(under).collect()
    }

    /// The master's settings.
    pub(super) fn master_settings(&self) -> String {
        let line = |release| format!("  {} {}\n", product(release), self.release_url(release));
        let mut text = format!(
            "[slapos]\n[slapproxy]\nhost = {}\nport = 5000\ndatabase_uri = {DATABASE}\nsoftware_product_list =\n{}{}",
            self.machine(Place::Master).address(),
            line(Release::A),
            line(Release::B),
        );
        if self.is_local(Release::B) {
            text += &format!("local_software_release_root = {}\n", ROOTS[self.root.get()]);
        }
        text + &self.multimaster()
    }
}

/// The master is started with the other name, and with the first one again when the time is over.
pub(super) fn move_releases(cloud: &Rc<Cloud>, milliseconds: u64) {
    if cloud.root.get() == 1 || !cloud.is_local(Release::B) || start_with(cloud, 1).is_err() {
        return;
    }
    let cloud = cloud.clone();
    spawn(async move {
        pause(Duration::from_millis(milliseconds)).await;
        while cloud.root.get() == 1 && start_with(&cloud, 0).is_err() {
            pause(RETRY).await;
        }
    });
}

/// The first name counts again.
pub(super) fn heal(cloud: &Cloud) {
    if cloud.root.get() == 1
        && let Err(error) = start_with(cloud, 0)
    {
        cloud.world.trace().event(name(Place::Master), format_args!("its operator: {error}"));
    }
}

fn start_with(cloud: &Cloud, root: usize) -> io::Result<()> {
    let machine = cloud.machine(Place::Master);
    if !machine.is_on() {
        return Err(io::ErrorKind::NotConnected.into());
    }
    let before = cloud.root.replace(root);
    let env = machine.user("/", BTreeMap::new());
    let written = env.files().replace(Path::new(SETTINGS), cloud.master_settings().as_bytes(), 0o644);
    machine.kill(env.context().identity);
    match written {
        Ok(()) => {
            let shown = format_args!("its operator says that releases are in {}", ROOTS[root]);
            cloud.world.trace().event(name(Place::Master), shown);
            if let Some((place, master)) = cloud.process(Program::Master) {
                cloud.machine(place).kill(master);
            }
        }
        Err(_) => cloud.root.set(before),
    }
    written
}
