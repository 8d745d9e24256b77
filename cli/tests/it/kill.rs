//! SIGKILL at any moment: what was deleted is in the archive, whole, and was there before; a checkpoint goes on.
#![cfg(unix)]

use http::Request;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Run, Service, sample};

use crate::common::{NEWEST, command, json, text};

const KILLS: u32 = 50;
/// As many as the command opens by default; each can lose a request.
const LANES: u64 = 4;

/// When the next process dies.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// With which of its requests.
    request: u32,
    /// Before it is served, before its response, or after.
    phase: u32,
    /// And how many times round a loop later, in which the process goes on.
    spins: u32,
}

#[derive(Default)]
struct Death {
    plan: Option<Plan>,
    requests: u32,
    pid: Option<u32>,
}

/// The emulator's model behind a socket that kills its client on a plan, and looks into the archive before each delete.
struct Reaper {
    service: Mutex<Service>,
    death: Mutex<Death>,
    archive: Option<PathBuf>,
    /// What a test could not say from the server's thread.
    broken: Mutex<Option<String>>,
}

impl Reaper {
    fn start(runs: usize, archive: Option<PathBuf>) -> (Arc<Self>, String) {
        let mut service = Service::new(Config::default());
        sample::runs(runs, 5, NEWEST).into_iter().for_each(|run| service.insert(run));
        let reaper =
            Arc::new(Self { service: Mutex::new(service), death: Mutex::default(), archive, broken: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::clone(&reaper);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || while served.serve(stream.as_ref().unwrap()).is_some() {});
            }
        });
        (reaper, url)
    }

    /// One request; `None` when the connection has ended.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut header = String::new();
        while reader.read_line(&mut header).ok()? > 2 {
            header.clear();
        }
        let phase = |phase: u32| self.reap(phase);
        phase(0);
        if method == "DELETE" {
            self.look(&target);
        }
        let request = Request::builder()
            .method(method.as_str())
            .uri(target)
            .header("authorization", format!("Bearer {LOCAL_TOKEN}"))
            .body(Vec::new())
            .unwrap();
        let response = self.service.lock().unwrap().handle(NEWEST, request);
        phase(1);
        let head =
            format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n\r\n", response.status().as_u16(), response.body().len());
        let mut stream = stream;
        stream.write_all(&[head.as_bytes(), response.body()].concat()).ok()?;
        phase(2);
        Some(())
    }

    fn reap(&self, phase: u32) {
        let mut death = self.death.lock().unwrap();
        death.requests += u32::from(phase == 0);
        let Some(plan) = death.plan.filter(|plan| plan.request <= death.requests && plan.phase == phase) else {
            return;
        };
        death.plan = None;
        for _ in 0..plan.spins {
            std::thread::yield_now();
        }
        if let Some(pid) = death.pid {
            Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
        }
    }

    /// A delete may name only what is in the archive, in a line of its own.
    fn look(&self, target: &str) {
        let Some(path) = &self.archive else { return };
        let file = std::fs::read_to_string(path).unwrap_or_default();
        let whole = file.rfind('\n').map_or("", |end| &file[..end]);
        for (name, id) in form_urlencoded::parse(target.split_once('?').map_or("", |(_, query)| query).as_bytes()) {
            // Found as text, since this is asked before each delete; the whole file is parsed after each death.
            if name != "dlqIds" || !whole.contains(&format!("{{\"dlqId\":\"{id}\",")) {
                *self.broken.lock().unwrap() = Some(format!("{name}={id} is asked for and not in the archive"));
            }
        }
    }

    /// Runs the command until it ends or dies.
    fn run(&self, mut command: Command, plan: Option<Plan>) -> std::process::Output {
        {
            let mut death = self.death.lock().unwrap();
            *death = Death { plan, requests: 0, pid: None };
        }
        let child = {
            // Nothing is served before the process is known.
            let mut death = self.death.lock().unwrap();
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            death.pid = Some(child.id());
            child
        };
        let output = child.wait_with_output().unwrap();
        if let Some(broken) = self.broken.lock().unwrap().take() {
            panic!("{broken}");
        }
        output
    }

    fn left(&self) -> BTreeSet<String> {
        self.service.lock().unwrap().runs().map(|run| run.dlq_id.clone()).collect()
    }
}

/// The whole lines of an archive by their ids. What follows the last newline is not whole.
#[derive(Default)]
struct Kept {
    lines: BTreeMap<String, String>,
    /// The whole lines that were read before. They must stay as they are.
    before: String,
}

impl Kept {
    fn read(&mut self, path: &Path) -> &BTreeMap<String, String> {
        let file = std::fs::read_to_string(path).unwrap_or_default();
        let whole = file.rfind('\n').map_or("", |end| &file[..=end]);
        let new = whole.strip_prefix(&self.before).expect("what was whole has changed");
        for line in new.lines() {
            let message: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            self.lines.insert(message["dlqId"].as_str().unwrap().to_owned(), line.to_owned());
        }
        self.before = whole.to_owned();
        &self.lines
    }
}

/// Plans that a seed decides, so that a failure can be seen again.
fn plans() -> impl Iterator<Item = Plan> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = move |below: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    };
    (0..KILLS).map(move |_| Plan { request: 1 + next(9), phase: next(3), spins: next(400) })
}

#[test]
fn an_archive_has_every_deleted_run_whenever_the_process_dies() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("runs.ndjson");
    let (reaper, url) = Reaper::start(1_800, Some(archive.clone()));
    let sent: BTreeMap<String, String> =
        reaper.service.lock().unwrap().runs().map(|run| (run.dlq_id.clone(), Run::to_json(run))).collect();
    let delete = || {
        let mut command = command(&url);
        command.args(["delete", "--all", "--yes", "--json", "--page-size", "10", "--archive"]).arg(&archive);
        command
    };
    let (mut died, mut archived) = (0, Kept::default());
    for plan in plans() {
        let output = reaper.run(delete(), Some(plan));
        died += u32::from(output.status.code().is_none());
        let (kept, left) = (archived.read(&archive), reaper.left());
        for (id, message) in sent.iter().filter(|(id, _)| !left.contains(*id)) {
            assert_eq!(kept.get(id), Some(message), "{id} is gone and not kept after {plan:?}");
        }
    }
    assert_eq!(died, KILLS);
    let output = reaper.run(delete(), None);
    let report = json(&output);
    assert_eq!((output.status.code(), report["verified"].as_bool()), (Some(0), Some(true)), "{}", text(&output.stderr));
    assert!(reaper.left().is_empty());
    assert_eq!(*archived.read(&archive), sent);
}

#[test]
fn a_checkpoint_goes_on_whenever_the_process_dies() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("position.json");
    let (reaper, url) = Reaper::start(12_000, None);
    let delete = || {
        let mut command = command(&url);
        command.args(["delete", "--all", "--yes", "--json", "--page-size", "10", "--checkpoint"]).arg(&checkpoint);
        command
    };
    let mut died = 0;
    for plan in plans() {
        let output = reaper.run(delete(), Some(plan));
        died += u64::from(output.status.code().is_none());
        // Whole at any moment; absent only before the first request.
        if let Ok(saved) = std::fs::read(&checkpoint) {
            serde_json::from_slice::<serde_json::Value>(&saved).unwrap();
        }
    }
    assert_eq!(died, u64::from(KILLS));
    let output = reaper.run(delete(), None);
    let report = json(&output);
    assert_eq!((output.status.code(), report["verified"].as_bool()), (Some(0), Some(true)), "{}", text(&output.stderr));
    let count = |name: &str| report[name].as_u64().unwrap();
    let (deleted, unconfirmed, truth) = (count("deleted"), count("unconfirmed"), 12_000);
    assert!(reaper.left().is_empty());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "litter");
    assert!(
        deleted <= truth && deleted + 10 * unconfirmed >= truth && unconfirmed <= LANES * died,
        "{deleted} {unconfirmed}"
    );
}
