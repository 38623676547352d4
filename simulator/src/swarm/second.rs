//! A second master on a machine of its own, with a node of its own. The first one passes to it what names it, and whatever is asked of a
//! release that its settings list; nobody else asks there.

use super::{
    cloud::{Cloud, DATABASE},
    history::{History, OPERATOR},
    script::{Event, Place, Release},
    settle::{Waits, node_waits, trees},
    users::{self, computer},
};
use slap_impl::{
    client::{Poll, SlapClient},
    env::Env,
};

/// What is known of it beside its machines.
pub(super) struct Second {
    /// What users asked of it, as if they had asked it themselves: of the listed release they ask as the second.
    pub(super) history: History,
}

impl Default for Second {
    fn default() -> Second {
        Second { history: History::at(Place::Other) }
    }
}

/// Where the releases stand on their server that the first master's settings list.
pub(super) const LISTED: &str = "listed";

impl Cloud {
    pub(super) fn has_second(&self) -> bool {
        self.knobs.second.request_seconds > 0
    }

    /// The second master's node.
    pub(super) fn far_node(&self) -> Option<u32> {
        self.has_second().then_some(self.knobs.nodes + 1)
    }

    /// The second master's URL.
    pub(super) fn other_url(&self) -> String {
        format!("http://{}:5000", self.machine(Place::Other).address())
    }

    /// The URL of a node's master.
    pub(super) fn master_of(&self, node: u32) -> String {
        if self.far_node() == Some(node) { self.other_url() } else { self.master_url() }
    }

    /// The URLs of the releases of the second master: one that any master may have, and one that the first one's settings list.
    pub(super) fn far_releases(&self) -> [String; 2] {
        let web = self.machine(Place::Web).address();
        let listed = format!("http://{web}:8000/{LISTED}/software.cfg");
        [self.release_url(Release::A), listed]
    }

    /// What the first master's settings say of the second one.
    pub(super) fn multimaster(&self) -> String {
        if !self.has_second() {
            return String::new();
        }
        let [_, listed] = self.far_releases();
        format!("[multimaster/{}]\nsoftware_release_list =\n  {listed}\n", self.other_url())
    }

    /// The second master's settings.
    pub(super) fn other_settings(&self) -> String {
        format!(
            "[slapos]\n[slapproxy]\nhost = {}\nport = 5000\ndatabase_uri = {DATABASE}\n",
            self.machine(Place::Other).address()
        )
    }
}

/// Supplies both releases to the second master's node; whether that was taken.
pub(super) async fn supply(cloud: &Cloud, operator: &Env) -> bool {
    let Some(node) = cloud.far_node() else { return true };
    for release in [Release::A, Release::B] {
        let event = Event::Supply { user: OPERATOR, node, release, removed: false };
        if !users::second::supply(cloud, operator, &event).await {
            return false;
        }
    }
    true
}

/// All that is not as it is wanted at the second master.
pub(super) async fn unsettled(cloud: &Cloud, operator: &Env, waits: &mut Vec<Waits>) {
    let Some(node) = cloud.far_node() else { return };
    let client = client(cloud, operator);
    let overview = trees::overview(cloud, &client, std::iter::once(node)).await;
    match client.full_computer_information(&computer(node), None, None).await {
        Ok(Poll::Changed { computer, .. }) => {
            node_waits((cloud, &overview), &client, node, &computer, waits).await;
        }
        Ok(Poll::Unchanged { .. }) => {}
        Err(error) => {
            waits.push(Waits { object: computer(node).to_string(), what: error.to_string() });
        }
    }
}

/// A client of the second master in somebody's hands.
pub(super) fn client(cloud: &Cloud, env: &Env) -> SlapClient {
    SlapClient::new(env.clone(), &cloud.other_url()).expect("the URL is good").with_deadline(users::PATIENCE)
}
