//! What was measured on, for the results.

use std::process::Command;

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
    output.map_or_else(|| "not there".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(crate) fn description() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": not known");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    format!(
        "- Processor: {}, {cores} cores seen\n- System: {}\n- {}\n- Node.js: {}\n- Revision: {}\n",
        cpu.trim_start_matches([':', ' ', '\t']),
        said("uname", &["-sr"]),
        said("rustc", &["--version"]),
        said("node", &["--version"]),
        revision(),
    )
}

pub(crate) fn revision() -> String {
    said("git", &["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short", "HEAD"])
}
