//! Random edits, faults and cuts, then a spec that is good: the job must run it.
//!
//! Owns: what may happen to a job in any order.
//! Never: is random when it is played again: proptest keeps the seed.

use proptest::prelude::*;
use streamjob_crds::RestoreFrom;

use super::operator::Side;
use super::scenarios::{image, is, ready, restore, suspend};
use super::{Sim, spec};
use crate::world::Kind;

/// Something that happens.
#[derive(Clone, Debug)]
enum Happens {
    Image(&'static str),
    Suspend(bool),
    Parallelism(u32),
    Nonsense,
    Sense,
    Restore(u8),
    Restart(u8),
    LoseStatus,
    LoseObject(usize),
    LosePod,
    Store(bool),
    Token(bool),
    Cut(usize, bool),
    Recreate,
    Wait(u32),
}

fn anything() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => prop::sample::select(vec!["worker:2", "worker:3", "worker:crash", "worker:later", "worker:hang",
            "worker:nopull", "worker:unfit", "worker:noroom", "worker:unstoppable"]).prop_map(Happens::Image),
        2 => any::<bool>().prop_map(Happens::Suspend),
        2 => (1_u32..5).prop_map(Happens::Parallelism),
        1 => Just(Happens::Nonsense),
        1 => Just(Happens::Sense),
        1 => (0_u8..3).prop_map(Happens::Restore),
        1 => (0_u8..3).prop_map(Happens::Restart),
        1 => Just(Happens::LoseStatus),
        2 => (0_usize..12).prop_map(Happens::LoseObject),
        1 => Just(Happens::LosePod),
        1 => any::<bool>().prop_map(Happens::Store),
        1 => any::<bool>().prop_map(Happens::Token),
        3 => (0_usize..20, any::<bool>()).prop_map(|(effects, side)| Happens::Cut(effects, side)),
        1 => Just(Happens::Recreate),
        8 => (1_u32..40).prop_map(Happens::Wait),
        1 => Just(Happens::Wait(700)),
    ]
}

fn happen(sim: &mut Sim, what: &Happens) {
    let cluster = &mut sim.cluster;
    match what {
        Happens::Image(name) => image(sim, name),
        Happens::Suspend(wanted) => suspend(sim, *wanted),
        Happens::Parallelism(slots) => cluster.edit(|spec| spec.parallelism = *slots),
        Happens::Nonsense => cluster.edit(|spec| spec.pipeline.key_by = vec!["nonsense".to_owned()]),
        Happens::Sense => cluster.edit(|spec| spec.pipeline.key_by = vec!["page".to_owned()]),
        Happens::Restore(number) => restore(sim, RestoreFrom::Latest, &format!("r-{number}"), None),
        Happens::Restart(hour) => {
            cluster.edit(|spec| spec.restarted_at = Some(format!("2026-11-22T1{hour}:00:00Z")));
        }
        Happens::LoseStatus => {
            if let Some(job) = &mut cluster.job {
                job.status = None;
            }
            cluster.changed = true;
        }
        Happens::LoseObject(number) => {
            let key = cluster.objects.keys().filter(|(kind, _)| *kind != Kind::Pod).nth(*number).cloned();
            key.map(|key| cluster.objects.remove(&key));
            cluster.changed = true;
        }
        Happens::LosePod => {
            let pod = cluster.names(Kind::Pod).first().cloned();
            pod.into_iter().for_each(|pod| cluster.delete_pod(&pod));
        }
        Happens::Store(up) => cluster.store_up = *up,
        Happens::Token(fits) => cluster.token_fits = *fits,
        Happens::Cut(effects, before) => {
            let side = if *before { Side::Before } else { Side::After };
            sim.operator.cut = Some((sim.operator.effects + effects, side));
        }
        Happens::Recreate => {
            cluster.delete_job();
            cluster.create(spec());
        }
        Happens::Wait(seconds) => sim.seconds(*seconds),
    }
}

/// `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(64)
}

fn a_good_spec_converges_after(happens: &[Happens]) -> Result<(), TestCaseError> {
    let mut sim = Sim::running();
    for what in happens {
        happen(&mut sim, what);
    }

    sim.cluster.store_up = true;
    sim.cluster.token_fits = true;
    let asked = sim.cluster.job.as_ref().and_then(|job| job.spec.as_ref().ok()?.restore.clone());
    let mut good = spec();
    good.restore = asked;
    good.workers.get_or_insert_default().image = Some("worker:good".to_owned());
    sim.cluster.edit(|spec| *spec = good);
    for _ in 0..60 {
        sim.seconds(60);
        if ready(&sim).0 == "True" && sim.image_at_work() == "worker:good" {
            break;
        }
    }

    prop_assert_eq!(&sim.cluster.violations, &[""; 0]);
    let told = (ready(&sim), sim.image_at_work(), sim.at_work().len());
    let wanted = (is("True", "UpToDate"), "worker:good".to_owned(), 1);
    prop_assert_eq!(told, wanted, "{:#?}", sim.cluster.status());
    let starts = &sim.cluster.log().starts;
    let anew = starts.iter().skip(1).filter(|(_, epoch, _)| *epoch == 0).count();
    prop_assert_eq!(anew, 0, "a start without state: {:?}", starts);
    Ok(())
}

/// Nothing on the cluster remembers the incarnation of a job that was suspended and deleted; its log has ended.
#[test]
fn a_job_that_was_suspended_is_deleted_and_made_again() {
    let happens = [Happens::Suspend(true), Happens::Wait(3), Happens::Recreate];

    a_good_spec_converges_after(&happens).expect("the new job goes on");
}

/// The hand-over of a suspension goes on when the spec has changed its mind; here it finds that there is nobody to ask.
#[test]
fn a_suspension_that_finds_no_pod_is_in_the_status_as_long_as_its_set_is_there() {
    let image = Happens::Image("worker:hang");
    let happens = [image, Happens::Wait(13), Happens::Suspend(true), Happens::Wait(14), Happens::LosePod];

    a_good_spec_converges_after(&happens).expect("the job runs");
}

/// The old workers hand over to a revision that nobody asks for any more: they go before another is prepared.
#[test]
fn an_upgrade_that_is_overtaken_as_it_deletes_the_old_set_is_in_the_status_until_that_is_gone() {
    let happens = [Happens::Image("worker:2"), Happens::Wait(4)];

    a_good_spec_converges_after(&happens).expect("the job runs");
}

/// Workers that were started after a hand-over and are replaced before they have proved themselves: theirs fails, and they go on.
#[test]
fn workers_that_do_not_hand_over_are_waited_for_though_those_before_them_did() {
    let happens = [Happens::Image("worker:unstoppable"), Happens::Wait(9)];

    a_good_spec_converges_after(&happens).expect("the job runs");
}

/// The hand-over of a suspension fails when the spec asks for other things already: that is no verdict on those.
#[test]
fn a_suspension_that_fails_after_it_was_taken_back_holds_nothing_back() {
    let image = Happens::Image("worker:unstoppable");
    let rescale = Happens::Parallelism(1);
    let suspend = Happens::Suspend(true);
    let happens = [image, Happens::Wait(9), rescale, Happens::LoseStatus, suspend, Happens::Wait(28)];

    a_good_spec_converges_after(&happens).expect("the job goes on as it is asked to");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn from_any_state_a_good_spec_converges(happens in prop::collection::vec(anything(), 1..25)) {
        a_good_spec_converges_after(&happens)?;
    }
}
