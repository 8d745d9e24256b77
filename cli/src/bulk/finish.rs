//! Prints how a bulk command ended. What it leaves on disk follows from what was printed.

use crate::bulk::checkpoint_file::CheckpointFile;
use crate::exit::{CommandError, ExitStatus};
use crate::output::report::{Ending, Report};
use crate::output::terminal::Terminal;

/// The checkpoint's file stays locked until the report is printed. Then
///
/// - a complete command removes it. If the process ends in between, or nobody gets the report, the same command tells the same end,
///   and begins nothing anew;
/// - a request in doubt is noted as shown. Only such a one can be settled next time.
pub(crate) fn finish(
    report: Report,
    file: Option<CheckpointFile>,
    terminal: Terminal,
) -> Result<ExitStatus, CommandError> {
    let is_removable = report.outcome == Ending::Complete && report.checkpoint.is_none();
    let shows_saved_doubt = report.unsettled && !report.is_earlier;
    let (result, is_told) = report.finish(terminal);
    let Some(file) = file else { return result };
    match result {
        Ok(status) => {
            if let Some(Err(sentence)) = (is_removable && is_told).then(|| file.remove()) {
                terminal.error(&sentence);
            }
            Ok(status)
        }
        Err(CommandError::Failed(failure)) if shows_saved_doubt => {
            if terminal.fail(&failure) {
                file.note_shown();
            }
            Err(CommandError::Told(failure.status))
        }
        Err(error) => Err(error),
    }
}
