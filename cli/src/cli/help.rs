//! What the help of each command says after its options: what it does, how it ends, examples. Of this, `-h` has the examples.

/// What a help says after the options.
pub(crate) struct Help {
    /// Paragraphs. Lines that are indented stay as they are.
    pub(crate) paragraphs: &'static [&'static str],
    /// Each exit status, and what it means.
    pub(crate) exit: &'static [&'static str],
    /// Examples, a line each; a line that ends in `\` or `|` goes on in the next one.
    pub(crate) examples: &'static [&'static str],
}

impl Help {
    /// The help of a command, by its name. `None` if its options say it all.
    pub(crate) fn of(command: &str) -> Option<&'static Self> {
        Some(match command {
            "upstash-dlq" => &ALL,
            "callback" | "retry" | "cancel" => &CALLBACK,
            "check" => &CHECK,
            "delete" => &DELETE,
            "emulator" => &EMULATOR,
            "get" => &GET,
            "list" => &LIST,
            "man" => &MAN,
            "restart" => &RESTART,
            "resume" => &RESUME,
            "stats" => &STATS,
            _ => return None,
        })
    }

    /// What `--help` says.
    pub(crate) fn whole(&self) -> String {
        let mut parts: Vec<String> = self.paragraphs.iter().map(ToString::to_string).collect();
        if !self.exit.is_empty() {
            parts.push(format!("Exit status: {}.", self.exit.join("; ")));
        }
        parts.extend(self.shown_examples());
        parts.join("\n\n")
    }

    /// What `-h` says.
    pub(crate) fn summary(&self) -> String {
        let parts: Vec<String> = self.shown_examples().into_iter().chain([MORE.to_owned()]).collect();
        parts.join("\n\n")
    }

    fn shown_examples(&self) -> Option<String> {
        (!self.examples.is_empty()).then(|| format!("Examples:\n  {}", self.examples.join("\n  ")))
    }
}

/// The end of each summary.
pub(crate) const MORE: &str = "--help explains more, and has the other global options.";

/// How runs are selected.
const SELECTION: &str = "\
Select runs in exactly one way: by ids (also --ids-from), by filters and refinements, or with --all.
Values of the same filter are alternatives; different filters must all match. Refinements are checked here, on what the service lists; the runs are then acted on by their ids.";

/// How runs are chosen in a listing.
const LISTED: &str = "Values of the same filter are alternatives; different filters must all match. Refinements are checked here, on what the service lists.";

const TIMES: &str = "A time <T> is RFC 3339 (2026-11-24T08:30:00Z), a date (UTC; as --to its last millisecond), milliseconds since 1970, or an age (7d, 12h).";

/// The end of a selection without `--to`.
const UNTIL_NOW: &str = "Without --to, runs that fail after the command starts are left alone.";

const WRONG_USAGE: &str = "2 wrong usage, nothing was sent";
const INTERRUPTED: &str = "130 interrupted";

const ALL: Help = Help {
    paragraphs: &[
        "The token comes from QSTASH_TOKEN or --token-file, never from an argument. The address comes from QSTASH_URL or --url.",
        "With --json, delete, resume and restart end with one object that says what was done, also when they fail. The other commands print what they found, and for a failure one line on standard error:
  {\"error\": {\"code\": \"not_found\", \"message\": \"…\", \"http_status\": 404}}
The codes are usage, unauthorized, not_found, wrong_region, refused, redirect, rate_limited, server_error, unreadable_response, other_run, not_sent, no_response, unsettled, no_progress, unusable_message, too_large, output, interrupted, listen, failed and internal.",
    ],
    exit: &[],
    examples: &[],
};

const CHECK: Help = Help {
    paragraphs: &[
        "Sends at most 40 requests, all of them GET, so that nothing is changed. It takes values and times from the runs that are in the DLQ, and asks whether the service keeps to filters and dates, in which order it lists, and what a cursor stands for. It measures latency and message sizes on the way.",
        "Each answer is yes, no, or unknown with the reason. A DLQ with a hundred runs or more answers the most; an empty one leaves most unknown. If runs come, go or change while it asks, answers can be unknown: run it again.",
    ],
    exit: &[
        "0 everything was asked, whatever the answers",
        "1 a request failed, which is told after the answers so far",
        WRONG_USAGE,
        INTERRUPTED,
    ],
    examples: &["upstash-dlq check", "upstash-dlq check --json |", "  jq '.answers | map_values(.answer)'"],
};

const GET: Help = Help {
    paragraphs: &[
        "The runs are shown in the order of their ids, with --json as one message per line. An id that is not in the DLQ is named on standard error; the others are shown all the same.",
    ],
    exit: &["0 every run was shown", "1 failed, or a run is not there", WRONG_USAGE, INTERRUPTED],
    examples: &["upstash-dlq get 1752829295505-0", "upstash-dlq get 1752829295505-0 --json | jq .responseBody"],
};

const MAN: Help = Help {
    paragraphs: &[
        "Existing pages are replaced. If DIR is in the search path of man, `man upstash-dlq` shows the main page, and `man upstash-dlq-delete` that of delete.",
    ],
    exit: &["0 every page was written", "1 a page could not be written", "2 wrong usage"],
    examples: &["upstash-dlq man ~/.cargo/share/man/man1", "upstash-dlq man man1"],
};

const CALLBACK: Help = Help {
    paragraphs: &[
        "Ids are handled one after another. A refused one is named on standard error, and the next one follows. Any other failure stops the command, because it may have changed something, or would meet the next id, too.",
    ],
    exit: &[
        "0 done",
        "1 failed, nothing was changed",
        WRONG_USAGE,
        "3 failed, but a callback was or may have been retried or canceled",
        INTERRUPTED,
    ],
    examples: &["upstash-dlq callback retry 1752829295505-0", "upstash-dlq callback cancel 1752829295505-0"],
};

const DELETE: Help = Help {
    paragraphs: &[
        SELECTION,
        TIMES,
        UNTIL_NOW,
        "By filter or with --all, a delete makes passes until a whole one finds nothing left, the verification pass.",
    ],
    exit: &[
        "0 complete or dry run",
        "1 failed, nothing was changed",
        WRONG_USAGE,
        "3 failed, something was or may have been deleted",
        INTERRUPTED,
    ],
    examples: &[
        "upstash-dlq delete 1752829295505-0",
        "upstash-dlq delete --dry-run \\",
        "  --label nightly --label 'red & white'",
        "upstash-dlq delete --label nightly \\",
        "  --archive nightly.ndjson",
        "upstash-dlq delete --status 502 --from 7d \\",
        "  --archive gateway.ndjson",
        "upstash-dlq delete --shard 3/8 --yes \\",
        "  --from 2026-11-01 --to 2026-11-20",
        "upstash-dlq delete --all --yes --json",
    ],
};

const EMULATOR: Help = Help {
    paragraphs: &[
        "Faults of --fault, in parts of all requests:
  none            no faults
  flaky           requests and responses are lost, cut short or refused (10%)
  rate-limited    429 Too Many Requests (30%)
  lost-responses  the request is carried out, and its response is lost (30%)
  garbage         responses that are not what the service documents (30%)",
        "The first line it prints says where it listens. The next ones are for a shell's eval: they set QSTASH_URL, and QSTASH_TOKEN unless --token is given. They clear QSTASH_REGION, which would lead to another service.",
    ],
    exit: &[],
    examples: &[
        "upstash-dlq emulator",
        "upstash-dlq emulator --listen 127.0.0.1:0 \\",
        "  --runs 100 --fault flaky",
        "upstash-dlq emulator --load nightly.ndjson",
    ],
};

const LIST: Help = Help {
    paragraphs: &[
        LISTED,
        TIMES,
        "On a terminal, a table without --limit ends after one screen and says whether more runs match. A pipe, -o ids and -o json get every run.",
        "The service promises no order. --newest-first reads every run that matches, and shows the newest of them. It keeps --limit of them in memory, without --limit all.",
    ],
    exit: &["0 everything was listed", "1 failed", WRONG_USAGE, INTERRUPTED],
    examples: &[
        "upstash-dlq list --from 12h \\",
        "  --failure-function-state CALLBACK_FAIL",
        "upstash-dlq list --newest-first --limit 20",
        "upstash-dlq list -o ids --label nightly > ids",
        "upstash-dlq list --status 502 --status 504 \\",
        "  --error-text 'bad gateway'",
        "upstash-dlq list --json |",
        "  jq -c 'select(.responseStatus == 404)' |",
        "  upstash-dlq delete --ids-from - --archive kept.ndjson",
    ],
};

const STATS: Help = Help {
    paragraphs: &[
        LISTED,
        TIMES,
        "Runs that failed for the same reason have the same signature, such as e1-1qklxb1o, whatever ids, numbers and times their errors name. Give it to --error.",
    ],
    exit: &["0 everything was counted", "1 failed", WRONG_USAGE, INTERRUPTED],
    examples: &[
        "upstash-dlq stats --from 7d",
        "upstash-dlq stats --json | jq '.workflowUrl.values[0]'",
        "upstash-dlq stats --error e1-1qklxb1o --from 7d",
    ],
};

const START_ONCE: &str = "Starting a run twice may do damage, so resume and restart make one pass and never repeat a request that may have been carried out. When a response is lost, the command stops and says where to look. Then run it again with --checkpoint and --settle applied (its runs were started, and have left the DLQ) or --settle not-applied (none was started).";

/// What resume and restart have in common.
const START: &[&str] = &[SELECTION, TIMES, UNTIL_NOW, START_ONCE];

const RESUME: Help = Help {
    paragraphs: START,
    exit: &[
        "0 complete or dry run",
        "1 failed, nothing was resumed",
        WRONG_USAGE,
        "3 failed, something was or may have been resumed",
        INTERRUPTED,
    ],
    examples: &[
        "upstash-dlq resume 1752829295505-0",
        "upstash-dlq resume --error-text 'rate limit' \\",
        "  --from 12h --parallel 4",
        "upstash-dlq resume --label nightly --from 12h \\",
        "  --checkpoint position.json",
        "upstash-dlq resume --all \\",
        "  --set-retry-delay '1000 * (1 + retried)'",
        "upstash-dlq resume --all --yes \\",
        "  --set-flow-control-key slow --set-parallelism 3",
    ],
};

const RESTART: Help = Help {
    paragraphs: START,
    exit: &[
        "0 complete or dry run",
        "1 failed, nothing was restarted",
        WRONG_USAGE,
        "3 failed, something was or may have been restarted",
        INTERRUPTED,
    ],
    examples: &[
        "upstash-dlq restart 1752829295505-0",
        "upstash-dlq restart --status 503 --from 12h --dry-run",
        "upstash-dlq restart --label nightly --from 12h \\",
        "  --checkpoint position.json",
        "upstash-dlq restart --all --set-retries 5 --yes",
    ],
};
