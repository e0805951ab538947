//! The metrics of checkpoints as Prometheus reads them.
//!
//! Owns: their names, units and labels.
//! Never: counts anything itself.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use streamjob_checkpoint::outage::Outage;

use crate::metrics::JobMetrics;
use crate::outages::Outages;

/// Writes them all; those of the last checkpoint only once this process has committed one.
pub(super) fn encode(metrics: &JobMetrics, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let checkpoints = &metrics.checkpoints;
    let committed = checkpoints.committed.load(Relaxed);
    counter(encoder, ("streamjob_checkpoints", "Checkpoints that this process has committed"), committed)?;
    let help = "Checkpoints that were abandoned; the next one held their data";
    counter(encoder, ("streamjob_checkpoints_failed", help), checkpoints.failed.load(Relaxed))?;
    let help = "1 while nobody knows whether the log has a record; processing goes on, nothing is published";
    let unresolved = u64::from(checkpoints.unresolved.load(Relaxed));
    gauge(encoder, ("streamjob_checkpoint_unresolved", help), &unresolved)?;
    let help = "Output that waits to be published";
    gauge(encoder, ("streamjob_unpublished_bytes", help), &metrics.unpublished_bytes.load(Relaxed))?;
    let help = "Calls of the store or the output that had failed and were tried again";
    let (retries, waiting) = metrics.retries();
    counter(encoder, ("streamjob_retries", help), retries)?;
    let help = "Calls that have failed and wait for their next try; above 0 for long, something is away";
    gauge(encoder, ("streamjob_retries_waiting", help), &waiting)?;
    outages(metrics, encoder)?;
    let Some(last) = checkpoints.last() else { return Ok(()) };
    gauge(encoder, ("streamjob_checkpoint_epoch", "Number of the last checkpoint"), &last.epoch)?;
    let age = last.committed_at.elapsed().as_secs_f64();
    gauge(
        encoder,
        ("streamjob_checkpoint_age_seconds", "Time since the last checkpoint was committed"),
        &age,
    )?;
    let help = "From the barrier of the last checkpoint until it was committed";
    gauge(encoder, ("streamjob_checkpoint_duration_seconds", help), &last.duration.as_secs_f64())?;
    let help = "Written for the last checkpoint";
    gauge(encoder, ("streamjob_checkpoint_written_bytes", help), &last.bytes_written)?;
    let help = "What the last checkpoint consists of, older objects included";
    gauge(encoder, ("streamjob_checkpoint_bytes", help), &last.bytes_total)?;
    let help = "1 for what the last checkpoint waited for longest";
    let mut family =
        encoder.encode_descriptor("streamjob_checkpoint_waited_for", help, None, MetricType::Gauge)?;
    family.encode_family(&[("step", last.waited_for)])?.encode_gauge(&1_u64)
}

/// 0 while it answers.
fn outages(metrics: &JobMetrics, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Outages { store, sink, source } = &metrics.outages;
    let seconds = |outage: &Outage| outage.length().unwrap_or_default().as_secs_f64();
    let help = "For how long calls of the store have failed and not succeeded; 0 while it answers";
    gauge(encoder, ("streamjob_store_unreachable_seconds", help), &seconds(&store.outage))?;
    let help = "For how long the sink takes nothing; 0 while it does";
    gauge(encoder, ("streamjob_sink_unreachable_seconds", help), &seconds(&sink.outage))?;
    let help = "For how long a broker that is to be read from does not answer; 0 while all do";
    gauge(encoder, ("streamjob_source_unreachable_seconds", help), &seconds(source))
}

fn counter(encoder: &mut DescriptorEncoder<'_>, (name, help): (&str, &str), value: u64) -> fmt::Result {
    let mut metric: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    value: &impl EncodeGaugeValue,
) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
}
