//! A run as a picture: one HTML file that needs nothing else.
//!
//! A lane for each machine and user, the world's time from left to right; what the script did stands as a mark or, if it lasted, as a
//! bar, with its words as a tooltip; operations of users from question to answer; the finding as a line through all lanes. Below it is the
//! trace, which can be filtered.

use super::{
    Outcome, Plan,
    cloud::name,
    script::{Event, Place},
};
use std::fmt::Write;

/// Pixels.
const LANE: usize = 26;
const LABEL: usize = 90;
const WIDTH: usize = 1400;

const STYLE: &str = "body{font:13px/1.4 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}\
svg text{font:12px system-ui,sans-serif}pre{font:12px/1.35 ui-monospace,monospace;white-space:pre-wrap}\
input{font:inherit;width:30em}.f{fill:#c33}.d{fill:#d80}.o{fill:#38a}.n{fill:#999}\
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}svg text{fill:#ddd}}";
const SCRIPT: &str = "const all=document.getElementById('t').textContent.split('\\n');\
document.getElementById('q').oninput=e=>{const w=e.target.value;\
document.getElementById('t').textContent=all.filter(l=>l.includes(w)).join('\\n')}";

/// The file.
pub(super) fn html(plan: &Plan, outcome: &Outcome) -> String {
    let title = match &outcome.finding {
        Some(finding) => format!("{}: {}", finding.rule, finding.object),
        None => "nothing was found".to_owned(),
    };
    let what = outcome.finding.as_ref().map(ToString::to_string).unwrap_or_default();
    format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1><pre>{what}\nseed {seed}: {knobs}</pre>{picture}\
         <p>{left_out}<label>Lines of the trace with <input id=\"q\"></label></p><pre id=\"t\">{trace}</pre><script>{SCRIPT}</script></html>\n",
        title = escape(&title),
        what = escape(&what),
        seed = plan.seed,
        knobs = escape(&plan.knobs.to_string()),
        picture = picture(plan, outcome),
        left_out = match outcome.left_out() {
            0 => String::new(),
            lines => format!("The {lines} first lines of the trace are left out. "),
        },
        trace = escape(&outcome.trace.join("\n")),
    )
}

fn picture(plan: &Plan, outcome: &Outcome) -> String {
    let places =
        [Place::Master, Place::Web, Place::Users].into_iter().chain((1..=plan.knobs.nodes).map(Place::Node));
    let far =
        (plan.knobs.second.request_seconds > 0).then_some([Place::Other, Place::Node(plan.knobs.nodes + 1)]);
    let places: Vec<Place> = places.chain(far.into_iter().flatten()).collect();
    let lanes = places.len() + plan.knobs.users as usize;
    let end = outcome.simulated.as_millis().max(1) as f64;
    // The script's times count from there.
    let begin = outcome.began.map_or(0.0, |began| began.as_millis() as f64);
    let x = |milliseconds: f64| LABEL as f64 + (WIDTH - LABEL) as f64 * (milliseconds / end).clamp(0.0, 1.0);
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {}\" width=\"100%\">", (lanes + 1) * LANE);
    let lane_of = |place: Place| places.iter().position(|other| *other == place).unwrap_or_default();
    for (index, place) in places.iter().enumerate() {
        label(&mut svg, index, &name(*place));
    }
    for user in 1..=plan.knobs.users {
        label(&mut svg, places.len() + user as usize - 1, &format!("user {user}"));
    }
    for step in &plan.script {
        let words = serde_json::to_string(&step.event).unwrap_or_default();
        let (place, length) = place_of(&step.event);
        let Some(place) = place else { continue };
        let at = begin + step.at as f64;
        let bar = Bar {
            lane: lane_of(place),
            from: x(at),
            to: x(at + length as f64),
            class: if length > 0 { "d" } else { "f" },
        };
        bar.draw(&mut svg, &words);
    }
    for operation in &outcome.history {
        let (from, words) =
            (operation.began.as_millis() as f64, serde_json::to_string(&operation.what).unwrap_or_default());
        let (to, class) = match &operation.ended {
            Some(ended) if ended.outcome.is_answer() => (ended.at.as_millis() as f64, "o"),
            Some(ended) => (ended.at.as_millis() as f64, "f"),
            None => (end, "n"),
        };
        let answer = operation.ended.as_ref().map_or("no answer".to_owned(), |it| it.outcome.to_string());
        // The operator's are not drawn: there is none in the turmoil.
        let Some(lane) = (operation.user as usize).checked_sub(1) else { continue };
        let bar = Bar { lane: places.len() + lane, from: x(from), to: x(to), class };
        bar.draw(&mut svg, &format!("{words}\n{answer}"));
    }
    if let Some(finding) = &outcome.finding {
        let at = x(finding.at.as_millis() as f64);
        let _ = write!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{}\" stroke=\"#c33\"><title>{}</title></line>",
            lanes * LANE,
            escape(&finding.to_string())
        );
    }
    for tenth in 0..=10 {
        let at = end * f64::from(tenth) / 10.0;
        let _ = write!(
            svg,
            "<text x=\"{:.0}\" y=\"{}\">{:.0} s</text>",
            x(at) - 20.0,
            (lanes + 1) * LANE - 6,
            at / 1000.0
        );
    }
    svg + "</svg>"
}

fn label(svg: &mut String, lane: usize, text: &str) {
    let y = lane * LANE;
    let _ = write!(
        svg,
        "<text x=\"0\" y=\"{}\">{}</text><line x1=\"{LABEL}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#8884\"/>",
        y + 17,
        escape(text)
    );
}

struct Bar {
    lane: usize,
    from: f64,
    to: f64,
    class: &'static str,
}

impl Bar {
    fn draw(&self, svg: &mut String, words: &str) {
        let _ = write!(
            svg,
            "<rect class=\"{}\" x=\"{:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" opacity=\".75\"><title>{}</title></rect>",
            self.class,
            self.from,
            self.lane * LANE + 4,
            (self.to - self.from).max(3.0),
            LANE - 8,
            escape(words)
        );
    }
}

/// Where something happens, and how long it lasts in milliseconds; nowhere for what users do, which has lanes of its own.
fn place_of(event: &Event) -> (Option<Place>, u64) {
    match event {
        Event::Supply { .. }
        | Event::Request { .. }
        | Event::Bang { .. }
        | Event::Rename { .. }
        | Event::ReadInstance { .. }
        | Event::ReadList { .. }
        | Event::ReadComputer { .. }
        | Event::Tree { .. }
        | Event::Look { .. }
        | Event::Tell { .. }
        | Event::Type { .. }
        | Event::Stranger { .. }
        | Event::Elsewhere { .. } => (None, 0),
        Event::Kill { program } => (Some(program.place()), 0),
        Event::Pause { program, milliseconds } => (Some(program.place()), *milliseconds),
        Event::Spoil { milliseconds, .. } => (Some(Place::Web), *milliseconds),
        Event::Pass { node, .. }
        | Event::Remove { node, .. }
        | Event::KillService { node, .. }
        | Event::Wipe { node }
        | Event::SkipView { node, .. } => (Some(Place::Node(*node)), 0),
        Event::Behave { node, milliseconds, .. }
        | Event::Hang { node, milliseconds, .. }
        | Event::TakePort { node, milliseconds, .. }
        | Event::Quota { node, milliseconds, .. }
        | Event::StrayPlugin { node, milliseconds, .. }
        | Event::Clone { node, milliseconds }
        | Event::Reformat { node, milliseconds, .. }
        | Event::Touch { node, milliseconds, .. }
        | Event::OldView { node, age: milliseconds, .. } => (Some(Place::Node(*node)), *milliseconds),
        Event::Power { machine, milliseconds } | Event::Drift { machine, milliseconds, .. } => {
            (Some(*machine), *milliseconds)
        }
        Event::Reboot { machine } | Event::Step { machine, .. } => (Some(*machine), 0),
        Event::Partition { from, milliseconds, .. }
        | Event::Refuse { from, milliseconds, .. }
        | Event::Delay { from, milliseconds, .. }
        | Event::Trickle { from, milliseconds, .. }
        | Event::Duplicate { from, milliseconds, .. } => (Some(*from), *milliseconds),
        Event::Reset { from, .. } | Event::LoseRequest { from, .. } | Event::LoseAnswer { from, .. } => {
            (Some(*from), 0)
        }
        Event::Disk { machine, milliseconds, .. } => (Some(*machine), *milliseconds),
        Event::Crash { machine, .. } => (Some(*machine), 0),
        Event::MoveReleases { milliseconds } => (Some(Place::Master), *milliseconds),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
