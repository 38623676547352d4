//! Python's operators.

use super::{
    fault::{Fault, Outcome, type_error},
    format,
    value::{TEXT_BYTES_MAX, Value},
};
use minijinja::machinery::ast::{BinOpKind, CompareOpKind};

/// The longest list that multiplication makes.
const ITEMS_MAX: usize = 1_000_000;

/// `left OPERATOR right` for the operators that need both values.
pub(super) fn binary(operator: BinOpKind, left: &Value, right: &Value) -> Outcome<Value> {
    // What is looked for is used only where it is compared or hashed; `%r` writes what is undefined.
    if !matches!(operator, BinOpKind::In) {
        left.defined()?;
    }
    if !matches!((operator, left), (BinOpKind::Rem, Value::Text(_))) {
        right.defined()?;
    }
    match operator {
        BinOpKind::Eq => compare(CompareOpKind::Eq, left, right),
        BinOpKind::Ne => compare(CompareOpKind::Ne, left, right),
        BinOpKind::Lt => compare(CompareOpKind::Lt, left, right),
        BinOpKind::Lte => compare(CompareOpKind::Lte, left, right),
        BinOpKind::Gt => compare(CompareOpKind::Gt, left, right),
        BinOpKind::Gte => compare(CompareOpKind::Gte, left, right),
        BinOpKind::In => compare(CompareOpKind::In, left, right),
        BinOpKind::Add => add(left, right),
        BinOpKind::Sub => subtract(left, right),
        BinOpKind::Mul => multiply(left, right),
        BinOpKind::Div => divide(left, right),
        BinOpKind::FloorDiv => floor_divide(left, right),
        BinOpKind::Rem => remainder(left, right),
        BinOpKind::Pow => power(left, right),
        BinOpKind::Concat => text([&*left.to_text()?, &*right.to_text()?].concat()),
        // These two do not need their right value always: the evaluator does them.
        BinOpKind::ScAnd => Ok(if left.is_true()? { right.clone() } else { left.clone() }),
        BinOpKind::ScOr => Ok(if left.is_true()? { left.clone() } else { right.clone() }),
    }
}

/// One link of a chain of comparisons.
pub(super) fn compare(operator: CompareOpKind, left: &Value, right: &Value) -> Outcome<Value> {
    Ok(Value::Bool(match operator {
        CompareOpKind::Eq => left.equals(right)?,
        CompareOpKind::Ne => !left.equals(right)?,
        CompareOpKind::Lt => left.compare(right, "<")?.is_lt(),
        CompareOpKind::Lte => left.compare(right, "<=")?.is_le(),
        CompareOpKind::Gt => left.compare(right, ">")?.is_gt(),
        CompareOpKind::Gte => left.compare(right, ">=")?.is_ge(),
        CompareOpKind::In => right.contains(left)?,
        CompareOpKind::NotIn => !right.contains(left)?,
    }))
}

/// `-value`.
pub(super) fn negate(value: &Value) -> Outcome<Value> {
    value.defined()?;
    match value {
        Value::Float(value) => Ok(Value::Float(-value)),
        other => match other.integer() {
            Some(value) => integer(value.checked_neg()),
            None => Err(type_error(format!("bad operand type for unary -: '{}'", other.type_name()))),
        },
    }
}

/// An integer that fits.
pub(super) fn integer(value: Option<i128>) -> Outcome<Value> {
    value.map(Value::Int).ok_or_else(|| Fault::unsupported("an integer of more than 128 bits"))
}

/// A text that is not too long.
pub(super) fn text(text: String) -> Outcome<Value> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Fault::new(format!("a text is longer than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(Value::text(text))
}

fn mismatch(operator: &str, left: &Value, right: &Value) -> Fault {
    if matches!(left, Value::Markup(_)) || matches!(right, Value::Markup(_)) {
        return Fault::unsupported(format!("operator {operator} on Markup (made by tojson, safe or escape)"));
    }
    type_error(format!(
        "unsupported operand type(s) for {operator}: '{}' and '{}'",
        left.type_name(),
        right.type_name()
    ))
}

fn add(left: &Value, right: &Value) -> Outcome<Value> {
    if let (Some(left), Some(right)) = (left.integer(), right.integer()) {
        return integer(left.checked_add(right));
    }
    if let (Some(left), Some(right)) = (left.number(), right.number()) {
        return Ok(Value::Float(left + right));
    }
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => text([&**left, &**right].concat()),
        (Value::Bytes(left), Value::Bytes(right)) => Ok(Value::Bytes([&**left, &**right].concat().into())),
        (Value::List(left), Value::List(right)) => {
            let mut items = left.borrow().clone();
            items.extend(right.borrow().iter().cloned());
            bounded(items).map(Value::list)
        }
        (Value::Tuple(left), Value::Tuple(right)) => bounded([&**left, &**right].concat()).map(Value::tuple),
        (Value::Text(_), Value::Markup(_)) | (Value::Markup(_), _) => Err(mismatch("+", left, right)),
        (Value::Text(_), other) => {
            Err(type_error(format!("can only concatenate str (not \"{}\") to str", other.type_name())))
        }
        _ => Err(mismatch("+", left, right)),
    }
}

fn bounded(items: Vec<Value>) -> Outcome<Vec<Value>> {
    if items.len() > ITEMS_MAX {
        return Err(Fault::new(format!("more than {ITEMS_MAX} items")));
    }
    Ok(items)
}

fn subtract(left: &Value, right: &Value) -> Outcome<Value> {
    if let (Some(left), Some(right)) = (left.integer(), right.integer()) {
        return integer(left.checked_sub(right));
    }
    if let (Some(left), Some(right)) = (left.number(), right.number()) {
        return Ok(Value::Float(left - right));
    }
    match (left, right) {
        (Value::Set(left), Value::Set(right)) => {
            let right = right.items.borrow();
            let items = left.items.borrow();
            let rest = items.iter().filter(|(key, _)| !right.contains_key(*key));
            Value::set(left.frozen, rest.map(|(_, value)| value.clone()))
        }
        (Value::View(..), _) => Err(Fault::unsupported("operator - on a dictionary's view")),
        _ => Err(mismatch("-", left, right)),
    }
}

fn multiply(left: &Value, right: &Value) -> Outcome<Value> {
    if let (Some(left), Some(right)) = (left.integer(), right.integer()) {
        return integer(left.checked_mul(right));
    }
    if let (Some(left), Some(right)) = (left.number(), right.number()) {
        return Ok(Value::Float(left * right));
    }
    let (sequence, times) = match (left.integer(), right.integer()) {
        (None, Some(times)) => (left, times),
        (Some(times), None) => (right, times),
        _ => return Err(mismatch("*", left, right)),
    };
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    match sequence {
        Value::Text(part) if part.len().saturating_mul(times) <= TEXT_BYTES_MAX => text(part.repeat(times)),
        Value::Text(_) => Err(Fault::new(format!("a text is longer than {TEXT_BYTES_MAX} bytes"))),
        Value::List(_) | Value::Tuple(_) if sequence.length()?.saturating_mul(times) > ITEMS_MAX => {
            Err(Fault::new(format!("more than {ITEMS_MAX} items")))
        }
        Value::List(list) => Ok(Value::list(repeated(&list.borrow(), times))),
        Value::Tuple(items) => Ok(Value::tuple(repeated(items, times))),
        Value::Bytes(_) => Err(Fault::unsupported("operator * on bytes")),
        _ => Err(mismatch("*", left, right)),
    }
}

fn repeated(items: &[Value], times: usize) -> Vec<Value> {
    if items.is_empty() {
        return Vec::new();
    }
    std::iter::repeat_n(items, times).flatten().cloned().collect()
}

fn zero(message: &str) -> Fault {
    Fault::new(format!("ZeroDivisionError: {message}"))
}

fn divide(left: &Value, right: &Value) -> Outcome<Value> {
    match (left.number(), right.number()) {
        (Some(_), Some(0.0)) => Err(zero("division by zero")),
        (Some(left), Some(right)) => Ok(Value::Float(left / right)),
        _ => Err(mismatch("/", left, right)),
    }
}

fn floor_divide(left: &Value, right: &Value) -> Outcome<Value> {
    if let (Some(left), Some(right)) = (left.integer(), right.integer()) {
        if right == 0 {
            return Err(zero("integer division or modulo by zero"));
        }
        let quotient = left.checked_div(right);
        let exact = left.checked_rem(right).is_none_or(|rest| rest == 0);
        return integer(quotient.map(|q| if !exact && (left < 0) != (right < 0) { q - 1 } else { q }));
    }
    match (left.number(), right.number()) {
        (Some(_), Some(0.0)) => Err(zero("float floor division by zero")),
        (Some(left), Some(right)) => Ok(Value::Float((left / right).floor())),
        _ => Err(mismatch("//", left, right)),
    }
}

fn remainder(left: &Value, right: &Value) -> Outcome<Value> {
    if let Value::Text(pattern) = left {
        return text(format::percent(pattern, right)?);
    }
    if let (Some(left), Some(right)) = (left.integer(), right.integer()) {
        if right == 0 {
            return Err(zero("integer division or modulo by zero"));
        }
        let rest = left.checked_rem(right).unwrap_or(0);
        return Ok(Value::Int(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }));
    }
    match (left.number(), right.number()) {
        (Some(_), Some(0.0)) => Err(zero("float modulo")),
        (Some(left), Some(right)) => {
            let rest = left % right;
            Ok(Value::Float(if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }))
        }
        _ => Err(mismatch("%", left, right)),
    }
}

fn power(left: &Value, right: &Value) -> Outcome<Value> {
    if let (Some(left), Some(right)) = (left.integer(), right.integer())
        && right >= 0
    {
        return integer(u32::try_from(right).ok().and_then(|right| left.checked_pow(right)));
    }
    match (left.number(), right.number()) {
        (Some(0.0), Some(right)) if right < 0.0 => Err(zero("0.0 cannot be raised to a negative power")),
        (Some(left), Some(right)) if left < 0.0 && right.fract() != 0.0 => {
            Err(Fault::unsupported("a complex number"))
        }
        (Some(left), Some(right)) => Ok(Value::Float(left.powf(right))),
        _ => Err(mismatch("** or pow()", left, right)),
    }
}
