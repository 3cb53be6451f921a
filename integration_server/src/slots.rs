//! Limits how much is in progress for each key, such as the requests to one host.

use dashmap::DashMap;
use std::{hash::Hash, sync::Arc};

/// Counts what is in progress for each key. A key with nothing in progress takes no memory.
#[derive(Debug)]
pub(crate) struct Slots<K: Eq + Hash> {
    counts: Arc<DashMap<K, usize>>,
    limit: usize,
}

impl<K: Eq + Hash + Clone> Slots<K> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { counts: Arc::default(), limit }
    }

    /// Takes a slot of a key. `None` if all are taken.
    pub(crate) fn try_acquire(&self, key: &K) -> Option<Slot<K>> {
        let mut count = self.counts.entry(key.clone()).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Slot { counts: Arc::clone(&self.counts), key: key.clone() })
    }
}

impl<K: Eq + Hash> Clone for Slots<K> {
    fn clone(&self) -> Self {
        Self { counts: Arc::clone(&self.counts), limit: self.limit }
    }
}

/// A slot, which is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot<K: Eq + Hash> {
    counts: Arc<DashMap<K, usize>>,
    key: K,
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        self.counts.remove_if_mut(&self.key, |_, count| {
            *count -= 1;
            *count == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_slots() {
        let slots = Slots::new(2);
        let taken = [slots.try_acquire(&"a").expect("a slot"), slots.try_acquire(&"a").expect("a slot")];
        assert!(slots.try_acquire(&"a").is_none());
        assert!(slots.try_acquire(&"b").is_some());
        drop(taken);
        assert!(slots.counts.is_empty(), "a key without slots takes no memory");
        assert!(slots.try_acquire(&"a").is_some());
    }
}
