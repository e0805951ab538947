//! Damage of every kind: every byte of a small checkpoint flipped, every object cut at every length. It is refused with
//! the object's name; what is not refused is right.

use crate::bundle::{BundleError, BundleReader, StateRows};
use crate::outbox::{OutboxRows, read_outbox};
use crate::sample::{Sample, chunks, rows};
use crate::store::StoreError;

use super::{check, verify};

/// All rows of the sample, as a start reads them.
async fn read_states(sample: &Sample) -> Result<Vec<Vec<StateRows>>, BundleError> {
    let reader = BundleReader::new(sample.store.clone());
    let mut read = Vec::new();
    for block in &sample.checkpoint.slices[0].blocks {
        read.push(reader.read_block(block).await?);
    }
    Ok(read)
}

/// All rows of the outbox, as they are published.
async fn read_output(sample: &Sample) -> Result<Vec<OutboxRows>, BundleError> {
    let name = &sample.checkpoint.outbox[0].object;
    let object = sample.checkpoint.objects.iter().find(|object| object.name == *name).expect("it is listed");
    let mut reader = read_outbox(&sample.store, object).await?;
    let mut read = Vec::new();
    while let Some(rows) = reader.next().await? {
        read.push(rows);
    }
    Ok(read)
}

fn names(error: &BundleError, name: &str) -> bool {
    match error {
        BundleError::Store(
            StoreError::Missing { name: named, .. } | StoreError::Short { name: named, .. },
        )
        | BundleError::Damaged { object: named, .. }
        | BundleError::TooNew { object: named, .. }
        | BundleError::Encode { object: named, .. } => named == name,
        BundleError::Store(_) => false,
    }
}

/// Replaces an object, and sees that nobody is taken in.
async fn refused(sample: &Sample, name: &str, bytes: Vec<u8>, what: &str) {
    let states = [vec![rows(0)], vec![rows(1)]];
    sample.replace(name, bytes).await;

    let damages = verify(&sample.store, &sample.checkpoint).await.expect("memory answers");
    assert_eq!(damages.iter().map(|damage| &damage.object).collect::<Vec<_>>(), [name], "{name}, {what}");
    if name.ends_with(".state.arrow") {
        // The footer is not needed to read a block.
        match read_states(sample).await {
            Ok(read) => assert_eq!(read, states, "{name}, {what}"),
            Err(error) => assert!(names(&error, name), "{name}, {what}: {error}"),
        }
    } else {
        let error = read_output(sample).await.expect_err(what);
        assert!(names(&error, name), "{name}, {what}: {error}");
    }
}

#[tokio::test]
async fn an_undamaged_checkpoint_is_read_as_it_was_written() {
    let sample = Sample::new().await;

    assert_eq!(verify(&sample.store, &sample.checkpoint).await.expect("memory answers"), []);
    assert_eq!(check(&sample.store, &sample.checkpoint).await.expect("memory answers"), []);
    assert_eq!(read_states(&sample).await.expect("it is whole"), [vec![rows(0)], vec![rows(1)]]);
    let output = read_output(&sample).await.expect("it is whole");
    assert_eq!(output.iter().flat_map(OutboxRows::chunks).collect::<Vec<_>>(), chunks());
}

#[tokio::test]
async fn every_flipped_byte_is_refused_with_the_objects_name() {
    let sample = Sample::new().await;
    for object in &sample.checkpoint.objects {
        let whole = sample.bytes(&object.name).await;
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            refused(&sample, &object.name, flipped, &format!("byte {at}")).await;
        }
        sample.replace(&object.name, whole).await;
    }
}

#[tokio::test]
async fn every_cut_is_refused_with_the_objects_name() {
    let sample = Sample::new().await;
    for object in &sample.checkpoint.objects {
        let whole = sample.bytes(&object.name).await;
        for length in 0..whole.len() {
            refused(&sample, &object.name, whole[..length].to_vec(), &format!("cut at {length}")).await;

            let found = check(&sample.store, &sample.checkpoint).await.expect("memory answers");
            assert_eq!(found[0].object, object.name);
        }
        let longer = [&whole[..], b"x"].concat();
        refused(&sample, &object.name, longer, "one byte more").await;
        sample.replace(&object.name, whole).await;
    }
}

#[tokio::test]
async fn a_missing_object_is_named_and_the_others_are_looked_at() {
    let sample = Sample::new().await;
    for object in &sample.checkpoint.objects {
        sample.store.delete(&object.name).await.expect("memory deletes");
    }

    let damages = verify(&sample.store, &sample.checkpoint).await.expect("memory answers");

    let found: Vec<_> = damages.iter().map(|damage| damage.object.as_str()).collect();
    let all: Vec<_> = sample.checkpoint.objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(found, all);
    assert!(damages.iter().all(|damage| damage.what == "it is not there"));
    assert_eq!(check(&sample.store, &sample.checkpoint).await.expect("memory answers"), damages);
}

#[tokio::test]
async fn objects_that_changed_places_are_refused() {
    let sample = Sample::new().await;
    let [one, other] = &sample.checkpoint.objects[..] else { panic!("it has two objects") };
    let bytes = (sample.bytes(&one.name).await, sample.bytes(&other.name).await);

    sample.replace(&one.name, bytes.1).await;
    sample.replace(&other.name, bytes.0).await;

    let damages = verify(&sample.store, &sample.checkpoint).await.expect("memory answers");
    assert_eq!(damages.len(), 2, "{damages:?}");
    assert!(read_states(&sample).await.is_err() && read_output(&sample).await.is_err());
}
