// Command workload runs one exam of dkv against a cluster written in Go and prints the SHA-256 of what it
// leaves behind. It shares no code with the Rust implementation: that both leave the same bytes is the
// point.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
)

const usage = `usage: workload --seed N --ops N --keys N --scenario default|partition|normal|fault [--out FILE]`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns the exit status: 0 for an answer, 1 for a run that failed, 2 for arguments that make no sense.
func run(args []string, stdout, stderr io.Writer) int {
	workload, out, err := parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "workload: %v\n%s\n", err, usage)
		return 2
	}
	answer, err := workload.Run()
	if err == nil && out != "" {
		err = os.WriteFile(out, answer, 0o666)
	}
	if err == nil {
		_, err = fmt.Fprintf(stdout, "%x\n", sha256.Sum256(answer))
	}
	if err != nil {
		fmt.Fprintf(stderr, "workload: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string) (w Workload, out string, err error) {
	flags := flag.NewFlagSet("workload", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run reports the error
	flags.Usage = func() {}
	flags.Func("seed", "", number(&w.Seed, 0, math.MaxUint64))
	flags.Func("ops", "", number(&w.Ops, 0, math.MaxUint32)) // the formats count in 32 bits
	flags.Func("keys", "", number(&w.Keys, 1, math.MaxUint64))
	flags.Func("scenario", "", func(text string) error {
		switch text {
		case "default", "partition", "normal", "fault":
			w.Scenario = text
			return nil
		}
		return fmt.Errorf("want default, partition, normal or fault")
	})
	flags.StringVar(&out, "out", "", "")
	if err := flags.Parse(args); err != nil {
		return w, out, err
	}
	if flags.NArg() > 0 {
		return w, out, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, name := range []string{"seed", "ops", "keys", "scenario"} {
		if !given[name] {
			return w, out, fmt.Errorf("--%s is missing", name)
		}
	}
	return w, out, nil
}

// number parses decimal digits only: the flag package's own integers would read 010 as eight.
func number(target *uint64, min, max uint64) func(string) error {
	return func(text string) error {
		value, err := strconv.ParseUint(text, 10, 64)
		if err != nil || value < min || value > max {
			return fmt.Errorf("want a whole number from %d to %d", min, max)
		}
		*target = value
		return nil
	}
}
