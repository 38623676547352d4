//! What a lab begins with: the packed release on each node, and an instance of it there; in an empty lab the release only lies
//! there, to be supplied by hand.

use super::{
    content::Content,
    layout::{Description, Layout, write_if_changed},
    progress::{Progress, counted},
};
use crate::{
    client::{InstanceRequest, SlapClient},
    env::{Env, LocalFuture, join_all},
    vocabulary::{ComputerId, InstanceTitle, RequestedState, SoftwareUrl, SupplyState},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// First requests that are sent beside each other: the master commits them together.
const REQUESTS_AT_ONCE: usize = 32;

/// Supplies the first release to every node that is new and requests an instance of it there, once in its life.
pub(super) async fn populate(
    env: &Env,
    layout: &Layout,
    client: &SlapClient,
    description: &mut Description,
    progress: &mut Progress,
) -> Result<(), String> {
    let content = Content::packed().ok_or(
        "this program was built without a release to begin with\nhint: use --empty, then `slap supply` and `slap request`",
    )?;
    let profile = write_release(env, layout, &content)?;
    let all = (1..).zip(description.computers());
    let computers: Vec<(u32, ComputerId)> = all.skip(description.populated as usize).collect();
    for together in computers.chunks(REQUESTS_AT_ONCE) {
        let requests = together.iter().map(|(number, computer)| {
            let request: LocalFuture<'_, Result<(), String>> =
                Box::pin(supply_and_request(client, &content, &profile, *number, computer));
            request
        });
        join_all(requests.collect()).await.into_iter().collect::<Result<(), String>>()?;
    }
    progress.done(format_args!(
        "Supplied {} to {} and requested an instance on each",
        content.name(),
        counted(computers.len(), "node")
    ));
    description.populated = description.nodes;
    layout.write(env, description)
}

/// Puts the release into an empty lab, once, so that the commands that fill it can be typed.
pub(super) fn offer(env: &Env, layout: &Layout) -> Result<(), String> {
    match Content::packed() {
        Some(content) if !env.files().exists(&layout.releases()) => {
            write_release(env, layout, &content).map(drop)
        }
        _ => Ok(()),
    }
}

/// The arguments of the commands that fill an empty lab, as `up` prints them.
pub(super) fn first_commands(layout: &Layout, description: &Description) -> Option<[String; 2]> {
    let (content, computer) = (Content::packed()?, description.computers().into_iter().next()?);
    let release = layout.releases().join(content.name()).join(&content.profile);
    let (release, (title, _)) = (release.display(), content.instance.on(1, computer.as_str()));
    Some([
        format!("supply {release} {computer}"),
        format!("request {title} {release} --node computer_guid={computer}"),
    ])
}

/// Writes the packed release into the lab, and gives its profile.
fn write_release(env: &Env, layout: &Layout, content: &Content) -> Result<PathBuf, String> {
    let directory = layout.releases().join(content.name());
    for (path, bytes) in content.files() {
        write_if_changed(env, &directory.join(path), bytes, 0o600)?;
    }
    Ok(directory.join(&content.profile))
}

/// Supplies the first release to a node and requests its instance there.
async fn supply_and_request(
    client: &SlapClient,
    content: &Content,
    profile: &Path,
    number: u32,
    computer: &ComputerId,
) -> Result<(), String> {
    let url: SoftwareUrl = profile.display().to_string().parse().map_err(|error| format!("{error}"))?;
    let (title, parameters) = content.instance.on(number, computer.as_str());
    let title: InstanceTitle = title.parse().map_err(|error| format!("{error}"))?;
    client
        .supply(&url, computer, SupplyState::Available)
        .await
        .map_err(|error| format!("supply of {url} to {computer}: {error}"))?;
    let request = InstanceRequest {
        software_release: url,
        software_type: "default".to_owned(),
        title: title.clone(),
        parameters,
        filter: BTreeMap::from([("computer_guid".to_owned(), computer.to_string())]),
        state: Some(RequestedState::Started),
        shared: false,
    };
    client
        .request(&request)
        .await
        .map(drop)
        .map_err(|error| format!("request of {title} on {computer}: {error}"))
}
