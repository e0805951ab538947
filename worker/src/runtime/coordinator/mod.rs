//! Stub.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::ids::Lineage;
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::protocol::CommitPermit;
use streamjob_checkpoint::store::StateStore;
use streamjob_plan::Plan;
use tokio::runtime::Handle;

use super::messages::Publication;
use super::transport::{CoordinatorLink, FromWorker};
use super::{RunError, StopFlag};
use crate::metrics::JobMetrics;
use crate::pipeline::clock::Clock;
use crate::pipeline::sink::{Folder, Target};

/// How a job ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// All input was read and everything has fired.
    Finished,
    /// Someone asked it to stop; nothing fired early.
    Stopped,
}

pub struct CoordinatorSetup {
    pub plan: Arc<Plan>,
    pub log: Log,
    pub store: StateStore,
    pub permit: CommitPermit,
    pub lineage: Lineage,
    pub checkpoint: Box<Checkpoint>,
    pub inherited: Option<Publication>,
    pub folders: BTreeMap<Target, Folder>,
    pub metrics: Arc<JobMetrics>,
    pub clock: Arc<dyn Clock>,
    pub stop: StopFlag,
    pub runtime: Handle,
    pub control: Option<PathBuf>,
}

pub fn run(
    _setup: CoordinatorSetup,
    _link: CoordinatorLink,
    _heard: Receiver<FromWorker>,
) -> Result<Ending, RunError> {
    todo!()
}
