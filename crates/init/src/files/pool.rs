//! The threads that do file work, so that a slow disk never holds up PID 1's
//! own thread.
//!
//! They exist before anything is served and live as long as the pool: at the
//! container's limit of processes no new thread can be had.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use casemate_protocol::failure::Code;
use casemate_protocol::{Failure, FailureExt as _};
use tokio::sync::{mpsc, oneshot};

/// Jobs that wait for a thread. Further callers wait with their content, 3 MiB at
/// most, so the server's limit of calls at once bounds what is held in all.
const QUEUE_LIMIT: usize = 16;

/// Stack of a file thread. The deepest use is a walk's path buffers, a few KiB.
const STACK_BYTES: usize = 512 * 1024;

/// Set when the caller no longer waits for the work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the work to stop.
    pub(crate) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The failure to end with when it was asked to.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_cancelled() {
            return Err(Failure::new(Code::Cancelled, "the caller went away"));
        }
        Ok(())
    }
}

/// Cancels when the future that holds it is dropped.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The file threads. Dropping the pool ends them after the queue is done.
#[derive(Debug)]
pub(crate) struct Pool {
    queue: mpsc::Sender<Job>,
}

impl Pool {
    /// Starts the threads, called `name` and a number; an error when one of them cannot
    /// be had.
    pub(crate) fn start(name: &str, threads: usize) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_LIMIT);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name(format!("{name}-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&jobs))?;
        }
        Ok(Self { queue })
    }

    /// Runs `job` on a file thread, after a wait when all are busy. Dropping
    /// the future cancels the job: one that waits is not begun any more, one
    /// that runs is asked to stop.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Cancel) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let cancel = Cancel::default();
        let _guard = CancelOnDrop(cancel.clone());
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            if !cancel.is_cancelled() {
                let _ = answer.send(job(&cancel));
            }
        });
        self.queue.send(job).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())
    }
}

/// The job was not done: the threads have ended, or the job panicked.
fn closed() -> Failure {
    Failure::new(Code::Other, "the file threads have ended")
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One thread waits for a job, the others for the lock. The lock is
        // free again before the job begins.
        let job = jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        let Some(job) = job else { return };
        // Tests only: in production a panic aborts.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_job_answers_with_what_it_returns() {
        let pool = Pool::start("file", 2).expect("threads");
        assert_eq!(pool.run(|_| 6 * 7).await, Ok(42));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn more_jobs_than_threads_and_queue_are_all_done() {
        let pool = Arc::new(Pool::start("file", 2).expect("threads"));
        let jobs: Vec<_> = (0..10 * QUEUE_LIMIT)
            .map(|number| {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move { pool.run(move |_| number).await })
            })
            .collect();
        for (number, job) in jobs.into_iter().enumerate() {
            assert_eq!(job.await.expect("task"), Ok(number));
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn dropping_the_future_stops_the_running_job_and_skips_the_waiting_one() {
        let pool = Pool::start("file", 1).expect("threads");
        let (started, has_started) = oneshot::channel();
        let (stopped, has_stopped) = oneshot::channel();
        let running = pool.run(move |cancel| {
            started.send(()).expect("test waits");
            while !cancel.is_cancelled() {
                thread::yield_now();
            }
            let _ = stopped.send(cancel.check());
        });
        let (begun, was_begun) = oneshot::channel();
        let waiting = pool.run(move |_| begun.send(()));
        tokio::select! {
            _ = async { tokio::join!(running, waiting) } => panic!("it runs until it is cancelled"),
            started = has_started => started.expect("it runs"),
        }

        let result = has_stopped.await.expect("it stopped");
        assert_eq!(result.expect_err("cancelled").code(), Code::Cancelled);
        assert_eq!(pool.run(|_| "next").await, Ok("next"));
        assert!(was_begun.await.is_err(), "the other was never begun");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_job_that_panics_takes_nothing_with_it() {
        let pool = Pool::start("file", 1).expect("threads");
        let panicked = pool.run(|_| panic!("on purpose")).await;
        assert_eq!(panicked, Err::<(), _>(closed()));
        assert_eq!(pool.run(|_| "next").await, Ok("next"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_pool_without_threads_says_that_it_is_closed() {
        let pool = Pool::start("file", 0).expect("threads");
        assert_eq!(pool.run(|_| ()).await, Err(closed()));
    }
}
