//! Conditions of sections: `[name : python3 and platform.machine() == "x86_64"]`.
//!
//! Buildout gives such an expression to Python. Here, a small language is evaluated that covers what public
//! profiles use; any other name or construct is refused by name, never guessed. This program is no Python: it
//! answers as the CPython that SlapOS runs its profiles with ([`PYTHON_VERSION`]), on this machine's system.

use std::cmp::Ordering;

/// The Python version that conditions see.
pub const PYTHON_VERSION: (i64, i64, i64) = (3, 11, 0);

/// Parentheses and `not` may be so deep in each other.
const DEPTH_MAX: usize = 64;

/// Whether the condition holds.
///
/// # Errors
/// A sentence that names what is not supported.
pub fn evaluate(expression: &str) -> Result<bool, String> {
    let mut parser = Parser { tokens: tokens(expression)?, position: 0, depth: 0 };
    let value = parser.either()?;
    match parser.peek() {
        None => Ok(value.is_true()),
        Some(token) => Err(format!("{} is not expected in {:?}", token.describe(), expression.trim())),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(i64),
    Sign(&'static str),
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Token::Name(name) => format!("{name:?}"),
            Token::Text(text) => format!("the text {text:?}"),
            Token::Number(number) => format!("the number {number}"),
            Token::Sign(sign) => format!("{sign:?}"),
        }
    }
}

const SIGNS: [&str; 12] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", ",", "[", "]", "."];

fn tokens(expression: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = expression.trim();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_alphabetic() || first == '_' {
            // A dotted name is one token.
            let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
            let length = rest.find(is_end).unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..length].to_owned()));
            length
        } else if first.is_ascii_digit() {
            let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let number = rest[..length].parse().map_err(|_| format!("{} is too large", &rest[..length]))?;
            tokens.push(Token::Number(number));
            length
        } else if first == '"' || first == '\'' {
            let inner = &rest[1..];
            let end = inner.find(first).ok_or_else(|| format!("the text {rest} has no closing quote"))?;
            let text = &inner[..end];
            if text.contains('\\') {
                return Err(format!("a backslash in the text {text:?} is not supported"));
            }
            tokens.push(Token::Text(text.to_owned()));
            end + 2
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            sign.len()
        } else {
            return Err(format!("{first:?} is not supported in {:?}", expression.trim()));
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Bool(bool),
    Int(i64),
    Text(String),
    Tuple(Vec<Value>),
}

impl Value {
    fn is_true(&self) -> bool {
        match self {
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Text(value) => !value.is_empty(),
            Value::Tuple(values) => !values.is_empty(),
        }
    }

    /// The order of two values, as far as Python orders them.
    fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
            (Value::Tuple(left), Value::Tuple(right)) => {
                for (left, right) in left.iter().zip(right) {
                    match left.order(right)? {
                        Ordering::Equal => {}
                        different => return Some(different),
                    }
                }
                Some(left.len().cmp(&right.len()))
            }
            _ => Some(self.number()?.cmp(&other.number()?)),
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Value::Bool(value) => Some(i64::from(*value)),
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Tuple(left), Value::Tuple(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.equals(right))
            }
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.position += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(found)) if found == word);
        self.position += usize::from(found);
        found
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} parentheses in each other"));
        }
        Ok(())
    }

    fn either(&mut self) -> Result<Value, String> {
        let mut value = self.both()?;
        while self.take_word("or") {
            let other = self.both()?;
            value = if value.is_true() { value } else { other };
        }
        Ok(value)
    }

    fn both(&mut self) -> Result<Value, String> {
        let mut value = self.negation()?;
        while self.take_word("and") {
            let other = self.negation()?;
            value = if value.is_true() { other } else { value };
        }
        Ok(value)
    }

    fn negation(&mut self) -> Result<Value, String> {
        if !self.take_word("not") {
            return self.comparison();
        }
        self.deeper()?;
        let value = self.negation()?;
        self.depth -= 1;
        Ok(Value::Bool(!value.is_true()))
    }

    fn comparison(&mut self) -> Result<Value, String> {
        let mut left = self.operand()?;
        let mut result: Option<bool> = None;
        loop {
            let Some(operator) = self.operator() else {
                return Ok(result.map_or(left, Value::Bool));
            };
            let right = self.operand()?;
            let holds = compare(&left, operator, &right)?;
            result = Some(result.unwrap_or(true) && holds);
            left = right;
        }
    }

    fn operator(&mut self) -> Option<&'static str> {
        for sign in ["==", "!=", "<=", ">=", "<", ">"] {
            if self.take_sign(sign) {
                return Some(sign);
            }
        }
        if self.take_word("in") {
            return Some("in");
        }
        let next = self.tokens.get(self.position..self.position + 2)?;
        if next == [Token::Name("not".to_owned()), Token::Name("in".to_owned())] {
            self.position += 2;
            return Some("not in");
        }
        None
    }

    fn operand(&mut self) -> Result<Value, String> {
        let token = self.peek().cloned().ok_or("the expression ends too early")?;
        self.position += 1;
        match token {
            Token::Number(number) => Ok(Value::Int(number)),
            Token::Text(text) => Ok(Value::Text(text)),
            Token::Sign("(") => self.parenthesis(),
            Token::Name(name) => {
                let is_call = self.take_sign("(");
                if is_call && !self.take_sign(")") {
                    return Err(format!("the call {name}(...) with arguments is not supported"));
                }
                let value = known(&name, is_call)
                    .ok_or_else(|| format!("{name}{} is not supported", if is_call { "()" } else { "" }))?;
                self.index(&name, value)
            }
            sign @ Token::Sign(_) => Err(format!("{} is not expected", sign.describe())),
        }
    }

    fn parenthesis(&mut self) -> Result<Value, String> {
        self.deeper()?;
        let mut values = Vec::new();
        let mut is_tuple = false;
        while !self.take_sign(")") {
            values.push(self.either()?);
            if self.take_sign(",") {
                is_tuple = true;
            } else if !self.take_sign(")") {
                return Err("`)` is missing".to_owned());
            } else {
                break;
            }
        }
        self.depth -= 1;
        match values.pop() {
            Some(value) if !is_tuple => Ok(value),
            last => {
                values.extend(last);
                Ok(Value::Tuple(values))
            }
        }
    }

    /// `sys.version_info[0]`.
    fn index(&mut self, name: &str, value: Value) -> Result<Value, String> {
        if !self.take_sign("[") {
            return Ok(value);
        }
        match (value, self.operand()?) {
            (Value::Tuple(values), Value::Int(index)) if self.take_sign("]") => usize::try_from(index)
                .ok()
                .and_then(|index| values.get(index).cloned())
                .ok_or_else(|| format!("{name}[{index}] does not exist")),
            _ => Err(format!("only {name}[number] of a tuple is supported")),
        }
    }
}

fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, String> {
    let is_in = || match (left, right) {
        (value, Value::Tuple(values)) => Ok(values.iter().any(|other| other.equals(value))),
        (Value::Text(part), Value::Text(whole)) => Ok(whole.contains(part.as_str())),
        _ => Err("`in` wants a tuple, or two texts".to_owned()),
    };
    let order = || left.order(right).ok_or_else(|| format!("`{operator}` wants two values of one kind"));
    match operator {
        "==" => Ok(left.equals(right)),
        "!=" => Ok(!left.equals(right)),
        "in" => is_in(),
        "not in" => Ok(!is_in()?),
        "<" => Ok(order()?.is_lt()),
        "<=" => Ok(order()?.is_le()),
        ">" => Ok(order()?.is_gt()),
        _ => Ok(order()?.is_ge()),
    }
}

/// What a name stands for (zc.buildout 3.0.1, buildout.py, `_default_globals`).
fn known(name: &str, is_call: bool) -> Option<Value> {
    let (major, minor, micro) = PYTHON_VERSION;
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    if is_call {
        return match name {
            "platform.machine" => text(machine()),
            "platform.system" => text("Linux"),
            "platform.python_version" => Some(Value::Text(format!("{major}.{minor}.{micro}"))),
            _ => None,
        };
    }
    let truth = match name {
        "True" | "python3" | "cpython" | "linux" | "posix" => true,
        "False" | "python2" | "pypy" | "jython" | "ironpython" | "windows" | "cygwin" | "solaris"
        | "macosx" => false,
        "bits32" => cfg!(target_pointer_width = "32"),
        "bits64" => cfg!(target_pointer_width = "64"),
        "little_endian" => cfg!(target_endian = "little"),
        "big_endian" => cfg!(target_endian = "big"),
        "sys.platform" => return text("linux"),
        "os.name" => return text("posix"),
        "sys.version_info" => {
            let numbers = [Value::Int(major), Value::Int(minor), Value::Int(micro)];
            let release = [Value::Text("final".to_owned()), Value::Int(0)];
            return Some(Value::Tuple(numbers.into_iter().chain(release).collect()));
        }
        _ => {
            let digits = name.strip_prefix("python")?;
            // The names that buildout defines: python24 to python27, python30 to python319.
            let (first, rest) = (digits.get(..1)?, digits.get(1..)?);
            let number: i64 = rest.parse().ok().filter(|_| !rest.starts_with('0') || rest == "0")?;
            match first {
                "2" if (4..=7).contains(&number) => false,
                "3" if (0..=19).contains(&number) => major == 3 && minor == number,
                _ => return None,
            }
        }
    };
    Some(Value::Bool(truth))
}

/// The machine's name as uname(1) says it.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86" => "i686",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_profiles_use() {
        let x86 = cfg!(target_arch = "x86_64");
        for (expression, expected) in [
            ("python2", false),
            (" python3", true),
            ("linux and platform.machine() == \"x86_64\"", x86),
            ("linux and platform.machine() == 'x86_64'", x86),
            ("not linux or platform.machine() != 'riscv64'", true),
            ("not (linux and platform.machine() == 'x86_64')", !x86),
            ("platform.machine() == 'nothing'", false),
            ("sys.version_info < (3,8)", false),
            ("sys.version_info >= (3, 11)", true),
            ("sys.version_info < (3, 12)", true),
            ("pypy or sys.version_info >= (3,13)", false),
            ("posix", true),
            ("python27", false),
            ("python311", true),
            ("sys.version_info[0] == 3", true),
            ("platform.machine() in ('none', 'other')", false),
            ("'lin' in sys.platform and not python2", true),
            ("1 < 2 < 3", true),
            ("1 < 3 < 2", false),
            ("(1,) == (1,)", true),
            ("'1' == 1", false),
            ("sys.platform not in ('darwin',)", true),
        ] {
            assert_eq!(evaluate(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn all_else_is_refused_by_name() {
        for (expression, part) in [
            ("os.path.isdir('/x')", "os.path.isdir"),
            ("platform.release() < '5'", "platform.release()"),
            ("nothing", "nothing"),
            ("python99", "python99"),
            ("1 + 1", "'+'"),
            ("[x for x in y]", "\"[\""),
            ("python3 python2", "python2"),
            ("'a' < 1", "one kind"),
            ("(python3", "`)` is missing"),
            ("", "too early"),
            ("'abc", "closing quote"),
            ("python_version < '3'", "python_version"),
            ("99999999999999999999", "too large"),
            (&"(".repeat(100_000), "in each other"),
        ] {
            let error = evaluate(expression).expect_err(expression);
            assert!(error.contains(part), "{expression}: {error}");
        }
    }
}
