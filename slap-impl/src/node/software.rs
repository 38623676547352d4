//! Software releases: builds those that are wanted and removes those that are not (slapos.core: grid/slapgrid.py,
//! `processSoftwareReleaseList`, and grid/SlapObject.py, `Software`).
//!
//! A release is built when `.completed` stands in its directory. Its directory is only the engine's until then, so
//! a build that was killed is simply done again, over what is there.

use super::{
    NodeError, PassResult, engine, safe,
    site::{Site, release_hash},
};
use crate::{
    client::ClientError,
    env::FileKind,
    vocabulary::{RequestedState, SoftwareUrl, SupplyState},
    wire::objects::{Computer, SoftwareRelease},
};
use std::path::Path;

/// What one pass over the releases shall do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Build also what is built.
    pub force: bool,
    /// Only these (URLs or MD5 sums of URLs), which are then built although they are; all if it is empty.
    pub only: Vec<String>,
    /// Remove directories of releases that the master does not name.
    pub collect_garbage: bool,
}

/// One pass over all releases of the computer.
///
/// # Errors
/// When the pass cannot begin at all. Releases that fail are reported to the master and in the result.
pub async fn pass(site: &Site, options: &Options) -> Result<PassResult, NodeError> {
    site.prepare()?;
    let _lock = site.lock(&site.settings.software_root, "software")?;
    let computer = site.computer().await?;
    let mut result = PassResult::Done;
    for release in &computer.software_releases {
        let is_chosen = options
            .only
            .iter()
            .any(|only| only == release.url.as_str() || *only == release_hash(&release.url));
        if !options.only.is_empty() && !is_chosen {
            continue;
        }
        let outcome = match release.requested_state {
            Some(SupplyState::Destroyed) => remove(site, &computer, release).await,
            _ if options.force || is_chosen || !site.is_built(&release.url) => {
                build(site, &release.url).await
            }
            _ => Ok(()),
        };
        if let Err(error) = &outcome {
            site.env.tell(format!("{}: {error}", release.url));
        }
        result = result.max(PassResult::of(&outcome));
    }
    if options.collect_garbage {
        collect_garbage(site, &computer);
    }
    Ok(result)
}

/// Builds a release and tells the master how that went.
///
/// # Errors
/// When it could not be built, or the master could not be told; then it is not marked as built.
pub async fn build(site: &Site, url: &SoftwareUrl) -> Result<(), NodeError> {
    let computer = &site.settings.computer_id;
    site.env.tell(format!("Building {url}"));
    if let Err(error) = site.master.building_release(computer, url).await {
        // Upstream builds also when the master does not know the release any more.
        site.env.tell(format!("the master could not be told that {url} is being built: {error}"));
    }
    let directory = site.release(url);
    let built = match prepare(site, url, &directory) {
        Ok(()) => run_engine(site, url, &directory).await,
        Err(error) => Err(error),
    };
    if let Err(error) = built {
        if let Err(report) = site.master.release_error(computer, url, &error.to_string()).await {
            site.env.tell(format!("the master could not be told that {url} failed: {report}"));
        }
        return Err(error);
    }
    // The mark comes after the report, so that a report that was lost is made again; so it must be when the release is supplied
    // again.
    if !site.master.available_release(computer, url).await? {
        site.env.tell(format!("Built {url}, which is not supplied to {computer} any more"));
        return Ok(());
    }
    let mark = site.env.clock().now().strftime("%a %b %e %H:%M:%S %Y").to_string();
    site.files().replace(&directory.join(".completed"), mark.as_bytes(), 0o644).map_err(|error| {
        NodeError::write(site.files(), &directory, format!("{url} cannot be marked as built"), &error)
    })?;
    site.env.tell(format!("Built {url}"));
    Ok(())
}

/// Tells the master that a release is available which is built already, if it shows something else: the release was built for another
/// database of the master, or under this name before its directory moved away and back. One that does not say what it shows is not told:
/// another master than ours, or one to which the release has another name just now.
///
/// # Errors
/// When the master could not be asked or told.
pub async fn show(site: &Site, url: &SoftwareUrl) -> Result<(), NodeError> {
    let computer = &site.settings.computer_id;
    match site.master.release_status(computer, url).await {
        Ok(status) if status.text.starts_with("#access") => Ok(()),
        Ok(_) => {
            site.env.tell(format!("{url} is built already"));
            site.master.available_release(computer, url).await.map(drop).map_err(NodeError::from)
        }
        Err(error @ (ClientError::Offline { .. } | ClientError::Refused { status: 500.., .. })) => {
            Err(NodeError::from(error))
        }
        Err(_) => Ok(()),
    }
}

/// Makes the directory and the profile that names the release's own.
fn prepare(site: &Site, url: &SoftwareUrl, directory: &Path) -> Result<(), NodeError> {
    let files = site.files();
    let failed = |error| {
        let what = format!("the directory {} cannot be made", directory.display());
        NodeError::write(files, directory, what, &error)
    };
    let hash = release_hash(url);
    safe::directory(files, &site.settings.software_root, &[&hash], 0o755).map_err(failed)?;
    safe::directory(files, directory, &["extends-cache"], 0o755).map_err(failed)?;
    let completed = directory.join(".completed");
    files.remove_any(&completed).map_err(failed)?;
    let profile = format!(
        "[buildout]\nextends = {}\nshared-part-list = {}\nbuild-time-part-list = {}\n\n",
        value(url.as_str()),
        value(&site.settings.shared_part_list),
        value(&site.settings.build_time_part_list)
    );
    safe::put(files, &directory.join("buildout.cfg"), profile.as_bytes(), 0o644).map_err(failed)
}

/// A value of several lines as an option's text: the lines after the first begin with a blank.
pub(super) fn value(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n  ")
}

async fn run_engine(site: &Site, url: &SoftwareUrl, directory: &Path) -> Result<(), NodeError> {
    let shown = directory.display();
    let mut arguments = vec![
        format!("buildout:extends-cache={shown}/extends-cache"),
        format!("buildout:directory={shown}"),
        "-N".to_owned(),
        // Others may read a release: its instances run as other users on a node with root.
        "--umask".to_owned(),
        "022".to_owned(),
        "-c".to_owned(),
        format!("{shown}/buildout.cfg"),
    ];
    if site.settings.develop {
        arguments.retain(|argument| argument != "-N");
    }
    let run = engine::Run {
        purpose: format!("Building {url}"),
        directory,
        arguments,
        variables: Vec::new(),
        log: site.release_log(url),
        deadline: site.settings.software_timeout,
    };
    engine::run(&site.env, run).await.map_err(|error| NodeError::Failed(error.to_string()))
}

/// Removes a release's directory and tells the master. While an instance here still needs it, it stays.
///
/// # Errors
/// When it could not be removed, or the master could not be told.
pub async fn remove(site: &Site, computer: &Computer, release: &SoftwareRelease) -> Result<(), NodeError> {
    let url = &release.url;
    if let Some(user) = user_of(computer, url) {
        let message = format!("{url} is not removed yet: {user} still uses it; destroy that instance first");
        site.env.tell(&message);
        return Ok(());
    }
    let directory = site.release(url);
    // What is half removed must not count as built; and what was reported as removed must not come back with the power, and count as
    // built when it is supplied again.
    let files = site.files();
    let removed = files.remove_any(&directory.join(".completed")).and_then(|()| {
        if files.is_directory(&directory) {
            files.sync(&directory)?;
        }
        files.remove_any(&directory)?;
        files.sync(&site.settings.software_root)
    });
    if let Err(error) = removed {
        let error = NodeError::io(format!("{} cannot be removed", directory.display()), &error);
        site.master.release_error(&site.settings.computer_id, url, &error.to_string()).await.ok();
        return Err(error);
    }
    site.master.destroyed_release(&site.settings.computer_id, url).await?;
    site.env.tell(format!("Removed {url}"));
    Ok(())
}

/// A partition in which an instance of the release is, or is about to be destroyed.
pub fn user_of<'a>(computer: &'a Computer, url: &SoftwareUrl) -> Option<&'a str> {
    let mut partitions = computer.partitions.iter();
    let user = partitions.find(|partition| {
        partition.instance.as_ref().is_some_and(|instance| instance.software_release.url == *url)
            && (partition.need_modification || partition.requested_state != RequestedState::Destroyed)
    });
    user.map(|partition| partition.partition_id.as_str())
}

/// Removes directories that look like a release's and are none that is wanted or used.
fn collect_garbage(site: &Site, computer: &Computer) {
    let root = &site.settings.software_root;
    let wanted = |name: &str| {
        computer.software_releases.iter().any(|release| release_hash(&release.url) == name)
            || computer
                .partitions
                .iter()
                .filter_map(|partition| partition.instance.as_ref())
                .any(|instance| release_hash(&instance.software_release.url) == name)
    };
    for name in site.files().list(root).unwrap_or_default() {
        let is_hash = name.len() == 32 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let path = root.join(&name);
        let is_release = is_hash
            && site
                .files()
                .symlink_metadata(&path)
                .is_ok_and(|metadata| metadata.kind == FileKind::Directory)
            && site.files().exists(&path.join("buildout.cfg"));
        if !is_release || wanted(&name) {
            continue;
        }
        match site.files().remove_tree(&path) {
            Ok(()) => site.env.tell(format!("Removed {}, which nobody asked for", path.display())),
            Err(error) => site.env.tell(format!("{} cannot be removed: {error}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_several_lines_stays_one_value() {
        for (text, expected) in
            [("", ""), ("/a", "/a"), ("\n /a\n /b\n", "/a\n  /b"), ("/a\n[evil]", "/a\n  [evil]")]
        {
            assert_eq!(value(text), expected);
        }
    }
}
