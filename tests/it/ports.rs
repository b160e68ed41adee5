//! The exams in Go and in C++: two programs that share no code with this crate must leave the same bytes.
//!
//! `tests/ports/README.md` describes them. Here is tested that all three agree; that they agree on the right
//! hashes, each tests for itself.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs, io};

#[test]
fn go_leaves_the_same_bytes() {
    let build = build_dir("go");
    let go = |arguments: &[&OsStr]| {
        let mut command = Command::new("go");
        command.args(arguments).current_dir(sources("go"));
        // Nothing of the user's own Go settings, caches and version control, and nothing from the network.
        command.env("GOCACHE", build.join("cache")).env("GOPATH", build.join("path"));
        command.env("GOENV", "off").env("GOFLAGS", "-mod=mod -buildvcs=false");
        command.env("GOPROXY", "off").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
        command
    };
    if !succeeds(go(&["version".as_ref()])) {
        return skip("the Go port needs the command `go`");
    }
    let workload = build.join("workload");
    must_succeed(go(&["vet".as_ref(), "./...".as_ref()]));
    must_succeed(go(&["test".as_ref(), "./...".as_ref()]));
    must_succeed(go(&["build".as_ref(), "-o".as_ref(), workload.as_ref(), ".".as_ref()]));
    compare_with(&workload, &build);
}

#[test]
fn cpp_leaves_the_same_bytes() {
    let build = build_dir("cpp");
    let mut make_version = Command::new("make");
    make_version.arg("--version");
    let mut preprocess = Command::new("g++");
    preprocess.args(["-std=c++20", "-E", "-x", "c++", "-include", "openssl/evp.h", "-"]);
    if !succeeds(make_version) || !succeeds(preprocess) {
        return skip("the C++ port needs `make`, a `g++` that knows C++20, and the headers of OpenSSL");
    }
    let mut make = Command::new("make");
    make.args(["--silent", "--jobs=2", "all", "test"]).current_dir(sources("cpp"));
    make.arg(format!("BUILD={}", build.display()));
    must_succeed(make);
    compare_with(&build.join("workload"), &build);
}

/// One run, as all three programs take it on their command line.
struct Workload {
    seed: u64,
    ops: u64,
    keys: u64,
    scenario: &'static str,
}

const SCENARIOS: [&str; 4] = ["default", "partition", "normal", "fault"];

const EXAMS: [Workload; 4] = [
    Workload { seed: 42, ops: 500, keys: 32, scenario: "default" },
    Workload { seed: 7, ops: 2000, keys: 128, scenario: "partition" },
    Workload { seed: 42, ops: 200, keys: 16, scenario: "normal" },
    Workload { seed: 7, ops: 2000, keys: 128, scenario: "fault" },
];

/// The exams, then each scenario: at the counts where the points of an outage coincide and at random ones; with
/// one key, with a few, and with all that fit 64 bits (where signed and unsigned order differ).
fn workloads() -> Vec<Workload> {
    let mut random = Random(0x5EED);
    let mut workloads = Vec::from(EXAMS);
    for round in 0..12 {
        for scenario in SCENARIOS {
            let seed = [0, u64::MAX, random.next(), random.next()][round as usize % 4];
            let ops = if round < 6 { round } else { random.next() % 1000 };
            let keys = [1 + random.next() % 200, u64::MAX, 1][round as usize % 3];
            workloads.push(Workload { seed, ops, keys, scenario });
        }
    }
    workloads
}

/// Marsaglia's xorshift: another generator than the one under test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Workload {
    fn arguments(&self) -> Vec<String> {
        let Self { seed, ops, keys, scenario } = self;
        let line = format!("--seed {seed} --ops {ops} --keys {keys} --scenario {scenario}");
        line.split(' ').map(str::to_owned).collect()
    }
}

fn compare_with(port: &Path, build: &Path) {
    let programs =
        || [(dkv_workload(), build.join("dkv.snapshot")), (Command::new(port), build.join("port.snapshot"))];
    for workload in workloads() {
        let arguments = workload.arguments();
        let [ours, theirs] = programs().map(|(mut command, file)| {
            command.args(&arguments).arg("--out").arg(&file);
            let hash = must_succeed(command).stdout;
            (hash, fs::read(&file).expect("--out has written the file"))
        });
        let run = arguments.join(" ");
        assert!(ours.0 == theirs.0 && ours.0.len() == 65, "the hashes of dkv and {port:?} differ for {run}");
        assert!(ours.1 == theirs.1, "the snapshots of dkv and {port:?} differ for {run}");
    }
    for wrong in [
        "--keys 0 --ops 1 --scenario normal",
        "--keys 1 --ops -1 --scenario normal",
        "--keys 1 --ops 1 --scenario chaos",
    ] {
        for (mut command, _) in programs() {
            let output =
                command.args(["--seed", "1"]).args(wrong.split(' ')).output().expect("the program starts");
            assert_eq!(output.status.code(), Some(2), "{command:?} is not refused");
            assert!(
                output.stdout.is_empty() && !output.stderr.is_empty(),
                "{command:?} is refused in the wrong place"
            );
        }
    }
}

fn dkv_workload() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dkv"));
    command.arg("workload");
    command
}

fn sources(port: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ports").join(port)
}

/// Where a port is built. What an earlier run has left there is kept: it is a cache to both build tools.
fn build_dir(port: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports").join(port);
    fs::create_dir_all(&dir).expect("the build directory can be created");
    dir
}

fn succeeds(mut command: Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn must_succeed(mut command: Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if !output.status.success() {
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        panic!("{command:?} failed, {}\n{stdout}{stderr}", output.status);
    }
    output
}

/// Says so past the test harness, which shows nothing that a passing test prints. In CI a missing tool is a
/// failure: the comparison must not fall silent there.
fn skip(reason: &str) {
    assert!(env::var("CI").as_deref() != Ok("true"), "{reason}");
    writeln!(io::stderr(), "SKIPPED: {reason}").expect("standard error is open");
}
