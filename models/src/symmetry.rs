//! Symmetry: states that differ only in who is who count as one.
//!
//! No decision of the protocol compares two ids for order. So where all members begin equal, after a cold start, every
//! run has a twin under every renaming of the members, and one of them need be followed. A configuration with
//! [`symmetry`](crate::configurations::Configuration::symmetry) is explored up to renaming: all states of an orbit
//! have one fingerprint, the least of the hashes of their images, and the search goes on from whichever it met first.
//!
//! **Images are run, not rewritten.** A member is shipped code with ids all over it. To rewrite them from outside
//! would need access to everything in it, and would take for granted that the code does not care. Instead an
//! image is *computed*: the members of the first state are each other's images, and when a member takes an event
//! for the first time, its image under every renaming takes the renamed event, in the shipped code. What comes of
//! it is the image of what came of the first, provided that
//!
//! - it sent the same to everybody and told clients the same, renamed, and shows and breaks the same;
//! - whatever led to a member, it has one image under each renaming;
//! - the verdict over the cluster was reached over all images too, and the ledgers correspond.
//!
//! If not, the property [`SYMMETRY`] is broken, and the run ends with the path. So a run that ends well has shown of
//! every step it took that renaming commutes with it, and rests on no assumption about the code. Only packets and
//! answers, whose fields are public, are rewritten.
//!
//! **How many states that stands for** is counted: an orbit has as many states as there are renamings,
//! divided by those that change nothing. The sum over all orbits is the number of distinct states of the full
//! run, and a test compares.
//!
//! Left out: configurations in which members are told apart, by a founding leader or by an operator who names
//! one. They break [`SYMMETRY`] at the first step that shows it.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use dkv::raft::{Configuration as Members, Entry, Envelope, Message, NodeId, Payload, Refusal, SnapshotMeta};
use dkv::replica::{Answer, Failure, Forward, Reply};

use crate::interned::{Folding, Interned};
use crate::letters::{Command, Subject};
use crate::local::{Event, Told};
use crate::properties::Broken;
use crate::state::{MEMBERS_MAX, Packet, State, id_of, index_of};

/// The code does the same whoever does it. Broken where a configuration with symmetry has none.
pub const SYMMETRY: &str = "symmetry";

/// The violation of [`SYMMETRY`].
pub(crate) fn asymmetric(detail: &str) -> Broken {
    Broken { property: SYMMETRY, detail: format!("{detail}, under some renaming of the members") }
}

/// New ids for all members.
pub struct Renaming {
    /// The new position of each member.
    new: Vec<usize>,
    /// The old position of each member.
    old: Vec<usize>,
    /// The old position of each direction.
    old_links: Vec<usize>,
}

/// All renamings of so many members. The first changes nothing.
pub struct Renamings {
    all: Vec<Renaming>,
    /// At `[second][first]`, which renaming it is to rename by `first` and then by `second`.
    composed: Vec<Vec<usize>>,
}

impl Renamings {
    /// All renamings of `count` members.
    ///
    /// # Panics
    /// There are more than [`MEMBERS_MAX`].
    #[must_use]
    pub fn of(count: usize) -> &'static Renamings {
        static OF: [OnceLock<Renamings>; MEMBERS_MAX + 1] = [const { OnceLock::new() }; MEMBERS_MAX + 1];
        OF[count].get_or_init(|| Renamings::new(count))
    }

    fn new(count: usize) -> Renamings {
        let mut orders = vec![Vec::new()];
        for _ in 0..count {
            let longer = |order: &Vec<usize>| {
                let (order, free) = (order.clone(), (0..count).filter(|id| !order.contains(id)));
                free.map(|id| [order.as_slice(), &[id]].concat()).collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        let directions = || (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let directions = || directions().filter(|(from, to)| from != to);
        let all = orders.iter().map(|new| {
            let old: Vec<usize> = (0..count).filter_map(|id| new.iter().position(|at| *at == id)).collect();
            let position = |wanted| directions().position(|direction| direction == wanted);
            let old_links = directions().filter_map(|(from, to)| position((old[from], old[to]))).collect();
            Renaming { new: new.clone(), old, old_links }
        });
        let composed = orders.iter().map(|second| {
            let both = |first: &Vec<usize>| first.iter().map(|id| second[*id]).collect::<Vec<_>>();
            orders.iter().filter_map(|first| orders.iter().position(|order| *order == both(first))).collect()
        });
        Renamings { all: all.collect(), composed: composed.collect() }
    }

    /// Every renaming, with its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Renaming)> {
        self.all.iter().enumerate()
    }

    /// Each of these values, which are the images of the first under all renamings, gets its images: each other.
    pub(crate) fn relate<T: Hash>(&self, images: &[Interned<T>]) -> Result<(), Broken> {
        for (first, value) in images.iter().enumerate() {
            let orbit = self.composed.iter().map(|second| images[second[first]].content_hash());
            if !value.has_orbit(orbit) {
                return Err(asymmetric("what is equal has images that differ"));
            }
        }
        Ok(())
    }
}

impl Renaming {
    /// The new position of a member.
    pub(crate) fn position(&self, id: usize) -> usize {
        self.new[id]
    }

    /// The old position of the member that is now here.
    pub(crate) fn origin(&self, id: usize) -> usize {
        self.old[id]
    }

    fn id(&self, id: NodeId) -> NodeId {
        id_of(self.new[index_of(id)])
    }

    fn members(&self, members: &Members) -> Members {
        let rename = |ids: &std::collections::BTreeSet<NodeId>| ids.iter().map(|id| self.id(*id)).collect();
        let Members { voters, outgoing, learners } = members;
        Members {
            voters: rename(voters),
            outgoing: outgoing.as_ref().map(rename),
            learners: rename(learners),
        }
    }

    fn entry(&self, entry: &Entry<Command>) -> Entry<Command> {
        match &entry.payload {
            Payload::Configuration(members) => {
                Entry { id: entry.id, payload: Payload::Configuration(Box::new(self.members(members))) }
            }
            Payload::Noop | Payload::Command(_) => entry.clone(),
        }
    }

    fn message(&self, message: &Message<Command>) -> Message<Command> {
        match message {
            Message::AppendEntries { prev, entries, leader_commit } => Message::AppendEntries {
                prev: *prev,
                entries: entries.iter().map(|entry| self.entry(entry)).collect(),
                leader_commit: *leader_commit,
            },
            Message::InstallSnapshot { snapshot, offset, length } => {
                let configuration = Box::new(self.members(&snapshot.configuration));
                let snapshot = SnapshotMeta { configuration, ..snapshot.clone() };
                Message::InstallSnapshot { snapshot, offset: *offset, length: *length }
            }
            // Named one by one, so that a new one with ids in it is not forgotten.
            Message::PreVote { .. }
            | Message::PreVoteResponse { .. }
            | Message::RequestVote { .. }
            | Message::RequestVoteResponse { .. }
            | Message::AppendAccepted { .. }
            | Message::AppendRefused { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatResponse { .. }
            | Message::InstallSnapshotResponse { .. }
            | Message::TimeoutNow
            | Message::ReadIndex { .. }
            | Message::ReadIndexResponse { .. } => message.clone(),
        }
    }

    fn failure(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(Refusal::NotLeader { hint }) => {
                Failure::Refused(Refusal::NotLeader { hint: hint.map(|id| self.id(id)) })
            }
            Failure::Refused(_) | Failure::Lost | Failure::Unknown => failure,
        }
    }

    /// The image of a packet.
    pub(crate) fn packet(&self, packet: &Packet) -> Packet {
        match packet {
            Packet::Raft { envelope: Envelope { from, to, term, message }, chunk } => Packet::Raft {
                envelope: Envelope {
                    from: self.id(*from),
                    to: self.id(*to),
                    term: *term,
                    message: self.message(message),
                },
                chunk: chunk.clone(),
            },
            Packet::Forward { from, to, forward } => {
                let forward = match forward {
                    Forward::Answer { request, outcome: Err(failure) } => {
                        Forward::Answer { request: *request, outcome: Err(self.failure(*failure)) }
                    }
                    Forward::Answer { .. } | Forward::Propose { .. } => forward.clone(),
                };
                Packet::Forward { from: self.id(*from), to: self.id(*to), forward }
            }
        }
    }

    /// The image of an event, whose packet `keep` interns.
    pub(crate) fn event(&self, event: &Event, keep: impl FnOnce(Packet) -> Interned<Packet>) -> Event {
        match event {
            Event::Packet(packet) => Event::Packet(keep(self.packet(packet))),
            Event::Restart(id) => Event::Restart(self.id(*id)),
            Event::Transfer(request, to) => Event::Transfer(*request, self.id(*to)),
            // An operator's list names members whatever they are called: that is for the outcomes to show.
            Event::Persisted(_)
            | Event::Propose(..)
            | Event::ProposeTogether(..)
            | Event::Cancel(_)
            | Event::Read(_)
            | Event::Timeout(_)
            | Event::Change(..)
            | Event::Compact
            | Event::Crash(_) => event.clone(),
        }
    }

    /// The image of what a client is told.
    pub(crate) fn told(&self, told: &Told) -> Told {
        let outcome = match &told.answer.outcome {
            Ok(Reply::MembersChanged(members)) => Ok(Reply::MembersChanged(self.members(members))),
            Err(failure) => Err(self.failure(*failure)),
            Ok(Reply::Applied { .. } | Reply::Read { .. } | Reply::Transferred) => {
                told.answer.outcome.clone()
            }
        };
        Told { answer: Answer { request: told.answer.request, outcome }, view: told.view.clone() }
    }
}

/// The hash that all images of a state share, and how many states there are that are images of it.
#[must_use]
pub fn orbit<P: Subject>(state: &State<P>) -> (u64, usize) {
    let renamings = Renamings::of(state.count());
    // The least hash of any image of a member is the same for all of them. So only renamings that put
    // members in the order of these need be looked at, and mostly that is one.
    let mut ranks = [0; MEMBERS_MAX];
    for (rank, member) in ranks.iter_mut().zip(state.members()) {
        *rank = member.rank();
    }
    let (mut least, mut times) = (u64::MAX, 0);
    for (number, renaming) in renamings.iter() {
        if !renaming.old.is_sorted_by_key(|old| ranks[*old]) {
            continue;
        }
        let hash = image_hash(state, number, renaming);
        match hash.cmp(&least) {
            Ordering::Less => (least, times) = (hash, 1),
            Ordering::Equal => times += 1,
            Ordering::Greater => {}
        }
    }
    (least, renamings.all.len() / times)
}

/// The hash of all that renaming changes in the image of a state.
fn image_hash<P: Subject>(state: &State<P>, number: usize, renaming: &Renaming) -> u64 {
    let mut hasher = Folding::default();
    for old in &renaming.old {
        hasher.write_u64(state.member(*old).image_hash(number));
    }
    let mut cut = 0_u64;
    for (new, old) in renaming.old_links.iter().enumerate() {
        hasher.write_u64(state.link_at(*old).0.as_ref().map_or(0, |queue| queue.image_hash(number)));
        cut |= u64::from(state.cut >> old & 1) << new;
    }
    hasher.write_u64(cut);
    hasher.write_u64(state.ledger.image_hash(number));
    hasher.finish()
}
