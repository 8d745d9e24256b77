//! `upstash-dlq completions`: a completion script for a shell.

use crate::cli::Cli;
use crate::exit::{CommandError, ExitStatus};
use crate::output::terminal::print_bytes;
use clap::CommandFactory;
use clap_complete::Shell;

pub(crate) fn run(shell: Shell) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "upstash-dlq", &mut script);
    if shell == Shell::Bash {
        script = one_name(&script);
    }
    print_bytes(&script)?;
    Ok(ExitStatus::Success)
}

/// clap_complete (4.6.11) gives the command two names if its own has a hyphen: one where the script looks for the subcommand,
/// another where it looks for that one's options, so it finds none (<https://github.com/clap-rs/clap/issues/6421>).
fn one_name(script: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(script).replace("upstash__subcmd__dlq", "upstash__dlq").into_bytes()
}
