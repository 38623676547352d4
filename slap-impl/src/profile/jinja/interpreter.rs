//! Runs statements: scopes as Jinja2 resolves them, loops, macros, imports.

use super::{
    Limits,
    fault::{Fault, Outcome, type_error, value_error},
    iterate::Iter,
    value::Value,
};
use minijinja::machinery::{
    Span,
    ast::{
        CallBlock, Expr, FilterBlock, ForLoop, FromImport, IfCond, Include, Macro, Set, SetBlock, Spanned,
        Stmt, WithBlock,
    },
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

/// A template that was read and parsed.
pub(super) struct Parsed<'t> {
    /// What errors call it.
    pub(super) file: Rc<str>,
    pub(super) source: &'t str,
    pub(super) root: Outcome<Stmt<'t>>,
}

/// Names of one block; a name that is not here is looked up in the one around it.
pub(super) struct Scope {
    pub(super) names: RefCell<BTreeMap<Rc<str>, Value>>,
    pub(super) parent: Option<Rc<Scope>>,
}

impl Scope {
    pub(super) fn inside(parent: &Rc<Scope>) -> Rc<Scope> {
        Rc::new(Scope { names: RefCell::default(), parent: Some(parent.clone()) })
    }

    pub(super) fn get(&self, name: &str) -> Option<Value> {
        let mut scope = self;
        loop {
            if let Some(value) = scope.names.borrow().get(name) {
                return Some(value.clone());
            }
            scope = scope.parent.as_deref()?;
        }
    }

    pub(super) fn set(&self, name: &str, value: Value) {
        self.names.borrow_mut().insert(name.into(), value);
    }
}

/// Where a statement runs.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) scope: Rc<Scope>,
    /// Which template, in [`Interpreter::templates`].
    pub(super) template: usize,
}

/// What `loop` is.
pub(super) struct LoopState {
    source: Iter,
    /// What is iterated, if its length can be asked for.
    sized: Option<Value>,
    /// Which loop's condition items must fulfil, and where it is evaluated.
    filter: Option<(usize, Frame)>,
    ahead: VecDeque<Value>,
    /// How many items came so far.
    count: usize,
    previous: Option<Value>,
    current: Option<Value>,
    changed: Option<Vec<Value>>,
}

/// What a macro is: its code and where it was defined.
pub(super) struct MacroObject {
    pub(super) code: usize,
    pub(super) frame: Frame,
    pub(super) name: Rc<str>,
}

/// How a block ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Normal,
    Break,
    Continue,
}

/// Runs templates.
pub(super) struct Interpreter<'t> {
    pub(super) templates: &'t [Parsed<'t>],
    /// Template by the alias of the import list.
    pub(super) aliases: BTreeMap<String, usize>,
    pub(super) delimiter: String,
    /// Jinja's own names: all that an imported template sees.
    pub(super) globals: Rc<Scope>,
    pub(super) macros: Vec<&'t Macro<'t>>,
    filters: Vec<&'t ForLoop<'t>>,
    modules: BTreeMap<usize, Value>,
    /// Scopes to clear at the end, because macros hold the scope that holds them.
    roots: Vec<Rc<Scope>>,
    limits: Limits,
    steps: u64,
    depth: usize,
}

impl<'t> Interpreter<'t> {
    pub(super) fn new(
        templates: &'t [Parsed<'t>],
        aliases: BTreeMap<String, usize>,
        delimiter: String,
        globals: Rc<Scope>,
        limits: Limits,
    ) -> Interpreter<'t> {
        Interpreter {
            templates,
            aliases,
            delimiter,
            globals,
            macros: Vec::new(),
            filters: Vec::new(),
            modules: BTreeMap::new(),
            roots: Vec::new(),
            limits,
            steps: 0,
            depth: 0,
        }
    }

    /// Renders a template in a scope of its own inside `around`.
    pub(super) fn render(&mut self, template: usize, around: &Rc<Scope>) -> Outcome<String> {
        let mut out = String::new();
        let frame = Frame { scope: Scope::inside(around), template };
        self.roots.push(frame.scope.clone());
        self.root(&frame, &mut out)?;
        Ok(out)
    }

    /// Lets go of what holds itself.
    pub(super) fn finish(&mut self) {
        for scope in self.roots.drain(..) {
            scope.names.take();
        }
    }

    fn root(&mut self, frame: &Frame, out: &mut String) -> Outcome<()> {
        let templates = self.templates;
        match &templates[frame.template].root {
            Ok(Stmt::Template(root)) => self.block(&root.children, frame, out).map(|_| ()),
            Ok(_) => Err(Fault::new("a template without a root")),
            Err(fault) => Err(fault.clone()),
        }
    }

    /// Counts one step of work.
    pub(super) fn charge(&mut self, steps: u64) -> Outcome<()> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.limits.steps {
            return Err(Fault::new(format!("the template takes more than {} steps", self.limits.steps)));
        }
        Ok(())
    }

    /// Runs `work` one level deeper.
    pub(super) fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if self.depth >= self.limits.depth {
            return Err(Fault::new(format!("the template nests deeper than {}", self.limits.depth)));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    pub(super) fn place<T>(&self, frame: &Frame, span: Span, result: Outcome<T>) -> Outcome<T> {
        result.map_err(|fault| fault.at(&self.templates[frame.template].file, span.start_line.into()))
    }

    pub(super) fn block(&mut self, body: &'t [Stmt<'t>], frame: &Frame, out: &mut String) -> Outcome<Flow> {
        for statement in body {
            self.charge(1)?;
            let result = self.deeper(|this| this.statement(statement, frame, out));
            let flow = self.place(frame, span(statement), result)?;
            if out.len() > self.limits.output_bytes {
                let fault =
                    Fault::new(format!("the result is longer than {} bytes", self.limits.output_bytes));
                return self.place(frame, span(statement), Err(fault));
            }
            if flow != Flow::Normal {
                return Ok(flow);
            }
        }
        Ok(Flow::Normal)
    }

    // Each kind of statement has a function of its own, so that one level of nesting takes little stack.
    fn statement(&mut self, statement: &'t Stmt<'t>, frame: &Frame, out: &mut String) -> Outcome<Flow> {
        match statement {
            Stmt::Template(node) => self.block(&node.children, frame, out),
            Stmt::EmitRaw(node) => {
                out.push_str(node.raw);
                Ok(Flow::Normal)
            }
            Stmt::IfCond(node) => self.condition(node, frame, out),
            Stmt::WithBlock(node) => self.with_block(node, frame, out),
            Stmt::Break(_) => Ok(Flow::Break),
            Stmt::Continue(_) => Ok(Flow::Continue),
            _ => self.plain_statement(statement, frame, out).map(|()| Flow::Normal),
        }
    }

    /// The statements that always go on with the next one.
    fn plain_statement(&mut self, statement: &'t Stmt<'t>, frame: &Frame, out: &mut String) -> Outcome<()> {
        match statement {
            Stmt::EmitExpr(node) => self.emit(&node.expr, frame, out),
            Stmt::ForLoop(node) => self.for_loop(node, frame, out),
            Stmt::Set(node) => self.set(node, frame),
            Stmt::SetBlock(node) => self.set_block(node, frame),
            Stmt::FilterBlock(node) => self.filter_block(node, frame, out),
            Stmt::Do(node) => self.call_node(&node.call, frame).map(|_| ()),
            Stmt::Macro(node) => {
                let value = self.define(node, frame);
                frame.scope.set(node.name, value);
                Ok(())
            }
            Stmt::CallBlock(node) => self.call_block(node, frame, out),
            Stmt::Import(node) => {
                let with_context = self.says(frame, node.span(), "with context");
                let module = self.import(&node.expr, frame, with_context)?;
                self.assign(&node.name, Value::Module(module), frame)
            }
            Stmt::FromImport(node) => self.import_names(node, frame),
            Stmt::Include(node) => self.include(node, frame, out),
            Stmt::AutoEscape(_) => Err(Fault::unsupported("the tag `autoescape`")),
            Stmt::Block(_) => Err(Fault::unsupported("the tag `block`")),
            Stmt::Extends(_) => Err(Fault::unsupported("the tag `extends`")),
            _ => Err(Fault::new("this statement was handled above")),
        }
    }

    fn emit(&mut self, expression: &'t Expr<'t>, frame: &Frame, out: &mut String) -> Outcome<()> {
        let value = self.evaluate(expression, frame)?;
        out.push_str(&value.to_text()?);
        Ok(())
    }

    fn condition(&mut self, node: &'t IfCond<'t>, frame: &Frame, out: &mut String) -> Outcome<Flow> {
        let chosen = self.evaluate(&node.expr, frame)?.is_true()?;
        self.block(if chosen { &node.true_body } else { &node.false_body }, frame, out)
    }

    fn with_block(&mut self, node: &'t WithBlock<'t>, frame: &Frame, out: &mut String) -> Outcome<Flow> {
        let inner = Frame { scope: Scope::inside(&frame.scope), ..*frame };
        for (target, value) in &node.assignments {
            let value = self.evaluate(value, frame)?;
            self.assign(target, value, &inner)?;
        }
        self.block(&node.body, &inner, out)
    }

    fn captured(&mut self, body: &'t [Stmt<'t>], frame: &Frame) -> Outcome<Value> {
        let mut text = String::new();
        let inner = Frame { scope: Scope::inside(&frame.scope), ..*frame };
        self.block(body, &inner, &mut text)?;
        Ok(Value::text(text))
    }

    fn set_block(&mut self, node: &'t SetBlock<'t>, frame: &Frame) -> Outcome<()> {
        let mut value = self.captured(&node.body, frame)?;
        if let Some(filter) = &node.filter {
            value = self.filter_chain(filter, Some(value), frame)?;
        }
        self.assign(&node.target, value, frame)
    }

    fn filter_block(&mut self, node: &'t FilterBlock<'t>, frame: &Frame, out: &mut String) -> Outcome<()> {
        let value = self.captured(&node.body, frame)?;
        let value = self.filter_chain(&node.filter, Some(value), frame)?;
        out.push_str(&value.to_text()?);
        Ok(())
    }

    fn call_block(&mut self, node: &'t CallBlock<'t>, frame: &Frame, out: &mut String) -> Outcome<()> {
        let caller = self.define(&node.macro_decl, frame);
        let callee = self.evaluate(&node.call.expr, frame)?;
        let mut arguments = self.arguments(&node.call.args, frame)?;
        arguments.keywords.push(("caller".into(), caller));
        let value = self.call(&callee, arguments)?;
        out.push_str(&value.to_text()?);
        Ok(())
    }

    fn import_names(&mut self, node: &'t Spanned<FromImport<'t>>, frame: &Frame) -> Outcome<()> {
        let with_context = self.says(frame, node.span(), "with context");
        let module = self.import(&node.expr, frame, with_context)?;
        for (name, alias) in &node.names {
            let Expr::Var(variable) = name else { return Err(Fault::new("not a name to import")) };
            let value = module.get(variable.id).cloned().unwrap_or_else(|| {
                Value::Undefined(format!("the template does not export {:?}", variable.id).into())
            });
            self.assign(alias.as_ref().unwrap_or(name), value, frame)?;
        }
        Ok(())
    }

    fn include(&mut self, node: &'t Spanned<Include<'t>>, frame: &Frame, out: &mut String) -> Outcome<()> {
        let name = self.evaluate(&node.name, frame)?;
        match self.find(&name) {
            Ok(template) => {
                let without = self.says(frame, node.span(), "without context");
                let around = if without { self.globals.clone() } else { frame.scope.clone() };
                let text = self.render(template, &around)?;
                out.push_str(&text);
                Ok(())
            }
            Err(_) if node.ignore_missing => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Whether a tag's text ends with these words; the parser drops them.
    fn says(&self, frame: &Frame, span: Span, words: &str) -> bool {
        let text = self.text(frame, span);
        let mut found = text.split_ascii_whitespace().rev();
        words.split(' ').rev().all(|word| found.next() == Some(word))
    }

    /// The template's text that a node was read from.
    pub(super) fn text(&self, frame: &Frame, span: Span) -> &'t str {
        let source = self.templates[frame.template].source;
        source.get(span.start_offset as usize..span.end_offset as usize).unwrap_or("")
    }

    fn set(&mut self, node: &'t Set<'t>, frame: &Frame) -> Outcome<()> {
        let value = self.evaluate(&node.expr, frame)?;
        self.assign(&node.target, value, frame)
    }

    pub(super) fn assign(&mut self, target: &Expr<'t>, value: Value, frame: &Frame) -> Outcome<()> {
        match target {
            Expr::Var(variable) => frame.scope.set(variable.id, value),
            Expr::GetAttr(attribute) => {
                let object = match &attribute.expr {
                    Expr::Var(variable) => frame.scope.get(variable.id),
                    _ => None,
                };
                let Some(Value::Namespace(names)) = object else {
                    return Err(Fault::new("cannot assign attribute on non-namespace object"));
                };
                names.borrow_mut().insert(attribute.name.into(), value);
            }
            Expr::List(list) => {
                let items = self.collect(&value)?;
                let (expected, found) = (list.items.len(), items.len());
                if found != expected {
                    return Err(value_error(if found > expected {
                        format!("too many values to unpack (expected {expected})")
                    } else {
                        format!("not enough values to unpack (expected {expected}, got {found})")
                    }));
                }
                for (target, item) in list.items.iter().zip(items) {
                    self.assign(target, item, frame)?;
                }
            }
            _ => return Err(Fault::new("cannot assign to this")),
        }
        Ok(())
    }

    fn for_loop(&mut self, node: &'t ForLoop<'t>, frame: &Frame, out: &mut String) -> Outcome<()> {
        if node.recursive {
            return Err(Fault::unsupported("a recursive loop"));
        }
        let iterable = self.evaluate(&node.iter, frame)?;
        let source = iterable.iterate()?;
        let filter = node.filter_expr.as_ref().map(|_| {
            self.filters.push(node);
            (self.filters.len() - 1, frame.clone())
        });
        let sized = filter.is_none().then_some(iterable);
        let state = Rc::new(RefCell::new(LoopState {
            source,
            sized,
            filter,
            ahead: VecDeque::new(),
            count: 0,
            previous: None,
            current: None,
            changed: None,
        }));
        let mut ran = false;
        while let Some(item) = self.advance(&state)? {
            ran = true;
            self.charge(1)?;
            let inner = Frame { scope: Scope::inside(&frame.scope), ..*frame };
            inner.scope.set("loop", Value::Loop(state.clone()));
            self.assign(&node.target, item, &inner)?;
            if self.block(&node.body, &inner, out)? == Flow::Break {
                break;
            }
        }
        if !ran {
            let inner = Frame { scope: Scope::inside(&frame.scope), ..*frame };
            self.block(&node.else_body, &inner, out)?;
        }
        Ok(())
    }

    /// The loop's next item.
    fn advance(&mut self, state: &Rc<RefCell<LoopState>>) -> Outcome<Option<Value>> {
        let waiting = state.borrow_mut().ahead.pop_front();
        let item = match waiting {
            Some(item) => Some(item),
            None => self.pull(state)?,
        };
        let mut state = state.borrow_mut();
        if let Some(item) = &item {
            state.previous = state.current.replace(item.clone());
            state.count += 1;
        }
        Ok(item)
    }

    /// The next item of the source that fulfils the loop's condition.
    fn pull(&mut self, state: &Rc<RefCell<LoopState>>) -> Outcome<Option<Value>> {
        loop {
            self.charge(1)?;
            let (item, filter) = {
                let mut state = state.borrow_mut();
                (state.source.next(), state.filter.clone())
            };
            let (Some(item), Some((code, frame))) = (&item, filter) else { return Ok(item) };
            let node = self.filters[code];
            let inner = Frame { scope: Scope::inside(&frame.scope), ..frame };
            self.assign(&node.target, item.clone(), &inner)?;
            let condition = node.filter_expr.as_ref().expect("it was noted because it has one");
            if self.evaluate(condition, &inner)?.is_true()? {
                return Ok(Some(item.clone()));
            }
        }
    }

    /// The item after the current one, which stays the next.
    fn peek(&mut self, state: &Rc<RefCell<LoopState>>) -> Outcome<Option<Value>> {
        if let Some(item) = state.borrow().ahead.front() {
            return Ok(Some(item.clone()));
        }
        let item = self.pull(state)?;
        state.borrow_mut().ahead.extend(item.clone());
        Ok(item)
    }

    /// An attribute of `loop`.
    pub(super) fn loop_attribute(
        &mut self,
        state: &Rc<RefCell<LoopState>>,
        name: &str,
    ) -> Outcome<Option<Value>> {
        let count = state.borrow().count;
        let number = |number: usize| Value::Int(i128::try_from(number).unwrap_or(i128::MAX));
        let undefined = |text: &str| Value::Undefined(text.into());
        Ok(Some(match name {
            "index" => number(count),
            "index0" => number(count.saturating_sub(1)),
            "first" => Value::Bool(count == 1),
            "last" => Value::Bool(self.peek(state)?.is_none()),
            "length" => number(self.loop_length(state)?),
            "revindex" => number((self.loop_length(state)? + 1).saturating_sub(count)),
            "revindex0" => number(self.loop_length(state)?.saturating_sub(count)),
            "depth" => Value::Int(1),
            "depth0" => Value::Int(0),
            "previtem" => {
                state.borrow().previous.clone().unwrap_or_else(|| undefined("there is no previous item"))
            }
            "nextitem" => self.peek(state)?.unwrap_or_else(|| undefined("there is no next item")),
            "cycle" | "changed" => Value::Method(Rc::new((Value::Loop(state.clone()), name.into()))),
            _ => return Ok(None),
        }))
    }

    fn loop_length(&mut self, state: &Rc<RefCell<LoopState>>) -> Outcome<usize> {
        if let Some(Ok(length)) = state.borrow().sized.as_ref().map(Value::length) {
            return Ok(length);
        }
        while let Some(item) = self.pull(state)? {
            state.borrow_mut().ahead.push_back(item);
        }
        let state = state.borrow();
        Ok(state.count + state.ahead.len())
    }

    /// `loop.cycle(...)` and `loop.changed(...)`.
    pub(super) fn loop_method(
        &mut self,
        state: &Rc<RefCell<LoopState>>,
        name: &str,
        arguments: Vec<Value>,
    ) -> Outcome<Value> {
        let mut state = state.borrow_mut();
        if name == "cycle" {
            let place = state.count.saturating_sub(1).checked_rem(arguments.len());
            return place
                .map(|place| arguments[place].clone())
                .ok_or_else(|| type_error("no items for cycling given"));
        }
        let same = match &state.changed {
            Some(last) => Value::tuple(last.clone()).equals(&Value::tuple(arguments.clone()))?,
            None => false,
        };
        state.changed = Some(arguments);
        Ok(Value::Bool(!same))
    }

    fn define(&mut self, node: &'t Macro<'t>, frame: &Frame) -> Value {
        self.macros.push(node);
        Value::Macro(Rc::new(MacroObject {
            code: self.macros.len() - 1,
            frame: frame.clone(),
            name: node.name.into(),
        }))
    }

    fn find(&mut self, name: &Value) -> Outcome<usize> {
        name.defined()?;
        let Value::Text(name) = name else {
            return Err(Fault::unsupported(format!("a template named by a {}", name.type_name())));
        };
        let (alias, rest) = name.split_once(&*self.delimiter).unwrap_or((name, ""));
        match self.aliases.get(alias) {
            Some(template) if rest.is_empty() => Ok(*template),
            _ => Err(Fault::new(format!("TemplateNotFound: {name} (it is not in `import-list`)"))),
        }
    }

    /// An imported template's names.
    fn import(
        &mut self,
        name: &'t Expr<'t>,
        frame: &Frame,
        with_context: bool,
    ) -> Outcome<Rc<BTreeMap<String, Value>>> {
        let name = self.evaluate(name, frame)?;
        let template = self.find(&name)?;
        if !with_context && let Some(Value::Module(module)) = self.modules.get(&template) {
            return Ok(module.clone());
        }
        let around = if with_context { frame.scope.clone() } else { self.globals.clone() };
        let inner = Frame { scope: Scope::inside(&around), template };
        self.roots.push(inner.scope.clone());
        let mut text = String::new();
        self.deeper(|this| this.root(&inner, &mut text))?;
        let hidden = self.imported_names(template);
        let names = inner.scope.names.borrow();
        let exported = names.iter().filter(|(name, _)| !name.starts_with('_') && !hidden.contains(&***name));
        let module = Rc::new(exported.map(|(name, value)| (name.to_string(), value.clone())).collect());
        if !with_context {
            self.modules.insert(template, Value::Module(Rc::clone(&module)));
        }
        Ok(module)
    }

    /// What a template imports at its top: it does not export that again.
    fn imported_names(&self, template: usize) -> BTreeSet<&'t str> {
        let Ok(Stmt::Template(root)) = &self.templates[template].root else { return BTreeSet::new() };
        let mut names = BTreeSet::new();
        for statement in &root.children {
            match statement {
                Stmt::Import(node) => names.extend(variable(&node.name)),
                Stmt::FromImport(node) => {
                    let targets = node.names.iter().map(|(name, alias)| alias.as_ref().unwrap_or(name));
                    names.extend(targets.filter_map(variable));
                }
                _ => {}
            }
        }
        names
    }
}

fn variable<'t>(expression: &Expr<'t>) -> Option<&'t str> {
    match expression {
        Expr::Var(variable) => Some(variable.id),
        _ => None,
    }
}

/// Where a statement stands.
pub(super) fn span(statement: &Stmt<'_>) -> Span {
    match statement {
        Stmt::Template(node) => node.span(),
        Stmt::EmitExpr(node) => node.span(),
        Stmt::EmitRaw(node) => node.span(),
        Stmt::ForLoop(node) => node.span(),
        Stmt::IfCond(node) => node.span(),
        Stmt::WithBlock(node) => node.span(),
        Stmt::Set(node) => node.span(),
        Stmt::SetBlock(node) => node.span(),
        Stmt::AutoEscape(node) => node.span(),
        Stmt::FilterBlock(node) => node.span(),
        Stmt::Block(node) => node.span(),
        Stmt::Import(node) => node.span(),
        Stmt::FromImport(node) => node.span(),
        Stmt::Extends(node) => node.span(),
        Stmt::Include(node) => node.span(),
        Stmt::Macro(node) => node.span(),
        Stmt::CallBlock(node) => node.span(),
        Stmt::Continue(node) => node.span(),
        Stmt::Break(node) => node.span(),
        Stmt::Do(node) => node.span(),
    }
}
