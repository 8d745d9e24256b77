//! The commands that the pages show, run as a reader pastes them: by `/bin/sh`, with the command first in PATH, against an
//! emulator with the sample runs. Each recipe does what it claims.

use crate::common::{command, text};
use crate::pages::{self, Script, say, sections};
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use upstash_dlq_emulator::{Config, LOCAL_TOKEN, Run, Server, ServerOptions, Service, sample};

const DAY: i64 = 86_400_000;
/// What the outage of the sample runs says.
const OUTAGE: &str = "ConnectionError";

/// A recipe that has run.
struct Ran {
    server: Server,
    before: Vec<Run>,
    now: i64,
    folder: tempfile::TempDir,
    shown: String,
}

impl Ran {
    /// The ids of the runs that were there before and meet this.
    fn ids(&self, meets: impl Fn(&Run) -> bool) -> BTreeSet<String> {
        self.before.iter().filter(|run| meets(run)).map(|run| run.dlq_id.clone()).collect()
    }

    fn left(&self) -> BTreeSet<String> {
        self.server.with_service(|service| service.runs().map(|run| run.dlq_id.clone()).collect())
    }

    fn started(&self) -> Vec<String> {
        self.server.with_service(|service| service.started().map(|run| run.dlq_id.clone()).collect())
    }

    fn is_newer(&self, run: &Run, days: i64) -> bool {
        run.created_at >= self.now - days * DAY
    }

    /// Exactly these are gone, none of them was started, and the file holds them as they were.
    fn deleted_with_a_copy(&self, gone: &BTreeSet<String>, archive: &str) {
        self.deleted(gone);
        let kept: BTreeSet<String> = self.read(archive).lines().map(str::to_owned).collect();
        let sent = self.before.iter().filter(|run| gone.contains(&run.dlq_id)).map(Run::to_json);
        assert_eq!(kept, sent.collect(), "{archive} does not hold what was deleted");
    }

    fn deleted(&self, gone: &BTreeSet<String>) {
        assert!(!gone.is_empty(), "the recipe has nothing to do");
        let left: BTreeSet<String> = self.ids(|_| true).difference(gone).cloned().collect();
        assert_eq!(self.left(), left, "other runs are gone than the recipe says: {}", self.shown);
        assert!(self.started().is_empty());
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

fn has(run: &Run, label: &str) -> bool {
    run.labels.iter().any(|of_run| of_run == label)
}

fn of_outage(run: &Run) -> bool {
    run.response_body.contains(OUTAGE)
}

/// A page, a section of it, and how its claim is checked.
type Claim = (&'static str, &'static str, fn(&Ran));

/// What the sections of the pages claim. A section with commands and no claim is an error.
const CLAIMS: [Claim; 11] = [
    ("README.md", "Start", |ran| {
        // The emulator is the one that the lines start; this test's own is not asked.
        assert!(ran.shown.starts_with("1,000 failed runs\n"), "{}", ran.shown);
        assert!(ran.shown.contains("Resumed 10 runs; the maximum was reached"), "{}", ran.shown);
        let kept = ran.read("nightly.ndjson").lines().count();
        assert!(kept > 10 && ran.shown.contains(&format!("Deleted {kept} runs; {kept} archived")), "{}", ran.shown);
        assert_eq!((ran.left(), ran.server.connections()), (ran.ids(|_| true), 0));
    }),
    ("docs/recipes.md", "Clean up after an incident", |ran| {
        let gone = ran.ids(|run| of_outage(run) && ran.is_newer(run, 3));
        assert!(gone.len() > 200, "{}", gone.len());
        ran.deleted_with_a_copy(&gone, "incident.ndjson");
        assert!(ran.shown.contains("e1-1lw6dvbb"), "{}", ran.shown);
    }),
    ("docs/recipes.md", "Delete all but one label", |ran| {
        let gone = ran.ids(|run| !has(run, "urgent"));
        assert!(gone.len() < ran.before.len());
        ran.deleted_with_a_copy(&gone, "rest.ndjson");
    }),
    ("docs/recipes.md", "Archive and delete monthly from cron", |ran| {
        let names = |folder: PathBuf| {
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        };
        let (all, folder): (Vec<String>, Vec<String>) =
            (names(ran.folder.path().to_owned()), names(ran.folder.path().join("dlq-monthly")));
        assert_eq!((all, folder.len()), (vec!["dlq-monthly".to_owned()], 4), "one folder: {folder:?}");
        let archive = folder.iter().find(|name| name.ends_with(".ndjson")).unwrap();
        assert_eq!(archive.len(), "2026-11.ndjson".len(), "{archive}");
        ran.deleted_with_a_copy(&ran.ids(|run| !ran.is_newer(run, 14)), &format!("dlq-monthly/{archive}"));
        let report: serde_json::Value = serde_json::from_str(&ran.read("dlq-monthly/log")).unwrap();
        assert_eq!(report["outcome"], "complete");
        let mode = std::fs::metadata(ran.folder.path().join("dlq-monthly/token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }),
    ("docs/recipes.md", "Resume what one error caused", |ran| {
        let caused = ran.ids(|run| of_outage(run) && ran.is_newer(run, 3));
        let started = ran.started();
        assert!(caused.len() > 200 && started.len() == caused.len(), "{} of {}", started.len(), caused.len());
        assert_eq!(started.into_iter().collect::<BTreeSet<_>>(), caused);
        let bounded = ran.server.with_service(|service| {
            service.started().filter(|run| run.overrides.values().any(|value| value.contains("recovery"))).count()
        });
        assert_eq!(bounded, caused.len() - 1, "all but the first are under the flow control key");
    }),
    ("docs/recipes.md", "Choose with jq", |ran| {
        let of_host = |run: &Run| run.workflow_url.starts_with("https://shop.example.com/") && ran.is_newer(run, 7);
        ran.deleted_with_a_copy(&ran.ids(of_host), "shop.ndjson");
    }),
    ("docs/recipes.md", "Choose with fzf", |ran| {
        // The stand-in picks the first two, and they are listed the newest first.
        let mut runs: Vec<&Run> = ran.before.iter().collect();
        runs.sort_by_key(|run| -run.created_at);
        let gone = runs.iter().take(2).map(|run| run.dlq_id.clone()).collect();
        ran.deleted_with_a_copy(&gone, "chosen.ndjson");
    }),
    ("docs/recipes.md", "Spread over machines", |ran| {
        ran.deleted(&ran.ids(|run| has(run, "nightly")));
        let part = |shard| ran.read(&format!("part-{shard}.ndjson")).lines().count();
        let parts: Vec<usize> = (1..=4).map(part).collect();
        assert!(parts.iter().all(|part| *part > 0), "{parts:?}");
        assert_eq!(parts.iter().sum::<usize>(), ran.ids(|run| has(run, "nightly")).len());
    }),
    ("docs/recipes.md", "Develop against the emulator from JavaScript", |ran| {
        let urgent = ran.ids(|run| has(run, "urgent")).len();
        assert!(ran.shown.contains(&format!("{urgent} runs with the label urgent")), "{}", ran.shown);
    }),
    ("docs/recipes.md", "Look at an archive", |ran| {
        let gone = ran.ids(|run| has(run, "urgent"));
        ran.deleted_with_a_copy(&gone, "urgent.ndjson");
        let served = format!("\n{} failed runs\n", gone.len());
        assert!(ran.shown.contains(&served) && ran.shown.contains("DLQ id "), "{}", ran.shown);
    }),
    ("docs/recipes.md", "Install man pages and completions", |ran| {
        assert!(ran.read(".cargo/share/man/man1/upstash-dlq-delete.1").starts_with(".ie"));
        for (file, holds) in [
            (".local/share/bash-completion/completions/upstash-dlq", "-o default upstash-dlq"),
            (".local/share/zsh/site-functions/_upstash-dlq", "#compdef upstash-dlq"),
            (".config/fish/completions/upstash-dlq.fish", "complete -c upstash-dlq"),
        ] {
            assert!(ran.read(file).contains(holds), "{file}");
        }
        let bash = ran.folder.path().join(".local/share/bash-completion/completions/upstash-dlq");
        for (words, completed) in [
            ("del", "delete"),
            ("delete --sh", "--shard"),
            ("callback re", "retry"),
            ("callback retry --js", "--json"),
            ("list -o js", "json"),
        ] {
            assert_eq!(completions(&bash, words), completed, "{words}");
        }
        assert_eq!((ran.left(), ran.server.connections()), (ran.ids(|_| true), 0));
    }),
];

/// What Bash makes of these words and the tab key.
fn completions(script: &Path, words: &str) -> String {
    let ask = r#". "$0"; COMP_WORDS=(upstash-dlq $1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _upstash__dlq upstash-dlq "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"; echo "${COMPREPLY[*]}""#;
    let output = Command::new("bash").args(["-c", ask]).arg(script).arg(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An emulator with so many sample runs, the newest of which failed just now.
fn emulator(runs: usize) -> (Server, Vec<Run>, i64) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let mut service = Service::new(Config::default());
    let before = sample::runs(runs, 1, now);
    service.extend(before.clone());
    (Server::start(service, ServerOptions::default()).unwrap(), before, now)
}

fn is_there(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(tool).is_file())
}

/// Gives a recipe the tool that it needs. `false` if this machine lacks it.
fn provide(tool: &str, root: &Path, folder: &Path, bin: &Path) -> bool {
    match tool {
        // It is made for a person at a terminal. This one stands in for the person: it picks the first two lines.
        "fzf" => {
            let script = bin.join("fzf");
            std::fs::write(&script, "#!/bin/sh\nexec sed -n 2,3p\n").unwrap();
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
            true
        }
        // A package of JavaScript, as `emulator/interop/run.sh` has fetched it.
        package if package.starts_with('@') => {
            let modules = root.join("emulator/interop/node_modules");
            modules.join(package).is_dir() && symlink(&modules, folder.join("node_modules")).is_ok()
        }
        tool => is_there(tool),
    }
}

/// Runs scripts in one shell, in an empty folder that is its home. `None` if the machine lacks what they need.
fn run(root: &Path, title: &str, scripts: &[Script]) -> Option<Ran> {
    let (folder, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut commands = "set -e\n".to_owned();
    for script in scripts {
        if let Some(why) = &script.not_run {
            say(&format!("of \"{title}\" one block is never run: {why}"));
            continue;
        }
        if let Some(tool) = script.needs.iter().find(|tool| !provide(tool, root, folder.path(), bin.path())) {
            let sentence = format!("RECIPE NOT RUN: \"{title}\" needs {tool}, which is not here");
            say(&sentence);
            // `.ci/run` says it again at its end.
            if let Some(skips) = std::env::var_os("DLQ_SKIPS") {
                let mut file = std::fs::OpenOptions::new().append(true).create(true).open(skips).unwrap();
                writeln!(file, "{sentence}").unwrap();
            }
            return None;
        }
        commands += &script.text;
    }
    let (server, before, now) = emulator(1_000);
    let (code, shown, said) = paste(&commands, &server.url(), folder.path(), bin.path());
    assert_eq!(code, Some(0), "\"{title}\":\n{commands}\n{shown}\n{said}");
    Some(Ran { server, before, now, folder, shown })
}

/// Runs commands in a shell whose service is at `url`. Returns the exit status, standard output and standard error.
fn paste(commands: &str, url: &str, folder: &Path, bin: &Path) -> (Option<i32>, String, String) {
    let command_folder = PathBuf::from(env!("CARGO_BIN_EXE_upstash-dlq")).parent().unwrap().to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = [command_folder, bin.to_owned()].into_iter().chain(std::env::split_paths(&others));
    // Not pipes: an emulator that a failed script leaves behind would keep them open.
    let output = tempfile::tempdir().unwrap();
    let (shown, said) = (output.path().join("shown"), output.path().join("said"));
    let mut shell = Command::new("/bin/sh");
    for name in ["QSTASH_REGION", "US_EAST_1_QSTASH_TOKEN", "HTTP_PROXY", "http_proxy", "COLUMNS"] {
        shell.env_remove(name);
    }
    let mut child = shell
        .args(["-c", commands])
        .current_dir(folder)
        .env("HOME", folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("QSTASH_URL", url)
        .env("QSTASH_TOKEN", LOCAL_TOKEN)
        .stdin(Stdio::null())
        .stdout(File::create(&shown).unwrap())
        .stderr(File::create(&said).unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let status = child.wait().unwrap();
    // Nothing is left of the group if the script has ended what it began.
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    let _ = kill_process_group(group, Signal::KILL);
    let read = |path| text(&std::fs::read(path).unwrap());
    (status.code(), read(&shown), read(&said))
}

#[test]
fn each_recipe_does_what_it_claims() {
    let Some(root) = pages::root("each_recipe_does_what_it_claims") else { return };
    let mut told: BTreeSet<(&str, String)> = BTreeSet::new();
    std::thread::scope(|scope| {
        for page in ["README.md", "docs/recipes.md"] {
            for section in sections(&pages::read(&root, page)).into_iter().filter(|section| !section.scripts.is_empty())
            {
                let title = section.title.clone();
                let claim = CLAIMS.iter().find(|(of, name, _)| (*of, *name) == (page, &*title));
                let (_, _, claim) = claim.unwrap_or_else(|| panic!("{page}: nobody checks what \"{title}\" claims"));
                told.insert((page, title));
                let root = &root;
                scope.spawn(move || {
                    if let Some(ran) = run(root, &section.title, &section.scripts) {
                        claim(&ran);
                    }
                });
            }
        }
    });
    let claimed = CLAIMS.iter().map(|(page, title, _)| (*page, (*title).to_owned())).collect();
    assert_eq!(told, claimed, "a section that a claim speaks of is not there");
}

/// Whoever pastes the lines of the README has perhaps a token of the service at hand. If the emulator cannot start, they change
/// nothing there.
#[test]
fn without_the_emulator_the_lines_of_the_readme_reach_nobody() {
    let Some(root) = pages::root("without_the_emulator_the_lines_of_the_readme_reach_nobody") else { return };
    let sections = sections(&pages::read(&root, "README.md"));
    let start = sections.iter().find(|section| section.title == "Start").unwrap();
    let commands: String = start.scripts.iter().map(|script| script.text.as_str()).collect();
    assert!(commands.contains(" --yes"), "{commands}");
    let (folder, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // In the way of the pipe.
    std::fs::create_dir(folder.path().join("dlq.pipe")).unwrap();
    let (server, before, _) = emulator(100);
    let (_, shown, said) = paste(&commands, &server.url(), folder.path(), bin.path());
    let left = server.with_service(|service| service.len());
    assert_eq!((server.connections(), left), (0, before.len()), "{shown}{said}");
    assert!(said.contains("QSTASH_URL is not a URL"), "{said}");
}

/// The commands in the table of the README, with an id that exists.
fn table(root: &Path) -> Vec<String> {
    let page = pages::read(root, "README.md");
    let rows = page.lines().filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `"));
    rows.map(|(_, command)| command.to_owned()).filter(|command| command.starts_with("upstash-dlq ")).collect()
}

#[test]
fn each_command_of_the_readme_s_table_finds_something_to_do() {
    let Some(root) = pages::root("each_command_of_the_readme_s_table_finds_something_to_do") else { return };
    let commands = table(&root);
    assert!(commands.len() > 10, "{commands:?}");
    for shown in commands {
        let (server, before, _) = emulator(200);
        let folder = tempfile::tempdir().unwrap();
        let failed = before.iter().find(|run| run.failure_function_state.as_deref() == Some("CALLBACK_FAIL")).unwrap();
        std::fs::write(folder.path().join("ids.txt"), format!("{}\n", failed.dlq_id)).unwrap();
        std::fs::write(folder.path().join("bug.ndjson"), format!("{}\n", failed.to_json())).unwrap();
        let words = shown.strip_prefix("upstash-dlq ").unwrap().split(' ');
        let mut args: Vec<&str> = words.map(|word| if word == "ID" { &failed.dlq_id } else { word }).collect();
        let asks = ["delete", "resume", "restart"].contains(&args[0]) && !args.contains(&"--dry-run");
        args.extend(asks.then_some("--yes"));
        let mut command = command(&server.url());
        command.current_dir(folder.path());
        if args[0] == "emulator" {
            // It serves until it is ended.
            let mut child =
                command.args(args).args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
            let first = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(first.starts_with("listening on http://127.0.0.1:"), "{shown}: {first}");
            continue;
        }
        // A new file of the archive: that of another row is there for its reader.
        if args.contains(&"--archive") {
            std::fs::remove_file(folder.path().join("bug.ndjson")).unwrap();
        }
        let output = command.args(args).output().unwrap();
        let (printed, said) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{shown}: {said}");
        assert!(!printed.is_empty() && !printed.contains(" 0 runs"), "{shown} finds nothing: {printed}{said}");
        assert!(!said.contains("no failed runs match"), "{shown}: {said}");
        assert_eq!(server.with_service(|service| service.len() < before.len()), asks, "{shown}: {printed}");
    }
}

/// The shell command of the example for Kubernetes, folded as YAML folds it.
fn command_of_the_job(root: &Path) -> String {
    let page = pages::read(root, "deploy/kubernetes-job.yaml");
    let (_, command) = page.split_once("- >-\n").unwrap();
    command.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_pods_of_the_kubernetes_example_delete_its_window_together() {
    let Some(root) = pages::root("the_pods_of_the_kubernetes_example_delete_its_window_together") else { return };
    let command = command_of_the_job(&root);
    let millis =
        |date: &str| date.parse::<jiff::civil::Date>().unwrap().to_zoned_datetime(jiff::tz::TimeZone::UTC).unwrap();
    let day = |option: &str| {
        let (_, rest) = command.split_once(option).unwrap();
        millis(rest.split(' ').next().unwrap()).timestamp().as_millisecond()
    };
    let window = day("--from ")..day("--to ") + DAY;
    let mut service = Service::new(Config::default());
    // Some of them failed before the window, and some after it.
    let before = sample::runs(300, 1, window.end + 2 * DAY);
    service.extend(before.clone());
    let server = Server::start(service, ServerOptions::default()).unwrap();
    let (folder, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pods = (0..8).map(|pod| format!("(JOB_COMPLETION_INDEX={pod}; {command})\n")).collect::<String>();
    let (code, shown, said) = paste(&format!("set -e\n{pods}"), &server.url(), folder.path(), bin.path());
    assert!(code == Some(0) && shown.lines().count() == 8, "{shown}{said}");
    let goes = |run: &&Run| has(run, "nightly") && window.contains(&run.created_at);
    let stays: BTreeSet<&str> = before.iter().filter(|run| !goes(run)).map(|run| &*run.dlq_id).collect();
    let outside = before.iter().filter(|run| has(run, "nightly") && !window.contains(&run.created_at)).count();
    assert!(outside > 0 && stays.len() < before.len(), "{outside}");
    server.with_service(|service| {
        assert_eq!(service.runs().map(|run| &*run.dlq_id).collect::<BTreeSet<_>>(), stays, "{shown}");
    });
}
