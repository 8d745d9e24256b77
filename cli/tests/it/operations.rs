//! The operations that things go wrong for: one list, for the faults and for the kills. An operation is added here, and nowhere
//! else.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads,
    Deletes,
    Starts,
}

pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// What it acts on is what carries [`LABEL`]. `ARCHIVE`, `POSITION`, `IDS` and `ID` stand for files in its folder, and for an
    /// id.
    pub(crate) args: &'static [&'static str],
    pub(crate) effect: Effect,
    /// The method of the requests that something happens to.
    pub(crate) meets: &'static str,
    /// The most runs that one request acts on.
    pub(crate) asks: u64,
    /// Whether runs that were started stay in the DLQ: what names them must not start them again. What follows a cursor
    /// starts over where a response was lost, and relies on their leaving.
    pub(crate) started_runs_stay: bool,
    /// How many characters are added to each id. A request takes as many ids as fit into 8,000: of long ones few.
    pub(crate) id_padding: usize,
    /// How often it is killed by default.
    pub(crate) kills: u32,
    /// How many matching runs last for ten kills; none for what is not killed.
    pub(crate) for_ten_kills: usize,
}

pub(crate) const LABEL: &str = "nightly";

/// What carries the label failed with this status, and nothing else did.
pub(crate) const STATUS: u16 = 418;

const DELETE: Operation = Operation {
    name: "delete by filter",
    args: &["delete", "--label=nightly", "--yes", "--json", "--page-size=10", "--checkpoint=POSITION"],
    effect: Effect::Deletes,
    meets: "DELETE",
    asks: 10,
    started_runs_stay: false,
    id_padding: 0,
    kills: 50,
    for_ten_kills: 1_300,
};

const ARCHIVED: Operation = Operation {
    name: "archived delete",
    args: &["delete", "--label=nightly", "--yes", "--json", "--page-size=10", "--archive=ARCHIVE"],
    for_ten_kills: 1_000,
    ..DELETE
};

const RESUME: Operation = Operation {
    name: "resume by filter",
    args: &["resume", "--label=nightly", "--yes", "--json", "--parallel=1", "--checkpoint=POSITION"],
    effect: Effect::Starts,
    meets: "POST",
    asks: 50,
    started_runs_stay: false,
    id_padding: 0,
    kills: 50,
    for_ten_kills: 2_000,
};

const LIST: Operation = Operation {
    name: "list",
    args: &["list", "--label=nightly"],
    effect: Effect::Reads,
    meets: "GET",
    asks: 0,
    started_runs_stay: false,
    id_padding: 0,
    kills: 50,
    for_ten_kills: 0,
};

pub(crate) const OPERATIONS: &[Operation] = &[
    DELETE,
    Operation {
        name: "delete by ids",
        args: &["delete", "--ids-from=IDS", "--yes", "--json", "--checkpoint=POSITION"],
        // As many as fit into a URL.
        asks: 100,
        id_padding: 100,
        for_ten_kills: 1_900,
        ..DELETE
    },
    Operation {
        name: "delete by a refinement",
        args: &["delete", "--status=418", "--yes", "--json", "--page-size=50", "--checkpoint=POSITION"],
        // As many as fit into a URL.
        asks: 8,
        id_padding: 900,
        // It lists everything again after each death.
        kills: 20,
        for_ten_kills: 800,
        ..DELETE
    },
    ARCHIVED,
    Operation { name: "archived delete (listing)", meets: "GET", for_ten_kills: 0, ..ARCHIVED },
    Operation {
        name: "archived delete of ids",
        args: &["delete", "--ids-from=IDS", "--yes", "--json", "--archive=ARCHIVE"],
        asks: 8,
        id_padding: 900,
        // It fetches each run by itself, and asks again for what is gone after each death.
        kills: 10,
        for_ten_kills: 800,
        ..ARCHIVED
    },
    RESUME,
    Operation {
        name: "restart on lanes",
        args: &["restart", "--label=nightly", "--yes", "--json", "--parallel=4", "--checkpoint=POSITION"],
        started_runs_stay: true,
        // Other lanes go on while one of them dies.
        for_ten_kills: 3_500,
        ..RESUME
    },
    Operation {
        name: "resume by ids",
        args: &["resume", "--ids-from=IDS", "--yes", "--json", "--checkpoint=POSITION"],
        started_runs_stay: true,
        ..RESUME
    },
    LIST,
    Operation { name: "get", args: &["get", "ID"], ..LIST },
];

impl Operation {
    pub(crate) fn has(&self, file: &str) -> bool {
        self.args.iter().any(|arg| arg.ends_with(file))
    }
}
