//! A map from running numbers to what they stand for, made for how a process uses its own: numbers come in order, most go again in about
//! the order in which they came, and a few stay.
//!
//! A hash table of a million entries costs a cache miss at every look; here neighbours in time are neighbours in memory. Entries lie in
//! pages of [`PAGE`] numbers, and only the page is looked up in a (small) hash table. A page that has lost all but a few of its entries is
//! dissolved and they move to an ordinary hash table, so that the few that stay never hold more memory than [`THIN`] of a page says.

use hashbrown::HashMap;

/// Numbers of one page.
const PAGE: usize = 64;
/// A page with so few entries is dissolved.
const THIN: usize = PAGE / 8;

#[derive(Debug)]
pub(super) struct SeqMap<T> {
    pages: HashMap<u64, Page<T>>,
    /// Entries of dissolved pages.
    strays: HashMap<u64, T>,
    /// The page of the greatest number so far: more are to come, however few it has.
    newest: u64,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    live: usize,
    slots: Box<[Option<T>]>,
}

impl<T> Default for SeqMap<T> {
    fn default() -> Self {
        SeqMap { pages: HashMap::new(), strays: HashMap::new(), newest: 0, len: 0 }
    }
}

fn place(seq: u64) -> (u64, usize) {
    (seq / PAGE as u64, (seq % PAGE as u64) as usize)
}

impl<T> SeqMap<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(super) fn get(&self, &seq: &u64) -> Option<&T> {
        let (number, slot) = place(seq);
        match self.pages.get(&number) {
            Some(page) => page.slots[slot].as_ref(),
            None if self.strays.is_empty() => None,
            None => self.strays.get(&seq),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, &seq: &u64) -> Option<&mut T> {
        let (number, slot) = place(seq);
        match self.pages.get_mut(&number) {
            Some(page) => page.slots[slot].as_mut(),
            None if self.strays.is_empty() => None,
            None => self.strays.get_mut(&seq),
        }
    }

    pub(super) fn contains_key(&self, seq: &u64) -> bool {
        self.get(seq).is_some()
    }

    #[inline]
    pub(super) fn insert(&mut self, seq: u64, value: T) {
        let (number, slot) = place(seq);
        let before = if number < self.newest && !self.pages.contains_key(&number) {
            self.strays.insert(seq, value)
        } else {
            if number > self.newest || self.pages.is_empty() {
                self.turn_page(number);
            }
            let page = self.pages.entry(number).or_insert_with(Page::new);
            let before = page.slots[slot].replace(value);
            page.live += usize::from(before.is_none());
            before
        };
        self.len += usize::from(before.is_none());
    }

    #[inline]
    pub(super) fn remove(&mut self, &seq: &u64) -> Option<T> {
        let (number, slot) = place(seq);
        let removed = match self.pages.get_mut(&number) {
            Some(page) => {
                let removed = page.slots[slot].take();
                page.live -= usize::from(removed.is_some());
                if page.live <= THIN && number != self.newest {
                    self.dissolve(number);
                }
                removed
            }
            None => self.strays.remove(&seq),
        };
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// In no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let paged = self.pages.iter().flat_map(|(&number, page)| {
            let first = number * PAGE as u64;
            (first..).zip(page.slots.iter()).filter_map(|(seq, slot)| slot.as_ref().map(|value| (seq, value)))
        });
        paged.chain(self.strays.iter().map(|(&seq, value)| (seq, value)))
    }

    /// The newest page is full, or as full as it gets.
    fn turn_page(&mut self, number: u64) {
        let old = core::mem::replace(&mut self.newest, number);
        if old != number && self.pages.get(&old).is_some_and(|page| page.live <= THIN) {
            self.dissolve(old);
        }
    }

    #[cold]
    fn dissolve(&mut self, number: u64) {
        let Some(page) = self.pages.remove(&number) else { return };
        for (seq, slot) in (number * PAGE as u64..).zip(page.slots) {
            if let Some(value) = slot {
                self.strays.insert(seq, value);
            }
        }
    }
}

impl<T> core::ops::Index<&u64> for SeqMap<T> {
    type Output = T;

    fn index(&self, seq: &u64) -> &T {
        self.get(seq).expect("the caller knows that it is there")
    }
}

impl<T> Page<T> {
    fn new() -> Self {
        Page { live: 0, slots: core::iter::repeat_with(|| None).take(PAGE).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is done to it, it holds what an ordinary map holds; and memory follows what it holds.
    #[test]
    fn behaves_like_a_map_and_holds_no_empty_pages() {
        let mut map = SeqMap::default();
        let mut model = std::collections::BTreeMap::new();
        let mut random = 7u64;
        let mut next = 0u64;
        for step in 0..200_000u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = random >> 33;
            let draining = step / 20_000 % 2 == 1;
            if pick % 10 < if draining { 2 } else { 7 } {
                next += 1 + u64::from(pick.is_multiple_of(50)) * (pick % 1000);
                map.insert(next, step);
                model.insert(next, step);
            } else if pick % 100 == 99 {
                let old = pick % (next + 1);
                map.insert(old, step);
                model.insert(old, step);
            } else {
                let from = if pick.is_multiple_of(3) { pick % (next + 1) } else { 0 };
                let seq = model.range(from..).next().map_or(from, |(&seq, _)| seq);
                assert_eq!(map.remove(&seq), model.remove(&seq));
                assert_eq!(map.get(&seq), None);
            }
            assert_eq!(map.len(), model.len());
            assert_eq!(map.get_mut(&next).copied(), model.get(&next).copied());
        }
        let mut all: Vec<(u64, u64)> = map.iter().map(|(seq, value)| (seq, *value)).collect();
        all.sort_unstable();
        assert_eq!(all, model.iter().map(|(&seq, &value)| (seq, value)).collect::<Vec<_>>());
        let thin = map.pages.iter().filter(|(number, page)| page.live <= THIN && **number != map.newest).count();
        assert_eq!(thin, 0, "pages with few entries are dissolved");
        for (seq, _) in all {
            map.remove(&seq);
        }
        assert!(map.is_empty() && map.pages.len() <= 1 && map.strays.is_empty());
    }
}
