//! Access status: the last thing that a node reported of a partition or a software release, as the real master keeps it
//! and serves it (getComputerPartitionStatus, getComputerStatus, and `news` in hateoas documents).

use super::{
    fields::Fields,
    marshal::{MarshalError, Value},
};
use serde_json::{Map, Value as Json};

/// Lines of an error's log that are shown.
const LOG_LINES_MAX: usize = 12;
/// First lines of errors that do not say what is wrong.
const EMPTY_WORDS: [&str; 2] = ["#error", "#error while instanciating"];

/// What kind of report it was; it stands at the beginning of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusKind {
    /// All is well: `#access`.
    Access,
    /// Something failed: `#error`.
    Error,
    /// A software release is being built: `#building`.
    Building,
    /// None of these.
    Other,
}

impl StatusKind {
    /// The kind of a status's text.
    pub fn of(text: &str) -> StatusKind {
        match text {
            _ if text.starts_with("#access") => StatusKind::Access,
            _ if text.starts_with("#error") => StatusKind::Error,
            _ if text.starts_with("#building") => StatusKind::Building,
            _ => StatusKind::Other,
        }
    }
}

/// The last report.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccessStatus {
    /// Who reported.
    pub user: String,
    /// When, as RFC 1123 writes it.
    pub created_at: String,
    /// Since when the reports are of this kind, in the same form.
    pub since: String,
    /// `#access ...`, `#error ...` or `#building ...`.
    pub text: String,
    /// `started`, `stopped` or empty.
    pub state: String,
    /// Of what.
    pub reference: String,
    /// `Software Instance`, `Software Installation` or `Compute Node`.
    pub portal_type: String,
    /// Whether nothing was ever reported.
    pub no_data: bool,
    /// Whether nothing was reported for 5 minutes.
    pub no_data_since_5_minutes: bool,
    /// Whether nothing was reported for 15 minutes.
    pub no_data_since_15_minutes: bool,
    /// Whether the report is about the instance as it is asked for now. Our master's own addition: where it is not said, it
    /// is taken for granted.
    pub up_to_date: bool,
    /// The end of the log that came with an error. Our master's own addition; clients that do not know it pass it over.
    pub log: String,
}

impl AccessStatus {
    /// What stands where nothing was ever reported.
    pub fn unknown(reference: &str, portal_type: &str) -> AccessStatus {
        AccessStatus {
            user: "SlapOS Master".to_owned(),
            text: format!("#error no data found for {reference}"),
            reference: reference.to_owned(),
            portal_type: portal_type.to_owned(),
            no_data: true,
            ..AccessStatus::default()
        }
    }

    /// What kind of report it was.
    pub fn kind(&self) -> StatusKind {
        StatusKind::of(&self.text)
    }

    /// The report for a person: its text, with the first line of the log, which says what failed, and the last ones instead of the excerpt
    /// of it that is in the text.
    pub fn described(&self) -> String {
        let lines: Vec<&str> = self.log.lines().filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            return self.text.clone();
        }
        let last = if lines.len() > LOG_LINES_MAX {
            format!("{}\n...\n{}", lines[0], lines[lines.len() - LOG_LINES_MAX..].join("\n"))
        } else {
            lines.join("\n")
        };
        let what = match self.text.split_once(": ") {
            Some((what, excerpt)) if self.log.contains(excerpt.trim()) => what,
            _ => &self.text,
        };
        format!("{what}\n{last}")
    }

    /// The first line of what [`AccessStatus::described`] says, and the error that a log ends with; without one, and where the first
    /// line says only that something failed, the line after it.
    pub fn in_brief(described: &str) -> String {
        let mut lines = described.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let next = lines.clone().next().filter(|_| EMPTY_WORDS.contains(&first.trim_end_matches(':')));
        match lines.rfind(|line| line.starts_with("Error")).or(next) {
            Some(more) => format!("{}: {more}", first.trim_end_matches(':')),
            None => first.to_owned(),
        }
    }

    fn entries(&self) -> Vec<(&'static str, Entry<'_>)> {
        let mut entries: Vec<(&'static str, Entry<'_>)> = vec![
            ("created_at", Entry::Text(&self.created_at)),
            ("portal_type", Entry::Text(&self.portal_type)),
            ("reference", Entry::Text(&self.reference)),
            ("since", Entry::Text(&self.since)),
            ("state", Entry::Text(&self.state)),
            ("text", Entry::Text(&self.text)),
            ("user", Entry::Text(&self.user)),
        ];
        if !self.log.is_empty() {
            entries.insert(1, ("log", Entry::Text(&self.log)));
        }
        if self.no_data {
            entries.push(("no_data", Entry::Flag(true)));
        }
        entries.push(("no_data_since_15_minutes", Entry::Flag(self.no_data_since_15_minutes)));
        entries.push(("no_data_since_5_minutes", Entry::Flag(self.no_data_since_5_minutes)));
        entries.push(("up_to_date", Entry::Flag(self.up_to_date)));
        entries
    }

    /// As getComputerPartitionStatus answers it.
    pub fn to_value(&self) -> Value {
        Value::dictionary(self.entries().into_iter().map(|(key, entry)| match entry {
            Entry::Text(text) => (key, Value::text(text)),
            Entry::Flag(flag) => (key, Value::Int(i128::from(flag))),
        }))
    }

    /// Reads what [`AccessStatus::to_value`] writes; slapproxy answers with a text instead, which is taken as the text.
    ///
    /// # Errors
    /// When it is neither.
    pub fn from_value(value: &Value) -> Result<AccessStatus, MarshalError> {
        if let Value::Text(text) = value {
            return Ok(AccessStatus { text: text.clone(), no_data: true, ..AccessStatus::default() });
        }
        let items = value.as_dictionary().ok_or_else(|| {
            MarshalError::new(format!("a status is {}: expected a dictionary", value.kind()))
        })?;
        let fields = Fields::new("a status", items);
        let text = |name| Ok::<_, MarshalError>(fields.optional_text(name)?.unwrap_or_default());
        let flag = |name| fields.get(name).is_some_and(Value::is_true);
        Ok(AccessStatus {
            user: text("user")?,
            created_at: text("created_at")?,
            since: text("since")?,
            text: text("text")?,
            state: text("state")?,
            reference: text("reference")?,
            portal_type: text("portal_type")?,
            no_data: flag("no_data"),
            no_data_since_5_minutes: flag("no_data_since_5_minutes"),
            no_data_since_15_minutes: flag("no_data_since_15_minutes"),
            up_to_date: fields.get("up_to_date").is_none_or(Value::is_true),
            log: text("log")?,
        })
    }

    /// As it stands in hateoas documents.
    pub fn to_json(&self) -> Json {
        let items = self.entries().into_iter().map(|(key, entry)| match entry {
            Entry::Text(text) => (key.to_owned(), Json::from(text)),
            Entry::Flag(flag) => (key.to_owned(), Json::from(u8::from(flag))),
        });
        Json::Object(Map::from_iter(items))
    }

    /// Reads what [`AccessStatus::to_json`] writes; what is missing stays empty.
    pub fn from_json(value: &Json) -> AccessStatus {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let flag = |name: &str| value[name].as_u64().is_some_and(|number| number != 0);
        AccessStatus {
            user: text("user"),
            created_at: text("created_at"),
            since: text("since"),
            text: text("text"),
            state: text("state"),
            reference: text("reference"),
            portal_type: text("portal_type"),
            no_data: flag("no_data"),
            no_data_since_5_minutes: flag("no_data_since_5_minutes"),
            no_data_since_15_minutes: flag("no_data_since_15_minutes"),
            up_to_date: value["up_to_date"].as_u64() != Some(0),
            log: text("log"),
        }
    }
}

enum Entry<'a> {
    Text(&'a str),
    Flag(bool),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_read_back() {
        let status = AccessStatus {
            user: "COMP-1".to_owned(),
            created_at: "2026/01/31 12:00:00 UTC".to_owned(),
            since: "2026/01/31 11:00:00 UTC".to_owned(),
            text: "#error while <processing>".to_owned(),
            state: "start_requested".to_owned(),
            reference: "COMP-1-slappart0".to_owned(),
            portal_type: "Software Instance".to_owned(),
            no_data_since_5_minutes: true,
            ..AccessStatus::default()
        };
        for status in [status, AccessStatus::unknown("COMP-1", "Compute Node")] {
            assert_eq!(AccessStatus::from_value(&status.to_value()).unwrap(), status);
            assert_eq!(AccessStatus::from_json(&status.to_json()), status);
            assert_eq!(status.kind(), StatusKind::Error);
        }
    }

    #[test]
    fn a_report_is_described_with_its_log() {
        let check = |text: &str, log: &str, expected: &str| {
            let status =
                AccessStatus { text: text.to_owned(), log: log.to_owned(), ..AccessStatus::default() };
            assert_eq!(status.described(), expected);
        };
        check("#access ok", "", "#access ok");
        check("#error while instanciating: b", "a\n\nb\n", "#error while instanciating\na\nb");
        check("#error while installing /x", "why", "#error while installing /x\nwhy");
        let many: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let expected = format!("#error\n0\n...\n{}", many[8..].join("\n"));
        check("#error", &many.join("\n"), &expected);
    }

    #[test]
    fn a_line_in_brief_says_what_is_wrong() {
        let check = |described: &str, expected: &str| assert_eq!(AccessStatus::in_brief(described), expected);
        check("", "");
        check("its node did not report yet", "its node did not report yet");
        check("#error while instanciating", "#error while instanciating");
        check("#error while instanciating\n\n  b exited\nlog", "#error while instanciating: b exited");
        check("#error:\nb", "#error: b");
        check("#error while instanciating\na\nError: b\n", "#error while instanciating: Error: b");
        check("#error while installing /x\nwhy", "#error while installing /x");
        check("promise page failed: gone\n#error", "promise page failed: gone");
    }

    #[test]
    fn slapproxy_says_only_that_it_cannot() {
        let status = AccessStatus::from_value(&Value::text("Not implemented.")).unwrap();
        assert_eq!((status.kind(), status.no_data), (StatusKind::Other, true));
    }
}
