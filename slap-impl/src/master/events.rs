//! The journal, as users read it: GET `/events`. Only our master has it.
//!
//! The answer's entries come after `since`, in commit order, some hundred or some MiB at a time; `Prefer: wait=N` holds an answer
//! that would be empty until something is committed, if there is room among those that wait.

use super::{
    Master,
    decisions::{Command, Refusal, Requester},
    form::Form,
    information::{applied, preferred_wait},
};
use crate::{
    store::{self, JournalEntry},
    wire::http::server::{Request, Response},
};
use serde_json::{Value as Json, json};

/// Entries of one answer at most.
const ENTRIES_MAX: u32 = 500;

/// Bytes of them after which no more follow: each may have some MiB, and a client reads 64 MiB.
const ENTRY_BYTES_MAX: usize = 4 << 20;

impl Master {
    /// Answers `events`.
    pub(super) async fn events(&self, form: &Form, request: &Request) -> Result<Response, Refusal> {
        let since: i64 = match form.optional("since") {
            None | Some("") => 0,
            Some(_) => form.parsed("since")?,
        };
        let mut wait = preferred_wait(&request.header_list("prefer"));
        let deadline = self.env.clock().elapsed() + wait.unwrap_or_default();
        loop {
            let committed = self.committed.notified();
            let (ends, entries) = self.read(|connection| {
                let entries = store::journal_page(connection, since, ENTRIES_MAX, ENTRY_BYTES_MAX)?;
                Ok((store::journal_ends(connection)?, entries))
            })?;
            let left = deadline.saturating_sub(self.env.clock().elapsed());
            if !entries.is_empty() || wait.is_none() || left.is_zero() || self.closing.is_set() {
                let (oldest, newest) = ends.unwrap_or_default();
                let document = json!({
                    "database": self.identity,
                    "oldest": oldest,
                    "newest": newest,
                    "events": entries.iter().map(shown).collect::<Vec<Json>>(),
                });
                let response = Response::new(200, "application/json", document.to_string());
                return Ok(applied(response, wait));
            }
            if !self.hold(committed, left).await {
                wait = None;
            }
        }
    }
}

/// An entry: when, who, what, and what was answered. What an older version wrote and this one cannot read is shown as it stands.
fn shown(entry: &JournalEntry) -> Json {
    let command: Option<Command> = serde_json::from_str(&entry.command).ok();
    let time = jiff::Timestamp::from_microsecond(entry.at);
    json!({
        "sequence": entry.sequence,
        "time": time.map_or_else(|_| entry.at.to_string(), |time| format!("{time:.6}")),
        "who": command.as_ref().map_or_else(String::new, who),
        "what": command.as_ref().map_or_else(String::new, Command::describe),
        "command": json_or_text(&entry.command),
        "answer": json_or_text(&entry.answer),
    })
}

fn json_or_text(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::from(text))
}

/// Who asked, as far as the wire says it: nobody is told apart there.
fn who(command: &Command) -> String {
    match command {
        Command::Request { requester: None, .. }
        | Command::Forwarded { requester: None, .. }
        | Command::Supply { .. } => "user".to_owned(),
        Command::Request { requester: Some(Requester { computer, partition }), .. }
        | Command::Forwarded { requester: Some(Requester { computer, partition }), .. }
        | Command::Publish { computer, partition, .. }
        | Command::Rename { computer, partition, .. } => format!("{computer}/{partition}"),
        Command::ReportRelease { computer, .. }
        | Command::Format { computer, .. }
        | Command::ReportInstance { computer, .. }
        | Command::BangComputer { computer, .. } => computer.to_string(),
        Command::OnInstance { guid, .. } => guid.to_string(),
        Command::Rebase { .. } => "master".to_owned(),
    }
}
