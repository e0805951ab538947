//! The API server that the operator's tests have in memory, and a real one: they answer alike.
//!
//! Owns: the questions of `tests/tests/operator/conformance.rs`, asked of the real one.
//! Never: has questions of its own.

use anyhow::ensure;
use streamjob_tests::cluster::{Kind, without_operator};

use crate::operator::conformance;

const NAMESPACE: &str = "conformance";

#[test]
fn the_real_api_server_answers_as_the_fake_one_does() {
    // An operator would act on the jobs of these questions.
    without_operator(|cluster| {
        cluster.make_namespace(NAMESPACE)?;

        let failures = cluster.block_on(conformance::failures(cluster.client(), NAMESPACE));

        cluster.delete(Kind::NAMESPACE, "", NAMESPACE)?;
        ensure!(failures.is_empty(), "{failures:#?}");
        Ok(())
    });
}
