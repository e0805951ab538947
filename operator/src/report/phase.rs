//! One word for `kubectl get`.
//!
//! Owns: which word.
//! Never: is read by anything that decides.

use streamjob_crds::{OperationType, Phase, Reason};

use super::View;
use crate::decide::Pass;

impl View {
    pub(super) fn phase(&self, pass: &Pass<'_>) -> Phase {
        let kind = self.operation.as_ref().map(|operation| operation.operation_type);
        if kind == Some(OperationType::Delete) {
            return Phase::Deleting;
        }
        if let Some(trouble) = &self.trouble {
            let back = trouble.reason == Reason::RolledBack;
            return if self.refused {
                Phase::Rejected
            } else if back {
                Phase::RolledBack
            } else {
                Phase::Stalled
            };
        }
        match kind {
            Some(OperationType::Start) => Phase::Starting,
            Some(OperationType::Upgrade) => Phase::Upgrading,
            Some(OperationType::Restart) => Phase::Restarting,
            Some(OperationType::Rescale) => Phase::Rescaling,
            Some(OperationType::Suspend) => Phase::Suspending,
            Some(OperationType::Restore) => Phase::Restoring,
            Some(OperationType::Rollback) => Phase::RollingBack,
            Some(OperationType::Replace) => Phase::Recovering,
            Some(OperationType::Delete) => Phase::Deleting,
            None if pass.waiting.is_some() => Phase::Pending,
            None if pass.finished => Phase::Finished,
            None if self.suspended => Phase::Suspended,
            None if self.processes => Phase::Running,
            None if self.running.is_some() => Phase::Recovering,
            None => Phase::Pending,
        }
    }
}
