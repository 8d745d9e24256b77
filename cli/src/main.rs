//! `upstash-dlq`: see `--help`.
#![allow(
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags,
    reason = "the documentation of the arguments is their help, read in a terminal"
)]

mod args;
mod checkpoint_file;
mod connect;
mod delete;
mod demo;
mod emulator;
mod interrupt;
mod preview;
mod progress;
mod report;
mod selection;
mod terminal;
mod time;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Command::Delete(args) => delete::run(&cli.global, args),
        Command::Demo(args) => demo::run(&cli.global, args),
        Command::Emulator(args) => emulator::run(&cli.global, args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "upstash-dlq", &mut script);
            // A reader that has gone away is no error of ours.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
            ExitCode::SUCCESS
        }
    }
}
