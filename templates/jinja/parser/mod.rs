//! From tokens to statements: Jinja2's grammar, with the tags that transformers adds (`generation`, `break`,
//! `continue`).

mod expression;

use std::rc::Rc;

use crate::ast::{Body, Expression, For, Macro, Parameter, Statement, StatementKind, Symbol, Target, Uses};
use crate::error::{Error, ErrorKind, Result};
use crate::lexer::{self, Token, TokenKind};
use crate::text::Text;

/// How deep tags and expressions may nest.
const MAX_DEPTH: usize = 100;

/// A parsed template and the names it uses; a [`Symbol`] is an index into them.
pub(crate) struct Parsed {
    pub(crate) body: Body,
    pub(crate) names: Vec<Rc<str>>,
}

/// Parses a template.
pub(crate) fn parse(source: &str) -> Result<Parsed> {
    let tokens = lexer::tokenize(source)?;
    let mut parser = Parser {
        tokens,
        position: 0,
        names: Vec::new(),
        depth: 0,
        conditional: false,
        unknown: Vec::new(),
        macros: Vec::new(),
    };
    let body = parser.body(&[])?;
    match parser.unknown.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(Parsed { body, names: parser.names }),
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    names: Vec<Rc<str>>,
    depth: usize,
    /// Whether what is parsed may never run, as a branch of an `if`: there an unknown filter is no error yet.
    conditional: bool,
    /// Filters and tests that do not exist, where they are an error even if they never run.
    unknown: Vec<Error>,
    /// The macros around what is parsed, and what their bodies use.
    macros: Vec<Uses>,
}

impl Parser {
    fn peek(&self) -> &TokenKind {
        &self.tokens[self.position].kind
    }

    fn peek_second(&self) -> &TokenKind {
        &self.tokens[(self.position + 1).min(self.tokens.len() - 1)].kind
    }

    fn line(&self) -> u32 {
        self.tokens[self.position].line
    }

    fn advance(&mut self) {
        self.position = (self.position + 1).min(self.tokens.len() - 1);
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Error::syntax(message, self.line()))
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T> {
        let found = match self.peek() {
            TokenKind::Data(_) => "text".to_owned(),
            TokenKind::VariableBegin => "'{{'".to_owned(),
            TokenKind::VariableEnd => "'}}'".to_owned(),
            TokenKind::BlockBegin => "'{%'".to_owned(),
            TokenKind::BlockEnd => "'%}'".to_owned(),
            TokenKind::Name(name) => format!("'{name}'"),
            TokenKind::String(_) => "a string".to_owned(),
            TokenKind::Integer(_) | TokenKind::Float(_) => "a number".to_owned(),
            TokenKind::Operator(operator) => format!("'{operator}'"),
            TokenKind::End => "the end of the template".to_owned(),
        };
        self.error(format!("expected {wanted}, got {found}"))
    }

    fn expect(&mut self, kind: &TokenKind, wanted: &str) -> Result<()> {
        if self.peek() == kind {
            self.advance();
            return Ok(());
        }
        self.unexpected(wanted)
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), TokenKind::Operator(found) if *found == operator)
    }

    fn skip_operator(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        if found {
            self.advance();
        }
        found
    }

    fn expect_operator(&mut self, operator: &str) -> Result<()> {
        if self.skip_operator(operator) {
            return Ok(());
        }
        self.unexpected(&format!("'{operator}'"))
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), TokenKind::Name(found) if &**found == name)
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.advance();
        }
        found
    }

    fn expect_name(&mut self) -> Result<Rc<str>> {
        let TokenKind::Name(name) = self.peek() else { return self.unexpected("a name") };
        let name = name.clone();
        self.advance();
        Ok(name)
    }

    fn symbol(&mut self, name: &Rc<str>) -> Symbol {
        let index = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.clone());
            self.names.len() - 1
        });
        Symbol(index)
    }

    /// Parses something that may contain itself.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(Error::new(ErrorKind::Limit, "the template nests too deeply").at(self.line()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Parses a part that runs always (`false`) or perhaps never (`true`) where it stands.
    fn conditionally<T>(&mut self, conditional: bool, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outer = std::mem::replace(&mut self.conditional, conditional);
        let parsed = parse(self);
        self.conditional = outer;
        parsed
    }

    /// Statements up to one of the tags named in `ends`, whose name is then the current token; with none named, up
    /// to the end of the template.
    fn body(&mut self, ends: &[&str]) -> Result<Body> {
        let mut body = Body::new();
        loop {
            let line = self.line();
            let kind = match self.peek() {
                TokenKind::End if ends.is_empty() => return Ok(body),
                TokenKind::End => return self.unexpected(&format!("'{}'", ends.join("' or '"))),
                TokenKind::Data(text) => {
                    let text = Text::template(text);
                    self.advance();
                    StatementKind::Data(text)
                }
                TokenKind::VariableBegin => {
                    self.advance();
                    let value = self.tuple_or_expression(true, &[])?;
                    self.expect(&TokenKind::VariableEnd, "'}}'")?;
                    StatementKind::Print(value)
                }
                _ => {
                    self.expect(&TokenKind::BlockBegin, "a tag")?;
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(body);
                    }
                    let statement = self.nested(Parser::statement)?;
                    self.expect(&TokenKind::BlockEnd, "'%}'")?;
                    statement
                }
            };
            body.push(Statement { line, kind });
        }
    }

    /// The rest of an opening tag, the statements after it, and the name of the tag that ends them.
    fn body_until(&mut self, ends: &[&str]) -> Result<Body> {
        self.skip_operator(":");
        self.expect(&TokenKind::BlockEnd, "'%}'")?;
        self.body(ends)
    }

    /// The same, past the name of the single tag that can end it.
    fn body_through(&mut self, end: &str) -> Result<Body> {
        let body = self.body_until(&[end])?;
        self.advance();
        Ok(body)
    }

    fn statement(&mut self) -> Result<StatementKind> {
        let line = self.line();
        let tag = self.expect_name()?;
        match &*tag {
            "if" => self.if_statement(),
            "for" => self.conditionally(false, Parser::for_statement),
            "set" => self.set_statement(),
            "macro" => {
                let name = self.expect_name()?;
                let symbol = self.symbol(&name);
                let parameters = self.parameters()?;
                Ok(StatementKind::Macro(symbol, self.macro_body(name, parameters, "endmacro")?))
            }
            "call" => self.call_statement(),
            "filter" => {
                let value = self.filter_chain()?;
                let body = self.conditionally(false, |parser| parser.body_through("endfilter"))?;
                Ok(StatementKind::FilterBlock(value, body))
            }
            "with" => self.with_statement(),
            "generation" => {
                let body = self.conditionally(false, |parser| parser.body_through("endgeneration"))?;
                Ok(StatementKind::Scope(body))
            }
            "block" => {
                let name = self.expect_name()?;
                self.skip_name("scoped");
                self.skip_name("required");
                let body = self.conditionally(false, |parser| parser.body_through("endblock"))?;
                self.skip_name(&name);
                Ok(StatementKind::Block(body))
            }
            "print" => {
                let mut parts = vec![self.expression()?];
                while self.skip_operator(",") {
                    parts.push(self.expression()?);
                }
                Ok(StatementKind::Print(Expression::Concatenate(parts)))
            }
            "break" => Ok(StatementKind::Break),
            "continue" => Ok(StatementKind::Continue),
            "include" | "import" | "from" | "extends" | "autoescape" => {
                let message = format!("`{tag}` is not supported: a chat template stands alone and writes plain text");
                Err(Error::new(ErrorKind::Unsupported, message).at(line))
            }
            _ => Err(Error::syntax(format!("unknown tag '{tag}'"), line)),
        }
    }

    fn if_statement(&mut self) -> Result<StatementKind> {
        self.conditionally(true, |parser| {
            let mut branches = Vec::new();
            loop {
                let condition = parser.tuple_or_expression(false, &[])?;
                let body = parser.body_until(&["elif", "else", "endif"])?;
                branches.push((condition, body));
                if parser.skip_name("elif") {
                    continue;
                }
                let otherwise = match parser.skip_name("else") {
                    true => parser.body_through("endif")?,
                    false => {
                        parser.advance();
                        Body::new()
                    }
                };
                return Ok(StatementKind::If(branches, otherwise));
            }
        })
    }

    fn for_statement(&mut self) -> Result<StatementKind> {
        let target = self.target(false, &["in"])?;
        if !self.skip_name("in") {
            return self.unexpected("'in'");
        }
        let iterable = self.tuple_or_expression(false, &["recursive"])?;
        let condition = match self.skip_name("if") {
            true => Some(self.expression()?),
            false => None,
        };
        let recursive = self.skip_name("recursive");
        let body = self.body_until(&["endfor", "else"])?;
        let otherwise = match self.skip_name("else") {
            true => self.body_through("endfor")?,
            false => {
                self.advance();
                Body::new()
            }
        };
        Ok(StatementKind::For(Rc::new(For { target, iterable, condition, recursive, body, otherwise })))
    }

    fn set_statement(&mut self) -> Result<StatementKind> {
        let target = self.target(true, &[])?;
        if self.skip_operator("=") {
            return Ok(StatementKind::Set(target, self.tuple_or_expression(true, &[])?));
        }
        let value = match self.skip_operator("|") {
            true => self.filter_chain()?,
            false => Expression::Body,
        };
        let body = self.conditionally(false, |parser| parser.body_through("endset"))?;
        Ok(StatementKind::SetBlock { target, value, body })
    }

    fn parameters(&mut self) -> Result<Vec<Parameter>> {
        self.expect_operator("(")?;
        let mut parameters: Vec<Parameter> = Vec::new();
        while !self.skip_operator(")") {
            if !parameters.is_empty() {
                self.expect_operator(",")?;
            }
            let name = self.expect_name()?;
            let symbol = self.symbol(&name);
            let default = match self.skip_operator("=") {
                true => Some(self.expression()?),
                false if parameters.last().is_some_and(|parameter| parameter.default.is_some()) => {
                    return self.error("a parameter without a default follows one with a default");
                }
                false => None,
            };
            parameters.push(Parameter { name, symbol, default });
        }
        Ok(parameters)
    }

    fn macro_body(&mut self, name: Rc<str>, parameters: Vec<Parameter>, end: &str) -> Result<Rc<Macro>> {
        self.macros.push(Uses::default());
        let body = self.conditionally(false, |parser| parser.body_through(end));
        let mut uses = self.macros.pop().unwrap_or_default();
        let is_parameter = |symbol: &Symbol| parameters.iter().any(|parameter| parameter.symbol == *symbol);
        for used in [&mut uses.caller, &mut uses.varargs, &mut uses.kwargs] {
            *used = used.filter(|symbol| !is_parameter(symbol));
        }
        Ok(Rc::new(Macro { name, parameters, body: body?, uses }))
    }

    fn call_statement(&mut self) -> Result<StatementKind> {
        let parameters = match self.is_operator("(") {
            true => self.parameters()?,
            false => Vec::new(),
        };
        let call = self.expression()?;
        if !matches!(call, Expression::Call(..)) {
            return self.error("`call` needs a call");
        }
        let caller = self.macro_body("caller".into(), parameters, "endcall")?;
        Ok(StatementKind::Call { call, caller })
    }

    fn with_statement(&mut self) -> Result<StatementKind> {
        let mut names = Vec::new();
        while !matches!(self.peek(), TokenKind::BlockEnd) {
            if !names.is_empty() {
                self.expect_operator(",")?;
            }
            let target = self.target(false, &[])?;
            self.expect_operator("=")?;
            names.push((target, self.expression()?));
        }
        let body = self.conditionally(false, |parser| parser.body_through("endwith"))?;
        Ok(StatementKind::With(names, body))
    }

    /// What is assigned to: a name, names separated by commas, or with `attributes` a namespace's attribute.
    fn target(&mut self, attributes: bool, ends: &[&str]) -> Result<Target> {
        let first = self.single_target(attributes)?;
        if !self.is_operator(",") {
            return Ok(first);
        }
        let mut targets = vec![first];
        while self.skip_operator(",") {
            let ended = matches!(self.peek(), TokenKind::BlockEnd | TokenKind::Operator(")" | "="))
                || ends.iter().any(|end| self.is_name(end));
            if ended {
                break;
            }
            targets.push(self.single_target(attributes)?);
        }
        Ok(Target::Tuple(targets))
    }

    fn single_target(&mut self, attributes: bool) -> Result<Target> {
        if self.skip_operator("(") {
            let target = self.nested(|parser| parser.target(attributes, &[]))?;
            self.expect_operator(")")?;
            return Ok(target);
        }
        let name = self.expect_name()?;
        if matches!(&*name, "true" | "True" | "false" | "False" | "none" | "None") {
            return self.error(format!("cannot assign to '{name}'"));
        }
        let symbol = self.symbol(&name);
        if attributes && self.skip_operator(".") {
            return Ok(Target::Attribute(symbol, self.expect_name()?));
        }
        Ok(Target::Name(symbol))
    }
}
