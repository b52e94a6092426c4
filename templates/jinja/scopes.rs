//! Where names live while a template runs.
//!
//! Scopes are kept in one list rather than behind counted references, since a macro that is stored in the scope
//! it closes over would keep itself alive for ever.

use crate::ast::Symbol;
use crate::value::Value;

/// A scope, for as long as the rendering lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeId(usize);

#[derive(Debug)]
struct Scope {
    parent: Option<ScopeId>,
    names: Vec<(Symbol, Value)>,
}

/// All scopes of a rendering.
#[derive(Debug)]
pub(crate) struct Scopes {
    scopes: Vec<Scope>,
    current: ScopeId,
    /// Scopes below this count may be looked up later by a macro that closed over one of them.
    kept: usize,
}

impl Scopes {
    /// The top level of the template alone.
    pub(crate) fn new() -> Scopes {
        let top = Scope { parent: None, names: Vec::new() };
        Scopes { scopes: vec![top], current: Scopes::TOP, kept: 1 }
    }

    /// The scope of the template's top level.
    pub(crate) const TOP: ScopeId = ScopeId(0);

    /// The scope that names are looked up in.
    pub(crate) fn current(&self) -> ScopeId {
        self.current
    }

    /// Opens a scope inside `parent`; returns the scope to come back to.
    pub(crate) fn enter(&mut self, parent: ScopeId) -> ScopeId {
        self.scopes.push(Scope { parent: Some(parent), names: Vec::new() });
        std::mem::replace(&mut self.current, ScopeId(self.scopes.len() - 1))
    }

    /// Closes the current scope, and goes back to the one that `enter` returned.
    pub(crate) fn leave(&mut self, back: ScopeId) {
        if self.current.0 + 1 == self.scopes.len() && self.scopes.len() > self.kept {
            self.scopes.pop();
        }
        self.current = back;
    }

    /// The current scope, kept for a macro that closes over it.
    pub(crate) fn capture(&mut self) -> ScopeId {
        self.kept = self.kept.max(self.current.0 + 1);
        self.current
    }

    /// Sets a name in the current scope.
    pub(crate) fn set(&mut self, symbol: Symbol, value: Value) {
        let names = &mut self.scopes[self.current.0].names;
        match names.iter_mut().find(|(name, _)| *name == symbol) {
            Some((_, old)) => *old = value,
            None => names.push((symbol, value)),
        }
    }

    /// The value of a name, in the current scope or the nearest around it.
    pub(crate) fn get(&self, symbol: Symbol) -> Option<&Value> {
        let mut scope = Some(self.current);
        while let Some(id) = scope {
            let Scope { parent, names } = &self.scopes[id.0];
            if let Some((_, value)) = names.iter().find(|(name, _)| *name == symbol) {
                return Some(value);
            }
            scope = *parent;
        }
        None
    }
}
