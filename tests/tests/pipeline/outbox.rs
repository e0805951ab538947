//! Output of an epoch that the store does not take: it is kept, and goes with the next epoch, each row once.
//!
//! Owns: the thread that writes the outbox, over a store that is away for some epochs.
//! Never: publishes.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use object_store::memory::InMemory;
use streamjob_checkpoint::checkpoint::{Object, OutboxObject};
use streamjob_checkpoint::ids::{Epoch, Generation, Lineage};
use streamjob_checkpoint::outbox::{Output, read_outbox};
use streamjob_checkpoint::retry::Patience;
use streamjob_checkpoint::store::StateStore;
use streamjob_tests::faulty_store::{Fault, FaultyStore, Step};
use streamjob_worker::durability::outbox::{OutboxBudget, OutboxSender, Sealed, outbox};
use streamjob_worker::durability::{Calls, ObjectWriterId};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The thread, and what it says.
struct Writing {
    faulty: Arc<FaultyStore>,
    store: StateStore,
    slots: Vec<OutboxSender>,
    said: Receiver<(Epoch, Sealed)>,
    runtime: Runtime,
    _leave: watch::Sender<bool>,
    /// Ends with the senders.
    _thread: JoinHandle<()>,
}

fn begin(slots: u32) -> Result<Writing> {
    let faulty = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), 1, 0));
    let store = StateStore::new(faulty.clone(), "job".into(), "memory".to_owned());
    let runtime = Runtime::new()?;
    let (leave, calls) = Calls::new(runtime.handle().clone());
    let generation = Generation { incarnation: 1, attempt: 1 };
    let id = ObjectWriterId { job: "job".to_owned(), lineage: Lineage(1), generation, worker: 0 };
    let budget = Arc::new(OutboxBudget::new(1 << 30));
    let once = store.clone().with_patience(Patience::NONE);
    let (thread, slots) = outbox(slots, (once, id, calls), &budget, Arc::new(|| ()));
    let (say, said) = channel();
    let thread = std::thread::spawn(move || {
        thread.run(|epoch, sealed| say.send((epoch, sealed)).expect("the test listens"));
    });
    Ok(Writing { faulty, store, slots, said, runtime, _leave: leave, _thread: thread })
}

impl Writing {
    /// What all slots have written so far ends with this epoch.
    fn end(&self, epoch: u64) -> Result<Sealed> {
        self.slots.iter().for_each(|slot| slot.on_barrier(Epoch(epoch)));
        let (of, sealed) = self.said.recv()?;
        ensure!(of == Epoch(epoch), "{of:?}");
        Ok(sealed)
    }

    /// The text of a slot in these objects.
    fn text_of(&self, slot: u32, objects: &[(Object, OutboxObject)]) -> Result<String> {
        let mut text = Vec::new();
        for (object, _) in objects {
            self.runtime.block_on(async {
                let mut reader = read_outbox(&self.store, object).await?;
                while let Some(rows) = reader.next().await? {
                    for chunk in rows.chunks().filter(|chunk| chunk.slot == slot) {
                        text.extend_from_slice(chunk.record.value);
                    }
                }
                anyhow::Ok(())
            })?;
        }
        Ok(String::from_utf8(text)?)
    }
}

fn kept(sealed: &Sealed) -> Option<&str> {
    match sealed {
        Sealed::Kept { cause } => Some(cause),
        Sealed::Stored(_) | Sealed::Broken(_) => None,
    }
}

fn stored(sealed: Sealed) -> Option<Vec<(Object, OutboxObject)>> {
    match sealed {
        Sealed::Stored(stored) => Some(stored),
        Sealed::Kept { .. } | Sealed::Broken(_) => None,
    }
}

#[test]
fn output_of_epochs_that_cannot_be_stored_goes_with_the_next_in_its_order() -> Result<()> {
    let writing = begin(2)?;
    let push = |slot: usize, text: &str| {
        writing.slots[slot].push("results", Output::Text { rows: 1, bytes: text.to_owned().into() })
    };

    push(0, "a");
    push(1, "A");
    writing.faulty.set_per_mille(1_000);
    let first = writing.end(1)?;
    push(0, "b");
    let second = writing.end(2)?;
    push(1, "B");
    push(0, "c");
    writing.faulty.set_per_mille(0);
    let third = writing.end(3)?;
    let fourth = writing.end(4)?;

    let cause = kept(&first).context("the store was away")?;
    assert!(cause.contains("outbox.arrow in memory"), "{cause}");
    assert!(kept(&second).is_some());
    let third = stored(third).context("the store is back")?;
    assert_eq!(
        (writing.text_of(0, &third)?, writing.text_of(1, &third)?),
        ("abc".to_owned(), "AB".to_owned())
    );
    let rows: u64 = third.iter().flat_map(|(_, outbox)| &outbox.parts).map(|part| part.rows).sum();
    assert_eq!(rows, 5);
    assert_eq!(stored(fourth).context("the store is back")?, []);
    Ok(())
}

#[test]
fn an_epoch_with_much_output_has_many_objects_and_one_that_fails_in_between_keeps_its_place() -> Result<()> {
    const ROWS: usize = 20;
    let writing = begin(1)?;
    let text = |row: usize| format!("{row:>20000}").repeat(50);

    writing.faulty.fail_next(Step::DataCreate, Fault::Before);
    (0..ROWS)
        .for_each(|row| writing.slots[0].push("results", Output::Text { rows: 1, bytes: text(row).into() }));
    let all = stored(writing.end(1)?).context("the store is back")?;

    assert!(all.len() > 1, "{}", all.len());
    assert!(all.iter().all(|(object, _)| object.bytes < 10_000_000));
    assert_eq!(writing.text_of(0, &all)?, (0..ROWS).map(text).collect::<String>());
    assert_eq!(writing.faulty.counts().len(), 1, "one of them failed");
    Ok(())
}
