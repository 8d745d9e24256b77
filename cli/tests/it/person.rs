//! People who run command lines again and again, while something goes wrong with each. They know only what was printed: a request
//! that they were shown they look up, and settle as it really was; otherwise they run the last line once more, to the letter, or
//! without its settlement. All promises hold after each line and at the end.
//!
//! Ten people for each operation; `DLQ_PEOPLE=100` makes it a hundred. `--nocapture` shows what they met.
#![cfg(target_os = "linux")]

use http::Request;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::common::{closed_pipe, text};
use crate::draw::Draw;
use crate::operations::{Effect, OPERATIONS, Operation};
use crate::scene::{Archived, Scene, Server, Settled, command_of, in_doubt, in_shell, report};
use crate::world::{Break, Moment};
use rustix::process::Signal;

/// How many runs match, and how many lines one runs until nothing goes wrong any more.
const MATCHING: usize = 400;
const LINES: usize = 10;
/// How many people at a time: their commands wait for each response.
const AT_ONCE: usize = 3;

/// What becomes of a request instead of its response.
const BREAKS: [Break; 5] = [
    Break { carried_out: false, reset: false, respond: |_, _, _| {} },
    Break { carried_out: true, reset: false, respond: |_, _, _| {} },
    Break { carried_out: false, reset: true, respond: |_, _, _| {} },
    Break {
        carried_out: true,
        reset: false,
        respond: |_, stream, right| {
            let _ = stream.write_all(&right[..right.len() / 2]);
        },
    },
    Break {
        carried_out: false,
        reset: false,
        respond: |_, stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
        },
    },
];

/// What happens to one process, besides what becomes of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Nothing,
    /// At a moment of a request: before it is carried out, before its response, or so many turns of a loop after that.
    Killed(Moment, usize),
    /// When it has replaced its checkpoint, or written to its archive, so many times.
    KilledOnceSaved(usize),
    Interrupted,
    /// The same line is run in another terminal meanwhile.
    SecondTerminal,
    LockRemoved,
    /// A folder has the name of the file that replaces the checkpoint.
    NameTaken,
}

/// What is the matter with its surroundings, from the beginning.
#[derive(Clone, Debug, Default)]
struct Place {
    /// No file grows beyond so many blocks of 512 bytes.
    room: Option<usize>,
    /// Standard error, or standard output, cannot be written, or the reader of standard output has gone.
    unheard: bool,
    unread: bool,
    no_reader: bool,
}

impl Place {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            room: (draw.below(6) == 0).then(|| draw.of(&[0, 1, 2, 3, 4, 8, 24, 48])),
            unheard: draw.below(8) == 0,
            unread: draw.below(10) == 0,
            no_reader: draw.below(16) == 0,
        }
    }

    /// A shell that becomes the command. The counts of a measurement of coverage would find no room either.
    fn around(&self, command: Command) -> Command {
        let room = |blocks| format!("export LLVM_PROFILE_FILE=/dev/null; trap '' XFSZ; ulimit -f {blocks}");
        let mut first: Vec<String> = self.room.map(room).into_iter().collect();
        first.extend(self.unheard.then(|| "exec 2>/dev/full".to_owned()));
        first.extend(self.unread.then(|| "exec >/dev/full".to_owned()));
        let mut command = in_shell(&first.join("; "), command);
        if self.no_reader {
            command.stdout(closed_pipe());
        }
        command
    }
}

/// What goes wrong with the process that runs now.
struct Now {
    trouble: Trouble,
    /// At which request. Whether those that only read count.
    at: usize,
    any: bool,
    /// Which requests meet which break.
    breaks: Vec<(usize, Break)>,
    line: Vec<String>,
    url: String,
    folder: PathBuf,
}

impl Now {
    fn draw(draw: &mut Draw, scene: &Scene, line: Vec<String>) -> Self {
        let has_position = scene.operation.has("POSITION");
        let moments = [Moment::Arrived, Moment::CarriedOut, Moment::Answered];
        let trouble = match draw.below(12) {
            0..2 => Trouble::Killed(draw.of(&moments), draw.below(400)),
            2..4 => Trouble::KilledOnceSaved(1 + draw.below(6)),
            4..6 => Trouble::Interrupted,
            6 => Trouble::SecondTerminal,
            7 if has_position => Trouble::LockRemoved,
            8 if has_position => Trouble::NameTaken,
            _ => Trouble::Nothing,
        };
        let breaks = (0..draw.below(3)).map(|_| (1 + draw.below(5), draw.of(&BREAKS))).collect();
        Self {
            trouble,
            at: 1 + draw.below(4),
            any: draw.below(5) == 0,
            breaks,
            line,
            url: scene.world.url(),
            folder: scene.folder().to_owned(),
        }
    }
}

/// Tells that a process has ended.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What all people met.
type Met = BTreeMap<String, u32>;

struct Person {
    scene: Scene,
    now: Arc<Mutex<Option<Now>>>,
    draw: Draw,
    /// What became of the request that was shown last, unless that was settled.
    shown: Option<&'static str>,
    /// Whether one was ever shown.
    was_shown: bool,
    /// What the last line settled.
    settlement: Option<&'static str>,
    options: Vec<String>,
    archived: Archived,
    /// What was run, and what went wrong with it: for whoever reads why a promise was broken.
    lines: Vec<String>,
}

impl Person {
    fn new(operation: &'static Operation, seed: u32) -> Self {
        let now = Arc::new(Mutex::new(None::<Now>));
        let of_server = Arc::clone(&now);
        let scene = Scene::new(operation, MATCHING, move |server, moment, request| {
            meet(server, &of_server, operation, moment, request)
        });
        scene.server.armed.store(true, Ordering::SeqCst);
        let draw = Draw::new(seed);
        Self {
            scene,
            now,
            draw,
            shown: None,
            was_shown: false,
            settlement: None,
            options: Vec::new(),
            archived: Archived::default(),
            lines: Vec::new(),
        }
    }

    /// The next line to run.
    fn line(&mut self) -> Vec<String> {
        let draw = &mut self.draw;
        self.settlement = match self.shown {
            Some(truth) => (draw.below(6) > 0).then_some(truth),
            None => match draw.below(6) {
                0..3 => self.settlement,
                // Nobody knows what they mean, so it must settle nothing.
                3 if !self.was_shown => Some(draw.of(&["applied", "not-applied"])),
                _ => None,
            },
        };
        let operation = self.scene.operation;
        let is_on_lanes = operation.args.contains(&"--parallel=4");
        if self.options.is_empty() || draw.below(3) == 0 {
            let lanes = draw.of(if is_on_lanes { &[2, 4, 9] } else { &[1, 3, 4] });
            self.options = vec![format!("--parallel={lanes}"), format!("--max-attempts={}", draw.of(&[1, 1, 2]))];
        }
        let args = self.scene.args().into_iter().filter(|arg| !arg.starts_with("--parallel"));
        let settle = self.settlement.filter(|_| operation.effect == Effect::Starts);
        let settle = settle.into_iter().flat_map(|settlement| ["--settle".to_owned(), settlement.to_owned()]);
        args.chain(self.options.clone()).chain(settle).collect()
    }

    /// Runs it, and reads what it says. Returns whether it was the last one.
    fn run(&mut self, met: &Mutex<Met>) -> bool {
        let line = self.line();
        let now = Now::draw(&mut self.draw, &self.scene, line.clone());
        let (trouble, place) = (now.trouble, Place::draw(&mut self.draw));
        self.lines.push(format!("{}: {trouble:?} at request {}, {place:?}", line.join(" "), now.at));
        *self.now.lock().unwrap() = Some(now);
        let run = || self.scene.run(place.around(command_of(&self.scene.world.url(), &line)));
        let output = match trouble {
            Trouble::KilledOnceSaved(times) => self.watched(times, run),
            _ => run(),
        };
        *self.now.lock().unwrap() = None;
        if trouble == Trouble::NameTaken {
            let _ = std::fs::remove_dir(self.scene.path(".position.tmp"));
        }
        self.read(&output, trouble, &place, met)
    }

    /// Kills what runs when its file has changed so many times.
    fn watched(&self, times: usize, run: impl FnOnce() -> Output) -> Output {
        let path = self.scene.path(if self.scene.operation.has("ARCHIVE") { "archive" } else { "position" });
        let state = || std::fs::metadata(&path).map(|file| (file.ino(), file.len())).ok();
        let has_ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut before, mut changes) = (state(), 0);
                while changes < times && !has_ended.load(Ordering::SeqCst) {
                    let now = state();
                    changes += usize::from(now != before);
                    before = now;
                    std::thread::yield_now();
                }
                let _ = changes == times && self.scene.server.signal(Signal::KILL);
            });
            // Also when it panics.
            let _ended = Ended(&has_ended);
            run()
        })
    }

    /// Remembers what was said, and checks what was promised. Returns whether it was the last line.
    fn read(&mut self, output: &Output, trouble: Trouble, place: &Place, met: &Mutex<Met>) -> bool {
        let (said, code) = (text(&output.stderr), output.status.code());
        let note = |what: &str| *met.lock().unwrap().entry(what.to_owned()).or_default() += 1;
        note(format!("{trouble:?}").split('(').next().unwrap());
        let surroundings = [
            ("no room", place.room.is_some()),
            ("unheard", place.unheard),
            ("unread", place.unread),
            ("no reader", place.no_reader),
            ("all right", trouble == Trouble::Nothing && code == Some(0)),
        ];
        surroundings.iter().filter(|(_, is)| *is).for_each(|(what, _)| note(what));
        self.scene.check();
        self.scene.check_archive(&mut self.archived);
        if !output.stdout.is_empty() && !matches!(code, None | Some(2)) {
            self.scene.check_counts(&report(output));
        }
        if code == Some(2) {
            note("refused");
            let sent = self.scene.server.asked.lock().unwrap().clone();
            assert!(sent.is_empty(), "refused, and sent {sent:?}: {said}");
        }
        if self.settlement.is_some() {
            // It has settled what was shown, or nothing.
            self.shown = None;
        }
        if said.contains("--settle is left out") {
            note("settlement left out");
        }
        if in_doubt(output) {
            note("shown");
            assert!(matches!(code, None | Some(3 | 130)), "{code:?}: {said}");
            self.shown = self.scene.settlement(&mut Settled::default(), output);
            self.was_shown = true;
        }
        if code == Some(0) && place.no_reader && self.scene.operation.effect == Effect::Deletes {
            // It has done all, and nobody wanted to know.
            assert_eq!(self.scene.done(), self.scene.matching(), "{said}");
            return true;
        }
        // One that is killed may have told its end before.
        let is_through = text(&output.stdout).contains("\"outcome\":\"complete\"");
        assert!(code != Some(0) || is_through || place.no_reader, "{said}");
        if is_through {
            if said.contains("/position by hand") || report(output)["checkpoint"].is_string() {
                note("removed by hand");
                std::fs::remove_file(self.scene.path("position")).unwrap();
                // The next command would replace it.
                let _ = std::fs::remove_file(self.scene.path(".position.ids"));
            }
            self.scene.check_complete(output, Some(&mut self.archived));
            if code == Some(0) {
                self.scene.check_litter();
            }
        }
        is_through
    }

    /// Nothing goes wrong any more. Returns that it was the last line.
    fn end(&mut self) -> bool {
        let output = self.scene.run(command_of(&self.scene.world.url(), &self.scene.args()));
        let output = if in_doubt(&output) { self.scene.go_on(&mut Settled::default(), output) } else { output };
        self.scene.check_end(&output, Some(&mut self.archived));
        true
    }
}

fn meet(
    server: &Server,
    now: &Mutex<Option<Now>>,
    operation: &Operation,
    moment: Moment,
    request: &Request<Vec<u8>>,
) -> Option<Break> {
    let (trouble, line, url, folder, broken) = {
        let mut now = now.lock().unwrap();
        let now = now.as_mut()?;
        if !now.any && request.method() != operation.meets {
            return None;
        }
        let arrives = usize::from(moment == Moment::Arrived);
        let number = server.met.fetch_add(arrives, Ordering::SeqCst) + arrives;
        let broken = now.breaks.iter().find(|(at, _)| *at == number && arrives == 1).map(|(_, broken)| *broken);
        let when = if let Trouble::Killed(when, _) = now.trouble { when } else { Moment::Arrived };
        let meets = number >= now.at && moment == when;
        let trouble = if meets { std::mem::replace(&mut now.trouble, Trouble::Nothing) } else { Trouble::Nothing };
        (trouble, now.line.clone(), now.url.clone(), now.folder.clone(), broken)
    };
    match trouble {
        Trouble::Killed(_, turns) => {
            (0..turns).for_each(|_| std::thread::yield_now());
            let _ = server.signal(Signal::KILL);
        }
        Trouble::Interrupted => drop(server.signal(Signal::INT)),
        Trouble::SecondTerminal => {
            let second: Output = second_terminal(&url, &line);
            let said = text(&second.stderr);
            if second.status.code() != Some(2) || !said.contains("is in use by another process") {
                server.fail(format!("two processes: {said}"));
            }
        }
        Trouble::LockRemoved => drop(std::fs::remove_file(folder.join(".position.lock"))),
        Trouble::NameTaken => drop(std::fs::create_dir(folder.join(".position.tmp"))),
        _ => {}
    }
    broken
}

fn second_terminal(url: &str, line: &[String]) -> Output {
    let mut command: Command = command_of(url, line);
    command.stderr(Stdio::piped()).output().unwrap()
}

fn people(name: &str) {
    let operation = OPERATIONS.iter().find(|operation| operation.name == name).unwrap();
    let people = std::env::var("DLQ_PEOPLE").map_or(10, |people| people.parse().unwrap());
    let met = Mutex::new(Met::new());
    let seeds: Vec<u32> = (0..people).collect();
    let live = |seed: u32| {
        let mut person = Person::new(operation, seed);
        let lives = AssertUnwindSafe(|| (0..LINES).any(|_| person.run(&met)) || person.end());
        if let Err(panic) = catch_unwind(lives) {
            eprintln!("{name}: person {seed}, lines:\n{}", person.lines.join("\n"));
            resume_unwind(panic);
        }
    };
    for some in seeds.chunks(AT_ONCE) {
        std::thread::scope(|scope| some.iter().for_each(|seed| drop(scope.spawn(|| live(*seed)))));
    }
    eprintln!("{name}: {people} people met {:?}", met.lock().unwrap());
}

/// Each that people run has its test, so that they run at once.
macro_rules! run_again {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { people($name); })*

        #[test]
        fn each_operation_has_people() {
            // What follows a cursor names no runs that somebody could look up.
            let has = |one: &&Operation| one.for_ten_kills > 0 && (one.effect != Effect::Starts || one.started_runs_stay);
            let named: Vec<&str> = OPERATIONS.iter().filter(has).map(|one| one.name).collect();
            assert_eq!(named, [$($name),*]);
        }
    };
}

run_again! {
    delete_by_filter: "delete by filter",
    delete_by_ids: "delete by ids",
    delete_by_a_refinement: "delete by a refinement",
    archived_delete: "archived delete",
    archived_delete_of_ids: "archived delete of ids",
    restart_on_lanes: "restart on lanes",
    resume_by_ids: "resume by ids",
}
