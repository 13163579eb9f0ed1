//! A process that stands still for longer than its lease: what it had is another's, and it does not know.

use durafn::core::error::ErrorCode;
use durafn::core::execution::Execution;
use durafn::core::message::Message;
use durafn::core::partition::{Parts, Shares};
use durafn::core::replay::Problem;
use durafn::core::request::{OnConflict, StartSpec};
use durafn::core::task::{Claim, TaskRef};
use durafn::core::turn::{Turn, TurnOutcome};
use durafn::provider::transaction::{Begin, Park, Work};
use durafn::provider::{Arrivals, Provider};
use durafn::runtime::dispatcher::{Step, outlives_worker};

use durafn::runtime::timers::Timers;

use super::process::{Event, Ticket};
use super::world::World;
use crate::common::{SeededEntropy, trace};

impl World {
    /// The process stands still for longer than its lease. Another one has what it had, and dies; then the first
    /// goes on, does not know yet, and joins anew.
    pub(crate) fn stand_still(&mut self, moves: usize) {
        trace("stands still", &());
        let still = self.process.take();
        self.store.release().unwrap();
        self.open();
        // The first one lives: nobody has died of what waits.
        if let Some(Event::Arrived(arrivals, _)) = self.process().outbox.front_mut() {
            arrivals.spared = Shares::WHOLE.parts;
        }
        for _ in 0..moves {
            if !self.step() {
                let idle_ms = self.idle_for();
                self.pass_time(idle_ms);
            }
        }
        self.crash();
        self.process = still;
        self.epoch = self.store.acquire(&self.settings).unwrap().epoch;
        let arrivals = self.waiting();
        let process = self.process.as_mut().unwrap();
        process.found = Arrivals::default();
        // What it had written before is told first; what it had wanted is void.
        process.outbox.extend(process.in_flight.take().into_iter().flatten());
        let wanted = std::mem::take(&mut process.to_store).into_iter();
        process.to_store = wanted
            .filter_map(|(ticket, work)| match ticket {
                Ticket::Caller => Some((ticket, work)),
                Ticket::Dispatcher => outlives_worker(work).map(|work| (ticket, work)),
            })
            .collect();
        process.outbox.extend([Event::Ousted, Event::Gained(arrivals)]);
    }
}

#[test]
fn what_was_decided_before_the_process_lost_its_place_is_void_whatever_it_is() {
    let mut world = World::new(1);
    world.open();
    let of = TaskRef { key: 1, exec: 0, task: 0 };
    let message = Message::TaskCompleted { task: 0, result: None };
    let problem = Box::new(Problem::new(ErrorCode::Internal, "test"));
    let mut execution = Execution::default();
    let entropy = &mut SeededEntropy::new(1);
    let turn = Turn::begin(&mut execution, 0, &[], 1, entropy);
    let commit = turn.finish(1, 0, &mut execution, true, TurnOutcome::default(), entropy).unwrap();
    let spec = StartSpec {
        name: "waits".to_owned(),
        instance_id: Some("a".to_owned()),
        version: None,
        input: None,
        on_conflict: OnConflict::Error,
    };
    let begin = Begin { caller: 7, spec, commit: Some(commit.clone()) };
    let mut step = Step::default();
    step.work = vec![
        Work::Turn(Box::new(commit)),
        Work::Begin(Box::new(begin)),
        Work::Entity(Box::default()),
        Work::Due(vec![(-1, 0)]),
        Work::MarkEntity(-1, None),
        Work::EntityCrashes { keys: vec![-1], counts: true },
        Work::Keep { key: 1, exec: 0, messages: vec![message.clone()] },
        Work::Forget(vec![1]),
        Work::Park { key: 1, problem, how: Park::Hold },
        Work::Unpark(1),
        Work::CountCrash(vec![1]),
        Work::ClearCrash(vec![1]),
        Work::Give(Parts::NONE),
        Work::Offer { tasks: Vec::new(), running: true },
        Work::Claim(Claim { room: 1, served: Vec::new() }),
        Work::Report { of, message },
    ];
    step.loads = vec![1, -1];
    (step.timers, step.ready_from) = (Timers::default().read_more(1), Some(1));
    let era = world.process().dispatcher.era();
    world.process().dispatcher.ousted(&mut step);
    assert_eq!(world.process().dispatcher.era(), era + 1);
    // Who asked for a start is still to be answered; its first turn is nobody's.
    let [Work::Begin(begin)] = &step.work[..] else { panic!("{:?}", step.work) };
    assert!(begin.commit.is_none() && begin.caller == 7);
    assert!(step.loads.is_empty() && step.timers.is_none() && step.ready_from.is_none());
    assert!(step.out.activations.is_empty() && step.out.activities.is_empty());
}
