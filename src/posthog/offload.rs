//! Work that keeps a processor busy, beside the tasks that wait.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does `work` that takes milliseconds or more, while the other tasks of this thread go on on another one: health, the Lease and the
/// reconciles of other policies do not wait.
pub fn offload<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        // The simulation's runtime has no other thread.
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn other_tasks_continue_while_one_works() {
        let (started, has_started) = mpsc::channel();
        let (answer, answered) = mpsc::channel();
        // The only thread works until the other task has answered it.
        let works = tokio::spawn(async move {
            tokio::spawn(async move { answer.send(()) });
            offload(|| {
                started.send(()).unwrap();
                answered.recv().unwrap();
            });
        });
        works.await.unwrap();
        has_started.recv().unwrap();
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_just_works() {
        assert_eq!(offload(|| 7), 7);
    }

    #[test]
    fn no_runtime_is_needed() {
        assert_eq!(offload(|| 7), 7);
    }
}
