//! Expressions, by Jinja2's precedence: `if`, `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`,
//! signs, then calls, subscripts, filters and tests.

use std::rc::Rc;

use crate::ast::{Binary, CallArguments, Comparison, Expression};
use crate::error::{Error, Result};
use crate::filters;
use crate::lexer::TokenKind;
use crate::predicates;
use crate::text::Text;
use crate::value::Value;

use super::Parser;

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expression> {
        self.nested(Parser::conditional)
    }

    /// An expression, or a tuple where commas follow. Without `conditional`, an `if` ends it, since it then belongs
    /// to the tag.
    pub(super) fn tuple_or_expression(&mut self, conditional: bool, ends: &[&str]) -> Result<Expression> {
        let element = |parser: &mut Self| match conditional {
            true => parser.expression(),
            false => parser.nested(Parser::or),
        };
        let first = element(self)?;
        if !self.is_operator(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.skip_operator(",") {
            let ended = matches!(self.peek(), TokenKind::VariableEnd | TokenKind::BlockEnd | TokenKind::Operator(")"))
                || ends.iter().any(|end| self.is_name(end));
            if ended {
                break;
            }
            items.push(element(self)?);
        }
        Ok(Expression::Tuple(items))
    }

    fn conditional(&mut self) -> Result<Expression> {
        let known = self.unknown.len();
        let mut value = self.or()?;
        while self.skip_name("if") {
            let condition = self.or()?;
            let otherwise = match self.skip_name("else") {
                true => Some(Box::new(self.nested(Parser::conditional)?)),
                false => None,
            };
            value = Expression::Conditional { condition: Box::new(condition), then: Box::new(value), otherwise };
            // What an inline `if` guards may never run.
            self.unknown.truncate(known);
        }
        Ok(value)
    }

    fn or(&mut self) -> Result<Expression> {
        let mut left = self.and()?;
        while self.skip_name("or") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression> {
        let mut left = self.not()?;
        while self.skip_name("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression> {
        match self.skip_name("not") {
            true => Ok(Expression::Not(Box::new(self.nested(Parser::not)?))),
            false => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Result<Expression> {
        let first = self.sum()?;
        let mut chain = Vec::new();
        loop {
            let comparison = match self.peek() {
                TokenKind::Operator("==") => Comparison::Equal,
                TokenKind::Operator("!=") => Comparison::NotEqual,
                TokenKind::Operator("<") => Comparison::Less,
                TokenKind::Operator("<=") => Comparison::LessOrEqual,
                TokenKind::Operator(">") => Comparison::Greater,
                TokenKind::Operator(">=") => Comparison::GreaterOrEqual,
                TokenKind::Name(name) if &**name == "in" => Comparison::In,
                TokenKind::Name(name)
                    if &**name == "not" && matches!(self.peek_second(), TokenKind::Name(next) if &**next == "in") =>
                {
                    self.advance();
                    Comparison::NotIn
                }
                _ => break,
            };
            self.advance();
            chain.push((comparison, self.sum()?));
        }
        Ok(match chain.is_empty() {
            true => first,
            false => Expression::Compare(Box::new(first), chain),
        })
    }

    fn sum(&mut self) -> Result<Expression> {
        self.binary(&[("+", Binary::Add), ("-", Binary::Subtract)], Parser::concatenation)
    }

    fn concatenation(&mut self) -> Result<Expression> {
        let first = self.product()?;
        if !self.is_operator("~") {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.skip_operator("~") {
            parts.push(self.product()?);
        }
        Ok(Expression::Concatenate(parts))
    }

    fn product(&mut self) -> Result<Expression> {
        let operators =
            [("*", Binary::Multiply), ("/", Binary::Divide), ("//", Binary::FloorDivide), ("%", Binary::Remainder)];
        self.binary(&operators, |parser| parser.binary(&[("**", Binary::Power)], |parser| parser.unary(true)))
    }

    /// Operands joined by operators of one precedence, from the left.
    fn binary(
        &mut self,
        operators: &[(&str, Binary)],
        operand: impl Fn(&mut Self) -> Result<Expression>,
    ) -> Result<Expression> {
        let mut left = operand(self)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.is_operator(sign)) {
            self.advance();
            left = Expression::Binary(*operator, Box::new(left), Box::new(operand(self)?));
        }
        Ok(left)
    }

    fn unary(&mut self, with_filters: bool) -> Result<Expression> {
        let value = if self.skip_operator("-") {
            Expression::Negate(Box::new(self.nested(|parser| parser.unary(false))?))
        } else if self.skip_operator("+") {
            Expression::Plus(Box::new(self.nested(|parser| parser.unary(false))?))
        } else {
            self.primary()?
        };
        let value = self.postfix(value)?;
        match with_filters {
            true => self.filters_and_tests(value),
            false => Ok(value),
        }
    }

    fn primary(&mut self) -> Result<Expression> {
        let value = match self.peek().clone() {
            TokenKind::Name(name) => {
                self.advance();
                return Ok(self.name(&name));
            }
            TokenKind::String(first) => {
                let mut value = first;
                self.advance();
                while let TokenKind::String(more) = self.peek() {
                    value.push_str(more);
                    self.advance();
                }
                return Ok(Expression::Constant(Value::template(&value)));
            }
            TokenKind::Integer(value) => Value::Int(value),
            TokenKind::Float(value) => Value::Float(value),
            TokenKind::Operator("(") => {
                self.advance();
                if self.skip_operator(")") {
                    return Ok(Expression::Tuple(Vec::new()));
                }
                let value = self.tuple_or_expression(true, &[])?;
                self.expect_operator(")")?;
                return Ok(value);
            }
            TokenKind::Operator("[") => {
                self.advance();
                return Ok(Expression::List(self.listed("]", Parser::expression)?));
            }
            TokenKind::Operator("{") => {
                self.advance();
                let entries = self.listed("}", |parser| {
                    let key = parser.expression()?;
                    parser.expect_operator(":")?;
                    Ok((key, parser.expression()?))
                })?;
                return Ok(Expression::Dict(entries));
            }
            _ => return self.unexpected("an expression"),
        };
        self.advance();
        Ok(Expression::Constant(value))
    }

    fn name(&mut self, name: &Rc<str>) -> Expression {
        match &**name {
            "true" | "True" => Expression::Constant(Value::Bool(true)),
            "false" | "False" => Expression::Constant(Value::Bool(false)),
            "none" | "None" => Expression::Constant(Value::None),
            _ => {
                let symbol = self.symbol(name);
                if let Some(uses) = self.macros.last_mut() {
                    match &**name {
                        "caller" => uses.caller = Some(symbol),
                        "varargs" => uses.varargs = Some(symbol),
                        "kwargs" => uses.kwargs = Some(symbol),
                        _ => {}
                    }
                }
                Expression::Name(symbol)
            }
        }
    }

    /// Elements separated by commas, up to and past `end`.
    fn listed<T>(&mut self, end: &str, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut elements = Vec::new();
        while !self.skip_operator(end) {
            if !elements.is_empty() {
                self.expect_operator(",")?;
                if self.skip_operator(end) {
                    break;
                }
            }
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Attributes, subscripts and calls.
    fn postfix(&mut self, mut value: Expression) -> Result<Expression> {
        loop {
            if self.skip_operator(".") {
                value = match self.peek().clone() {
                    TokenKind::Name(name) => Expression::Attribute(Box::new(value), name),
                    TokenKind::Integer(index) => {
                        Expression::Item(Box::new(value), Box::new(Expression::Constant(Value::Int(index))))
                    }
                    _ => return self.unexpected("a name or a number"),
                };
                self.advance();
            } else if self.skip_operator("[") {
                value = self.subscript(value)?;
            } else if self.is_operator("(") {
                value = Expression::Call(Box::new(value), self.call_arguments()?);
            } else {
                return Ok(value);
            }
        }
    }

    fn subscript(&mut self, value: Expression) -> Result<Expression> {
        let mut parts = [None, None, None];
        let mut colons = 0;
        loop {
            if self.skip_operator("]") {
                break;
            }
            if self.skip_operator(":") {
                colons += 1;
                if colons == parts.len() {
                    return self.unexpected("']'");
                }
            } else if parts[colons].is_none() {
                parts[colons] = Some(match colons {
                    0 => self.tuple_or_expression(true, &[])?,
                    _ => self.expression()?,
                });
            } else {
                return self.unexpected("']'");
            }
        }
        match (colons, parts) {
            (0, [Some(index), ..]) => Ok(Expression::Item(Box::new(value), Box::new(index))),
            (0, _) => self.error("expected a subscript"),
            (_, parts) => Ok(Expression::Slice(Box::new(value), Box::new(parts))),
        }
    }

    fn filters_and_tests(&mut self, mut value: Expression) -> Result<Expression> {
        loop {
            if self.skip_operator("|") {
                value = self.filter(value)?;
            } else if self.skip_name("is") {
                value = self.test(value)?;
            } else if self.is_operator("(") {
                value = Expression::Call(Box::new(value), self.call_arguments()?);
            } else {
                return Ok(value);
            }
        }
    }

    /// Filters applied to the text of a body, from the name of the first.
    pub(super) fn filter_chain(&mut self) -> Result<Expression> {
        let mut value = self.filter(Expression::Body)?;
        while self.skip_operator("|") {
            value = self.filter(value)?;
        }
        Ok(value)
    }

    fn dotted_name(&mut self) -> Result<Rc<str>> {
        let mut name = self.expect_name()?;
        while self.skip_operator(".") {
            name = format!("{name}.{}", self.expect_name()?).into();
        }
        Ok(name)
    }

    fn filter(&mut self, target: Expression) -> Result<Expression> {
        let line = self.line();
        let name = self.dotted_name()?;
        let filter = filters::find(&name);
        if filter.is_none() && !self.conditional {
            self.unknown.push(Error::syntax(format!("no filter named '{name}'"), line));
        }
        let arguments = match self.is_operator("(") {
            true => self.call_arguments()?,
            false => CallArguments::default(),
        };
        Ok(Expression::Filter { target: Box::new(target), name, filter, arguments })
    }

    fn test(&mut self, target: Expression) -> Result<Expression> {
        let line = self.line();
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let predicate = predicates::find(&name);
        if predicate.is_none() && !self.conditional {
            self.unknown.push(Error::syntax(format!("no test named '{name}'"), line));
        }
        let mut arguments = CallArguments::default();
        match self.peek() {
            TokenKind::Operator("(") => arguments = self.call_arguments()?,
            TokenKind::Name(name) if matches!(&**name, "else" | "or" | "and") => {}
            TokenKind::Name(name) if &**name == "is" => return self.error("tests cannot be chained with `is`"),
            TokenKind::Name(_)
            | TokenKind::String(_)
            | TokenKind::Integer(_)
            | TokenKind::Float(_)
            | TokenKind::Operator("[" | "{") => {
                let argument = self.primary()?;
                arguments.positional.push(self.postfix(argument)?);
            }
            _ => {}
        }
        let test = Expression::Test { target: Box::new(target), name, predicate, arguments };
        Ok(match negated {
            true => Expression::Not(Box::new(test)),
            false => test,
        })
    }

    fn call_arguments(&mut self) -> Result<CallArguments> {
        self.expect_operator("(")?;
        let mut arguments = CallArguments::default();
        self.listed(")", |parser| {
            let misplaced = |parser: &Self| parser.error("malformed arguments of a call");
            if parser.skip_operator("*") {
                if arguments.rest.is_some() || arguments.named_rest.is_some() {
                    return misplaced(parser);
                }
                arguments.rest = Some(Box::new(parser.expression()?));
            } else if parser.skip_operator("**") {
                if arguments.named_rest.is_some() {
                    return misplaced(parser);
                }
                arguments.named_rest = Some(Box::new(parser.expression()?));
            } else if matches!(parser.peek(), TokenKind::Name(_))
                && matches!(parser.peek_second(), TokenKind::Operator("="))
            {
                if arguments.named_rest.is_some() {
                    return misplaced(parser);
                }
                let name = parser.expect_name()?;
                parser.advance();
                arguments.named.push((Text::template(&name), parser.expression()?));
            } else {
                if !arguments.named.is_empty() || arguments.rest.is_some() || arguments.named_rest.is_some() {
                    return misplaced(parser);
                }
                arguments.positional.push(parser.expression()?);
            }
            Ok(())
        })?;
        Ok(arguments)
    }
}
