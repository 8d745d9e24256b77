//! `upstash-dlq completions`: a completion script for a shell.

use crate::cli::Cli;
use crate::exit::{CommandError, ExitStatus};
use crate::output::terminal::print_bytes;
use clap::CommandFactory;
use clap_complete::Shell;

pub(crate) fn run(shell: Shell) -> Result<ExitStatus, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "upstash-dlq", &mut script);
    print_bytes(&script)?;
    Ok(ExitStatus::Success)
}
