//! The `loop` variable of a `for`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::ast;
use crate::scopes::ScopeId;
use crate::value::{Missing, Value};

/// The state of a running `for`.
#[derive(Debug)]
pub(crate) struct Loop {
    items: Vec<Value>,
    index: Cell<usize>,
    depth: usize,
    changed: RefCell<Option<Vec<Value>>>,
    /// Of a recursive loop: what calling it runs, and where its names are looked up.
    pub(crate) recursion: Option<(Rc<ast::For>, ScopeId)>,
}

impl Loop {
    /// A loop over items, `depth` recursive loops deep (0 for the outermost).
    pub(crate) fn new(items: Vec<Value>, depth: usize, recursion: Option<(Rc<ast::For>, ScopeId)>) -> Loop {
        Loop { items, index: Cell::new(0), depth, changed: RefCell::default(), recursion }
    }

    /// How many items it walks.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// How many recursive loops are around it.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Goes to an item.
    pub(crate) fn advance(&self, index: usize) -> Value {
        self.index.set(index);
        self.items[index].clone()
    }

    /// An attribute such as `loop.index`; `None` where there is no such one.
    pub(crate) fn attribute(&self, name: &str) -> Option<Value> {
        let (index, len) = (self.index.get(), self.len());
        let neighbour = |index: Option<usize>, why| match index.and_then(|index| self.items.get(index)) {
            Some(item) => item.clone(),
            None => Value::undefined(Missing::Because(why)),
        };
        let count = |count: usize| Value::Int(count as i128);
        Some(match name {
            "index" => count(index + 1),
            "index0" => count(index),
            "revindex" => count(len - index),
            "revindex0" => count(len - index - 1),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(index + 1 == len),
            "length" => count(len),
            "depth" => count(self.depth + 1),
            "depth0" => count(self.depth),
            "previtem" => neighbour(index.checked_sub(1), "there is no previous item"),
            "nextitem" => neighbour(Some(index + 1), "there is no next item"),
            _ => return None,
        })
    }

    /// `loop.changed(...)`: whether the values differ from those of the last call.
    pub(crate) fn changed(&self, values: Vec<Value>) -> bool {
        let mut last = self.changed.borrow_mut();
        let same = last.as_ref().is_some_and(|last| {
            last.len() == values.len() && last.iter().zip(&values).all(|(last, value)| last.equals(value))
        });
        *last = Some(values);
        !same
    }

    /// `loop.cycle(...)`: the value whose turn it is.
    pub(crate) fn cycle(&self, values: &[Value]) -> Option<Value> {
        values.get(self.index.get().checked_rem(values.len())?).cloned()
    }
}
