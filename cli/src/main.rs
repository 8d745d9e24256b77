//! `upstash-dlq`: see `--help`.
#![allow(
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags,
    reason = "the documentation of the arguments is their help, read in a terminal"
)]

mod bulk;
mod cli;
mod commands;
mod context;
mod input;
mod interrupt;
mod listing;
mod output;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use cli::{Cli, Command};
use output::failure::Failure;
use output::terminal::{self, Lost, Terminal};
use std::process::ExitCode;

/// How a command ends that only prints.
fn told(terminal: Terminal, printed: Result<(), Lost>) -> ExitCode {
    printed.map_or_else(|lost| output::failure::lost(terminal, lost, 1), |()| ExitCode::SUCCESS)
}

/// The same as one line, for programs.
fn wrong_usage_as_json(wrong: &clap::Error) -> ExitCode {
    let sentence = if wrong.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        "no command is given: see --help".to_owned()
    } else {
        let plain = wrong.render().to_string();
        let paragraphs = plain.strip_prefix("error: ").unwrap_or(&plain).split("\n\n");
        let told =
            paragraphs.take_while(|text| !text.starts_with("Usage:") && !text.starts_with("For more information"));
        let joined = told.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        joined.collect::<Vec<_>>().join("; ")
    };
    Failure::usage(sentence).tell(Terminal::JSON)
}

/// In clap's words and colours, unless what it repeats of the command line would steer the terminal.
fn wrong_usage(wrong: &clap::Error) -> ExitCode {
    let plain = wrong.render().to_string();
    let lines: Vec<String> = plain.lines().map(terminal::escaped).collect();
    if lines.iter().zip(plain.lines()).all(|(escaped, line)| escaped == line) {
        // Nobody is left to tell when standard error is gone.
        let _ = wrong.print();
    } else {
        Terminal::show(&lines);
    }
    ExitCode::from(2)
}

fn main() -> ExitCode {
    // Known before the command line is understood, for what is said when it is not.
    let command = Cli::command().color(cli::colour(std::env::args_os()));
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // Help and version are results; all else goes to standard error.
        Err(asked) if !asked.use_stderr() => return told(Terminal::PLAIN, terminal::printed(asked.print())),
        Err(wrong) if cli::asks_for_json(std::env::args_os()) => return wrong_usage_as_json(&wrong),
        Err(wrong) => return wrong_usage(&wrong),
    };
    match &cli.command {
        Command::Delete(args) => commands::delete::run(&cli.global, args),
        Command::List(args) => commands::list::run(&cli.global, args),
        Command::Stats(args) => commands::stats::run(&cli.global, args),
        Command::Get(args) => commands::get::run(&cli.global, args),
        Command::Resume(args) => commands::restart::run::<upstash_dlq_core::Resume>(&cli.global, args),
        Command::Restart(args) => commands::restart::run::<upstash_dlq_core::Restart>(&cli.global, args),
        Command::Callback(args) => commands::callback::run(&cli.global, args),
        Command::Demo(args) => commands::demo::run(&cli.global, args),
        Command::Emulator(args) => commands::emulator::run(&cli.global, args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "upstash-dlq", &mut script);
            told(Terminal::new(&cli.global), terminal::print_bytes(&script))
        }
    }
}
