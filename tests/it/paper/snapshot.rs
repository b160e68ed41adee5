//! Log compaction and snapshots. Paper §7 and Figure 13.

use super::kit::*;
use dkv::raft::progress::Flow;
use dkv::raft::{Configuration, Durable, Input, Limits, Message, SnapshotMeta, Timer};

const THREE: &[u64] = &[1, 2, 3];
/// Four bytes to a chunk, so that a snapshot of ten takes three.
const CHUNKS: Limits = Limits {
    append_entries_max: 1024,
    append_bytes_max: 1 << 20,
    inflight_appends_max: 256,
    inflight_bytes_max: 8 << 20,
    uncommitted_entries_max: 1 << 20,
    waiting_reads_max: 16,
    chunk_bytes_max: 4,
    eager_commit: true,
};

fn meta(index: u64, term: u64) -> SnapshotMeta {
    let last = at(index, term);
    SnapshotMeta { last, configuration: Box::new(voters(THREE)), size_bytes: 10, checksum: index as u32 }
}

fn chunk(index: u64, term: u64, offset: u64) -> Message<u8> {
    InstallSnapshot { snapshot: meta(index, term), offset, length: (10 - offset).min(4) as u32 }
}

fn progress(index: u64, term: u64, next_offset: u64) -> Message<u8> {
    InstallSnapshotResponse { last: at(index, term), next_offset, installed: false }
}

fn installed(index: u64, term: u64) -> Message<u8> {
    InstallSnapshotResponse { last: at(index, term), next_offset: 10, installed: true }
}

/// Sends all chunks of a snapshot; returns the last answers.
fn send_all(host: &mut Host, index: u64, term: u64) -> Vec<(u64, Message<u8>)> {
    host.receive(1, term, chunk(index, term, 0));
    host.receive(1, term, chunk(index, term, 4));
    host.receive(1, term, chunk(index, term, 8))
}

/// A leader of term 4 with five entries committed, all of them in a snapshot and dropped up to `purge_to`;
/// the first append to node 3, with entry 5, has no answer yet.
fn leader_purged_to(purge_to: u64) -> Host {
    let mut host = Host::leader_with_limits(1, disk(THREE, 3, &[1, 1, 2, 3]), CHUNKS);
    host.receive(2, 4, accepted(5));
    host.snapshot(purge_to, 10);
    assert_eq!((host.node.log().purged().index, host.node.log().snapshot().last), (i(purge_to), at(5, 4)));
    host.mail();
    host
}

fn compacted_leader() -> Host {
    leader_purged_to(5)
}

// --- taking one ---------------------------------------------------------------------------------

/// §7: the log up to the snapshot's last entry is dropped; index and term of that entry stay for the
/// consistency check.
#[test]
fn compaction_keeps_the_name_of_the_last_entry() {
    let mut host = Host::new(2, disk(THREE, 1, &[1, 1, 1, 1]));
    host.receive(1, 1, Heartbeat { commit: i(3), round: 0 });
    assert_eq!(host.snapshot(3, 10), at(3, 1));
    assert_eq!(host.node.log().entries().len(), 1);
    assert_eq!(host.node.log().term_at(i(3)), Some(t(1)));
    assert_eq!(host.receive(1, 1, append(at(3, 1), &[1], 0)), [(1, accepted(4))]);
    assert_eq!((host.disk.purged, host.disk.entries.len()), (at(3, 1), 1), "the disk has the same");
}

/// §7: followers that lag a little are served from the log, so its tail may stay below the snapshot.
#[test]
fn entries_below_the_snapshot_may_stay() {
    let mut host = Host::new(2, disk(THREE, 1, &[1, 1, 1, 1]));
    host.receive(1, 1, Heartbeat { commit: i(4), round: 0 });
    host.snapshot(2, 10);
    assert_eq!((host.node.log().purged(), host.node.log().snapshot().last), (at(2, 1), at(4, 1)));
    host.crash(0);
    assert_eq!(host.node.applied_index(), i(4), "the store starts from the snapshot");
    assert_eq!(host.node.log().entries().len(), 2);
}

/// §7: nothing is dropped that the snapshot does not cover or the store has not applied.
#[test]
fn no_more_is_dropped_than_the_snapshot_covers() {
    let mut host = Host::new(2, disk(THREE, 1, &[1, 1, 1, 1]));
    host.receive(1, 1, Heartbeat { commit: i(3), round: 0 });
    host.snapshot(9, 10);
    assert_eq!(host.node.log().purged(), at(3, 1));
}

/// §7: the snapshot holds the latest configuration as of its last entry.
#[test]
fn a_snapshot_holds_the_configuration_of_its_last_entry() {
    let mut disk = disk(THREE, 3, &[1]);
    disk.entries.push_back(configured(2, 2, joint(THREE, &[1, 2])));
    disk.entries.push_back(configured(3, 2, voters(&[1, 2])));
    let mut host = Host::new(2, disk);
    host.receive(1, 3, Heartbeat { commit: i(2), round: 0 });
    host.snapshot(2, 10);
    assert_eq!(*host.node.log().snapshot().configuration, joint(THREE, &[1, 2]));
    assert_eq!(*host.node.configuration(), voters(&[1, 2]), "in force is the one after it");
    host.receive(3, 4, append(at(2, 2), &[4], 0));
    assert_eq!(*host.node.configuration(), joint(THREE, &[1, 2]), "it falls back to the snapshot's");
}

/// A snapshot that a newer installed one has overtaken is of no use.
#[test]
fn a_snapshot_taken_too_late_is_ignored() {
    let mut host = Host::with_limits(2, disk(THREE, 1, &[1, 1, 1]), CHUNKS);
    host.receive(1, 1, Heartbeat { commit: i(2), round: 0 });
    send_all(&mut host, 7, 1);
    assert_eq!(host.node.log().snapshot().last, at(7, 1));
    let before = host.node.clone();
    let late = Input::SnapshotTaken { last: at(2, 1), size_bytes: 1, checksum: 0, purge_to: i(2) };
    assert_eq!(host.step(late).write, None);
    assert_eq!(host.node, before);
}

// --- sending one --------------------------------------------------------------------------------

/// §7: the leader sends its snapshot when it has dropped the next entry that a follower needs, in chunks,
/// in order, one at a time.
#[test]
fn the_leader_sends_chunks_in_order() {
    let mut host = compacted_leader();
    let snapshot = host.node.log().snapshot().clone();
    let part = |offset, length| (3, InstallSnapshot { snapshot: snapshot.clone(), offset, length });
    let refusal = AppendRefused { prev: i(4), conflict_term: None, conflict_index: i(1) };
    assert_eq!(host.receive(3, 4, refusal), [part(0, 4)]);
    assert_eq!(host.receive(3, 4, progress(5, 4, 4)), [part(4, 4)]);
    assert_eq!(host.receive(3, 4, progress(5, 4, 4)), [], "a repeated answer sends nothing");
    assert_eq!(host.receive(3, 4, progress(5, 4, 8)), [part(8, 2)]);
    assert_eq!(host.receive(3, 4, progress(5, 4, 10)), [], "now the follower verifies it");
    host.propose(&[1]).expect("it leads");
    assert!(host.mail().iter().all(|(to, _)| *to != 3), "no entries meanwhile");
    let mail = host.receive(3, 4, installed(5, 4));
    assert_eq!(only!(mail, AppendEntries { .. }).len(), 1, "appends go on after the snapshot");
    let follower = &host.node.progress().expect("it leads")[&n(3)];
    assert_eq!(follower.match_index, i(5));
}

/// §7: a follower that needs entries the leader still holds gets entries, up to the very boundary.
#[test]
fn entries_are_preferred_at_the_boundary() {
    let mail = leader_purged_to(4).receive(3, 4, HeartbeatResponse { round: 0 });
    let tail = AppendEntries { prev: at(4, 3), entries: vec![noop(5, 4)], leader_commit: i(5) };
    assert_eq!(mail, [(3, tail)], "the entry before the first one is the compaction point");
    let mail = leader_purged_to(5).receive(3, 4, HeartbeatResponse { round: 0 });
    assert_eq!(only!(mail, InstallSnapshot { .. }).len(), 1);
}

/// §7: chunks are idempotent; whatever is lost is sent again on the next sign of life.
#[test]
fn a_lost_chunk_is_sent_again() {
    let mut host = compacted_leader();
    let refusal = AppendRefused { prev: i(4), conflict_term: None, conflict_index: i(1) };
    let first = host.receive(3, 4, refusal);
    assert_eq!(host.receive(3, 4, HeartbeatResponse { round: 0 }), first);
    let second = host.receive(3, 4, progress(5, 4, 4));
    assert_eq!(host.receive(3, 4, HeartbeatResponse { round: 0 }), second);
    assert_eq!(host.receive(3, 4, progress(5, 4, 0)), first, "a follower that restarted begins anew");
}

/// §7: when the leader takes a newer snapshot, that one is sent from its beginning.
#[test]
fn a_newer_snapshot_replaces_the_one_being_sent() {
    let mut host = compacted_leader();
    let refusal = AppendRefused { prev: i(4), conflict_term: None, conflict_index: i(1) };
    host.receive(3, 4, refusal);
    host.propose(&[1]).expect("it leads");
    host.receive(2, 4, accepted(6));
    host.snapshot(6, 10);
    let mail = host.receive(3, 4, progress(5, 4, 4));
    assert!(
        matches!(&mail[..], [(3, InstallSnapshot { snapshot, offset: 0, .. })] if snapshot.last == at(6, 4)),
        "{mail:?}"
    );
    let mail = host.receive(3, 4, installed(5, 4));
    assert_eq!(mail, [], "the old one is in, but entry 6 is gone, so the newer goes on");
    let follower = &host.node.progress().expect("it leads")[&n(3)];
    assert_eq!((follower.match_index, &follower.flow), (i(5), &Flow::Snapshot { last: at(6, 4), offset: 0 }));
}

// --- receiving one ------------------------------------------------------------------------------

/// Figure 13: chunks are staged at their offsets, and the whole is installed when the last one is there.
#[test]
fn chunks_are_staged_in_order_and_installed_when_complete() {
    let mut host = Host::with_limits(3, Durable::empty(), CHUNKS);
    host.is_install_slow = true;
    assert_eq!(host.receive(1, 4, chunk(5, 4, 0)), [(1, progress(5, 4, 4))]);
    assert_eq!(host.receive(1, 4, chunk(5, 4, 4)), [(1, progress(5, 4, 8))]);
    assert_eq!(host.installs, []);
    assert_eq!(host.receive(1, 4, chunk(5, 4, 8)), [(1, progress(5, 4, 10))]);
    assert_eq!(host.installs, [meta(5, 4)]);
    assert_eq!(host.node.log().last(), at(0, 0), "until it is verified, nothing changes");
    let _ = host.step(Input::SnapshotInstalled(at(5, 4)));
    assert_eq!(host.mail(), [(1, installed(5, 4))]);
    assert_eq!((host.node.log().last(), host.node.commit_index()), (at(5, 4), i(5)));
    assert_eq!(*host.node.configuration(), voters(THREE), "the configuration comes with it");
    assert_eq!(host.loaded, [meta(5, 4)]);
}

/// A snapshot without bytes is complete with its first chunk, and there is nothing to stage.
#[test]
fn an_empty_snapshot_is_installed_and_nothing_staged() {
    let mut host = Host::with_limits(3, Durable::empty(), CHUNKS);
    let snapshot = SnapshotMeta { size_bytes: 0, ..meta(5, 4) };
    let message = InstallSnapshot { snapshot: snapshot.clone(), offset: 0, length: 0 };
    let envelope = dkv::raft::Envelope { from: n(1), to: n(3), term: t(4), message };
    let ready = host.step(Input::Message(envelope));
    assert_eq!((ready.stage, ready.install), (None, Some(snapshot)));
    assert_eq!(host.node.log().last(), at(5, 4));
}

/// Figure 13: chunks that are repeated or come too early change nothing; the answer says where to go on.
#[test]
fn repeated_and_early_chunks_change_nothing() {
    let mut host = Host::with_limits(3, Durable::empty(), CHUNKS);
    host.receive(1, 4, chunk(5, 4, 0));
    for offset in [0, 8] {
        let message = chunk(5, 4, offset);
        let envelope = dkv::raft::Envelope { from: n(1), to: n(3), term: t(4), message };
        assert_eq!(host.step(Input::Message(envelope)).stage, None);
        assert_eq!(host.mail(), [(1, progress(5, 4, 4))]);
    }
    host.receive(1, 4, chunk(5, 4, 4));
    host.is_install_slow = true;
    host.receive(1, 4, chunk(5, 4, 8));
    host.receive(1, 4, chunk(5, 4, 8));
    assert_eq!(host.installs.len(), 1, "it is verified once");
}

/// What was not asked to be installed is not installed: the report of another snapshot, or of one that is not
/// complete.
#[test]
fn only_what_was_to_be_installed_is_installed() {
    let mut host = Host::with_limits(3, Durable::empty(), CHUNKS);
    host.is_install_slow = true;
    host.receive(1, 4, chunk(5, 4, 0));
    host.receive(1, 4, chunk(5, 4, 4));
    let _ = host.step(Input::SnapshotInstalled(at(5, 4)));
    assert_eq!((host.mail(), host.node.log().last()), (vec![], at(0, 0)), "a chunk is missing");
    host.receive(1, 4, chunk(5, 4, 8));
    let _ = host.step(Input::SnapshotInstalled(at(4, 4)));
    assert_eq!((host.mail(), host.node.log().last()), (vec![], at(0, 0)), "that is another one");
    let _ = host.step(Input::SnapshotInstalled(at(5, 4)));
    assert_eq!((host.mail(), host.node.log().last()), (vec![(1, installed(5, 4))], at(5, 4)));
}

/// §7: a log that has caught up while the snapshot was verified is kept.
#[test]
fn a_log_that_has_caught_up_meanwhile_is_kept() {
    let mut host = Host::with_limits(3, Durable::empty(), CHUNKS);
    host.is_install_slow = true;
    send_all(&mut host, 5, 4);
    let entries = (1..=6).map(|index| entry(index, 4)).collect();
    host.receive(1, 4, AppendEntries { prev: at(0, 0), entries, leader_commit: i(6) });
    assert_eq!(host.node.commit_index(), i(6));
    let _ = host.step(Input::SnapshotInstalled(at(5, 4)));
    let log = host.node.log();
    assert_eq!((log.purged(), log.last(), host.node.commit_index()), (at(0, 0), at(6, 4), i(6)));
}

/// A follower that restarts has staged nothing and says so.
#[test]
fn a_restart_begins_the_snapshot_anew() {
    let mut host = Host::with_limits(3, Durable::empty(), CHUNKS);
    host.receive(1, 4, chunk(5, 4, 0));
    host.crash(0);
    assert_eq!(host.receive(1, 4, chunk(5, 4, 4)), [(1, progress(5, 4, 0))]);
}

/// A new leader's own snapshot replaces one that was half received.
#[test]
fn another_snapshot_replaces_the_staged_one() {
    let mut host = Host::with_limits(3, Durable::empty(), CHUNKS);
    host.receive(1, 4, chunk(5, 4, 0));
    assert_eq!(host.receive(1, 4, chunk(7, 4, 0)), [(1, progress(7, 4, 4))]);
    assert_eq!(host.node.incoming_snapshot(), Some((&meta(7, 4), 4)));
    assert_eq!(
        host.receive(1, 4, chunk(5, 4, 4)),
        [(1, progress(5, 4, 0))],
        "a late chunk costs a new start"
    );
    assert_eq!(host.receive(1, 4, chunk(7, 4, 4)), [(1, progress(7, 4, 0))]);
    send_all(&mut host, 7, 4);
    assert_eq!(host.node.log().last(), at(7, 4));
}

/// §7: a snapshot of what the follower has committed already is acknowledged and not installed.
#[test]
fn an_old_snapshot_is_ignored() {
    let mut host = Host::with_limits(2, disk(THREE, 1, &[1, 1, 1]), CHUNKS);
    host.receive(1, 1, Heartbeat { commit: i(3), round: 0 });
    let before = host.node.clone();
    for index in [2, 3] {
        assert_eq!(host.receive(1, 1, chunk(index, 1, 0)), [(1, installed(index, 1))]);
    }
    assert_eq!(host.node, before);
}

/// Figure 13, step 6: an entry with the index and term of the snapshot's last one proves what follows.
#[test]
fn a_matching_suffix_is_kept() {
    let mut host = Host::with_limits(2, disk(THREE, 1, &[1, 1, 1, 1]), CHUNKS);
    let mail = send_all(&mut host, 3, 1);
    assert_eq!(mail.last(), Some(&(1, installed(3, 1))));
    assert_eq!(host.node.log().entries().cloned().collect::<Vec<_>>(), [entry(4, 1)]);
    assert_eq!(host.node.durable_index(), i(4), "it is durable already");
    assert_eq!(host.disk.last(), at(4, 1));
}

/// Figure 13, step 7: otherwise the entire log is discarded.
#[test]
fn a_conflicting_suffix_is_dropped() {
    let mut host = Host::with_limits(2, disk(THREE, 2, &[1, 1, 1, 1, 1]), CHUNKS);
    send_all(&mut host, 3, 2);
    assert_eq!(host.node.log().entries().len(), 0);
    assert_eq!((host.node.log().last(), host.disk.last()), (at(3, 2), at(3, 2)));
    assert_eq!(host.receive(1, 2, append(at(3, 2), &[2], 4)), [(1, accepted(4))]);
    assert_eq!(host.handed, [entry(4, 2)]);
}

/// A write of the dropped suffix that is still on its way does not vouch for what comes after.
#[test]
fn a_receipt_from_before_a_snapshot_does_not_vouch_for_later_entries() {
    let mut host = Host::with_limits(2, disk(THREE, 2, &[]), CHUNKS);
    host.is_disk_slow = true;
    host.receive(3, 2, append(at(0, 0), &[1, 1, 1, 1, 1], 0));
    host.receive(1, 4, chunk(3, 4, 0));
    send_all(&mut host, 3, 4);
    host.receive(1, 4, append(at(3, 4), &[4, 4], 5));
    let _ = host.sync(1);
    assert_eq!(host.node.durable_index(), i(0), "the first write is of what is gone");
    while !host.unsynced.is_empty() {
        host.sync(1);
    }
    assert_eq!(host.node.durable_index(), i(5));
    assert_eq!(host.handed, [entry(4, 4), entry(5, 4)]);
}

/// §7: the answer that a snapshot is installed leaves only when its mark is durable, and the store loads
/// it only then.
#[test]
fn a_snapshot_counts_once_its_mark_is_durable() {
    let mut host = Host::with_limits(3, disk(THREE, 4, &[]), CHUNKS);
    host.is_disk_slow = true;
    let mail = send_all(&mut host, 5, 4);
    assert_eq!(mail, [(1, progress(5, 4, 10))]);
    assert_eq!(host.receive(1, 4, chunk(5, 4, 8)), [], "a repeated chunk waits as well");
    assert_eq!(host.loaded, []);
    assert_eq!(host.sync(1), [(1, installed(5, 4)), (1, installed(5, 4))]);
    assert_eq!(host.loaded, [meta(5, 4)]);
}

/// §7: entries after a snapshot are handed out only when the store has loaded it.
#[test]
fn later_entries_wait_for_the_store_to_load() {
    let mut host = Host::with_limits(3, disk(THREE, 4, &[]), CHUNKS);
    host.is_store_slow = true;
    send_all(&mut host, 5, 4);
    host.receive(1, 4, append(at(5, 4), &[4], 6));
    assert_eq!((host.node.commit_index(), host.handed.len()), (i(6), 0));
    let _ = host.step(Input::Applied(i(5)));
    assert_eq!(host.handed, [entry(6, 4)]);
}

/// A snapshot that proves damaged is asked for again, from its beginning, at whatever point that shows.
#[test]
fn a_damaged_snapshot_is_sent_again() {
    for chunks in [1, 3] {
        let mut host = Host::with_limits(3, disk(THREE, 4, &[]), CHUNKS);
        host.is_install_slow = true;
        for offset in [0, 4, 8].into_iter().take(chunks) {
            host.receive(1, 4, chunk(5, 4, offset));
        }
        let _ = host.step(Input::SnapshotRejected(at(5, 4)));
        assert_eq!(host.mail(), [(1, progress(5, 4, 0))]);
        assert_eq!(host.node.incoming_snapshot(), None);
        host.is_install_slow = false;
        assert_eq!(send_all(&mut host, 5, 4).last(), Some(&(1, installed(5, 4))));
    }
    let mut leader = compacted_leader();
    let refusal = AppendRefused { prev: i(4), conflict_term: None, conflict_index: i(1) };
    let first = leader.receive(3, 4, refusal);
    leader.receive(3, 4, progress(5, 4, 10));
    assert_eq!(leader.receive(3, 4, progress(5, 4, 0)), first);
}

/// The log may catch up while a snapshot is verified; then nothing moves back.
#[test]
fn a_snapshot_that_the_log_overtook_is_not_installed() {
    let mut host = Host::with_limits(3, disk(THREE, 4, &[]), CHUNKS);
    host.is_install_slow = true;
    send_all(&mut host, 2, 4);
    host.receive(1, 4, append(at(0, 0), &[1, 4, 4], 3));
    let before = (host.node.log().clone(), host.node.commit_index());
    assert_eq!(host.step(Input::SnapshotInstalled(at(2, 4))).write, None);
    assert_eq!(host.mail(), [(1, installed(2, 4))]);
    assert_eq!((host.node.log().clone(), host.node.commit_index()), before);
}

/// A server may be elected while it verifies a snapshot whose entries reached it by another way. It then
/// has nobody to answer, and its log stays.
#[test]
fn a_snapshot_may_be_ready_when_its_receiver_leads() {
    for is_good in [true, false] {
        let mut host = Host::with_limits(3, disk(THREE, 4, &[]), CHUNKS);
        host.is_install_slow = true;
        send_all(&mut host, 2, 4);
        host.receive(2, 5, append(at(0, 0), &[1, 4, 5], 0));
        host.fire(Timer::LeaderFresh);
        host.elect();
        host.mail();
        let last = at(2, 4);
        let _ =
            host.step(if is_good { Input::SnapshotInstalled(last) } else { Input::SnapshotRejected(last) });
        assert_eq!(host.mail(), []);
        assert!(host.node.is_leader());
        assert_eq!(host.node.log().last(), at(4, 6));
        assert_eq!(host.node.commit_index(), i(if is_good { 2 } else { 0 }));
        host.receive(1, 6, accepted(4));
        assert_eq!(host.node.commit_index(), i(4));
    }
}

/// §7: entries of an append that the receiver has compacted are committed and agree; what follows is
/// compared as ever.
#[test]
fn an_append_from_before_the_compaction_point_is_understood() {
    let mut host = Host::with_limits(2, disk(THREE, 1, &[1, 1, 1]), CHUNKS);
    host.receive(1, 1, Heartbeat { commit: i(3), round: 0 });
    host.snapshot(3, 10);
    assert_eq!(host.receive(1, 1, append(at(0, 0), &[1, 1], 3)), [(1, accepted(2))]);
    assert_eq!(host.receive(1, 1, append(at(1, 1), &[1, 1, 1], 3)), [(1, accepted(4))]);
    assert_eq!(host.node.log().entries().cloned().collect::<Vec<_>>(), [entry(4, 1)]);
}

// --- both sides ---------------------------------------------------------------------------------

fn compacted_net() -> Net {
    let mut net = Net::of(THREE.iter().map(|id| (*id, disk(THREE, 0, &[]))));
    for id in THREE {
        *net.host(*id) = Host::with_limits(*id, disk(THREE, 0, &[]), CHUNKS);
    }
    net.elect(1);
    net.isolate(3);
    for command in 1..=4 {
        net.propose(1, command);
    }
    net.host(1).snapshot(4, 10);
    for _ in 0..2 {
        net.fire(1, Timer::Heartbeat);
        net.fire(1, Timer::CheckQuorum);
    }
    net.heal();
    net
}

/// §7: a follower that is too far behind catches up by a snapshot and then by entries.
#[test]
fn a_follower_far_behind_catches_up() {
    let mut net = compacted_net();
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.host(3).loaded.len(), 1);
    assert_eq!(net.node(3).commit_index(), net.node(1).commit_index());
    net.propose(1, 9);
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.node(3).log().last(), net.node(1).log().last());
}

/// §5.3, §7: any single message of the installation may be lost; heartbeats recover it.
#[test]
fn any_lost_message_of_an_installation_is_recovered() {
    let is_snapshot =
        |message: &Message<u8>| matches!(message, InstallSnapshot { .. } | InstallSnapshotResponse { .. });
    for lost in 0..8 {
        let mut net = compacted_net();
        let _ = net.host(1).step(Input::Timeout(Timer::Heartbeat));
        let mut seen = 0;
        net.settle_without(|sent| {
            seen += usize::from(is_snapshot(&sent.message));
            is_snapshot(&sent.message) && seen == lost + 1
        });
        net.fire(1, Timer::Heartbeat);
        net.fire(1, Timer::Heartbeat);
        assert_eq!(net.node(3).commit_index(), net.node(1).commit_index(), "without message {lost}");
        assert!(net.node(1).progress().expect("it leads")[&n(3)].is_idle());
    }
}

/// Diss. §4.2.1, §7: an empty server joins a compacted cluster and learns its configuration.
#[test]
fn an_empty_server_joins_a_compacted_cluster() {
    let mut net = compacted_net();
    net.hosts.insert(4, Host::with_limits(4, Durable::empty(), CHUNKS));
    net.change(1, &[dkv::raft::MemberChange::AddLearner(n(4))]);
    net.fire(1, Timer::Heartbeat);
    let expected: Configuration = with_learners(voters(THREE), &[4]);
    assert_eq!(*net.node(4).configuration(), expected);
    assert_eq!(net.node(4).commit_index(), net.node(1).commit_index());
}
