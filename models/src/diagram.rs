//! A path as a sequence diagram: a line of life per member, an arrow from where a packet left to where it
//! arrived, time from top to bottom.
//!
//! Left out: what is on disk; the state's text says it.

use std::fmt::Write as _;

use crate::actions::Action;
use crate::interned::Interned;
use crate::letters::Subject;
use crate::state::{Packet, State};
use crate::text;

const COLUMN: usize = 260;
const ROW: usize = 26;
const MARGIN: usize = 150;
const TOP: usize = 40;

/// A packet that has left and not arrived.
struct UnderWay {
    from: usize,
    to: usize,
    packet: Interned<Packet>,
    /// The row in which it left.
    since: usize,
}

/// The diagram of a path: each state, and the action that leads to the next.
#[must_use]
pub(crate) fn svg<P: Subject>(path: &[(State<P>, Option<Action>)]) -> String {
    let Some((first, _)) = path.first() else { return String::new() };
    let members = first.count();
    let (width, height) = (MARGIN * 2 + COLUMN * (members - 1) + COLUMN, TOP + ROW * (path.len() + 1));
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' \
         font-family='monospace' font-size='12' stroke='currentColor' fill='currentColor'><defs><marker id='head' \
         viewBox='0 0 10 10' refX='10' refY='5' markerWidth='8' markerHeight='8' orient='auto'><path stroke='none' \
         d='M 0 0 L 10 5 L 0 10 z'/></marker></defs>"
    );
    for id in 0..members {
        let x = column(id);
        label(&mut svg, x, TOP - 18, "middle", &format!("n{id}"));
        let bottom = height - ROW / 2;
        let _ = write!(svg, "<line x1='{x}' y1='{}' x2='{x}' y2='{bottom}' stroke-opacity='0.4'/>", TOP - 10);
    }
    let mut under_way = Vec::new();
    note_departures(&mut under_way, first, 0);
    for (row, pair) in (1..).zip(path.windows(2)) {
        let [(before, action), (after, _)] = pair else { continue };
        if let Some(action) = action {
            draw(&mut svg, &mut under_way, before, *action, row);
        }
        forget_lost(&mut under_way, after);
        note_departures(&mut under_way, after, row);
    }
    for packet in &under_way {
        // Halfway: it is still on its way.
        let (x1, x2) = (column(packet.from), column(packet.to));
        arrow(&mut svg, (x1, line(packet.since)), (x1.midpoint(x2), height - ROW), Look::Lost);
    }
    if let Some((last, _)) = path.last()
        && let Some(broken) = &last.violated
    {
        label(&mut svg, MARGIN / 2, height - 8, "start", &format!("VIOLATED {}", broken.property));
    }
    svg.push_str("</svg>");
    svg
}

fn column(id: usize) -> usize {
    MARGIN + COLUMN * id
}

fn line(row: usize) -> usize {
    TOP + ROW * row
}

/// Packets on links that are not known yet have left in this row.
fn note_departures<P: Subject>(under_way: &mut Vec<UnderWay>, state: &State<P>, row: usize) {
    for (from, to) in state.directions() {
        let Some(queue) = state.queue(from, to) else { continue };
        for packet in &queue.packets {
            let is_same = |known: &&UnderWay| (known.from, known.to) == (from, to) && known.packet == *packet;
            let on_link = queue.packets.iter().filter(|other| *other == packet).count();
            if under_way.iter().filter(is_same).count() < on_link {
                under_way.push(UnderWay { from, to, packet: packet.clone(), since: row });
            }
        }
    }
}

/// Packets that are on no link any more were lost.
fn forget_lost<P: Subject>(under_way: &mut Vec<UnderWay>, state: &State<P>) {
    under_way.retain(|known| {
        let queue = state.queue(known.from, known.to);
        queue.is_some_and(|queue| queue.packets.contains(&known.packet))
    });
}

fn draw<P: Subject>(
    svg: &mut String,
    under_way: &mut Vec<UnderWay>,
    before: &State<P>,
    action: Action,
    row: usize,
) {
    let y = line(row);
    match action {
        Action::Deliver(way) | Action::Duplicate(way) | Action::Drop(way) => {
            let queue = before.queue(way.from, way.to);
            let packet = queue.and_then(|queue| queue.packets.get(usize::from(way.position)));
            let Some(packet) = packet else { return };
            let position = under_way
                .iter()
                .position(|known| (known.from, known.to) == (way.from, way.to) && known.packet == *packet);
            let since = position.map_or(row, |at| under_way[at].since);
            if let Some(at) = position
                && !matches!(action, Action::Duplicate(_))
            {
                under_way.remove(at);
            }
            let (x1, x2) = (column(way.from), column(way.to));
            let is_lost = matches!(action, Action::Drop(_));
            let (end, look) = if is_lost { (x1.midpoint(x2), Look::Lost) } else { (x2, Look::Arrives) };
            arrow(svg, (x1, line(since)), (end, y), look);
            let more = match action {
                Action::Duplicate(_) => " (and once more)",
                Action::Drop(_) => " is lost",
                _ => "",
            };
            let (x, anchor) = if x2 > x1 { (x2 - 8, "end") } else { (x2 + 8, "start") };
            label(svg, x, y - 5, anchor, &format!("{}{more}", text::packet(packet)));
        }
        _ => match at(action) {
            Some(id) => {
                let _ = write!(svg, "<circle cx='{}' cy='{y}' r='4'/>", column(id));
                label(svg, column(id) + 8, y + 4, "start", &action.to_string());
            }
            None => label(svg, MARGIN / 2, y + 4, "start", &action.to_string()),
        },
    }
}

/// The member that an action happens to, if it is one.
fn at(action: Action) -> Option<usize> {
    match action {
        Action::Sync { id, .. }
        | Action::Fire { id, .. }
        | Action::Crash { id, .. }
        | Action::Restart { id }
        | Action::Compact { id }
        | Action::Partition { id } => Some(id),
        Action::Propose { at }
        | Action::Retry { at, .. }
        | Action::Read { at }
        | Action::GiveUp { at, .. }
        | Action::Change { at } => Some(at),
        Action::Transfer { from, .. } | Action::Cut { from, .. } => Some(from),
        Action::Deliver(_) | Action::Duplicate(_) | Action::Drop(_) | Action::Heal => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Arrives,
    Lost,
}

fn arrow(svg: &mut String, (x1, y1): (usize, usize), (x2, y2): (usize, usize), look: Look) {
    let style = match look {
        Look::Arrives => "marker-end='url(#head)'",
        Look::Lost => "stroke-dasharray='4 4'",
    };
    let _ = write!(svg, "<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' {style}/>");
}

fn label(svg: &mut String, x: usize, y: usize, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = write!(svg, "<text x='{x}' y='{y}' text-anchor='{anchor}' stroke='none'>{words}</text>");
}
