package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// snapshotStrings writes the DSEDKV20 format: the store of one replica, and how far it has come.
func snapshotStrings(r *Replica[string, string]) []byte {
	out := []byte("DSEDKV20")
	out = le.AppendUint64(out, r.commitIndex)
	out = le.AppendUint64(out, r.currentTerm)
	out = le.AppendUint32(out, uint32(len(r.store)))
	for _, key := range r.sortedKeys() {
		out = appendBytes(out, key)
		out = appendBytes(out, r.store[key])
	}
	return out
}

func appendBytes(out []byte, text string) []byte {
	out = le.AppendUint32(out, uint32(len(text)))
	return append(out, text...)
}

// agreedSnapshot is the answer of the five-replica system: the leader's snapshot, which must be everyone's.
func agreedSnapshot(c *Cluster[string, string]) ([]byte, error) {
	answer := snapshotStrings(c.leader())
	for _, replica := range c.replicas {
		if !bytes.Equal(snapshotStrings(replica), answer) {
			return nil, fmt.Errorf("the snapshot of replica %d differs from the leader's", replica.id)
		}
	}
	return answer, nil
}

// snapshotIntegers writes the DSEDIST2 format: one node with its whole log, committed or not, and its store.
func snapshotIntegers(r *Replica[int64, int64]) []byte {
	out := []byte("DSEDIST2")
	out = append(out, byte(r.id))
	out = le.AppendUint64(out, r.currentTerm)
	out = le.AppendUint64(out, r.commitIndex)
	out = le.AppendUint32(out, uint32(len(r.log)))
	for _, entry := range r.log {
		if entry.Command.Kind > Del {
			panic(fmt.Sprintf("entry %d is neither Put nor Del: DSEDIST2 cannot hold it", entry.Index))
		}
		out = le.AppendUint64(out, entry.Term)
		out = le.AppendUint64(out, entry.Index)
		out = append(out, byte(entry.Command.Kind))
		out = le.AppendUint64(out, uint64(entry.Command.Key))
		out = le.AppendUint64(out, uint64(entry.Command.Value))
	}
	out = le.AppendUint32(out, uint32(len(r.store)))
	for _, key := range r.sortedKeys() {
		out = le.AppendUint64(out, uint64(key))
		out = le.AppendUint64(out, uint64(r.store[key]))
	}
	return out
}

// snapshotNodes is the answer of the three-node system: the snapshots of all nodes, one after the other.
func snapshotNodes(c *Cluster[int64, int64]) []byte {
	var out []byte
	for _, node := range c.replicas {
		out = append(out, snapshotIntegers(node)...)
	}
	return out
}
