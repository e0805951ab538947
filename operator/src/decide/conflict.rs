//! Objects of a name that the job needs, and that are not the job's.
//!
//! Owns: telling what a deleted job of the name left from what somebody else made.
//! Never: takes over either.

use streamjob_crds::Reason;

use super::facts::trouble;
use super::pass::Pass;
use crate::names;
use crate::world::{Kind, Owner, Trouble};

/// What has to go first by itself: children of a deleted job of the same name.
pub(crate) fn previous(pass: &Pass<'_>) -> Option<Trouble> {
    let job = &pass.world.job;
    let left = pass.world.objects.iter().find(|object| match object.owner() {
        Owner::Job { name, uid } => name == job.name && uid != job.uid,
        Owner::None | Owner::Other(_) => false,
    })?;
    let kind = left.kind().map_or("object", Kind::as_str);
    let text = format!("The {kind} {} of a deleted job of this name is still there.", left.name());
    Some(trouble(Reason::WaitingForPrevious, text))
}

/// What somebody else made under a name that the job needs.
pub(crate) fn foreign(pass: &Pass<'_>) -> Option<Trouble> {
    let wanted = names::wanted(&pass.world.job.name, Some(&pass.status));
    let found = wanted.iter().find_map(|(kind, name)| {
        let object = pass.world.object(*kind, name)?;
        let whose = match object.owner() {
            Owner::Other(owner)
                if *kind == Kind::PodDisruptionBudget && owner.starts_with("StatefulSet ") =>
            {
                return None;
            }
            Owner::Other(owner) => format!("belongs to {owner}"),
            Owner::Job { name, .. } if name != pass.world.job.name => {
                format!("belongs to the StreamJob {name}")
            }
            Owner::None if !object.has_our_labels(&pass.world.job.name) => {
                "was made by somebody else".to_owned()
            }
            Owner::Job { .. } | Owner::None => return None,
        };
        Some(format!("The {} {name}, which the job needs, {whose}.", kind.as_str()))
    })?;
    Some(trouble(Reason::NameConflict, found))
}
