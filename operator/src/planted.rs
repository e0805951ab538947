//! Bugs that tests must catch: switches in production code, each once a bug of some operator.
//!
//! Owns: their names, and which of them an operator of a test has.
//! Never: is anything but absent in a build without the feature `planted-bugs`.

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bug {
    /// Actions are done before the status says that they are.
    ActionsBeforeStatus,
    /// A status is written whatever the object has become since it was read.
    StatusWithoutVersion,
    /// A conflict is taken for success.
    ConflictIsSuccess,
    /// Objects are deleted by name alone.
    DeleteByName,
    /// What belongs to a job is read once and remembered.
    RememberedObjects,
    /// The spec is read once and remembered.
    RememberedSpec,
    /// Pods of older incarnations are taken for gone.
    OldPodsAreGone,
    /// The finalizer is taken off before the job has stopped.
    FinalizerFirst,
    /// Whoever has a pod's name is called.
    AnyPodOfTheName,
    /// Without a status a job is taken for new.
    NoStatusIsNew,
    /// Every request for a stop has an id of its own.
    FreshOperationIds,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ActionsBeforeStatus,
        Self::StatusWithoutVersion,
        Self::ConflictIsSuccess,
        Self::DeleteByName,
        Self::RememberedObjects,
        Self::RememberedSpec,
        Self::OldPodsAreGone,
        Self::FinalizerFirst,
        Self::AnyPodOfTheName,
        Self::NoStatusIsNew,
        Self::FreshOperationIds,
    ];
}

/// What an operator of a test has wrong.
#[derive(Debug, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted-bugs")]
    bug: std::sync::OnceLock<Bug>,
    #[cfg(feature = "planted-bugs")]
    remembered: std::sync::Mutex<Option<crate::world::World>>,
}

impl Planted {
    /// Whether the operator has this bug.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn is(&self, bug: Bug) -> bool {
        self.bug.get() == Some(&bug)
    }

    /// Whether the operator has this bug.
    #[cfg(not(feature = "planted-bugs"))]
    #[inline(always)]
    pub(crate) fn is(&self, _bug: Bug) -> bool {
        false
    }
}

#[cfg(feature = "planted-bugs")]
mod active {
    use std::sync::PoisonError;

    use super::Bug;
    use crate::context::Context;
    use crate::decide::{Action, Decision};
    use crate::world::{Kind, World};

    impl Context {
        /// From now on it has this bug.
        pub fn plant(&self, bug: Bug) {
            // The first one stays.
            let _second = self.planted.bug.set(bug);
        }
    }

    /// What a buggy observer sees.
    pub(crate) fn distort(context: &Context, world: &mut World) {
        let planted = &context.planted;
        let mut remembered = planted.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let first = remembered.get_or_insert_with(|| world.clone());
        if planted.is(Bug::RememberedObjects) {
            world.objects.clone_from(&first.objects);
        }
        if planted.is(Bug::RememberedSpec) {
            world.job.spec = first.job.spec.clone();
        }
        if planted.is(Bug::NoStatusIsNew)
            && world.job.status.as_ref().is_none_or(|it| it.incarnation.is_none())
        {
            world.objects.clear();
        }
        if planted.is(Bug::OldPodsAreGone) {
            let newest = world.job.status.as_ref().and_then(|status| status.incarnation);
            world.objects.retain(|object| {
                object.kind() != Some(Kind::Pod)
                    || object.incarnation().is_none()
                    || object.incarnation() == newest
            });
        }
    }

    /// What a buggy mind decides.
    pub(crate) fn misjudge(context: &Context, world: &World, decision: &mut Decision) {
        if context.planted.is(Bug::FinalizerFirst) && world.job.deletion_timestamp.is_some() {
            decision.actions.insert(0, Action::RemoveFinalizer);
        }
        if context.planted.is(Bug::FreshOperationIds) {
            for action in &mut decision.actions {
                if let Action::StopWorkers { request, .. } = action {
                    request.operation_id =
                        format!("{}-{}", request.operation_id, context.now().as_millisecond());
                }
            }
        }
    }
}

#[cfg(feature = "planted-bugs")]
pub(crate) use active::{distort, misjudge};
