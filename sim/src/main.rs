//! `upstash-dlq-sim`: runs schedules by the million, replays one, and searches small cases.

use clap::{ArgGroup, Parser};
use std::num::ParseIntError;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;
use upstash_dlq_sim::search::Found;
use upstash_dlq_sim::{DRAW, Schedule, current_seed, replay_command, run, run_many, search, shrink};

/// Runs whole histories of upstash-dlq, each drawn from a seed: the real core, the real async driver and the real files, over a
/// simulated disk and network, in virtual time.
///
/// Exits with 0 if every promise was kept, with 1 if one was broken, and with 2 if it cannot understand its arguments.
#[derive(Parser)]
#[command(name = "upstash-dlq-sim", version)]
#[command(group = ArgGroup::new("what").required(true).args(["seeds", "seed", "search", "bugs"]))]
struct Args {
    /// Run the schedules of these seeds on all cores, from A up to, but not including, B
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,

    /// Replay the schedule of one seed, and print everything that happens
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Of that schedule, keep only the items with these numbers
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "seed")]
    only: Option<Vec<usize>>,

    /// The way of drawing that the seed was found with
    #[arg(long, value_name = "N", requires = "seed")]
    draw: Option<u32>,

    /// Try the orders of events of small cases: four runs (twelve where windows of time are tried), two lanes, three faults, one crash
    #[arg(long)]
    search: bool,

    /// The most states that are visited in each case: half of them depth first, the others in other orders
    #[arg(long, value_name = "N", default_value_t = 200_000, requires = "search")]
    states: u64,

    /// Switch each deliberate bug on, and find it (needs a build with `--cfg upstash_dlq_bugs`)
    #[arg(long)]
    bugs: bool,

    /// Find each bug without what found it the last time
    #[arg(long, requires = "bugs")]
    blind: bool,

    /// Switch one deliberate bug on (needs a build with `--cfg upstash_dlq_bugs`)
    #[arg(long, value_name = "NAME")]
    bug: Option<String>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write two numbers, such as 0..20000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error: ParseIntError| format!("{text:?}: {error}"));
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err("there is no seed in it: the second number must be greater".into()) } else { Ok(range) }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Err(sentence) = choose_bug(args.bug.as_deref(), args.bugs) {
        eprintln!("error: {sentence}");
        return ExitCode::from(2);
    }
    let is_kept = if args.bugs {
        find_bugs(args.blind)
    } else if args.search {
        search_all(args.states)
    } else if let Some(seed) = args.seed {
        replay(seed, args.only.as_deref(), args.draw)
    } else {
        run_all(args.seeds.unwrap_or_default())
    };
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_all(seeds: Range<u64>) -> bool {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        if let Some(seed) = current_seed() {
            eprintln!("replay it: {}", replay_command(seed, None));
        }
    }));
    let begin = Instant::now();
    let summary = run_many(seeds.clone(), 20, |done| {
        if done % 100_000 == 0 {
            eprintln!("{done} schedules, {:.0} s", begin.elapsed().as_secs_f64());
        }
    });
    let seconds = summary.took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = summary.schedules as f64 / seconds;
    println!(
        "{} schedules of the seeds {}..{} in {seconds:.1} s ({rate:.0} a second), {} requests: {} broke a promise",
        summary.schedules,
        seeds.start,
        seeds.end,
        summary.requests,
        summary.failures.len()
    );
    for (seed, violations) in summary.failures.iter().take(5) {
        println!("\nseed {seed}");
        violations.iter().for_each(|violation| println!("  {violation}"));
        let whole = Schedule::from_seed(*seed);
        let kept = shrink(&whole);
        if let Some(kept) = &kept {
            println!("  with {} of its {} items:", kept.len(), whole.len());
            run(&whole.only(kept), false).violations.iter().for_each(|violation| println!("  {violation}"));
        }
        println!("  replay it: {}", replay_command(*seed, kept.as_deref()));
    }
    summary.failures.is_empty()
}

fn replay(seed: u64, only: Option<&[usize]>, draw: Option<u32>) -> bool {
    match draw {
        Some(DRAW) => {}
        Some(_) => eprintln!("note: this version draws in another way, so the history may be another one"),
        None => eprintln!(
            "note: without --draw it is not checked that the seed was drawn in the way of this version, {DRAW}"
        ),
    }
    let whole = Schedule::from_seed(seed);
    let schedule = only.map_or_else(|| whole.clone(), |only| whole.only(only));
    println!("seed {seed}\n{schedule}");
    let report = run(&schedule, true);
    report.trace.iter().for_each(|line| println!("{line}"));
    println!("\n{} requests", report.requests);
    report.violations.iter().for_each(|violation| println!("BROKEN  {violation}"));
    report.violations.is_empty()
}

fn search_all(most: u64) -> bool {
    let begin = Instant::now();
    let cases = search::all(4, 3, 1);
    let found = search::in_parallel(&cases, most, |case, found| {
        let bound = if found.is_whole { "all" } else { "the first" };
        let Found { states, steps, ends, kills, violation, .. } = found;
        let broken = violation.iter().map(|violation| format!("\nBROKEN  {violation}")).collect::<String>();
        println!("{case}: {bound} {states} states, {steps} steps, {ends} ends, killed at {kills} depths{broken}");
    });
    let (mut states, mut steps, mut ends, mut whole, mut is_kept) = (0, 0, 0, 0, true);
    for found in &found {
        states += found.states;
        steps += found.steps;
        ends += found.ends;
        whole += usize::from(found.is_whole);
        is_kept &= found.violation.is_none();
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{} searches, {whole} of them whole: {states} states, {steps} steps, {ends} ends, {seconds:.0} s",
        cases.len()
    );
    is_kept
}

#[cfg(not(upstash_dlq_bugs))]
fn choose_bug(bug: Option<&str>, all: bool) -> Result<(), String> {
    match (bug, all) {
        (None, false) => Ok(()),
        _ => Err("this build has no deliberate bugs: build it with RUSTFLAGS=\"--cfg upstash_dlq_bugs\"".into()),
    }
}

#[cfg(not(upstash_dlq_bugs))]
fn find_bugs(_is_blind: bool) -> bool {
    false
}

#[cfg(upstash_dlq_bugs)]
fn choose_bug(bug: Option<&str>, _all: bool) -> Result<(), String> {
    use upstash_dlq_sim::bugs::Bug;
    let Some(name) = bug else { return Ok(()) };
    let found = Bug::ALL.iter().find(|bug| format!("{bug:?}") == name);
    Bug::choose(found.copied());
    let names: Vec<String> = Bug::ALL.iter().map(|bug| format!("{bug:?}")).collect();
    found.map(|_| ()).ok_or_else(|| format!("there is no bug {name}; there are {}", names.join(", ")))
}

/// Finds every deliberate bug, and prints a table of what found it.
#[cfg(upstash_dlq_bugs)]
fn find_bugs(is_blind: bool) -> bool {
    use upstash_dlq_sim::bugs::{Bug, find};
    std::panic::set_hook(Box::new(|_| {}));
    let begin = Instant::now();
    let (mut missed, mut new_lines) = (0, Vec::new());
    println!("| deliberate bug | found by | promises |\n|---|---|---|");
    for bug in Bug::ALL {
        match find(*bug, is_blind) {
            Some(found) => {
                println!("| {} | {} | {} |", bug.what(), found.by, found.promises);
                new_lines.extend(found.new_line);
            }
            None => {
                missed += 1;
                println!("| {} | **not found** | |", bug.what());
            }
        }
    }
    println!("\n{} bugs, {missed} not found, {:.0} s", Bug::ALL.len(), begin.elapsed().as_secs_f64());
    if !new_lines.is_empty() {
        println!(
            "\nsim/src/bugs.txt does not have these lines yet. Put each in, in place of the one with the same name:"
        );
        new_lines.iter().for_each(|line| println!("{line}"));
    }
    missed == 0
}
