//! `upstash-dlq man`: a manual page for each command, made from what its help says. It connects to nothing.

use crate::cli::Cli;
use crate::exit::{CommandError, ExitStatus};
use crate::output::terminal::{Terminal, escaped};
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{self, Roff, bold, roman};
use std::io::{self, Write};
use std::path::Path;

pub(crate) fn run(terminal: &Terminal, folder: &Path) -> Result<ExitStatus, CommandError> {
    std::fs::create_dir_all(folder).map_err(|error| not_written(folder, &error))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let pages = write(&command, &command, folder)?;
    terminal.note(&format!("Wrote {pages} man pages to {}", escaped(&folder.to_string_lossy())));
    Ok(ExitStatus::Success)
}

/// Writes the page of a command and those of the commands below it. Returns how many.
fn write(root: &clap::Command, command: &clap::Command, folder: &Path) -> Result<usize, CommandError> {
    let man =
        Man::new(command.clone()).source(concat!("upstash-dlq ", env!("CARGO_PKG_VERSION"))).manual("upstash-dlq");
    let file = folder.join(man.get_filename());
    let page = render(&man, root, command).map_err(|error| not_written(&file, &error))?;
    replace(folder, &file, &page).map_err(|error| not_written(&file, &error))?;
    command.get_subcommands().try_fold(1, |pages, below| Ok(pages + write(root, below, folder)?))
}

/// The page that is there stays until the new one is whole. A link is replaced, not followed.
fn replace(folder: &Path, file: &Path, page: &[u8]) -> io::Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(page)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Every user of the machine may read a manual.
        new.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    new.persist(file)?;
    Ok(())
}

fn not_written(path: &Path, error: &io::Error) -> CommandError {
    CommandError::new(
        "failed",
        format!("{}: {error}; give a folder that you can write to", escaped(&path.to_string_lossy())),
    )
}

/// In the order of manuals: what it does, what it takes, how it ends, examples, where to read on.
fn render(man: &Man, root: &clap::Command, command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    // The section that is ready names every option, the global ones included: a page of brackets.
    let usage = command.clone().render_usage().to_string();
    section("SYNOPSIS", bold(usage.strip_prefix("Usage: ").unwrap_or(&usage))).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let paragraphs: Vec<&str> = help.split("\n\n").filter(|paragraph| !paragraph.is_empty()).collect();
    let end = paragraphs.iter().position(|paragraph| heading(paragraph).is_some()).unwrap_or(paragraphs.len());
    let (description, ending) = paragraphs.split_at(end);
    explained(description).to_writer(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    man.render_options_section(&mut page)?;
    explained(ending).to_writer(&mut page)?;
    if std::ptr::eq(root, command) {
        let mut environment = section("ENVIRONMENT", roman("It reads these variables:"));
        for (name, meaning) in ENVIRONMENT {
            environment.control("TP", []).text([bold(name)]).text([roman(meaning)]);
        }
        environment.to_writer(&mut page)?;
    }
    let others = root.get_subcommands().filter(|other| other.get_name() != command.get_name());
    let pages = others.map(|other| format!("upstash-dlq-{}(1)", other.get_name()));
    let pages = (!std::ptr::eq(root, command)).then(|| "upstash-dlq(1)".to_owned()).into_iter().chain(pages);
    section("SEE ALSO", roman(pages.collect::<Vec<_>>().join(", "))).to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// What the command reads from the environment.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("QSTASH_TOKEN", "The token."),
    ("QSTASH_URL", "The address of the service, unless --url or --region is given."),
    ("QSTASH_REGION", "The region of the service, such as US_EAST_1, unless --url or --region is given."),
    ("US_EAST_1_QSTASH_URL, US_EAST_1_QSTASH_TOKEN", "The address and the token of a region; other regions alike."),
    ("NO_COLOR", "If it is not empty, no color is used unless --color asks for it."),
    ("TZ", "The time zone of --local."),
];

fn section(title: &str, text: roff::Inline) -> Roff {
    let mut section = Roff::new();
    section.control("SH", [title]).text([text]);
    section
}

/// The section that a paragraph of a help begins, and the rest of it.
fn heading(paragraph: &str) -> Option<(&'static str, &str)> {
    let exit = paragraph.strip_prefix("Exit status: ").map(|rest| ("EXIT STATUS", rest.trim_end_matches('.')));
    exit.or_else(|| paragraph.strip_prefix("Examples:\n").map(|rest| ("EXAMPLES", rest)))
}

/// Paragraphs of a help. Lines that are indented stay as they are: examples, tables, JSON.
fn explained(paragraphs: &[&str]) -> Roff {
    let mut roff = Roff::new();
    for paragraph in paragraphs {
        let (title, text) = heading(paragraph).map_or((None, *paragraph), |(title, rest)| (Some(title), rest));
        if let Some(title) = title {
            roff.control("SH", [title]);
        }
        let mut verbatim = false;
        // Each status has a line of its own.
        for line in text.split(if title == Some("EXIT STATUS") { "; " } else { "\n" }) {
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
        if verbatim {
            roff.control("fi", []);
        }
    }
    roff
}
