//! Evaluates expressions: names, attributes, items, calls, filters and tests.

use super::{
    builtins, checks,
    fault::{Fault, Outcome, type_error},
    filters,
    interpreter::{Frame, Interpreter, MacroObject, Scope},
    library, methods, operate,
    value::{Dict, Function, Type, Value},
};
use crate::profile::literal::{self, Literal};
use minijinja::{
    machinery::ast::{
        BinOp, BinOpKind, Call, CallArg, Compare, Const, Expr, GetItem, IfExpr, Map, Slice, Spanned, Test,
        UnaryOp, UnaryOpKind,
    },
    value::ValueKind,
};
use std::rc::Rc;

/// How many items are taken from one iterator at once.
const ITEMS_MAX: usize = 1_000_000;

/// The arguments of a call.
#[derive(Clone, Default)]
pub(super) struct Arguments {
    pub(super) positional: Vec<Value>,
    pub(super) keywords: Vec<(Rc<str>, Value)>,
}

impl Arguments {
    pub(super) fn of(positional: Vec<Value>) -> Arguments {
        Arguments { positional, keywords: Vec::new() }
    }

    /// The arguments by name, of which the first `required` must be given.
    pub(super) fn bind<const N: usize>(
        self,
        function: &str,
        names: [&str; N],
        required: usize,
    ) -> Outcome<[Option<Value>; N]> {
        let mut bound = [const { None }; N];
        if self.positional.len() > N {
            return Err(type_error(format!(
                "{function}() takes at most {N} arguments ({} given)",
                self.positional.len()
            )));
        }
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.keywords {
            let place = names.iter().position(|known| **known == *name).ok_or_else(|| {
                type_error(format!("{function}() got an unexpected keyword argument '{name}'"))
            })?;
            if bound[place].replace(value).is_some() {
                return Err(type_error(format!("{function}() got multiple values for argument '{name}'")));
            }
        }
        match bound.iter().take(required).position(Option::is_none) {
            Some(missing) => {
                Err(type_error(format!("{function}() missing required argument '{}'", names[missing])))
            }
            None => Ok(bound),
        }
    }
}

impl<'t> Interpreter<'t> {
    pub(super) fn evaluate(&mut self, expression: &'t Expr<'t>, frame: &Frame) -> Outcome<Value> {
        self.charge(1)?;
        let result = self.deeper(|this| this.expression(expression, frame));
        self.place(frame, expression.span(), result)
    }

    fn expression(&mut self, expression: &'t Expr<'t>, frame: &Frame) -> Outcome<Value> {
        match expression {
            Expr::Var(variable) if variable.id == "self" => Err(Fault::unsupported("the variable self")),
            Expr::Var(variable) => Ok(self.name(variable.id, frame)),
            Expr::Const(constant) => self.constant(constant, frame),
            Expr::List(list) => Ok(Value::list(self.evaluate_all(&list.items, frame)?)),
            Expr::Tuple(tuple) => Ok(Value::tuple(self.evaluate_all(&tuple.items, frame)?)),
            Expr::Map(map) => self.mapping(map, frame),
            Expr::UnaryOp(node) => self.unary(node, frame),
            Expr::BinOp(node) => self.binary(node, frame),
            Expr::Compare(node) => self.comparison(node, frame),
            Expr::IfExpr(node) => self.inline_if(node, frame),
            Expr::Filter(_) => self.filter_chain(expression, None, frame),
            Expr::Test(node) => self.test(node, frame),
            Expr::GetAttr(node) => {
                let object = self.evaluate(&node.expr, frame)?;
                self.attribute(&object, node.name)
            }
            Expr::GetItem(node) => self.subscript(node, frame),
            Expr::Slice(node) => self.slice(node, frame),
            Expr::Call(node) => self.call_node(node, frame),
        }
    }

    fn mapping(&mut self, map: &'t Map<'t>, frame: &Frame) -> Outcome<Value> {
        let mut dict = Dict::new();
        for (key, value) in map.keys.iter().zip(&map.values) {
            let key = self.evaluate(key, frame)?;
            let value = self.evaluate(value, frame)?;
            builtins::insert(&mut dict, key, value)?;
        }
        Ok(Value::dict(dict))
    }

    fn unary(&mut self, node: &'t UnaryOp<'t>, frame: &Frame) -> Outcome<Value> {
        let value = self.evaluate(&node.expr, frame)?;
        match node.op {
            UnaryOpKind::Not => Ok(Value::Bool(!value.is_true()?)),
            UnaryOpKind::Neg => operate::negate(&value),
        }
    }

    fn binary(&mut self, node: &'t BinOp<'t>, frame: &Frame) -> Outcome<Value> {
        let left = self.evaluate(&node.left, frame)?;
        match node.op {
            BinOpKind::ScAnd if !left.is_true()? => return Ok(left),
            BinOpKind::ScOr if left.is_true()? => return Ok(left),
            BinOpKind::ScAnd | BinOpKind::ScOr => return self.evaluate(&node.right, frame),
            _ => {}
        }
        let right = self.evaluate(&node.right, frame)?;
        operate::binary(node.op, &left, &right)
    }

    fn comparison(&mut self, node: &'t Compare<'t>, frame: &Frame) -> Outcome<Value> {
        let mut left = self.evaluate(&node.expr, frame)?;
        let mut result = Value::Bool(true);
        for link in &node.ops {
            let right = self.evaluate(&link.expr, frame)?;
            result = operate::compare(link.op, &left, &right)?;
            if !result.is_true()? {
                break;
            }
            left = right;
        }
        Ok(result)
    }

    fn inline_if(&mut self, node: &'t IfExpr<'t>, frame: &Frame) -> Outcome<Value> {
        if self.evaluate(&node.test_expr, frame)?.is_true()? {
            return self.evaluate(&node.true_expr, frame);
        }
        match &node.false_expr {
            Some(otherwise) => self.evaluate(otherwise, frame),
            None => Ok(Value::Absent),
        }
    }

    fn test(&mut self, node: &'t Test<'t>, frame: &Frame) -> Outcome<Value> {
        let value = self.evaluate(&node.expr, frame)?;
        let arguments = self.arguments(&node.args, frame)?;
        checks::check(self, node.name, value, arguments).map(Value::Bool)
    }

    fn subscript(&mut self, node: &'t GetItem<'t>, frame: &Frame) -> Outcome<Value> {
        let object = self.evaluate(&node.expr, frame)?;
        let index = self.evaluate(&node.subscript_expr, frame)?;
        self.item(&object, &index)
    }

    fn slice(&mut self, node: &'t Slice<'t>, frame: &Frame) -> Outcome<Value> {
        let object = self.evaluate(&node.expr, frame)?;
        let mut bounds = [Value::None, Value::None, Value::None];
        for (bound, given) in bounds.iter_mut().zip([&node.start, &node.stop, &node.step]) {
            if let Some(given) = given {
                *bound = self.evaluate(given, frame)?;
            }
        }
        object.slice(&bounds[0], &bounds[1], &bounds[2])
    }

    fn evaluate_all(&mut self, items: &'t [Expr<'t>], frame: &Frame) -> Outcome<Vec<Value>> {
        items.iter().map(|item| self.evaluate(item, frame)).collect()
    }

    fn name(&mut self, name: &str, frame: &Frame) -> Value {
        frame.scope.get(name).unwrap_or_else(|| Value::Undefined(format!("'{name}' is undefined").into()))
    }

    fn constant(&mut self, constant: &Spanned<Const>, frame: &Frame) -> Outcome<Value> {
        let value = &constant.value;
        Ok(match value.kind() {
            ValueKind::None => Value::None,
            ValueKind::Bool => Value::Bool(value.is_true()),
            ValueKind::Number if value.is_integer() => {
                let number = i128::try_from(value.clone());
                Value::Int(number.map_err(|_| Fault::unsupported("an integer of more than 128 bits"))?)
            }
            ValueKind::Number => {
                let number = f64::try_from(value.clone());
                Value::Float(number.map_err(|_| Fault::unsupported("this number"))?)
            }
            ValueKind::String => {
                let source = self.text(frame, constant.span());
                match value.as_str() {
                    // The parser's escapes are those of JSON, a template's are those of Python.
                    _ if source.contains('\\') => Value::text(unescape(source)?),
                    Some(text) => Value::text(text),
                    None => return Err(Fault::unsupported("this constant")),
                }
            }
            other => return Err(Fault::unsupported(format!("a constant of kind {other}"))),
        })
    }

    /// `value | filter | filter`; `input` goes into the innermost, which has none in `{% filter %}`.
    pub(super) fn filter_chain(
        &mut self,
        expression: &'t Expr<'t>,
        input: Option<Value>,
        frame: &Frame,
    ) -> Outcome<Value> {
        let Expr::Filter(node) = expression else { return self.evaluate(expression, frame) };
        let value = match (&node.expr, input) {
            (Some(inner @ Expr::Filter(_)), input @ Some(_)) => {
                self.deeper(|this| this.filter_chain(inner, input, frame))?
            }
            (Some(inner), _) => self.evaluate(inner, frame)?,
            (None, Some(value)) => value,
            (None, None) => return Err(Fault::new("a filter without a value")),
        };
        let arguments = self.arguments(&node.args, frame)?;
        let result = filters::filter(self, node.name, value, arguments);
        self.place(frame, node.span(), result)
    }

    pub(super) fn arguments(&mut self, nodes: &'t [CallArg<'t>], frame: &Frame) -> Outcome<Arguments> {
        let mut arguments = Arguments::default();
        for node in nodes {
            match node {
                CallArg::Pos(value) => arguments.positional.push(self.evaluate(value, frame)?),
                CallArg::Kwarg(name, value) => {
                    let value = self.evaluate(value, frame)?;
                    arguments.keywords.push(((*name).into(), value));
                }
                CallArg::PosSplat(value) => {
                    let value = self.evaluate(value, frame)?;
                    arguments.positional.extend(self.collect(&value)?);
                }
                CallArg::KwargSplat(value) => {
                    let value = self.evaluate(value, frame)?;
                    let Value::Dict(dict) = &value else {
                        return Err(Fault::unsupported(format!("** of a {}", value.type_name())));
                    };
                    for (key, value) in dict.borrow().values() {
                        let Value::Text(key) = key else {
                            return Err(type_error("keywords must be strings"));
                        };
                        arguments.keywords.push((key.clone(), value.clone()));
                    }
                }
            }
        }
        Ok(arguments)
    }

    pub(super) fn call_node(&mut self, node: &'t Spanned<Call<'t>>, frame: &Frame) -> Outcome<Value> {
        let callee = self.evaluate(&node.expr, frame)?;
        let arguments = self.arguments(&node.args, frame)?;
        let result = self.call(&callee, arguments);
        self.place(frame, node.span(), result)
    }

    /// All items of an iterable.
    pub(super) fn collect(&mut self, value: &Value) -> Outcome<Vec<Value>> {
        let mut source = value.iterate()?;
        let mut items = Vec::new();
        while let Some(item) = source.next() {
            self.charge(1)?;
            if items.len() >= ITEMS_MAX {
                return Err(Fault::new(format!("more than {ITEMS_MAX} items")));
            }
            items.push(item);
        }
        Ok(items)
    }

    /// Calls anything that can be called.
    pub(super) fn call(&mut self, callee: &Value, arguments: Arguments) -> Outcome<Value> {
        self.charge(1)?;
        callee.defined()?;
        match callee {
            Value::Function(function) => (function.call)(self, arguments),
            Value::Type(kind) => builtins::construct(self, *kind, arguments),
            Value::Method(method) => methods::call(self, &method.0, &method.1, arguments),
            Value::Partial(partial) => {
                let (function, given) = &**partial;
                let mut all = given.clone();
                all.positional.extend(arguments.positional);
                all.keywords.retain(|(name, _)| !arguments.keywords.iter().any(|(other, _)| other == name));
                all.keywords.extend(arguments.keywords);
                let function = function.clone();
                self.deeper(|this| this.call(&function, all))
            }
            Value::Macro(object) => {
                let object = object.clone();
                self.deeper(|this| this.call_macro(&object, arguments))
            }
            Value::Loop(_) => Err(Fault::unsupported("a recursive loop")),
            other => Err(type_error(format!("'{}' object is not callable", other.type_name()))),
        }
    }

    fn call_macro(&mut self, object: &MacroObject, arguments: Arguments) -> Outcome<Value> {
        let node = self.macros[object.code];
        let name = &object.name;
        let frame = Frame { scope: Scope::inside(&object.frame.scope), template: object.frame.template };
        let names: Vec<&'t str> = node
            .args
            .iter()
            .map(|argument| match argument {
                Expr::Var(variable) => Ok(variable.id),
                _ => Err(Fault::new("not a name of an argument")),
            })
            .collect::<Outcome<_>>()?;
        let mut positional = arguments.positional.into_iter();
        let mut keywords = arguments.keywords;
        let first_default = names.len() - node.defaults.len();
        for (place, argument) in names.iter().enumerate() {
            let keyword = keywords.iter().position(|(key, _)| &**key == *argument);
            let value = match (positional.next(), keyword) {
                (Some(_), Some(_)) => {
                    return Err(type_error(format!(
                        "macro '{name}' got multiple values for argument '{argument}'"
                    )));
                }
                (Some(value), None) => value,
                (None, Some(place)) => keywords.remove(place).1,
                (None, None) if place >= first_default => {
                    self.evaluate(&node.defaults[place - first_default], &frame)?
                }
                (None, None) => Value::Undefined(format!("parameter '{argument}' was not provided").into()),
            };
            frame.scope.set(argument, value);
        }
        self.macro_extras(object, &frame, positional.collect(), keywords, names.len())?;
        let mut out = String::new();
        self.block(&node.body, &frame, &mut out)?;
        Ok(Value::text(out))
    }

    /// `caller`, `varargs` and `kwargs`, which a macro takes only if it mentions them.
    fn macro_extras(
        &mut self,
        object: &MacroObject,
        frame: &Frame,
        extra: Vec<Value>,
        mut keywords: Vec<(Rc<str>, Value)>,
        count: usize,
    ) -> Outcome<()> {
        let name = &object.name;
        let source = self.macro_source(object);
        if let Some(place) = keywords.iter().position(|(key, _)| &**key == "caller")
            && mentions(source, "caller")
        {
            frame.scope.set("caller", keywords.remove(place).1);
        } else if mentions(source, "caller") && frame.scope.names.borrow().get("caller").is_none() {
            frame.scope.set("caller", Value::Undefined("No caller defined".into()));
        }
        if mentions(source, "kwargs") {
            let mut dict = Dict::new();
            for (key, value) in keywords.drain(..) {
                builtins::insert(&mut dict, Value::Text(key), value)?;
            }
            frame.scope.set("kwargs", Value::dict(dict));
        }
        if mentions(source, "varargs") {
            frame.scope.set("varargs", Value::tuple(extra));
        } else if !extra.is_empty() {
            return Err(type_error(format!("macro '{name}' takes not more than {count} argument(s)")));
        }
        match keywords.first() {
            Some((key, _)) if &**key == "caller" => Err(type_error(format!(
                "macro '{name}' was invoked with two values for the special caller argument, or takes none"
            ))),
            Some((key, _)) => Err(type_error(format!("macro '{name}' takes no keyword argument '{key}'"))),
            None => Ok(()),
        }
    }

    fn macro_source(&self, object: &MacroObject) -> &'t str {
        // From the first statement of the body to the last.
        let body = &self.macros[object.code].body;
        let (Some(first), Some(last)) = (body.first(), body.last()) else { return "" };
        let start = super::interpreter::span(first).start_offset as usize;
        let end = super::interpreter::span(last).end_offset as usize;
        self.templates[object.frame.template].source.get(start..end).unwrap_or("")
    }

    /// `object.name`: the attribute, else the item, else undefined.
    pub(super) fn attribute(&mut self, object: &Value, name: &str) -> Outcome<Value> {
        object.defined()?;
        if let Value::Absent = object {
            return Err(Fault::new(format!("{name} of an inline if-expression that was false")));
        }
        if let Some(found) = self.python_attribute(object, name)? {
            return Ok(found);
        }
        match object.item(&Value::text(name))? {
            Some(item) => Ok(item),
            None => Ok(Value::Undefined(
                format!("'{}' object has no attribute '{name}'", described(object)).into(),
            )),
        }
    }

    /// `object[index]`: the item, else for a text the attribute, else undefined.
    pub(super) fn item(&mut self, object: &Value, index: &Value) -> Outcome<Value> {
        object.defined()?;
        if let Value::Absent = object {
            return Err(Fault::new("an item of an inline if-expression that was false"));
        }
        if let Some(item) = object.item(index)? {
            return Ok(item);
        }
        if let Value::Text(name) = index {
            if let Some(found) = self.python_attribute(object, name)? {
                return Ok(found);
            }
            return Ok(Value::Undefined(
                format!("'{}' object has no attribute '{name}'", described(object)).into(),
            ));
        }
        let index = index.repr()?;
        Ok(Value::Undefined(format!("{} object has no element {index}", described(object)).into()))
    }

    fn python_attribute(&mut self, object: &Value, name: &str) -> Outcome<Option<Value>> {
        Ok(match object {
            Value::Module(module) => module.get(name).cloned(),
            Value::Namespace(names) => names.borrow().get(name).cloned(),
            Value::Loop(state) => self.loop_attribute(&state.clone(), name)?,
            Value::Library(library) => Some(library::attribute(library, name)?),
            Value::Type(Type::Dict) if name == "fromkeys" => {
                Some(Value::Function(Function { name: "dict.fromkeys", call: builtins::from_keys }))
            }
            Value::Type(Type::Text) if methods::known(&Value::text(""), name)? => {
                Some(builtins::unbound(name))
            }
            Value::Function(function) => library::function_attribute(function.name, name)?,
            Value::Macro(object) if name == "name" => Some(Value::text(object.name.clone())),
            Value::Type(_) | Value::Partial(_) | Value::Macro(_) | Value::Method(_) => {
                return Err(Fault::unsupported(format!("attribute {name} of a {}", object.type_name())));
            }
            _ => methods::known(object, name)?.then(|| Value::Method(Rc::new((object.clone(), name.into())))),
        })
    }
}

fn described(object: &Value) -> String {
    match object {
        Value::Library(name) => format!("module {name}"),
        other => other.type_name().to_owned(),
    }
}

/// Whether an identifier stands in a text.
fn mentions(source: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    source
        .match_indices(name)
        .any(|(at, _)| !source[..at].ends_with(word) && !source[at + name.len()..].starts_with(word))
}

/// Python's reading of string literals as a template has them: a line break may stand in any.
fn unescape(source: &str) -> Outcome<String> {
    let mut safe = String::with_capacity(source.len());
    let mut rest = source.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                safe.push(c);
                safe.extend(rest.next());
            }
            '\n' => safe.push_str("\\n"),
            other => safe.push(other),
        }
    }
    match literal::parse(&safe) {
        Ok(Literal::Text(text)) => Ok(text),
        Ok(_) => Err(Fault::unsupported(format!("the string {source}"))),
        Err(error) => Err(Fault::new(format!("the string {source}: {error}"))),
    }
}
