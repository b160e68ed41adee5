//! What may happen to a cluster, as values that proptest draws and shrinks.
//!
//! Actions name members, links and keys by small numbers that are folded into what exists when the
//! action runs, so that any part of a list of actions is a list of actions.

use dkv::cluster::Options;
use dkv::raft::{Limits, Timer};
use dkv::replica::SnapshotPolicy;
use proptest::prelude::*;

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The leader if there is one.
    Leader,
    /// The member at this place, modulo their number.
    Nth(u8),
}

/// What a client writes. Values are numbered as they are submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Put {
        key: u8,
    },
    Delete {
        key: u8,
    },
    /// If the key's version is this, put it and read the next, else delete the next.
    IfVersion {
        key: u8,
        version: u8,
    },
    /// If the key holds another value than this, delete it and put the next.
    IfNot {
        key: u8,
        value: u8,
    },
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A client submits a command, and nothing is delivered.
    Submit(Who, Write),
    /// A client with a session sends its next request, or its unanswered one once more. `again` repeats
    /// even an answered one.
    Session {
        client: u8,
        at: Who,
        write: Write,
        again: bool,
    },
    Read(Who),
    /// The client of a waiting request gives up.
    Cancel(u8),
    /// These members, as bits, are cut off.
    Partition(u8),
    Cut(u8, u8),
    RestoreLink(u8, u8),
    /// All links work again, and the protocol settles.
    Heal,
    /// All links work again, and nothing is delivered.
    Mend,
    Crash {
        who: Who,
        keep: u8,
    },
    /// One of the crashed members starts again.
    Restart(u8),
    HoldDisk(Who),
    ReleaseDisk(Who),
    Sync {
        who: Who,
        count: u8,
    },
    Compact(Who),
    /// Everything is delivered.
    Deliver,
    /// Some messages and syncs, in an order that the seed draws.
    Some {
        count: u8,
        seed: u16,
    },
    DeliverOn {
        link: u8,
        count: u8,
    },
    Drop(u8),
    Duplicate(u8),
    Delay(u8),
    Elapse {
        ms: u16,
    },
    Timeout(Who, Timer),
    /// Nobody finds its leader fresh any more, and the member campaigns.
    Campaign(u8),
    Transfer(u8),
    AddLearner {
        new: bool,
        member: u8,
        deliver: bool,
    },
    Promote {
        member: u8,
        deliver: bool,
    },
    Remove {
        who: Who,
        deliver: bool,
    },
}

/// A cluster and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) members: u64,
    pub(crate) options: Options,
    pub(crate) actions: Vec<Action>,
}

/// The longest list of actions.
pub(crate) const ACTIONS_MAX: usize = 80;

/// Every case.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let members =
        prop_oneof![1 => Just(1u64), 1 => Just(2), 6 => Just(3), 2 => Just(4), 4 => Just(5), 1 => 6u64..=7];
    (members, options(), prop::collection::vec(action(), 0..=ACTIONS_MAX))
        .prop_map(|(members, options, actions)| Case { members, options, actions })
}

fn options() -> impl Strategy<Value = Options> {
    let snapshots = prop_oneof![
        2 => Just(SnapshotPolicy::default()),
        3 => (1u64..=6, 0u64..=3)
            .prop_map(|(every_entries, keep_entries)| SnapshotPolicy { every_entries, keep_entries }),
    ];
    let seed = (0u64..1 << 32).no_shrink();
    (seed, limits(), snapshots, prop::bool::weighted(0.2)).prop_map(|(seed, limits, snapshots, codec)| {
        Options { seed, limits, snapshots, codec, ..Options::default() }
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let default = Limits::default();
    let flow = (
        prop_oneof![Just(default.append_entries_max), 1u32..=3],
        prop_oneof![Just(default.append_bytes_max), 1u64..=100],
        prop_oneof![Just(default.inflight_appends_max), 1u32..=3],
        prop_oneof![Just(default.inflight_bytes_max), 1u64..=150],
    );
    let admission = (
        prop_oneof![3 => Just(default.uncommitted_entries_max), 1 => 1u64..=6],
        prop_oneof![3 => Just(default.waiting_reads_max), 1 => 1u32..=2],
        prop_oneof![Just(default.chunk_bytes_max), 20u32..=200],
        any::<bool>(),
    );
    (flow, admission).prop_map(|(flow, admission)| Limits {
        append_entries_max: flow.0,
        append_bytes_max: flow.1,
        inflight_appends_max: flow.2,
        inflight_bytes_max: flow.3,
        uncommitted_entries_max: admission.0,
        waiting_reads_max: admission.1,
        chunk_bytes_max: admission.2,
        eager_commit: admission.3,
    })
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![2 => Just(Who::Leader), 3 => any::<u8>().prop_map(Who::Nth)]
}

fn write() -> impl Strategy<Value = Write> {
    let key = 0u8..4;
    prop_oneof![
        5 => key.clone().prop_map(|key| Write::Put { key }),
        2 => key.clone().prop_map(|key| Write::Delete { key }),
        2 => (key.clone(), 0u8..4).prop_map(|(key, version)| Write::IfVersion { key, version }),
        1 => (key, 0u8..20).prop_map(|(key, value)| Write::IfNot { key, value }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        30 => client(),
        20 => network(),
        14 => members(),
        30 => progress(),
        6 => administration(),
    ]
}

fn client() -> impl Strategy<Value = Action> {
    let again = prop::bool::weighted(0.1);
    prop_oneof![
        5 => (who(), write()).prop_map(|(who, write)| Action::Submit(who, write)),
        3 => (0u8..2, who(), write(), again)
            .prop_map(|(client, at, write, again)| Action::Session { client, at, write, again }),
        3 => who().prop_map(Action::Read),
        1 => any::<u8>().prop_map(Action::Cancel),
    ]
}

fn network() -> impl Strategy<Value = Action> {
    let link = (any::<u8>(), any::<u8>());
    prop_oneof![
        4 => any::<u8>().prop_map(Action::Partition),
        2 => link.prop_map(|(from, to)| Action::Cut(from, to)),
        1 => link.prop_map(|(from, to)| Action::RestoreLink(from, to)),
        2 => Just(Action::Heal),
        3 => Just(Action::Mend),
        3 => any::<u8>().prop_map(Action::Drop),
        3 => any::<u8>().prop_map(Action::Duplicate),
        3 => any::<u8>().prop_map(Action::Delay),
    ]
}

fn members() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (who(), 0u8..4).prop_map(|(who, keep)| Action::Crash { who, keep }),
        4 => any::<u8>().prop_map(Action::Restart),
        2 => who().prop_map(Action::HoldDisk),
        2 => who().prop_map(Action::ReleaseDisk),
        2 => (who(), 1u8..4).prop_map(|(who, count)| Action::Sync { who, count }),
        2 => who().prop_map(Action::Compact),
    ]
}

fn progress() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Deliver),
        6 => (1u8..30, any::<u16>()).prop_map(|(count, seed)| Action::Some { count, seed }),
        3 => (any::<u8>(), 1u8..4).prop_map(|(link, count)| Action::DeliverOn { link, count }),
        3 => (1u16..3000).prop_map(|ms| Action::Elapse { ms }),
        3 => (who(), prop::sample::select(Timer::ALL.to_vec()))
            .prop_map(|(who, timer)| Action::Timeout(who, timer)),
        4 => any::<u8>().prop_map(Action::Campaign),
    ]
}

fn administration() -> impl Strategy<Value = Action> {
    let deliver = prop::bool::weighted(0.6);
    prop_oneof![
        2 => any::<u8>().prop_map(Action::Transfer),
        2 => (prop::bool::weighted(0.7), any::<u8>(), deliver)
            .prop_map(|(new, member, deliver)| Action::AddLearner { new, member, deliver }),
        3 => (any::<u8>(), deliver).prop_map(|(member, deliver)| Action::Promote { member, deliver }),
        2 => (who(), deliver).prop_map(|(who, deliver)| Action::Remove { who, deliver }),
    ]
}
