//! Makes a failing schedule smaller, and says how to replay what is left.

use crate::draw::DRAW;
use crate::history::run;
use crate::schedule::Schedule;

/// The items that are enough for a schedule to break the same promise, by their numbers in the whole. `None` if it breaks none.
pub fn shrink(schedule: &Schedule) -> Option<Vec<usize>> {
    let broken = |kept: &[usize]| run(&schedule.only(kept), false).promises();
    let mut kept: Vec<usize> = (0..schedule.len()).collect();
    let wanted = broken(&kept).into_iter().next()?;
    let fails = |kept: &[usize]| broken(kept).contains(&wanted);
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < kept.len() {
            let without: Vec<usize> =
                kept.iter().enumerate().filter(|(n, _)| !(at..at + chunk).contains(n)).map(|(_, item)| *item).collect();
            if without.len() < kept.len() && fails(&without) {
                kept = without;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    Some(kept)
}

/// The command that replays a seed, with these items of its schedule or with all of them.
pub fn replay_command(seed: u64, kept: Option<&[usize]>) -> String {
    let numbers = kept.map(|kept| kept.iter().map(usize::to_string).collect::<Vec<_>>().join(","));
    let only = numbers.map_or(String::new(), |numbers| format!(" --only {numbers}"));
    format!("cargo run --profile sim -p upstash-dlq-sim -- --seed {seed}{only} --draw {DRAW}")
}
