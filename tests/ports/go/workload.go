package main

import "fmt"

// Generator is a variant of SplitMix64. Its first multiplier differs from the textbook's in the last byte;
// that is part of the format and no mistake. The seed is the first state.
type Generator struct{ state uint64 }

// Next returns the next word.
func (g *Generator) Next() uint64 {
	g.state += 0x9E3779B97F4A7C15
	z := g.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E7B5
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// operation is one step of a workload before a system gives its key and value their types.
type operation struct {
	kind       Kind
	key, value uint64
}

// operation draws three words, also where the third is not used: a Del must not shift the operations after
// it.
func (g *Generator) operation(keys uint64) operation {
	r1, r2, r3 := g.Next(), g.Next(), g.Next()
	kind := Put
	if r1>>62 == 3 {
		kind = Del
	}
	return operation{kind, r2 % keys, r3}
}

// stringCommand is an operation of the five-replica system.
func (o operation) stringCommand() Command[string, string] {
	value := le.AppendUint64(nil, o.value%10000)
	return Command[string, string]{o.kind, fmt.Sprintf("k%d", o.key), string(value)}
}

// integerCommand is an operation of the three-node system. A Del is stored with value 0.
func (o operation) integerCommand() Command[int64, int64] {
	command := Command[int64, int64]{Kind: o.kind, Key: int64(o.key)}
	if o.kind == Put {
		command.Value = int64(o.value % 1000)
	}
	return command
}

// Workload is everything an exam's answer depends on.
type Workload struct {
	Seed, Ops, Keys uint64
	Scenario        string
}

// outage cuts replicas off before operation from, and heals the cluster before operation until.
type outage struct {
	replicas    []int
	from, until uint64
}

// Run drives a cluster through the workload and returns the bytes of the exam's answer.
func (w Workload) Run() ([]byte, error) {
	switch w.Scenario {
	case "default":
		return w.runStrings(outage{})
	case "partition":
		return w.runStrings(outage{[]int{3, 4}, w.Ops / 4, 3 * w.Ops / 4})
	case "normal":
		return w.runIntegers(outage{}), nil
	case "fault":
		return w.runIntegers(outage{[]int{1}, w.Ops / 2, w.Ops * 3 / 4}), nil
	}
	return nil, fmt.Errorf("unknown scenario %q", w.Scenario)
}

func (w Workload) runStrings(o outage) ([]byte, error) {
	c := NewCluster[string, string](5)
	drive(c, w, o, operation.stringCommand)
	return agreedSnapshot(c)
}

func (w Workload) runIntegers(o outage) []byte {
	c := NewCluster[int64, int64](3)
	drive(c, w, o, operation.integerCommand)
	return snapshotNodes(c)
}

// drive proposes every operation in turn. The place after the last operation counts too, so an outage that
// reaches the end of the run (with no operation at all, for one) is healed there and none outlives the run.
func drive[K Key, V any](c *Cluster[K, V], w Workload, o outage, command func(operation) Command[K, V]) {
	generator := Generator{w.Seed}
	for i := uint64(0); ; i++ {
		if i == o.from {
			c.Partition(o.replicas...)
		}
		if i == o.until {
			c.Heal()
		}
		if i == w.Ops {
			return
		}
		c.Propose(command(generator.operation(w.Keys)))
	}
}
