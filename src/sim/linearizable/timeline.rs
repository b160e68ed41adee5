//! One key in the order of revisions: what is known about it at each, and whether that fits together.
//!
//! A [`Mark`] is a fact: at a revision the key was put or deleted, was seen or was missed. The marks of a
//! key are walked in order of revision. A revision that no known write owns is a gap: a write of unknown
//! outcome may have had it. What can have happened in the gaps between two facts is bounded by the writes
//! that are left over and were invoked early enough (their `floor`: a revision that the store had reached
//! before they were invoked, which is therefore not theirs):
//!
//! - what was put stays until the next mark that says otherwise, unless a left-over write may delete it in a
//!   gap after it was last seen;
//! - a put that follows puts has their `create_revision` and one `version` more for each, and one for every
//!   gap at most in which a left-over write may have put the key;
//! - a put that follows an absence creates the key, unless a gap between them does.
//!
//! The walk leaves a [`Timeline`]: when each put can have been seen, and when the key can have been missing.
//!
//! # What this leaves out
//!
//! Each question is asked on its own: two answers may need the same gap, or the same left-over write, for
//! different things. A value that was only compared with, never read, does not give its write a revision.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::raft::Bytes;
use crate::sim::history::Found;

/// The revisions that known writes own.
pub(super) struct Owned {
    /// The revision at which the history starts: it and all before are nobody's.
    start: u64,
    /// In ascending order, larger than `start`.
    revisions: Vec<u64>,
}

impl Owned {
    pub(super) fn new(start: u64, revisions: Vec<u64>) -> Owned {
        Owned { start, revisions }
    }

    /// Whether nobody is known to own `revision`.
    pub(super) fn is_gap(&self, revision: u64) -> bool {
        revision > self.start && self.revisions.binary_search(&revision).is_err()
    }

    /// How many gaps there are after `from` and before `to`.
    fn gaps_between(&self, from: u64, to: u64) -> u64 {
        let from = from.max(self.start);
        let below = |revision| self.revisions.partition_point(|owned| *owned < revision);
        let owned = below(to).saturating_sub(below(from.saturating_add(1))) as u64;
        to.saturating_sub(from).saturating_sub(1).saturating_sub(owned)
    }

    /// Whether there is a gap after `from` and not after `to`.
    pub(super) fn has_gap(&self, from: u64, to: u64) -> bool {
        self.gaps_between(from, to.saturating_add(1)) > 0
    }

    /// The first gap after `from`.
    pub(super) fn gap_after(&self, from: u64) -> u64 {
        let next = from.max(self.start).saturating_add(1);
        let rest = &self.revisions[self.revisions.partition_point(|owned| *owned < next)..];
        // Revisions without a gap grow by one per position; with a gap they run ahead of that for good.
        let mut low = 0;
        let mut high = rest.len();
        while low < high {
            let middle = low.midpoint(high);
            if rest[middle] - next == middle as u64 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        next.saturating_add(low as u64)
    }
}

/// The writes of a key that have no revision yet.
#[derive(Default)]
pub(super) struct LeftOver {
    /// The floors of those that may put it, in ascending order.
    pub(super) putters: Vec<u64>,
    /// The floors of those that may delete it, in ascending order.
    pub(super) deleters: Vec<u64>,
    /// When the first that may delete it was invoked.
    pub(super) deleter_invoked: Option<u64>,
}

/// A fact about a key, and the operation that shows it.
pub(super) struct Mark<'a> {
    pub(super) revision: u64,
    pub(super) what: What<'a>,
    pub(super) by: usize,
}

/// Of marks with one revision, those further up come first.
pub(super) enum What<'a> {
    /// The owner of the revision put this.
    Put(&'a Bytes),
    /// The owner of the revision deleted it.
    Delete,
    /// The key does not exist, and the operation deleted it unless it did not exist before.
    PerhapsDelete,
    /// It does not exist.
    Absent,
    /// It was read.
    Present(&'a Found),
    /// It has this value. If that is from a write without a revision, the floor of that.
    Is(&'a Bytes, Option<u64>),
    /// It was compared with this, and perhaps not found equal: some compare of the operation failed.
    PerhapsIsNot(Option<&'a Bytes>),
}

impl What<'_> {
    fn rank(&self) -> u8 {
        match self {
            What::Put(_) => 0,
            What::Delete => 1,
            What::PerhapsDelete => 2,
            What::Absent => 3,
            What::Present(_) => 4,
            What::Is(..) => 5,
            What::PerhapsIsNot(_) => 6,
        }
    }
}

/// What does not fit, and the operations that show it.
pub(super) struct Misfit {
    pub(super) operations: Vec<usize>,
    pub(super) detail: String,
}

/// When a key can have been seen how.
#[derive(Default)]
pub(super) struct Timeline {
    /// For every put, by its revision: the last at which it can have been there.
    lives: Vec<(u64, u64)>,
    /// First and last revisions between which the key did not exist, as far as known.
    absences: Vec<(u64, u64)>,
    /// The same if a left-over delete took effect.
    perhaps_absences: Vec<(u64, u64)>,
    deleter_invoked: Option<u64>,
}

impl Timeline {
    /// The least revision from `floor` on at which a read that returned at `returned` can have seen `found`.
    pub(super) fn least(&self, found: Option<&Found>, floor: u64, returned: u64) -> Option<u64> {
        if let Some(found) = found {
            let life = self.lives.binary_search_by_key(&found.mod_revision, |(from, _)| *from).ok()?;
            let (from, until) = self.lives[life];
            return Some(floor.max(from)).filter(|revision| *revision <= until);
        }
        let first = |absences: &[(u64, u64)]| {
            let next = absences.partition_point(|(_, until)| *until < floor);
            absences.get(next).map(|(from, _)| floor.max(*from))
        };
        let is_deletable = self.deleter_invoked.is_some_and(|invoked| invoked < returned);
        let perhaps = is_deletable.then(|| first(&self.perhaps_absences)).flatten();
        first(&self.absences).into_iter().chain(perhaps).min()
    }
}

/// What the walk over a key found.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) timeline: Timeline,
    /// Revisions that some delete may own.
    pub(super) claims: Vec<u64>,
    /// Revisions that one of these deletes must own, since nothing else explains the absence.
    pub(super) forced: Vec<(u64, Vec<usize>)>,
    /// Operations that a failed compare was reported to, once for every compare that in fact held.
    pub(super) held: Vec<usize>,
}

/// A put, or an absence, and until when it was seen.
struct Point<'a> {
    at: u64,
    seen: u64,
    value: Option<&'a Bytes>,
    by: Option<usize>,
}

struct Walker<'a> {
    owned: &'a Owned,
    left_over: &'a LeftOver,
    /// The last point of which all is known, and the puts since.
    points: Vec<Point<'a>>,
    /// Create revision and version of the first of them, unless it is an absence.
    born: Option<(u64, u64)>,
    walk: Walk,
}

/// Walks over the marks of a key, which was `found` at the start.
pub(super) fn walk<'a>(
    owned: &'a Owned,
    left_over: &'a LeftOver,
    found: Option<&'a Found>,
    mut marks: Vec<Mark<'a>>,
) -> Result<Walk, Misfit> {
    marks.sort_by_key(|mark| (mark.revision, mark.what.rank()));
    let at = found.map_or(owned.start, |found| found.mod_revision);
    let first = Point { at, seen: owned.start, value: found.map(|found| &found.value), by: None };
    let mut walker = Walker {
        owned,
        left_over,
        points: vec![first],
        born: found.map(|found| (found.create_revision, found.version)),
        walk: Walk::default(),
    };
    walker.walk.timeline.deleter_invoked = left_over.deleter_invoked;
    for mark in &marks {
        walker.pass(mark)?;
    }
    walker.end_latest(u64::MAX);
    Ok(walker.walk)
}

impl<'a> Walker<'a> {
    fn latest(&self) -> &Point<'a> {
        // There is always a first.
        &self.points[self.points.len() - 1]
    }

    fn misfit(&self, mark: &Mark<'_>, what: &str) -> Misfit {
        let latest = self.latest();
        let state = match (latest.value, latest.by) {
            (Some(value), _) => format!("{value:?}, put at {}", latest.at),
            (None, _) => format!("absent since {}", latest.at),
        };
        let operations = latest.by.into_iter().chain([mark.by]).collect();
        Misfit { operations, detail: format!("{what} at revision {}, but it was {state}", mark.revision) }
    }

    fn pass(&mut self, mark: &Mark<'a>) -> Result<(), Misfit> {
        let Mark { revision, by, .. } = *mark;
        match mark.what {
            What::Put(value) => {
                self.end_latest(revision - 1);
                self.points.push(Point { at: revision, seen: revision, value: Some(value), by: Some(by) });
            }
            What::Delete | What::PerhapsDelete | What::Absent => self.pass_absent(mark)?,
            What::Present(found) => self.pass_present(mark, found)?,
            What::Is(value, floor) => {
                let last = self.points.len() - 1;
                let latest = &mut self.points[last];
                if latest.value == Some(value) {
                    latest.seen = revision;
                } else if floor.is_none_or(|floor| !self.owned.has_gap(latest.seen.max(floor), revision)) {
                    return Err(self.misfit(mark, &format!("it was compared and equal to {value:?}")));
                }
            }
            What::PerhapsIsNot(value) => {
                let LeftOver { putters, deleters, .. } = self.left_over;
                let latest = self.latest();
                let may_differ = self.may_happen(putters, latest.seen, revision)
                    || value.is_some() && self.may_happen(deleters, latest.seen, revision);
                if latest.value == value && !may_differ {
                    self.walk.held.push(by);
                }
            }
        }
        Ok(())
    }

    /// Whether one of the left-over writes with these floors may own a revision after `from` and not after
    /// `to`. If one may, then the one with the least floor.
    fn may_happen(&self, floors: &[u64], from: u64, to: u64) -> bool {
        floors.first().is_some_and(|floor| self.owned.has_gap(from.max(*floor), to))
    }

    /// Says how long the latest point can have lasted.
    fn end_latest(&mut self, until: u64) {
        let Point { at, seen, value, .. } = *self.latest();
        let timeline = &mut self.walk.timeline;
        if value.is_none() {
            timeline.absences.push((at, until));
            return;
        }
        timeline.lives.push((at, until));
        if let Some(floor) = self.left_over.deleters.first() {
            let gap = self.owned.gap_after(seen.max(*floor));
            if gap <= until {
                timeline.perhaps_absences.push((gap, until));
            }
        }
    }

    fn pass_absent(&mut self, mark: &Mark<'a>) -> Result<(), Misfit> {
        let Mark { revision, by, .. } = *mark;
        let LeftOver { putters, deleters, .. } = self.left_over;
        let Point { seen, value, .. } = *self.latest();
        let is_perhaps_delete = matches!(mark.what, What::PerhapsDelete);
        if value.is_none() {
            if is_perhaps_delete && self.may_happen(putters, seen, revision - 1) {
                self.walk.claims.push(revision);
            }
            match self.walk.forced.last_mut() {
                Some((same, deletes)) if is_perhaps_delete && *same == revision => deletes.push(by),
                _ => {}
            }
            let last = self.points.len() - 1;
            self.points[last].seen = revision;
            return Ok(());
        }
        let is_explained = self.may_happen(deleters, seen, revision);
        if is_perhaps_delete {
            self.walk.claims.push(revision);
            if !is_explained {
                self.walk.forced.push((revision, vec![by]));
            }
        } else if matches!(mark.what, What::Absent) && !is_explained {
            return Err(self.misfit(mark, "it was missing"));
        }
        self.end_latest(revision - 1);
        self.points.clear();
        self.points.push(Point { at: revision, seen: revision, value: None, by: Some(by) });
        self.born = None;
        Ok(())
    }

    fn pass_present(&mut self, mark: &Mark<'a>, found: &'a Found) -> Result<(), Misfit> {
        let latest = self.latest();
        let born = (found.create_revision, found.version);
        if latest.value != Some(&found.value) || latest.at != found.mod_revision {
            return Err(self.misfit(mark, &format!("it was seen as {found}")));
        }
        let is_possible = if self.points.len() == 1 { self.born == Some(born) } else { self.may_be(born) };
        if !is_possible {
            return Err(self.misfit(mark, &format!("it was seen as {found}, which does not count its puts")));
        }
        let seen = Point { seen: mark.revision, ..*latest };
        self.points.clear();
        self.points.push(seen);
        self.born = Some(born);
        Ok(())
    }

    /// Whether the last of several points can have this create revision and this version.
    fn may_be(&self, (created, version): (u64, u64)) -> bool {
        let last = self.points.len() - 1;
        if self.born.is_some_and(|(same, _)| same == created) {
            let known = self.born.map_or(0, |(_, version)| version) + last as u64;
            return self.is_within(version, known, self.puts_in_gaps(0));
        }
        // It was created since: at one of the points after the first, or in a gap between two.
        let next = self.points.partition_point(|point| point.at <= created);
        let Some(before) = next.checked_sub(1) else { return false };
        if before >= 1 && self.points[before].at == created {
            let known = (last - before + 1) as u64;
            return self.is_absent_between(before - 1, created - 1)
                && self.is_within(version, known, self.puts_in_gaps(before));
        }
        let Some(following) = self.points.get(next) else { return false };
        let putters = self.putters_below(self.points[last].at);
        let in_gaps = self.owned.gaps_between(created, following.at).saturating_add(self.gaps_since(next));
        self.owned.is_gap(created)
            && created > self.points[before].seen
            && self.may_happen(&self.left_over.putters, created - 1, created)
            && self.is_absent_between(before, created - 1)
            && self.is_within(version, 1 + (last - before) as u64, in_gaps.min(putters.saturating_sub(1)))
    }

    fn is_within(&self, version: u64, known: u64, more: u64) -> bool {
        (known..=known.saturating_add(more)).contains(&version)
    }

    /// Whether the key can have been absent after this point and not after the revision.
    fn is_absent_between(&self, point: usize, to: u64) -> bool {
        let Point { seen, value, .. } = self.points[point];
        value.is_none() || self.may_happen(&self.left_over.deleters, seen, to)
    }

    /// How many gaps there are between the points from this one on.
    fn gaps_since(&self, from: usize) -> u64 {
        let pairs = self.points[from..].windows(2);
        pairs.map(|pair| self.owned.gaps_between(pair[0].seen, pair[1].at)).fold(0, u64::saturating_add)
    }

    /// How many left-over writes can have put the key before the revision.
    fn putters_below(&self, revision: u64) -> u64 {
        // The least revision that a write with a floor can own is the next.
        let below = |floor: &u64| floor.saturating_add(1) < revision;
        self.left_over.putters.partition_point(below) as u64
    }

    /// How many left-over puts can lie in the gaps from this point on.
    fn puts_in_gaps(&self, from: usize) -> u64 {
        let last = self.points[self.points.len() - 1].at;
        self.gaps_since(from).min(self.putters_below(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_is_not_owned() {
        let owned = Owned::new(3, vec![4, 5, 7, 10]);
        let gaps: Vec<u64> = (0..13).filter(|revision| owned.is_gap(*revision)).collect();
        assert_eq!(gaps, [6, 8, 9, 11, 12]);
        for from in 0..13 {
            let after = gaps.iter().copied().find(|gap| *gap > from).unwrap_or(13);
            assert_eq!(owned.gap_after(from), after, "after {from}");
            for to in 0..13 {
                let between = gaps.iter().filter(|gap| (from + 1..to).contains(*gap)).count() as u64;
                assert_eq!(owned.gaps_between(from, to), between, "{from} to {to}");
                assert_eq!(owned.has_gap(from, to), gaps.iter().any(|gap| from < *gap && *gap <= to));
            }
        }
    }

    #[test]
    fn a_read_is_put_at_the_least_revision_at_which_it_held() {
        let [x, y] = ["x", "y"].map(Bytes::from);
        let owned = Owned::new(1, vec![2, 5, 7]);
        let marks = vec![
            Mark { revision: 2, what: What::Put(&x), by: 0 },
            Mark { revision: 5, what: What::Put(&y), by: 1 },
            Mark { revision: 7, what: What::Delete, by: 2 },
        ];
        let found = |value: &Bytes, mod_revision| Found {
            value: value.clone(),
            create_revision: 2,
            mod_revision,
            version: 1,
        };
        let unknown = LeftOver { putters: vec![], deleters: vec![3], deleter_invoked: Some(40) };
        let Ok(Walk { timeline, .. }) = walk(&owned, &unknown, None, marks) else {
            panic!("nothing is wrong")
        };
        assert_eq!(timeline.least(Some(&found(&x, 2)), 1, 90), Some(2));
        assert_eq!(timeline.least(Some(&found(&x, 2)), 4, 90), Some(4));
        assert_eq!(timeline.least(Some(&found(&x, 2)), 5, 90), None);
        assert_eq!(timeline.least(Some(&found(&y, 5)), 1, 90), Some(5));
        assert_eq!(timeline.least(None, 1, 90), Some(1));
        assert_eq!(timeline.least(None, 2, 90), Some(4), "the unknown delete may own 4");
        assert_eq!(timeline.least(None, 2, 30), Some(7), "but was not yet invoked");
    }
}
