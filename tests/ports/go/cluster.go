package main

import (
	"fmt"
	"sort"
)

// The leader is fixed: replica 0, at term 1. With no election no two logs can conflict, so a follower's log
// is always a prefix of the leader's. What remains of Raft is what the exams ask for: replication,
// commitment by a majority, and catching up after a partition.
const (
	leaderID    = 0
	genesisTerm = 1
)

// Kind says what a command does. The values of Put and Del are part of the DSEDIST2 format.
type Kind uint8

const (
	Put  Kind = 0
	Del  Kind = 1
	Noop Kind = 2
)

// Key is what both systems use as a key: both have an order, and the snapshots follow it.
type Key interface{ string | int64 }

// Command is what a client proposes.
type Command[K Key, V any] struct {
	Kind  Kind
	Key   K
	Value V
}

// Entry is a command in its place in the log.
type Entry[K Key, V any] struct {
	Term, Index uint64
	Command     Command[K, V]
}

// Replica is one member: its log, and the store that the committed part of the log has produced.
type Replica[K Key, V any] struct {
	id          int
	currentTerm uint64
	commitIndex uint64
	log         []Entry[K, V] // index i is at position i-1
	store       map[K]V
}

func (r *Replica[K, V]) lastIndex() uint64 { return uint64(len(r.log)) }

// handleAppendEntries takes the entries that follow prevIndex and the leader's commit index. It answers
// with the last index of the log, which from now on is the leader's match index for this replica.
func (r *Replica[K, V]) handleAppendEntries(prevIndex uint64, entries []Entry[K, V], commit uint64) uint64 {
	if prevIndex != r.lastIndex() {
		panic(fmt.Sprintf("replica %d ends at %d, the leader sent what follows %d", r.id, r.lastIndex(), prevIndex))
	}
	r.log = append(r.log, entries...)
	r.advanceCommit(commit)
	return r.lastIndex()
}

// advanceCommit applies what has newly become committed. An index that does not advance is old news.
func (r *Replica[K, V]) advanceCommit(index uint64) {
	for r.commitIndex < index {
		r.apply(r.log[r.commitIndex].Command)
		r.commitIndex++
	}
}

func (r *Replica[K, V]) apply(command Command[K, V]) {
	switch command.Kind {
	case Put:
		r.store[command.Key] = command.Value
	case Del:
		delete(r.store, command.Key)
	case Noop:
	}
}

// sortedKeys is the order of the snapshots: strings by their bytes, integers by their signed value.
func (r *Replica[K, V]) sortedKeys() []K {
	keys := make([]K, 0, len(r.store))
	for key := range r.store {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}

// Cluster holds all replicas and what the leader knows of them. Messages are calls: they arrive at once and
// in order, or, across a partition, not at all. No clock exists, so a leader without a quorum keeps its
// uncommitted tail.
type Cluster[K Key, V any] struct {
	replicas   []*Replica[K, V]
	matchIndex []uint64 // how far the leader knows each log to reach
	isCut      []bool   // which replicas a partition separates from all others
}

// NewCluster starts size replicas with empty logs.
func NewCluster[K Key, V any](size int) *Cluster[K, V] {
	c := &Cluster[K, V]{matchIndex: make([]uint64, size), isCut: make([]bool, size)}
	for id := 0; id < size; id++ {
		c.replicas = append(c.replicas, &Replica[K, V]{id: id, currentTerm: genesisTerm, store: map[K]V{}})
	}
	return c
}

func (c *Cluster[K, V]) leader() *Replica[K, V] { return c.replicas[leaderID] }

// Propose appends a command to the leader's log, replicates it and returns its index. It is committed if the
// leader's commit index has reached it; otherwise it stays in the log until a quorum is back.
func (c *Cluster[K, V]) Propose(command Command[K, V]) uint64 {
	leader := c.leader()
	index := leader.lastIndex() + 1
	leader.log = append(leader.log, Entry[K, V]{leader.currentTerm, index, command})
	c.matchIndex[leaderID] = index
	c.replicate()
	return index
}

// Partition cuts the given replicas off from all others. A replica that is down is the same thing to this
// cluster: followers do nothing by themselves, and what they have stored survives.
func (c *Cluster[K, V]) Partition(ids ...int) {
	for _, id := range ids {
		c.isCut[id] = true
	}
}

// Heal ends every partition, and every follower catches up.
func (c *Cluster[K, V]) Heal() {
	for id := range c.isCut {
		c.isCut[id] = false
	}
	c.replicate()
}

// replicate leaves nothing unsaid: entries first, and if they brought a new commit index about, that index
// too.
func (c *Cluster[K, V]) replicate() {
	c.broadcast()
	before := c.leader().commitIndex
	c.leader().advanceCommit(c.quorumIndex())
	if c.leader().commitIndex > before {
		c.broadcast()
	}
}

// broadcast sends each follower within reach what its log lacks.
func (c *Cluster[K, V]) broadcast() {
	leader := c.leader()
	for id, follower := range c.replicas {
		if id == leaderID || c.isCut[id] || c.isCut[leaderID] {
			continue
		}
		prevIndex := c.matchIndex[id]
		c.matchIndex[id] = follower.handleAppendEntries(prevIndex, leader.log[prevIndex:], leader.commitIndex)
	}
}

// quorumIndex is the highest index that a majority has stored: in descending order, the match index at
// which the majority is complete. Every entry is of the leader's own term, so reaching a majority is enough
// to commit.
func (c *Cluster[K, V]) quorumIndex() uint64 {
	descending := append([]uint64(nil), c.matchIndex...)
	sort.Slice(descending, func(i, j int) bool { return descending[i] > descending[j] })
	return descending[len(descending)/2]
}
