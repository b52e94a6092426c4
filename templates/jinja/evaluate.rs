//! Evaluates expressions.

use crate::arguments::Arguments;
use crate::ast::{CallArguments, Expression};
use crate::attributes;
use crate::error::{Error, ErrorKind, Result};
use crate::interpreter::Interpreter;
use crate::operators;
use crate::python::repr;
use crate::text::TextBuilder;
use crate::value::{Dict, Key, Missing, Value};

impl Interpreter<'_> {
    /// The value of an expression.
    pub(crate) fn evaluate(&mut self, expression: &Expression) -> Result<Value> {
        match expression {
            Expression::Constant(value) => Ok(value.clone()),
            Expression::Name(symbol) => Ok(self.name(*symbol)),
            Expression::Body => Ok(self.body_text()),
            Expression::Binary(..) => self.binary(expression),
            _ => self.nested(|run| run.compound(expression)),
        }
    }

    fn compound(&mut self, expression: &Expression) -> Result<Value> {
        Ok(match expression {
            Expression::Constant(_) | Expression::Name(_) | Expression::Body | Expression::Binary(..) => {
                self.evaluate(expression)?
            }
            Expression::Tuple(items) => Value::tuple(self.all(items)?),
            Expression::List(items) => Value::list(self.all(items)?),
            Expression::Dict(entries) => {
                let mut dict = Dict::default();
                for (key, value) in entries {
                    let key = Key::new(self.evaluate(key)?)?;
                    dict.insert(key, self.evaluate(value)?);
                }
                Value::dict(dict)
            }
            Expression::Not(value) => Value::Bool(!self.evaluate(value)?.is_true()),
            Expression::Negate(value) => operators::negate(&self.evaluate(value)?)?,
            Expression::Plus(value) => operators::plus(&self.evaluate(value)?)?,
            Expression::And(left, right) => match self.evaluate(left)? {
                left if left.is_true() => self.evaluate(right)?,
                left => left,
            },
            Expression::Or(left, right) => match self.evaluate(left)? {
                left if left.is_true() => left,
                _ => self.evaluate(right)?,
            },
            Expression::Compare(first, chain) => {
                let mut left = self.evaluate(first)?;
                for (comparison, right) in chain {
                    let right = self.evaluate(right)?;
                    if !operators::compare(*comparison, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Expression::Concatenate(parts) => {
                let mut out = TextBuilder::default();
                for part in parts {
                    repr::write(&mut out, &self.evaluate(part)?)?;
                }
                Value::Str(out.finish())
            }
            Expression::Conditional { condition, then, otherwise } => {
                match (self.evaluate(condition)?.is_true(), otherwise) {
                    (true, _) => self.evaluate(then)?,
                    (false, Some(otherwise)) => self.evaluate(otherwise)?,
                    (false, None) => Value::undefined(Missing::Because("an inline `if` was false and has no `else`")),
                }
            }
            Expression::Attribute(value, name) => attributes::attribute(&self.evaluate(value)?, name)?,
            Expression::Item(value, key) => {
                let value = self.evaluate(value)?;
                attributes::item(&value, &self.evaluate(key)?)?
            }
            Expression::Slice(value, parts) => {
                let value = self.evaluate(value)?;
                let mut bounds = [None, None, None];
                for (bound, part) in bounds.iter_mut().zip(parts.iter()) {
                    *bound = part.as_ref().map(|part| self.evaluate(part)).transpose()?;
                }
                attributes::slice(&value, bounds)?
            }
            Expression::Call(callee, arguments) => {
                let callee = self.evaluate(callee)?;
                let arguments = self.arguments(arguments)?;
                self.call(&callee, arguments)?
            }
            Expression::Filter { target, name, filter, arguments } => {
                let filter = filter.ok_or_else(|| no_such("filter", name))?;
                let target = self.evaluate(target)?;
                filter(target, self.arguments(arguments)?)?
            }
            Expression::Test { target, name, predicate, arguments } => {
                let predicate = predicate.ok_or_else(|| no_such("test", name))?;
                let target = self.evaluate(target)?;
                Value::Bool(predicate(&target, self.arguments(arguments)?)?)
            }
        })
    }

    /// A chain of operators; walked rather than descended into, since templates add up long ones.
    fn binary(&mut self, expression: &Expression) -> Result<Value> {
        let mut pending = Vec::new();
        let mut leftmost = expression;
        while let Expression::Binary(operator, left, right) = leftmost {
            pending.push((*operator, &**right));
            leftmost = left;
        }
        self.nested(|run| {
            let mut value = run.evaluate(leftmost)?;
            while let Some((operator, right)) = pending.pop() {
                value = operators::binary(operator, &value, &run.evaluate(right)?)?;
            }
            Ok(value)
        })
    }

    fn all(&mut self, expressions: &[Expression]) -> Result<Vec<Value>> {
        expressions.iter().map(|expression| self.evaluate(expression)).collect()
    }

    /// The arguments of a call, `*` and `**` among them.
    pub(crate) fn arguments(&mut self, arguments: &CallArguments) -> Result<Arguments> {
        let mut positional = self.all(&arguments.positional)?;
        let mut named = Vec::with_capacity(arguments.named.len());
        for (name, value) in &arguments.named {
            named.push((name.clone(), self.evaluate(value)?));
        }
        if let Some(rest) = &arguments.rest {
            positional.extend(self.evaluate(rest)?.iterate()?);
        }
        if let Some(rest) = &arguments.named_rest {
            let Value::Dict(dict) = self.evaluate(rest)? else {
                return Err(Error::operation("what follows ** in a call must be a dictionary"));
            };
            for (name, value) in dict.iter() {
                let Value::Str(name) = name else {
                    return Err(Error::operation("keywords must be strings"));
                };
                named.push((name.clone(), value.clone()));
            }
        }
        Ok(Arguments { positional, named })
    }
}

fn no_such(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("no {what} named '{name}'"))
}
