//! The supervisor with stand-in programs, and the state as a value.

use super::*;

/// Limits with which a test does not wait.
const QUICK: Limits = Limits {
    silence: Duration::from_secs(20),
    first_delay: Duration::from_millis(1),
    longest_delay: Duration::from_millis(4),
    works_after: Duration::ZERO,
    may_end_after: Duration::ZERO,
};

/// Never reached while the test works.
const TEST_TIMEOUT: Duration = Duration::from_secs(30);

fn stand_in(script: &str, limits: Limits) -> IdleHelper {
    let args = vec!["-c".to_owned(), script.to_owned()];
    let helper = IdleHelper::with_limits(IdleHelperCommand { program: "sh".into(), args }, limits);
    drop(helper.started());
    helper
}

#[track_caller]
fn wait_for(shared: &SharedState, what: impl Fn(&State) -> bool) {
    let waiting = |state: &mut State| !what(state);
    let waited = shared.changed.wait_timeout_while(shared.lock(), TEST_TIMEOUT, waiting);
    let (state, timeout) = waited.unwrap();
    assert!(!timeout.timed_out(), "{state:?}");
}

fn latest(state: &State) -> Option<u128> {
    state.latest.map(|latest| latest.idle.as_nanos())
}

fn problem(state: &State) -> &str {
    state.problem.as_deref().unwrap_or_default()
}

#[test]
fn a_reading_shortens_the_idle_time_and_grows_older() {
    let helper = stand_in("echo 5000000000; read line", QUICK);
    assert_eq!(helper.first_reading(TEST_TIMEOUT), Ok(Duration::from_secs(5)));
    let hour = Duration::from_hours(1);
    let idle = helper.idle_time(hour);
    assert!(idle >= Duration::from_secs(5) && idle < hour, "{idle:?}");
    assert!(helper.idle_time(hour) > idle);
    assert_eq!(helper.idle_time(Duration::from_secs(1)), Duration::from_secs(1));
    assert_eq!(helper.warning(), None);
}

#[test]
fn a_helper_starts_with_the_first_question() {
    let helper = IdleHelper::with_limits(
        IdleHelperCommand {
            program: "sh".into(),
            args: vec!["-c".into(), "echo 7; read x".into()],
        },
        QUICK,
    );
    helper.set_rate(PollRate::Fast);
    assert_eq!(helper.warning(), None);
    {
        let state = helper.shared.lock();
        assert_eq!((state.is_started, state.starts), (false, 0));
    }
    helper.idle_time(Duration::ZERO);
    wait_for(&helper.shared, |state| latest(state) == Some(7));
}

#[test]
fn a_helper_that_dies_is_replaced_and_its_reading_no_longer_counts() {
    // The problem of one that worked for a moment stays until one has worked for longer.
    let limits = Limits { works_after: TEST_TIMEOUT, ..QUICK };
    let helper = stand_in("echo 1000; exit 3", limits);
    wait_for(&helper.shared, |state| state.starts >= 4);
    wait_for(&helper.shared, |state| state.latest.is_none());
    let warning = helper.warning().unwrap();
    assert!(warning.contains("it ended after") && warning.contains("exit status: 3"), "{warning}");
}

#[test]
fn without_a_helper_core_graphics_decides() {
    let limits = Limits { first_delay: TEST_TIMEOUT, ..QUICK };
    let program = "/no/such/program".into();
    let helper = IdleHelper::with_limits(IdleHelperCommand { program, args: vec![] }, limits);
    let error = helper.first_reading(TEST_TIMEOUT).unwrap_err();
    assert!(error.contains("/no/such/program can't be started"), "{error}");
    assert_eq!(helper.warning(), Some(error));
    assert_eq!(helper.idle_time(Duration::from_mins(7)), Duration::from_mins(7));
}

#[test]
fn a_helper_that_ends_early_has_failed() {
    let limits = Limits { may_end_after: TEST_TIMEOUT, ..QUICK };
    let helper = stand_in("echo 1; exit 0", limits);
    wait_for(&helper.shared, |state| problem(state).contains("exit status: 0"));
}

#[test]
fn a_helper_whose_time_is_over_is_replaced_at_once() {
    // A delay would exceed the test's timeout.
    let limits = Limits { first_delay: TEST_TIMEOUT * 2, ..QUICK };
    let helper = stand_in("echo 9; exit 0", limits);
    wait_for(&helper.shared, |state| state.starts >= 3);
    wait_for(&helper.shared, |state| latest(state) == Some(9));
    assert_eq!(helper.warning(), None);
}

#[test]
fn the_delay_between_replacements_doubles() {
    // 1 + 2 + 4 + … + 512 ms.
    let limits = Limits { longest_delay: TEST_TIMEOUT, works_after: TEST_TIMEOUT, ..QUICK };
    let begun = Instant::now();
    let helper = stand_in("exit 1", limits);
    wait_for(&helper.shared, |state| state.starts >= 11);
    assert!(begun.elapsed() >= Duration::from_millis(1023));
}

#[test]
fn a_helper_that_hangs_is_killed_and_replaced() {
    let limits = Limits { silence: Duration::from_millis(50), ..QUICK };
    // It ignores the end of its input.
    let helper = stand_in("exec sleep 600", limits);
    wait_for(&helper.shared, |state| state.starts >= 2);
    assert!(helper.warning().unwrap().contains("no reading"), "{:?}", helper.warning());
}

#[test]
fn a_helper_that_closes_its_output_and_stays_is_killed() {
    let helper = stand_in("exec >&-; exec sleep 600", QUICK);
    wait_for(&helper.shared, |state| problem(state).contains("did not end"));
}

#[test]
fn nonsense_is_no_reading() {
    let cases = [
        ("echo hello; read line", "'hello'"),
        ("echo -5; read line", "'-5'"),
        ("echo; read line", "''"),
        ("while :; do printf 11111111; done", "without an end"),
        ("echo error it is gone; read line", "can't read the counter: it is gone"),
    ];
    for (script, expected) in cases {
        let helper = stand_in(script, Limits { first_delay: TEST_TIMEOUT, ..QUICK });
        let error = helper.first_reading(TEST_TIMEOUT).unwrap_err();
        assert!(error.contains(expected), "{script}: {error}");
    }
}

#[test]
fn a_helper_learns_the_rate() {
    let script =
        "echo 1; while read rate; do case $rate in fast) echo 2;; slow) echo 3;; esac; done";
    let helper = stand_in(script, QUICK);
    wait_for(&helper.shared, |state| latest(state) == Some(1));
    helper.set_rate(PollRate::Fast);
    wait_for(&helper.shared, |state| latest(state) == Some(2));
    helper.set_rate(PollRate::Slow);
    wait_for(&helper.shared, |state| latest(state) == Some(3));
}

#[test]
fn a_replacement_learns_the_rate_too() {
    let helper = stand_in("read rate; [ $rate = fast ] && echo 2; exit 0", QUICK);
    helper.set_rate(PollRate::Fast);
    wait_for(&helper.shared, |state| state.starts >= 3 && latest(state) == Some(2));
}

#[test]
fn a_dropped_helper_ends() {
    let helper = stand_in("echo $$; read line; exit 0", QUICK);
    let pid = helper.first_reading(TEST_TIMEOUT).unwrap().as_nanos();
    let pid = u32::try_from(pid).unwrap();
    assert!(crate::process::is_alive(pid));
    let shared = Arc::clone(&helper.shared);
    drop(helper);
    // The supervisor's thread holds the other reference until it has seen the exit.
    while Arc::strong_count(&shared) > 1 {
        std::thread::yield_now();
    }
    assert!(!crate::process::is_alive(pid));
    assert_eq!(shared.lock().starts, 1);
}

#[test]
fn a_reading_of_zero_that_stays_is_ignored_and_reported() {
    let command = IdleHelperCommand { program: "unused".into(), args: vec![] };
    let helper = IdleHelper::with_limits(command, QUICK);
    let now = Instant::now();
    let start = now.checked_sub(Duration::from_mins(2)).unwrap();
    {
        let mut state = helper.shared.lock();
        // No thread: this test records the readings.
        state.is_started = true;
        state.record(Duration::ZERO, start);
        state.record(Duration::ZERO, now);
    }
    let used = Duration::from_secs(20);
    assert_eq!(helper.warning(), None);
    assert!(helper.idle_time(used) < used, "the owner is there: it counts");
    assert_eq!(helper.idle_time(Duration::from_mins(5)), Duration::from_mins(5));
    assert_eq!(helper.warning().as_deref(), Some(STUCK));
    helper.idle_time(used);
    assert_eq!(helper.warning().as_deref(), Some(STUCK), "until the counter moves again");
    helper.shared.lock().record(Duration::from_nanos(1), now);
    assert_eq!(helper.warning(), None);
}

#[test]
fn an_old_reading_is_none() {
    let mut state = State::default();
    let at = Instant::now();
    assert_eq!(state.reading(at, QUICK), None);
    state.record(Duration::from_secs(3), at);
    let reading = |after| state.reading(at + after, QUICK).map(|reading| reading.idle);
    assert_eq!(reading(Duration::from_secs(4)), Some(Duration::from_secs(7)));
    assert_eq!(reading(QUICK.silence + Duration::from_nanos(1)), None);
}
