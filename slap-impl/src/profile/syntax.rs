//! The text of a profile: sections of options, each with the line it stands on.
//!
//! * [`parse`]: text to [`Document`]; all errors of a file are collected
//! * [`Document`] prints as a text that parses to the same document
//! * [`Value`], [`Section`]: what stands in a document; [`Operation`]: `=`, `+=` and `-=`
//!
//! The rules are those of zc.buildout 3.0.1 (src/zc/buildout/configparser.py and its configparser.test), with these
//! differences: `x+=1` without a blank is the same as `x += 1`, and `=>` (part dependencies), which no profile uses, is
//! refused.
//!
//! A section whose condition is false leaves open what stood before it. So its indented lines are passed over only where
//! an option was open, and else are an error; and as the first section of a file it opens nothing, so that no line may
//! stand in it.

use super::{
    condition,
    recipe::{Place, RecipeError},
};
use std::{collections::BTreeMap, fmt, rc::Rc};

/// At most so many errors of one file are listed.
const ERRORS_MAX: usize = 20;

/// A text of a profile and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As written, with `${}` and all; continuation lines are joined with line feeds.
    pub text: Rc<str>,
    /// File and line of the option.
    pub place: Place,
}

impl Value {
    /// A value that comes from no file.
    pub fn new(text: &str, place: &Place) -> Value {
        Value { text: text.into(), place: place.clone() }
    }
}

/// How an option changes the value that it inherits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `+=` adds lines.
    Add,
    /// `-=` removes lines.
    Remove,
    /// `=` sets.
    Set,
}

/// An option's name and operation; ordered by name, and at one name `+=`, `-=`, `=`.
pub type Key = (Rc<str>, Operation);

/// A section before macros and substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Options by name and operation.
    pub options: BTreeMap<Key, Value>,
    /// File and line of the header that opened it first.
    pub place: Place,
}

impl Section {
    /// An empty section.
    pub fn new(place: Place) -> Section {
        Section { options: BTreeMap::new(), place }
    }

    /// The option that is set with `=`.
    pub fn get(&self, option: &str) -> Option<&Value> {
        self.options.get(&(Rc::from(option), Operation::Set))
    }

    /// Sets an option.
    pub fn set(&mut self, option: &str, value: Value) {
        self.options.insert((Rc::from(option), Operation::Set), value);
    }
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Sections by name.
    pub sections: BTreeMap<Rc<str>, Section>,
}

/// Reads a profile. `file` is what errors call it.
///
/// # Errors
/// Every line that is neither comment, header, option nor continuation, and every condition that is not supported, in
/// one error placed at the first of them.
pub fn parse(text: &str, file: &str) -> Result<Document, RecipeError> {
    let mut parser = Parser {
        file: file.into(),
        document: Document::default(),
        section: None,
        header: None,
        skipped: false,
        has_option: false,
        option: None,
        block: false,
        errors: Vec::new(),
    };
    for (index, line) in lines(text).into_iter().enumerate() {
        parser.line(&line, u32::try_from(index + 1).unwrap_or(u32::MAX));
    }
    parser.end()
}

/// White space as Python's `str.isspace` has it.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// Lines without their ends; carriage returns end lines too, as for a file that Python opens as text.
fn lines(text: &str) -> Vec<std::borrow::Cow<'_, str>> {
    // What follows the last line's end is no line.
    if !text.contains('\r') {
        return text.strip_suffix('\n').unwrap_or(text).split('\n').map(Into::into).collect();
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.strip_suffix('\n').unwrap_or(&text).split('\n').map(|line| line.to_owned().into()).collect()
}

struct Parser {
    file: Rc<str>,
    document: Document,
    /// The open section.
    section: Option<Rc<str>>,
    /// The name in the last header, though its section be passed over; none below a line that is no header but begins like
    /// one.
    header: Option<Rc<str>>,
    /// The condition of the last header is false.
    skipped: bool,
    /// There was an option since the last header that was not passed over.
    has_option: bool,
    /// The open option, its lines so far, and the line it began.
    option: Option<(Key, String, u32)>,
    /// The open option's first line had no value.
    block: bool,
    errors: Vec<Mistake>,
}

struct Mistake {
    line: u32,
    message: String,
    /// The section that it is told of.
    section: Option<Rc<str>>,
}

impl Parser {
    fn line(&mut self, line: &str, number: u32) {
        let Some(first) = line.chars().next() else {
            return self.continuation(line);
        };
        if first == '#' || first == ';' {
            return;
        }
        if is_space(first) && self.section.is_some() && self.has_option {
            return self.continuation(line);
        }
        match header(line) {
            Some((name, condition)) => self.header(name, condition, number),
            None if trim(line).is_empty() => {}
            None if first == '[' => self.bad_header(line, number),
            None if self.section.is_none() => {
                let message = match &self.header {
                    None => format!("{line:?} stands before the first section header"),
                    Some(_) => format!(
                        "{line:?} stands in a section that is passed over, before the first section that is not"
                    ),
                };
                self.error(number, message);
            }
            None if line.starts_with("=>") && self.skipped => {}
            None if line.starts_with("=>") => {
                self.error(number, "part dependencies (`=>`) are not supported".to_owned());
            }
            None => match option(line) {
                Some(_) if self.skipped => {}
                Some((name, operation, value)) => self.option(name, operation, value, number),
                None => self.error(
                    number,
                    format!("{line:?} is neither a header, `option = value`, a continuation nor a comment"),
                ),
            },
        }
    }

    fn error(&mut self, number: u32, message: String) {
        self.errors.push(Mistake { line: number, message, section: self.header.clone() });
    }

    /// A line that begins like a header. What follows it stands in no section that could be named.
    fn bad_header(&mut self, line: &str, number: u32) {
        self.header = None;
        self.error(
            number,
            format!("{line:?} is no section header: `[name]` or `[name : condition]` was expected"),
        );
    }

    fn continuation(&mut self, line: &str) {
        let (false, Some((_, text, _))) = (self.skipped, &mut self.option) else { return };
        let line = if self.block { trim_end(line) } else { trim(line) };
        if self.block || !line.is_empty() {
            text.push('\n');
            text.push_str(line);
        }
    }

    fn header(&mut self, name: &str, condition: Option<&str>, number: u32) {
        self.close_option();
        self.skipped = false;
        let name: Rc<str> = name.into();
        self.header = Some(Rc::clone(&name));
        if let Some(condition) = condition {
            let expression = condition.replace("\\x23", "#").replace("\\x3b", ";");
            match condition::evaluate(&expression) {
                Ok(holds) => self.skipped = !holds,
                // What stands in it is read on, for its own mistakes.
                Err(message) => {
                    self.error(number, format!("the condition of [{name} :{condition}]: {message}"));
                }
            }
        }
        if self.skipped {
            return;
        }
        self.has_option = false;
        let place = Place { file: Rc::clone(&self.file), line: number };
        self.document.sections.entry(Rc::clone(&name)).or_insert_with(|| Section::new(place));
        self.section = Some(name);
    }

    fn option(&mut self, name: &str, operation: Operation, value: &str, number: u32) {
        self.close_option();
        self.has_option = true;
        if name.is_empty() {
            return self.error(number, "an option needs a name before `+=` or `-=`".to_owned());
        }
        if name == "<part-dependencies>" {
            return self
                .error(number, "part dependencies (`<part-dependencies>`) are not supported".to_owned());
        }
        self.block = value.is_empty();
        let key = (Rc::from(name), operation);
        let Some(section) = self.open_section() else { return };
        // `x = 1` and `x += 2` stand side by side, in any order; of two with one sign the later one counts.
        section.options.remove(&key);
        let text = value.to_owned();
        self.option = Some((key, text, number));
    }

    fn open_section(&mut self) -> Option<&mut Section> {
        self.document.sections.get_mut(self.section.as_ref()?)
    }

    fn close_option(&mut self) {
        let Some((key, text, line)) = self.option.take() else { return };
        let place = Place { file: Rc::clone(&self.file), line };
        if let Some(section) = self.open_section() {
            section.options.insert(key, Value { text: text.into(), place });
        }
    }

    fn end(mut self) -> Result<Document, RecipeError> {
        self.close_option();
        for section in self.document.sections.values_mut() {
            for value in section.options.values_mut() {
                if value.text.starts_with(is_space) {
                    value.text = dedent(trim_end(&value.text)).into();
                }
            }
        }
        let Some(first) = self.errors.first() else { return Ok(self.document) };
        let mut message = first.message.clone();
        for mistake in self.errors.iter().take(ERRORS_MAX).skip(1) {
            message.push_str(&format!("\n  line {}: {}", mistake.line, mistake.message));
        }
        if self.errors.len() > ERRORS_MAX {
            message.push_str(&format!("\n  and {} more", self.errors.len() - ERRORS_MAX));
        }
        let error = RecipeError::new(message).at(Place { file: Rc::clone(&self.file), line: first.line });
        Err(match &first.section {
            Some(section) => error.section(section),
            None => error,
        })
    }
}

/// A header's section name and condition.
fn header(line: &str) -> Option<(&str, Option<&str>)> {
    let inner = line.strip_prefix('[')?.trim_start_matches(is_space);
    let end = inner.find(|character| is_space(character) || "#[]:;{}".contains(character))?;
    let (name, rest) = inner.split_at(end);
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start_matches(is_space);
    // A comment may follow; a condition has no verbatim `#` or `;` (they are written \x23 and \x3b).
    let head = trim_end(&rest[..rest.find(['#', ';']).unwrap_or(rest.len())]).strip_suffix(']')?;
    match head.strip_prefix(':') {
        Some("") => Some((name, None)),
        Some(condition) => Some((name, Some(condition))),
        None if trim(head).is_empty() => Some((name, None)),
        None => None,
    }
}

/// An option line's name, operation and value.
fn option(line: &str) -> Option<(&str, Operation, &str)> {
    let end = line.find(|character| is_space(character) || "{}[]=:".contains(character))?;
    let (word, rest) = line.split_at(end);
    if word.is_empty() {
        return None;
    }
    let rest = rest.trim_start_matches(is_space);
    let (operation, rest) = match rest.as_bytes().first()? {
        b'+' => (Operation::Add, &rest[1..]),
        b'-' => (Operation::Remove, &rest[1..]),
        _ => (Operation::Set, rest),
    };
    let value = trim(rest.strip_prefix('=')?);
    Some(match (operation, word.as_bytes().last()) {
        (Operation::Add, _) | (Operation::Set, Some(b'+')) => {
            (word.trim_end_matches('+'), Operation::Add, value)
        }
        (Operation::Remove, _) | (Operation::Set, Some(b'-')) => {
            (word.trim_end_matches('-'), Operation::Remove, value)
        }
        _ => (word, Operation::Set, value),
    })
}

/// Takes the common indentation away, and blank lines at the beginning.
fn dedent(text: &str) -> String {
    let blank = |line: &str| line.chars().all(|character| character == ' ' || character == '\t');
    let mut margin: Option<&str> = None;
    for line in text.split('\n').filter(|line| !blank(line)) {
        let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        margin = Some(match margin {
            None => indent,
            Some(margin) => {
                let common =
                    margin.bytes().zip(indent.bytes()).take_while(|(left, right)| left == right).count();
                &margin[..common]
            }
        });
    }
    let margin = margin.unwrap_or("").len();
    let dedented: Vec<&str> =
        text.split('\n').map(|line| if blank(line) { "" } else { &line[margin..] }).collect();
    let first = dedented.iter().position(|line| !trim(line).is_empty()).unwrap_or(dedented.len());
    dedented[first..].join("\n")
}

impl fmt::Display for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, section)) in self.sections.iter().enumerate() {
            writeln!(formatter, "{}[{name}]", if index == 0 { "" } else { "\n" })?;
            // `=` goes before what is added to it and taken from it.
            let is_set = |key: &Key| key.1 == Operation::Set;
            let sets = section.options.iter().filter(|(key, _)| is_set(key));
            for ((name, operation), value) in
                sets.chain(section.options.iter().filter(|(key, _)| !is_set(key)))
            {
                let sign = match operation {
                    Operation::Add => "+=",
                    Operation::Remove => "-=",
                    Operation::Set => "=",
                };
                if !value.text.contains('\n') && !value.text.starts_with(is_space) {
                    writeln!(formatter, "{name} {sign} {}", value.text)?;
                    continue;
                }
                writeln!(formatter, "{name} {sign}")?;
                for line in value.text.split('\n') {
                    writeln!(formatter, "{}{line}", if line.is_empty() { "" } else { "  " })?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, &str, &str)]) {
        let document = parse(text, "p.cfg").expect("it parses");
        let mut found = Vec::new();
        for (section, content) in &document.sections {
            if content.options.is_empty() {
                found.push((section.to_string(), String::new(), String::new()));
            }
            for ((name, operation), value) in &content.options {
                let sign = ["+", "-", ""][*operation as usize];
                found.push((section.to_string(), format!("{name}{sign}"), value.text.to_string()));
            }
        }
        let expected: Vec<_> =
            expected.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn options() {
        check("[a]\nx = 1\ny=2 # no comment\n", &[("a", "x", "1"), ("a", "y", "2 # no comment")]);
        check("[a] ; comment ]\nx=\n", &[("a", "x", "")]);
        check("[ a ]  # c\n", &[("a", "", "")]);
        check("[a.b+c/d]\n", &[("a.b+c/d", "", "")]);
        check("[a]\n<= b\n", &[("a", "<", "b")]);
        check("[a]\n< =\n  b\n  c\n", &[("a", "<", "b\nc")]);
        check("[a]\nx == y = z\n", &[("a", "x", "= y = z")]);
        check("[a]\r\nx = 1\r\ny = 2\r\n", &[("a", "x", "1"), ("a", "y", "2")]);
    }

    #[test]
    fn continuations() {
        // Lines after a first line with a value are stripped, and blank ones dropped.
        check("[a]\nx = 1\n    2\n\n\t3  \n", &[("a", "x", "1\n2\n3")]);
        // A block keeps its shape.
        check("[a]\nx =\n\n    if a:\n\n      b  \n", &[("a", "x", "if a:\n\n  b")]);
        check("[a]\nx =\n  1\n# comment\n; another\n  2\ny = 3\n", &[("a", "x", "1\n2"), ("a", "y", "3")]);
        check("[a]\nx =\n  1\n  # kept\n", &[("a", "x", "1\n# kept")]);
        check("[a]\nx =\n\t1\n\t\t2\n", &[("a", "x", "1\n\t2")]);
        check("[a]\nx =\n\n", &[("a", "x", "")]);
    }

    #[test]
    fn repeated_sections_and_operations() {
        check("[a]\nx = 1\n[b]\n[a]\nx = 2\n", &[("a", "x", "2"), ("b", "", "")]);
        check("[a]\nx = 1\nx += 2\n", &[("a", "x+", "2"), ("a", "x", "1")]);
        check("[a]\nx+=2\nx += 3\n", &[("a", "x+", "3")]);
        check("[a]\nx += 2\nx = 3\n", &[("a", "x+", "2"), ("a", "x", "3")]);
        check("[a]\nx -= 2\n", &[("a", "x-", "2")]);
        check("[a]\nx +=\n  1\n  2\nx +=\n  3\n", &[("a", "x+", "3")]);
    }

    #[test]
    fn conditions() {
        check("[a:python3]\nx = 1\n[a:python2]\nx = 2\n   3\n", &[("a", "x", "1")]);
        check("[z]\n[a : python2]\nx =\n[b: not python2] # why\ny = 2\n", &[("b", "y", "2"), ("z", "", "")]);
        // What is passed over leaves the option before it open, and goes on with nothing.
        check("[z]\ny = 1\n[a : python2]\n  2\n=> b\nx =\n  3\n", &[("z", "y", "1")]);
        check("[a : python2]\n\n  \n# c\n[b]\n", &[("b", "", "")]);
        check("[a:]\nx = 1\n", &[("a", "x", "1")]);
        check("[a:python3 and '\\x23' != '\\x3b']\nx = 1\n", &[("a", "x", "1")]);
    }

    fn check_error(text: &str, line: u32, section: Option<&str>, part: &str) {
        let error = parse(text, "p.cfg").expect_err(text);
        assert_eq!(error.place, Some(Place { file: "p.cfg".into(), line }), "{text}");
        assert_eq!(error.section.as_deref(), section, "{text}");
        assert!(error.message.contains(part), "{}", error.message);
    }

    #[test]
    fn errors() {
        check_error("x = 1\n", 1, None, "before the first section header");
        check_error("[a]\nx\n\ny z\n", 2, Some("a"), "line 4: \"y z\"");
        check_error("[a]\n  x = 1\n", 2, Some("a"), "neither a header");
        check_error("[a:frobnicate()]\n", 1, Some("a"), "the condition of [a :frobnicate()]");
        check_error("[z]\nx = 1\n[a : frobnicate()]\n", 3, Some("a"), "the condition of [a : frobnicate()]");
        check_error("[a : python2]\nx = 1\n", 2, Some("a"), "before the first section that is not");
        check_error("[a : python2]\n  x\n", 2, Some("a"), "before the first section that is not");
        check_error("[z]\n[a : python2]\n  x\n", 3, Some("a"), "neither a header");
        check_error("[z]\nx = 1\n[a : python2]\ny\n", 4, Some("a"), "neither a header");
        check_error("[a]\n=> b\n", 2, Some("a"), "part dependencies");
        check_error("[a]\n+= b\n", 2, Some("a"), "needs a name");
        check_error("[a]\n[b\nx\n", 2, None, "\"[b\" is no section header");
        check_error("[a]\n[b c : python3]\n", 2, None, "\"[b c : python3]\" is no section header");
    }

    #[test]
    fn options_remember_their_line() {
        let document = parse("# c\n[a]\nx =\n  1\ny = 2\n", "p.cfg").expect("it parses");
        assert_eq!(document.sections["a"].get("x").expect("x").place.line, 3);
        assert_eq!(document.sections["a"].get("y").expect("y").place.line, 5);
        assert_eq!(document.sections["a"].place.line, 2);
    }

    fn without_places(mut document: Document) -> Document {
        for section in document.sections.values_mut() {
            section.place = Place::nowhere("");
            section.options.values_mut().for_each(|value| value.place = Place::nowhere(""));
        }
        document
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = parse(&text, "p.cfg");
        }

        #[test]
        fn what_is_printed_parses_to_the_same(
            lines in proptest::collection::vec(
                "\\[[ab]\\]|[xyz] ?[+-]?= ?[ \\ta-c#;$%{}:=\u{a0}\u{b}]{0,6}|[ \\t]{1,3}[ \\ta-c#;=\\[\\]\u{b}]{0,6}||#[a-c]",
                0..20,
            )
        ) {
            if let Ok(document) = parse(&lines.join("\n"), "p.cfg") {
                // An empty addition that a blank line follows adds a blank line, which no single option can say.
                let says_all = |value: &Value| *value.text.trim_matches('\n') == *value.text;
                prop_assume!(document.sections.values().all(|section| section.options.values().all(says_all)));
                let printed = document.to_string();
                let again = parse(&printed, "p.cfg");
                prop_assert!(again.is_ok(), "{printed:?}");
                prop_assert_eq!(without_places(again.expect("checked")), without_places(document), "{:?}", printed);
            }
        }
    }
}
