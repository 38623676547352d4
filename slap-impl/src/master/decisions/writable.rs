//! Names that could not be told to everybody afterwards: they are refused before they are kept. What was kept by an earlier version stays
//! as it is.

use super::Refusal;
use crate::{
    vocabulary::{InstanceTitle, SoftwareUrl},
    wire::marshal::is_xml,
};

/// Refuses a title that a document of XML cannot hold, or that means another place in a URL (RFC 3986, 5.2.4): clients find an
/// instance's page at its title.
pub(super) fn check_title(title: &InstanceTitle) -> Result<(), Refusal> {
    check("title", title.as_str())?;
    if matches!(title.as_str(), "." | "..") {
        let message =
            format!("{:?} can be no title: an instance's page is found at its title", title.as_str());
        return Err(Refusal::new(400, message).hint("in a URL it means another place: give it another title"));
    }
    Ok(())
}

/// Refuses the URL of a release that a document of XML cannot hold.
pub(super) fn check_release(release: &SoftwareUrl) -> Result<(), Refusal> {
    check("software release URL", release.as_str())
}

/// Control characters are no part of either.
fn check(what: &str, text: &str) -> Result<(), Refusal> {
    let Some(bad) = text.chars().find(|character| !is_xml(*character)) else { return Ok(()) };
    let shown: String = text.chars().take(80).collect();
    let message = format!(
        "{shown:?} can be no {what}: it holds U+{:04X}, which no document of XML can",
        u32::from(bad)
    );
    Err(Refusal::new(400, message).hint("leave it out"))
}
