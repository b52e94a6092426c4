//! A parsed template.

use std::rc::Rc;

use crate::filters::Filter;
use crate::predicates::Predicate;
use crate::text::Text;
use crate::value::Value;

/// The number of a name within its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol(pub(crate) usize);

pub(crate) type Body = Vec<Statement>;

#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) line: u32,
    pub(crate) kind: StatementKind,
}

#[derive(Debug)]
pub(crate) enum StatementKind {
    /// Text outside of any tag.
    Data(Text),
    Print(Expression),
    Set(Target, Expression),
    SetBlock {
        target: Target,
        /// Applied to the body's text, which [`Expression::Body`] stands for.
        value: Expression,
        body: Body,
    },
    /// Conditions with their bodies, and the body where none holds.
    If(Vec<(Expression, Body)>, Body),
    For(Rc<For>),
    Macro(Symbol, Rc<Macro>),
    Call {
        call: Expression,
        caller: Rc<Macro>,
    },
    FilterBlock(Expression, Body),
    With(Vec<(Target, Expression)>, Body),
    /// A body with names of its own: `generation`.
    Scope(Body),
    /// A body that sees the names of the top level only: `block`.
    Block(Body),
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct For {
    pub(crate) target: Target,
    pub(crate) iterable: Expression,
    pub(crate) condition: Option<Expression>,
    pub(crate) recursive: bool,
    pub(crate) body: Body,
    pub(crate) otherwise: Body,
}

#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) name: Rc<str>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) body: Body,
    /// The names that its body uses of those that a call fills without being parameters.
    pub(crate) uses: Uses,
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: Rc<str>,
    pub(crate) symbol: Symbol,
    pub(crate) default: Option<Expression>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uses {
    pub(crate) caller: Option<Symbol>,
    pub(crate) varargs: Option<Symbol>,
    pub(crate) kwargs: Option<Symbol>,
}

#[derive(Debug)]
pub(crate) enum Target {
    Name(Symbol),
    Tuple(Vec<Target>),
    /// An attribute of a namespace.
    Attribute(Symbol, Rc<str>),
}

#[derive(Debug)]
pub(crate) enum Expression {
    Constant(Value),
    Name(Symbol),
    /// The text of the body that a filter is applied to.
    Body,
    Tuple(Vec<Expression>),
    List(Vec<Expression>),
    Dict(Vec<(Expression, Expression)>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Plus(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    /// A chain such as `1 < x <= 3`.
    Compare(Box<Expression>, Vec<(Comparison, Expression)>),
    Binary(Binary, Box<Expression>, Box<Expression>),
    Concatenate(Vec<Expression>),
    Conditional {
        condition: Box<Expression>,
        then: Box<Expression>,
        otherwise: Option<Box<Expression>>,
    },
    Attribute(Box<Expression>, Rc<str>),
    Item(Box<Expression>, Box<Expression>),
    Slice(Box<Expression>, Box<[Option<Expression>; 3]>),
    Call(Box<Expression>, CallArguments),
    Filter {
        target: Box<Expression>,
        name: Rc<str>,
        filter: Option<Filter>,
        arguments: CallArguments,
    },
    Test {
        target: Box<Expression>,
        name: Rc<str>,
        predicate: Option<Predicate>,
        arguments: CallArguments,
    },
}

#[derive(Debug, Default)]
pub(crate) struct CallArguments {
    pub(crate) positional: Vec<Expression>,
    pub(crate) named: Vec<(Text, Expression)>,
    /// `*list`
    pub(crate) rest: Option<Box<Expression>>,
    /// `**dict`
    pub(crate) named_rest: Option<Box<Expression>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}
