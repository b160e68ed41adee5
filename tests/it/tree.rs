//! The store's ordered map against the standard one: the same operations, the same answers, whatever the keys.
//!
//! Keys come from kinds that are hard on an order by heads and prefixes: long common beginnings, keys that begin
//! other keys, zero bytes at the end, the empty key. What this leaves out: speed, which is for the benches.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Bound;

use dkv::kv::{Key, Tree};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cases::config;

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, u32),
    Merge(Vec<u8>, u32),
    Remove(Vec<u8>),
    /// Removes the keys of a range, so that nodes become sparse and empty.
    Clear(Vec<u8>, Vec<u8>),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let few = prop_oneof![Just(0u8), Just(1), Just(b'a'), Just(255)];
    prop_oneof![
        4 => (0..3000u32).prop_map(|n| format!("key-{n:09}").into_bytes()),
        2 => (0..3000u32).prop_map(|n| n.to_be_bytes().to_vec()),
        2 => vec(few.clone(), 0..6),
        2 => (0..40usize, vec(few, 0..3)).prop_map(|(zeros, end)| [vec![0; zeros], end].concat()),
        2 => (0..3usize, 0..400u32).prop_map(|(deep, n)| format!("{}/{n}", "a-long-folder/".repeat(deep * 3)).into_bytes()),
        1 => vec(any::<u8>(), 0..30),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![key().prop_map(Bound::Included), key().prop_map(Bound::Excluded), Just(Bound::Unbounded),]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        10 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Merge(key, value)),
        15 => key().prop_map(Step::Remove),
        1 => (key(), key()).prop_map(|(a, b)| Step::Clear(a, b)),
        5 => (bound(), bound()).prop_map(|(from, to)| Step::Range(from, to)),
    ]
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

type Model = BTreeMap<Vec<u8>, u32>;

fn pairs(tree: &Tree<u32>) -> Vec<(Vec<u8>, u32)> {
    tree.iter().map(|(key, value)| (key.as_slice().to_vec(), *value)).collect()
}

fn assert_same(tree: &Tree<u32>, model: &Model) {
    tree.check();
    assert_eq!(tree.len(), model.len());
    assert_eq!(tree.is_empty(), model.is_empty());
    assert!(pairs(tree).iter().map(|(key, value)| (key, value)).eq(model), "{tree:?} is not {model:?}");
    for (key, value) in model {
        let found = tree.get_key_value(key).map(|(key, value)| (key.as_slice(), value));
        assert_eq!(found, Some((key.as_slice(), value)));
    }
}

/// A standard map panics at a range that is out of order; the tree's callers never ask for one.
fn is_in_order(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Excluded(a), Bound::Excluded(b)) => a < b,
        (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a <= b,
    }
}

fn carry_out(step: &Step, tree: &mut Tree<u32>, model: &mut Model) {
    match step {
        Step::Insert(key, value) => {
            tree.insert(Key::from(key.as_slice()), *value);
            model.insert(key.clone(), *value);
        }
        Step::Merge(key, value) => {
            tree.merge(Key::from(key.as_slice()), *value, |old, new| *old ^= new);
            model.entry(key.clone()).and_modify(|old| *old ^= *value).or_insert(*value);
        }
        Step::Remove(key) => {
            assert_eq!(tree.get(key), model.get(key));
            assert_eq!(tree.remove(key), model.remove(key));
        }
        Step::Clear(a, b) => {
            let (from, to) = (a.min(b), a.max(b));
            let keys: Vec<Vec<u8>> =
                model.range(from.clone()..to.clone()).map(|(key, _)| key.clone()).collect();
            for key in keys {
                assert_eq!(tree.remove(&key), model.remove(&key));
            }
        }
        Step::Range(from, to) => {
            if is_in_order(from, to) {
                let bounds = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
                let found = tree.range(bounds).map(|(key, value)| (key.as_slice(), value));
                let expected =
                    model.range((from.clone(), to.clone())).map(|(key, value)| (key.as_slice(), value));
                assert!(found.eq(expected), "{from:?} to {to:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn any_steps_do_what_they_do_to_a_standard_map(
        start in vec((key(), any::<u32>()), 0..1500),
        steps in vec(step(), 0..1500),
    ) {
        let mut model = Model::new();
        let mut tree = Tree::new();
        for (key, value) in start {
            tree.insert(Key::from(key.as_slice()), value);
            model.insert(key, value);
        }
        for step in &steps {
            carry_out(step, &mut tree, &mut model);
        }
        assert_same(&tree, &model);
        // The same content in another shape is the same value.
        let in_order: Tree<u32> = model.iter().map(|(key, value)| (Key::from(key.as_slice()), *value)).collect();
        assert_same(&in_order, &model);
        prop_assert_eq!(&in_order, &tree);
        prop_assert_eq!(hash(&in_order), hash(&tree));
        prop_assert_eq!(in_order.cmp(&tree), std::cmp::Ordering::Equal);
        prop_assert_eq!(format!("{in_order:?}"), format!("{tree:?}"));
        let clone = tree.clone();
        for key in model.keys() {
            prop_assert!(tree.remove(key).is_some());
            tree.check();
        }
        prop_assert!(tree.is_empty());
        prop_assert_eq!(tree, Tree::new());
        assert_same(&clone, &model);
    }

    #[test]
    fn trees_are_ordered_as_standard_maps(
        a in vec((key(), 0..3u32), 0..4),
        b in vec((key(), 0..3u32), 0..4),
    ) {
        let model = |pairs: &[(Vec<u8>, u32)]| pairs.iter().cloned().collect::<Model>();
        let tree = |pairs: &[(Vec<u8>, u32)]| -> Tree<u32> {
            pairs.iter().map(|(key, value)| (Key::from(key.as_slice()), *value)).collect()
        };
        prop_assert_eq!(tree(&a).cmp(&tree(&b)), model(&a).cmp(&model(&b)));
        prop_assert_eq!(tree(&a).partial_cmp(&tree(&b)), model(&a).partial_cmp(&model(&b)));
        prop_assert_eq!(tree(&a) == tree(&b), model(&a) == model(&b));
        prop_assert_eq!(hash(&tree(&a)) == hash(&tree(&b)), model(&a) == model(&b));
    }
}

#[test]
fn a_tree_reads_as_a_map() {
    let tree: Tree<u32> =
        [("b", 2), ("a", 1)].map(|(key, value)| (Key::from(key), value)).into_iter().collect();
    assert_eq!(format!("{tree:?}"), r#"{"a": 1, "b": 2}"#);
}

/// Three levels and more, filled in every direction and emptied in every direction.
#[test]
fn a_large_tree_grows_and_goes() {
    const COUNT: u32 = 40_000;
    let key = |n: u32| Key::from(format!("key-{n:09}").as_str());
    let up: Vec<u32> = (0..COUNT).collect();
    let down: Vec<u32> = (0..COUNT).rev().collect();
    let scattered: Vec<u32> = (0..COUNT).map(|n| n * 7_919 % COUNT).collect();
    let full: Tree<u32> = up.iter().map(|n| (key(*n), *n)).collect();
    for filling in [&up, &down, &scattered] {
        for emptying in [&up, &down, &scattered] {
            let mut tree: Tree<u32> = filling.iter().map(|n| (key(*n), *n)).collect();
            tree.check();
            assert_eq!(tree, full);
            let (first, rest) = emptying.split_at(emptying.len() / 2);
            first.iter().for_each(|n| assert_eq!(tree.remove(&key(*n)), Some(*n)));
            tree.check();
            let mut left: Vec<u32> = rest.to_vec();
            left.sort_unstable();
            assert!(tree.iter().map(|(_, n)| *n).eq(left.iter().copied()));
            rest.iter().for_each(|n| assert_eq!(tree.remove(&key(*n)), Some(*n)));
            assert!(tree.is_empty() && tree.remove(&key(0)).is_none());
        }
    }
}
