//! What a command line says that clap does not understand: how to tell its error.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Options that people know from other commands: of which command, what they type, and what it is called here.
const CALLED: [(&str, &str, &str); 8] = [
    ("list", "--max", "--limit"),
    ("delete", "--limit", "--max"),
    ("resume", "--limit", "--max"),
    ("restart", "--limit", "--max"),
    ("delete", "--force", "--yes"),
    ("delete", "-f", "--yes"),
    ("resume", "--force", "--yes"),
    ("restart", "--force", "--yes"),
];

/// The error with what helps: the name of the option that was meant, and no advice to take an option for a value.
pub(crate) fn helpful(mut wrong: clap::Error) -> clap::Error {
    if wrong.kind() != ErrorKind::UnknownArgument {
        return wrong;
    }
    // "to pass '--x' as a value, use '-- --x'" would make an id of it.
    let _ = wrong.remove(ContextKind::Suggested);
    let usage = wrong.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let given = wrong.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let called = CALLED.iter().find(|(command, name, _)| {
        given.split('=').next() == Some(name) && usage.contains(&format!("upstash-dlq {command} "))
    });
    if let Some((_, _, name)) = called {
        let _ = wrong.insert(ContextKind::SuggestedArg, ContextValue::String((*name).to_owned()));
    }
    if usage.contains("upstash-dlq list ") && (given == "--all" || !given.starts_with('-')) {
        let _ = wrong.remove(ContextKind::SuggestedArg);
        let advice = if given == "--all" {
            "list shows every run unless a filter is given: leave out --all"
        } else {
            "list takes no ids: use `upstash-dlq get ID`"
        };
        let _ = wrong.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
        let _ = wrong.insert(ContextKind::Usage, ContextValue::StyledStr("Usage: upstash-dlq list [OPTIONS]".into()));
    }
    wrong
}

/// Whether a command line that was not understood asks for JSON.
pub(crate) fn asks_for_json(args: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let args: Vec<_> = args.take_while(|arg| arg != "--").collect();
    let after = args.iter().zip(args.iter().skip(1));
    let mut output = after.filter(|(flag, value)| (*flag == "-o" || *flag == "--output") && *value == "json");
    let alone = ["--json", "--output=json", "-ojson", "-o=json"];
    args.iter().any(|arg| alone.iter().any(|json| arg == json)) || output.next().is_some()
}

/// What `--color` says in a command line that was not understood yet.
pub(crate) fn colour(args: impl Iterator<Item = std::ffi::OsString>) -> clap::ColorChoice {
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).take_while(|arg| arg != "--").collect();
    let after =
        args.iter().zip(args.iter().skip(1)).filter_map(|(flag, value)| (flag == "--color").then_some(value.as_str()));
    let when = args.iter().filter_map(|arg| arg.strip_prefix("--color=")).chain(after).last();
    when.and_then(|when| when.parse().ok()).unwrap_or(clap::ColorChoice::Auto)
}
