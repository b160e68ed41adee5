//! `dkv demo`: five replicas in a table, for a person to watch. What is shown is the code that ships;
//! every claim that a caption makes is checked, and the command fails if one does not hold.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{FAILED, fail, sha256};
use crate::cluster::{Cluster, Member, Outcome};
use crate::codec::to_bytes;
use crate::kv::{Command, Op, Put, Store};
use crate::raft::{Bytes, NodeId, RequestId};
use crate::replica::{Failure, StateMachine};

#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Do not pause for a person to read
    #[arg(long)]
    fast: bool,
    /// One JSON object per frame, without pauses
    #[arg(long)]
    json: bool,
}

const FRAME: Duration = Duration::from_millis(450);
const CAPTION: Duration = Duration::from_millis(2200);

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut demo = Demo {
        cluster: Cluster::new(5),
        screen: Screen {
            json: arguments.json,
            paced: !arguments.fast && !arguments.json,
            in_place: !arguments.json && !arguments.fast && io::stdout().is_terminal(),
        },
        caption: String::new(),
        operations: 0,
    };
    match demo.play() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Stop::Output(error)) => fail(FAILED, &format_args!("cannot write to the terminal: {error}")),
        Err(Stop::Broken(claim)) => fail(FAILED, &format_args!("this did not hold: {claim}")),
    }
}

/// Why the demo ends early.
enum Stop {
    Broken(String),
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Output(error)
    }
}

struct Demo {
    cluster: Cluster<Store>,
    screen: Screen,
    caption: String,
    operations: u64,
}

impl Demo {
    fn play(&mut self) -> Result<(), Stop> {
        self.say("Five replicas. n0 leads term 1. Operations flow: each is replicated, committed, applied.")?;
        self.flow(6)?;
        self.check("all five hold the same bytes", self.live_hashes() == 1)?;

        self.cluster.partition([NodeId(3), NodeId(4)]);
        self.say("n3 and n4 are cut off. Three of five are a majority: operations go on.")?;
        self.flow(4)?;
        let starved = self.cluster.submit(NodeId(3), put("minority", "1"));
        self.cluster.deliver();
        self.say(
            "A client of n3 asks too. n3 cannot reach the leader: nothing happens, nothing is promised.",
        )?;
        self.check("the minority commits nothing", self.cluster.outcome(starved).is_none())?;

        self.cluster.heal();
        self.say("Healed: n3 and n4 catch up from the leader's log.")?;
        self.check("all five hold the same bytes again", self.live_hashes() == 1)?;

        self.cluster.partition([NodeId(0), NodeId(1)]);
        let lost = self.cluster.submit(NodeId(0), put("doomed", "1"));
        self.cluster.deliver();
        self.say("The leader is cut off with n1. It appends an operation, but two of five commit nothing.")?;
        self.check("the cut-off leader commits nothing", self.cluster.outcome(lost).is_none())?;

        self.cluster.elapse(3000);
        self.show()?;
        let elected = self.cluster.await_leader(20);
        self.say("Time passes. n0 hears no quorum and steps down; the other three elect a leader.")?;
        self.check(
            "the majority elected one of its own in a later term",
            elected.is_some_and(|leader| leader.0 >= 2 && self.term_of(leader) > 1),
        )?;
        let old = self.cluster.replica(NodeId(0));
        self.check("n0 stepped down", old.is_some_and(|replica| !replica.node().is_leader()))?;
        self.flow(4)?;

        self.cluster.heal();
        self.cluster.elapse(2000);
        self.cluster.stabilize();
        self.say("Healed. What n0 had appended alone is overwritten; its client learns that it is lost.")?;
        self.check("the lost operation is in no store", self.holders("doomed") == 0)?;
        let is_lost = self.cluster.outcome(lost) == Some(&Outcome::Failed(Failure::Lost));
        self.check("its client learned that it is lost", is_lost)?;
        let kept = (1..=self.operations).all(|number| self.holders(&format!("op-{number}")) == 5);
        self.check("every operation that was answered is in all five stores", kept)?;
        self.check("the replicas converge", self.cluster.check_convergence().is_ok())?;
        self.check("all hashes are equal", self.live_hashes() == 1)?;
        self.say("All five are byte-identical.")
    }

    /// Proposes operations one by one; each must commit.
    fn flow(&mut self, count: u64) -> Result<(), Stop> {
        for _ in 0..count {
            self.operations += 1;
            let number = self.operations;
            let request = self.cluster.propose(put(&format!("op-{number}"), &number.to_string()));
            self.check(&format!("operation {number} commits"), self.is_applied(request))?;
            self.show()?;
            self.pause(FRAME);
        }
        Ok(())
    }

    fn say(&mut self, caption: &str) -> Result<(), Stop> {
        self.caption = caption.to_string();
        self.show()?;
        self.pause(CAPTION);
        Ok(())
    }

    fn check(&self, claim: &str, holds: bool) -> Result<(), Stop> {
        match self.cluster.violation() {
            Some(violation) => Err(Stop::Broken(violation.to_string())),
            None if holds => Ok(()),
            None => Err(Stop::Broken(claim.to_string())),
        }
    }

    fn show(&self) -> Result<(), Stop> {
        Ok(self.screen.show(&self.caption, &self.cluster)?)
    }

    fn pause(&self, duration: Duration) {
        if self.screen.paced {
            thread::sleep(duration);
        }
    }

    fn is_applied(&self, request: RequestId) -> bool {
        matches!(self.cluster.outcome(request), Some(Outcome::Applied { .. }))
    }

    fn term_of(&self, id: NodeId) -> u64 {
        self.cluster.replica(id).map_or(0, |replica| replica.node().term().0)
    }

    fn live_hashes(&self) -> usize {
        let hashes: std::collections::BTreeSet<_> = self.cluster.members().values().map(hash).collect();
        hashes.len()
    }

    fn holders(&self, key: &str) -> usize {
        let holds = |member: &&Member<Store, _>| matches!(member.machine().get(key.as_bytes()), Ok(Some(_)));
        self.cluster.members().values().filter(holds).count()
    }
}

fn put(key: &str, value: &str) -> Bytes {
    Bytes::from(to_bytes(&Command::new(Op::Put(Put::new(key, value)))))
}

/// SHA-256 of the state machine's canonical bytes.
fn hash(member: &Member<Store, crate::cluster::Shipped>) -> String {
    StateMachine::snapshot(member.machine()).map_or_else(|fault| fault.to_string(), |bytes| sha256(&bytes))
}

/// Where frames go.
struct Screen {
    json: bool,
    paced: bool,
    in_place: bool,
}

impl Screen {
    fn show(&self, caption: &str, cluster: &Cluster<Store>) -> io::Result<()> {
        let frame = if self.json { Self::object(caption, cluster) } else { self.table(caption, cluster) };
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }

    fn table(&self, caption: &str, cluster: &Cluster<Store>) -> String {
        let mut frame = String::new();
        if self.in_place {
            frame.push_str("\x1b[2J\x1b[H");
        }
        let _ = writeln!(frame, "{caption}\n");
        let _ = writeln!(
            frame,
            "  {:<5}{:<15}{:>5}{:>7}{:>8}{:>9}  {:<14}link",
            "node", "role", "term", "last", "commit", "applied", "hash"
        );
        for (id, member) in cluster.members() {
            let Some(node) = member.replica().map(|replica| replica.node()) else { continue };
            let (bold, plain) =
                if self.in_place && node.is_leader() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
            let _ = writeln!(
                frame,
                "  {bold}{:<5}{:<15}{:>5}{:>7}{:>8}{:>9}  {:<14}{}{plain}",
                id.to_string(),
                node.role().to_string(),
                node.term().0,
                node.log().last().index.0,
                node.commit_index().0,
                node.applied_index().0,
                hash(member).get(..12).unwrap_or_default(),
                reach(*id, cluster),
            );
        }
        frame.push('\n');
        frame
    }

    fn object(caption: &str, cluster: &Cluster<Store>) -> String {
        let members: Vec<_> = cluster
            .members()
            .iter()
            .filter_map(|(id, member)| {
                let node = member.replica()?.node();
                Some(json!({
                    "node": id.0,
                    "role": node.role().to_string(),
                    "term": node.term().0,
                    "last": node.log().last().index.0,
                    "commit": node.commit_index().0,
                    "applied": node.applied_index().0,
                    "sha256": hash(member),
                    "partitioned": cluster.is_partitioned(*id),
                }))
            })
            .collect();
        format!("{}\n", json!({ "caption": caption, "members": members }))
    }
}

/// Whom a member can still reach; nothing if that is everybody.
fn reach(id: NodeId, cluster: &Cluster<Store>) -> String {
    let others = cluster.members().keys().filter(|other| **other != id);
    let (cut, reached): (Vec<NodeId>, Vec<NodeId>) =
        others.partition(|other| cluster.links().is_cut((id, **other)));
    let names: Vec<String> = reached.iter().map(ToString::to_string).collect();
    match (cut.is_empty(), reached.is_empty()) {
        (true, _) => String::new(),
        (false, true) => "reaches nobody".into(),
        (false, false) => format!("reaches {}", names.join(" ")),
    }
}
