//! A process of the exploration: it starts, publishes, commits, deletes, ends, and may crash at any point.
//!
//! Owns: the order in which a process does these things.
//! Never: decides what the production machines decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::leading::{Leading, Work};
use super::story::{Label, name_of, name_of_answer};
use super::world::{Bounds, ByHash, Late, World, beginning};
use crate::checkpoint::Checkpoint;
use crate::ids::{Generation, Lineage, Seq, WriterId};
use crate::protocol::{
    Action, Append, Appended, Begin, BeginAt, Begun, Claimant, Machine, Refusal, Start, StartRequest, Step,
};
use crate::record::{Body, Owner, Restore, Stored};
use crate::retention::Seen;

/// What a process was told at its start.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Told {
    Latest,
    /// In this incarnation, attempt after attempt.
    Incarnation(u64),
    Discard,
    /// From the oldest epoch that is certainly retained.
    Restore,
    /// As another owner, who takes over what belongs to the first.
    TakeOver,
}

/// One of the two.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Process {
    starts: u8,
    phase: Arc<Phase>,
}

#[derive(Clone, Debug, Default, Hash)]
enum Phase {
    #[default]
    Off,
    Starting(Box<Begin>, Told),
    Leading(Box<Leading>),
}

pub(super) type Next = Vec<(Label, World)>;

/// All that can happen next.
pub(super) fn successors(world: &World, bounds: Bounds, told: &[Told]) -> Next {
    let mut next = Vec::new();
    for at in 0..world.late.len() {
        let mut then = world.clone();
        then.land(at);
        next.push((Label::Landed, then));
    }
    for own in 0..world.processes.len() {
        step(world, own, bounds, told, &mut next);
        crash(world, own, &mut next);
    }
    next
}

fn step(world: &World, own: usize, bounds: Bounds, told: &[Told], next: &mut Next) {
    match &*world.processes[own].phase {
        Phase::Off => {
            let starts = world.processes[own].starts;
            if starts < bounds.starts[own] {
                let mut then = world.clone();
                start(&mut then, own, told[own], bounds);
                next.push((Label::Started(own), then));
            }
        }
        Phase::Starting(begin, told) => ask(world, own, &**begin, next, |begin, world| match begin.step() {
            Step::Ask(_) => world.processes[own].phase = Phase::Starting(Box::new(begin), *told).into(),
            Step::Done(claimed) => {
                let phase = begun(world, *told, claimed.map(crate::protocol::Claimed::start));
                world.processes[own].phase = phase.into();
            }
        }),
        Phase::Leading(leading) => lead(world, own, leading, bounds, next),
    }
}

/// A process dies; a request that it has sent may still land.
fn crash(world: &World, own: usize, next: &mut Next) {
    if world.crashes == 0 || matches!(*world.processes[own].phase, Phase::Off) {
        return;
    }
    let mut then = world.clone();
    then.crashes -= 1;
    then.processes[own].phase = Phase::Off.into();
    if let Some(request) = request(&world.processes[own].phase) {
        let mut in_request = then.clone();
        in_request.send(request);
        next.push((Label::CrashedInRequest(own), in_request));
    }
    next.push((Label::Crashed(own), then));
}

fn request(phase: &Phase) -> Option<Late> {
    let of_step = |action| match action {
        Action::Create(record) => Some(Late::Create(ByHash(record))),
        Action::List(_) | Action::AnyData | Action::ListData | Action::Get(_) => None,
    };
    match phase {
        Phase::Off => None,
        Phase::Starting(begin, _) => of_step(action(begin.step())),
        Phase::Leading(leading) => match &leading.work {
            Work::Committing(append) => of_step(action(append.step())),
            Work::Deleting { records, objects } => deletion(records, objects),
            Work::Publishing(_) | Work::Uploading | Work::Looking(_) => None,
        },
    }
}

fn deletion(records: &[Seq], objects: &[String]) -> Option<Late> {
    let record = records.first().map(|seq| Late::DeleteRecord(*seq));
    record.or_else(|| objects.first().map(|name| Late::DeleteObject(name.clone())))
}

fn action<T>(step: Step<T>) -> Action {
    match step {
        Step::Ask(action) => action,
        Step::Done(_) => unreachable!("what is done is taken at once"),
    }
}

/// Lets a machine ask its question: one next world for each answer.
fn ask<M: Machine + Clone>(
    world: &World,
    own: usize,
    machine: &M,
    next: &mut Next,
    then: impl Fn(M, &mut World),
) {
    let action = action(machine.step());
    for (mut world, answer) in world.answers(&action) {
        let label = Label::Asked { process: own, what: name_of(&action), answer: name_of_answer(&answer) };
        let mut machine = machine.clone();
        machine.on(answer);
        then(machine, &mut world);
        next.push((label, world));
    }
}

fn start(world: &mut World, own: usize, told: Told, bounds: Bounds) {
    let process = &mut world.processes[own];
    process.starts += 1;
    let starts = process.starts;
    let id = (own as u128 + 1) * 16 + u128::from(starts);
    let restored = match told {
        Told::Restore => retained(&world.chain, bounds.retain),
        Told::Latest | Told::Incarnation(_) | Told::Discard | Told::TakeOver => None,
    };
    let (first, other) = (owner("first"), owner("other"));
    let request = StartRequest {
        take_over: (told == Told::TakeOver).then(|| first.to_string()),
        owner: if told == Told::TakeOver { other } else { first },
        sink: BTreeMap::new(),
        fingerprint: BTreeMap::new(),
        claimant: match told {
            Told::Incarnation(incarnation) => {
                Claimant::Exactly(Generation { incarnation, attempt: starts.into() })
            }
            Told::Latest | Told::Discard | Told::Restore | Told::TakeOver => Claimant::Next,
        },
        begin: match (told, restored) {
            (Told::Discard, _) => BeginAt::Nothing { discard: true, request: None },
            (_, Some(checkpoint)) => BeginAt::From {
                // The same request however often it is started: it happens once.
                request: Restore { id: own.to_string(), from: String::new() },
                checkpoint,
            },
            (Told::Latest | Told::Incarnation(_) | Told::Restore | Told::TakeOver, None) => BeginAt::Latest,
        },
        floor: None,
        published: None,
        writer: WriterId(id),
        lineage: Lineage(id),
        now_ms: 0,
    };
    world.processes[own].phase = Phase::Starting(Box::new(Begin::new(request)), told).into();
}

fn owner(name: &str) -> Owner {
    Owner { cluster: String::new(), namespace: String::new(), name: name.to_owned() }
}

/// The oldest epoch that every leader keeps.
fn retained(chain: &[Arc<Stored>], retain: usize) -> Option<Box<Checkpoint>> {
    let lineage = chain.last()?.record.lineage;
    let epochs = chain.iter().rev().filter(|stored| stored.record.lineage == lineage);
    let newest = epochs.filter(|stored| matches!(stored.record.body, Body::Epoch { .. })).take(retain);
    newest.last()?.record.checkpoint().cloned().map(Box::new)
}

fn begun(world: &mut World, told: Told, start: Result<Start, Refusal>) -> Phase {
    let begun = match start {
        Ok(Start::Begun(begun)) => begun,
        Ok(Start::Finished(_)) => return Phase::Off,
        Err(Refusal::Fenced { .. } | Refusal::Ended { .. } | Refusal::StateExists { .. }) => {
            return Phase::Off;
        }
        // Who is taken over is refused when it starts again, and nobody else.
        Err(Refusal::StateOwned { .. }) if told != Told::TakeOver && world.is_taken_over() => {
            return Phase::Off;
        }
        Err(refusal) => {
            world.must(false, || format!("a start is refused though nothing is lost: {refusal}"));
            return Phase::Off;
        }
    };
    check_begun(world, told, &begun);
    let Begun { permit, checkpoint, inherited, .. } = *begun;
    let first = permit.last_epoch().is_none();
    let work = match inherited {
        Some(inherited) if !first => Work::Publishing(Arc::new(inherited)),
        Some(_) | None => Work::Uploading,
    };
    Phase::Leading(Box::new(Leading {
        permit,
        checkpoint,
        known: BTreeMap::new(),
        unnamed: BTreeSet::new(),
        ahead: None,
        commits: 0,
        work,
    }))
}

/// A start begins where the truth says.
fn check_begun(world: &mut World, told: Told, begun: &Begun) {
    let claim = begun.permit.head();
    let (claim_seq, claim_hash) = (claim.record.seq, claim.hash);
    let upto = world.chain.iter().position(|stored| stored.hash == claim_hash);
    world.must(upto.is_some(), || format!("a start leads by record {claim_seq}, which is not in the log"));
    let Some(upto) = upto else { return };
    let truth = beginning(&world.chain[..=upto]).cloned();
    let right = truth.as_ref().is_some_and(|truth| truth.record.seq == begun.resumed_from);
    let from = begun.resumed_from;
    world.must(right, || format!("a start begins at record {from}"));
    let state = truth.as_ref().and_then(|truth| truth.record.checkpoint());
    let same = state == begun.checkpoint.as_deref();
    world.must(same, || {
        format!("a start that was told {told:?} begins with another state than that of {from}")
    });
}

fn lead(world: &World, own: usize, leading: &Leading, bounds: Bounds, next: &mut Next) {
    match &leading.work {
        Work::Publishing(stored) => {
            commit_early(world, own, leading, bounds, next);
            let mut then = world.clone();
            if !then.has_objects(stored) {
                // Who has lost the log long ago finds out by this, too.
                let leads = then.leader() == Some(leading.permit.generation());
                then.must(!leads, || "the leader's outbox is gone before it is published".to_owned());
                then.processes[own].phase = Phase::Off.into();
                next.push((Label::Did(own, "finds its outbox gone"), then));
                return;
            }
            then.publish(stored);
            let mut leading = leading.clone();
            let epoch = stored.record.checkpoint().map(|checkpoint| checkpoint.epoch).unwrap_or_default();
            leading.permit.published(stored.record.lineage, epoch);
            let own_epoch = stored.record.writer == leading.permit.head().record.writer;
            if own_epoch {
                leading.look(&mut then, bounds);
            } else {
                leading.work = Work::Uploading;
            }
            then.set(own, leading);
            next.push((Label::Did(own, "publishes"), then));
        }
        Work::Uploading => {
            let mut then = world.clone();
            let mut leading = leading.clone();
            let commit = leading.upload(&mut then, bounds);
            let record = leading.permit.prepare(&commit, 0).expect("the process commits in order");
            leading.work = Work::Committing(Append::new(record));
            then.set(own, leading);
            next.push((Label::Did(own, "uploads"), then));
        }
        Work::Committing(append) => ask(world, own, append, next, |append, world| {
            let mut leading = leading.clone();
            match append.step() {
                Step::Ask(_) => {
                    leading.work = Work::Committing(append);
                    world.set(own, leading);
                }
                Step::Done(appended) => {
                    world.processes[own].phase = committed(world, leading, &appended, bounds).into()
                }
            }
        }),
        Work::Looking(look) => ask(world, own, &**look, next, |look, world| {
            let mut leading = leading.clone();
            match look.step() {
                Step::Ask(_) => {
                    leading.work = Work::Looking(Box::new(look));
                    world.set(own, leading);
                }
                Step::Done(Seen::Overtaken) => world.processes[own].phase = Phase::Off.into(),
                Step::Done(Seen::Plan(plan)) => {
                    leading.known = look.into_known();
                    let due = leading.due(*plan, bounds, world.restores());
                    leading.delete(due.0, due.1);
                    world.set(own, leading);
                }
            }
        }),
        Work::Deleting { records, objects } => delete(world, own, leading, (records, objects), next),
    }
}

/// Before its output is published a process tries to commit the next epoch: the permit must refuse.
fn commit_early(world: &World, own: usize, leading: &Leading, bounds: Bounds, next: &mut Next) {
    let (mut then, mut leading) = (world.clone(), leading.clone());
    let commit = leading.upload(&mut then, bounds);
    if let Ok(record) = leading.permit.prepare(&commit, 0) {
        leading.work = Work::Committing(Append::new(record));
        then.set(own, leading);
        next.push((Label::Did(own, "uploads too early"), then));
    }
}

fn committed(world: &mut World, mut leading: Leading, appended: &Appended, bounds: Bounds) -> Phase {
    let record = match appended {
        Appended::Mine => leading.permit.committed(),
        Appended::Lost { to } => {
            let own = leading.permit.head().record.writer;
            world.must(to.record.writer != own, || "a process is fenced by its own record".to_owned());
            return Phase::Off;
        }
    };
    let seq = record.record.seq;
    let in_chain = world.chain.iter().any(|stored| stored.hash == record.hash);
    world.must(in_chain, || format!("record {seq} counts as committed, but is not in the log"));
    leading.checkpoint = record.record.checkpoint().cloned().map(Box::new);
    match &record.record.body {
        Body::Epoch { checkpoint } if !checkpoint.outbox.is_empty() => {
            leading.work = Work::Publishing(record.clone())
        }
        Body::Epoch { .. } => match leading.inherited(world) {
            Some(inherited) => leading.work = Work::Publishing(inherited),
            None => leading.look(world, bounds),
        },
        Body::Final { .. } | Body::Genesis { .. } | Body::Claim { .. } | Body::Deleted => return Phase::Off,
    }
    Phase::Leading(Box::new(leading))
}

fn delete(world: &World, own: usize, leading: &Leading, what: (&[Seq], &[String]), next: &mut Next) {
    let (records, objects) = what;
    let mut rest = leading.clone();
    match records.split_first() {
        Some((_, records)) => rest.delete(records.to_vec(), objects.to_vec()),
        None => rest.delete(Vec::new(), objects[1..].to_vec()),
    }
    let request = deletion(records, objects).expect("there is something to delete");
    let mut done = world.clone();
    done.set(own, rest);
    let mut late = done.clone();
    done.send(request.clone());
    let at = done.late.iter().position(|sent| *sent == request).expect("just sent");
    done.land(at);
    next.push((Label::Did(own, "deletes"), done));
    if world.faults > 0 {
        // Its answer is lost: the sweep ends, and what it asked for may happen later.
        late.faults -= 1;
        late.send(request);
        let mut leading = leading.clone();
        leading.work = Work::Uploading;
        late.set(own, leading);
        next.push((Label::Did(own, "deletes without an answer"), late));
    }
}

impl World {
    /// Whether the log belongs to the other owner.
    fn is_taken_over(&self) -> bool {
        self.chain.last().is_some_and(|head| head.record.owner == owner("other"))
    }

    /// Whether a restore is under way: a grace is longer than that.
    fn restores(&self) -> bool {
        let restoring = |process: &Process| matches!(*process.phase, Phase::Starting(_, Told::Restore));
        self.processes.iter().any(restoring)
    }

    fn set(&mut self, own: usize, leading: Leading) {
        self.processes[own].phase = Phase::Leading(Box::new(leading)).into();
    }
}
