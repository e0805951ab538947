//! Sets of small values.
//!
//! Owns: the members of each set: one, a few in a row, or many in a table of hashes.
//! Never: promises an order.

use std::fmt::Debug;

use hashbrown::HashTable;

use super::{Handle, Heap};

/// More members than this are found by hash.
const FEW: usize = 16;

/// What a set can hold.
pub(in super::super) trait Member: Copy + Debug + Ord + Send + Sync + 'static {
    /// The sets of such members.
    fn sets(heap: &Heap) -> &Sets<Self>;
    /// The sets of such members.
    fn sets_mut(heap: &mut Heap) -> &mut Sets<Self>;
    /// The same in every run.
    fn hashed(self) -> u64;
}

macro_rules! member {
    ($member:ty, $sets:ident, $hash:expr) => {
        impl Member for $member {
            fn sets(heap: &Heap) -> &Sets<Self> {
                &heap.$sets
            }
            fn sets_mut(heap: &mut Heap) -> &mut Sets<Self> {
                &mut heap.$sets
            }
            #[inline]
            fn hashed(self) -> u64 {
                $hash(self)
            }
        }
    };
}

member!(u32, sets_of_names, |member: u32| fold(u64::from(member)));
member!(u64, sets_of_numbers, fold);
member!(u128, sets_of_decimals, |member: u128| fold(fold(member as u64) ^ (member >> 64) as u64));

/// Mixes all bits into all bits: the two halves of a product with a random odd number.
#[inline]
fn fold(value: u64) -> u64 {
    let product = u128::from(value ^ 0x2d35_8dcc_aa6c_78a5) * 0x8bb8_4b93_962e_acc9;
    product as u64 ^ (product >> 64) as u64
}

#[derive(Debug)]
enum Set<T> {
    One(T),
    Few(Vec<T>),
    Many(Box<HashTable<T>>),
}

impl<T: Member> Set<T> {
    /// Gives whether its memory may have changed.
    #[inline]
    fn insert(&mut self, member: T) -> bool {
        match self {
            Self::One(only) if *only == member => false,
            Self::One(only) => {
                let mut few = Vec::with_capacity(4);
                few.extend([*only, member]);
                *self = Self::Few(few);
                true
            }
            Self::Few(few) if few.contains(&member) => false,
            Self::Few(few) if few.len() < FEW => {
                few.push(member);
                true
            }
            Self::Few(few) => {
                let mut many = HashTable::with_capacity(FEW * 2);
                for member in few.drain(..).chain([member]) {
                    many.insert_unique(member.hashed(), member, |member: &T| member.hashed());
                }
                *self = Self::Many(Box::new(many));
                true
            }
            Self::Many(many) => {
                // Not by `entry`: it makes room before it knows whether the member is new.
                let is_new = many.find(member.hashed(), |other| *other == member).is_none();
                if is_new {
                    many.insert_unique(member.hashed(), member, |member: &T| member.hashed());
                }
                is_new
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    /// Bytes outside of the set itself.
    fn bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Few(few) => few.capacity() * size_of::<T>(),
            Self::Many(many) => size_of::<HashTable<T>>() + many.allocation_size(),
        }
    }
}

/// Sets by handle.
#[derive(Debug)]
pub(in super::super) struct Sets<T> {
    sets: Vec<Set<T>>,
    /// Held by the sets, outside of the list of them.
    bytes: usize,
}

impl<T> Default for Sets<T> {
    fn default() -> Self {
        Self { sets: Vec::new(), bytes: 0 }
    }
}

impl<T: Member> Sets<T> {
    /// Adds a member to the set of a handle, or to a new one if it is 0; gives the handle.
    #[inline]
    pub(in super::super) fn insert(&mut self, handle: Handle, member: T) -> Handle {
        let Some(index) = (handle as usize).checked_sub(1) else {
            self.sets.push(Set::One(member));
            return Handle::try_from(self.sets.len()).expect("a table has fewer than 2^32 sets");
        };
        let set = &mut self.sets[index];
        let before = set.bytes();
        if set.insert(member) {
            self.bytes = self.bytes - before + set.bytes();
        }
        handle
    }

    /// Each member once, in no particular order.
    pub(in super::super) fn for_each(&self, handle: Handle, mut take: impl FnMut(T)) {
        let Some(index) = (handle as usize).checked_sub(1) else {
            return;
        };
        match &self.sets[index] {
            Set::One(only) => take(*only),
            Set::Few(few) => few.iter().for_each(|member| take(*member)),
            Set::Many(many) => many.iter().for_each(|member| take(*member)),
        }
    }

    /// How many members.
    pub(in super::super) fn len(&self, handle: Handle) -> usize {
        (handle as usize).checked_sub(1).map_or(0, |index| self.sets[index].len())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.sets.capacity() * size_of::<Set<T>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Sets;

    #[test]
    fn a_set_of_any_size_holds_each_member_once() {
        let mut sets: Sets<u64> = Sets::default();
        let mut handles = [0; 4];
        let sizes = [1, 16, 17, 3_000];

        for member in 0..6_000 {
            for (handle, size) in handles.iter_mut().zip(sizes) {
                *handle = sets.insert(*handle, member % size);
            }
        }

        for (handle, size) in handles.into_iter().zip(sizes) {
            let mut members = BTreeSet::new();
            sets.for_each(handle, |member| assert!(members.insert(member)));
            assert_eq!(members, (0..size).collect());
            assert_eq!(sets.len(handle), members.len());
        }
        assert_eq!(sets.len(0), 0);
    }

    #[test]
    fn members_that_are_there_already_do_not_change_the_bytes_that_are_counted() {
        let mut sets: Sets<u64> = Sets::default();
        let mut handle = 0;
        for size in 1..3_000 {
            handle = sets.insert(handle, size);
            sets.insert(handle, 1);
        }

        let held: usize = sets.sets.iter().map(super::Set::bytes).sum();

        assert_eq!(sets.bytes, held);
    }

    #[test]
    fn bytes_are_those_of_all_sets() {
        let mut sets: Sets<u128> = Sets::default();
        let mut handles = [0; 20];

        for member in 0..200 {
            for (i, handle) in handles.iter_mut().enumerate().filter(|(i, _)| member < i * i) {
                *handle = sets.insert(*handle, member as u128 * i as u128);
            }
        }

        let outside: usize = sets.sets.iter().map(super::Set::bytes).sum();
        assert_eq!(sets.bytes, outside);
        assert!(sets.bytes() > outside);
    }
}
