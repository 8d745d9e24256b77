//! Messages of any size, against a server that makes them while it sends: what is listed, counted and archived, and what that
//! costs in memory.

use crate::common::{command, json, text};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

const MB: usize = 1_000_000;
const FIRST: i64 = 1_764_000_000_000;
/// The time between two runs, in milliseconds.
const APART: i64 = 1_000;
static FILL: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// A queue with a run for each size.
#[derive(Clone)]
struct Sized {
    sizes: Arc<Vec<usize>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    deleted: BTreeSet<usize>,
    /// The process whose memory is looked at with each request, and the most that it has held, in bytes.
    pid: Option<u32>,
    peak: usize,
}

/// What comes before and after the fill of a message.
fn around(n: usize) -> (String, &'static str) {
    let at = FIRST + i64::try_from(n).unwrap() * APART;
    (format!(r#"{{"dlqId":"r{n}","createdAt":{at},"workflowCreatedAt":{at},"label":"l","body":""#), r#""}"#)
}

fn fill(mut to: impl Write, mut len: usize) -> std::io::Result<()> {
    while len > 0 {
        let part = len.min(FILL.len());
        to.write_all(&FILL[..part])?;
        len -= part;
    }
    Ok(())
}

impl Sized {
    fn start(sizes: Vec<usize>) -> (Self, String) {
        let queue = Self { sizes: Arc::new(sizes), state: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = queue.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = served.clone();
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while served.serve(&stream, &mut reader).is_some() {}
                });
            }
        });
        (queue, url)
    }

    fn serve(&self, stream: &TcpStream, reader: &mut impl BufRead) -> Option<()> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
        }
        let mut words = head.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let mut state = self.state.lock().unwrap();
        state.look();
        if method == "DELETE" {
            let before = state.deleted.len();
            state.deleted.extend(pairs.iter().filter(|(name, _)| name == "dlqIds").map(|(_, id)| number(id)));
            return respond(stream, 200, &format!("{{\"deleted\":{}}}", state.deleted.len() - before), &[], "");
        }
        let all = (0..self.sizes.len()).filter(|n| !state.deleted.contains(n));
        if let Some(id) = path.strip_prefix("/v2/workflows/dlq/") {
            let one: Vec<(usize, usize)> = all.filter(|n| *n == number(id)).map(|n| (n, self.sizes[n])).collect();
            return match one.is_empty() {
                true => respond(stream, 404, "{\"error\":\"not found\"}", &[], ""),
                false => respond(stream, 200, "", &one, ""),
            };
        }
        let time = |name: &str, open: i64| value(name).map_or(open, |at| at.parse().unwrap());
        let (from, to) = (time("fromDate", i64::MIN), time("toDate", i64::MAX));
        let after = value("cursor").map(number);
        let all = all.filter(|n| after.is_none_or(|after| *n > after));
        let all = all.filter(|n| (from..=to).contains(&(FIRST + i64::try_from(*n).unwrap() * APART)));
        let count: usize = value("count")?.parse().ok()?;
        let page: Vec<(usize, usize)> = all.take(count).map(|n| (n, self.sizes[n])).collect();
        drop(state);
        let cursor = page.last().filter(|_| page.len() == count).map(|(n, _)| format!("r{n}")).unwrap_or_default();
        respond(stream, 200, "{\"messages\":[", &page, &format!("],\"cursor\":\"{cursor}\"}}"))
    }

    /// The output of the command, and the most memory that it has held, in bytes.
    fn run(&self, url: &str, args: &[&str]) -> (Output, usize) {
        let mut child = command(url).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        *self.state.lock().unwrap() = State { pid: Some(child.id()), ..State::default() };
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let read = std::thread::spawn(move || {
            let mut text = Vec::new();
            err.read_to_end(&mut text).unwrap();
            text
        });
        let mut stdout = Vec::new();
        // Its memory is looked at again when it prints.
        let mut part = vec![0; 1 << 20];
        loop {
            let some = out.read(&mut part).unwrap();
            self.state.lock().unwrap().look();
            if some == 0 {
                break;
            }
            stdout.extend_from_slice(&part[..some]);
        }
        let output = Output { status: child.wait().unwrap(), stdout, stderr: read.join().unwrap() };
        (output, self.state.lock().unwrap().peak)
    }

    /// Whether the text is each of the messages, one a line, and nothing else.
    fn is_all_of(&self, text: &[u8]) -> bool {
        let mut lines = text.split(|byte| *byte == b'\n');
        let each = (0..self.sizes.len()).all(|n| self.is(n, lines.next().unwrap_or_default()));
        each && lines.next() == Some(&[][..]) && lines.next().is_none()
    }

    /// The pages of several lanes come in any order.
    fn is_all_in_any_order(&self, text: &[u8]) -> bool {
        let Some(text) = text.strip_suffix(b"\n") else { return false };
        let mut left: Vec<usize> = (0..self.sizes.len()).collect();
        text.split(|byte| *byte == b'\n').all(|line| {
            let at = left.iter().position(|n| self.is(*n, line));
            at.map(|at| left.swap_remove(at)).is_some()
        }) && left.is_empty()
    }

    /// Whether the line is this message, byte for byte.
    fn is(&self, n: usize, line: &[u8]) -> bool {
        let (before, after) = around(n);
        let size = self.sizes[n];
        line.len() == before.len() + size + after.len()
            && line.starts_with(before.as_bytes())
            && line.ends_with(after.as_bytes())
            && line[before.len()..before.len() + size].chunks(FILL.len()).all(|part| part == &FILL[..part.len()])
    }
}

impl State {
    fn look(&mut self) {
        let status = self.pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let line = status.as_ref().and_then(|status| status.lines().find(|line| line.starts_with("VmHWM:")));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
        self.peak = self.peak.max(kib.unwrap_or(0) * 1024);
    }
}

fn number(id: &str) -> usize {
    id[1..].parse().unwrap()
}

/// Writes the head and `start`, the messages, and `end`. `None` if the other side is gone.
fn respond(mut stream: &TcpStream, status: u16, start: &str, page: &[(usize, usize)], end: &str) -> Option<()> {
    let messages = page.iter().map(|(n, size)| around(*n).0.len() + size + 2).sum::<usize>();
    let length = start.len() + messages + page.len().saturating_sub(1) + end.len();
    let mut text = format!("HTTP/1.1 {status} .\r\ncontent-length: {length}\r\n\r\n{start}");
    for (at, (n, size)) in page.iter().enumerate() {
        let (before, after) = around(*n);
        write!(text, "{}{before}", if at > 0 { "," } else { "" }).unwrap();
        stream.write_all(text.as_bytes()).ok()?;
        fill(stream, *size).ok()?;
        after.clone_into(&mut text);
    }
    text.push_str(end);
    stream.write_all(text.as_bytes()).ok()
}

/// Each command that reads messages, and what it costs at most. An archive is what the server has sent, byte for byte.
fn reads_all(sizes: Vec<usize>, bound: &[&str], most: usize, commands: &[&str]) {
    let (total, folder) = (sizes.len(), tempfile::tempdir().unwrap());
    let archive = folder.path().join("archive");
    let (queue, url) = Sized::start(sizes);
    for name in commands {
        let archived = ["delete", "--to=2025-12-31", "--yes", "--json", "--archive", archive.to_str().unwrap()];
        let args: &[&str] = match *name {
            "list --json" => &["list", "--json"],
            "list" => &["list"],
            "stats" => &["stats", "--json"],
            "stats on lanes" => &["stats", "--json", "--parallel=16"],
            "dry run" => &["delete", "--all", "--dry-run", "--json"],
            _ => &archived,
        };
        let (output, peak) = queue.run(&url, &[args, bound].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{name}: {said}");
        println!("{name}: {} MB for {total} messages", peak / MB);
        assert!(peak < most, "{name}: {} MB", peak / MB);
        match *name {
            "list --json" => assert!(queue.is_all_of(&output.stdout), "{name}"),
            "list" => assert_eq!(text(&output.stdout).lines().count(), total + 1),
            "stats" | "stats on lanes" => assert_eq!(json(&output)["total"], total),
            "dry run" => assert_eq!(json(&output)["matching"], total),
            _ => {
                assert_eq!((&json(&output)["deleted"], &json(&output)["archived"]), (&total.into(), &total.into()));
                assert!(
                    queue.is_all_in_any_order(&std::fs::read(&archive).unwrap()),
                    "the archive is not what was sent"
                );
                assert_eq!(queue.state.lock().unwrap().deleted.len(), total);
            }
        }
    }
}

const EVERY: [&str; 6] = ["list --json", "list", "stats", "stats on lanes", "dry run", "archive"];

/// With bounds that small messages meet.
#[test]
fn every_command_takes_messages_of_every_size() {
    let mixed = |n: usize| match n % 20 {
        3 => 99_000,
        7 | 8 => 40_000,
        _ => n % 700,
    };
    let sizes = (0..260).map(mixed).collect();
    reads_all(sizes, &["--max-body=100kB"], 64 * MB, &EVERY);
}

/// What was promised, in full size.
#[cfg(target_os = "linux")]
#[test]
fn messages_of_many_megabytes_are_read_in_bounded_memory() {
    const MOST: usize = 128 * 1024 * 1024;
    if std::env::var_os("DLQ_DEEP").is_some() {
        reads_all(vec![300_000; 400], &[], MOST, &EVERY);
        reads_all(vec![4 * MB; 40], &[], MOST, &EVERY);
    }
    let few_are_huge = (0..30).map(|n| if n % 10 == 4 { 40 * MB } else { 2_000 }).collect();
    let commands = if std::env::var_os("DLQ_DEEP").is_some() { &EVERY[..] } else { &["archive"] };
    reads_all(few_are_huge, &[], MOST, commands);
}

#[test]
fn a_message_beyond_the_bound_is_named_and_nothing_is_deleted() {
    let mut sizes = vec![100; 30];
    sizes[17] = 150_000;
    let (queue, url) = Sized::start(sizes);
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let bound = "--max-body=100kB";
    let archived = ["delete", "--all", "--yes", "--page-size=10", bound, "--archive", archive.to_str().unwrap()];
    for args in [&["list", bound][..], &["stats", bound], &["delete", "--all", "--dry-run", bound]] {
        let (output, _) = queue.run(&url, &[args, &["--max-attempts=1"]].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("message 18 of the listing"), "{args:?}: {said}");
        let why = "after the cursor r16 is larger than 100000 bytes, the most that is read; --max-body raises that";
        assert!(said.contains(why), "{args:?}: {said}");
        assert!(queue.state.lock().unwrap().deleted.is_empty());
    }
    // What comes before it is archived and deleted, as far as it got.
    let (output, _) = queue.run(&url, &[&archived[..], &["--max-attempts=1"]].concat());
    let said = text(&output.stderr);
    assert!(said.contains("is larger than 100000 bytes"), "{said}");
    assert!(!queue.state.lock().unwrap().deleted.contains(&17));
    let (output, _) = queue.run(&url, &["get", "r17", bound, "--max-attempts=1", "--json"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(r#""code":"too_large""#) && said.contains("--max-body raises that"), "{said}");
    for args in [&["get", "r17"][..], &["get", "r17", "--max-body=151kB"]] {
        let (output, _) = queue.run(&url, args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    for (size, problem) in [("1GB", "is not a size"), ("300MiB", "is more than 256MiB"), ("0", "must be more than 0")] {
        let (output, _) = queue.run(&url, &["list", "--max-body", size]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(problem), "{said}");
    }
}

/// The emulator makes such messages, too.
#[test]
fn the_emulator_gives_its_samples_bodies() {
    let mut emulator = command("http://127.0.0.1:1");
    emulator.args(["emulator", "--listen=127.0.0.1:0", "--runs=12", "--body-kb=70"]).stdout(Stdio::piped());
    let mut child = emulator.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let output = command(&url).args(["list", "--json", "--max-body=200kB"]).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 12);
    assert!(lines.iter().all(|message| message["body"].as_str().unwrap().len() == 70_000));
    assert!(text(&output.stderr).contains("asking for fewer runs at once"), "{}", text(&output.stderr));
}
