//! Two clusters, one state: what becomes of a job whose cluster was lost.
//!
//! Owns: that the state changes hands only when its owner is named, and that no row is lost or twice by it.
//! Never: lets both work on it.

use std::collections::BTreeMap;

use anyhow::Result;
use streamjob_checkpoint::record::Body;
use streamjob_crds::Reason;
use streamjob_crds::worker::WorkerPhase;
use streamjob_tests::pod::{CLUSTER, NAMESPACE, PodJob};
use streamjob_tests::process::Signal;

use super::{SOON, endless, head, with_rows};

const NEW: &str = "5f0a77e2-new";

fn old_owner() -> String {
    format!("{CLUSTER}/{NAMESPACE}/orders")
}

#[test]
fn the_state_of_a_lost_cluster_is_gone_on_from_by_who_names_it_and_no_row_is_twice() -> Result<()> {
    let alone = PodJob::new(&with_rows(20_000))?;
    let pod = alone.start(1, &[])?;
    pod.wait("it is finished", |status| status.phase == WorkerPhase::Finished)?;
    let mut job = PodJob::new(&with_rows(20_000))?;
    let mut lost = job.start(3, &[])?;
    lost.wait_for_checkpoints(2)?;
    lost.running.signal(Signal::Kill)?;
    lost.running.wait(SOON)?;
    let before = head(&job)?;
    job.cluster = NEW;
    let take_over = format!("--take-over={}", old_owner());

    let (_, owned) = job.fails(1, &[])?;
    let (_, wrong) = job.fails(1, &["--take-over=9b1d8c1e-cluster/shop/order"])?;
    let (fenced, low) = job.fails(1, &[&take_over])?;
    let untouched = head(&job)?;
    let mut taken = job.start(4, &[&take_over])?;
    taken.wait_for_checkpoints(1)?;
    taken.running.signal(Signal::Kill)?;
    taken.running.wait(SOON)?;
    let again = job.start(4, &[&take_over])?;
    again.wait("it is finished", |status| status.phase == WorkerPhase::Finished)?;

    let typed = format!(
        "kubectl streamjob restore orders --namespace shop --from Latest --take-over {}",
        old_owner()
    );
    for refused in [owned, wrong] {
        assert_eq!((refused.reason, refused.retryable), (Reason::StateOwned, false), "{refused:?}");
        assert!(refused.message.contains(&typed), "{refused:?}");
    }
    assert_eq!((fenced.code, low.reason, low.incarnation), (Some(3), Reason::Fenced, Some(3)), "{low:?}");
    assert_eq!(untouched, before);
    let last = head(&job)?;
    assert_eq!((last.owner.cluster.as_str(), last.lineage), (NEW, before.lineage));
    assert!(matches!(last.body, Body::Final { finished: true, .. }), "{:?}", last.body);
    assert_eq!(results(&job)?, results(&alone)?);
    Ok(())
}

#[test]
fn an_owner_that_still_works_is_fenced_and_refused_when_it_starts_again() -> Result<()> {
    let mut job = PodJob::new(&endless())?;
    let mut old = job.start(3, &[])?;
    old.wait_for_checkpoints(2)?;
    job.cluster = NEW;
    let take_over = format!("--take-over={}", old_owner());
    let checked = job.ends("check", &[&take_over])?;

    let new = job.start(4, &[&take_over])?;
    new.wait_for_checkpoints(2)?;
    let ended = old.running.wait(SOON)?;
    job.cluster = CLUSTER;
    let (_, refused) = job.fails(5, &[])?;

    assert_eq!(checked.code, Some(0), "{}", checked.said);
    assert_eq!(ended.code, Some(3), "{}", ended.said);
    assert_eq!(refused.reason, Reason::StateOwned, "{refused:?}");
    assert!(refused.message.contains(&format!("belongs to {NEW}/shop/orders")), "{refused:?}");
    new.wait_for_checkpoints(new.status()?.checkpoints_since_start + 2)?;
    assert_eq!(head(&job)?.generation.incarnation, 4);
    Ok(())
}

#[test]
fn where_nothing_is_nothing_is_taken_over() -> Result<()> {
    let job = PodJob::new(&endless())?;

    let (_, nothing) = job.fails(1, &[&format!("--take-over={}", old_owner())])?;

    assert_eq!((nothing.reason, nothing.retryable), (Reason::StateMissing, false), "{nothing:?}");
    Ok(())
}

/// How often each line was put out.
fn results(job: &PodJob) -> Result<BTreeMap<String, usize>> {
    let mut lines = BTreeMap::new();
    for entry in std::fs::read_dir(job.path().join("out"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            *lines.entry(line.to_owned()).or_insert(0) += 1;
        }
    }
    anyhow::ensure!(!lines.is_empty(), "there is no output");
    Ok(lines)
}
