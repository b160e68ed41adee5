//! How numbers, durations and actions read.

use crate::cluster::links::Link;
use crate::raft::Bytes;
use crate::sim::action::Action;
use crate::sim::history::{Call, Step};

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Virtual time, in what a person counts it in.
pub(super) fn duration(time_ms: u64) -> String {
    let seconds = time_ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}.{:03} s", seconds, time_ms % 1000),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{} d {} h", grouped(days), hours % 24),
    }
}

/// An action as a dense line.
pub(super) fn action(action: &Action) -> String {
    match action {
        Action::Deliver { link, position } => format!("deliver {}{}", arrow(link), behind(*position)),
        Action::Drop { link, position } => format!("drop {}{}", arrow(link), behind(*position)),
        Action::Duplicate { link, position } => format!("duplicate {}{}", arrow(link), behind(*position)),
        Action::Sync { id, count } => format!("sync {id} {count}"),
        Action::Timeout { id, timer } => format!("timeout {id} {timer:?}"),
        Action::OpenSession { client, at } => format!("open-session c{client} at {at}"),
        Action::Call { client, at, call: what } => format!("call c{client} at {at}: {}", call(what)),
        Action::Retry { client, at } => format!("retry c{client} at {at}"),
        Action::GiveUp { client } => format!("give-up c{client}"),
        Action::Replace { client } => format!("replace c{client}"),
        Action::Cut(links) => format!("cut {}", listed(links, arrow)),
        Action::Restore(links) => format!("restore {}", listed(links, arrow)),
        Action::Crash { id, keep } => format!("crash {id} keeping {keep}"),
        Action::Restart(id) => format!("restart {id}"),
        Action::BackUp(id) => format!("back-up {id}"),
        Action::LoseDisk(id) => format!("lose-disk {id}"),
        Action::RollBackDisk(id) => format!("roll-back-disk {id}"),
        Action::SetClockRate { id, permille } => format!("clock-rate {id} {permille}/1000"),
        Action::Compact(id) => format!("compact {id}"),
        Action::Join(id) => format!("join {id}"),
        Action::ChangeMembers { at, changes } => {
            format!("change-members at {at}: {}", listed(changes, |change| format!("{change:?}")))
        }
        Action::Transfer { at, to } => format!("transfer at {at} to {to}"),
        Action::Retire(id) => format!("retire {id}"),
    }
}

fn listed<T>(items: &[T], word: impl Fn(&T) -> String) -> String {
    items.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn arrow((from, to): &Link) -> String {
    format!("{from}→{to}")
}

fn behind(position: u32) -> String {
    if position == 0 { String::new() } else { format!(" overtaking {position}") }
}

fn call(call: &Call) -> String {
    match call {
        Call::Read(keys) => format!("read {}", listed(keys, plain)),
        Call::Write { compares, then, otherwise } => {
            let condition = listed(compares, |(key, value)| {
                format!("{}={} ", plain(key), value.as_ref().map_or("none".into(), plain))
            });
            let condition = if compares.is_empty() { String::new() } else { format!("if {condition}then ") };
            let alternative =
                if otherwise.is_empty() { String::new() } else { format!(" else {}", steps(otherwise)) };
            format!("{condition}{}{alternative}", steps(then))
        }
    }
}

fn steps(steps: &[Step]) -> String {
    let word = |step: &Step| match step {
        Step::Put(key, value) => format!("put {} {}", plain(key), plain(value)),
        Step::Delete(key) => format!("delete {}", plain(key)),
        Step::Get(key) => format!("get {}", plain(key)),
    };
    steps.iter().map(word).collect::<Vec<_>>().join("; ")
}

fn plain(bytes: &Bytes) -> String {
    bytes.as_slice().escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::NodeId;

    #[test]
    fn numbers_read_well() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (100_000, "100,000")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn durations_read_well() {
        let cases = [
            (7, "0.007 s"),
            (61_500, "1 min 1 s"),
            (3_600_000 * 5, "5 h 0 min"),
            (86_400_000 * 3 + 7_200_000, "3 d 2 h"),
        ];
        for (time_ms, expected) in cases {
            assert_eq!(duration(time_ms), expected);
        }
    }

    #[test]
    fn actions_read_densely() {
        let link = (NodeId(0), NodeId(2));
        assert_eq!(action(&Action::Deliver { link, position: 0 }), "deliver n0→n2");
        assert_eq!(action(&Action::Drop { link, position: 3 }), "drop n0→n2 overtaking 3");
        assert_eq!(action(&Action::Cut(vec![link, (NodeId(2), NodeId(0))])), "cut n0→n2 n2→n0");
        let key = || Bytes::from("a".as_bytes());
        let call = Call::Write {
            compares: vec![(key(), None)],
            then: vec![Step::Put(key(), Bytes::from("1".as_bytes())), Step::Get(key())],
            otherwise: vec![Step::Delete(key())],
        };
        let line = action(&Action::Call { client: 1, at: NodeId(0), call });
        assert_eq!(line, "call c1 at n0: if a=none then put a 1; get a else delete a");
    }
}
