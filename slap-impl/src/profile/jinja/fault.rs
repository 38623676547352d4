//! How a template fails.

use std::{fmt, rc::Rc};

/// Why a template could not be rendered, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// The template: a path, or `<inline>`.
    pub file: Rc<str>,
    /// Line, counted from 1.
    pub line: u32,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for TemplateError {}

/// A failure on its way out, which may not know its place yet.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) place: Option<(Rc<str>, u32)>,
}

pub(super) type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), place: None }
    }

    /// Something that Jinja2 or Python can do and this renderer cannot.
    pub(super) fn unsupported(what: impl fmt::Display) -> Fault {
        Fault::new(format!("{what} is not supported by this renderer"))
    }

    /// Sets the place, unless an inner one is known.
    pub(super) fn at(mut self, file: &Rc<str>, line: u32) -> Fault {
        self.place.get_or_insert_with(|| (file.clone(), line));
        self
    }
}

impl From<Fault> for TemplateError {
    fn from(fault: Fault) -> TemplateError {
        let (file, line) = fault.place.unwrap_or_else(|| ("<template>".into(), 1));
        TemplateError { message: fault.message, file, line }
    }
}

/// What Python says to values of the wrong type.
pub(super) fn type_error(message: impl fmt::Display) -> Fault {
    Fault::new(format!("TypeError: {message}"))
}

/// What Python says to values of the right type that do not fit.
pub(super) fn value_error(message: impl fmt::Display) -> Fault {
    Fault::new(format!("ValueError: {message}"))
}
