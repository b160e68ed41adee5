//! What a seed decides before anything happens: the cluster, and for each round the weather, the load and
//! the troubles.
//!
//! Every rate is drawn per round, and many are zero in any one of them (swarm testing, Groce et al. 2012):
//! a run in which nothing is ever lost finds other bugs than one in which half of everything is.

use crate::cluster::Options;
use crate::cluster::random::Random;
use crate::raft::Limits;
use crate::replica::SnapshotPolicy;

/// T, the minimum election timeout.
pub const ELECTION_TIMEOUT_MS: u64 = 1000;
const HEARTBEAT_MS: u64 = 100;

/// The longest queue of proposals that a leader takes, unless the plan draws a shorter one.
const UNCOMMITTED_ENTRIES_MAX: u64 = 400;

/// The most founding members.
pub const MEMBERS_MAX: u64 = 7;

/// What stays for a whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Founding members.
    pub members: u64,
    /// Clients.
    pub clients: u8,
    /// How the cluster is set up.
    pub options: Options,
}

/// From and to, both included.
pub(super) type Span = (u64, u64);

/// How messages and disks behave. Rates are per thousand, times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weather {
    pub(super) latency_ms: Span,
    /// Messages of one link keep their order unless one of them is delayed.
    pub(super) is_fifo: bool,
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) delay: u64,
    pub(super) delay_ms: Span,
    pub(super) sync_ms: Span,
    /// A sync that makes only some of the waiting writes durable.
    pub(super) partial_sync: u64,
    pub(super) slow_sync: u64,
    pub(super) stuck_sync: u64,
    /// A member that starts crashes at once.
    pub(super) crash_at_start: u64,
    /// A member that starts is backed up before.
    pub(super) backups: u64,
    /// How long a member stays down.
    pub(super) down_ms: Span,
}

/// What clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) keys: u64,
    pub(super) think_ms: Span,
    pub(super) patience_ms: Span,
    /// Clients whose writes go under a session.
    pub(super) sessions: u64,
    /// Operations that read past the log.
    pub(super) reads: u64,
    /// Writes that touch several keys.
    pub(super) transactions: u64,
    /// Requests that go to the leader, as far as the client can know.
    pub(super) to_leader: u64,
    /// Clients that end when their patience does.
    pub(super) ends: u64,
    /// Clients that ask again without giving up.
    pub(super) impatient: u64,
}

/// Something that the nemesis does from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Partition,
    OneWayCut,
    IsolatedLeader,
    Bridge,
    Crash,
    LeaderCrash,
    PowerLoss,
    Pause,
    ClockRate,
    DiskSwap,
    AddLearner,
    Promote,
    Demote,
    Remove,
    RemoveLeader,
    ChangeSeveral,
    Transfer,
    Compact,
}

impl Trouble {
    pub(super) const ALL: [Trouble; 18] = [
        Trouble::Partition,
        Trouble::OneWayCut,
        Trouble::IsolatedLeader,
        Trouble::Bridge,
        Trouble::Crash,
        Trouble::LeaderCrash,
        Trouble::PowerLoss,
        Trouble::Pause,
        Trouble::ClockRate,
        Trouble::DiskSwap,
        Trouble::AddLearner,
        Trouble::Promote,
        Trouble::Demote,
        Trouble::Remove,
        Trouble::RemoveLeader,
        Trouble::ChangeSeveral,
        Trouble::Transfer,
        Trouble::Compact,
    ];
}

/// How often troubles come, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Troubles {
    /// The mean time between two.
    pub(super) interval_ms: u64,
    /// Requests that a leader does not survive for long: it is cut off, in part or wholly, or crashes
    /// before everybody has the entry. Per thousand.
    pub(super) ambush: u64,
    /// The same for leaders that have just been elected.
    pub(super) coup: u64,
    pub(super) weights: [u64; Trouble::ALL.len()],
}

/// One storm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) weather: Weather,
    pub(super) load: Load,
    pub(super) troubles: Troubles,
}

impl Round {
    /// Mostly any mixture; sometimes a storm of one kind, for what mixtures hardly ever reach.
    pub(super) fn draw(random: &mut Random) -> Round {
        let (weather, load, troubles) = (Weather::draw(random), Load::draw(random), Troubles::draw(random));
        match random.below(10) {
            0 | 1 => Round::of_short_reigns(random),
            2 => Round::of_changes(random),
            _ => Round { weather, load, troubles },
        }
    }

    /// Members change under short reigns, and some messages come when nobody expects them any more: the chunk of
    /// a snapshot to who leads by now.
    fn of_changes(random: &mut Random) -> Round {
        let Round { weather, load, .. } = Round::of_short_reigns(random);
        let delay_ms = (ELECTION_TIMEOUT_MS / 2, 2 * ELECTION_TIMEOUT_MS);
        let weather = Weather { delay: random.between(0, 300), delay_ms, ..weather };
        Round { weather, load, troubles: Troubles::of_changes(random) }
    }

    /// Fine weather, busy clients, and no leader lives for long: entries that are on a majority and not
    /// committed need a succession of leaders who each fall at the wrong moment (Figure 8).
    fn of_short_reigns(random: &mut Random) -> Round {
        let latency_ms = (1, *random.pick(&[5, 30, 100]));
        let down_ms = (1, *random.pick(&[100, 1000, 3000]));
        let weather = Weather { latency_ms, down_ms, sync_ms: (0, 3), ..Weather::calm() };
        let load = Load {
            sessions: 500,
            reads: 100,
            to_leader: 950,
            think_ms: (0, *random.pick(&[10, 100])),
            patience_ms: (1000, 2000),
            ..Load::draw(random)
        };
        let (ambush, coup) = (random.between(0, 200), random.between(300, 900));
        let troubles =
            Troubles { interval_ms: ELECTION_TIMEOUT_MS, ambush, coup, weights: [0; Trouble::ALL.len()] };
        Round { weather, load, troubles }
    }
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(random: &mut Random) -> Plan {
        let members = *random.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, MEMBERS_MAX]);
        Plan { members, clients: random.between(1, 6) as u8, options: options(random) }
    }
}

fn options(random: &mut Random) -> Options {
    let seed = random.next_u64();
    Options {
        seed,
        limits: limits(random),
        snapshots: SnapshotPolicy {
            every_entries: *random.pick(&[5, 5, 20, 100, 1000]),
            keep_entries: *random.pick(&[0, 0, 3, 20]),
        },
        election_timeout_ms: ELECTION_TIMEOUT_MS,
        heartbeat_ms: HEARTBEAT_MS,
        ..Options::default()
    }
}

fn limits(random: &mut Random) -> Limits {
    let default = Limits::default();
    // One entry at a time leaves the most between a leader's entries and those that followers have.
    let is_narrow = random.chance(300);
    let mut small_or = |large: u64, small: Span| {
        if random.chance(500) { large } else { random.between(small.0, small.1) }
    };
    Limits {
        append_entries_max: if is_narrow {
            1
        } else {
            small_or(u64::from(default.append_entries_max), (1, 3)) as u32
        },
        append_bytes_max: small_or(default.append_bytes_max, (1, 200)),
        inflight_appends_max: small_or(u64::from(default.inflight_appends_max), (1, 4)) as u32,
        inflight_bytes_max: small_or(default.inflight_bytes_max, (1, 400)),
        // Clients that give up and ask again would fill any queue: what bounds it is in sight here.
        uncommitted_entries_max: small_or(UNCOMMITTED_ENTRIES_MAX, (4, 40)),
        waiting_reads_max: small_or(u64::from(default.waiting_reads_max), (1, 4)) as u32,
        chunk_bytes_max: small_or(u64::from(default.chunk_bytes_max), (30, 300)) as u32,
        eager_commit: small_or(1, (0, 1)) == 1,
    }
}

/// A rate that is often zero and otherwise up to `most` per thousand, low ones more often.
fn rate(random: &mut Random, most: u64) -> u64 {
    if random.chance(500) {
        return 0;
    }
    let reach = random.between(1, most);
    random.between(1, reach)
}

impl Weather {
    pub(super) fn draw(random: &mut Random) -> Weather {
        let slowest_ms = *random.pick(&[2, 10, 50, 200]);
        let delay_ms = random.between(ELECTION_TIMEOUT_MS / 2, 5 * ELECTION_TIMEOUT_MS);
        Weather {
            latency_ms: (1, slowest_ms),
            is_fifo: random.chance(500),
            loss: rate(random, 300),
            duplication: rate(random, 200),
            delay: rate(random, 200),
            delay_ms: (ELECTION_TIMEOUT_MS / 2, delay_ms),
            sync_ms: (0, *random.pick(&[0, 2, 20, 100])),
            partial_sync: rate(random, 800),
            slow_sync: rate(random, 100),
            stuck_sync: rate(random, 20),
            crash_at_start: rate(random, 500),
            backups: rate(random, 300),
            down_ms: (1, *random.pick(&[50, 500, 3000, 10_000])),
        }
    }

    /// Nothing is lost, late or slow.
    pub(super) fn calm() -> Weather {
        Weather {
            latency_ms: (1, 5),
            is_fifo: true,
            loss: 0,
            duplication: 0,
            delay: 0,
            delay_ms: (0, 0),
            sync_ms: (0, 2),
            partial_sync: 0,
            slow_sync: 0,
            stuck_sync: 0,
            crash_at_start: 0,
            backups: 0,
            down_ms: (1, 1),
        }
    }
}

impl Load {
    pub(super) fn draw(random: &mut Random) -> Load {
        let think_ms = *random.pick(&[1, 10, 100, 500]);
        let patience_ms = *random.pick(&[50, 300, 1000, 4000]);
        Load {
            keys: random.between(1, 6),
            think_ms: (0, think_ms),
            patience_ms: (patience_ms / 2, patience_ms),
            sessions: *random.pick(&[0, 500, 1000]),
            reads: *random.pick(&[0, 200, 500, 800]),
            transactions: *random.pick(&[0, 200, 500]),
            to_leader: *random.pick(&[0, 500, 900]),
            ends: rate(random, 300),
            impatient: rate(random, 1000),
        }
    }
}

impl Troubles {
    pub(super) fn draw(random: &mut Random) -> Troubles {
        let interval_ms = *random.pick(&[100, 300, 1000, 3000]);
        let weights = Trouble::ALL.map(|trouble| match trouble {
            _ if random.chance(500) => 0,
            Trouble::PowerLoss | Trouble::DiskSwap => 1,
            _ => random.between(2, 10),
        });
        Troubles { interval_ms, ambush: rate(random, 300), coup: rate(random, 900), weights }
    }

    /// Members come and go all the time, under leaders who fall often.
    fn of_changes(random: &mut Random) -> Troubles {
        let weights = Trouble::ALL.map(|trouble| match trouble {
            Trouble::AddLearner | Trouble::Promote | Trouble::ChangeSeveral => 5,
            Trouble::Demote | Trouble::Remove | Trouble::RemoveLeader => 2,
            Trouble::Transfer => 4,
            Trouble::Partition | Trouble::Crash | Trouble::IsolatedLeader => 2,
            _ => 0,
        });
        Troubles {
            interval_ms: *random.pick(&[50, 200, 600]),
            ambush: 50,
            coup: random.between(0, 600),
            weights,
        }
    }

    /// Which comes next, unless there is none this time.
    pub(super) fn pick(&self, random: &mut Random) -> Option<Trouble> {
        let sum: u64 = self.weights.iter().sum();
        let mut left = random.below(sum.max(1));
        let chosen = self.weights.iter().position(|weight| {
            let is_here = left < *weight;
            left = left.saturating_sub(*weight);
            is_here
        });
        chosen.map(|place| Trouble::ALL[place])
    }
}
