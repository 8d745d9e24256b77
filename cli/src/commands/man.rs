//! `upstash-dlq man`: a manual page for each command, made from what its help says. It connects to nothing.

use crate::cli::Cli;
use crate::exit::{CommandError, ExitStatus};
use crate::output::terminal::{Terminal, escaped};
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;
use std::path::Path;

pub(crate) fn run(terminal: &Terminal, folder: &Path) -> Result<ExitStatus, CommandError> {
    std::fs::create_dir_all(folder).map_err(|error| not_written(folder, &error))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let pages = write(&command, folder)?;
    terminal.note(&format!("Wrote {pages} man pages to {}", escaped(&folder.to_string_lossy())));
    Ok(ExitStatus::Success)
}

/// Writes the page of a command and those of the commands below it. Returns how many.
fn write(command: &clap::Command, folder: &Path) -> Result<usize, CommandError> {
    let man =
        Man::new(command.clone()).source(concat!("upstash-dlq ", env!("CARGO_PKG_VERSION"))).manual("upstash-dlq");
    let file = folder.join(man.get_filename());
    let page = render(&man, command).map_err(|error| not_written(&file, &error))?;
    std::fs::write(&file, page).map_err(|error| not_written(&file, &error))?;
    command.get_subcommands().try_fold(1, |pages, below| Ok(pages + write(below, folder)?))
}

fn not_written(path: &Path, error: &io::Error) -> CommandError {
    CommandError::new("failed", format!("{}: {error}", escaped(&path.to_string_lossy())))
}

fn render(man: &Man, command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    // The section that is ready names every option, the global ones included: a page of brackets.
    let usage = command.clone().render_usage().to_string();
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([bold(usage.strip_prefix("Usage: ").unwrap_or(&usage))]);
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    if let Some(text) = command.get_after_help() {
        let mut explained = Roff::new();
        explain(&mut explained, &text.to_string());
        explained.to_writer(&mut page)?;
    }
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// The end of a help in sections. Lines that are indented stay as they are: examples, tables, JSON.
fn explain(roff: &mut Roff, text: &str) {
    let mut verbatim = false;
    for (number, paragraph) in text.split("\n\n").enumerate() {
        let (heading, paragraph) = match paragraph.strip_prefix("Exit status: ") {
            Some(rest) => (Some("EXIT STATUS"), rest),
            None => match paragraph.strip_prefix("Examples:\n") {
                Some(rest) => (Some("EXAMPLES"), rest),
                None => ((number == 0).then_some("USE"), paragraph),
            },
        };
        if let Some(heading) = heading {
            roff.control("SH", [heading]);
        }
        // Each status has a line of its own.
        let lines = if heading == Some("EXIT STATUS") { paragraph.split("; ") } else { paragraph.split("\n") };
        for line in lines {
            let indented = line.starts_with("  ");
            if indented != verbatim {
                roff.control(if indented { "nf" } else { "fi" }, []);
                verbatim = indented;
            }
            if !indented {
                roff.control("PP", []);
            }
            roff.text([roman(line)]);
        }
        if std::mem::take(&mut verbatim) {
            roff.control("fi", []);
        }
    }
}
