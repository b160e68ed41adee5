//! A solver: a program that reads SMT-LIB text and answers.
//!
//! It is run as a process per question, so that no answer can depend on an earlier question, and no library is
//! linked. Which one: `--solver`, else `DKV_SOLVER`, else `z3` on the PATH. Anything that it says but `unsat` and
//! `sat` is no answer: `unknown`, a message about an error, silence, or no end within the time.

use std::env;
use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a solver may overrun the time that it was told.
const GRACE: Duration = Duration::from_secs(5);

/// A program and how to speak to it.
#[derive(Clone, Debug)]
pub struct Solver {
    program: PathBuf,
    version: String,
    is_cvc5: bool,
}

/// What a solver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No model: what was to be proved is proved.
    Unsat,
    /// A model.
    Sat,
    /// Neither, and why.
    None(String),
    /// Nobody waited for the answer any more.
    Interrupted,
}

impl Solver {
    /// The solver to use if none is named: `DKV_SOLVER`, else `z3`.
    #[must_use]
    pub fn named_by_environment() -> PathBuf {
        env::var_os("DKV_SOLVER").map_or_else(|| PathBuf::from("z3"), PathBuf::from)
    }

    /// Asks a program who it is.
    ///
    /// # Errors
    /// Says that it cannot be run.
    pub fn open(program: &Path) -> Result<Solver, String> {
        let output = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("the solver {} does not run: {error}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.lines().next().unwrap_or_default().trim().to_string();
        let is_cvc5 = program.file_stem().is_some_and(|name| name == OsStr::new("cvc5"));
        Ok(Solver { program: program.to_path_buf(), version, is_cvc5 })
    }

    /// How it introduces itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    fn command(&self, seconds: u32, seed: u32) -> Command {
        let mut command = Command::new(&self.program);
        if self.is_cvc5 {
            command.args(["--lang=smt2", "--finite-model-find", &format!("--tlimit={}000", seconds)]);
            command.arg(format!("--seed={seed}"));
        } else {
            command.args(["-in", "-smt2", &format!("-T:{seconds}")]);
            command.args([format!("smt.random_seed={seed}"), format!("sat.random_seed={seed}")]);
        }
        command
    }

    /// Asks, and returns the answer with everything that was printed after it.
    pub fn ask(&self, text: &str, seconds: u32, seed: u32, stop: &AtomicBool) -> (Answer, String) {
        match self.run(text, seconds, seed, stop) {
            Ok(None) if stop.load(Ordering::Relaxed) => (Answer::Interrupted, String::new()),
            Ok(None) => (Answer::None(format!("no answer within {seconds} s")), String::new()),
            Ok(Some(output)) => {
                let (first, rest) = output.split_once('\n').unwrap_or((&output, ""));
                let answer = match first.trim() {
                    // A Ctrl-C of the terminal reaches the solver too.
                    _ if stop.load(Ordering::Relaxed) => Answer::Interrupted,
                    "unsat" => Answer::Unsat,
                    "sat" => Answer::Sat,
                    "timeout" => Answer::None(format!("no answer within {seconds} s")),
                    "" => Answer::None("the solver said nothing".to_string()),
                    other => Answer::None(other.to_string()),
                };
                (answer, rest.to_string())
            }
            Err(error) => (Answer::None(format!("{}: {error}", self.program.display())), String::new()),
        }
    }

    fn run(&self, text: &str, seconds: u32, seed: u32, stop: &AtomicBool) -> std::io::Result<Option<String>> {
        let mut command = self.command(seconds, seed);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (mut input, mut output) = (child.stdin.take(), child.stdout.take());
        let text = text.to_string();
        let (done, finished) = mpsc::channel();
        thread::spawn(move || {
            // One that ends early, in the middle of the text, says what is wrong on its output.
            if let Some(input) = &mut input {
                let _ = input.write_all(text.as_bytes());
            }
            drop(input);
            let mut bytes = Vec::new();
            if let Some(output) = &mut output {
                let _ = output.read_to_end(&mut bytes);
            }
            let _ = done.send(String::from_utf8_lossy(&bytes).into_owned());
        });
        let deadline = Instant::now() + Duration::from_secs(u64::from(seconds)) + GRACE;
        loop {
            match finished.recv_timeout(Duration::from_millis(50)) {
                Ok(output) => {
                    child.wait()?;
                    return Ok(Some(output));
                }
                Err(_) if stop.load(Ordering::Relaxed) || Instant::now() > deadline => {
                    end(&mut child)?;
                    return Ok(None);
                }
                Err(_) => {}
            }
        }
    }
}

fn end(child: &mut Child) -> std::io::Result<()> {
    // It may have ended in this very moment.
    let _ = child.kill();
    child.wait().map(drop)
}
