//! As much of the POSIX shell as wrappers and simple promises use: simple commands, quotes, variables, `export`, `exec`,
//! `exit`, `&&`, `||`, `;` and comments. Anything else is refused by name, never run differently.

use super::{
    processes::ProcessEnv,
    programs::{self, Program},
};
use slap_impl::env::{Command, Context, Env, Exit, LocalFuture, Output};
use std::path::Path;

/// Exit code of the shell for a text that it does not understand.
const EXIT_SYNTAX: Exit = Exit(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    Always,
    And,
    Or,
}

/// A piece of a word before expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
    All,
}

type Word = Vec<Piece>;

/// Commands, each with how it hangs on the one before.
type List = Vec<(Joint, Vec<Word>)>;

/// Runs the script at `path`.
pub(crate) fn script(
    process: ProcessEnv,
    env: Env,
    path: &Path,
    text: &str,
    arguments: Vec<String>,
) -> LocalFuture<'static, Exit> {
    let first = text.lines().next().unwrap_or_default();
    let stops = first.split_whitespace().skip(1).any(|flag| flag.starts_with('-') && flag.contains('e'));
    let name = path.display().to_string();
    let list = parse(text);
    Box::pin(async move { run(process, env, &name, list, stops, arguments).await })
}

/// Runs `sh ARGUMENTS`: `-c TEXT [NAME [ARGUMENT...]]` or `[-e] FILE [ARGUMENT...]`.
pub(crate) async fn command_line(process: ProcessEnv, env: Env, arguments: Vec<String>) -> Exit {
    let mut rest = arguments.into_iter().peekable();
    let mut stops = false;
    while let Some(flag) = rest.next_if(|argument| argument.starts_with('-')) {
        match flag.as_str() {
            "-e" => stops = true,
            "-c" | "-ec" => {
                let text = rest.next().unwrap_or_default();
                let name = rest.next().unwrap_or_else(|| "sh".to_owned());
                return run(process, env, &name, parse(&text), stops || flag == "-ec", rest.collect()).await;
            }
            other => return refuse(&env, "sh", &format!("option {other}")),
        }
    }
    let Some(file) = rest.next() else { return refuse(&env, "sh", "an interactive shell") };
    match slap_impl::env::Files::read_text(process.files(), &env.context().absolute(&file), 1 << 20) {
        Ok(text) => run(process, env, &file, parse(&text), stops, rest.collect()).await,
        Err(error) => {
            env.tell(format_args!("sh: {error}"));
            Exit(127)
        }
    }
}

fn refuse(env: &Env, name: &str, what: &str) -> Exit {
    env.tell(format_args!("{name}: the world's shell does not know {what}"));
    EXIT_SYNTAX
}

async fn run(
    process: ProcessEnv,
    env: Env,
    name: &str,
    list: Result<List, String>,
    stops: bool,
    arguments: Vec<String>,
) -> Exit {
    let list = match list {
        Ok(list) => list,
        Err(what) => return refuse(&env, name, &what),
    };
    let mut context = env.context().clone();
    let mut status = Exit::DONE;
    for (index, (joint, words)) in list.iter().enumerate() {
        let skipped = match joint {
            Joint::Always => false,
            Joint::And => status != Exit::DONE,
            Joint::Or => status == Exit::DONE,
        };
        if skipped {
            continue;
        }
        let words: Vec<String> = words.iter().flat_map(|word| expand(word, &context, &arguments)).collect();
        match step(&process, &mut context, words).await {
            Step::Status(exit) => status = exit,
            Step::End(exit) => return exit,
        }
        let tested = list.get(index + 1).is_some_and(|(joint, _)| *joint != Joint::Always);
        if stops && status != Exit::DONE && !tested {
            return status;
        }
    }
    status
}

enum Step {
    Status(Exit),
    End(Exit),
}

async fn step(process: &ProcessEnv, context: &mut Context, mut words: Vec<String>) -> Step {
    while let Some((name, value)) = words.first().and_then(|word| assignment(word)) {
        context.variables.insert(name, value);
        words.remove(0);
    }
    let Some(name) = words.first().cloned() else { return Step::Status(Exit::DONE) };
    let arguments: Vec<String> = words.drain(1..).collect();
    let env = process.env_with(context.clone());
    match name.as_str() {
        ":" => Step::Status(Exit::DONE),
        "set" if arguments == ["-e"] => Step::Status(Exit::DONE),
        "exit" => {
            let code = arguments.first().and_then(|code| code.parse().ok()).unwrap_or(0);
            Step::End(Exit(code))
        }
        "export" => {
            for (name, value) in arguments.iter().filter_map(|argument| assignment(argument)) {
                context.variables.insert(name, value);
            }
            Step::Status(Exit::DONE)
        }
        "cd" => {
            let target = context.absolute(arguments.first().map_or("/", String::as_str));
            if !env.files().is_directory(&target) {
                env.tell(format_args!("cd: {}: no such directory", target.display()));
                return Step::Status(Exit::FAILED);
            }
            context.directory = target;
            Step::Status(Exit::DONE)
        }
        "[" => match arguments.split_last() {
            Some((last, rest)) if last == "]" => Step::Status(programs::tool(&env, "test", rest).await),
            _ => Step::Status(refuse(&env, "[", "a missing ]")),
        },
        "exec" => match arguments.split_first() {
            Some((program, rest)) => Step::End(replace(process, context.clone(), program, rest).await),
            None => Step::Status(Exit::DONE),
        },
        program => Step::Status(child(&env, program, arguments).await),
    }
}

fn find(process: &ProcessEnv, context: &Context, program: &str) -> std::io::Result<Program> {
    let command = Command { variables: context.variables.clone(), ..Command::new(program) };
    programs::find(process.files(), &command)
}

async fn replace(process: &ProcessEnv, context: Context, program: &str, arguments: &[String]) -> Exit {
    match find(process, &context, program) {
        Ok(found) => programs::run_in(process.clone(), context, found, arguments.to_vec()).await,
        Err(error) => {
            process.env_with(context).tell(format_args!("exec: {error}"));
            Exit(127)
        }
    }
}

async fn child(env: &Env, program: &str, arguments: Vec<String>) -> Exit {
    let command = Command {
        variables: env.context().variables.clone(),
        directory: env.context().directory.clone(),
        output: Output::Inherit,
        session: false,
        ..Command::new(program).arguments(arguments)
    };
    match env.processes().spawn(&command) {
        Ok(mut spawned) => match spawned.child.wait().await {
            Ok(ended) => Exit(ended.code.unwrap_or(128 + ended.signal.unwrap_or(0)) as u8),
            Err(_) => Exit(127),
        },
        Err(error) => {
            env.tell(format_args!("sh: {error}"));
            Exit(127)
        }
    }
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then(|| (name.to_owned(), value.to_owned()))
}

fn expand(word: &Word, context: &Context, arguments: &[String]) -> Vec<String> {
    if word.as_slice() == [Piece::All] {
        return arguments.to_vec();
    }
    let text = word
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::All => arguments.join(" "),
            Piece::Variable(name) => match name.parse::<usize>() {
                Ok(0) => "sh".to_owned(),
                Ok(number) => arguments.get(number - 1).cloned().unwrap_or_default(),
                Err(_) => context.variables.get(name).cloned().unwrap_or_default(),
            },
        })
        .collect();
    vec![text]
}

/// Reads a whole text.
fn parse(text: &str) -> Result<List, String> {
    let mut list = List::new();
    let mut joint = Joint::Always;
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('\n') | None => {}
                Some(other) => push_text(&mut word, other),
            },
            '\'' => {
                word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(other) => push_text(&mut word, other),
                        None => return Err("an open '".to_owned()),
                    }
                }
            }
            '"' => {
                word.get_or_insert_default();
                quoted(&mut characters, &mut word)?;
            }
            '$' => variable(&mut characters, &mut word)?,
            '#' if word.is_none() => while characters.next_if(|c| *c != '\n').is_some() {},
            ' ' | '\t' => words.extend(word.take()),
            '\n' | ';' => {
                words.extend(word.take());
                end(&mut list, &mut joint, &mut words, Joint::Always)?;
            }
            '&' if characters.next_if_eq(&'&').is_some() => {
                words.extend(word.take());
                end(&mut list, &mut joint, &mut words, Joint::And)?;
            }
            '|' if characters.next_if_eq(&'|').is_some() => {
                words.extend(word.take());
                end(&mut list, &mut joint, &mut words, Joint::Or)?;
            }
            '&' | '|' | '<' | '>' | '`' | '(' | ')' | '{' | '}' | '*' | '?' => return Err(format!("{c:?}")),
            other => push_text(&mut word, other),
        }
    }
    words.extend(word.take());
    end(&mut list, &mut joint, &mut words, Joint::Always)?;
    Ok(list)
}

const KEYWORDS: [&str; 9] = ["if", "then", "else", "fi", "for", "while", "case", "do", "done"];

fn end(list: &mut List, joint: &mut Joint, words: &mut Vec<Word>, next: Joint) -> Result<(), String> {
    if words.is_empty() {
        return if next == Joint::Always { Ok(()) } else { Err("an empty command".to_owned()) };
    }
    if let [Piece::Text(first)] = words[0].as_slice()
        && KEYWORDS.contains(&first.as_str())
    {
        return Err(format!("`{first}`"));
    }
    list.push((*joint, std::mem::take(words)));
    *joint = next;
    Ok(())
}

fn push_text(word: &mut Option<Word>, c: char) {
    let pieces = word.get_or_insert_default();
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(c),
        _ => pieces.push(Piece::Text(c.to_string())),
    }
}

fn quoted(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    word: &mut Option<Word>,
) -> Result<(), String> {
    loop {
        match characters.next() {
            Some('"') => return Ok(()),
            Some('\\') => match characters.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => push_text(word, c),
                Some('\n') => {}
                Some(other) => {
                    push_text(word, '\\');
                    push_text(word, other);
                }
                None => return Err("an open \"".to_owned()),
            },
            Some('$') => variable(characters, word)?,
            Some('`') => return Err("'`'".to_owned()),
            Some(other) => push_text(word, other),
            None => return Err("an open \"".to_owned()),
        }
    }
}

fn variable(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    word: &mut Option<Word>,
) -> Result<(), String> {
    let piece = match characters.peek() {
        Some('@') => {
            characters.next();
            Piece::All
        }
        Some('{') => {
            characters.next();
            let mut name = String::new();
            loop {
                match characters.next() {
                    Some('}') => break,
                    Some(c) if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
                    _ => return Err("`${`".to_owned()),
                }
            }
            Piece::Variable(name)
        }
        Some(c) if c.is_ascii_alphanumeric() || *c == '_' => {
            let mut name = String::new();
            while let Some(c) = characters.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                name.push(c);
            }
            Piece::Variable(name)
        }
        Some('(') => return Err("`$(`".to_owned()),
        _ => {
            push_text(word, '$');
            return Ok(());
        }
    };
    word.get_or_insert_default().push(piece);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&[&str]]) {
        let context = Context {
            variables: [("NAME".to_owned(), "Ada L".to_owned())].into(),
            directory: "/".into(),
            executable: "/usr/bin/slap".into(),
            identity: slap_impl::env::Identity { pid: 1, start_time: 1 },
            user: 0,
        };
        let arguments = ["one".to_owned(), "two words".to_owned()];
        let list = parse(text).unwrap();
        let words: Vec<Vec<String>> = list
            .iter()
            .map(|(_, words)| words.iter().flat_map(|word| expand(word, &context, &arguments)).collect())
            .collect();
        assert_eq!(words, expected, "{text:?}");
    }

    #[test]
    fn words_are_split_quoted_and_expanded() {
        check("a 'b c' \"d $NAME\" e\\ f # rest\n", &[&["a", "b c", "d Ada L", "e f"]]);
        check("exec \\\n\t'x' \"$@\"\n", &[&["exec", "x", "one", "two words"]]);
        check("a; b && c || d", &[&["a"], &["b"], &["c"], &["d"]]);
        check("a ''", &[&["a", ""]]);
        check("a $1${NAME}", &[&["a", "oneAda L"]]);
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for text in ["a | b", "a > b", "$(a)", "`a`", "if a; then b; fi", "a &", "echo *", "'open"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
