//! Releases on computers: what users want, and what nodes report.

use super::{
    Answer, Decision, Desk, LOG_BYTES_MAX, Refusal, ReleaseReport, SUPPLIES_MAX, tail,
    writable::check_release,
};
use crate::{
    store::{self, Subject},
    vocabulary::{ComputerId, SoftwareUrl, SupplyState, text_repr},
};

impl Desk<'_> {
    /// Also `destroyed` of a release that was never asked for is passed on: the node may have it from another time.
    pub(super) fn supply(
        &mut self,
        computer: &ComputerId,
        url: &SoftwareUrl,
        state: SupplyState,
    ) -> Decision {
        self.require_computer(computer)?;
        let before = store::supply(self.connection, computer, url)?;
        if before.is_none() && store::count_supplies(self.connection, computer)? >= SUPPLIES_MAX {
            let message = format!("{SUPPLIES_MAX} releases are supplied to {computer} already");
            return Err(Refusal::new(403, message)
                .hint("`slap remove` those that are not needed any more")
                .into());
        }
        if before.is_none() {
            check_release(url)?;
        }
        if before.is_none_or(|before| before.state != state) {
            store::upsert_supply(self.connection, computer, url, state)?;
            self.touch(computer);
        }
        Ok(Answer::Text(format!("Supplied {} to be {state}", text_repr(url.as_str()))))
    }

    pub(super) fn report_release(
        &mut self,
        computer: &ComputerId,
        url: &SoftwareUrl,
        report: &ReleaseReport,
    ) -> Decision {
        self.require_computer(computer)?;
        let Some(supply) = store::supply(self.connection, computer, url)? else {
            let text = match report {
                ReleaseReport::Destroyed => "OK",
                _ => "Ignored: the release is not supplied to this computer",
            };
            return Ok(Answer::Text(text.to_owned()));
        };
        let subject = Subject::Release(computer, url);
        let (text, log) = match report {
            ReleaseReport::Building => (format!("#building software release {url}"), ""),
            ReleaseReport::Available => (format!("#access software release {url} available"), ""),
            ReleaseReport::Error { log } => {
                (format!("#error while installing {url}"), tail(log, LOG_BYTES_MAX))
            }
            ReleaseReport::Destroyed if supply.state == SupplyState::Available => {
                // Somebody asked for it again while the node removed it: the wish must not be lost.
                return Err(Refusal::new(409, format!("{url} is wanted on {computer} again"))
                    .hint("the node builds it at its next pass")
                    .into());
            }
            ReleaseReport::Destroyed => {
                store::delete_supply(self.connection, computer, url)?;
                store::clear_access_status(self.connection, subject)?;
                self.touch(computer);
                return Ok(Answer::Text("OK".to_owned()));
            }
        };
        store::set_access_status(self.connection, subject, &text, "", log, 0, self.now)?;
        Ok(Answer::Text("OK".to_owned()))
    }
}
