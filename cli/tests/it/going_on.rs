//! Going on from a checkpoint: nothing twice, and nothing that was not asked for.

use crate::common::{NEWEST, command, json, run, text};
use http::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use upstash_dlq_emulator::{Config, Fault, FaultPlan, Server, ServerOptions, Service, sample};

pub(crate) fn serve(runs: usize, config: Config) -> Server {
    serve_after(Duration::from_millis(10), runs, config)
}

fn serve_after(latency: Duration, runs: usize, config: Config) -> Server {
    let mut service = Service::new(config);
    sample::runs(runs, 1, NEWEST).into_iter().for_each(|run| service.insert(run));
    Server::start(service, ServerOptions::default().latency(latency)).unwrap()
}

/// A server of 150 runs that loses the first two of three requests of fifty. They are in flight together: a response takes long.
pub(crate) fn serve_two_in_doubt() -> Server {
    let server = serve_after(Duration::from_secs(1), 150, Config::default());
    let script = vec![Some(Fault::LostRequest), Some(Fault::LostRequest)];
    server.with_service(|service| service.set_faults(FaultPlan::script(script).only(Method::POST)));
    server
}

/// Starts it, and interrupts it when so many requests have come. The server asks for a wait after those, so it cannot end
/// before it is told, however late that is.
pub(crate) fn interrupted(server: &Server, args: &[&str], requests: u64) -> Output {
    let before = server.with_service(|service| service.requests_total());
    let served = usize::try_from(requests).unwrap();
    waiting_after(server, FaultPlan::script, served);
    interrupted_when(server, args, |service| service.requests_total() >= before + requests)
}

/// The same, when so many requests have started runs.
pub(crate) fn interrupted_after_starts(server: &Server, args: &[&str], requests: usize) -> Output {
    let before = server.with_service(|service| service.started().count());
    waiting_after(server, |script| FaultPlan::script(script).only(Method::POST), requests);
    interrupted_when(server, args, |service| service.started().count() > before)
}

/// After so many requests, each of up to sixteen lanes is asked to wait.
fn waiting_after(server: &Server, plan: impl Fn(Vec<Option<Fault>>) -> FaultPlan, served: usize) {
    let mut script = vec![None; served];
    script.resize(served + 16, Some(Fault::TooManyRequests { retry_after_s: Some(60) }));
    server.with_service(|service| service.set_faults(plan(script)));
}

fn interrupted_when(server: &Server, args: &[&str], reached: impl Fn(&Service) -> bool) -> Output {
    // A file, because nobody reads a pipe before the interrupt, and a full one would stop the command.
    let mut stdout = tempfile::tempfile().unwrap();
    let mut child =
        command(&server.url()).args(args).stdout(stdout.try_clone().unwrap()).stderr(Stdio::piped()).spawn().unwrap();
    while !server.with_service(|service| reached(service)) {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::yield_now();
    }
    // One that has ended meanwhile is not there to be told.
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status().unwrap();
    let mut output = child.wait_with_output().unwrap();
    server.with_service(|service| service.set_faults(FaultPlan::none()));
    stdout.rewind().unwrap();
    stdout.read_to_end(&mut output.stdout).unwrap();
    output
}

/// On a server where started runs stay listed, whatever is begun again starts them again.
#[test]
#[cfg(unix)]
fn an_interrupted_resume_starts_no_run_twice() {
    // On many lanes everything is listed first: the first two interruptions of those are in the listing.
    for (lanes, runs, listing) in [("1", 600, 0), ("4", 3_000, 2)] {
        let server = serve(runs, Config::default().started_runs_stay(true));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("position");
        let args = ["resume", "--all", "--yes", "--json", "--parallel", lanes, "--checkpoint", file.to_str().unwrap()];
        for n in 0..listing + 4 {
            let output =
                if n < listing { interrupted(&server, &args, 20) } else { interrupted_after_starts(&server, &args, 1) };
            assert_eq!(output.status.code(), Some(130), "{n}: {}", text(&output.stderr));
        }
        let output = run(&server.url(), &args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(json(&output)["resumed"].as_u64(), Some(runs as u64));
        let mut starts: BTreeMap<String, u32> = BTreeMap::new();
        server.with_service(|service| {
            service.started().for_each(|run| *starts.entry(run.dlq_id.clone()).or_default() += 1);
        });
        assert!(starts.values().all(|times| *times == 1), "started twice");
        assert_eq!(starts.len(), runs);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// One flag of a file of ids made it a delete of everything before a date.
#[test]
#[cfg(unix)]
fn a_changed_file_is_refused_and_nothing_is_sent() {
    let server = serve(900, Config::default());
    let folder = tempfile::tempdir().unwrap();
    let (file, ids) = (folder.path().join("position"), folder.path().join("ids"));
    let lines: Vec<String> = server.with_service(|service| service.runs().map(|run| run.dlq_id.clone()).collect());
    std::fs::write(&ids, lines[..800].join("\n")).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let by_ids = ["delete", "--ids-from", &path(&ids), "--yes", "--json", "--parallel=1", "--checkpoint", &path(&file)]
        .map(str::to_owned);
    let by_label =
        ["delete", "--label", "nightly", "--page-size", "3", "--yes", "--json", "--checkpoint", &path(&file)]
            .map(str::to_owned);
    for args in [by_ids.to_vec(), by_label.to_vec()] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = interrupted(&server, &args, 1);
        assert!(file.exists(), "it was not interrupted: {}", text(&output.stderr));
        let saved = std::fs::read_to_string(&file).unwrap();
        let requests = || server.with_service(|service| service.requests_total());
        let before = requests();
        for (from, to) in
            [("true", "false"), ("\"lanes\":", "\"lane\":"), ("\"requests\":", "\"requests\":1"), ("t\":\"", "t\":\"0")]
        {
            assert!(saved.contains(from), "{from} in {saved}");
            std::fs::write(&file, saved.replacen(from, to, 1)).unwrap();
            let output = run(&server.url(), &args);
            assert_eq!(output.status.code(), Some(2), "{from}: {}", text(&output.stderr));
            assert_eq!(requests(), before, "sent");
        }
        std::fs::write(&file, &saved).unwrap();
        assert_eq!(run(&server.url(), &args).status.code(), Some(0));
        assert!(!file.exists());
    }
}

/// This program wrote it: it belongs to another selection, not to another program.
#[test]
#[cfg(unix)]
fn a_file_of_lanes_is_not_for_ids() {
    let server = serve(900, Config::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let file = file.to_str().unwrap();
    interrupted(&server, &["delete", "--all", "--yes", "--page-size", "10", "--checkpoint", file], 2);
    let saved = std::fs::read_to_string(file).unwrap();
    let requests = server.with_service(|service| service.requests_total());
    let output = run(&server.url(), &["delete", "a-0", "--yes", "--json", "--checkpoint", file]);
    let reason = json(&output)["reason"].as_str().unwrap().to_owned();
    assert_eq!(output.status.code(), Some(2), "{reason}");
    assert!(reason.contains("another endpoint, selection") && !reason.contains("version"), "{reason}");
    assert_eq!(server.with_service(|service| service.requests_total()), requests);
    assert_eq!(std::fs::read_to_string(file).unwrap(), saved);
}

/// A listing that lags a request behind its deletions is looked at again.
#[test]
fn an_archive_outlasts_a_listing_that_lags() {
    for lag in [1, 3] {
        let server = serve(150, Config::default().listing_lag(lag));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kept.ndjson");
        let args = ["delete", "--all", "--yes", "--json", "--archive", file.to_str().unwrap()];
        let output = run(&server.url(), &args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(json(&output)["archived"].as_u64(), Some(150));
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 150);
        assert!(server.with_service(|service| service.is_empty()));
    }
}

/// A lane halts while the page of another is on its way. What that brings is in the file, and in the count.
#[test]
fn the_count_of_an_archive_is_that_of_its_file() {
    std::thread::scope(|scope| {
        for position in 3..12 {
            scope.spawn(move || the_count_is_that_of_the_file_after_a_fault_at(position));
        }
    });
}

fn the_count_is_that_of_the_file_after_a_fault_at(position: usize) {
    let slow = Some(Fault::Slow { ms: 300 });
    let server = serve(2_000, Config::default());
    let mut script = vec![None; position];
    script.extend([slow, Some(Fault::Html), slow, slow]);
    server.with_service(|service| service.set_faults(FaultPlan::script(script)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.ndjson");
    let args = ["delete", "--all", "--yes", "--json", "--parallel", "4", "--page-size", "50", "--max-attempts", "1"];
    let output = run(&server.url(), &[&args[..], &["--archive", file.to_str().unwrap()]].concat());
    assert_ne!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let lines = std::fs::read_to_string(&file).unwrap().lines().count() as u64;
    assert_eq!(json(&output)["archived"].as_u64(), Some(lines), "a fault after {position} requests");
}

/// The last position cannot be written, because somebody has taken the lock away. The one before it is kept, and the report names it.
#[test]
fn a_report_names_the_checkpoint_that_is_kept() {
    let server = serve(2_000, Config::default());
    server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::Slow { ms: 200 }); 40])));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["delete", "--all", "--yes", "--json", "--page-size", "50", "--checkpoint", file.to_str().unwrap()];
    let child = command(&server.url()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while server.with_service(|service| service.requests_total()) < 2 {
        std::thread::yield_now();
    }
    std::fs::remove_file(folder.path().join(".position.lock")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(json(&output)["checkpoint"].as_str(), file.to_str(), "{}", text(&output.stderr));
}

/// Also where nothing was stored, because it ended before.
#[test]
fn an_archive_that_was_not_begun_is_counted() {
    let server = serve(5, Config::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept.ndjson");
    let file = file.to_str().unwrap();
    let missing = folder.path().join("missing/kept.ndjson");
    for file in [file, missing.to_str().unwrap()] {
        let delete = ["delete", "--all", "--json"];
        let output =
            command(&server.url()).args(delete).args(["--archive", file]).stdin(Stdio::null()).output().unwrap();
        let archived = json(&output)["archived"].as_u64();
        assert_eq!((output.status.code(), archived), (Some(2), Some(0)), "{}", text(&output.stderr));
    }
}

/// A request that a killed process left in flight was shown to nobody, so no settlement can mean it, also if the same command is run
/// again to the letter.
#[test]
fn a_settlement_settles_only_what_was_shown() {
    let server = serve(150, Config::default());
    let script = vec![Some(Fault::LostResponse), Some(Fault::Silent)];
    server.with_service(|service| service.set_faults(FaultPlan::script(script).only(Method::POST)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["resume", "--all", "--yes", "--json", "--parallel", "1", "--checkpoint", file.to_str().unwrap()];
    let requests = || server.with_service(|service| service.requests_total());
    let first = run(&server.url(), &args);
    assert!(text(&first.stderr).contains("up to 50 runs were started"), "{}", text(&first.stderr));
    let (settled, before) = ([&args[..], &["--settle", "applied"]].concat(), requests());
    let mut child = command(&server.url()).args(&settled).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while requests() == before {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (left, sent) = (server.with_service(|service| service.len()), requests());
    let again = run(&server.url(), &settled);
    let error = text(&again.stderr);
    assert_eq!((again.status.code(), requests()), (Some(3), sent), "{error}");
    for part in [
        "an earlier process ended",
        "whether up to 50 runs were started",
        "again with --settle to continue",
        "--settle is left out",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Now it is shown.
    let really = if left == 100 { "not-applied" } else { "applied" };
    let last = run(&server.url(), &[&args[..], &["--settle", really]].concat());
    assert_eq!(last.status.code(), Some(0), "{}", text(&last.stderr));
    let started: BTreeSet<String> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
    assert_eq!((started.len(), server.with_service(|s| s.started().count())), (150, 150));
}

/// The process is killed after it has settled one request, and before it has told of the next one. The same command line must not
/// settle that one.
#[test]
#[cfg(unix)]
fn a_settlement_that_is_given_again_settles_no_other_request() {
    let server = serve_two_in_doubt();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = ["resume", "--all", "--yes", "--json", "--parallel", "3", "--checkpoint", file.to_str().unwrap()];
    let first = run(&server.url(), &args);
    assert!(text(&first.stderr).contains("2 requests are in doubt"), "{}", text(&first.stderr));
    let settled = [&args[..], &["--settle", "not-applied"]].concat();
    let position = || std::fs::read_to_string(&file).unwrap();
    let before = position();
    assert_eq!((before.matches("\"shown\"").count(), before.matches("\"in-doubt\"").count()), (1, 1), "{before}");
    // Nobody reads its result, so it cannot tell.
    let (_reader, full) = full_pipe();
    let mut child = command(&server.url()).args(&settled).stdout(full).stderr(Stdio::null()).spawn().unwrap();
    while position() == before {
        assert!(child.try_wait().unwrap().is_none(), "it has told");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!position().contains("shown"), "{}", position());
    let requests = || server.with_service(|service| service.requests_total());
    let sent = requests();
    let again = run(&server.url(), &settled);
    let error = text(&again.stderr);
    assert_eq!((again.status.code(), requests()), (Some(3), sent), "{error}");
    assert!(error.contains("--settle is left out") && error.contains("up to 50 runs were started"), "{error}");
    // Now it is shown.
    let last = run(&server.url(), &settled);
    assert_eq!(last.status.code(), Some(0), "{}", text(&last.stderr));
    let started: BTreeSet<String> = server.with_service(|s| s.started().map(|run| run.dlq_id.clone()).collect());
    assert_eq!((started.len(), server.with_service(|s| s.started().count())), (150, 150));
}

/// A reader that reads nothing, and a writer that takes nothing more.
#[cfg(unix)]
pub(crate) fn full_pipe() -> (std::os::unix::net::UnixStream, std::os::fd::OwnedFd) {
    use std::io::Write;
    let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    writer.set_nonblocking(false).unwrap();
    (reader, writer.into())
}

/// Whatever ends a command as complete, its checkpoint that cannot be removed is told: the next command would continue from it.
#[test]
fn a_checkpoint_that_stays_is_told() {
    let args = ["delete", "--all", "--yes", "--json", "--quiet", "--page-size", "20", "--parallel", "1"];
    let requests = json(&run(&serve(200, Config::default()).url(), &args))["requests"].as_u64().unwrap();
    let server = serve(200, Config::default());
    let mut script = vec![None; usize::try_from(requests).unwrap() - 1];
    script.push(Some(Fault::Slow { ms: 1_000 }));
    server.with_service(|service| service.set_faults(FaultPlan::script(script)));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let args = [&args[..], &["--checkpoint", file.to_str().unwrap()]].concat();
    let child = command(&server.url()).args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The last request finds nothing left.
    while server.with_service(|service| service.requests_total()) < requests {
        std::thread::yield_now();
    }
    std::fs::remove_file(folder.path().join(".position.lock")).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), json(&output)["checkpoint"].as_str()), (Some(0), file.to_str()), "{error}");
    assert!(error.contains("error: --checkpoint: ") && error.contains("/position by hand") && file.exists(), "{error}");
}

/// The position that is on disk is an earlier one. It holds a request as in flight that was answered since, and people learn that.
#[test]
#[cfg(unix)]
fn an_earlier_position_is_told_as_one() {
    std::thread::scope(|scope| {
        for quiet in [false, true] {
            scope.spawn(move || an_earlier_position_is_told(quiet));
        }
    });
}

fn an_earlier_position_is_told(quiet: bool) {
    let server = serve(1_000, Config::default());
    server.with_service(|service| service.set_faults(FaultPlan::script(vec![Some(Fault::Slow { ms: 1_500 })])));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("position");
    let mut args =
        vec!["resume", "--all", "--yes", "--json", "--parallel", "1", "--checkpoint", file.to_str().unwrap()];
    args.extend(quiet.then_some("--quiet"));
    let child = command(&server.url()).args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while server.with_service(|service| service.requests_total()) == 0 {
        std::thread::yield_now();
    }
    // In the way of the next position.
    std::fs::create_dir(folder.path().join(".position.tmp")).unwrap();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let (error, report) = (text(&output.stderr), json(&output));
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains("interrupted; --checkpoint: ") && error.contains("cannot be written"), "{error}");
    assert!(report["reason"].as_str().unwrap().contains("cannot be written"), "{report}");
    let earlier = "an earlier position is in ";
    let asks = "again to continue; it may first ask about requests that were answered since";
    assert!(quiet || (error.contains(earlier) && error.contains(asks)), "{error}");
}

/// The same command would take its maximum anew: what is left of it is said.
#[test]
#[cfg(unix)]
fn what_is_left_of_a_maximum_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.ndjson");
    for archive in [&[][..], &["--archive", kept.to_str().unwrap()]] {
        let server = serve(600, Config::default());
        let args = ["delete", "--all", "--yes", "--json", "--max", "400", "--page-size", "20", "--parallel", "1"];
        let output = interrupted(&server, &[&args[..], archive].concat(), 6);
        let deleted = json(&output)["deleted"].as_u64().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{error}");
        assert!(error.contains(&format!("; --max={} keeps to the maximum", 400 - deleted)), "{error}");
    }
    // By ids, the same command begins with the same ones.
    let server = serve(600, Config::default());
    let ids: Vec<String> = server.with_service(|service| service.runs().map(|run| run.dlq_id.clone()).collect());
    let file = folder.path().join("ids");
    std::fs::write(&file, ids.join("\n")).unwrap();
    let args =
        ["delete", "--ids-from", file.to_str().unwrap(), "--yes", "--max", "400", "--archive", kept.to_str().unwrap()];
    let error = text(&interrupted(&server, &args, 6).stderr);
    assert!(error.contains("run the same command again to continue") && !error.contains("maximum"), "{error}");
}
