//! Savepoints that were asked for over HTTP.
//!
//! Owns: how far each is; asking the coordinator once for each, and again after an attempt has ended.
//! Never: copies anything; what is complete is what the store says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, TryRecvError};
use streamjob_checkpoint::retry::{Patience, with_causes};
use streamjob_checkpoint::savepoint::{self, SavepointError};
use streamjob_crds::worker::{
    SavepointAnswer, SavepointRequest, SavepointState, WorkerOperation, WorkerOperationKind,
};

use super::hub::{Hub, number, time};
use crate::runtime::control::Line;

/// How many are remembered. Those that are complete are found in the store.
const KNOWN_MAX: usize = 64;
/// How long the store has to say what is in a savepoint.
const LOOK: Duration = Duration::from_secs(5);

/// Those that were asked for, by id.
#[derive(Default)]
pub(super) struct Savepoints(BTreeMap<String, Progress>);

/// How far one is.
enum Progress {
    /// The coordinator was asked; so far, in words.
    UnderWay(Receiver<Line>, String),
    /// It is in the store, and has not been looked at.
    There,
    /// All is known.
    Told(SavepointAnswer),
}

impl Hub {
    /// Asks for a savepoint, or how it stands.
    pub(super) async fn ask_for_savepoint(self: &Arc<Self>, request: SavepointRequest) -> SavepointAnswer {
        let answer = self.savepoint_answer(&request.id).await;
        self.note(WorkerOperation {
            id: request.operation_id.unwrap_or(request.id),
            kind: WorkerOperationKind::Savepoint,
            result: format!("{:?}", answer.state),
        });
        answer
    }

    async fn savepoint_answer(self: &Arc<Self>, id: &str) -> SavepointAnswer {
        if let Err(error) = savepoint::folder(&self.store, id) {
            return failed(id, with_causes(&error));
        }
        match self.known(id) {
            Some(Next::Answer(answer)) => *answer,
            Some(Next::Look) => self.look(id, true).await,
            None if self.has_ended() => self.look(id, false).await,
            None => in_progress(id, "the job has to start first"),
        }
    }

    /// What can be said without the store. `None`: nobody could be asked.
    fn known(&self, id: &str) -> Option<Next> {
        let mut book = self.lock();
        let known = &mut book.savepoints.0;
        if let Some(Progress::UnderWay(lines, words)) = known.get_mut(id) {
            match news(lines, words) {
                News::None => return Some(Next::answer(in_progress(id, words))),
                News::Done => drop(known.insert(id.to_owned(), Progress::There)),
                News::Failed(reason) => {
                    let told = failed(id, reason);
                    known.insert(id.to_owned(), Progress::Told(told));
                }
                // Its attempt has ended: the next one is asked.
                News::Gone => drop(known.remove(id)),
            }
        }
        match known.get(id) {
            Some(Progress::There) => return Some(Next::Look),
            Some(Progress::Told(answer)) => return Some(Next::answer(answer.clone())),
            Some(Progress::UnderWay(..)) | None => {}
        }
        let lines = self.desk.ask(id.to_owned())?;
        if known.len() >= KNOWN_MAX {
            known.pop_first();
        }
        let words = "the next checkpoint will be copied".to_owned();
        let answer = in_progress(id, &words);
        known.insert(id.to_owned(), Progress::UnderWay(lines, words));
        Some(Next::answer(answer))
    }

    /// What the store says. `there`: it is complete, as its job has said.
    async fn look(self: &Arc<Self>, id: &str, there: bool) -> SavepointAnswer {
        let store = self.store.clone().with_patience(Patience::NONE);
        let folder = savepoint::folder(&store, id).expect("the id was looked at before");
        let location = folder.shown().to_owned();
        // Connections to the store live on its own runtime.
        let name = id.to_owned();
        let looking = self.calls.spawn(async move {
            let opened = savepoint::open(&folder).await?;
            Ok::<_, SavepointError>((opened, savepoint::bytes(&store, &name).await?))
        });
        let opened = match tokio::time::timeout(LOOK, looking).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) | Err(_) => return in_progress(id, "the store does not say what is in it"),
        };
        match opened {
            Ok((opened, bytes)) => {
                let checkpoint = &opened.checkpoint;
                let watermark =
                    checkpoint.operators.iter().map(|operator| operator.watermark_ms).min().flatten();
                let answer = SavepointAnswer {
                    id: id.to_owned(),
                    state: SavepointState::Completed,
                    uri: Some(location),
                    size_bytes: Some(number(bytes)),
                    epoch: Some(number(checkpoint.epoch.0)),
                    // The end of all time, once all input was read, is none that could be told.
                    watermark: watermark.filter(|&at| at < i64::MAX).map(time),
                    message: None,
                };
                self.lock().savepoints.0.insert(id.to_owned(), Progress::Told(answer.clone()));
                answer
            }
            Err(SavepointError::Incomplete { .. }) if !there => {
                failed(id, "the job had ended before it was taken".to_owned())
            }
            Err(SavepointError::Store(error)) => in_progress(id, &with_causes(&error)),
            Err(error) => failed(id, with_causes(&error)),
        }
    }
}

enum Next {
    Answer(Box<SavepointAnswer>),
    Look,
}

impl Next {
    fn answer(answer: SavepointAnswer) -> Self {
        Self::Answer(Box::new(answer))
    }
}

enum News {
    None,
    Done,
    Failed(String),
    Gone,
}

/// What has been said since the last look.
fn news(lines: &Receiver<Line>, words: &mut String) -> News {
    loop {
        *words = match lines.try_recv() {
            Ok(Line::Waiting) => continue,
            Ok(Line::Barrier { epoch }) => format!("checkpoint {epoch} is being taken"),
            Ok(Line::Committed { epoch }) => {
                format!("checkpoint {epoch} is committed; its output is being published")
            }
            Ok(Line::Copying { epoch }) => format!("checkpoint {epoch} is being copied"),
            Ok(Line::Again { cause }) => format!("the checkpoint was given up, another one follows: {cause}"),
            Ok(Line::Done { .. }) => return News::Done,
            Ok(Line::Failed { reason }) => return News::Failed(reason),
            Err(TryRecvError::Empty) => return News::None,
            Err(TryRecvError::Disconnected) => return News::Gone,
        };
    }
}

fn in_progress(id: &str, message: &str) -> SavepointAnswer {
    SavepointAnswer {
        id: id.to_owned(),
        state: SavepointState::InProgress,
        uri: None,
        size_bytes: None,
        epoch: None,
        watermark: None,
        message: Some(message.to_owned()),
    }
}

fn failed(id: &str, message: String) -> SavepointAnswer {
    SavepointAnswer { state: SavepointState::Failed, ..in_progress(id, &message) }
}
