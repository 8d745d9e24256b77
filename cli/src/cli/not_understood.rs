//! What a command line says that clap does not understand: how to tell its error.

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
