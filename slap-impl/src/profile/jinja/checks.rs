//! Jinja's tests: what stands after `is`.

use super::{
    builtins,
    expression::Arguments,
    fault::{Fault, Outcome, type_error},
    interpreter::Interpreter,
    operate,
    value::Value,
};
use minijinja::machinery::ast::{BinOpKind, CompareOpKind};

/// Whether `value is name(arguments)`.
pub(super) fn check(
    _: &mut Interpreter<'_>,
    name: &str,
    value: Value,
    arguments: Arguments,
) -> Outcome<bool> {
    match name {
        "defined" => return Ok(!matches!(value, Value::Undefined(_) | Value::Absent)),
        "undefined" => return Ok(matches!(value, Value::Undefined(_) | Value::Absent)),
        _ => {}
    }
    let comparison = match name {
        "eq" | "equalto" | "==" => Some(CompareOpKind::Eq),
        "ne" | "!=" => Some(CompareOpKind::Ne),
        "lt" | "lessthan" | "<" => Some(CompareOpKind::Lt),
        "le" | "<=" => Some(CompareOpKind::Lte),
        "gt" | "greaterthan" | ">" => Some(CompareOpKind::Gt),
        "ge" | ">=" => Some(CompareOpKind::Gte),
        "in" => Some(CompareOpKind::In),
        _ => None,
    };
    if let Some(comparison) = comparison {
        let [other] = arguments.bind(name, ["other"], 1)?;
        return operate::compare(comparison, &value, &other.unwrap_or(Value::None))?.is_true();
    }
    let remainder = |by: &Value| operate::binary(BinOpKind::Rem, &value, by);
    match name {
        "divisibleby" => {
            let [by] = arguments.bind(name, ["num"], 1)?;
            return remainder(&by.unwrap_or(Value::None))?.equals(&Value::Int(0));
        }
        "sameas" => {
            let [other] = arguments.bind(name, ["other"], 1)?;
            return same(&value, &other.unwrap_or(Value::None));
        }
        "escaped" | "filter" | "test" => return Err(Fault::unsupported(format!("the test `{name}`"))),
        _ => {}
    }
    if !arguments.positional.is_empty() || !arguments.keywords.is_empty() {
        return Err(type_error(format!("the test {name} takes no arguments")));
    }
    Ok(match name {
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.number().is_some(),
        "string" => matches!(value, Value::Text(_) | Value::Markup(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        "callable" => builtins::is_callable(&value),
        // An undefined value can be iterated in Jinja's eyes until it is.
        "iterable" => {
            value.defined()?;
            // An iterator is one though its items cannot be made.
            matches!(value, Value::Iterator(_)) || value.iterate().is_ok()
        }
        "sequence" => {
            matches!(
                value,
                Value::Text(_)
                    | Value::Markup(_)
                    | Value::Bytes(_)
                    | Value::List(_)
                    | Value::Tuple(_)
                    | Value::Dict(_)
                    | Value::Range(..)
            )
        }
        "odd" => remainder(&Value::Int(2))?.equals(&Value::Int(1))?,
        "even" => remainder(&Value::Int(2))?.equals(&Value::Int(0))?,
        "lower" | "upper" => {
            let text = value.to_text()?;
            let lower = name == "lower";
            text.chars().any(|c| if lower { c.is_lowercase() } else { c.is_uppercase() })
                && !text.chars().any(|c| if lower { c.is_uppercase() } else { c.is_lowercase() })
        }
        _ => return Err(Fault::new(format!("No test named {name:?}."))),
    })
}

fn same(left: &Value, right: &Value) -> Outcome<bool> {
    Ok(match (left, right) {
        (Value::None, Value::None) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::List(left), Value::List(right)) => std::rc::Rc::ptr_eq(left, right),
        (Value::Dict(left), Value::Dict(right)) => std::rc::Rc::ptr_eq(left, right),
        _ if left.type_name() != right.type_name() => false,
        // Which numbers and texts are one object is an accident of Python's.
        _ => return Err(Fault::unsupported(format!("`sameas` of two of {}", left.type_name()))),
    })
}
