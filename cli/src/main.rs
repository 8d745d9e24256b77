//! `upstash-dlq`, the command. Parses the command line, runs the command, prints its error, and ends the process, unless
//! `interrupt` ends it first.
#![allow(
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags,
    reason = "the documentation of the arguments is their help, read in a terminal"
)]

mod bulk;
mod cli;
mod commands;
mod context;
mod drive;
mod exit;
mod input;
mod interrupt;
mod output;

use crate::cli::{Cli, Command, not_understood};
use crate::commands::{callback, check, completions, delete, demo, emulator, get, list, man, start, stats};
use crate::context::Context;
use crate::exit::{CommandError, ExitStatus};
use crate::output::terminal::{self, Terminal};
use clap::FromArgMatches;
use clap::error::ErrorKind;
use std::process::ExitCode;
use upstash_dlq_core::wire::{Restart, Resume};

fn main() -> ExitCode {
    // `--color` counts also for the message that the command line was not understood.
    let parse = |is_summary| {
        let command = Cli::parser(is_summary).color(not_understood::colour(std::env::args_os()));
        command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches))
    };
    let mut parsed = parse(false);
    if parsed.as_ref().is_err_and(|asked| asked.kind() == ErrorKind::DisplayHelp) && asks_for_summary() {
        parsed = parse(true);
    }
    match parsed.map_err(not_understood::helpful) {
        Ok(mut cli) => {
            cli.global.json = cli.json();
            let context = Context::new(&cli.global);
            let checked = cli.check().map_err(CommandError::usage);
            end(context.terminal, checked.and_then(|()| dispatch(&context, &cli.command)))
        }
        // Help and version are results; all else goes to standard error.
        Err(asked) if !asked.use_stderr() => {
            end(Terminal::PLAIN, terminal::printed(asked.print()).map(|()| ExitStatus::Success).map_err(Into::into))
        }
        Err(wrong) if not_understood::asks_for_json(std::env::args_os()) => {
            end(Terminal::JSON, Err(CommandError::usage(in_one_line(&wrong))))
        }
        Err(wrong) => {
            show_usage(&wrong);
            ExitCode::from(ExitStatus::WrongUsage.code())
        }
    }
}

/// Whether the first word that asks for help is `-h`, alone or among the other flags of one letter.
fn asks_for_summary() -> bool {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let command = words.iter().position(|word| !word.starts_with('-'));
    let asked = words.iter().enumerate().find_map(|(at, word)| match word.as_str() {
        "--help" => Some(false),
        "help" if Some(at) == command => Some(false),
        flags => {
            flags.strip_prefix('-').filter(|flags| flags.contains('h') && flags.chars().all(is_flag)).map(|_| true)
        }
    });
    asked == Some(true)
}

fn is_flag(letter: char) -> bool {
    "hqvVy".contains(letter)
}

fn dispatch(context: &Context<'_>, command: &Command) -> Result<ExitStatus, CommandError> {
    match command {
        Command::Delete(args) => delete::run(context, args),
        Command::List(args) => list::run(context, args),
        Command::Stats(args) => stats::run(context, args),
        Command::Check => check::run(context),
        Command::Get(args) => get::run(context, args),
        Command::Resume(args) => start::run::<Resume>(context, args),
        Command::Restart(args) => start::run::<Restart>(context, args),
        Command::Callback(args) => callback::run(context, args),
        Command::Demo(args) => demo::run(context, args),
        Command::Emulator(args) => emulator::run(context, args),
        Command::Completions { shell } => completions::run(*shell),
        Command::Man { dir } => man::run(&context.terminal, dir),
    }
}

/// Prints the error that the command ended with, if any, and ends the process. Only a second Ctrl-C, or one at the question,
/// ends it elsewhere (`interrupt`).
fn end(terminal: Terminal, result: Result<ExitStatus, CommandError>) -> ExitCode {
    let status = match result {
        Ok(status) => status,
        Err(CommandError::Told(status)) => status,
        Err(CommandError::NoReader) => ExitStatus::Success,
        Err(CommandError::Failed(failure)) => {
            terminal.fail(&failure);
            failure.status
        }
    };
    ExitCode::from(status.code())
}

/// What clap says, in one line for programs.
fn in_one_line(wrong: &clap::Error) -> String {
    if wrong.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command given: see --help".to_owned();
    }
    let plain = wrong.render().to_string();
    let paragraphs = plain.strip_prefix("error: ").unwrap_or(&plain).split("\n\n");
    let told = paragraphs.take_while(|text| !text.starts_with("Usage:") && !text.starts_with("For more information"));
    let joined = told.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    joined.collect::<Vec<_>>().join("; ")
}

/// Prints what clap says in its own colors, unless a part of the command line that it repeats would steer the terminal.
fn show_usage(wrong: &clap::Error) {
    let plain = wrong.render().to_string();
    let lines: Vec<String> = plain.lines().map(terminal::escaped).collect();
    if lines.iter().zip(plain.lines()).all(|(escaped, line)| escaped == line) {
        // If standard error is gone, there is nobody left to tell.
        let _ = wrong.print();
    } else {
        Terminal::show(&lines);
    }
}
