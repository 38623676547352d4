//! A case: a file of `cases/`, which says what is written and run, step by step.
//!
//! The lines before the first that begins with `--- ` say what it is about. Then each such line is an action, and the lines
//! below it are its text:
//!
//! * `--- file PATH [MODE]`: writes a file; `--- remove PATH`: takes one away
//! * `--- run [PART...]`: runs `buildout.cfg` with both engines, and what they leave is compared
//! * `--- fork`: typed values and `$${` for zc.buildout, too

/// What is done in both directories.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Write { path: String, mode: u32, text: String },
    Remove { path: String },
    Run { parts: Vec<String> },
}

/// A file of `cases/`.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) fork: bool,
    pub(crate) actions: Vec<Action>,
}

impl Case {
    /// A case that runs one profile, perhaps a second time as an update.
    pub(crate) fn generated(name: &str, fork: bool, runs: usize, files: &[(&str, String)]) -> Case {
        let write = |(path, text): &(&str, String)| Action::Write {
            path: (*path).to_owned(),
            mode: 0o640,
            text: text.clone(),
        };
        let mut actions: Vec<Action> = files.iter().map(write).collect();
        actions.extend(vec![Action::Run { parts: Vec::new() }; runs]);
        Case { name: name.to_owned(), fork, actions }
    }

    /// Reads a case.
    pub(crate) fn parse(name: &str, text: &str) -> Case {
        let mut case = Case { name: name.to_owned(), fork: false, actions: Vec::new() };
        for line in text.split_inclusive('\n') {
            let Some(words) = line.strip_prefix("--- ") else {
                match case.actions.last_mut() {
                    Some(Action::Write { text, .. }) => text.push_str(line),
                    None => {}
                    Some(_) if line.trim().is_empty() => {}
                    Some(_) => panic!("{name}: a text where none belongs: {line:?}"),
                }
                continue;
            };
            let words: Vec<&str> = words.split_whitespace().collect();
            match words.as_slice() {
                ["file", path, mode @ ..] => {
                    let mode = mode.first().map_or(0o640, |mode| u32::from_str_radix(mode, 8).unwrap());
                    case.actions.push(Action::Write { path: (*path).to_owned(), mode, text: String::new() });
                }
                ["remove", path] => case.actions.push(Action::Remove { path: (*path).to_owned() }),
                ["run", parts @ ..] => {
                    let parts = parts.iter().map(ToString::to_string).collect();
                    case.actions.push(Action::Run { parts });
                }
                ["fork"] => case.fork = true,
                other => panic!("{name}: unknown action {other:?}"),
            }
        }
        assert!(
            case.actions.iter().any(|action| matches!(action, Action::Run { .. })),
            "{name} runs nothing"
        );
        case
    }
}
