//! A trie over bytes: every pattern that begins at a place in a text, found in one walk.

/// Patterns with a value each. Node 0 is the root.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by byte.
    children: Vec<(u8, u32)>,
    value: Option<u32>,
}

/// The node every walk starts at.
pub(crate) const ROOT: u32 = 0;

impl Trie {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Adds a pattern. A pattern that is there already keeps its first value; an empty one is left out.
    pub(crate) fn insert(&mut self, pattern: &[u8], value: u32) {
        let mut node = ROOT as usize;
        for &byte in pattern {
            node = match self.nodes[node].children.binary_search_by_key(&byte, |child| child.0) {
                Ok(found) => self.nodes[node].children[found].1 as usize,
                Err(place) => {
                    let new = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[node].children.insert(place, (byte, new as u32));
                    new
                }
            };
        }
        if node != ROOT as usize {
            self.nodes[node].value.get_or_insert(value);
        }
    }

    /// The number of nodes, the root counted.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn child(&self, node: u32, byte: u8) -> Option<u32> {
        let children = &self.nodes[node as usize].children;
        children.binary_search_by_key(&byte, |child| child.0).ok().map(|found| children[found].1)
    }

    /// The children of a node, in the order of their bytes.
    pub(crate) fn children(&self, node: u32) -> &[(u8, u32)] {
        &self.nodes[node as usize].children
    }

    /// The value of the pattern that ends at this node.
    pub(crate) fn value(&self, node: u32) -> Option<u32> {
        self.nodes[node as usize].value
    }

    /// Writes every pattern that `text` begins with into `found`, as (length, value), the shortest first.
    pub(crate) fn prefixes(&self, text: &[u8], found: &mut Vec<(usize, u32)>) {
        found.clear();
        let mut node = ROOT;
        for (length, &byte) in text.iter().enumerate() {
            match self.child(node, byte) {
                Some(next) => node = next,
                None => break,
            }
            if let Some(value) = self.value(node) {
                found.push((length + 1, value));
            }
        }
    }
}
