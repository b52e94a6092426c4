//! Stop strings, found across the borders of tokens.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{TextError, TextErrorKind};
use crate::trie::{ROOT, Trie};

/// Watches a stream of text for stop strings and holds back what could still become one.
///
/// The stream stops at the first place where any stop string ends; where several end there, the longest counts.
/// The text before that stop is given out, the stop itself and what follows it are not. How the text was cut into
/// pieces makes no difference.
///
/// A clone costs a reference count and a few words, so that a caller who may take tokens back keeps one a token.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    automaton: Arc<Automaton>,
    /// The text seen so far ends with this node's text, which is the longest beginning of a stop string that it ends
    /// with. So this text is exactly what is held back.
    node: u32,
    stopped: Option<usize>,
}

/// What one piece of text released.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Emit {
    /// Text that is now certain to lie before any stop.
    pub text: String,
    /// The index of the stop string that ended the stream.
    pub stopped: Option<usize>,
}

/// The automaton of Aho and Corasick, "Efficient string matching" (1975): linear in the text, whatever the stops.
#[derive(Debug)]
struct Automaton {
    stops: Vec<String>,
    trie: Trie,
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// The node of the longest proper ending of this node's text that begins a stop string too.
    fallback: u32,
    /// The length of this node's text in bytes, and a stop string that begins with it.
    depth: usize,
    begins: usize,
    /// The longest stop string that this node's text ends with.
    stop: Option<usize>,
}

impl StopMatcher {
    /// A matcher for these strings; with none it passes all text on.
    ///
    /// # Errors
    /// [`TextErrorKind::InvalidStop`] for an empty string, which every text would match.
    pub fn new(stops: Vec<String>) -> Result<Self, TextError> {
        if let Some(index) = stops.iter().position(String::is_empty) {
            return Err(TextError::new(
                TextErrorKind::InvalidStop,
                format!(
                    "Stop string number {} is empty, which would stop every answer at once. Leave it out.",
                    index + 1
                ),
            ));
        }
        Ok(Self { automaton: Arc::new(Automaton::new(stops)), node: ROOT, stopped: None })
    }

    /// Takes the next piece of text and gives out what is safe to show. After a stop every piece gives nothing.
    pub fn push(&mut self, text: &str) -> Emit {
        if self.stopped.is_some() {
            return Emit::default();
        }
        let automaton = &*self.automaton;
        let held = automaton.text(self.node);
        for (index, &byte) in text.as_bytes().iter().enumerate() {
            self.node = automaton.next(self.node, byte);
            if let Some(stop) = automaton.nodes[self.node as usize].stop {
                self.stopped = Some(stop);
                let before = held.len() + index + 1 - automaton.stops[stop].len();
                return Emit { text: first_bytes(held, text, before), stopped: Some(stop) };
            }
        }
        // What is held now begins a stop string, which is whole text, so the cut falls between characters.
        let safe = held.len() + text.len() - automaton.nodes[self.node as usize].depth;
        Emit { text: first_bytes(held, text, safe), stopped: None }
    }

    /// Ends the stream: what was held back is no stop, so it is given out.
    pub fn finish(&mut self) -> String {
        let held = if self.stopped.is_some() { "" } else { self.automaton.text(self.node) };
        let held = held.to_owned();
        self.node = ROOT;
        held
    }

    /// The stop string that ended the stream, by its place in the list given to [`StopMatcher::new`].
    pub fn stopped(&self) -> Option<usize> {
        self.stopped
    }
}

impl Automaton {
    fn new(stops: Vec<String>) -> Self {
        let mut trie = Trie::new();
        for (index, stop) in stops.iter().enumerate() {
            trie.insert(stop.as_bytes(), index as u32);
        }
        let mut nodes = vec![Node::default(); trie.len()];
        for (index, stop) in stops.iter().enumerate() {
            let mut node = ROOT;
            for (depth, &byte) in stop.as_bytes().iter().enumerate() {
                node = trie.child(node, byte).unwrap_or(ROOT);
                nodes[node as usize].depth = depth + 1;
                nodes[node as usize].begins = index;
            }
        }
        // Breadth first, so that a node's fallback, which is shorter, is ready before it.
        let mut queue = VecDeque::from([ROOT]);
        while let Some(parent) = queue.pop_front() {
            for &(byte, child) in trie.children(parent) {
                let fallback =
                    if parent == ROOT { ROOT } else { step(&trie, &nodes, nodes[parent as usize].fallback, byte) };
                let own = trie.value(child).map(|stop| stop as usize);
                nodes[child as usize].fallback = fallback;
                nodes[child as usize].stop = own.or(nodes[fallback as usize].stop);
                queue.push_back(child);
            }
        }
        Self { stops, trie, nodes }
    }

    fn next(&self, node: u32, byte: u8) -> u32 {
        step(&self.trie, &self.nodes, node, byte)
    }

    /// The text that leads from the root to this node.
    fn text(&self, node: u32) -> &str {
        let node = self.nodes[node as usize];
        self.stops.get(node.begins).map_or("", |stop| &stop[..node.depth])
    }
}

/// From `node` along `byte`, by way of fallbacks where there is no such child.
fn step(trie: &Trie, nodes: &[Node], mut node: u32, byte: u8) -> u32 {
    loop {
        if let Some(child) = trie.child(node, byte) {
            return child;
        }
        if node == ROOT {
            return ROOT;
        }
        node = nodes[node as usize].fallback;
    }
}

/// The first `length` bytes of `held` followed by `text`.
fn first_bytes(held: &str, text: &str, length: usize) -> String {
    match length.checked_sub(held.len()) {
        Some(rest) => [held, &text[..rest]].concat(),
        None => held[..length].to_owned(),
    }
}
