//! What is compared after each action, and what must come true at the end.

use dkv::cluster::invariants::exactly_once;
use dkv::cluster::{Outcome, Policies};
use dkv::kv::{Command, Outcome as Answer, Response};
use dkv::raft::{Bytes, Index, Message, NodeId, Payload, RequestId, Role};
use dkv::replica::{Failure, Packet};

use super::actions::{Action, Write};
use super::model::State;
use super::world::{Kind, StoreOf, Submissions, Waiting, World};

/// After the last action and when all faults are gone, a new command commits within this many minimum
/// election timeouts of virtual time. One campaign takes at most two; split votes add.
const COMMIT_TIMEOUTS_MAX: u64 = 20;

/// And all members of the configuration have every committed entry this many timeouts later.
const CONVERGENCE_TIMEOUTS_MAX: u64 = 10;

/// Virtual time between two looks at the end.
const STEP_MS: u64 = 250;
const TIMEOUT_MS: u64 = 1000;

/// Proposals until nobody waits for an index that only a deposed leader had reached.
const FILLERS_MAX: usize = 200;

/// What a check says.
pub(crate) type Checked = Result<(), String>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl<P: Policies, K: dkv::kv::Rules> World<P, K>
where
    StoreOf<K>: Default,
{
    // --- comparing -----------------------------------------------------------------------------

    pub(crate) fn check(&mut self) -> Checked {
        if let Some(violation) = self.cluster.violation() {
            return Err(violation.to_string());
        }
        self.follow_ledger()?;
        self.check_members()?;
        self.check_outcomes()?;
        self.check_messages()
    }

    /// A cut link carries nothing, and what is on its way was durable before it left (Figure 2).
    fn check_messages(&self) -> Checked {
        for (link, count) in self.cluster.links().loaded() {
            ensure(!self.cluster.links().is_cut(link), || {
                format!("{count} messages on the cut link {link:?}")
            })?;
            for packet in self.cluster.links().on(link) {
                let Packet::Raft { envelope, .. } = packet else { continue };
                let sworn = self.cluster.members()[&envelope.from].disk().synced().hard_state;
                ensure(envelope.term <= sworn.term, || {
                    format!("{envelope:?} left before its term was synced")
                })?;
                if envelope.message == (Message::RequestVoteResponse { granted: true }) {
                    let is_durable = envelope.term < sworn.term || sworn.voted_for == Some(envelope.to);
                    ensure(is_durable, || format!("{envelope:?} left before the vote was synced"))?;
                }
            }
        }
        Ok(())
    }

    /// The committed sequence only ever grows.
    fn follow_ledger(&mut self) -> Checked {
        let known = self.reference.last();
        let mut found = 0;
        for entry in self.cluster.ledger().entries() {
            found += 1;
            if entry.id.index <= known {
                ensure(self.reference.entry(entry.id.index) == Some(entry), || {
                    format!("the committed {:?} became {entry:?}", self.reference.entry(entry.id.index))
                })?;
                continue;
            }
            let submissions = &self.submissions;
            self.reference.extend(entry, |bytes| Some(&submissions.get(bytes)?.command))?;
            match &entry.payload {
                Payload::Command(bytes) => {
                    let known = self.submissions.get_mut(bytes).expect("found by the reference");
                    known.committed += 1;
                    known.check()?;
                }
                Payload::Configuration(_) => self.stats.configurations += 1,
                Payload::Noop => {}
            }
        }
        ensure(found >= known.0, || format!("{known} entries were committed, and {found} are left"))
    }

    /// Every member that is up is a fold of a prefix, and never ahead of its own disk.
    fn check_members(&self) -> Checked {
        for (id, member) in self.cluster.members() {
            ensure(member.fault().is_none(), || format!("{id} stopped: {:?}", member.fault()))?;
            if member.replica().is_none() {
                continue;
            }
            let applied = member.machine().applied();
            ensure(self.reference.id(applied.index) == Some(applied), || {
                format!("{id} applied {applied}, which is not committed")
            })?;
            let durable = member.disk().synced().last().index;
            ensure(applied.index <= durable, || {
                format!("{id} applied {applied} and synced only up to {durable}")
            })?;
            let (held, expected) = (State::of_store(member.machine()), self.reference.state(applied.index));
            ensure(Some(&held) == expected.as_ref(), || {
                format!("{id} holds at {applied}\n{held:?}\nand not\n{expected:?}")
            })?;
        }
        Ok(())
    }

    fn check_outcomes(&mut self) -> Checked {
        let requests: Vec<RequestId> = self.waiting.keys().copied().collect();
        for request in requests {
            if let Some(outcome) = self.cluster.take_outcome(request) {
                let waiting = self.waiting.remove(&request).expect("listed above");
                self.check_outcome(request, &waiting, outcome)
                    .map_err(|error| format!("{request:?}: {error}"))?;
            }
        }
        Ok(())
    }

    fn check_outcome(
        &mut self,
        request: RequestId,
        waiting: &Waiting,
        outcome: Outcome<StoreOf<K>>,
    ) -> Checked {
        match (&waiting.kind, outcome) {
            (Kind::Write { bytes, client }, Outcome::Applied { id, response }) => {
                let held = self.reference.entry(id.index).filter(|entry| entry.id == id);
                let payload = held.map(|entry| &entry.payload);
                ensure(payload == Some(&Payload::Command(bytes.clone())), || {
                    format!("acknowledged {bytes:?} as {id}, where {held:?} is committed")
                })?;
                ensure(id.index > waiting.floor, || format!("{id} was there before it was submitted"))?;
                let expected = self.reference.response(id.index);
                ensure(Some(&response) == expected, || {
                    format!("answered {response:?} and not {expected:?}")
                })?;
                let tag = self.submissions.get(bytes).and_then(|submissions| submissions.command.session);
                if let Some(tag) = tag.filter(|_| !matches!(response.outcome, Answer::Refused(_))) {
                    self.effects.push((tag, response.revision));
                    exactly_once(self.effects.iter().copied()).map_err(|violation| violation.to_string())?;
                }
                self.stats.acknowledged += 1;
                self.inform(request, *client, bytes, Some(response))
            }
            (Kind::Write { bytes, client }, Outcome::Failed(failure)) => {
                let known = self.submissions.get_mut(bytes).expect("it was submitted");
                match failure {
                    Failure::Refused(_) => self.stats.refused += 1,
                    Failure::Lost => self.stats.lost += 1,
                    Failure::Unknown => return self.inform(request, *client, bytes, None),
                }
                known.without_effect += 1;
                known.check()?;
                self.inform(request, *client, bytes, None)
            }
            (Kind::Read(range), Outcome::Read(view)) => {
                let view = view.map_err(|error| error.to_string())?;
                let mut seen = (waiting.floor.0..=self.reference.last().0).map(Index);
                let is_current = seen
                    .any(|index| self.reference.state(index).is_some_and(|state| state.read(range) == view));
                self.stats.reads += 1;
                ensure(is_current, || format!("read at {} since {}: {view:?}", waiting.at, waiting.floor))
            }
            (Kind::Read(_) | Kind::Administration, Outcome::Failed(_))
            | (Kind::Administration, Outcome::MembersChanged(_) | Outcome::Transferred) => Ok(()),
            (kind, outcome) => Err(format!("{kind:?} was answered by {outcome:?}")),
        }
    }

    /// Tells a client with a session.
    fn inform(
        &mut self,
        request: RequestId,
        client: Option<u8>,
        bytes: &Bytes,
        response: Option<Response>,
    ) -> Checked {
        let Some(client) = client.and_then(|number| self.clients.get_mut(&number)) else { return Ok(()) };
        if client.opening == Some(request) {
            client.opening = None;
            if let Some(Answer::SessionOpened { client: session }) = response.map(|response| response.outcome)
            {
                client.session = Some((session, request));
            }
        } else if let (Some((current, answer)), Some(response)) = (&mut client.current, response)
            && current == bytes
        {
            // However often a request is sent, it has one answer.
            let is_same = answer.as_ref().is_none_or(|answer| *answer == response);
            ensure(is_same, || format!("answered {answer:?} before and {response:?} now"))?;
            *answer = Some(response);
        }
        Ok(())
    }

    // --- the end -------------------------------------------------------------------------------

    /// All faults go away. The cluster must find a leader, converge and take new commands.
    pub(crate) fn settle(&mut self) -> Checked {
        self.ids().into_iter().for_each(|id| self.hold(id, false));
        self.ids().into_iter().for_each(|id| self.restart(id));
        self.act(Action::Heal);
        self.check()?;
        self.propose_fresh()?;
        self.await_convergence()?;
        while !self.waiting.is_empty() {
            let before = self.waiting.len();
            self.cancel(0);
            self.check()?;
            ensure(self.waiting.len() < before, || format!("{:?} is stuck", self.waiting.keys().next()))?;
        }
        // What others had a leader propose waits there until its index is applied, whoever's entry it is.
        for _ in 0..FILLERS_MAX {
            if self.stuck_requests().is_empty() {
                return Ok(());
            }
            self.propose_fresh()?;
        }
        self.await_convergence()?;
        let stuck = self.stuck_requests();
        ensure(stuck.is_empty(), || format!("requests that wait for nothing, by member: {stuck:?}"))
    }

    fn await_convergence(&mut self) -> Checked {
        for _ in 0..CONVERGENCE_TIMEOUTS_MAX * TIMEOUT_MS / STEP_MS {
            if self.cluster.check_convergence().is_ok() {
                return Ok(());
            }
            self.elapse(STEP_MS);
            self.check()?;
        }
        self.cluster.check_convergence().map_err(|violation| {
            format!("{violation} after {CONVERGENCE_TIMEOUTS_MAX} timeouts: {}", self.roles())
        })
    }

    /// A new command commits, once there is a leader and no transfer under way.
    fn propose_fresh(&mut self) -> Checked {
        for _ in 0..COMMIT_TIMEOUTS_MAX * TIMEOUT_MS / STEP_MS {
            if let Some(leader) = self.cluster.leader() {
                let acknowledged = self.stats.acknowledged;
                let command = Command::new(self.operation(Write::Put { key: 0 }));
                let request = self.submit(leader, command, None);
                self.act(Action::Deliver);
                self.check()?;
                if self.stats.acknowledged > acknowledged && !self.waiting.contains_key(&request) {
                    return Ok(());
                }
            }
            self.elapse(STEP_MS);
            self.check()?;
        }
        Err(format!("nothing commits within {COMMIT_TIMEOUTS_MAX} timeouts: {}", self.roles()))
    }

    fn stuck_requests(&self) -> Vec<(NodeId, usize)> {
        let Some(leader) = self.cluster.leader().and_then(|id| self.cluster.replica(id)) else {
            return Vec::new();
        };
        let configuration = leader.node().configuration();
        let members = self.cluster.members().iter().filter(|(id, _)| configuration.contains(**id));
        members
            .filter_map(|(id, member)| Some((*id, member.replica()?.waiting_requests())))
            .filter(|(_, waiting)| *waiting > 0)
            .collect()
    }

    fn roles(&self) -> String {
        let role = |role: &Role| match role {
            Role::Leader(_) => "leader",
            Role::Follower => "follower",
            Role::PreCandidate { .. } => "pre-candidate",
            Role::Candidate { .. } => "candidate",
        };
        let lines = self
            .cluster
            .nodes()
            .map(|node| format!("{node} [{}] {}", node.configuration(), role(node.role())));
        lines.collect::<Vec<_>>().join("; ")
    }
}

impl Submissions {
    /// Each submission is committed at most once, and not at all if its client was told so.
    fn check(&self) -> Checked {
        ensure(self.committed + self.without_effect <= self.submitted, || {
            format!(
                "{:?} was submitted {} times, {} of them told to have no effect, and committed {} times",
                self.command, self.submitted, self.without_effect, self.committed
            )
        })
    }
}
