//! Table of rows in memory whose changes are committed or rolled back together with those in the
//! database.
//!
//! A table keeps the image of each row before its first change in a transaction. It also keeps the
//! keys of the rows to write, so that a commit costs as much as it changes.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map};

/// Secondary index of a table. The table keeps it up to date.
pub trait Index<K, V> {
    /// Adds a row.
    fn insert(&mut self, key: &K, row: &V);
    /// Removes a row that was added.
    fn remove(&mut self, key: &K, row: &V);
}

impl<K, V> Index<K, V> for () {
    fn insert(&mut self, _key: &K, _row: &V) {}
    fn remove(&mut self, _key: &K, _row: &V) {}
}

/// When a change is written to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// With the commit of its transaction.
    Commit,
    /// With a later flush. A crash may lose it.
    Flush,
    /// Never: other rows imply it.
    Derived,
}

/// Rows by key, with a secondary index.
#[derive(Debug, Clone)]
pub struct Table<K, V, I = ()> {
    rows: BTreeMap<K, V>,
    index: I,
    /// Rows that changed in this transaction, as they were before it.
    before: BTreeMap<K, Image<V>>,
    /// Keys of rows to write with the next commit.
    unwritten: BTreeSet<K>,
    unflushed: FlushQueue<K>,
}

/// Keys of rows to write with a flush, in the order of their first change. A flush takes the first
/// ones, so that each gets its turn however often others change.
#[derive(Debug, Clone)]
struct FlushQueue<K> {
    order: VecDeque<K>,
    keys: BTreeSet<K>,
}

/// Row before a transaction.
#[derive(Debug, Clone)]
struct Image<V> {
    /// `None` if there was no row.
    row: Option<V>,
    was_unwritten: bool,
}

impl<K> Default for FlushQueue<K> {
    fn default() -> Self {
        Self { order: VecDeque::new(), keys: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> FlushQueue<K> {
    fn push(&mut self, key: &K) {
        if self.keys.insert(key.clone()) {
            self.order.push_back(key.clone());
        }
    }
}

impl<K, V, I: Default> Default for Table<K, V, I> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            index: I::default(),
            before: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            unflushed: FlushQueue::default(),
        }
    }
}

/// Tables are equal if their rows are.
impl<K: PartialEq, V: PartialEq, I: PartialEq> PartialEq for Table<K, V, I> {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows && self.index == other.index
    }
}

impl<K: Ord + Clone, V: Clone, I: Index<K, V>> Table<K, V, I> {
    /// Returns a table of rows that are written. `index` is empty.
    pub fn stored(rows: BTreeMap<K, V>, index: I) -> Self {
        let (before, unwritten) = (BTreeMap::new(), BTreeSet::new());
        let mut table = Self { rows, index, before, unwritten, unflushed: FlushQueue::default() };
        for (key, row) in &table.rows {
            table.index.insert(key, row);
        }
        table
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn iter(&self) -> btree_map::Iter<'_, K, V> {
        self.rows.iter()
    }

    pub fn keys(&self) -> btree_map::Keys<'_, K, V> {
        self.rows.keys()
    }

    pub fn values(&self) -> btree_map::Values<'_, K, V> {
        self.rows.values()
    }

    pub fn index(&self) -> &I {
        &self.index
    }

    /// Inserts or replaces a row, which the next commit writes.
    pub fn insert(&mut self, key: K, row: V) {
        self.insert_with(key, Durability::Commit, row);
    }

    /// Inserts or replaces a row.
    pub fn insert_with(&mut self, key: K, durability: Durability, row: V) {
        let before = self.rows.remove(&key);
        if let Some(before) = &before {
            self.index.remove(&key, before);
        }
        self.index.insert(&key, &row);
        self.mark(&key, durability, before);
        self.rows.insert(key, row);
    }

    /// Inserts the default row if there is none.
    pub fn ensure(&mut self, key: K, durability: Durability)
    where
        V: Default,
    {
        if self.rows.contains_key(&key) {
            return;
        }
        self.insert_with(key, durability, V::default());
    }

    /// Removes a row and returns it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let row = self.rows.remove(key)?;
        self.index.remove(key, &row);
        self.mark(key, Durability::Commit, Some(row.clone()));
        Some(row)
    }

    /// Replaces all rows and the index. `index` is empty.
    pub fn replace(&mut self, rows: BTreeMap<K, V>, index: I) {
        for (key, row) in std::mem::take(&mut self.rows) {
            self.mark(&key, Durability::Commit, Some(row));
        }
        self.index = index;
        for (key, row) in rows {
            self.insert(key, row);
        }
    }

    /// Changes a row and returns the result of `change`. `None` if there is no row.
    pub fn change<R>(
        &mut self,
        key: &K,
        durability: Durability,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let row = self.rows.get_mut(key)?;
        let was_unwritten = self.unwritten.contains(key);
        let image = self.before.entry(key.clone());
        image.or_insert_with(|| Image { row: Some(row.clone()), was_unwritten });
        self.index.remove(key, row);
        let result = change(row);
        self.index.insert(key, row);
        self.mark_unwritten(key, durability);
        Some(result)
    }

    /// Returns a row for changes that the index does not read, and that are neither written nor
    /// rolled back.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.rows.get_mut(key)
    }

    /// Drops a row from memory that stays in the database. Called after a commit.
    pub fn evict(&mut self, key: &K) {
        if let Some(row) = self.rows.remove(key) {
            self.index.remove(key, &row);
        }
    }

    /// Returns the keys that changed in this transaction, each with its row before.
    pub fn changed(&self) -> impl Iterator<Item = (&K, Option<&V>)> {
        self.before.iter().map(|(key, image)| (key, image.row.as_ref()))
    }

    /// Returns the rows to write with the next commit. `None` for a removed row.
    pub fn unwritten(&self) -> impl Iterator<Item = (&K, Option<&V>)> {
        self.unwritten.iter().map(|key| (key, self.rows.get(key)))
    }

    /// Returns the further rows that a flush of `most` rows writes.
    pub fn unflushed(&self, most: usize) -> impl Iterator<Item = (&K, Option<&V>)> {
        let first = self.unflushed.order.iter().take(most);
        let further = first.filter(|key| !self.unwritten.contains(key));
        further.map(|key| (key, self.rows.get(key)))
    }

    /// Rebuilds the index from an empty one.
    pub fn reindex(&mut self, empty: I) {
        self.index = empty;
        for (key, row) in &self.rows {
            self.index.insert(key, row);
        }
    }

    /// Keeps changes that a later commit or flush writes.
    pub fn keep(&mut self) {
        self.before.clear();
    }

    /// Forgets the rows of a flush of `most` rows, which are written.
    pub fn flushed(&mut self, most: usize) {
        let first = most.min(self.unflushed.order.len());
        for key in self.unflushed.order.drain(..first) {
            self.unflushed.keys.remove(&key);
        }
    }

    /// Returns whether a flush has something to write.
    pub fn owes_flush(&self) -> bool {
        !self.unflushed.order.is_empty()
    }

    /// Keeps the row before the change, and marks the row to be written.
    fn mark(&mut self, key: &K, durability: Durability, before: Option<V>) {
        let was_unwritten = self.unwritten.contains(key);
        let image = Image { row: before, was_unwritten };
        self.before.entry(key.clone()).or_insert(image);
        self.mark_unwritten(key, durability);
    }

    fn mark_unwritten(&mut self, key: &K, durability: Durability) {
        match durability {
            Durability::Commit => drop(self.unwritten.insert(key.clone())),
            Durability::Flush => self.unflushed.push(key),
            Durability::Derived => {}
        }
    }
}

impl<'a, K: Ord + Clone, V: Clone, I: Index<K, V>> IntoIterator for &'a Table<K, V, I> {
    type Item = (&'a K, &'a V);
    type IntoIter = btree_map::Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Changes of one transaction.
pub trait Transaction {
    /// Keeps the changes, which are written.
    fn commit(&mut self);

    /// Undoes the changes.
    fn roll_back(&mut self);

    /// Returns whether a commit has something to write.
    fn has_unwritten(&self) -> bool;
}

impl<K: Ord + Clone, V: Clone, I: Index<K, V>> Transaction for Table<K, V, I> {
    fn commit(&mut self) {
        self.before.clear();
        self.unwritten.clear();
    }

    fn roll_back(&mut self) {
        let before = std::mem::take(&mut self.before);
        // All new rows go first: an old row may need a new one's place in the index.
        for key in before.keys() {
            self.evict(key);
        }
        for (key, image) in before {
            if !image.was_unwritten {
                self.unwritten.remove(&key);
            }
            if let Some(row) = image.row {
                self.index.insert(&key, &row);
                self.rows.insert(key, row);
            }
        }
    }

    fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }
}
