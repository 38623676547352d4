//! Whether a line of the trace, or a process, is about an object of a finding.

use serde_json::Value;

/// The object that everything is about.
pub(super) const EVERYTHING: &str = "cloud";

/// The master, whom users and strangers ask.
const MASTER: &str = "master";

/// What a line is asked for.
pub(super) struct About<'a> {
    object: &'a str,
    /// Its node and its partition, if it is on one: a node's machine has another name than its computer.
    node: Option<u64>,
    partition: Option<&'a str>,
    /// The letter of the release that it is, or names.
    release: Option<&'a str>,
    /// The number of the instance that users call so.
    title: Option<u64>,
}

impl About<'_> {
    /// `object`: such as `COMP-1/slappart0`, `COMP-1`, `http://10.0.0.2:8000/a/software.cfg on COMP-1`, `instance-3`,
    /// `node-1/process 7`, or any word.
    pub(super) fn new(object: &str) -> About<'_> {
        let (url, place) =
            object.split_once(" on ").map_or((None, object), |(url, place)| (Some(url), place));
        let on_node = place.strip_prefix("COMP-").or_else(|| place.strip_prefix("node-"));
        let (number, partition) = on_node.map_or(("", None), |rest| {
            rest.split_once('/').map_or((rest, None), |(it, rest)| (it, Some(rest)))
        });
        let title = object.strip_prefix("instance-").map(|rest| {
            let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
            &rest[..digits]
        });
        About {
            object,
            node: number.parse().ok(),
            partition: partition.and_then(|rest| rest.split('/').next()),
            release: url.and_then(|url| url.rsplit('/').nth(1)),
            title: title.and_then(|digits| digits.parse().ok()),
        }
    }

    /// Whether a line is: of the trace, which begins with its time and its machine, or of a process, which begins with its machine.
    pub(super) fn is_line(&self, line: &str) -> bool {
        if self.object == EVERYTHING {
            return true;
        }
        if let Some(event) = script(line) {
            return self.is_event(&event);
        }
        let Some(node) = self.node else {
            let asks = |who| line.trim_start().split_once(' ').is_some_and(|(_, rest)| rest.starts_with(who));
            return names_wholly(line, self.object)
                || (self.object == MASTER && (asks("user ") || asks("stranger ")));
        };
        let machine = format!("node-{node}");
        let is_on = line.split([' ', '/']).any(|word| word == machine) || names_wholly(line, self.object);
        let names_partition = |partition| names_wholly(line, partition);
        let names_release = |letter| line.contains(&format!("/{letter}/software.cfg"));
        is_on && self.partition.is_none_or(names_partition) && self.release.is_none_or(names_release)
    }

    /// Whether something that the script did is.
    fn is_event(&self, event: &Value) -> bool {
        if let Some(title) = self.title {
            return event["title"] == title;
        }
        let Some(node) = self.node else {
            let asks = event.get("user").is_some() || event["event"] == "stranger";
            return names(event, self.object) || (self.object == MASTER && asks);
        };
        let numbered = [&event["partition"], &event["touch"]["partition"]];
        let is_of_partition = |partition: &str| match numbered.iter().find_map(|value| value.as_u64()) {
            Some(number) => partition == format!("slappart{number}"),
            // The release of a partition is none of its own.
            None => event["event"] != "supply" && event["event"] != "request",
        };
        let is_of_release = |letter: &str| event["release"].as_str().is_none_or(|other| other == letter);
        is_on(event, node)
            && self.partition.is_none_or(is_of_partition)
            && self.release.is_none_or(is_of_release)
    }
}

/// Whether a line has those words, and no more digits after them.
fn names_wholly(line: &str, words: &str) -> bool {
    let ends =
        |(at, _): (usize, &str)| !line[at + words.len()..].starts_with(|next: char| next.is_ascii_digit());
    line.match_indices(words).any(ends)
}

/// What the script did, if the line says that.
fn script(line: &str) -> Option<Value> {
    let (_, rest) = line.trim_start().split_once(' ')?;
    serde_json::from_str(rest.strip_prefix("script")?.trim_start()).ok()
}

/// Whether something names a node as the place of a machine, a program, or by its number.
fn is_on(event: &Value, node: u64) -> bool {
    let Some(fields) = event.as_object() else { return false };
    fields.iter().any(|(key, value)| {
        (["node", "agent", "supervisor"].contains(&key.as_str()) && *value == node) || is_on(value, node)
    })
}

/// Whether something names a machine or a program by that word, anywhere.
fn names(event: &Value, word: &str) -> bool {
    match event {
        Value::String(text) => text == word,
        Value::Array(values) => values.iter().any(|value| names(value, word)),
        Value::Object(fields) => fields.values().any(|value| names(value, word)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::About;

    #[test]
    fn a_line_is_about_what_it_names() {
        let starts =
            "   12.000000 node-1/process 7 starts /srv/slapgrid/instance/slappart0/etc/service/worker-a";
        let removed = "   12.000000 node-1/process 7 Removed http://10.0.0.2:8000/b/software.cfg";
        let supply = r#"   12.000000 script         {"event":"supply","user":2,"node":1,"release":"b","removed":true}"#;
        let request = r#"   12.000000 script         {"event":"request","user":1,"title":3,"release":"a","node":null,"note":0,"state":"started"}"#;
        let quota = r#"   12.000000 script         {"event":"quota","node":1,"partition":0,"room":0,"milliseconds":5}"#;
        let power = r#"   12.000000 script         {"event":"power","machine":{"node":1},"milliseconds":5}"#;
        let kill = r#"   12.000000 script         {"event":"kill","program":{"agent":1}}"#;
        let master = r#"   12.000000 script         {"event":"kill","program":"master"}"#;
        let lines = [starts, removed, supply, request, quota, power, kill, master];
        for (object, expected) in [
            ("COMP-1", [true, true, true, false, true, true, true, false]),
            ("COMP-1/slappart0", [true, false, false, false, true, true, true, false]),
            ("COMP-1/slappart1", [false, false, false, false, false, true, true, false]),
            ("COMP-11/slappart0", [false; 8]),
            (
                "http://10.0.0.2:8000/b/software.cfg on COMP-1",
                [false, true, true, false, true, true, true, false],
            ),
            (
                "http://10.0.0.2:8000/a/software.cfg on COMP-1",
                [false, false, false, false, true, true, true, false],
            ),
            ("instance-3", [false, false, false, true, false, false, false, false]),
            ("instance-31", [false; 8]),
            ("cloud", [true; 8]),
            ("master", [false, false, true, true, false, false, false, true]),
            ("worker-a", [true, false, false, false, false, false, false, false]),
        ] {
            let about = About::new(object);
            assert_eq!(lines.map(|line| about.is_line(line)), expected, "{object}");
        }
        assert!(About::new("master").is_line("     120.075000 user 1 3: done"));
        assert!(About::new("COMP-3").is_line("node-3 12 /usr/bin/slap node run"));
        assert!(About::new("node-1/process 7").is_line(starts));
        assert!(!About::new("COMP-1/slappart1").is_line(&starts.replace("slappart0", "slappart10")));
        assert!(!About::new("COMP-1").is_line("   12.000000 alarm          liveness: COMP-10: it waits"));
        assert!(
            !About::new("instance-3").is_line("   12.000000 alarm          liveness: instance-31: it waits")
        );
        let touch = r#"   12.000000 script         {"event":"touch","node":1,"touch":{"partition":3},"milliseconds":5}"#;
        assert!(
            About::new("COMP-1/slappart3").is_line(touch) && !About::new("COMP-1/slappart0").is_line(touch)
        );
        assert!(!About::new("node-1/process 8").is_line(starts));
    }
}
