//! `streamjob state export`: the windows of a checkpoint as a table.
//!
//! Owns: the order: resolve, merge window by window, write; progress on standard error.
//! Never: writes into the job's state, or holds more than one window in memory.

mod merge;
mod output;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use streamjob_checkpoint::bundle::BundleReader;
use streamjob_checkpoint::checkpoint::{Checkpoint, SliceState};
use streamjob_checkpoint::retry::with_causes;
use streamjob_core::window::WindowError;
use thiserror::Error;

use super::args::{ExportArgs, StateCommand};
use super::state::{JobState, Point, StateError, check_fingerprint};
use super::{Exit, logs, manifest};
use crate::progress::Screen;
use crate::progress::format::{bytes, count, duration};
use merge::{MergeError, Merger};
use output::{Output, OutputError, format};

/// Between two lines about how far it is, where there is no screen to draw on.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Why an export ended early.
#[derive(Debug, Error)]
enum ExportError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Merge(#[from] MergeError),
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Does what the command says.
pub(super) fn state(command: &StateCommand, err: &mut impl Write) -> Exit {
    match command {
        StateCommand::Export(args) => match export(args) {
            Ok(said) => {
                logs::say(said);
                Exit::Done
            }
            Err(ExportError::Output(error)) if error.is_closed_pipe() => Exit::Done,
            Err(error) => failed(&error, err),
        },
    }
}

fn failed(error: &ExportError, err: &mut impl Write) -> Exit {
    let exit = match error {
        ExportError::State(error) => error.exit(),
        ExportError::Output(OutputError::Terminal) => Exit::Mistake,
        ExportError::Merge(_) | ExportError::Window(_) | ExportError::Output(_) => Exit::Failed,
    };
    match writeln!(err, "{}", with_causes(error)) {
        Ok(()) => exit,
        Err(_closed) => Exit::Failed,
    }
}

fn export(args: &ExportArgs) -> Result<String, ExportError> {
    let plan = manifest::compile(&args.manifest).map_err(StateError::from)?;
    let state = JobState::of(plan.clone())?;
    let point = state.find(args.from.as_ref())?;
    check_fingerprint(&point.name, &point.checkpoint, &plan, shapes_state)?;
    let merger = Merger::new(&plan)?;
    let output = args.output.as_deref();
    let output = Output::open(merger.schema(), format(args.format, output), output)?;
    let progress = Shown::new(&point.checkpoint);
    state.wait(windows(&point, &merger, output, progress))
}

/// Whether the columns of states, or what they mean, depend on a field of the manifest.
fn shapes_state(field: &str) -> bool {
    ["spec.pipeline.keyBy", "spec.pipeline.window", "spec.pipeline.aggregates"]
        .iter()
        .any(|begin| field.starts_with(begin))
}

async fn windows(
    point: &Point,
    merger: &Merger,
    mut output: Output,
    mut progress: Shown,
) -> Result<String, ExportError> {
    let reader = BundleReader::new(point.store.clone());
    for slice in &point.checkpoint.slices {
        window(slice, &reader, merger, &mut output, &mut progress).await?;
    }
    output.finish()?;
    Ok(progress.end(&point.name))
}

async fn window(
    slice: &SliceState,
    reader: &BundleReader,
    merger: &Merger,
    output: &mut Output,
    progress: &mut Shown,
) -> Result<(), ExportError> {
    let mut window = merger.window(slice.end_ms)?;
    for block in &slice.blocks {
        for rows in reader.open_block(block).await.map_err(StateError::from)? {
            window.add(block, &rows.map_err(StateError::from)?)?;
        }
        progress.read(block.bytes);
    }
    progress.rows += window.rows(|rows| output.write(rows).map_err(ExportError::from))?;
    progress.windows += 1;
    progress.show();
    Ok(())
}

/// How far an export is.
struct Shown {
    windows: u64,
    windows_all: u64,
    rows: u64,
    bytes: u64,
    bytes_all: u64,
    started: Instant,
    last: Instant,
    screen: Option<Screen>,
}

impl Shown {
    fn new(checkpoint: &Checkpoint) -> Self {
        let blocks = checkpoint.slices.iter().flat_map(|slice| &slice.blocks);
        let started = Instant::now();
        Self {
            windows: 0,
            windows_all: checkpoint.slices.len() as u64,
            rows: 0,
            bytes: 0,
            bytes_all: blocks.map(|block| block.bytes).sum(),
            started,
            last: started,
            screen: std::io::stderr().is_terminal().then(Screen::new),
        }
    }

    fn read(&mut self, block: u64) {
        self.bytes += block;
        self.show();
    }

    fn show(&mut self) {
        let interval = if self.screen.is_some() { REDRAW_INTERVAL } else { LINE_INTERVAL };
        if self.last.elapsed() < interval {
            return;
        }
        self.last = Instant::now();
        let text = format!(
            "{} of {} windows · {} of {} · {} rows",
            count(self.windows),
            count(self.windows_all),
            bytes(self.bytes),
            bytes(self.bytes_all),
            count(self.rows)
        );
        match &self.screen {
            Some(screen) => screen.draw(&text),
            None => logs::say(text),
        }
    }

    fn end(self, point: &str) -> String {
        if let Some(screen) = &self.screen {
            screen.clear();
        }
        format!(
            "{point}: {} rows of {} windows in {}",
            count(self.rows),
            count(self.windows),
            duration(self.started.elapsed())
        )
    }
}
