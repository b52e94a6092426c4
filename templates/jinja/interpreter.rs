//! Runs the statements of a template.

use std::rc::Rc;

use crate::arguments::Arguments;
use crate::ast::{Body, Expression, For, Macro, Statement, StatementKind, Symbol, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{self, Function};
use crate::loops::Loop;
use crate::python::repr;
use crate::scopes::{ScopeId, Scopes};
use crate::text::{Text, TextBuilder};
use crate::value::{Key, Missing, Value};

/// How deep statements, expressions and calls of macros may nest while they run.
const MAX_DEPTH: usize = 400;

/// A rendering.
pub(crate) struct Interpreter<'a> {
    names: &'a [Rc<str>],
    /// What the context and Jinja itself give each name.
    globals: Vec<Option<Value>>,
    /// The name of the `loop` variable, if the template uses it.
    loop_symbol: Option<Symbol>,
    pub(crate) scopes: Scopes,
    output: TextBuilder,
    /// The texts of the bodies that filters are being applied to.
    bodies: Vec<Text>,
    depth: usize,
}

/// How a statement ended.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Normal,
    Break,
    Continue,
}

impl<'a> Interpreter<'a> {
    /// Ready to run a template that uses `names`, each with its value in the context, if any.
    pub(crate) fn new(names: &'a [Rc<str>], globals: Vec<Option<Value>>) -> Interpreter<'a> {
        let loop_symbol = names.iter().position(|name| &**name == "loop").map(Symbol);
        Interpreter {
            names,
            globals,
            loop_symbol,
            scopes: Scopes::new(),
            output: TextBuilder::default(),
            bodies: Vec::new(),
            depth: 0,
        }
    }

    /// Runs the template.
    pub(crate) fn render(mut self, body: &Body) -> Result<Text> {
        self.run(body)?;
        Ok(self.output.finish())
    }

    /// Runs something that may contain itself.
    pub(crate) fn nested<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(Error::new(ErrorKind::Limit, "the template calls itself too deeply"));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    /// The value of a name.
    pub(crate) fn name(&self, symbol: Symbol) -> Value {
        let known = self.scopes.get(symbol).or_else(|| self.globals.get(symbol.0)?.as_ref());
        known.cloned().unwrap_or_else(|| Value::undefined(Missing::Name(self.names[symbol.0].clone())))
    }

    /// The text of the body that a filter is being applied to.
    pub(crate) fn body_text(&self) -> Value {
        self.bodies.last().map_or(Value::None, |text| Value::Str(text.clone()))
    }

    fn run(&mut self, body: &Body) -> Result<Flow> {
        for statement in body {
            let flow = self.nested(|run| run.statement(statement)).map_err(|error| error.at(statement.line))?;
            if flow != Flow::Normal {
                return Ok(flow);
            }
        }
        Ok(Flow::Normal)
    }

    /// Runs something in a scope inside `parent`.
    fn scoped<T>(&mut self, parent: ScopeId, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let back = self.scopes.enter(parent);
        let result = run(self);
        self.scopes.leave(back);
        result
    }

    /// What something writes.
    fn captured(&mut self, run: impl FnOnce(&mut Self) -> Result<()>) -> Result<Text> {
        let outer = std::mem::take(&mut self.output);
        let result = run(self);
        let written = std::mem::replace(&mut self.output, outer);
        result.map(|()| written.finish())
    }

    /// What a body writes, in a scope of its own.
    fn captured_body(&mut self, body: &Body) -> Result<Text> {
        self.captured(|run| run.scoped(run.scopes.current(), |run| run.run(body)).map(|_| ()))
    }

    /// An expression over the text of a body.
    fn filtered(&mut self, text: Text, value: &Expression) -> Result<Value> {
        self.bodies.push(text);
        let value = self.evaluate(value);
        self.bodies.pop();
        value
    }

    fn statement(&mut self, statement: &Statement) -> Result<Flow> {
        match &statement.kind {
            StatementKind::Data(text) => self.output.push(text),
            StatementKind::Print(value) => {
                let value = self.evaluate(value)?;
                repr::write(&mut self.output, &value)?;
            }
            StatementKind::Set(target, value) => {
                let value = self.evaluate(value)?;
                self.assign(target, value)?;
            }
            StatementKind::SetBlock { target, value, body } => {
                let text = self.captured_body(body)?;
                let value = self.filtered(text, value)?;
                self.assign(target, value)?;
            }
            StatementKind::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.evaluate(condition)?.is_true() {
                        return self.run(body);
                    }
                }
                return self.run(otherwise);
            }
            StatementKind::For(definition) => {
                let iterable = self.evaluate(&definition.iterable)?;
                let parent = self.scopes.current();
                return self.for_loop(definition, iterable, parent, 0);
            }
            StatementKind::Macro(symbol, definition) => {
                let function = self.closure(definition);
                self.scopes.set(*symbol, function);
            }
            StatementKind::Call { call, caller } => {
                let caller = self.closure(caller);
                let Expression::Call(callee, arguments) = call else {
                    return Err(Error::operation("`call` needs a call"));
                };
                let callee = self.evaluate(callee)?;
                let mut arguments = self.arguments(arguments)?;
                arguments.named.push((Text::template("caller"), caller));
                let value = self.call(&callee, arguments)?;
                repr::write(&mut self.output, &value)?;
            }
            StatementKind::FilterBlock(value, body) => {
                let text = self.captured_body(body)?;
                let value = self.filtered(text, value)?;
                repr::write(&mut self.output, &value)?;
            }
            StatementKind::With(names, body) => {
                let values = names.iter().map(|(_, value)| self.evaluate(value)).collect::<Result<Vec<_>>>()?;
                return self.scoped(self.scopes.current(), |run| {
                    for ((target, _), value) in names.iter().zip(values) {
                        run.assign(target, value)?;
                    }
                    run.run(body)
                });
            }
            StatementKind::Scope(body) => return self.scoped(self.scopes.current(), |run| run.run(body)),
            StatementKind::Block(body) => return self.scoped(Scopes::TOP, |run| run.run(body)),
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Normal)
    }

    fn closure(&mut self, definition: &Rc<Macro>) -> Value {
        let scope = self.scopes.capture();
        Value::Function(Rc::new(Function::Macro { definition: definition.clone(), scope }))
    }

    fn assign(&mut self, target: &Target, value: Value) -> Result<()> {
        match target {
            Target::Name(symbol) => self.scopes.set(*symbol, value),
            Target::Tuple(targets) => {
                let values = value.iterate()?;
                if values.len() != targets.len() {
                    let message = format!("cannot unpack {} values into {} names", values.len(), targets.len());
                    return Err(Error::operation(message));
                }
                for (target, value) in targets.iter().zip(values) {
                    self.assign(target, value)?;
                }
            }
            Target::Attribute(symbol, name) => {
                let Value::Namespace(namespace) = self.name(*symbol) else {
                    return Err(Error::operation("cannot assign attribute on non-namespace object"));
                };
                let key = Value::template(name);
                functions::check_attribute(&key)?;
                namespace.borrow_mut().insert(Key::new(key)?, value);
            }
        }
        Ok(())
    }

    fn for_loop(&mut self, definition: &Rc<For>, iterable: Value, parent: ScopeId, depth: usize) -> Result<Flow> {
        let mut items = iterable.iterate()?;
        if let Some(condition) = &definition.condition {
            let mut kept = Vec::new();
            for item in items {
                let keep = self.scoped(parent, |run| {
                    run.assign(&definition.target, item.clone())?;
                    run.evaluate(condition)
                })?;
                if keep.is_true() {
                    kept.push(item);
                }
            }
            items = kept;
        }
        let len = items.len();
        let recursion = definition.recursive.then(|| (definition.clone(), parent));
        let state = Rc::new(Loop::new(items, depth, recursion));
        // As in Jinja2, `else` also runs where no round came to its end.
        let mut completed = false;
        for index in 0..len {
            let item = state.advance(index);
            let flow = self.scoped(parent, |run| {
                run.assign(&definition.target, item)?;
                if let Some(symbol) = run.loop_symbol {
                    run.scopes.set(symbol, Value::Loop(state.clone()));
                }
                run.run(&definition.body)
            })?;
            match flow {
                Flow::Break => break,
                Flow::Continue => {}
                Flow::Normal => completed = true,
            }
        }
        if !completed {
            return self.scoped(parent, |run| run.run(&definition.otherwise));
        }
        Ok(Flow::Normal)
    }

    /// Calls a function, a method, a macro or a recursive loop.
    pub(crate) fn call(&mut self, callee: &Value, arguments: Arguments) -> Result<Value> {
        match callee {
            Value::Undefined(missing) => Err(missing.error()),
            Value::Loop(state) => self.recurse(state, arguments),
            Value::Function(function) => match &**function {
                Function::RaiseException => functions::raise_exception(arguments),
                Function::StrftimeNow(clock) => functions::strftime_now(*clock, arguments),
                Function::Range => functions::range(arguments),
                Function::Namespace => functions::namespace(arguments),
                Function::Dict => functions::dict(arguments).map(Value::dict),
                Function::Joiner => functions::joiner(arguments),
                Function::Separator { separator, called } => {
                    arguments.none("joiner")?;
                    Ok(if called.replace(true) { separator.clone() } else { Value::template("") })
                }
                Function::Method { receiver, name } => crate::methods::call(receiver, name, arguments),
                Function::Macro { definition, scope } => {
                    self.nested(|run| run.call_macro(definition, *scope, arguments))
                }
            },
            _ => Err(Error::operation(format!("'{}' object is not callable", callee.type_name()))),
        }
    }

    fn recurse(&mut self, state: &Loop, arguments: Arguments) -> Result<Value> {
        let [items] = arguments.bind("loop", ["iterable"])?;
        let items = crate::arguments::required(items, "loop", "iterable")?;
        let Some((definition, parent)) = &state.recursion else {
            let message = "The loop must have the 'recursive' marker to be called recursively.";
            return Err(Error::operation(message));
        };
        let text = self.captured(|run| {
            run.nested(|run| run.for_loop(definition, items, *parent, state.depth() + 1)).map(|_| ())
        })?;
        Ok(Value::Str(text))
    }

    fn call_macro(&mut self, definition: &Macro, scope: ScopeId, mut arguments: Arguments) -> Result<Value> {
        let Macro { name, parameters, body, uses } = definition;
        let mut rest = arguments.positional.split_off(parameters.len().min(arguments.positional.len()));
        let mut given = std::mem::take(&mut arguments.positional).into_iter();
        let mut values = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            values.push(given.next().or_else(|| arguments.take_named(&parameter.name)));
        }
        let mut extra = Vec::new();
        if let Some(symbol) = uses.caller {
            let caller = arguments.take_named("caller");
            extra.push((symbol, caller.unwrap_or_else(|| Value::undefined(Missing::Because("No caller defined")))));
        }
        match (uses.kwargs, arguments.named.first()) {
            (Some(symbol), _) => {
                let named = Arguments { positional: Vec::new(), named: std::mem::take(&mut arguments.named) };
                extra.push((symbol, Value::dict(functions::dict(named)?)));
            }
            (None, Some((unknown, _))) => {
                let message = format!("macro '{name}' takes no keyword argument '{}'", unknown.as_str());
                return Err(Error::operation(message));
            }
            (None, None) => {}
        }
        match uses.varargs {
            Some(symbol) => extra.push((symbol, Value::tuple(std::mem::take(&mut rest)))),
            None if !rest.is_empty() => {
                let message = format!("macro '{name}' takes not more than {} argument(s)", parameters.len());
                return Err(Error::operation(message));
            }
            None => {}
        }
        let text = self.captured(|run| {
            run.scoped(scope, |run| {
                extra.into_iter().for_each(|(symbol, value)| run.scopes.set(symbol, value));
                for (parameter, value) in parameters.iter().zip(values) {
                    let value = match (value, &parameter.default) {
                        (Some(value), _) => value,
                        (None, Some(default)) => run.evaluate(default)?,
                        (None, None) => Value::undefined(Missing::Because("a parameter of a macro was not provided")),
                    };
                    run.scopes.set(parameter.symbol, value);
                }
                run.run(body)
            })
            .map(|_| ())
        })?;
        Ok(Value::Str(text))
    }
}
