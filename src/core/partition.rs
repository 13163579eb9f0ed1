//! Partitions of a hub, and which worker is to have which.
//!
//! Owns: the partition of an id and of a key, sets of partitions, and what a worker is to take or give so
//! that all have about the same. Must never: take a partition from a worker that is alive: one changes
//! hands by its owner's leave only, or after its owner is gone. Proved by the tests below.
//!
//! The key of an instance ends in its partition, as seen from the number of partitions: whoever has a key
//! knows whose it is. A hub that one worker has as a whole has one partition.

use super::InstanceKey;
use super::ids::partition_of;

/// Most partitions of a hub.
pub const PARTITIONS_MAX: u16 = 256;
const WORDS: usize = PARTITIONS_MAX as usize / 64;

/// Number of a worker's ownership, as a store counts them.
pub type Epoch = i64;

/// A set of partitions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts([u64; WORDS]);

/// What instances a worker has: of so many partitions, these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// How many the hub has.
    pub partitions: u16,
    /// Those of the worker.
    pub parts: Parts,
}

/// A worker that is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub epoch: Epoch,
    /// It is about to end, and gives what it has.
    pub leaving: bool,
}

/// What a worker is to do so that all have about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// To take: they are nobody's.
    pub take: Parts,
    /// How many to give.
    pub give: usize,
}

impl Parts {
    /// None of them.
    pub const NONE: Self = Self([0; WORDS]);

    /// The first so many.
    #[must_use]
    pub fn first(partitions: u16) -> Self {
        (0..partitions).collect()
    }

    /// Whether one is among them.
    #[must_use]
    pub fn has(&self, part: u16) -> bool {
        self.0.get(usize::from(part / 64)).is_some_and(|word| word & (1 << (part % 64)) != 0)
    }

    /// Adds one.
    pub fn insert(&mut self, part: u16) {
        if let Some(word) = self.0.get_mut(usize::from(part / 64)) {
            *word |= 1 << (part % 64);
        }
    }

    /// Those of either.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | others.0[word]))
    }

    /// Those that are not among others.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !others.0[word]))
    }

    /// Whether any of them is among others.
    #[must_use]
    pub fn meets(self, others: Self) -> bool {
        self.without(others) != self
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Each, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..PARTITIONS_MAX).filter(|part| self.has(*part))
    }
}

impl FromIterator<u16> for Parts {
    fn from_iter<I: IntoIterator<Item = u16>>(parts: I) -> Self {
        let mut all = Self::NONE;
        all.extend(parts);
        all
    }
}

impl Extend<u16> for Parts {
    fn extend<I: IntoIterator<Item = u16>>(&mut self, parts: I) {
        parts.into_iter().for_each(|part| self.insert(part));
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Shares {
    /// Of a hub that one worker has as a whole.
    pub const WHOLE: Self = Self { partitions: 1, parts: Parts([1, 0, 0, 0]) };

    /// Whether the instance or entity of that key is the worker's.
    #[must_use]
    pub fn have_key(&self, key: InstanceKey) -> bool {
        self.parts.has(partition_of_key(key, self.partitions))
    }

    /// Whether the instance or entity of that id is, or would be, the worker's.
    #[must_use]
    pub fn have_id(&self, id: &str) -> bool {
        self.parts.has(partition_of(id, self.partitions))
    }
}

/// The partition of an instance, or of an entity, whose key is below zero.
#[must_use]
pub fn partition_of_key(key: InstanceKey, partitions: u16) -> u16 {
    let part = key.unsigned_abs() % u64::from(partitions.max(1));
    u16::try_from(part).unwrap_or_default()
}

/// The key of the instance of that number in a partition. Greater numbers have greater keys.
#[must_use]
pub fn key_in(part: u16, number: i64, partitions: u16) -> InstanceKey {
    number * i64::from(partitions.max(1)) + i64::from(part)
}

/// What `me` is to take and give. `owners` has, by partition, its owner, or `None`; an owner that is no
/// member is gone. All members come to the same view of who is to have how many, so that they do not reach
/// for the same ones; where views differ for a while, the store decides.
#[must_use]
pub fn balance(me: Epoch, members: &[Member], owners: &[Option<Epoch>]) -> Balance {
    let mine = owners.iter().filter(|owner| **owner == Some(me)).count();
    let mut stay: Vec<Epoch> =
        members.iter().filter(|member| !member.leaving).map(|member| member.epoch).collect();
    stay.sort_unstable();
    let Some(place) = stay.iter().position(|epoch| *epoch == me) else {
        // Nobody takes what one gives who is the last to leave.
        let give = if stay.is_empty() { 0 } else { mine };
        return Balance { take: Parts::NONE, give };
    };
    let fair =
        |place: usize| owners.len() / stay.len() + usize::from(place < owners.len() % stay.len());
    let lacks = |place: usize| {
        let has = owners.iter().filter(|owner| **owner == Some(stay[place])).count();
        fair(place).saturating_sub(has)
    };
    let alive = |owner: &Option<Epoch>| {
        owner.is_some_and(|epoch| members.iter().any(|member| member.epoch == epoch))
    };
    let free = (0_u16..).zip(owners).filter(|(_, owner)| !alive(owner)).map(|(part, _)| part);
    let before: usize = (0..place).map(lacks).sum();
    let take = free.skip(before).take(lacks(place)).collect();
    Balance { take, give: mine.saturating_sub(fair(place)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(epochs: &[Epoch]) -> Vec<Member> {
        epochs.iter().map(|epoch| Member { epoch: *epoch, leaving: false }).collect()
    }

    /// Lets all act by turns until nobody does, and gives who has how many.
    fn settle(members: &[Member], owners: &mut [Option<Epoch>]) -> Vec<usize> {
        for _ in 0..10 {
            for member in members {
                let Balance { take, mut give } = balance(member.epoch, members, owners);
                for part in take.iter() {
                    owners[usize::from(part)] = Some(member.epoch);
                }
                for owner in owners.iter_mut().filter(|owner| **owner == Some(member.epoch)) {
                    if give > 0 {
                        *owner = None;
                        give -= 1;
                    }
                }
            }
        }
        let count =
            |member: &Member| owners.iter().filter(|owner| **owner == Some(member.epoch)).count();
        members.iter().map(count).collect()
    }

    #[test]
    fn a_worker_alone_has_all() {
        let owners = vec![None; 256];
        let Balance { take, give } = balance(1, &members(&[1]), &owners);
        assert_eq!((take.len(), give), (256, 0));
    }

    #[test]
    fn workers_come_to_have_about_the_same_whoever_joins_or_is_gone() {
        let mut owners = vec![None; 256];
        assert_eq!(settle(&members(&[1]), &mut owners), [256]);
        assert_eq!(settle(&members(&[1, 2]), &mut owners), [128, 128]);
        assert_eq!(settle(&members(&[1, 2, 3]), &mut owners), [86, 85, 85]);
        // The first is gone, and a fourth has come.
        assert_eq!(settle(&members(&[2, 3, 4]), &mut owners), [86, 85, 85]);
    }

    #[test]
    fn one_that_leaves_gives_all_while_somebody_stays_to_take_it() {
        let mut owners = vec![Some(1); 256];
        let mut all = members(&[1, 2]);
        all[0].leaving = true;
        assert_eq!(balance(1, &all, &owners).give, 256);
        assert_eq!(settle(&all, &mut owners), [0, 256]);
        all[1].leaving = true;
        assert_eq!(balance(2, &all, &owners).give, 0);
    }

    #[test]
    fn nobody_takes_what_a_living_worker_has_nor_two_the_same() {
        let mut owners = vec![Some(1); 256];
        owners[7] = None;
        owners[9] = Some(99);
        let all = members(&[1, 2, 3]);
        let [first, second, third] = [1, 2, 3].map(|me| balance(me, &all, &owners).take);
        assert!(first.is_empty() && third.is_empty());
        assert_eq!(second, [7, 9].into_iter().collect());
    }

    #[test]
    fn more_workers_than_partitions_leave_some_without() {
        let mut owners = vec![None; 2];
        assert_eq!(settle(&members(&[1, 2, 3]), &mut owners), [1, 1, 0]);
    }

    #[test]
    fn a_key_tells_its_partition() {
        for (part, number) in [(0, 1), (255, 1), (17, 1_000_000)] {
            let key = key_in(part, number, 256);
            assert_eq!([key, -key].map(|key| partition_of_key(key, 256)), [part, part]);
            assert_eq!(partition_of_key(key, 1), 0);
        }
        assert!(Shares::WHOLE.have_key(-5) && Shares::WHOLE.have_id("a"));
    }
}
