//! State in object stores: what every store promises, and jobs over a real S3 server, with faults in between.
//!
//! Owns: the stores that are asked; supported is what passes here.
//! Never: asks a server that is not on this machine.

mod questions;

use std::sync::Arc;

use object_store::memory::InMemory;
use streamjob_checkpoint::store::StateStore;
use streamjob_tests::s3::{Kind, S3Server};

use questions::keeps_its_word;

#[tokio::test]
async fn memory_keeps_its_word() {
    let store = StateStore::new(Arc::new(InMemory::new()), "jobs/job-1".into(), "memory".to_owned());

    keeps_its_word(&store, 1_001).await;
}

#[tokio::test]
async fn a_folder_of_this_machine_keeps_its_word() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = StateStore::local(folder.path()).expect("an empty folder can be opened");

    keeps_its_word(&store, 20).await;
}

#[tokio::test]
async fn versitygw_keeps_its_word() {
    let server = S3Server::start(Kind::Versitygw).expect("it starts");
    let store = server.store("jobs/job-1").expect("nothing is asked yet");

    keeps_its_word(&store, 1_001).await;
}

#[tokio::test]
async fn ministack_keeps_its_word() {
    let server = S3Server::start(Kind::Ministack).expect("it starts");
    let store = server.store("jobs/job-1").expect("nothing is asked yet");

    keeps_its_word(&store, 1_001).await;
}
