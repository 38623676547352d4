//! Local software releases stand in another place than before (`[slapproxy] local_software_release_root`).

use super::{Answer, Decision, Desk};
use crate::{
    store::{self, Subject},
    vocabulary::SoftwareUrl,
};
use std::collections::BTreeMap;

/// The name under which the root of local releases is kept.
pub const ROOT_SETTING: &str = "local_software_release_root";

impl Desk<'_> {
    /// Supplies and instances follow their releases. What nodes reported of them was about the old place, so they are built and
    /// processed again.
    pub(super) fn rebase(&mut self, root: &str, moved: &BTreeMap<SoftwareUrl, SoftwareUrl>) -> Decision {
        if store::setting(self.connection, ROOT_SETTING)?.as_deref() != Some(root) {
            store::set_setting(self.connection, ROOT_SETTING, root)?;
        }
        for (from, to) in moved {
            for supply in store::supplies_of(self.connection, from)? {
                // Two spellings of one path: where the new one is supplied already, the old one stays as it is.
                if store::supply(self.connection, &supply.computer, to)?.is_none() {
                    store::move_supply(self.connection, &supply, to)?;
                    store::clear_access_status(self.connection, Subject::Release(&supply.computer, from))?;
                    self.touch(&supply.computer);
                }
            }
            for instance in store::instances_of(self.connection, from)? {
                store::set_release(self.connection, instance.number, to)?;
                self.renew_instance(&instance);
            }
        }
        Ok(Answer::Text("done".to_owned()))
    }
}
