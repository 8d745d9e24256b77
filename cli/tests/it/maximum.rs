//! What `--max` promises when the network does not.

use crate::common::{emulator, json, run, text};
use upstash_dlq_emulator::{Fault, FaultPlan};

/// One 500 for all that may be asked for: whether anything was deleted is not known, and that is no success.
#[test]
fn a_maximum_that_nobody_confirmed_is_a_halt() {
    for lanes in ["1", "4"] {
        let server = emulator(50);
        server.with_service(|s| s.set_faults(FaultPlan::script(vec![Some(Fault::ServerError(500))])));
        let args = ["delete", "--all", "--yes", "--json", "--max", "10", "--parallel", lanes];
        let output = run(&server.url(), &args);
        let report = json(&output);
        assert_eq!((output.status.code(), report["outcome"].as_str()), (Some(3), Some("halted")), "{report}");
        assert_eq!((report["deleted"].as_u64(), report["unconfirmed"].as_u64()), (Some(0), Some(1)), "{report}");
        assert!(text(&output.stderr).contains("maximum"), "{}", text(&output.stderr));
        assert_eq!(server.with_service(|s| s.len()), 50);
    }
}
