//! `cargo model replay`: what was kept of a bug or of a random walk is played again.
//!
//! A path goes through a configuration of the models (`NAME.trace`), a scenario is a simulated world, written out
//! (`NAME.scn`). The bug is in the path, and in the name of the scenario.
//!
//! Left out: the Explorer, which shows paths only.

use std::fs;
use std::path::{Path, PathBuf};

use dkv::cluster::Shipped;
use dkv::cluster::scenario::Scenario;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::explorer::TRACES;
use dkv_models::guard::guarded;
use dkv_models::letters::Subject;
use dkv_models::properties::NO_PANIC;
use dkv_models::trace::{End, Played, Trace};

use crate::say;

/// Plays a saved path or scenario, and returns the exit status. A bug's name stands for its file.
pub(crate) fn play(file: &Path, shipped: bool, states: bool) -> u8 {
    let kept = |extension| Path::new(TRACES).join(file).with_extension(extension);
    let named = [kept("trace"), kept("scn")].into_iter().find(|named| !file.exists() && named.exists());
    let file: PathBuf = named.unwrap_or_else(|| file.to_owned());
    let played = fs::read_to_string(&file).map_err(|error| error.to_string()).and_then(|text| {
        if file.extension().is_some_and(|extension| extension == "scn") {
            play_scenario(&file, &text, shipped, states)
        } else {
            play_path(&text, shipped, states)
        }
    });
    played.unwrap_or_else(|error| {
        eprintln!("error: {}: {error}", file.display());
        2
    })
}

fn play_path(text: &str, shipped: bool, states: bool) -> Result<u8, String> {
    let trace: Trace = text.parse()?;
    let bug = trace.bug.filter(|_| !shipped);
    Ok(match bug {
        None => tell(&trace, &trace.play::<Shipped>(), bug, states),
        Some(_) => with_bug(bug, || tell(&trace, &trace.play::<Injected>(), bug, states)),
    })
}

fn play_scenario(file: &Path, text: &str, shipped: bool, states: bool) -> Result<u8, String> {
    let scenario = Scenario::parse(text).map_err(|error| error.to_string())?;
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let bug = Bug::from_name(name).filter(|_| !shipped);
    say(&bug.map_or(format!("{name}, as it ships"), |bug| format!("{name}: {}", bug.summary())));
    let run = || with_bug(bug, || scenario.run_with::<Injected, Injected>(states));
    let broken = match guarded(run) {
        Err(panic) => Some(format!("{NO_PANIC}: {panic}")),
        Ok(report) => {
            say(report.output.trim_end());
            report.failure.map(|failure| failure.to_string())
        }
    };
    say(&broken.as_ref().map_or("everything holds".to_owned(), |broken| format!("VIOLATED {broken}")));
    Ok(u8::from(broken.is_some() != bug.is_some()))
}

fn tell<P: Subject>(trace: &Trace, played: &Played<P>, bug: Option<Bug>, states: bool) -> u8 {
    let name = trace.configuration.name;
    say(&bug.map_or(format!("{name}, as it ships"), |bug| format!("{name} with {bug}: {}", bug.summary())));
    for (number, (action, state)) in (1..).zip(trace.actions.iter().zip(&played.states[1..])) {
        say(&format!("{number:>4}  {action}"));
        if states {
            say(&format!("{state:?}\n"));
        }
    }
    let done = played.choices.len();
    let end = match &played.end {
        End::Holds => "every property holds".to_owned(),
        End::Broken(broken) => format!("VIOLATED {broken}"),
        End::Impossible => format!("step {} is impossible: {}", done + 1, trace.actions[done]),
    };
    say(&end);
    let options = bug.map_or(String::new(), |bug| format!(" --bug {bug}"));
    say(&format!(
        "`cargo model explore {name}{options}` shows it at http://127.0.0.1:3000{}",
        played.fragment()
    ));
    let is_as_expected = match &played.end {
        End::Broken(broken) => bug.is_some() && broken.property == trace.property,
        // Under the rules that ship, the path may lead elsewhere.
        End::Holds | End::Impossible => bug.is_none(),
    };
    u8::from(!is_as_expected)
}
