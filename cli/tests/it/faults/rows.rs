//! What goes wrong with the command: the faults of sockets that it shares with the transports, and those of servers, files and
//! processes, which are its own. A new fault is one entry.

use crate::common::closed_pipe;
use crate::operations::{Effect, Operation};
use crate::scene::{Scene, Server};
use crate::socket::{Fate, Fault, Limit, Place, Way, faults};
use crate::world::{Break, World};
use rustix::process::Signal;
use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::Stdio;
use upstash_dlq_core::Delivery;

/// What is promised, and checked against what the service really did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    NotSent,
    Unknown,
    /// The response is larger than is read: a listing goes on with fewer runs at once, and all else is as if it were lost.
    TooLarge,
    Complete,
    Refused,
    /// It stops before anything is changed.
    Unchanged,
    /// It stops, and counts exactly what was changed.
    Stopped,
    Interrupted,
    Killed,
}

/// What happens at the request that meets the fault.
pub(super) enum Strike {
    Nothing,
    Elsewhere(fn() -> Place),
    Break(Break),
    /// Something happens on this machine, and the request is served.
    Act(fn(&Blow<'_>)),
    /// The process gets a signal, and its request the response. Any other finds the server busy.
    Signal(Signal),
    /// The process gets signals until it has ended, and its request was carried out.
    Signals(Signal),
}

/// Where the files are.
pub(super) struct Blow<'a> {
    pub(super) archive: &'a Path,
    pub(super) position: &'a Path,
}

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) promise: Promise,
    pub(super) strike: Strike,
    pub(super) args: &'static [&'static str],
    /// Whether a delete has one lane: what others have on their way would be sent, or told, now and then.
    pub(super) on_one_lane: bool,
    /// What a shell does before it becomes the command.
    pub(super) shell: &'static str,
    pub(super) meets: fn(&Operation) -> bool,
    /// Before the command starts; what it returns is held until the command has ended.
    pub(super) prepare: fn(&Scene) -> Option<Box<dyn Any>>,
    pub(super) stdout: fn() -> Stdio,
    /// Whether the operation can go on to its end afterwards, and is checked there.
    pub(super) goes_on: bool,
}

const ONCE: &[&str] = &["--max-attempts=1"];

const ROW: Row = Row {
    name: "",
    promise: Promise::Unknown,
    strike: Strike::Nothing,
    args: ONCE,
    on_one_lane: false,
    shell: "",
    meets: |_| true,
    prepare: |_| None,
    stdout: Stdio::piped,
    goes_on: true,
};

/// Address space for two bodies of the largest size, and for the command itself.
const LITTLE_MEMORY: &str = "ulimit -v 262144";

/// Whether there is a body, and more of it than is read.
fn is_too_large(fault: &Fault) -> bool {
    fault.name.contains("4 GiB") && !fault.name.contains("headers")
}

/// Those that anybody can meet, as the command meets them.
fn of_sockets() -> impl Iterator<Item = Row> {
    // Nobody can tell the command whom to trust, or how long connecting may take.
    let ours = faults().into_iter().filter(|fault| !fault.trusting && fault.limit != Limit::Connect);
    ours.map(|fault| Row {
        name: fault.name,
        promise: match fault.fate {
            Fate::Failed(Delivery::Unknown) if is_too_large(&fault) => Promise::TooLarge,
            Fate::Failed(Delivery::NotSent) => Promise::NotSent,
            // The command cannot read the response, which is as good as none.
            Fate::Failed(Delivery::Unknown) | Fate::Answered => Promise::Unknown,
        },
        strike: match fault.way {
            Way::Elsewhere(place) => Strike::Elsewhere(place),
            Way::Service(broken) => Strike::Break(broken),
        },
        args: match fault.limit {
            Limit::None if is_too_large(&fault) => &["--max-attempts=1", "--max-body=16MiB"],
            Limit::None => ONCE,
            Limit::Connect | Limit::Whole => &["--max-attempts=1", "--timeout=1s"],
        },
        shell: if fault.name.starts_with("4 GiB") { LITTLE_MEMORY } else { "" },
        ..ROW
    })
}

const fn carried_out(respond: fn(&World, &mut TcpStream, &[u8])) -> Strike {
    Strike::Break(Break { carried_out: true, reset: false, respond })
}

/// The end of the connection comes with the response, so that the next request finds it.
pub(super) const IDLE: Break = Break {
    carried_out: true,
    reset: false,
    respond: |_, stream, right| {
        rustix::net::sockopt::set_tcp_cork(&*stream, true).unwrap();
        let _ = stream.write_all(right);
        let _ = stream.shutdown(Shutdown::Write);
    },
};

pub(super) const ENDS: &str = "the server ends midway, once";
pub(super) const RESTARTS: &str = "the server restarts midway (starts are not repeated)";

fn deletes_or_reads(operation: &Operation) -> bool {
    operation.effect != Effect::Starts
}

fn has_archive(operation: &Operation) -> bool {
    operation.has("ARCHIVE") && operation.meets == "DELETE"
}

/// What is given by ids is stored a hundred at a time, and these are then deleted with several requests.
fn archives_pages(operation: &Operation) -> bool {
    has_archive(operation) && !operation.has("IDS")
}

fn has_position(operation: &Operation) -> bool {
    operation.has("POSITION")
}

/// Those with more requests to come.
fn is_long(operation: &Operation) -> bool {
    !matches!(operation.name, "get" | "delete by ids")
}

/// How many requests are in flight when the first of them arrives is a matter of chance.
fn has_lanes(operation: &Operation) -> bool {
    operation.args.contains(&"--parallel=4")
}

/// In front of a server that comes and goes.
fn of_servers() -> Vec<Row> {
    let restarts = || carried_out(|world, _, _| world.down());
    vec![
        Row {
            name: "an idle connection that has ended",
            promise: Promise::Complete,
            strike: Strike::Break(IDLE),
            ..ROW
        },
        Row { name: ENDS, strike: restarts(), on_one_lane: true, meets: |one| !has_lanes(one), ..ROW },
        Row {
            name: "the server ends midway, and nobody listens",
            strike: restarts(),
            on_one_lane: true,
            args: &["--max-attempts=2"],
            meets: deletes_or_reads,
            ..ROW
        },
        Row {
            name: "the server restarts midway",
            promise: Promise::Complete,
            strike: carried_out(|world, _, _| world.restart()),
            on_one_lane: true,
            args: &["--max-attempts=2"],
            meets: deletes_or_reads,
            ..ROW
        },
        Row {
            name: RESTARTS,
            strike: carried_out(|world, _, _| world.restart()),
            on_one_lane: true,
            args: &["--max-attempts=2"],
            meets: |operation| operation.effect == Effect::Starts && !has_lanes(operation),
            ..ROW
        },
    ]
}

fn of_signals() -> Vec<Row> {
    let one = |name, signal| Row {
        name,
        promise: Promise::Interrupted,
        strike: Strike::Signal(signal),
        args: &[],
        meets: is_long,
        ..ROW
    };
    let many = |name, promise, signal| Row { name, promise, strike: Strike::Signals(signal), ..ROW };
    vec![
        one("SIGINT", Signal::INT),
        one("SIGTERM", Signal::TERM),
        one("SIGHUP", Signal::HUP),
        Row {
            // A second of the command's own passes before the second one counts.
            meets: |operation| matches!(operation.name, "delete by filter" | "resume by ids" | "get"),
            ..many("SIGINT again and again", Promise::Killed, Signal::INT)
        },
        many("SIGKILL", Promise::Killed, Signal::KILL),
    ]
}

/// A lock that another process could hold.
fn locked(path: &Path) -> Option<Box<dyn Any>> {
    let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    Some(Box::new(Locked(file)))
}

struct Locked(File);

/// A process that another thread is just starting may still have the file, up to its exec: to close it is not enough.
impl Drop for Locked {
    fn drop(&mut self) {
        rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock).unwrap();
    }
}

fn beside(position: &Path, suffix: &str) -> std::path::PathBuf {
    position.with_file_name(format!(".{}{suffix}", position.file_name().unwrap().to_str().unwrap()))
}

fn of_files() -> Vec<Row> {
    // In units of 512 bytes. The signal that comes with it is ignored, as a full disk sends none. The counts of a measurement of
    // coverage would find no room either, and be told on standard error.
    const NO_ROOM: &str = "export LLVM_PROFILE_FILE=/dev/null; trap '' XFSZ; ulimit -f 0";
    const LITTLE_ROOM: &str = "export LLVM_PROFILE_FILE=/dev/null; trap '' XFSZ; ulimit -f 24";
    let archive = |name, act: fn(&Blow<'_>)| Row {
        name,
        promise: Promise::Stopped,
        strike: Strike::Act(act),
        on_one_lane: true,
        meets: archives_pages,
        goes_on: false,
        ..ROW
    };
    vec![
        Row {
            name: "archive: no room on the disk",
            promise: Promise::Unchanged,
            shell: NO_ROOM,
            meets: has_archive,
            ..ROW
        },
        Row {
            name: "archive: the disk fills up",
            promise: Promise::Stopped,
            shell: LITTLE_ROOM,
            on_one_lane: true,
            meets: archives_pages,
            ..ROW
        },
        Row {
            name: "archive: locked by another process",
            promise: Promise::Refused,
            prepare: |scene| locked(&scene.path("archive")),
            meets: has_archive,
            ..ROW
        },
        archive("archive: unlinked midway", |blow| fs::remove_file(blow.archive).unwrap()),
        archive("archive: renamed midway", |blow| fs::rename(blow.archive, blow.archive.with_extension("o")).unwrap()),
        archive("archive: replaced midway", |blow| {
            fs::copy(blow.archive, blow.archive.with_extension("c")).unwrap();
            fs::rename(blow.archive.with_extension("c"), blow.archive).unwrap();
        }),
        archive("archive: truncated midway", |blow| {
            OpenOptions::new().write(true).open(blow.archive).unwrap().set_len(0).unwrap();
        }),
        archive("archive: written to midway", |blow| {
            OpenOptions::new().append(true).open(blow.archive).unwrap().write_all(b"x\n").unwrap();
        }),
        Row {
            name: "checkpoint: no room on the disk",
            promise: Promise::Unchanged,
            shell: NO_ROOM,
            meets: has_position,
            ..ROW
        },
        Row {
            name: "checkpoint: locked by another process",
            promise: Promise::Refused,
            prepare: |scene| locked(&beside(&scene.path("position"), ".lock")),
            meets: has_position,
            ..ROW
        },
        Row {
            name: "checkpoint: unlinked midway",
            promise: Promise::Complete,
            on_one_lane: true,
            strike: Strike::Act(|blow| fs::remove_file(blow.position).unwrap()),
            meets: has_position,
            ..ROW
        },
        Row {
            name: "checkpoint: its lock unlinked midway",
            promise: Promise::Stopped,
            on_one_lane: true,
            strike: Strike::Act(|blow| fs::remove_file(beside(blow.position, ".lock")).unwrap()),
            meets: |operation| has_position(operation) && is_long(operation) && !has_lanes(operation),
            goes_on: false,
            ..ROW
        },
        Row {
            name: "checkpoint: a folder in its place midway",
            promise: Promise::Stopped,
            on_one_lane: true,
            strike: Strike::Act(|blow| {
                fs::remove_file(blow.position).unwrap();
                fs::create_dir(blow.position).unwrap();
            }),
            meets: |operation| has_position(operation) && is_long(operation) && !has_lanes(operation),
            goes_on: false,
            ..ROW
        },
        Row {
            name: "standard output: no room on the disk",
            promise: Promise::Stopped,
            stdout: || OpenOptions::new().write(true).open("/dev/full").unwrap().into(),
            ..ROW
        },
        Row {
            name: "standard output: open for reading only",
            promise: Promise::Stopped,
            stdout: || File::open("/dev/zero").unwrap().into(),
            ..ROW
        },
        Row {
            name: "standard output: the reader has gone",
            promise: Promise::Complete,
            stdout: closed_pipe,
            meets: |operation| operation.effect != Effect::Starts,
            ..ROW
        },
    ]
}

pub(super) fn rows() -> Vec<Row> {
    of_sockets().chain(of_servers()).chain(of_signals()).chain(of_files()).collect()
}

/// Sends the signal until the process has ended.
pub(super) fn signals(server: &Server, name: Signal) {
    let pid = server.pid.lock().unwrap().unwrap();
    // Ended, and not yet waited for; or even that.
    let alive = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while alive() {
        server.signal(name);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
