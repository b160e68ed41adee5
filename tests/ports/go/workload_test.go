package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func put(key, value string) Command[string, string] {
	return Command[string, string]{Put, key, value}
}

func answer(t *testing.T, w Workload) []byte {
	t.Helper()
	bytes, err := w.Run()
	if err != nil {
		t.Fatalf("%+v: %v", w, err)
	}
	return bytes
}

func expectConverged(t *testing.T, c *Cluster[string, string]) {
	t.Helper()
	if _, err := agreedSnapshot(c); err != nil {
		t.Error(err)
	}
}

func TestGeneratorCheckValue(t *testing.T) {
	generator := Generator{0}
	expect(t, "first word from state 0", generator.Next(), 0x8b57dafca0cee644)
}

func TestTheFourExams(t *testing.T) {
	for _, exam := range []struct {
		workload Workload
		hash     string
	}{
		{Workload{42, 500, 32, "default"}, "1febc1252f87f873c315526e9d9c78a622131d700dccca84a6e089244930252b"},
		{Workload{7, 2000, 128, "partition"}, "272af5b41b729896a7195a6ea72d19111a96a50b29d5d4cdfaac03a058e1a2dc"},
		{Workload{42, 200, 16, "normal"}, "5976b45b9f40f440e8249da27fe4fe752e005f606efc3596bdb25ca4e4f99296"},
		{Workload{7, 2000, 128, "fault"}, "d67c36725af65242e985a308db5152af2a3e2525fab33d11ed6e826a252ff792"},
	} {
		for _, attempt := range []string{"first run", "second run"} {
			hash := fmt.Sprintf("%x", sha256.Sum256(answer(t, exam.workload)))
			expect(t, exam.workload.Scenario+", "+attempt, hash, exam.hash)
		}
	}
}

func TestSnapshotOfOnePutIs38Bytes(t *testing.T) {
	c := NewCluster[string, string](1)
	c.Propose(put("a", "v"))
	want := "DSEDKV20" + "\x01\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00" +
		"\x01\x00\x00\x00" + "\x01\x00\x00\x00a" + "\x01\x00\x00\x00v"
	expect(t, "size", len(want), 38)
	expect(t, "snapshot", string(snapshotStrings(c.leader())), want)
}

func TestSnapshotOfThreeNodesIs99BytesEmptyAnd246AfterOneWrite(t *testing.T) {
	c := NewCluster[int64, int64](3)
	expect(t, "empty", len(snapshotNodes(c)), 99)
	c.Propose(Command[int64, int64]{Put, 5, 7})
	expect(t, "one write", len(snapshotNodes(c)), 246)
}

func TestIntegerKeysAreInSignedOrder(t *testing.T) {
	c := NewCluster[int64, int64](1)
	for _, key := range []int64{3, -1, 0, -7} {
		c.Propose(Command[int64, int64]{Put, key, 1})
	}
	expect(t, "order", fmt.Sprint(c.leader().sortedKeys()), "[-7 -1 0 3]")
}

func TestStringKeysAreInByteOrder(t *testing.T) {
	c := NewCluster[string, string](1)
	for _, key := range []string{"k9", "k10", "k1", "k\xff"} {
		c.Propose(put(key, ""))
	}
	expect(t, "order", fmt.Sprintf("%q", c.leader().sortedKeys()), `["k1" "k10" "k9" "k\xff"]`)
}

func TestDSEDIST2RefusesANoop(t *testing.T) {
	defer func() { expect(t, "refused", recover() != nil, true) }()
	c := NewCluster[int64, int64](3)
	c.Propose(Command[int64, int64]{Kind: Noop})
	snapshotNodes(c)
}

func TestOneReplicaIsItsOwnQuorum(t *testing.T) {
	c := NewCluster[string, string](1)
	expect(t, "index", c.Propose(put("a", "v")), 1)
	expect(t, "commit index", c.leader().commitIndex, 1)
}

func TestThreeOfFiveCommit(t *testing.T) {
	c := NewCluster[string, string](5)
	c.Partition(3, 4)
	c.Propose(put("a", "v"))
	for id, want := range []uint64{1, 1, 1, 0, 0} {
		expect(t, fmt.Sprintf("commit index of replica %d", id), c.replicas[id].commitIndex, want)
	}
}

func TestTwoOfFiveDoNotCommit(t *testing.T) {
	c := NewCluster[string, string](5)
	c.Propose(put("a", "v"))
	c.Partition(2, 3, 4)
	index := c.Propose(put("a", "w"))
	expect(t, "last index", c.leader().lastIndex(), index)
	expect(t, "commit index", c.leader().commitIndex, index-1)
	expect(t, "value", c.leader().store["a"], "v")
	c.Heal()
	expect(t, "commit index after heal", c.leader().commitIndex, index)
	expect(t, "value after heal", c.leader().store["a"], "w")
	expectConverged(t, c)
}

func TestAnIsolatedLeaderCommitsNothingUntilHeal(t *testing.T) {
	c := NewCluster[string, string](5)
	c.Partition(leaderID)
	c.Propose(put("a", "v"))
	expect(t, "commit index", c.leader().commitIndex, 0)
	expect(t, "last index of a follower", c.replicas[1].lastIndex(), 0)
	c.Heal()
	expect(t, "commit index after heal", c.leader().commitIndex, 1)
	expectConverged(t, c)
}

func TestAPartitionedFollowerCatchesUpOnHeal(t *testing.T) {
	c := NewCluster[string, string](5)
	c.Partition(4)
	c.Propose(put("a", "v"))
	expect(t, "commit index while cut off", c.replicas[4].commitIndex, 0)
	expect(t, "last index while cut off", c.replicas[4].lastIndex(), 0)
	if _, err := agreedSnapshot(c); err == nil || !strings.Contains(err.Error(), "replica 4") {
		t.Errorf("the lag of replica 4 went unnoticed: %v", err)
	}
	c.Heal()
	expect(t, "commit index after heal", c.replicas[4].commitIndex, 1)
	expectConverged(t, c)
}

func TestNoopMovesTheCommitIndexOnly(t *testing.T) {
	c := NewCluster[string, string](3)
	c.Propose(Command[string, string]{Kind: Noop})
	for _, replica := range c.replicas {
		expect(t, "commit index", replica.commitIndex, 1)
		expect(t, "live keys", len(replica.store), 0)
	}
}

func TestDelRemovesAndALaterPutIsFresh(t *testing.T) {
	c := NewCluster[string, string](3)
	c.Propose(put("a", "v"))
	c.Propose(Command[string, string]{Kind: Del, Key: "a"})
	expect(t, "live keys after Del", len(c.leader().store), 0)
	c.Propose(Command[string, string]{Kind: Del, Key: "never there"})
	c.Propose(put("a", "w"))
	expect(t, "live keys", len(c.leader().store), 1)
	expect(t, "value", c.leader().store["a"], "w")
	expect(t, "commit index", c.leader().commitIndex, 4)
}

// Faults must not reach the answer, whatever the operation count; the small counts are those where the
// points at which an outage begins and ends coincide with each other or with the end of the run.
func TestFaultsLeaveNoTrace(t *testing.T) {
	for ops := uint64(0); ops < 24; ops++ {
		for healthy, faulty := range map[string]string{"default": "partition", "normal": "fault"} {
			want := answer(t, Workload{9, ops, 5, healthy})
			got := answer(t, Workload{9, ops, 5, faulty})
			if !bytes.Equal(got, want) {
				t.Errorf("%d operations: %s and %s differ", ops, healthy, faulty)
			}
		}
	}
}

func TestAnOutageIsLiveFromItsFirstOperationToItsLast(t *testing.T) {
	c := NewCluster[string, string](5)
	var behind []uint64
	observe := func(o operation) Command[string, string] {
		behind = append(behind, c.leader().lastIndex()-c.replicas[4].lastIndex())
		return o.stringCommand()
	}
	drive(c, Workload{Seed: 1, Ops: 8, Keys: 4}, outage{[]int{4}, 2, 6}, observe)
	expect(t, "lag before each operation", fmt.Sprint(behind), "[0 0 0 1 2 3 0 0]")
	expect(t, "lag at the end", c.leader().lastIndex()-c.replicas[4].lastIndex(), 0)
}

func TestAnOutageThatReachesTheEndIsHealedThere(t *testing.T) {
	c := NewCluster[string, string](5)
	drive(c, Workload{Seed: 1, Ops: 8, Keys: 4}, outage{[]int{1, 2}, 4, 8}, operation.stringCommand)
	for id, isCut := range c.isCut {
		expect(t, fmt.Sprintf("replica %d is cut off", id), isCut, false)
	}
	expectConverged(t, c)
}

func TestProgramPrintsTheHashAndWritesTheBytes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	var stdout, stderr strings.Builder
	args := strings.Fields("--seed 18446744073709551615 --ops 9 --keys 8 --scenario fault --out")
	expect(t, "status", run(append(args, file), &stdout, &stderr), 0)
	expect(t, "stderr", stderr.String(), "")
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "stdout", stdout.String(), fmt.Sprintf("%x\n", sha256.Sum256(written)))
}

func TestProgramRefusesBadArguments(t *testing.T) {
	for args, complaint := range map[string]string{
		"":                          "--seed is missing",
		"--seed 1 --ops 1 --keys 1": "--scenario is missing",
		"--seed 1 --ops 1 --keys 0 --scenario normal":         "from 1 to",
		"--seed 1 --ops -1 --keys 1 --scenario normal":        "from 0 to",
		"--seed 0x1 --ops 1 --keys 1 --scenario normal":       "from 0 to",
		"--seed 1 --ops 4294967296 --keys 1 --scenario fault": "from 0 to",
		"--seed 1 --ops 1 --keys 1 --scenario chaos":          "want default, partition, normal or fault",
		"--seed 1 --ops 1 --keys 1 --scenario normal more":    `unexpected argument "more"`,
		"--sed 1": "not defined",
		"--seed":  "needs an argument",
	} {
		var stdout, stderr strings.Builder
		expect(t, args+": status", run(strings.Fields(args), &stdout, &stderr), 2)
		expect(t, args+": stdout", stdout.String(), "")
		if !strings.Contains(stderr.String(), complaint) {
			t.Errorf("%s: stderr %q does not contain %q", args, stderr.String(), complaint)
		}
	}
}

func TestProgramFailsWhenItCannotWrite(t *testing.T) {
	var stdout, stderr strings.Builder
	args := append(strings.Fields("--seed 1 --ops 1 --keys 1 --scenario normal --out"), t.TempDir())
	expect(t, "status", run(args, &stdout, &stderr), 1)
	expect(t, "stdout", stdout.String(), "")
}
