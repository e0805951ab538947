//! The job's metrics as Prometheus reads them.
//!
//! Owns: names, units and labels of metrics; the ratios over the last few seconds.
//! Never: counts anything itself.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::checkpoints;
use crate::metrics::{ENDLESS, JobMetrics, PartitionMetrics, PartitionStatus, SlotMetrics};
use crate::progress::Usage;

/// Gives the text of all metrics.
#[derive(Debug)]
pub(super) struct Exposition {
    registry: Registry,
    times: Arc<Mutex<Vec<SlotTimes>>>,
    metrics: Arc<JobMetrics>,
}

/// Nanoseconds that a slot was busy, blocked and idle: up to the last sample, and between the last two.
#[derive(Clone, Copy, Debug, Default)]
struct SlotTimes {
    seen: [u64; 3],
    spent: [u64; 3],
}

#[derive(Debug)]
struct JobCollector {
    metrics: Arc<JobMetrics>,
    times: Arc<Mutex<Vec<SlotTimes>>>,
}

struct SlotCount {
    name: &'static str,
    help: &'static str,
    of: fn(&SlotMetrics) -> &AtomicU64,
}

const SLOT_COUNTERS: [SlotCount; 6] = [
    SlotCount {
        name: "streamjob_source_rows",
        help: "Records read, bad ones included",
        of: |slot| &slot.rows_in,
    },
    SlotCount { name: "streamjob_source_bytes", help: "Bytes read", of: |slot| &slot.bytes_in },
    SlotCount {
        name: "streamjob_sink_rows",
        help: "Result rows given to the sink",
        of: |slot| &slot.rows_out,
    },
    SlotCount { name: "streamjob_late_rows", help: "Rows whose windows had closed", of: |slot| &slot.late },
    SlotCount { name: "streamjob_bad_records", help: "Records that could not be used", of: |slot| &slot.bad },
    SlotCount {
        name: "streamjob_windows_fired",
        help: "Windows that fired with at least one key of the slot",
        of: |slot| &slot.windows_fired,
    },
];

const SLOT_GAUGES: [SlotCount; 3] = [
    SlotCount {
        name: "streamjob_open_windows",
        help: "Windows that hold rows and have not closed",
        of: |slot| &slot.open_windows,
    },
    SlotCount { name: "streamjob_keys", help: "Keys over all open windows", of: |slot| &slot.keys },
    SlotCount {
        name: "streamjob_state_bytes",
        help: "Memory that the state of open windows takes",
        of: |slot| &slot.state_bytes,
    },
];

const TIMES: [&str; 3] = ["busy", "blocked", "idle"];

impl Exposition {
    pub(super) fn new(metrics: Arc<JobMetrics>) -> Self {
        let times = Arc::new(Mutex::new(vec![SlotTimes::default(); metrics.slots.len()]));
        let mut registry = Registry::default();
        let collector = JobCollector { metrics: Arc::clone(&metrics), times: Arc::clone(&times) };
        registry.register_collector(Box::new(collector));
        let exposition = Self { registry, times, metrics };
        exposition.sample();
        exposition
    }

    /// Ends an interval over which ratios are measured.
    pub(super) fn sample(&self) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        for (times, slot) in times.iter_mut().zip(&self.metrics.slots) {
            let now = nanos(slot);
            times.spent = std::array::from_fn(|part| now[part].saturating_sub(times.seen[part]));
            times.seen = now;
        }
    }

    /// All metrics as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a string does not fail");
        text
    }
}

fn nanos(slot: &SlotMetrics) -> [u64; 3] {
    [&slot.busy_nanos, &slot.blocked_nanos, &slot.idle_nanos].map(|nanos| nanos.load(Ordering::Relaxed))
}

impl Collector for JobCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.slots(&mut encoder)?;
        self.slot_times(&mut encoder)?;
        self.partitions(&mut encoder)?;
        let mut attempts = encoder.encode_descriptor(
            "streamjob_attempts",
            "Times that the job has begun to process in this process",
            None,
            MetricType::Counter,
        )?;
        counter(&mut attempts, &self.metrics.attempts.load(Ordering::Relaxed))?;
        let mut epochs = encoder.encode_descriptor(
            "streamjob_epochs_published",
            "Epochs whose output is complete",
            None,
            MetricType::Counter,
        )?;
        counter(&mut epochs, &self.metrics.epochs_published.load(Ordering::Relaxed))?;
        checkpoints::encode(&self.metrics, &mut encoder)?;
        process(&mut encoder)
    }
}

impl JobCollector {
    fn slots(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for count in &SLOT_COUNTERS {
            let mut family = encoder.encode_descriptor(count.name, count.help, None, MetricType::Counter)?;
            for (id, slot) in self.metrics.slots.iter().enumerate() {
                let labels = [("slot", id)];
                counter(&mut family.encode_family(&labels)?, &(count.of)(slot).load(Ordering::Relaxed))?;
            }
        }
        for gauge in &SLOT_GAUGES {
            let mut family = encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
            for (id, slot) in self.metrics.slots.iter().enumerate() {
                let labels = [("slot", id)];
                family.encode_family(&labels)?.encode_gauge(&(gauge.of)(slot).load(Ordering::Relaxed))?;
            }
        }
        Ok(())
    }

    fn slot_times(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (part, time) in TIMES.into_iter().enumerate() {
            let name = format!("streamjob_slot_{time}_seconds");
            let help = format!("Time that the slot was {time}");
            let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Counter)?;
            for (id, slot) in self.metrics.slots.iter().enumerate() {
                let labels = [("slot", id)];
                counter(&mut family.encode_family(&labels)?, &(nanos(slot)[part] as f64 / 1e9))?;
            }
        }
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        for (part, time) in TIMES.into_iter().enumerate() {
            let name = format!("streamjob_slot_{time}_ratio");
            let help = format!("Share of the last seconds that the slot was {time}");
            let mut family = encoder.encode_descriptor(&name, &help, None, MetricType::Gauge)?;
            for (id, times) in times.iter().enumerate() {
                let all: u64 = times.spent.iter().sum();
                let ratio = if all == 0 { 0.0 } else { times.spent[part] as f64 / all as f64 };
                family.encode_family(&[("slot", id)])?.encode_gauge(&ratio)?;
            }
        }
        Ok(())
    }

    fn partitions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "streamjob_partition_watermark_seconds",
            "Event time up to which the partition is complete, since 1970; absent before the first row and at the end",
            None,
            MetricType::Gauge,
        )?;
        for partition in self.metrics.partitions() {
            let watermark_ms = partition.watermark_ms.load(Ordering::Relaxed);
            if watermark_ms != i64::MIN && watermark_ms != i64::MAX {
                let labels = [("partition", partition.name.as_str())];
                family.encode_family(&labels)?.encode_gauge(&(watermark_ms as f64 / 1e3))?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "streamjob_partition_lag_bytes",
            "Bytes left to read; absent for input without an end",
            None,
            MetricType::Gauge,
        )?;
        for partition in self.metrics.partitions() {
            if let Some(lag) = lag_bytes(&partition) {
                family.encode_family(&[("partition", partition.name.as_str())])?.encode_gauge(&lag)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "streamjob_partition_rows",
            "Records read from the partition, bad ones included",
            None,
            MetricType::Counter,
        )?;
        for partition in self.metrics.partitions() {
            let labels = [("partition", partition.name.as_str())];
            counter(&mut family.encode_family(&labels)?, &partition.rows.load(Ordering::Relaxed))?;
        }
        self.statuses(encoder)
    }

    fn statuses(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "streamjob_partition_status",
            "1 for where the partition stands",
            None,
            MetricType::Gauge,
        )?;
        for partition in self.metrics.partitions() {
            let status = match partition.status() {
                PartitionStatus::Waiting => "waiting",
                PartitionStatus::Active => "active",
                PartitionStatus::Idle => "idle",
                PartitionStatus::Finished => "finished",
            };
            let labels = [("partition", partition.name.as_str()), ("status", status)];
            family.encode_family(&labels)?.encode_gauge(&1_u64)?;
        }
        Ok(())
    }
}

fn lag_bytes(partition: &PartitionMetrics) -> Option<u64> {
    match partition.bytes_total.load(Ordering::Relaxed) {
        ENDLESS => None,
        total => Some(total.saturating_sub(partition.bytes_done.load(Ordering::Relaxed))),
    }
}

/// What the system says of this process, under the names that Prometheus clients agree on.
fn process(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let usage = Usage::now();
    if let Some(cpu) = usage.cpu {
        let help = "User and system time of all threads";
        let mut metric = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        counter(&mut metric, &cpu.as_secs_f64())?;
    }
    if let Some(bytes) = usage.resident_bytes {
        let help = "Resident memory";
        let name = "process_resident_memory_bytes";
        encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&bytes)?;
    }
    Ok(())
}

fn counter(
    encoder: &mut MetricEncoder<'_>,
    value: &impl prometheus_client::encoding::EncodeCounterValue,
) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, _, u64>(value, None)
}
