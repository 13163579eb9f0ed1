//! Activities that are due, and those that run.
//!
//! Owns: the three bounds on what runs at the same time: of the process, of an activity's name, of a
//! fan-out. Must never: know what an activity returns, or decide which of them other workers run. Proved by
//! the tests below.

use std::collections::{HashMap, VecDeque};

use rustc_hash::FxHashMap;

use crate::core::ids::fold_name;
use crate::core::{ExecutionId, InstanceKey, TaskId};

use super::due::Due;
pub use super::due::{DueActivity, Started};
use super::protocol::{RegisteredActivity, RunId};

/// What bounds an activity beside the hub: at most one queue waits for it at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Bound {
    Name(String),
    Group(InstanceKey, ExecutionId, u32),
}

#[derive(Debug, Default)]
struct Use {
    running: usize,
    waiting: VecDeque<DueActivity>,
}

/// See the module's text.
#[derive(Debug)]
pub struct Activities {
    hub_limit: usize,
    name_limits: HashMap<String, usize>,
    due: Due,
    running: FxHashMap<RunId, DueActivity>,
    /// Those that other workers run, or will.
    away: FxHashMap<(InstanceKey, TaskId), DueActivity>,
    uses: HashMap<Bound, Use>,
    next_run: RunId,
    /// Something was taken back since the last start.
    taken_back: bool,
    drained: bool,
}

impl Activities {
    /// With at most `hub_limit` at the same time.
    #[must_use]
    pub fn new(hub_limit: usize) -> Self {
        Self {
            hub_limit,
            name_limits: HashMap::new(),
            due: Due::default(),
            running: FxHashMap::default(),
            away: FxHashMap::default(),
            uses: HashMap::new(),
            next_run: 1,
            taken_back: false,
            drained: false,
        }
    }

    /// Takes the bounds that activities were registered with.
    pub fn register(&mut self, activities: &[RegisteredActivity]) {
        for activity in activities {
            if let Some(limit) = activity.max_concurrency {
                self.name_limits.insert(fold_name(&activity.name), limit.max(1));
            }
        }
    }

    /// Nothing starts from now on.
    pub fn drain(&mut self) {
        self.drained = true;
    }

    /// An activity is due.
    pub fn push(&mut self, activity: DueActivity) {
        self.due.push(activity);
    }

    /// Starts what there is room for.
    pub fn start(&mut self) -> Started {
        let mut started = Started::default();
        self.wake_where_room_is();
        while !self.drained
            && let Some(activity) = self.next()
        {
            let bounds = self.bounds(&activity);
            let is_full = |(bound, limit): &(Bound, usize)| {
                self.uses.get(bound).is_some_and(|used| used.running >= *limit)
            };
            if let Some(full) = bounds.iter().position(is_full) {
                let (bound, _) = &bounds[full];
                self.uses.entry(bound.clone()).or_default().waiting.push_back(activity);
                // What it does not take of its other bounds is there for the next.
                for (bound, limit) in bounds.iter().filter(|(other, _)| other != bound) {
                    wake(self.uses.get_mut(bound), *limit, &mut self.due);
                }
                continue;
            }
            self.take_room(&activity);
            if activity.elsewhere {
                self.away.insert((activity.key, activity.task), activity.clone());
                started.elsewhere.push(activity);
            } else {
                started.here.push((self.run(activity.clone()), activity));
            }
        }
        started
    }

    fn next(&mut self) -> Option<DueActivity> {
        let has_room = self.running.len() < self.hub_limit;
        let next = self.due.elsewhere.pop_front();
        next.or_else(|| if has_room { self.due.here.pop_front() } else { None })
    }

    fn run(&mut self, activity: DueActivity) -> RunId {
        let run = self.next_run;
        self.next_run = self.next_run.wrapping_add(1).max(1);
        self.running.insert(run, activity);
        run
    }

    fn take_room(&mut self, activity: &DueActivity) {
        for (bound, _) in self.bounds(activity) {
            self.uses.entry(bound).or_default().running += 1;
        }
    }

    /// How many more could run here, beside those that are due.
    #[must_use]
    pub fn room(&self) -> usize {
        let taken = self.running.len() + self.due.here.len();
        if self.drained { 0 } else { self.hub_limit.saturating_sub(taken) }
    }

    /// How many are due and have no room here.
    #[must_use]
    pub fn without_room(&self) -> usize {
        if self.running.len() < self.hub_limit { 0 } else { self.due.here.len() }
    }

    /// Of the first so many that are due here, those that may run elsewhere are to.
    pub fn overflow(&mut self, count: usize, may: impl Fn(&DueActivity) -> bool) {
        let rest = self.due.here.split_off(count.min(self.due.here.len()));
        for mut activity in std::mem::replace(&mut self.due.here, rest) {
            activity.elsewhere = may(&activity);
            self.push(activity);
        }
    }

    /// Runs an activity of another worker's instance.
    pub fn take_in(&mut self, guest: DueActivity) -> RunId {
        self.run(DueActivity { elsewhere: true, group: None, ..guest })
    }

    /// An activity is known to be another worker's.
    pub fn is_away(&mut self, activity: DueActivity) {
        self.take_room(&activity);
        let activity = DueActivity { elsewhere: true, ..activity };
        self.away.insert((activity.key, activity.task), activity);
    }

    /// One that was another worker's is so no longer: whether it was.
    pub fn is_back(&mut self, key: InstanceKey, exec: ExecutionId, task: TaskId) -> bool {
        let of = |activity: &DueActivity| activity.exec == exec;
        if !self.away.get(&(key, task)).is_some_and(of) {
            return false;
        }
        if let Some(activity) = self.away.remove(&(key, task)) {
            self.free_room(&activity);
        }
        true
    }

    /// What runs of instances that go to another worker is run for that one from now on.
    pub fn lend(&mut self, goes: impl Fn(InstanceKey) -> bool) -> Vec<(RunId, DueActivity)> {
        let own = |activity: &DueActivity| !activity.elsewhere && goes(activity.key);
        let running = self.running.iter().filter(|(_, activity)| own(activity));
        let lent: Vec<_> = running.map(|(run, activity)| (*run, activity.clone())).collect();
        for (run, activity) in &lent {
            self.free_room(activity);
            let guest = DueActivity { elsewhere: true, group: None, ..activity.clone() };
            self.running.insert(*run, guest);
        }
        lent
    }

    /// What was taken back may have been what the room of a bound was for.
    fn wake_where_room_is(&mut self) {
        if !std::mem::take(&mut self.taken_back) {
            return;
        }
        let firsts = self.uses.values().filter_map(|used| used.waiting.front());
        let bounds: Vec<_> = firsts.flat_map(|first| self.bounds(first)).collect();
        for (bound, limit) in bounds {
            wake(self.uses.get_mut(&bound), limit, &mut self.due);
        }
    }

    /// A run has ended: who it was for, or `None` if it was given up.
    pub fn end(&mut self, run: RunId) -> Option<DueActivity> {
        let activity = self.running.remove(&run)?;
        self.free_room(&activity);
        Some(activity)
    }

    fn free_room(&mut self, activity: &DueActivity) {
        for (bound, limit) in self.bounds(activity) {
            let Some(used) = self.uses.get_mut(&bound) else {
                continue;
            };
            used.running -= 1;
            if used.running < limit
                && let Some(next) = used.waiting.pop_front()
            {
                self.due.push_front(next);
            } else if used.running == 0 {
                self.uses.remove(&bound);
            }
        }
    }

    /// Gives up everything of an execution that ended: the runs whose signal is to abort. Their
    /// room is free at once, although their handlers may take a while to notice.
    pub fn give_up(&mut self, key: InstanceKey, exec: Option<ExecutionId>) -> Vec<RunId> {
        let of = |activity: &DueActivity| {
            activity.key == key && exec.is_none_or(|exec| activity.exec == exec)
        };
        self.taken_back = true;
        self.due.retain(|activity| !of(activity));
        for used in self.uses.values_mut() {
            used.waiting.retain(|activity| !of(activity));
        }
        let away: Vec<DueActivity> =
            self.away.values().filter(|activity| of(activity)).cloned().collect();
        for activity in away {
            self.is_back(activity.key, activity.exec, activity.task);
        }
        let runs: Vec<RunId> =
            self.running.iter().filter(|(_, activity)| of(activity)).map(|(run, _)| *run).collect();
        for run in &runs {
            self.end(*run);
        }
        runs
    }

    /// Takes back what is due and has not started: the tasks.
    pub fn retract(&mut self, key: InstanceKey) -> Vec<TaskId> {
        self.retract_all(|of| of == key).into_iter().map(|(_, task)| task).collect()
    }

    /// The same of all instances that go.
    pub fn retract_all(
        &mut self,
        goes: impl Fn(InstanceKey) -> bool,
    ) -> Vec<(InstanceKey, TaskId)> {
        let mut tasks = Vec::new();
        let mut keep = |activity: &DueActivity| {
            let stays = !goes(activity.key);
            if !stays {
                tasks.push((activity.key, activity.task));
            }
            stays
        };
        self.taken_back = true;
        self.due.retain(&mut keep);
        for used in self.uses.values_mut() {
            used.waiting.retain(&mut keep);
        }
        tasks
    }

    /// Forgets those of instances that go which other workers run.
    pub fn forget_away(
        &mut self,
        goes: impl Fn(InstanceKey) -> bool,
    ) -> Vec<(InstanceKey, TaskId)> {
        let gone = self.away.values().filter(|activity| goes(activity.key));
        let gone: Vec<DueActivity> = gone.cloned().collect();
        for activity in &gone {
            self.is_back(activity.key, activity.exec, activity.task);
        }
        gone.iter().map(|activity| (activity.key, activity.task)).collect()
    }

    /// Gives everything up: the runs whose signal is to abort.
    pub fn give_up_all(&mut self) -> Vec<RunId> {
        self.due = Due::default();
        self.uses.clear();
        self.away.clear();
        self.running.drain().map(|(run, _)| run).collect()
    }

    /// Those that other workers run, or will.
    pub fn away(&self) -> impl Iterator<Item = &DueActivity> {
        self.away.values()
    }

    /// One that runs here.
    #[must_use]
    pub fn run_of(&self, run: RunId) -> Option<&DueActivity> {
        self.running.get(&run)
    }

    /// Those that run here.
    pub fn here(&self) -> impl Iterator<Item = &DueActivity> {
        self.running.values()
    }

    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    fn bounds(&self, activity: &DueActivity) -> Vec<(Bound, usize)> {
        let mut bounds = Vec::new();
        if !self.name_limits.is_empty() {
            let name = fold_name(&activity.name);
            if let Some(limit) = self.name_limits.get(&name) {
                bounds.push((Bound::Name(name), *limit));
            }
        }
        if let Some(group) = activity.group {
            let bound = Bound::Group(activity.key, activity.exec, group.id);
            bounds.push((bound, group.limit.max(1) as usize));
        }
        bounds
    }
}

/// Makes as many due as the bound has room for.
fn wake(used: Option<&mut Use>, limit: usize, due: &mut Due) {
    let Some(used) = used else { return };
    let room = limit.saturating_sub(used.running).min(used.waiting.len());
    for activity in used.waiting.drain(..room).rev() {
        due.push_front(activity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::action::Group;

    fn due(task: TaskId, name: &str, group: Option<Group>) -> DueActivity {
        DueActivity { key: 1, exec: 0, task, name: name.into(), group, elsewhere: false }
    }

    fn tasks(started: &[(RunId, DueActivity)]) -> Vec<TaskId> {
        started.iter().map(|(_, activity)| activity.task).collect()
    }

    #[test]
    fn the_hub_runs_at_most_its_limit() {
        let mut activities = Activities::new(2);
        (0..3).for_each(|task| activities.push(due(task, "a", None)));
        let first = activities.start().here;
        assert_eq!(tasks(&first), [0, 1]);
        assert!(activities.start().here.is_empty());
        activities.end(first[0].0);
        assert_eq!(tasks(&activities.start().here), [2]);
    }

    #[test]
    fn a_full_name_or_group_does_not_hold_up_others() {
        let mut activities = Activities::new(10);
        let limit = Some(1);
        activities.register(&[RegisteredActivity {
            name: "A".into(),
            max_concurrency: limit,
            queue: None,
        }]);
        let group = Some(Group { id: 7, limit: 1 });
        for (task, name, group) in
            [(0, "a", None), (1, "a", None), (2, "b", group), (3, "b", group), (4, "c", None)]
        {
            activities.push(due(task, name, group));
        }
        let first = activities.start().here;
        assert_eq!(tasks(&first), [0, 2, 4]);
        activities.end(first[0].0);
        assert_eq!(tasks(&activities.start().here), [1]);
        activities.end(first[1].0);
        assert_eq!(tasks(&activities.start().here), [3]);
    }

    #[test]
    fn giving_up_frees_the_room_and_ignores_the_late_end() {
        let mut activities = Activities::new(1);
        activities.push(due(0, "a", None));
        let run = activities.start().here[0].0;
        assert_eq!(activities.give_up(1, None), [run]);
        assert!(activities.end(run).is_none());
        activities.push(due(1, "a", None));
        assert_eq!(activities.start().here.len(), 1);
    }

    #[test]
    fn room_that_one_cannot_take_is_for_the_next() {
        let mut activities = Activities::new(10);
        activities.register(&[RegisteredActivity {
            name: "A".into(),
            max_concurrency: Some(1),
            queue: None,
        }]);
        let group = Some(Group { id: 7, limit: 1 });
        for (task, name, group) in
            [(0, "a", None), (1, "b", group), (2, "a", group), (3, "a", None)]
        {
            activities.push(due(task, name, group));
        }
        let first = activities.start().here;
        assert_eq!(tasks(&first), [0, 1]);
        activities.end(first[0].0);
        assert_eq!(tasks(&activities.start().here), [3], "2 waits for its group");
    }

    #[test]
    fn what_is_taken_back_leaves_its_room_to_the_next() {
        let mut activities = Activities::new(10);
        activities.register(&[RegisteredActivity {
            name: "A".into(),
            max_concurrency: Some(1),
            queue: None,
        }]);
        for key in 1..=3 {
            activities.push(DueActivity { key, ..due(0, "a", None) });
        }
        let first = activities.start().here[0].0;
        activities.end(first);
        assert_eq!(activities.retract(2), [0]);
        assert_eq!(activities.start().here[0].1.key, 3);
    }

    #[test]
    fn nothing_starts_while_draining() {
        let mut activities = Activities::new(1);
        activities.push(due(0, "a", None));
        activities.drain();
        assert!(activities.start().here.is_empty());
    }

    #[test]
    fn what_others_run_takes_no_room_here_but_that_of_its_group() {
        let mut activities = Activities::new(1);
        let group = Some(Group { id: 7, limit: 1 });
        activities.push(due(0, "a", None));
        activities.push(DueActivity { elsewhere: true, ..due(1, "b", group) });
        activities.push(DueActivity { elsewhere: true, ..due(2, "b", group) });
        let started = activities.start();
        assert_eq!(tasks(&started.here), [0]);
        assert_eq!(started.elsewhere.len(), 1);
        assert!(activities.is_back(1, 0, 1));
        assert_eq!(activities.start().elsewhere[0].task, 2);
        assert!(!activities.is_back(1, 0, 1), "once");
    }

    #[test]
    fn what_is_lent_leaves_the_room_of_its_group() {
        let mut activities = Activities::new(2);
        let group = Some(Group { id: 7, limit: 1 });
        activities.push(due(0, "a", group));
        activities.push(due(1, "a", group));
        activities.start();
        assert_eq!(activities.lend(|key| key == 1).len(), 1);
        assert!(activities.lend(|key| key == 1).is_empty(), "once");
        assert_eq!(tasks(&activities.start().here), [1]);
        assert_eq!(activities.room(), 0);
    }
}
