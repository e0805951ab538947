//! One operator leads; what it takes to lose that, and how fast another follows.
//!
//! Owns: candidates with short times over a fake API server.
//! Never: waits long: what takes ten seconds in a cluster takes two here.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use streamjob_operator::leader::{Candidate, Timing};
use streamjob_tests::api_server::faults::{Effect, Positions};
use streamjob_tests::api_server::{ApiServer, TestClock};

const TIMING: Timing = Timing {
    lease: Duration::from_millis(2400),
    renew: Duration::from_millis(1600),
    retry: Duration::from_millis(80),
};
/// Busy machines are slow.
const SOON: Duration = Duration::from_secs(20);

async fn server() -> Result<ApiServer> {
    ApiServer::start(&TestClock::at(1_800_000_000), &Positions::shared()).await
}

fn candidate(server: &ApiServer, name: &str) -> Result<Candidate> {
    let client = kube::Client::try_from(server.config())?;
    Ok(Candidate::new(client, ("default", "operator"), name, TIMING))
}

fn holder(server: &ApiServer) -> String {
    let lease = server.one("Lease", "default", "operator").unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_second_candidate_waits_until_the_first_is_gone() -> Result<()> {
    let server = server().await?;
    let (mut first, mut second) = (candidate(&server, "first")?, candidate(&server, "second")?);
    first.acquire().await;

    let waited =
        tokio::time::timeout(TIMING.lease * 2, async { tokio::join!(first.hold(), second.acquire()) });
    assert!(waited.await.is_err(), "both lead, or the first lost its lease for nothing");
    assert_eq!(holder(&server), "first");

    // Nobody renews any more.
    drop(first);
    let began = Instant::now();
    tokio::time::timeout(SOON, second.acquire()).await?;
    assert!(began.elapsed() >= TIMING.lease / 2, "taken after {:?}", began.elapsed());
    assert_eq!(holder(&server), "second");
    Ok(())
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_taken_at_once() -> Result<()> {
    let server = server().await?;
    let (mut first, mut second) = (candidate(&server, "first")?, candidate(&server, "second")?);
    first.acquire().await;

    first.release().await;
    assert_eq!(holder(&server), "");
    let began = Instant::now();
    tokio::time::timeout(SOON, second.acquire()).await?;

    assert!(began.elapsed() < TIMING.lease, "taken after {:?}", began.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_holder_whose_renewals_fail_says_that_it_lost_the_lease() -> Result<()> {
    for effect in
        [Effect::Refuse(503, None), Effect::Hang, Effect::LoseRequest, Effect::Refuse(429, Some(60))]
    {
        let server = server().await?;
        let mut first = candidate(&server, "first")?;
        first.acquire().await;

        server.faults().plan(usize::MAX, effect, |call| call.kind == "Lease");
        let began = Instant::now();
        let why = tokio::time::timeout(SOON, first.hold()).await?;

        assert!(!why.is_empty() && began.elapsed() < TIMING.lease * 2, "{effect:?}: {:?}", began.elapsed());
    }
    Ok(())
}

#[tokio::test]
async fn a_few_failed_renewals_are_no_loss() -> Result<()> {
    let server = server().await?;
    let mut first = candidate(&server, "first")?;
    first.acquire().await;

    server.faults().plan(2, Effect::Refuse(500, None), |call| call.kind == "Lease" && call.is_write());
    server.faults().plan(2, Effect::LoseAnswer, |call| call.kind == "Lease" && call.is_write());
    let held = tokio::time::timeout(TIMING.lease * 2, first.hold()).await;

    assert!(held.is_err(), "{held:?}");
    Ok(())
}

#[tokio::test]
async fn a_holder_that_finds_another_in_its_place_says_so() -> Result<()> {
    let server = server().await?;
    let mut first = candidate(&server, "first")?;
    first.acquire().await;

    server.edit("Lease", ("default", "operator"), false, |lease| {
        lease["spec"]["holderIdentity"] = json!("second")
    });
    let why = tokio::time::timeout(SOON, first.hold()).await?;

    assert!(why.contains("another operator"), "{why}");
    Ok(())
}
