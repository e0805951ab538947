//! Bugs that tests must catch: switches in production code, each once a bug of somebody.
//!
//! Owns: their names, and which one `STREAMJOB_PLANTED_BUG` chooses.
//! Never: is anything but `false` in a build without the feature `planted-bugs`.

/// Makes the enum and the list of names.
macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Bug {
            $($(#[$doc])* $bug,)*
        }

        /// Every bug, and what `STREAMJOB_PLANTED_BUG` calls it.
        pub const ALL: &[(&str, Bug)] = &[$(($name, Bug::$bug),)*];
    };
}

bugs! {
    /// A worker acknowledges a barrier before its upload is durable.
    AckBeforeUpload = "ack-before-upload",
    /// Objects are created even if there is one of their name.
    CreateWithoutCondition = "create-without-condition",
    /// A record that exists is taken for someone else's, without reading it.
    ExistsIsFenced = "exists-is-fenced",
    /// A record that exists is taken for one's own, without reading it.
    ExistsIsSuccess = "exists-is-success",
    /// A record that was created counts, even if the log has gone on without it.
    NoVoidCheck = "no-void-check",
    /// Output is published before its epoch is committed.
    PublishBeforeCommit = "publish-before-commit",
    /// An epoch commits although the one before is not published.
    CommitBeforePublish = "commit-before-publish",
    /// What was not published is computed again instead of taken from the outbox.
    RepublishRecomputed = "republish-recomputed",
    /// A start goes on from the newest Epoch record, whatever the head says.
    RestoreNewestListed = "restore-newest-listed",
    /// A start silently goes on from the checkpoint before the newest.
    FallBackOneCheckpoint = "fall-back-one-checkpoint",
    /// A log that cannot be read is taken for an empty one.
    FreshStartOnReadError = "fresh-start-on-read-error",
    /// Retention deletes what old records name, though newer ones name it too.
    RetentionWithoutReferences = "retention-without-references",
    /// Retention deletes every object that no record names, those being uploaded included.
    RetentionOfOwnUploads = "retention-of-own-uploads",
    /// The report of an older generation's worker is taken.
    StaleGenerationAck = "stale-generation-ack",
    /// A barrier overtakes rows on its way.
    BarrierBeforeData = "barrier-before-data",
    /// Positions are noted after the barrier, not at it.
    PositionsAfterBarrier = "positions-after-barrier",
    /// A restored slot begins a quarter of its key groups too late.
    GroupOffByOne = "group-off-by-one",
    /// How far a window has fired is not in the checkpoint.
    FiringNotInSnapshot = "firing-not-in-snapshot",
    /// What an abandoned epoch froze is not in the next.
    DeltaLostOnAbandon = "delta-lost-on-abandon",
    /// A layer is folded into the base twice.
    FoldTwice = "fold-twice",
    /// What is published is looked up before forerunners are kept from publishing.
    ProgressBeforeFence = "progress-before-fence",
    /// The progress record is in a transaction of its own.
    ProgressOutsideTransaction = "progress-outside-transaction",
    /// A progress record counts although its transaction was aborted.
    ProgressUncommitted = "progress-uncommitted",
    /// A progress record that someone else's open transaction hides is taken for absent.
    NoWaitForStableOffset = "no-wait-for-stable-offset",
    /// After a transaction of unknown outcome what is published is not looked up again.
    LookNotRepeated = "look-not-repeated",
    /// A producer goes on although the end of its last transaction may still be under way a second time.
    ProducerKeptAfterRetry = "producer-kept-after-retry",
    /// An epoch that one slot has published is taken for published by all.
    OneSlotForAll = "one-slot-for-all",
    /// What another life of the state has published counts.
    AnyLineage = "any-lineage",
    /// A transactional id is of one process only, so that it keeps nobody from publishing.
    IdOfProcess = "id-of-process",
}

/// Whether this bug is planted in this process.
#[inline(always)]
pub fn is(_bug: Bug) -> bool {
    #[cfg(any(test, feature = "planted-bugs"))]
    return active::is(_bug);
    #[cfg(not(any(test, feature = "planted-bugs")))]
    false
}

#[cfg(any(test, feature = "planted-bugs"))]
mod active {
    use std::sync::OnceLock;

    use super::{ALL, Bug};

    pub(super) fn is(bug: Bug) -> bool {
        static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
        #[cfg(test)]
        if let Some(planted) = super::PLANTED_HERE.get() {
            return planted == bug;
        }
        *PLANTED.get_or_init(from_environment) == Some(bug)
    }

    fn from_environment() -> Option<Bug> {
        let name = std::env::var("STREAMJOB_PLANTED_BUG").ok().filter(|name| !name.is_empty())?;
        let bug = ALL.iter().find(|(known, _)| *known == name).map(|(_, bug)| *bug);
        if bug.is_none() {
            let known: Vec<_> = ALL.iter().map(|(known, _)| *known).collect();
            eprintln!("STREAMJOB_PLANTED_BUG: there is no bug `{name}`; there are: {}", known.join(", "));
            std::process::exit(2);
        }
        bug
    }
}

#[cfg(test)]
thread_local! {
    /// A bug of one test only: tests share a process.
    static PLANTED_HERE: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in this thread while `run` runs.
#[cfg(test)]
pub(crate) fn with<T>(bug: Option<Bug>, run: impl FnOnce() -> T) -> T {
    PLANTED_HERE.set(bug);
    let result = run();
    PLANTED_HERE.set(None);
    result
}

#[cfg(test)]
mod tests {
    use super::{ALL, Bug, is, with};

    #[test]
    fn every_name_is_the_bug_in_small_letters_with_dashes() {
        for (name, bug) in ALL {
            let letters: String = name.split('-').flat_map(str::chars).collect();

            assert_eq!(letters, format!("{bug:?}").to_lowercase());
        }
    }

    #[test]
    fn a_planted_bug_is_the_only_one() {
        let planted = with(Some(Bug::NoVoidCheck), || (is(Bug::NoVoidCheck), is(Bug::FoldTwice)));

        assert_eq!(planted, (true, false));
    }
}
