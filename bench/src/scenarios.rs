//! What is measured, and how it is written down.

use crate::picture::{Line, chart};
use crate::process::{Cost, Server, cli, client, delete, least, measure, root};
use crate::{machine, micro, server, triage};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

pub(crate) fn all() {
    let cli = cli();
    let (lanes, picture) = lanes(&cli);
    let text = format!(
        "# Results\n\nWritten by `cargo run --release --manifest-path bench/Cargo.toml`: do not edit. Each table compares within one run.\n\n\
         {}\n## One page, without a network\n\n{}\n## Processor time and memory, one lane\n\n{}\n## Many lanes\n\n{}\n\
         ![time against lanes](lanes.svg)\n\n## The careful ways\n\n{}\n## Counting on many lanes\n\n{}\n## Why runs failed\n\n{}\n## Memory\n\n{}\n## Start-up and size\n\n{}",
        machine::description(),
        micro::table(),
        cpu(&cli),
        lanes,
        careful(&cli),
        fixed(&cli),
        in_own_process("triage"),
        in_own_process("memory"),
        startup(&cli)
    );
    let folder = root().join("bench/results");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("RESULTS.md"), &text).unwrap();
    std::fs::write(folder.join("lanes.svg"), picture).unwrap();
    print!("{text}");
}

/// The kernel counts to a process what its parent held when it was started, and by now that is much.
fn in_own_process(part: &str) -> String {
    let mut own = Command::new(std::env::current_exe().unwrap());
    let output = own.arg(part).stderr(std::process::Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{part}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn part(name: &str) {
    print!("{}", measured(name));
}

/// Measures one part, and writes it in the place of its section of the results.
pub(crate) fn write_part(name: &str) {
    let title = match name {
        "careful" => "The careful ways",
        "fixed" => "Counting on many lanes",
        "memory" => "Memory",
        "triage" => "Why runs failed",
        other => panic!("{other} is not written alone: careful, fixed, memory, triage"),
    };
    // Before the measurement: what is measured is built first.
    let revision = machine::revision();
    let text = format!("## {title}\n\n{}\nMeasured alone, at revision {revision}.\n", measured(name));
    let path = root().join("bench/results/RESULTS.md");
    let results = std::fs::read_to_string(&path).unwrap();
    let is_section = |at: &str| results.find(&format!("\n## {at}\n")).map(|at| at + 1);
    let start = is_section(title).expect("run it once without arguments");
    let end = results[start + 1..].find("\n## ").map_or(results.len(), |at| start + at + 2);
    let (before, after) = (&results[..start], &results[end..]);
    std::fs::write(&path, format!("{before}{text}\n{after}")).unwrap();
    print!("{text}");
}

fn measured(name: &str) -> String {
    let cli = cli();
    match name {
        "micro" => micro::table(),
        "cpu" => cpu(&cli),
        "lanes" => lanes(&cli).0,
        "careful" => careful(&cli),
        "fixed" => fixed(&cli),
        "triage" => triage::table(&cli),
        "memory" => memory(&cli),
        "startup" => startup(&cli),
        other => panic!("{other} is not measured: micro, cpu, lanes, careful, fixed, triage, memory, startup"),
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// One million runs in 10,000 pages, interleaved, the least of each.
fn cpu(cli: &PathBuf) -> String {
    const PAGES: u64 = 10_000;
    const ROUNDS: usize = 7;
    let server = Server::start();
    let node = node_loop(&server);
    let kinds = ["bare-ureq", "ours-ureq", "the command", "bare-reqwest", "ours-reqwest"];
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); kinds.len()];
    for _ in 0..ROUNDS {
        for (at, kind) in kinds.iter().enumerate() {
            server.reset(PAGES * 100, "even", 0);
            let mut command = match *kind {
                "the command" => delete(cli, &server, &["--parallel", "1", "--no-verify"]),
                kind => client(kind, &server, &[]),
            };
            costs[at].push(measure(&mut command));
            assert!(server.requests().abs_diff(PAGES) <= 1);
        }
    }
    server.reset(PAGES * 100, "even", 0);
    let raw = measure(&mut client("raw", &server, &[PAGES.to_string()]));
    let least: Vec<Cost> = costs.into_iter().map(least).collect();
    let mut table = format!(
        "{} runs in {PAGES} pages, no latency, the least of {ROUNDS} interleaved runs; user and system time of the whole process.\n\
         The server alone, asked by a loop over a bare socket, takes {:.3} ms a page.\n\n\
         | client | ms of CPU a page | against the bare loop | peak memory, MB |\n|---|--:|--:|--:|\n",
        PAGES * 100,
        raw.wall.as_secs_f64() * 1e3 / PAGES as f64
    );
    let a_page = |cost: &Cost| cost.cpu.as_secs_f64() * 1e3 / PAGES as f64;
    for (at, kind) in kinds.iter().enumerate() {
        let bare = if at < 3 { &least[0] } else { &least[3] };
        let against = a_page(&least[at]) / a_page(bare);
        writeln!(table, "| {kind} | {:.4} | {against:.2} | {:.1} |", a_page(&least[at]), megabytes(least[at].memory))
            .unwrap();
    }
    if let Some(mut node) = node {
        let costs = (0..3).map(|_| {
            server.reset(PAGES * 100, "even", 0);
            measure(&mut node)
        });
        let cost = crate::process::least(costs);
        writeln!(table, "| the official JavaScript client | {:.4} | | {:.1} |", a_page(&cost), megabytes(cost.memory))
            .unwrap();
        writeln!(
            table,
            "\nThe command costs {:.1} times less CPU a page than the official JavaScript client.",
            a_page(&cost) / a_page(&least[2])
        )
        .unwrap();
    } else {
        table.push_str("\nNode.js or its client is not here: run emulator/interop/run.sh once.\n");
    }
    table
}

fn node_loop(server: &Server) -> Option<Command> {
    let there = root().join("emulator/interop/node_modules/@upstash/workflow").exists();
    there.then(|| {
        let mut command = Command::new("node");
        command.arg(root().join("bench/js/loop.mjs")).arg(&server.url);
        command
    })
}

const LANES: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The command's time against lanes, for both shapes and several latencies.
fn lanes(cli: &PathBuf) -> (String, String) {
    let server = Server::start();
    let mut table = String::from(
        "Seconds of the command, and how many times as fast as one lane; pages of 100, with the verification pass.\n\
         *Even*: spread over ninety days. *Peak*: 99 % within one hour of them.\n\n| latency, shape, pages |",
    );
    for lanes in LANES {
        write!(table, " {lanes} |").unwrap();
    }
    table.push_str(" requests, 1 → 16 |\n|---|");
    table.push_str(&"--:|".repeat(LANES.len() + 1));
    table.push('\n');
    let mut lines = Vec::new();
    for shape in ["even", "peak"] {
        for (latency, pages) in [(0, 4_000), (5, 1_000), (20, 1_000), (100, 300)] {
            let mut points = Vec::new();
            let mut requests = Vec::new();
            write!(table, "| {latency} ms, {shape}, {pages} |").unwrap();
            for lanes in LANES {
                server.reset(pages * 100, shape, latency);
                let seconds =
                    measure(&mut delete(cli, &server, &["--parallel", &lanes.to_string()])).wall.as_secs_f64();
                points.push((lanes as f64, seconds));
                requests.push(server.requests());
                write!(table, " {seconds:.2} s, {:.1}× |", points[0].1 / seconds).unwrap();
            }
            writeln!(table, " {} → {} |", requests[0], requests[4]).unwrap();
            eprintln!("{shape} {latency} ms done");
            lines.push(Line { name: format!("{latency} ms, {shape}"), points });
        }
    }
    // As many pages as the most lanes need.
    for shape in ["even", "peak"] {
        let [one, most] = [1, 64].map(|lanes: u64| {
            server.reset(400_000, shape, 20);
            let cost = measure(&mut delete(cli, &server, &["--parallel", &lanes.to_string()]));
            (cost.wall.as_secs_f64(), server.requests())
        });
        let (times, requests) = (one.0 / most.0, most.1 as f64 / one.1 as f64);
        writeln!(table, "\n4000 pages, 20 ms, {shape}: one lane {:.2} s, 64 lanes {:.2} s, {times:.1}×, {requests:.2} times the requests.", one.0, most.0).unwrap();
    }
    // What windows chosen by somebody who knows where the runs lie reach.
    for shape in ["even", "peak"] {
        server.reset(100_000, shape, 20);
        let ends = oracle_windows(shape, 16);
        let cost = measure(&mut client("oracle", &server, &ends));
        writeln!(
            table,
            "\n16 windows chosen by an oracle, 20 ms, {shape}, 1000 pages, without the verification pass: {:.2} s.",
            cost.wall.as_secs_f64()
        )
        .unwrap();
    }
    (table, chart("Seconds to delete everything, against lanes", "lanes", "seconds", &lines))
}

fn oracle_windows(shape: &str, lanes: i64) -> Vec<String> {
    let start = server::newest() - 90 * 86_400_000;
    let ends: Vec<i64> = match shape {
        "even" => (0..=lanes).map(|n| start + 90 * 86_400_000 * n / lanes).collect(),
        _ => {
            let hour = server::newest() - 33 * 86_400_000;
            let inner = (1..lanes).map(|n| hour + 3_600_000 * n / lanes);
            [start].into_iter().chain(inner).chain([server::newest()]).collect()
        }
    };
    ends.iter().enumerate().map(|(at, end)| (end + i64::from(at + 1 == ends.len())).to_string()).collect()
}

/// What keeps, looks at, or is told each run before it deletes, against what deletes at once.
fn careful(cli: &PathBuf) -> String {
    const LANES: [&str; 3] = ["1", "4", "16"];
    let server = Server::start();
    let mut table = String::from(
        "Seconds of the command at 20 ms of latency, how many times as fast as one lane, and requests. An archive is synced \
         to the disk before its runs are deleted.\n\n| what, shape, runs | 1 | 4 | 16 |\n|---|--:|--:|--:|\n",
    );
    let folder = std::env::temp_dir().join(format!("upstash-dlq-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (archive, ids) = (folder.join("kept.ndjson"), folder.join("ids"));
    let (to_archive, from_ids) = (format!("--archive={}", archive.display()), format!("--ids-from={}", ids.display()));
    let kinds: [(&str, Vec<&str>, &str, u64); 7] = [
        ("delete --all", vec!["--all"], "even", 100_000),
        ("delete --all --archive", vec!["--all", &to_archive], "even", 100_000),
        ("delete --all --archive", vec!["--all", &to_archive], "peak", 100_000),
        ("delete --status", vec!["--status=500"], "even", 100_000),
        ("delete --status --archive", vec!["--status=500", &to_archive], "even", 100_000),
        ("delete --ids-from", vec![&from_ids], "even", 100_000),
        ("delete --ids-from --archive", vec![&from_ids, &to_archive], "even", 2_000),
    ];
    for (name, args, shape, runs) in kinds {
        write!(table, "| {name}, {shape}, {runs} |").unwrap();
        let mut one = None;
        for lanes in LANES {
            server.reset(runs, shape, 20);
            write_ids(&ids, runs);
            let _ = std::fs::remove_file(&archive);
            let mut command = Command::new(cli);
            command.args(["delete", "--yes", "--quiet", "--parallel", lanes]).args(&args);
            let cost = measure(command.env("QSTASH_URL", &server.url).env("QSTASH_TOKEN", "token"));
            let seconds = cost.wall.as_secs_f64();
            let times = *one.get_or_insert(seconds) / seconds;
            write!(table, " {seconds:.2} s, {times:.1}×, {} |", server.requests()).unwrap();
        }
        table.push('\n');
        eprintln!("{name} {shape} done");
    }
    let _ = std::fs::remove_dir_all(folder);
    table
}

/// What gets windows that stay as they are.
fn fixed(cli: &PathBuf) -> String {
    const LANES: [&str; 4] = ["1", "4", "16", "64"];
    let server = Server::start();
    let mut table = String::from(
        "Seconds of the command at 20 ms of latency, how many times as fast as one lane, and requests; windows are found \
         by listing, and stay as they are then. `stats` lists 1000 pages of 100.\n\n\
         | what, shape | 1 | 4 | 16 | 64 |\n|---|--:|--:|--:|--:|\n",
    );
    for (args, runs) in [(&["stats", "--quiet"][..], 100_000)] {
        for shape in ["even", "peak"] {
            write!(table, "| {}, {shape} |", args[0]).unwrap();
            let mut one = None;
            for lanes in LANES {
                server.reset(runs, shape, 20);
                let mut command = Command::new(cli);
                command.args(args).args(["--parallel", lanes]);
                let cost = measure(command.env("QSTASH_URL", &server.url).env("QSTASH_TOKEN", "token"));
                let seconds = cost.wall.as_secs_f64();
                let times = *one.get_or_insert(seconds) / seconds;
                write!(table, " {seconds:.2} s, {times:.1}×, {} |", server.requests()).unwrap();
            }
            table.push('\n');
            eprintln!("{} {shape} done", args[0]);
        }
    }
    table
}

/// Peak memory of the command for ever more runs.
fn memory(cli: &PathBuf) -> String {
    let server = Server::start();
    let mut table = String::from(
        "Peak memory of the command in MB.\n\n| what | 10,000 runs | 100,000 | 1,000,000 | 10,000,000 |\n|---|--:|--:|--:|--:|\n",
    );
    let folder = std::env::temp_dir().join("upstash-dlq-bench-ids");
    let kinds = ["delete, 1 lane", "delete, 4 lanes", "delete, 16 lanes", "list --json", "stats", "delete --ids-from"];
    for kind in kinds {
        write!(table, "| {kind} |").unwrap();
        for runs in [10_000_u64, 100_000, 1_000_000, 10_000_000] {
            server.reset(runs, "even", 0);
            let with = |args: &[&str]| {
                let mut command = Command::new(cli);
                command.args(args).env("QSTASH_URL", &server.url).env("QSTASH_TOKEN", "token");
                command
            };
            let mut command = match kind {
                "list --json" => with(&["list", "--json", "--quiet"]),
                "stats" => with(&["stats", "--quiet"]),
                "delete --ids-from" => {
                    write_ids(&folder, runs);
                    with(&["delete", "--yes", "--quiet", "--ids-from", folder.to_str().unwrap()])
                }
                kind => delete(cli, &server, &["--parallel", kind.split([' ', ',']).nth(2).unwrap()]),
            };
            let cost = measure(&mut command);
            write!(table, " {:.1} |", megabytes(cost.memory)).unwrap();
            eprintln!("{kind} {runs}: {:.1} MB, {:.1} s", megabytes(cost.memory), cost.wall.as_secs_f64());
        }
        table.push('\n');
    }
    let _ = std::fs::remove_file(folder);
    table
}

fn write_ids(path: &PathBuf, runs: u64) {
    use std::io::Write;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for n in 0..runs {
        writeln!(file, "1752829295505-{n}").unwrap();
    }
}

fn startup(cli: &PathBuf) -> String {
    let costs = (0..50).map(|_| measure(Command::new(cli).arg("--version")));
    let fastest = least(costs);
    format!(
        "`upstash-dlq --version` takes {:.1} ms (the least of 50). The release binary has {:.2} MB.\n",
        fastest.wall.as_secs_f64() * 1e3,
        megabytes(std::fs::metadata(cli).unwrap().len())
    )
}
