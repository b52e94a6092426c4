//! The values of a rendering, with the meaning that Python gives them.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use indexmap::{Equivalent, IndexMap};

use crate::error::{Error, ErrorKind, Result};
use crate::functions::Function;
use crate::loops::Loop;
use crate::text::{Origin, Text};

/// What an expression yields. Cloning is cheap: everything of a size is shared, and nothing but a namespace, a
/// loop and an iterator ever changes.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A name, an attribute or an item that does not exist, and why.
    Undefined(Rc<Missing>),
    /// `none`.
    None,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Str(Text),
    /// A list.
    List(Rc<Vec<Value>>),
    /// A tuple.
    Tuple(Rc<Tuple>),
    /// A dictionary, in insertion order.
    Dict(Rc<Dict>),
    /// What `range()` gives.
    Range(Range),
    /// What a dictionary's `keys()`, `values()` and `items()` give.
    View(Rc<View>),
    /// What lazy filters give: it can be walked once.
    Iterator(Rc<RefCell<Stream>>),
    /// What `namespace()` gives: the one thing a template may assign into.
    Namespace(Rc<RefCell<Dict>>),
    /// The `loop` of a `for`.
    Loop(Rc<Loop>),
    /// A macro, a method or a global function.
    Function(Rc<Function>),
}

/// Why a value is undefined; told once something is done with it that needs a value.
#[derive(Debug)]
pub(crate) enum Missing {
    /// No variable of this name.
    Name(Rc<str>),
    /// A value of this type has no such attribute.
    Attribute(&'static str, Rc<str>),
    /// A value of this type has no element under this key.
    Element(&'static str, String),
    /// Any other reason, as a sentence.
    Because(&'static str),
}

impl Missing {
    /// The error that using the value gives.
    pub(crate) fn error(&self) -> Error {
        let message = match self {
            Missing::Name(name) => format!("'{name}' is undefined"),
            Missing::Attribute(owner, name) => format!("'{owner} object' has no attribute '{name}'"),
            Missing::Element(owner, key) => format!("{owner} object has no element {key}"),
            Missing::Because(sentence) => (*sentence).to_owned(),
        };
        Error::new(ErrorKind::Undefined, message)
    }
}

/// A tuple; `groupby` names its two items.
#[derive(Debug, Default)]
pub(crate) struct Tuple {
    /// The items.
    pub(crate) items: Vec<Value>,
    /// The names that some items may also be called by.
    pub(crate) fields: &'static [&'static str],
}

/// An arithmetic progression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first number.
    pub(crate) start: i128,
    /// How many numbers there are.
    pub(crate) len: usize,
    /// What each adds to the one before.
    pub(crate) step: i128,
}

impl Range {
    /// The number at an index, which must be less than `len`.
    pub(crate) fn at(&self, index: usize) -> Value {
        Value::Int(self.start + self.step * index as i128)
    }
}

/// What a view shows of its dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// `keys()`.
    Keys,
    /// `values()`.
    Values,
    /// `items()`.
    Items,
}

/// A dictionary looked at from one side.
#[derive(Debug)]
pub(crate) struct View {
    /// The side.
    pub(crate) show: Show,
    /// The dictionary.
    pub(crate) dict: Rc<Dict>,
}

impl View {
    /// What it shows, in order.
    pub(crate) fn items(&self) -> Vec<Value> {
        match self.show {
            Show::Keys => self.dict.keys().cloned().collect(),
            Show::Values => self.dict.iter().map(|(_, value)| value.clone()).collect(),
            Show::Items => {
                self.dict.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect()
            }
        }
    }
}

/// The rest of an iterator: what it still yields, and the error that it ends with, if any.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    items: std::collections::VecDeque<Value>,
    error: Option<Error>,
}

impl Stream {
    /// The next item.
    pub(crate) fn next(&mut self) -> Result<Option<Value>> {
        match self.items.pop_front() {
            Some(item) => Ok(Some(item)),
            None => self.error.take().map_or(Ok(None), Err),
        }
    }
}

/// A dictionary's key: a value that Python can hash.
#[derive(Clone, Debug)]
pub(crate) struct Key(Value);

impl Key {
    /// The value as a key, if it has a hash.
    pub(crate) fn new(value: Value) -> Result<Key> {
        fn hashable(value: &Value) -> bool {
            match value {
                Value::List(_) | Value::Dict(_) | Value::View(_) => false,
                Value::Tuple(tuple) => tuple.items.iter().all(hashable),
                _ => true,
            }
        }
        match hashable(&value) {
            true => Ok(Key(value)),
            false => Err(Error::operation(format!("unhashable type: '{}'", value.type_name()))),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0.equals(&other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Str(text) => text.as_str().hash(state),
            Value::Bool(value) => i128::from(*value).hash(state),
            Value::Int(value) => value.hash(state),
            // 1 and 1.0 are the same key.
            Value::Float(value) if value.trunc() == *value => (*value as i128).hash(state),
            Value::Float(value) => value.to_bits().hash(state),
            Value::Tuple(tuple) => tuple.items.iter().for_each(|item| Key(item.clone()).hash(state)),
            _ => {}
        }
    }
}

/// A string looked up without making a key of it.
#[derive(Hash)]
struct Name<'a>(&'a str);

impl Equivalent<Key> for Name<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        matches!(&key.0, Value::Str(text) if text.as_str() == self.0)
    }
}

/// A dictionary in insertion order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dict {
    entries: IndexMap<Key, Value>,
}

impl Dict {
    /// The value under a string.
    pub(crate) fn get_str(&self, name: &str) -> Option<&Value> {
        self.entries.get(&Name(name))
    }

    /// The value under any key.
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Sets a value; a key that exists keeps its place.
    pub(crate) fn insert(&mut self, key: Key, value: Value) {
        self.entries.insert(key, value);
    }

    /// Sets the value under a string.
    pub(crate) fn insert_text(&mut self, key: Text, value: Value) {
        self.entries.insert(Key(Value::Str(key)), value);
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Value> {
        self.entries.keys().map(|key| &key.0)
    }

    /// Keys and values, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (&key.0, value))
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Value {
    /// A string of the template's.
    pub(crate) fn template(chars: &str) -> Value {
        Value::Str(Text::template(chars))
    }

    /// A string of the caller's.
    pub(crate) fn caller(chars: &str) -> Value {
        Value::Str(Text::new(chars, Origin::Caller))
    }

    /// A list.
    pub(crate) fn list(items: Vec<Value>) -> Value {
        Value::List(Rc::new(items))
    }

    /// A tuple.
    pub(crate) fn tuple(items: Vec<Value>) -> Value {
        Value::Tuple(Rc::new(Tuple { items, fields: &[] }))
    }

    /// A dictionary.
    pub(crate) fn dict(dict: Dict) -> Value {
        Value::Dict(Rc::new(dict))
    }

    /// An iterator over items that ends well.
    pub(crate) fn iterator(items: Vec<Value>) -> Value {
        Value::Iterator(Rc::new(RefCell::new(Stream { items: items.into(), error: None })))
    }

    /// An iterator that applies `step` to items until one fails. Python would run `step` only when the iterator is
    /// walked; since nothing a template does can tell when, only the error waits.
    pub(crate) fn lazy(items: Vec<Value>, mut step: impl FnMut(Value, &mut Vec<Value>) -> Result<()>) -> Value {
        let mut out = Vec::new();
        let error = items.into_iter().try_for_each(|item| step(item, &mut out)).err();
        Value::Iterator(Rc::new(RefCell::new(Stream { items: out.into(), error })))
    }

    /// An undefined value.
    pub(crate) fn undefined(missing: Missing) -> Value {
        Value::Undefined(Rc::new(missing))
    }

    /// What Python calls the type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "None",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(text) if text.is_markup() => "Markup",
            Value::Str(_) => "str",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::Range(_) => "range",
            Value::View(view) => match view.show {
                Show::Keys => "dict_keys",
                Show::Values => "dict_values",
                Show::Items => "dict_items",
            },
            Value::Iterator(_) => "generator",
            Value::Namespace(_) => "Namespace",
            Value::Loop(_) => "LoopContext",
            Value::Function(_) => "function",
        }
    }

    /// Whether it counts as true.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(text) => !text.as_str().is_empty(),
            _ => self.len() != Some(0),
        }
    }

    /// The number of characters, items or entries, where there is one.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Value::Undefined(_) => Some(0),
            Value::Str(text) => Some(text.as_str().chars().count()),
            Value::List(items) => Some(items.len()),
            Value::Tuple(tuple) => Some(tuple.items.len()),
            Value::Dict(dict) => Some(dict.len()),
            Value::Range(range) => Some(range.len),
            Value::View(view) => Some(view.dict.len()),
            Value::Loop(state) => Some(state.len()),
            _ => None,
        }
    }

    /// Whether it can be walked.
    pub(crate) fn is_iterable(&self) -> bool {
        match self {
            Value::Iterator(_) | Value::Loop(_) => true,
            Value::Namespace(_) => false,
            _ => self.len().is_some(),
        }
    }

    /// What a walk over it yields; an iterator is empty afterwards.
    pub(crate) fn iterate(&self) -> Result<Vec<Value>> {
        Ok(match self {
            Value::Undefined(_) => Vec::new(),
            Value::Str(text) => {
                let borders = text.borders();
                let plain = text.clone().with_markup(false);
                borders.windows(2).map(|pair| Value::Str(plain.slice(pair[0]..pair[1]))).collect()
            }
            Value::List(items) => items.to_vec(),
            Value::Tuple(tuple) => tuple.items.clone(),
            Value::Dict(dict) => dict.keys().cloned().collect(),
            Value::Range(range) => (0..range.len).map(|index| range.at(index)).collect(),
            Value::View(view) => view.items(),
            Value::Iterator(stream) => {
                let mut items = Vec::new();
                while let Some(item) = stream.borrow_mut().next()? {
                    items.push(item);
                }
                items
            }
            _ => return Err(Error::operation(format!("'{}' object is not iterable", self.type_name()))),
        })
    }

    /// Whether the value as a whole is the caller's: its text, all its keys, or all its items.
    pub(crate) fn is_callers(&self) -> bool {
        match self {
            Value::Str(text) => text.has_caller(),
            Value::Dict(dict) => dict.len() > 0 && dict.keys().all(Value::is_callers),
            Value::List(items) => !items.is_empty() && items.iter().all(Value::is_callers),
            Value::Tuple(tuple) => !tuple.items.is_empty() && tuple.items.iter().all(Value::is_callers),
            _ => false,
        }
    }

    /// Python's `==`.
    pub(crate) fn equals(&self, other: &Value) -> bool {
        let all = |a: &[Value], b: &[Value]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b));
        match (self, other) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(a), Value::List(b)) => all(a, b),
            (Value::Tuple(a), Value::Tuple(b)) => all(&a.items, &b.items),
            (Value::Dict(a), Value::Dict(b)) => {
                a.len() == b.len()
                    && a.entries.iter().all(|(key, value)| b.get(key).is_some_and(|other| value.equals(other)))
            }
            (Value::Range(a), Value::Range(b)) => {
                a.len == b.len && (a.len == 0 || a.start == b.start && (a.len == 1 || a.step == b.step))
            }
            _ => match (self.integer(), other.integer()) {
                (Some(a), Some(b)) => a == b,
                _ => match (self.number(), other.number()) {
                    (Some(a), Some(b)) => a == b,
                    _ => self.is_same(other),
                },
            },
        }
    }

    /// Python's `is`.
    pub(crate) fn is_same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::None, Value::None) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(a), Value::List(b)) => Rc::ptr_eq(a, b),
            (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b),
            (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
            (Value::Iterator(a), Value::Iterator(b)) => Rc::ptr_eq(a, b),
            (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
            (Value::Loop(a), Value::Loop(b)) => Rc::ptr_eq(a, b),
            (Value::Function(a), Value::Function(b)) => Rc::ptr_eq(a, b),
            (Value::Undefined(a), Value::Undefined(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// Python's ordering; `None` where neither is smaller and they are not equal (not-a-number).
    pub(crate) fn compare(&self, other: &Value) -> Result<Option<Ordering>> {
        fn sequences(a: &[Value], b: &[Value]) -> Result<Option<Ordering>> {
            match a.iter().zip(b).find(|(a, b)| !a.equals(b)) {
                Some((a, b)) => a.compare(b),
                None => Ok(Some(a.len().cmp(&b.len()))),
            }
        }
        match (self, other) {
            (Value::Undefined(missing), _) | (_, Value::Undefined(missing)) => Err(missing.error()),
            (Value::Str(a), Value::Str(b)) => Ok(Some(a.cmp(b))),
            (Value::List(a), Value::List(b)) => sequences(a, b),
            (Value::Tuple(a), Value::Tuple(b)) => sequences(&a.items, &b.items),
            _ => match (self.integer(), other.integer(), self.number(), other.number()) {
                (Some(a), Some(b), ..) => Ok(Some(a.cmp(&b))),
                (_, _, Some(a), Some(b)) => Ok(a.partial_cmp(&b)),
                _ => Err(Error::operation(format!("'{}' and '{}' have no order", self.type_name(), other.type_name()))),
            },
        }
    }

    /// The value of an integer or a boolean.
    pub(crate) fn integer(&self) -> Option<i128> {
        match self {
            Value::Bool(value) => Some(i128::from(*value)),
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of any number.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            _ => self.integer().map(|value| value as f64),
        }
    }
}
