//! A node as one dense line: `n3@2 leader last=3@2 commit=3 applied=3 {n1:0→4 n2:3→4}`.
//!
//! Positions read `index@term`. What is ordinary is left out, so that a line shows what is going on:
//! `durable` only while the disk lags, `vote` only where there is one, and so on.

use core::fmt;

use super::node::{Node, Role};
use super::progress::Flow;
use super::rules::Rules;
use super::types::Command;

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Follower => "follower",
            Role::PreCandidate { .. } => "pre-candidate",
            Role::Candidate { .. } => "candidate",
            Role::Leader(_) => "leader",
        })
    }
}

impl<C: Command, R: Rules> fmt::Display for Node<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} {} last={}", self.id(), self.term(), self.role(), self.log().last())?;
        write!(f, " commit={} applied={}", self.commit_index(), self.applied_index())?;
        if self.durable_index() < self.log().last().index || self.durable_hard_state() != self.hard_state() {
            let durable = self.durable_hard_state();
            write!(f, " durable={} (term {})", self.durable_index(), durable.term)?;
        }
        if self.log().snapshot().last.index.0 > 0 {
            write!(f, " snapshot={} purged={}", self.log().snapshot().last, self.log().purged())?;
        }
        match self.role() {
            Role::Follower => {
                if let Some(leader) = self.leader() {
                    write!(f, " of {leader}{}", if self.is_leader_fresh() { "" } else { " (stale)" })?;
                } else if let Some(vote) = self.hard_state().voted_for {
                    write!(f, " vote={vote}")?;
                }
            }
            Role::PreCandidate { votes } | Role::Candidate { votes } => {
                f.write_str(" votes=")?;
                f.debug_set().entries(votes).finish()?;
            }
            Role::Leader(_) => {}
        }
        if self.configuration().is_joint() || !self.configuration().learners.is_empty() {
            write!(f, " members={}", self.configuration())?;
        }
        if let Some((snapshot, staged)) = self.incoming_snapshot() {
            write!(f, " receiving {} {staged}/{}", snapshot.last, snapshot.size_bytes)?;
        }
        if let Some(progress) = self.progress() {
            f.write_str(" {")?;
            for (i, (id, progress)) in progress.iter().enumerate() {
                let separator = if i > 0 { " " } else { "" };
                write!(f, "{separator}{id}:{}→{}", progress.match_index, progress.next_index)?;
                match &progress.flow {
                    Flow::Probe { waiting } => f.write_str(if *waiting { "?" } else { "" })?,
                    Flow::Replicate { inflight, .. } if inflight.is_empty() => {}
                    Flow::Replicate { inflight, .. } => write!(f, "+{}", inflight.len())?,
                    Flow::Snapshot { last, offset } => write!(f, " snapshot {last}:{offset}")?,
                }
            }
            f.write_str("}")?;
        }
        if let Some(to) = self.transferee() {
            write!(f, " transfer→{to}")?;
        }
        Ok(())
    }
}
