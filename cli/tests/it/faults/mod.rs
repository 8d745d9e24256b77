//! Sockets, files and processes: each fault meets each operation of the real command, and both transports. What is promised is
//! checked against what the service really did; how the command ended and what it said is compared with `docs/FAULTS.md`, which
//! is made by these tests.
//!
//! `DLQ_BLESS=1` writes the table anew. `DLQ_DEEP=1` also lets those of sockets and servers meet the second and the third request.
#![cfg(target_os = "linux")]

mod rows;
mod transports;

use crate::common::text;
use crate::operations::{Effect, OPERATIONS, Operation};
use crate::scene::{Archived, Scene, Settled, command_of, in_doubt, in_shell, report};
use crate::socket::{Fault, Limit, Place, Way, faults};
use crate::world::{Break, Moment};
use rows::{Blow, IDLE, Promise, Row, Strike};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use upstash_dlq_core::Delivery;
use upstash_dlq_emulator::LOCAL_TOKEN;

/// More than a page of each kind, and whole pages.
const MATCHING: usize = 150;

const AT_ONCE: usize = 16;

/// The archive as it was before somebody touched it.
const STRUCK: &str = "struck";

/// No request is served, for longer than an interrupt takes.
const BUSY: Break = Break {
    carried_out: false,
    reset: false,
    respond: |_, stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 429 Busy\r\nretry-after: 10\r\ncontent-length: 0\r\n\r\n");
    },
};

/// One cell of the table.
#[derive(PartialEq, Eq)]
struct Seen {
    promise: &'static str,
    exit: String,
    said: String,
}

/// What the fault comes to for this operation.
fn promise_for(row: &Row, operation: &Operation) -> Promise {
    match row.promise {
        Promise::TooLarge if operation.meets == "GET" && operation.name != "get" => Promise::Complete,
        Promise::TooLarge => Promise::Unknown,
        promise => promise,
    }
}

fn promised(promise: Promise, operation: &Operation) -> (&'static str, &'static [Option<i32>]) {
    let harmless = operation.meets == "GET";
    match (promise, operation.effect) {
        (Promise::NotSent, _) => ("not sent: nothing has changed", &[Some(1)]),
        (Promise::Unknown, _) if harmless => ("only read: nothing has changed", &[Some(1)]),
        (Promise::Unknown, Effect::Starts) => ("unknown: in doubt, not repeated", &[Some(3)]),
        (Promise::Unknown, _) => ("unknown: the count is a lower bound", &[Some(3)]),
        (Promise::Complete | Promise::TooLarge, _) => ("complete", &[Some(0)]),
        (Promise::Refused, _) => ("refused: nothing was sent", &[Some(2)]),
        (Promise::Unchanged, _) => ("stopped: nothing has changed", &[Some(1)]),
        (Promise::Stopped, Effect::Reads) => ("stopped: nothing has changed", &[Some(1)]),
        (Promise::Stopped, _) => ("stopped: the count is exact", &[Some(3)]),
        (Promise::Interrupted, Effect::Reads) => ("stopped: nothing has changed", &[Some(130)]),
        (Promise::Interrupted, _) => ("stopped: the count is exact", &[Some(130)]),
        (Promise::Killed, Effect::Reads) => ("ended: nothing has changed", &[None, Some(130)]),
        (Promise::Killed, _) => ("ended: it goes on from its file", &[None, Some(130)]),
    }
}

fn scene(row: &'static Row, operation: &'static Operation, at: usize) -> Scene {
    let struck = AtomicBool::new(false);
    let files = std::sync::OnceLock::new();
    let (paths, strike) = (std::sync::Arc::new(files), &row.strike);
    let of_server = std::sync::Arc::clone(&paths);
    let scene = Scene::new(operation, MATCHING, move |server, moment, request| {
        if request.method() != operation.meets {
            return None;
        }
        if moment == Moment::CarriedOut {
            if let (Strike::Signals(name), false) = (strike, struck.swap(true, Ordering::SeqCst)) {
                rows::signals(server, *name);
            }
        }
        if moment != Moment::Arrived {
            return None;
        }
        let number = server.met.fetch_add(1, Ordering::SeqCst) + 1;
        match strike {
            Strike::Signal(_) if number > at => return Some(BUSY),
            _ if number != at => return None,
            Strike::Nothing | Strike::Elsewhere(_) | Strike::Signals(_) => {}
            Strike::Break(broken) => return Some(*broken),
            Strike::Signal(name) => drop(server.signal(*name)),
            Strike::Act(act) => {
                let (archive, position): &(std::path::PathBuf, std::path::PathBuf) = of_server.get().unwrap();
                if archive.exists() {
                    std::fs::copy(archive, archive.with_extension(STRUCK)).unwrap();
                }
                act(&Blow { archive, position });
            }
        }
        None
    });
    paths.set((scene.path("archive"), scene.path("position"))).unwrap();
    scene
}

/// The command as this row wants it.
fn begin(row: &Row, scene: &Scene, place: Option<&Place>) -> Command {
    let mut args: Vec<String> = scene.args().into_iter().chain(row.args.iter().map(|arg| (*arg).to_owned())).collect();
    if row.on_one_lane && scene.operation.effect == Effect::Deletes {
        args.push("--parallel=1".to_owned());
    }
    let url = place.map_or_else(|| scene.world.url(), |place| place.url.clone());
    let mut command = in_shell(row.shell, command_of(&url, &args));
    command.envs(place.and_then(|place| place.proxy.as_ref()).map(|proxy| ("HTTPS_PROXY", proxy)));
    command.stdout((row.stdout)());
    command
}

fn meet(row: &'static Row, operation: &'static Operation, at: usize) -> Seen {
    let scene = scene(row, operation, at);
    let place = match row.strike {
        Strike::Elsewhere(place) => Some(place()),
        _ => None,
    };
    let held = (row.prepare)(&scene);
    scene.server.armed.store(true, Ordering::SeqCst);
    let output = scene.run(begin(row, &scene, place.as_ref()));
    scene.server.armed.store(false, Ordering::SeqCst);
    drop(held);
    let said = text(&output.stderr);
    let (promise, exits) = promised(promise_for(row, operation), operation);
    let code = output.status.code();
    assert!(exits.contains(&code), "exit {code:?}, not {exits:?}: {said}");
    check(row, &scene, &output, at);
    let exit = code.map_or_else(|| "killed".to_owned(), |code| code.to_string());
    let seen = Seen { promise, exit, said: mask(&said, &scene) };
    go_on(row, &scene, output);
    seen
}

/// What was promised, in the service's own numbers.
fn check(row: &Row, scene: &Scene, output: &Output, at: usize) {
    let (said, operation) = (text(&output.stderr), scene.operation);
    let promise = promise_for(row, operation);
    scene.check();
    check_secrecy(scene, output);
    assert!(scene.world.poured() < 64 << 20, "{} bytes were taken", scene.world.poured());
    let report = (!output.stdout.is_empty() && operation.effect != Effect::Reads).then(|| report(output));
    let unconfirmed = report.as_ref().and_then(|report| report["unconfirmed"].as_u64());
    report.iter().for_each(|report| scene.check_counts(report));
    let unchanged = matches!(promise, Promise::NotSent | Promise::Refused | Promise::Unchanged)
        || operation.effect == Effect::Reads
        || (promise == Promise::Unknown && operation.meets == "GET");
    assert!(!unchanged || scene.done() == 0, "{} runs were acted on: {said}", scene.done());
    match promise {
        Promise::NotSent | Promise::Refused => assert!(scene.server.asked.lock().unwrap().is_empty(), "{said}"),
        Promise::Unknown if operation.effect == Effect::Starts => {
            assert!(in_doubt(output) && unconfirmed >= Some(1), "nobody is told what to look for: {said}");
            let mut asked = scene.server.asked.lock().unwrap().clone();
            asked.sort_unstable();
            assert!(asked.windows(2).all(|two| two[0] != two[1]), "it was sent again: {asked:?}");
        }
        Promise::Stopped if matches!(row.strike, Strike::Act(_)) => {
            assert_eq!(scene.server.met.load(Ordering::SeqCst), at, "something was sent afterwards");
        }
        Promise::Stopped if operation.effect == Effect::Starts && !operation.started_runs_stay => {
            assert!(scene.done() < scene.matching(), "it went on to the end");
        }
        Promise::Unknown if operation.meets == "DELETE" => assert!(unconfirmed >= Some(1), "{report:?}: {said}"),
        _ => {}
    }
    let exact = matches!(promise, Promise::NotSent | Promise::Unchanged | Promise::Stopped | Promise::Interrupted);
    assert!(!exact || unconfirmed.is_none_or(|requests| requests == 0), "{report:?}: {said}");
    assert!(!exact || !in_doubt(output), "nothing is in doubt: {said}");
}

/// The token is in nothing that the command says or leaves.
fn check_secrecy(scene: &Scene, output: &Output) {
    let says = |what: &str, bytes: &[u8]| {
        assert!(!text(bytes).contains(LOCAL_TOKEN), "{what} has the token");
    };
    says("standard output", &output.stdout);
    says("standard error", &output.stderr);
    for entry in std::fs::read_dir(scene.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            says(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}

/// When what was wrong has passed, the same command comes to its end, with all that was promised.
fn go_on(row: &Row, scene: &Scene, mut output: Output) {
    let mut archived = Archived::default();
    let before_the_blow = scene.path("archive").with_extension(STRUCK);
    if before_the_blow.exists() {
        // Nothing was sent after the blow, so what was deleted was stored before.
        scene.check_kept(&mut Archived::default(), &before_the_blow);
    }
    // A file of another address is not this one's.
    if !row.goes_on || matches!(row.strike, Strike::Elsewhere(_)) {
        return;
    }
    scene.check_archive(&mut archived);
    scene.world.up();
    // One whose end could not be told has come to it.
    let through = output.stdout.is_empty() && scene.done() == scene.matching();
    if output.status.code() != Some(0) && scene.operation.effect != Effect::Reads && !through {
        output = scene.go_on(&mut Settled::default(), output);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    if output.status.code() == Some(0) && !output.stdout.is_empty() {
        scene.check_end(&output, Some(&mut archived));
    }
}

/// What a reader reads, without what is different each time.
fn mask(said: &str, scene: &Scene) -> String {
    let told = |line: &&str| {
        // What is acted on, runs that were started, retries, where the position is, and what an interrupt found in flight.
        let other =
            ["All runs ", "Runs ", "{", "position saved in ", "Finishing "].iter().any(|start| line.starts_with(start));
        !other && !line.contains("; trying again in ")
    };
    let lines = said.lines().filter(told).map(|line| line.strip_prefix("error: ").unwrap_or(line));
    let shown = lines.collect::<Vec<_>>().join("<br>");
    let shown = shown.replace(scene.folder().to_str().unwrap(), "FOLDER").replace(&"a".repeat(64), "aaa…");
    let mut masked = String::new();
    let mut rest = &*shown;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        masked.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(|c: char| !(c.is_ascii_digit() || "-:.TZ".contains(c))).unwrap_or(rest.len());
        let word = rest[..end].trim_end_matches(['.', ':', '-']);
        let name = match word {
            _ if word.starts_with("127.") => "HOST",
            _ if word.ends_with('Z') => "TIME",
            _ if word.len() > 13 && word.contains('-') => "ID",
            _ if word.len() == 13 => "TIME",
            _ => word,
        };
        masked.push_str(name);
        rest = &rest[word.len()..];
    }
    masked.push_str(rest);
    masked.replace('|', "\\|")
}

/// Does it for each, several at once: most of the time it waits.
fn each<T: Sync, R: Send>(all: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some(one) = { all.get(next.fetch_add(1, Ordering::SeqCst)) } {
            let at = (std::ptr::from_ref(one).addr() - all.as_ptr().addr()) / size_of::<T>().max(1);
            let result = act(one);
            done.lock().unwrap().push((at, result));
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What went wrong is said with its place.
fn named<R>(fault: &str, who: &str, wrong: &Mutex<Vec<String>>, act: impl FnOnce() -> R) -> Option<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(act))
        .map_err(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            wrong.lock().unwrap().push(format!("{fault}, {who}: {}", words.unwrap_or_default()));
        })
        .ok()
}

const HEAD: &str = "# What goes wrong, and what then holds

<!-- generated by: DLQ_BLESS=1 cargo test -p upstash-dlq faults -->

The tests that make this table apply each fault to the first request of each operation of the command that can meet it. They
also apply the faults of connections to a request that starts runs over each transport. A fault after a successful TLS handshake
is tried on the transports only, because the command does not trust the certificate of a test. *No room on the disk* is a limit
of the file's size, because a test can set that without special rights. The simulation has disks that are full. The tests check
every promise against what the service really did. Then they go on to the end: what was in doubt is settled as it really
was, then everything that matches was acted on once, and nothing else. They do not go on where the fault was elsewhere (a name, a
proxy, a certificate), and where somebody has taken or changed the archive or the lock. Where the order of requests is a matter of
chance, as with many lanes, a fault that has to come at a certain request is not tried.

The last column is standard error, without the lines on what the command acts on, on requests that are being finished, and on where
the position is (of a transport: its error). HOST, FOLDER, ID and TIME stand for what is different each time.

| fault | who | promise | exit | standard error |
|---|---|---|--:|---|
";

#[test]
fn each_fault_keeps_its_promise_and_is_told_as_the_table_says() {
    let rows: &'static [Row] = Vec::leak(rows::rows());
    let faults: Vec<Fault> = faults();
    let idle = Fault {
        name: "an idle connection that has ended",
        fate: crate::socket::Fate::Answered,
        limit: Limit::None,
        trusting: false,
        way: Way::Service(IDLE),
    };
    let of_server = |name, respond| Fault {
        name,
        fate: crate::socket::Fate::Failed(Delivery::Unknown),
        limit: Limit::None,
        trusting: false,
        way: Way::Service(Break { carried_out: true, reset: false, respond }),
    };
    let ends = of_server(rows::ENDS, |world, _, _| world.down());
    let restarts = of_server(rows::RESTARTS, |world, _, _| world.restart());
    let faults: Vec<&Fault> = faults.iter().chain([&idle, &ends, &restarts]).collect();
    let wrong = Mutex::new(Vec::new());

    let sockets: Vec<_> =
        faults.iter().flat_map(|fault| transports::TRANSPORTS.map(|transport| (*fault, transport))).collect();
    let of_transports = each(&sockets, |(fault, (who, connect))| {
        let seen = named(fault.name, who, &wrong, || transports::meet(fault, *connect));
        (fault.name, *who, seen.map(|(promise, said)| Seen { promise, exit: "–".into(), said: mask_sentence(&said) }))
    });
    let cells: Vec<_> = rows
        .iter()
        .flat_map(|row| OPERATIONS.iter().filter(|operation| (row.meets)(operation)).map(move |one| (row, one)))
        .collect();
    let of_command = each(&cells, |(row, operation)| {
        let seen = named(row.name, operation.name, &wrong, || meet(row, operation, 1));
        (row.name, operation.name, seen)
    });
    if std::env::var_os("DLQ_DEEP").is_some() {
        let later = |operation: &&Operation| {
            !matches!(operation.name, "get" | "list" | "delete by ids" | "archived delete (listing)")
        };
        let deep: Vec<_> = cells
            .iter()
            .filter(|(row, one)| later(one) && row.shell.is_empty() && matches!(row.strike, Strike::Break(_)))
            .flat_map(|cell| [(cell, 2), (cell, 3)])
            .collect();
        each(&deep, |((row, operation), at)| {
            named(row.name, &format!("{}, request {at}", operation.name), &wrong, || meet(row, operation, *at));
        });
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} promises are broken:\n{}", wrong.len(), wrong.join("\n"));

    let mut names: Vec<&str> = faults.iter().map(|fault| fault.name).collect();
    names.extend(rows.iter().map(|row| row.name).filter(|name| !faults.iter().any(|fault| fault.name == *name)));
    let all: Vec<_> = of_command.into_iter().chain(of_transports).collect();
    compare(&table(&names, &all));
}

/// What follows is the same for many faults, and stands below the table.
const IN_DOUBT: &str = "; it is unknown whether ";

/// Who sees the same stands in one line.
fn table(names: &[&str], all: &[(&str, &str, Option<Seen>)]) -> String {
    let mut table = HEAD.to_owned();
    let mut tails: Vec<&str> = Vec::new();
    for name in names {
        let mut groups: Vec<(Vec<&str>, &Seen)> = Vec::new();
        for (_, who, seen) in all.iter().filter(|(fault, ..)| fault == name) {
            let Some(seen) = seen else { continue };
            match groups.iter_mut().find(|(_, same)| *same == seen) {
                Some((group, _)) => group.push(who),
                None => groups.push((vec![who], seen)),
            }
        }
        let mut first = *name;
        for (who, Seen { promise, exit, said }) in groups {
            let (said, tail) = said.find(IN_DOUBT).map_or((&**said, ""), |at| said.split_at(at));
            write!(table, "| {first} | {} | {promise} | {exit} | {said}", who.join(", ")).unwrap();
            if !tail.is_empty() {
                let number = tails.iter().position(|known| *known == tail).unwrap_or(tails.len());
                tails.extend((number == tails.len()).then_some(tail));
                write!(table, "; … ({})", number + 1).unwrap();
            }
            table.push_str(" |\n");
            first = "";
        }
    }
    for (at, tail) in tails.iter().enumerate() {
        writeln!(table, "\n({}) …{tail}", at + 1).unwrap();
    }
    table
}

fn mask_sentence(said: &str) -> String {
    said.replace(&"a".repeat(64), "aaa…").split(' ').map(mask_host).collect::<Vec<_>>().join(" ")
}

fn mask_host(word: &str) -> &str {
    if word.trim_start_matches('(').starts_with("127.") { "HOST" } else { word }
}

fn compare(table: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FAULTS.md");
    if std::env::var_os("DLQ_BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
        return std::fs::write(path, table).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    // The name of a fault stands in its first line only, and lines of two faults may be alike.
    let lines = |text: &str| {
        let mut fault = "";
        let mut named = Vec::new();
        for line in text.lines() {
            if let Some(name) =
                line.strip_prefix("| ").and_then(|rest| rest.split(" |").next()).filter(|name| !name.is_empty())
            {
                fault = name;
            }
            named.push(format!("{fault}: {line}"));
        }
        named
    };
    let (before, now) = (lines(&committed), lines(table));
    let differ = |one: &[String], other: &[String]| {
        one.iter().filter(|line| !other.contains(line)).take(20).cloned().collect::<Vec<_>>().join("\n")
    };
    assert!(
        committed == table,
        "docs/FAULTS.md is not what was seen. It says\n{}\nand this was seen (DLQ_BLESS=1 writes it):\n{}",
        differ(&before, &now),
        differ(&now, &before),
    );
}
