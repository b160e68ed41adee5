//! An ordered map for many small keys: a B+tree whose nodes are wide and whose searches touch little memory.
//!
//! # Why not the standard one
//!
//! A store of a million keys does not fit into any cache, so a lookup costs what it touches. A node of
//! [`alloc::collections::BTreeMap`] holds at most eleven keys, and at random on average eight; a lookup
//! visits seven nodes, the last three of them cold, several lines of each. Here a node holds up to 64
//! entries and a lookup at a million keys visits four nodes, of which only the leaf is cold.
//!
//! # Heads
//!
//! What a search reads of a node is dense: the *heads* of its entries, eight bytes each. All keys below
//! a node share a prefix; a head is the eight bytes that follow it, padded with zeros, as a big-endian
//! number. If two heads differ, so do their keys, and in the same direction; if they are equal, the keys
//! themselves decide, which is rare, because the prefix takes away what neighbours have in common. The
//! search counts the heads below the one it looks for, over all of the node: unlike a binary search it
//! does not wait for one line of memory to know which one it needs next.
//!
//! # Where things are
//!
//! Nodes lie in one vector and name each other by their position in it. Keys and values lie in another,
//! in no order and without gaps; a leaf says where. So a split or a merge moves twelve bytes per entry.
//! The last pair takes the place of a removed one.
//!
//! # Invariants
//!
//! * A node's `low` is at most every key below it and begins with the prefix; that of the first child is
//!   its parent's. Every key below a node is less than the `low` of the next node of its level.
//! * An inner node has a child. All leaves are equally far from the root, and `next` connects them.
//! * Of two neighbours under one parent at least one is more than a quarter full, so what the nodes take
//!   is in proportion to the keys.
//!
//! # What this leaves out
//!
//! Iteration backwards and mutable iteration, which nobody needs; the shape of a tree as part of its
//! value: equality, order and hash are those of the pairs in order. Vectors do not shrink when keys are
//! removed, their room is used again.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Bound, Range};

use super::key::Key;

/// The most entries of a node.
const FULL: usize = 64;

/// How many heads lie in one line of memory.
const LINE: usize = 8;

/// Up to this many entries a node looks for a neighbour that can take them.
const SPARSE: usize = FULL / 4;

/// No node, at the end of the leaves.
const NONE: u32 = u32::MAX;

/// An ordered map from [`Key`] to `V`.
#[derive(Clone)]
pub struct Tree<V> {
    pairs: Vec<(Key, V)>,
    nodes: Vec<Node>,
    /// Nodes that are not in use.
    free: Vec<u32>,
    root: u32,
    /// How far the leaves are below the root.
    height: u32,
}

/// At the height 0 a leaf, whose entries are pairs; above an inner node, whose entries are children.
#[derive(Clone)]
struct Node {
    low: Key,
    /// How many bytes of `low` begin every key below this node.
    prefix: u32,
    len: u32,
    /// The leaf to the right.
    next: u32,
    /// Of the keys of the pairs, or the `low` of the children. Ascending.
    heads: [u64; FULL],
    /// Which pair or child each head belongs to.
    places: [u32; FULL],
}

/// The eight bytes of a key after its first `prefix`, as a number.
#[inline]
fn head(key: &[u8], prefix: usize) -> u64 {
    let rest = &key[prefix..];
    if let Some(eight) = rest.first_chunk() {
        return u64::from_be_bytes(*eight);
    }
    let mut padded = [0; 8];
    padded[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(padded)
}

/// How many bytes two keys have in common at their beginning.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl Node {
    fn new(low: Key, next: u32) -> Node {
        let prefix = low.len() as u32;
        Node { low, prefix, len: 0, next, heads: [0; FULL], places: [0; FULL] }
    }

    fn len(&self) -> usize {
        self.len as usize
    }

    fn is_full(&self) -> bool {
        self.len() == FULL
    }

    /// The entries with the head that the key would have: those before them are less than the key, those
    /// after them are greater.
    #[inline]
    fn alike(&self, key: &[u8]) -> Range<usize> {
        let (heads, prefix) = (&self.heads[..self.len()], &self.low[..self.prefix as usize]);
        if !key.starts_with(prefix) {
            let at = if key < prefix { 0 } else { heads.len() };
            return at..at;
        }
        let head = head(key, prefix.len());
        let line = LINE * heads.chunks_exact(LINE).filter(|line| line[LINE - 1] < head).count();
        let from = line + heads[line..].iter().take(LINE).filter(|other| **other < head).count();
        let count = heads[from..].iter().take_while(|other| **other == head).count();
        from..from + count
    }

    /// Shortens the prefix to at most `prefix` bytes. What leaves it enters the heads.
    fn widen(&mut self, prefix: usize) {
        let Some(grown) = (self.prefix as usize).checked_sub(prefix).filter(|grown| *grown > 0) else {
            return;
        };
        let front = head(&self.low[..self.prefix as usize], prefix);
        for head in &mut self.heads[..self.len as usize] {
            *head = if grown < 8 { front | *head >> (8 * grown) } else { front };
        }
        self.prefix = prefix as u32;
    }

    /// Puts an entry at a position of a node that is not full.
    fn insert(&mut self, at: usize, key: &[u8], place: u32) {
        self.widen(common(&self.low, key));
        let len = self.len();
        self.heads.copy_within(at..len, at + 1);
        self.places.copy_within(at..len, at + 1);
        self.heads[at] = head(key, self.prefix as usize);
        self.places[at] = place;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        let len = self.len();
        self.heads.copy_within(at + 1..len, at);
        self.places.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    /// Moves the entries from `at` on into a new node that lies right of this one. Heads and prefix stay.
    fn split_off(&mut self, at: usize, low: Key) -> Node {
        let mut right = Node { low, len: 0, ..*self };
        right.append(self, at);
        self.len = at as u32;
        right
    }
}

impl Node {
    /// Copies the entries of `other` from `from` on to the end. Both have the same prefix.
    fn append(&mut self, other: &Node, from: usize) {
        let (len, count) = (self.len(), other.len() - from);
        self.heads[len..len + count].copy_from_slice(&other.heads[from..other.len()]);
        self.places[len..len + count].copy_from_slice(&other.places[from..other.len()]);
        self.len += count as u32;
    }
}

impl<V> Default for Tree<V> {
    fn default() -> Tree<V> {
        Tree::new()
    }
}

impl<V> Tree<V> {
    /// The empty map. It takes no memory besides itself.
    #[must_use]
    pub const fn new() -> Tree<V> {
        Tree { pairs: Vec::new(), nodes: Vec::new(), free: Vec::new(), root: NONE, height: 0 }
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The key as it is stored, and its value.
    #[must_use]
    pub fn get_key_value(&self, key: &[u8]) -> Option<(&Key, &V)> {
        let (leaf, at) = self.seek(key)?;
        let at = at.ok()?;
        let (key, value) = &self.pairs[self.node(leaf).places[at] as usize];
        Some((key, value))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Sets the value of a key, whether or not it has one.
    pub fn insert(&mut self, key: Key, value: V) {
        self.merge(key, value, |old, new| *old = new);
    }

    /// Sets the value of a key that has none; lets `combine` change the value of one that has. Searches
    /// once. Panics at more than 2³² − 1 pairs.
    pub fn merge(&mut self, key: Key, value: V, combine: impl FnOnce(&mut V, V)) {
        if self.root == NONE {
            self.root = self.keep(Node::new(key.clone(), NONE));
        } else if key < self.node(self.root).low {
            self.lower(&key);
        }
        match self.place(self.root, self.height, &key, true) {
            Ok(pair) => combine(&mut self.pairs[pair as usize].1, value),
            Err(split) => {
                self.pairs.push((key, value));
                if let Some(right) = split {
                    self.grow(right);
                }
            }
        }
    }

    /// Removes a key and gives its value.
    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        if self.root == NONE {
            return None;
        }
        let pair = self.take(self.root, self.height, key)?;
        while self.height > 0 && self.node(self.root).len == 1 {
            let child = self.node(self.root).places[0];
            self.release(self.root);
            self.root = child;
            self.height -= 1;
        }
        if self.node(self.root).len == 0 {
            *self = Tree { pairs: core::mem::take(&mut self.pairs), ..Tree::new() };
        }
        // The last pair will lie where the removed one lies. If it is the removed one, no leaf has it.
        let (last, _) = self.pairs.last().expect("the removed one is still there");
        if let Some((leaf, Ok(at))) = self.seek(last) {
            self.nodes[leaf as usize].places[at] = pair;
        }
        Some(self.pairs.swap_remove(pair as usize).1)
    }

    /// All pairs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        self.range((Bound::Unbounded, Bound::Unbounded))
    }

    /// The pairs whose keys lie within the bounds, ascending. The lower bound must not lie above the upper.
    pub fn range(&self, (from, to): (Bound<&[u8]>, Bound<&[u8]>)) -> impl Iterator<Item = (&Key, &V)> {
        let (mut leaf, mut at) = match from {
            Bound::Unbounded => self.after(b"", false),
            Bound::Included(key) => self.after(key, false),
            Bound::Excluded(key) => self.after(key, true),
        };
        let end = match to {
            Bound::Unbounded => (NONE, 0),
            Bound::Included(key) => self.after(key, true),
            Bound::Excluded(key) => self.after(key, false),
        };
        core::iter::from_fn(move || {
            while (leaf, at) != end && leaf != NONE {
                let node = self.node(leaf);
                if at == node.len() {
                    (leaf, at) = (node.next, 0);
                    continue;
                }
                let (key, value) = &self.pairs[node.places[at] as usize];
                at += 1;
                return Some((key, value));
            }
            None
        })
    }

    // --- searching -----------------------------------------------------------------------------

    fn node(&self, node: u32) -> &Node {
        &self.nodes[node as usize]
    }

    /// The key that stands for an entry of a node at `level`.
    fn full(&self, level: u32, place: u32) -> &Key {
        let place = place as usize;
        if level == 0 { &self.pairs[place].0 } else { &self.nodes[place].low }
    }

    /// Where in a node the key is, or where it would have to be.
    #[inline]
    fn search(&self, node: &Node, level: u32, key: &[u8]) -> Result<usize, usize> {
        let alike = node.alike(key);
        let found =
            node.places[alike.clone()].binary_search_by(|place| self.full(level, *place).as_slice().cmp(key));
        found.map(|at| alike.start + at).map_err(|at| alike.start + at)
    }

    /// Which child of an inner node is responsible for a key.
    #[inline]
    fn child(&self, node: &Node, level: u32, key: &[u8]) -> usize {
        // A key before the first child is nowhere, and would have to be in the first child.
        self.search(node, level, key).unwrap_or_else(|after| after.saturating_sub(1))
    }

    /// The leaf that is responsible for a key, and where in it the key is or would have to be.
    fn seek(&self, key: &[u8]) -> Option<(u32, Result<usize, usize>)> {
        let mut place = self.root;
        for level in (1..=self.height).rev() {
            let node = self.node(place);
            place = node.places[self.child(node, level, key)];
        }
        (place != NONE).then(|| (place, self.search(self.node(place), 0, key)))
    }

    /// The first position at or, if `beyond`, after a key.
    fn after(&self, key: &[u8], beyond: bool) -> (u32, usize) {
        match self.seek(key) {
            None => (NONE, 0),
            Some((leaf, Ok(at))) => (leaf, at + usize::from(beyond)),
            Some((leaf, Err(at))) => (leaf, at),
        }
    }

    // --- inserting -----------------------------------------------------------------------------

    /// Finds the pair of a key below a node, or makes an entry for it, as the next one. Then there may be a
    /// new node to the right. `is_last` says that no node of its level lies right of `node`.
    fn place(&mut self, node: u32, level: u32, key: &Key, is_last: bool) -> Result<u32, Option<u32>> {
        let here = self.node(node);
        if level == 0 {
            return match self.search(here, 0, key) {
                Ok(at) => Ok(here.places[at]),
                Err(at) => {
                    let pair = u32::try_from(self.pairs.len()).expect("a store in memory has fewer keys");
                    Err(self.enter(node, 0, at, key, pair, is_last))
                }
            };
        }
        let at = self.child(here, level, key);
        let (child, is_last) = (here.places[at], is_last && at + 1 == here.len());
        match self.place(child, level - 1, key, is_last) {
            Err(Some(right)) => {
                let low = self.node(right).low.clone();
                Err(self.enter(node, level, at + 1, &low, right, is_last))
            }
            done => done,
        }
    }

    /// Makes an entry at a position of a node; gives the new right half of one that was full.
    fn enter(
        &mut self,
        node: u32,
        level: u32,
        at: usize,
        key: &Key,
        place: u32,
        is_last: bool,
    ) -> Option<u32> {
        if !self.node(node).is_full() {
            self.nodes[node as usize].insert(at, key, place);
            return None;
        }
        // Keys that arrive in order leave full nodes behind.
        let middle = if is_last && at == FULL { FULL } else { FULL / 2 };
        let low = if at == middle && middle == FULL {
            key
        } else {
            self.full(level, self.node(node).places[middle])
        };
        let low = low.clone();
        let left = &mut self.nodes[node as usize];
        let half = left.split_off(middle, low);
        let right = self.keep(half);
        self.nodes[node as usize].next = right;
        self.narrow(node, level);
        self.narrow(right, level);
        let (target, at) = if at > middle || middle == FULL { (right, at - middle) } else { (node, at) };
        self.nodes[target as usize].insert(at, key, place);
        Some(right)
    }

    /// Lengthens the prefix of a node to what its keys share.
    fn narrow(&mut self, node: u32, level: u32) {
        let here = self.node(node);
        let Some(last) = here.len().checked_sub(1) else { return };
        let prefix = common(&here.low, self.full(level, here.places[last]));
        if prefix > here.prefix as usize {
            let mut heads = here.heads;
            for (at, slot) in heads[..here.len()].iter_mut().enumerate() {
                *slot = head(self.full(level, here.places[at]), prefix);
            }
            let here = &mut self.nodes[node as usize];
            (here.heads, here.prefix) = (heads, prefix as u32);
        }
    }

    /// Makes room for a key that is less than all others.
    fn lower(&mut self, key: &Key) {
        let mut place = self.root;
        for level in (0..=self.height).rev() {
            let node = &mut self.nodes[place as usize];
            node.widen(common(&node.low, key));
            node.low = key.clone();
            if level > 0 {
                node.heads[0] = head(key, node.prefix as usize);
                place = node.places[0];
            }
        }
    }

    /// Puts a root above the old one and its new right neighbour.
    fn grow(&mut self, right: u32) {
        let mut root = Node::new(self.node(self.root).low.clone(), NONE);
        for (at, child) in [self.root, right].into_iter().enumerate() {
            root.insert(at, &self.node(child).low, child);
        }
        self.root = self.keep(root);
        self.height += 1;
    }

    /// A place for a node.
    fn keep(&mut self, node: Node) -> u32 {
        if let Some(place) = self.free.pop() {
            self.nodes[place as usize] = node;
            return place;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("there are fewer nodes than pairs")
    }

    // --- removing ------------------------------------------------------------------------------

    /// Removes the entry of a key below a node and gives the place of the pair.
    fn take(&mut self, node: u32, level: u32, key: &[u8]) -> Option<u32> {
        let here = self.node(node);
        if level == 0 {
            let at = self.search(here, 0, key).ok()?;
            let pair = here.places[at];
            self.nodes[node as usize].remove(at);
            return Some(pair);
        }
        let at = self.child(here, level, key);
        let child = here.places[at];
        let pair = self.take(child, level - 1, key)?;
        if self.node(child).len() <= SPARSE {
            self.join(node, at);
            if let Some(before) = at.checked_sub(1) {
                self.join(node, before);
            }
        }
        Some(pair)
    }

    /// Lets the child at `at` take the entries of the next one, if it has room for them.
    fn join(&mut self, parent: u32, at: usize) {
        let here = self.node(parent);
        if at + 1 >= here.len() {
            return;
        }
        let (left, right) = (here.places[at], here.places[at + 1]);
        if self.node(left).len() + self.node(right).len() > FULL {
            return;
        }
        let mut gone = self.release(right);
        let left = &mut self.nodes[left as usize];
        left.widen(common(&left.low, &gone.low).min(gone.prefix as usize));
        gone.widen(left.prefix as usize);
        left.append(&gone, 0);
        left.next = gone.next;
        self.nodes[parent as usize].remove(at + 1);
    }

    fn release(&mut self, node: u32) -> Node {
        self.free.push(node);
        core::mem::replace(&mut self.nodes[node as usize], Node::new(Key::from(""), NONE))
    }
}

impl<V> Tree<V> {
    /// Asserts the invariants. For tests: it takes time in proportion to the keys.
    pub fn check(&self) {
        if self.root == NONE {
            return assert!(self.pairs.is_empty() && self.nodes.is_empty() && self.free.is_empty());
        }
        let mut level_nodes = alloc::vec![self.root];
        for level in (0..=self.height).rev() {
            let mut below = Vec::new();
            for (at, place) in level_nodes.iter().enumerate() {
                let node = self.node(*place);
                let after = level_nodes.get(at + 1).copied();
                assert_eq!(node.next, after.unwrap_or(NONE), "nodes of a level are in a row");
                self.check_node(node, level, after.map(|after| &self.node(after).low));
                below.extend_from_slice(&node.places[..node.len()]);
            }
            level_nodes = below;
        }
        level_nodes.sort_unstable();
        assert!(level_nodes.iter().copied().eq(0..self.pairs.len() as u32), "every pair is in one leaf");
    }

    fn check_node(&self, node: &Node, level: u32, after: Option<&Key>) {
        let prefix = &node.low[..node.prefix as usize];
        let keys: Vec<&Key> =
            node.places[..node.len()].iter().map(|place| self.full(level, *place)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "entries ascend");
        assert!(keys.first().is_none_or(|first| node.low <= **first), "no key is below the low one");
        assert!(
            keys.last().is_none_or(|last| after.is_none_or(|after| *last < after)),
            "nodes do not overlap"
        );
        for (key, found) in keys.iter().zip(node.heads) {
            assert!(key.starts_with(prefix) && head(key, prefix.len()) == found, "a head is that of its key");
        }
        if level > 0 {
            assert!(
                keys.first().is_some_and(|first| **first == node.low),
                "the first child begins its parent"
            );
            let sizes: Vec<usize> =
                node.places[..node.len()].iter().map(|child| self.node(*child).len()).collect();
            assert!(
                sizes.windows(2).all(|pair| pair[0].max(pair[1]) > SPARSE),
                "neighbours are not both sparse"
            );
        }
    }
}

impl<V> FromIterator<(Key, V)> for Tree<V> {
    fn from_iter<I: IntoIterator<Item = (Key, V)>>(pairs: I) -> Tree<V> {
        let mut tree = Tree::new();
        pairs.into_iter().for_each(|(key, value)| tree.insert(key, value));
        tree
    }
}

impl<V: PartialEq> PartialEq for Tree<V> {
    fn eq(&self, other: &Tree<V>) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<V: Eq> Eq for Tree<V> {}

impl<V: PartialOrd> PartialOrd for Tree<V> {
    fn partial_cmp(&self, other: &Tree<V>) -> Option<Ordering> {
        self.iter().partial_cmp(other.iter())
    }
}

impl<V: Ord> Ord for Tree<V> {
    fn cmp(&self, other: &Tree<V>) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl<V: Hash> Hash for Tree<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|pair| pair.hash(state));
    }
}

impl<V: fmt::Debug> fmt::Debug for Tree<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What only the inside shows: that nodes are as full as promised, and that heads tell keys apart.
#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// Two folders whose names are longer than a head, and numbered keys in them.
    fn key(n: usize) -> Key {
        let folder = ["even-numbers/in-a-folder", "odd-numbers/in-a-folder"][n % 2];
        Key::from(format!("{folder}/{n:06}").as_str())
    }

    /// Keys of one folder, in the order of `numbers`.
    fn of(numbers: impl IntoIterator<Item = usize>) -> Tree<usize> {
        numbers.into_iter().map(|n| (key(2 * n), n)).collect()
    }

    fn leaves(tree: &Tree<usize>) -> Vec<&Node> {
        let (mut place, _) = tree.after(b"", false);
        let mut leaves = Vec::new();
        while place != NONE {
            leaves.push(tree.node(place));
            place = tree.node(place).next;
        }
        leaves
    }

    fn lens(tree: &Tree<usize>) -> Vec<usize> {
        leaves(tree).into_iter().map(Node::len).collect()
    }

    #[test]
    fn keys_that_arrive_in_order_leave_full_leaves_behind() {
        let tree = of(0..10 * FULL + 1);
        assert_eq!(lens(&tree), [&[FULL; 10][..], &[1]].concat());
        tree.check();
    }

    #[test]
    fn a_full_leaf_that_is_not_the_last_is_halved() {
        let mut tree = of((0..=FULL).map(|n| 2 * n));
        assert_eq!(lens(&tree), [FULL, 1]);
        let between = 2 * FULL - 1;
        tree.insert(key(2 * between), between);
        assert_eq!(lens(&tree), [FULL / 2, FULL / 2 + 1, 1]);
        tree.check();
    }

    #[test]
    fn heads_tell_keys_of_one_folder_apart() {
        const COUNT: usize = 2_000;
        let scattered = |n: usize| n * 1_237 % COUNT;
        for order in [|n| n, |n| COUNT - 1 - n, scattered] {
            let tree: Tree<usize> = (0..COUNT).map(order).map(|n| (key(n), n)).collect();
            tree.check();
            let folder = |node: &Node, at: usize| tree.pairs[node.places[at] as usize].1 % 2;
            let leaves = leaves(&tree);
            let is_pure = |node: &&&Node| folder(node, 0) == folder(node, node.len() - 1);
            let pure: Vec<&&Node> = leaves.iter().filter(is_pure).collect();
            assert!(pure.len() + 1 >= leaves.len(), "at most one leaf has keys of both folders");
            for node in pure {
                assert!(node.heads[..node.len()].is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn a_sparse_leaf_joins_a_neighbour_with_room() {
        let cases: [(usize, usize, &[usize]); 6] = [
            (FULL - SPARSE - 1, 0, &[SPARSE + 1, FULL]),
            (FULL - SPARSE, 0, &[SPARSE, FULL]),
            (FULL, 0, &[FULL]),
            (SPARSE, FULL - SPARSE - 1, &[FULL - SPARSE, SPARSE + 1]),
            (SPARSE, FULL - SPARSE, &[FULL]),
            (SPARSE - 1, FULL - SPARSE, &[FULL - SPARSE + 1, SPARSE]),
        ];
        for (from_first, from_second, expected) in cases {
            let mut tree = of(0..2 * FULL);
            for n in (0..from_first).chain(FULL..FULL + from_second) {
                assert_eq!(tree.remove(&key(2 * n)), Some(n));
            }
            assert_eq!(lens(&tree), expected);
            assert_eq!(tree.height as usize, expected.len() - 1, "a root has more than one child");
            tree.check();
        }
    }

    #[test]
    fn few_keys_are_in_few_nodes() {
        let mut tree = of(0..32 * FULL);
        (0..32 * FULL).filter(|n| n % FULL != 0).for_each(|n| assert!(tree.remove(&key(2 * n)).is_some()));
        tree.check();
        // 32 keys, and of two neighbours at least one has more than SPARSE.
        assert!(lens(&tree).len() <= 3, "{:?}", lens(&tree));
        (0..32).for_each(|n| assert!(tree.remove(&key(2 * n * FULL)).is_some()));
        assert_eq!((tree.root, tree.nodes.len(), tree.height), (NONE, 0, 0));
    }
}
