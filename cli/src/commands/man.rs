//! `upstash-dlq man`: a manual page for each command, made from what its help says. It connects to nothing.

use crate::cli::Cli;
use crate::cli::help::Help;
use crate::exit::{CommandError, ExitStatus};
use crate::output::terminal::{Terminal, escaped};
use clap_mangen::Man;
use clap_mangen::roff::{self, Roff, bold, roman};
use std::io::{self, Write};
use std::path::Path;

pub(crate) fn run(terminal: &Terminal, folder: &Path) -> Result<ExitStatus, CommandError> {
    std::fs::create_dir_all(folder).map_err(|error| not_written(folder, &error))?;
    let mut command = Cli::parser(false).disable_help_subcommand(true);
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
    let help = Help::of(command.get_name());
    explained(help.map_or(&[], |help| help.paragraphs)).to_writer(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    man.render_options_section(&mut page)?;
    if let Some(help) = help {
        if !help.exit.is_empty() {
            let mut section = titled("EXIT STATUS");
            for status in help.exit {
                let (code, meaning) = status.split_once(' ').unwrap_or((status, ""));
                section.control("TP", []).text([bold(code)]).text([roman(meaning)]);
            }
            section.to_writer(&mut page)?;
        }
        if !help.examples.is_empty() {
            let mut section = titled("EXAMPLES");
            section.control("nf", []);
            for line in help.examples {
                section.text([roman(format!("  {line}"))]);
            }
            section.control("fi", []);
            section.to_writer(&mut page)?;
        }
    }
    if std::ptr::eq(root, command) {
        let mut environment = section("ENVIRONMENT", roman("It reads these variables:"));
        for (name, meaning) in ENVIRONMENT {
            environment.control("TP", []).text([bold(name)]).text([roman(meaning)]);
        }
        environment.to_writer(&mut page)?;
    } else if needs_service(command.get_name()) {
        let reads = "Unless an option says otherwise, the token comes from QSTASH_TOKEN, and the address from QSTASH_URL or QSTASH_REGION: see upstash-dlq(1).";
        section("ENVIRONMENT", roman(reads)).to_writer(&mut page)?;
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

/// Whether a command connects to the service.
fn needs_service(command: &str) -> bool {
    !matches!(command, "demo" | "emulator" | "completions" | "man")
}

fn section(title: &str, text: roff::Inline) -> Roff {
    let mut section = titled(title);
    section.text([text]);
    section
}

fn titled(title: &str) -> Roff {
    let mut section = Roff::new();
    section.control("SH", [title]);
    section
}

/// Paragraphs of a help. Lines that are indented stay as they are: tables, JSON.
fn explained(paragraphs: &[&str]) -> Roff {
    let mut roff = Roff::new();
    for paragraph in paragraphs {
        let mut verbatim = false;
        for line in paragraph.lines() {
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
