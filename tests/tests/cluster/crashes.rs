//! The operator dies at calls to a real API server with real controllers: the end is the same as without.
//!
//! Owns: which of the sequences of `tests/tests/operator/crash.rs` are played, and where the operator dies in them.
//! Never: runs a worker; the processes in the pods are fakes.

use anyhow::{Result, ensure};
use fastrand::Rng;
use serde_json::Value;
use streamjob_tests::api_server::faults::When;
use streamjob_tests::cluster::{Kubernetes, without_operator};
use streamjob_tests::fake_cluster::FakeCluster;

use crate::operator::crash::{SEQUENCES, Sequence, play_in};
use crate::operator::scene::{NAMESPACE, Scene, text};

/// What a real kubelet or a clock that a test moves would be needed for.
const LEFT_OUT: [&str; 3] = ["roll back", "a lost node", "a refused check that passes later"];

/// In which what is left to clear up is begun with.
const PAUSE_ROUNDS: usize = 15;
const PAUSES_MAX: usize = 40;

async fn scene(cluster: &Kubernetes) -> Result<Scene> {
    Ok(Scene::of(FakeCluster::on(cluster.client(), &[NAMESPACE, "streamjob"]).await?))
}

/// What stays: the real controllers clear up in their own time.
async fn last_state(scene: &mut Scene) -> Value {
    let mut last = scene.end_state();
    for _ in 0..PAUSES_MAX {
        scene.rounds(PAUSE_ROUNDS).await;
        let next = scene.end_state();
        if next == last && !has_garbage(scene) {
            break;
        }
        last = next;
    }
    last
}

/// What belonged to a job that is gone is still there.
fn has_garbage(scene: &Scene) -> bool {
    let kinds = ["Service", "ServiceAccount", "NetworkPolicy", "ConfigMap", "ControllerRevision"];
    let mut children = kinds.iter().flat_map(|kind| scene.cluster.server.all(kind));
    scene.job().is_null()
        && children.any(|child| text(&child, "/metadata/ownerReferences/0/kind") == "StreamJob")
}

/// Plays a sequence to its end, then with a death at so many places.
async fn deaths_in(cluster: &Kubernetes, sequence: &Sequence, deaths: usize, rng: &mut Rng) -> Result<()> {
    let (calls, mut quiet) = play_in(scene(cluster).await?, sequence, None).await;
    let wanted = last_state(&mut quiet).await;
    quiet.cluster.clear();
    for _ in 0..deaths {
        // A play on a real server is never quite the same: if it has ended before this call, an earlier one is taken.
        let mut number = rng.usize(..calls.len());
        let when = if rng.bool() { When::Before } else { When::After };
        loop {
            let (_, mut scene) = play_in(scene(cluster).await?, sequence, Some((number, when))).await;
            let place =
                format!("{}: {when:?} call {number} of {}, {}", sequence.name, calls.len(), calls[number]);
            let violations = scene.cluster.violations();
            ensure!(violations.is_empty(), "{place}: {violations:?}\n{}", scene.told());
            let found = last_state(&mut scene).await;
            ensure!(found == wanted, "{place}\n{found:#}\n{wanted:#}\n{}", scene.told());
            let died = scene.deaths > 0;
            scene.cluster.clear();
            if died {
                println!("survived: {place}");
                break;
            }
            number /= 2;
        }
    }
    Ok(())
}

#[test]
fn an_operator_that_died_at_a_call_to_a_real_api_server_comes_to_the_same_end() {
    without_operator(|cluster| {
        let seed = std::env::var("STREAMJOB_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let is_long = std::env::var_os("STREAMJOB_LONG").is_some();
        println!("STREAMJOB_SEED={seed}");
        let mut rng = Rng::with_seed(seed);
        let mut sequences: Vec<&Sequence> =
            SEQUENCES.iter().filter(|sequence| !LEFT_OUT.contains(&sequence.name)).collect();
        rng.shuffle(&mut sequences);
        let (played, deaths) = if is_long { (sequences.len(), 50) } else { (2, 5) };
        for (index, sequence) in sequences.iter().take(played).enumerate() {
            let share = deaths * (index + 1) / played - deaths * index / played;
            cluster.block_on(deaths_in(cluster, sequence, share, &mut rng))?;
        }
        Ok(())
    });
}
