//! Output that an earlier life of the state has committed and not published.
//!
//! Owns: that it goes where it belongs when a new life begins.
//! Never: holds up the new life: what cannot be published is given up, as its state was.

use std::sync::Arc;

use streamjob_checkpoint::record::Record;
use streamjob_checkpoint::retry::{Retries, with_causes};
use streamjob_plan::Plan;
use uuid::Uuid;

use super::RunError;
use super::job::State;
use super::messages::Publication;
use super::worker::publish::Publisher;
use super::worker::wiring;
use crate::pipeline::sink::{FilePublisher, Life, holds_output_of, write_epoch_manifest};

/// Publishes what another lineage left, into folders that are the same for both and still have output of it: whoever
/// has emptied them since does not want more.
pub(super) fn publish_earlier(state: &State, plan: &Plan, (epoch, now): (&Record, &Record)) {
    let Some(checkpoint) = epoch.checkpoint() else { return };
    let output = Publication::of(epoch.lineage, checkpoint);
    let lineage = output.lineage.to_string();
    let mut folders = wiring::folders(plan).into_values();
    let to_topics = plan.kafka_output.is_some();
    let there = to_topics || folders.any(|folder| holds_output_of(&folder.path, &lineage));
    let wanted = epoch.sink == now.sink && there;
    let life = Life {
        job: plan.state.id.clone(),
        lineage,
        slots: checkpoint.parallelism,
        // Should its log have lost what it has published since, that is no matter any more.
        newest: u64::MAX,
        progress_from: epoch.progress_from,
        owes: true,
    };
    let published =
        if wanted { publish(state, plan, &output, (life, now)).map(|()| true) } else { Ok(false) };
    let epoch = output.epoch;
    match published {
        Ok(true) => tracing::info!(%epoch, "the output of the state that was given up is complete"),
        Ok(false) => tracing::info!(%epoch, "output that was not published is given up with its state"),
        Err(error) => {
            let cause = with_causes(&error);
            tracing::warn!(%epoch, cause, "output that cannot be published is given up with its state");
        }
    }
}

fn publish(
    state: &State,
    plan: &Plan,
    output: &Publication,
    (life, now): (Life, &Record),
) -> Result<(), RunError> {
    let folders = wiring::folders(plan);
    let publisher = Publisher {
        store: state.store.clone(),
        retries: Retries::default().known_to(Arc::clone(&state.outages.sink)),
        files: FilePublisher::new(folders.clone(), Uuid::new_v4().simple().to_string()),
        topics: wiring::kafka_publisher(plan, life, &state.outages).map(tokio::sync::Mutex::new),
        generation: now.generation,
    };
    let files = state.runtime().block_on(publisher.publish(output))?;
    for (target, folder) in folders {
        let its = files.iter().filter(|(of, _)| *of == target).map(|(_, file)| file.clone());
        let its: Vec<_> = its.collect();
        write_epoch_manifest(&folder.path, &output.lineage.to_string(), output.epoch.0, &its)?;
    }
    Ok(())
}
