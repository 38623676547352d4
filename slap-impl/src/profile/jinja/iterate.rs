//! Iteration: Python's iterators, and indexing and slicing of sequences.

use super::{
    fault::{Fault, Outcome, type_error, value_error},
    value::{Dict, Value, View},
};
use std::{cell::RefCell, collections::VecDeque, rc::Rc};

/// An iterator.
pub(super) enum Iter {
    Items(VecDeque<Value>),
    /// A list while it may grow, as Python iterates.
    List(Rc<RefCell<Vec<Value>>>, usize),
    /// next, stop, step.
    Range(i128, i128, i128),
    /// next, step; endless.
    Count(i128, i128),
    Shared(Rc<RefCell<Iter>>),
    /// What a filter would make that Jinja2 evaluates only when an item is asked for, and which cannot be made.
    Failed(Fault),
}

impl Iter {
    pub(super) fn next(&mut self) -> Option<Value> {
        match self {
            Iter::Items(items) => items.pop_front(),
            Iter::List(list, index) => {
                let item = list.borrow().get(*index).cloned();
                *index += 1;
                item
            }
            Iter::Range(next, stop, step) => {
                let more = if *step > 0 { *next < *stop } else { *next > *stop };
                more.then(|| {
                    let item = Value::Int(*next);
                    *next = next.saturating_add(*step);
                    item
                })
            }
            Iter::Count(next, step) => {
                let item = Value::Int(*next);
                *next = next.saturating_add(*step);
                Some(item)
            }
            Iter::Shared(iterator) => iterator.borrow_mut().next(),
            Iter::Failed(_) => None,
        }
    }
}

/// How many numbers a range has.
pub(super) fn range_length(start: i128, stop: i128, step: i128) -> usize {
    let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
    if span <= 0 {
        return 0;
    }
    let step = step.unsigned_abs();
    usize::try_from((span.unsigned_abs() - 1) / step + 1).unwrap_or(usize::MAX)
}

/// What a view shows, now.
pub(super) fn view(view: View, dict: &Dict) -> Vec<Value> {
    dict.values()
        .map(|(key, value)| match view {
            View::Keys => key.clone(),
            View::Values => value.clone(),
            View::Items => Value::tuple(vec![key.clone(), value.clone()]),
        })
        .collect()
}

impl Value {
    /// Python's `iter`.
    pub(super) fn iterate(&self) -> Outcome<Iter> {
        self.defined()?;
        Ok(match self {
            Value::Absent => Iter::Items(VecDeque::new()),
            Value::Text(text) | Value::Markup(text) => {
                Iter::Items(text.chars().map(|c| Value::text(c.to_string())).collect())
            }
            Value::Bytes(bytes) => Iter::Items(bytes.iter().map(|byte| Value::Int((*byte).into())).collect()),
            Value::List(list) => Iter::List(list.clone(), 0),
            Value::Tuple(items) => Iter::Items(items.iter().cloned().collect()),
            Value::Dict(dict) => Iter::Items(view(View::Keys, &dict.borrow()).into()),
            Value::View(which, dict) => Iter::Items(view(*which, &dict.borrow()).into()),
            Value::Set(set) => Iter::Items(set.items.borrow().values().cloned().collect()),
            Value::Range(start, stop, step) => Iter::Range(*start, *stop, *step),
            Value::Iterator(iterator) => match &*iterator.borrow() {
                Iter::Failed(fault) => return Err(fault.clone()),
                _ => Iter::Shared(iterator.clone()),
            },
            other => return Err(type_error(format!("'{}' object is not iterable", other.type_name()))),
        })
    }

    /// Python's `in`, with `self` the container.
    pub(super) fn contains(&self, item: &Value) -> Outcome<bool> {
        self.defined()?;
        match self {
            Value::Text(text) | Value::Markup(text) => match item {
                Value::Text(part) | Value::Markup(part) => Ok(text.contains(&**part)),
                other => {
                    other.defined()?;
                    Err(type_error(format!(
                        "'in <string>' requires string as left operand, not {}",
                        other.type_name()
                    )))
                }
            },
            Value::Dict(dict) | Value::View(View::Keys, dict) => Ok(dict.borrow().contains_key(&item.key()?)),
            Value::Set(set) => Ok(set.items.borrow().contains_key(&item.key()?)),
            Value::Range(..) if self.length()? > 0 && matches!(item, Value::Undefined(_)) => {
                item.defined().map(|()| false)
            }
            Value::Range(start, stop, step) => Ok(item.integer().is_some_and(|item| {
                let inside =
                    if *step > 0 { *start <= item && item < *stop } else { *stop < item && item <= *start };
                inside && (item - start) % step == 0
            })),
            Value::Bytes(_) => Err(Fault::unsupported("`in` with bytes")),
            Value::Iterator(_) => Err(Fault::unsupported("`in` with an iterator")),
            other => {
                let mut items = other.iterate().map_err(|_| {
                    type_error(format!("argument of type '{}' is not iterable", other.type_name()))
                })?;
                while let Some(found) = items.next() {
                    if found.equals(item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Python's `value[index]`: `None` for what Python raises LookupError or TypeError for.
    pub(super) fn item(&self, index: &Value) -> Outcome<Option<Value>> {
        self.defined()?;
        if let Value::Dict(dict) = self {
            return Ok(match index.key() {
                Ok(key) => dict.borrow().get(&key).map(|(_, value)| value.clone()),
                // What cannot be hashed is no key; what is undefined may not be hashed.
                Err(fault) if index.holds_undefined() => return Err(fault),
                Err(_) => None,
            });
        }
        let Some(position) = index.integer() else { return Ok(None) };
        let place = |length: usize| {
            let position =
                if position < 0 { position.checked_add(i128::try_from(length).ok()?)? } else { position };
            usize::try_from(position).ok().filter(|place| *place < length)
        };
        Ok(match self {
            Value::Text(text) => place(text.chars().count())
                .and_then(|place| text.chars().nth(place))
                .map(|c| Value::text(c.to_string())),
            Value::Bytes(bytes) => place(bytes.len()).map(|place| Value::Int(bytes[place].into())),
            Value::List(list) => {
                let list = list.borrow();
                place(list.len()).map(|place| list[place].clone())
            }
            Value::Tuple(items) => place(items.len()).map(|place| items[place].clone()),
            Value::Range(start, _, step) => place(self.length()?).map(|place| {
                Value::Int(start + i128::try_from(place).unwrap_or(i128::MAX).saturating_mul(*step))
            }),
            Value::Markup(_) => return Err(Fault::unsupported("an index of Markup")),
            _ => None,
        })
    }

    /// Python's `value[start:stop:step]`.
    pub(super) fn slice(&self, start: &Value, stop: &Value, step: &Value) -> Outcome<Value> {
        self.defined()?;
        let bound = |value: &Value| -> Outcome<Option<i128>> {
            value.defined()?;
            match value {
                Value::None => Ok(None),
                other => other.integer().map(Some).ok_or_else(|| {
                    type_error("slice indices must be integers or None or have an __index__ method")
                }),
            }
        };
        let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
        if step == 0 {
            return Err(value_error("slice step cannot be zero"));
        }
        let pick = |length: usize| places(length, start, stop, step);
        Ok(match self {
            Value::Text(text) => {
                let characters: Vec<char> = text.chars().collect();
                Value::text(pick(characters.len()).map(|place| characters[place]).collect::<String>())
            }
            Value::Bytes(bytes) => {
                Value::Bytes(pick(bytes.len()).map(|place| bytes[place]).collect::<Vec<_>>().into())
            }
            Value::List(list) => {
                let list = list.borrow();
                Value::list(pick(list.len()).map(|place| list[place].clone()).collect())
            }
            Value::Tuple(items) => {
                Value::tuple(pick(items.len()).map(|place| items[place].clone()).collect())
            }
            Value::Range(..) | Value::Markup(_) => {
                return Err(Fault::unsupported(format!("a slice of {}", self.type_name())));
            }
            other => return Err(type_error(format!("'{}' object is not subscriptable", other.type_name()))),
        })
    }
}

/// The positions that a slice picks, with Python's clamping.
fn places(length: usize, start: Option<i128>, stop: Option<i128>, step: i128) -> impl Iterator<Item = usize> {
    let length = i128::try_from(length).unwrap_or(i128::MAX);
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let clamp = |bound: Option<i128>, default: i128| match bound {
        None => default,
        Some(bound) if bound < 0 => bound.saturating_add(length).clamp(low, high),
        Some(bound) => bound.clamp(low, high),
    };
    let (start, stop) = if step > 0 {
        (clamp(start, low), clamp(stop, high))
    } else {
        (clamp(start, high), clamp(stop, low))
    };
    let mut numbers = Iter::Range(start, stop, step);
    std::iter::from_fn(move || numbers.next().and_then(|value| value.integer()))
        .filter_map(|place| usize::try_from(place).ok())
}
