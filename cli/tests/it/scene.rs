//! One operation of the command against the service's model: what it may do, what it did, and how it goes on to its end.

use crate::common::{command, text};
use crate::operations::{Effect, LABEL, Operation, STATUS};
use crate::world::{Break, Moment, World};
use http::Request;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use upstash_dlq_emulator::{Config, Run, Service, sample};

pub(crate) struct Scene {
    pub(crate) operation: &'static Operation,
    pub(crate) world: Arc<World>,
    pub(crate) server: Arc<Server>,
    folder: tempfile::TempDir,
    /// What an archive has to hold in the end: each message by its id, as the service sends it.
    sent: BTreeMap<String, String>,
    /// The ids of what may be acted on.
    matching: BTreeSet<String>,
}

/// What the server's threads know of the scene.
#[derive(Default)]
pub(crate) struct Server {
    /// The process that is served.
    pub(crate) pid: Mutex<Option<u32>>,
    /// How many requests with the operation's method have come from it.
    pub(crate) met: AtomicUsize,
    /// What they asked for. What starts runs never asks for the same twice.
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) armed: AtomicBool,
    /// How many runs were gone or started when the process began.
    done_before: AtomicU64,
    archive: Option<PathBuf>,
    /// How much of it was read, and the ids in that.
    kept: Mutex<(usize, HashSet<String>)>,
    /// What a test could not say from the server's thread.
    broken: Mutex<Option<String>>,
}

impl Server {
    /// For a thread of the server, whose panic nobody would see.
    pub(crate) fn fail(&self, why: String) {
        *self.broken.lock().unwrap() = Some(why);
    }

    /// Signals the process that is served. Returns whether there is one: it may have ended just now.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let pid = self.pid.lock().unwrap().and_then(|pid| Pid::from_raw(i32::try_from(pid).unwrap()));
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// A delete may name only what is in the archive, in a line of its own.
    fn look(&self, request: &Request<Vec<u8>>) {
        let Some(path) = self.archive.as_ref().filter(|_| request.method() == "DELETE") else { return };
        let file = std::fs::read_to_string(path).unwrap_or_default();
        let whole = file.rfind('\n').map_or("", |end| &file[..=end]);
        let mut kept = self.kept.lock().unwrap();
        if whole.len() < kept.0 {
            *kept = Default::default();
        }
        // As text, since this is asked before each delete; the whole file is parsed when the process has ended.
        let ids = whole[kept.0..].lines().filter_map(|line| line.strip_prefix("{\"dlqId\":\"")?.split('"').next());
        kept.1.extend(ids.map(str::to_owned));
        kept.0 = whole.len();
        for (name, id) in form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()) {
            if name != "dlqIds" || !kept.1.contains(&*id) {
                self.fail(format!("{name}={id} is asked for and not in the archive"));
            }
        }
    }
}

/// In memory, where there is such a folder: what a process that dies has written is there, and a sync costs nothing.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn acts_on(run: &Run) -> bool {
    run.labels.iter().any(|label| label == LABEL)
}

/// So many runs that match, and as many that do not. They are made once: each cell of the table of faults is a scene.
fn runs(matching: usize) -> Vec<Run> {
    static MADE: Mutex<BTreeMap<usize, Vec<Run>>> = Mutex::new(BTreeMap::new());
    let make = || {
        let runs = sample::runs(4 * matching, 5, crate::world::NOW);
        let (mut acted_on, others): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(acts_on);
        assert!(others.iter().all(|run| run.response_status != STATUS));
        acted_on.iter_mut().for_each(|run| run.response_status = STATUS);
        acted_on.into_iter().take(matching).chain(others.into_iter().take(matching)).collect()
    };
    MADE.lock().unwrap().entry(matching).or_insert_with(make).clone()
}

impl Scene {
    /// So many runs match, and as many do not. `meet` is asked at each moment of each request that comes while the server is armed.
    pub(crate) fn new(
        operation: &'static Operation,
        matching: usize,
        meet: impl Fn(&Server, Moment, &Request<Vec<u8>>) -> Option<Break> + Send + Sync + 'static,
    ) -> Self {
        let config = Config::default().started_runs_stay(operation.started_runs_stay);
        let mut service = Service::new(config);
        let runs = runs(matching);
        let pad = |run: Run| match operation.id_padding {
            0 => run,
            padding => {
                let id = format!("{}-{}", run.dlq_id, "0".repeat(padding));
                run.dlq_id(id)
            }
        };
        service.extend(runs.into_iter().map(pad));
        let archived = operation.has("ARCHIVE");
        let messages = service.runs().filter(|run| archived && acts_on(run));
        let sent = messages.map(|run| (run.dlq_id.clone(), Run::to_json(run))).collect();
        let all: BTreeSet<String> = service.runs().filter(|run| acts_on(run)).map(|r| r.dlq_id.clone()).collect();
        assert_eq!(all.len(), matching);
        let folder = folder();
        std::fs::write(folder.path().join("ids"), all.iter().map(|id| format!("{id}\n")).collect::<String>()).unwrap();
        let archive = archived.then(|| folder.path().join("archive"));
        let server = Arc::new(Server { archive, ..Server::default() });
        let served = Arc::clone(&server);
        let world = World::start(service, move |_, moment, request| {
            if moment == Moment::Arrived {
                served.look(request);
                served.asked.lock().unwrap().push(request.uri().to_string());
            }
            if served.armed.load(Ordering::SeqCst) { meet(&served, moment, request) } else { None }
        });
        Self { operation, world, server, folder, sent, matching: all }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many runs are gone or started.
    pub(crate) fn done(&self) -> u64 {
        self.world.with_service(|service| service.deleted_total() + service.started().count() as u64)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn matching(&self) -> u64 {
        self.matching.len() as u64
    }

    pub(crate) fn args(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let put = |arg: &&str| match arg.split_once('=') {
            Some((option, "ARCHIVE")) => format!("{option}={}", path("archive")),
            Some((option, "POSITION")) => format!("{option}={}", path("position")),
            Some((option, "IDS")) => format!("{option}={}", path("ids")),
            None if *arg == "ID" => self.matching.first().unwrap().clone(),
            _ => (*arg).to_owned(),
        };
        self.operation.args.iter().map(put).collect()
    }

    /// Makes a process of it, and serves nothing before it is known which.
    pub(crate) fn run(&self, mut command: Command) -> Output {
        let child = {
            let mut pid = self.server.pid.lock().unwrap();
            self.server.met.store(0, Ordering::SeqCst);
            self.server.asked.lock().unwrap().clear();
            self.server.done_before.store(self.done(), Ordering::SeqCst);
            let child = command.stderr(Stdio::piped()).spawn().unwrap();
            *pid = Some(child.id());
            child
        };
        let output = child.wait_with_output().unwrap();
        *self.server.pid.lock().unwrap() = None;
        // What was sent may be served after the death of its sender.
        self.world.settle_down();
        if let Some(broken) = self.server.broken.lock().unwrap().take() {
            panic!("{broken}");
        }
        output
    }

    /// The command again and again, as long as there is something to settle, which is settled as it really was.
    pub(crate) fn go_on(&self, settled: &mut Settled, mut output: Output) -> Output {
        for _ in 0..20 {
            let mut command = command_of(&self.world.url(), &self.args());
            if let Some(settlement) = self.settlement(settled, &output) {
                command.args(["--settle", settlement]);
            }
            output = self.run(command);
            if !in_doubt(&output) {
                return output;
            }
        }
        panic!("it does not end: {}", text(&output.stderr));
    }

    /// What became of the request that the output says is in doubt, if it says so.
    pub(crate) fn settlement(&self, settled: &mut Settled, output: &Output) -> Option<&'static str> {
        let said = text(&output.stderr);
        if !in_doubt(output) {
            return None;
        }
        let applied = if self.operation.started_runs_stay {
            // It names the first of the runs, and each can be looked up.
            let id = said.split("`upstash-dlq get ").nth(1).and_then(|rest| rest.split('`').next());
            let id = id.unwrap_or_else(|| panic!("no run is named: {said}"));
            self.world.with_service(|service| service.started().any(|run| run.dlq_id == id))
        } else {
            // As many as it knows of, or more.
            let known = report(output)["resumed"].as_u64().unwrap() + settled.unknown;
            let unknown = self.done() - known;
            settled.unknown += unknown;
            unknown > 0
        };
        Some(if applied { "applied" } else { "not-applied" })
    }

    /// What must hold at any moment, whatever has gone wrong: nothing else was acted on, and no run was started twice.
    pub(crate) fn check(&self) {
        self.world.with_service(|service| {
            let others = service.runs().filter(|run| !acts_on(run)).count();
            assert_eq!(others, self.matching.len(), "what does not match was taken away");
            let mut seen = HashSet::new();
            for run in service.started() {
                assert!(self.matching.contains(&run.dlq_id), "{} does not match, and was started", run.dlq_id);
                assert!(seen.insert(&run.dlq_id), "{} was started twice", run.dlq_id);
            }
        });
    }

    /// What was deleted is in the archive, as it was sent.
    pub(crate) fn check_archive(&self, archived: &mut Archived) {
        if let Some(path) = &self.server.archive {
            self.check_kept(archived, path);
        }
    }

    /// What was deleted is in this copy of the archive, as it was sent.
    pub(crate) fn check_kept(&self, archived: &mut Archived, copy: &Path) {
        let kept = archived.read(copy);
        self.world.with_service(|service| {
            for (id, message) in self.sent.iter().filter(|(id, _)| !service.contains(id)) {
                assert_eq!(kept.get(id), Some(message), "{id} is gone and not kept");
            }
        });
    }

    /// What is told is not more than was done, and not less than that without what is unconfirmed.
    pub(crate) fn check_counts(&self, report: &serde_json::Value) {
        let count = |name: &str| report[name].as_u64();
        let told = count("deleted").or(count("resumed")).or(count("restarted")).unwrap();
        // A checkpoint knows of earlier processes.
        let before = if self.operation.has("POSITION") { 0 } else { self.server.done_before.load(Ordering::SeqCst) };
        let truth = self.done() - before;
        let most = told + self.operation.asks * count("unconfirmed").unwrap();
        assert!((told..=most).contains(&truth), "{truth} in truth: {report}");
    }

    /// What must hold when it is through.
    pub(crate) fn check_end(&self, output: &Output, archived: Option<&mut Archived>) {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        self.check_complete(output, archived);
        if self.operation.effect != Effect::Reads {
            self.check_litter();
        }
    }

    /// What must hold when it says that it is complete.
    pub(crate) fn check_complete(&self, output: &Output, archived: Option<&mut Archived>) {
        self.check();
        if self.operation.effect == Effect::Reads {
            return;
        }
        let report = report(output);
        assert_eq!(self.done(), self.matching(), "{report}");
        self.check_counts(&report);
        if self.operation.effect == Effect::Deletes {
            let left = self.world.with_service(|service| service.len());
            assert_eq!((left, &report["verified"]), (self.matching.len(), &true.into()), "{report}");
        }
        if let Some(archived) = archived {
            self.check_archive(archived);
            if let Some(path) = &self.server.archive {
                assert_eq!(archived.read(path).len(), self.matching.len(), "what was not deleted is in the archive");
            }
        }
    }

    /// Nothing else is left than what was given, and the archive.
    pub(crate) fn check_litter(&self) {
        let names = std::fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().file_name());
        let litter: Vec<_> = names.filter(|name| name != "ids" && name != "archive").collect();
        assert!(litter.is_empty(), "litter: {litter:?}");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.world.down();
    }
}

/// How many runs were started by requests whose response was lost, as far as it was settled.
#[derive(Default)]
pub(crate) struct Settled {
    unknown: u64,
}

/// The command of a scene.
pub(crate) fn command_of(url: &str, args: &[String]) -> Command {
    let mut command = command(url);
    for name in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    command.args(args).stdout(Stdio::piped());
    command
}

/// A shell that does something, and becomes the command. Its standard output is a pipe.
pub(crate) fn in_shell(first: &str, command: Command) -> Command {
    if first.is_empty() {
        return command;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]).arg(command.get_program());
    shell.args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

pub(crate) fn report(output: &Output) -> serde_json::Value {
    crate::common::json(output)
}

pub(crate) fn in_doubt(output: &Output) -> bool {
    text(&output.stderr).contains("--settle applied")
}

/// The whole lines of an archive by their ids. What follows the last newline is not whole.
#[derive(Default)]
pub(crate) struct Archived {
    lines: BTreeMap<String, String>,
    /// The whole lines that were read before. They must stay as they are.
    before: String,
}

impl Archived {
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
