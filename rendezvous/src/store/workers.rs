//! A few threads for what must not hold up the network: reads and signature checks.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// What a worker does.
pub type Job = Box<dyn FnOnce() + Send>;

/// The threads. Jobs are bounded by whoever hands them in: the server counts its requests under way.
pub struct Workers {
    jobs: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Starts `threads` of them.
    ///
    /// # Errors
    /// [`std::io::Error`] when the system has no more threads.
    pub fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        let (sender, receiver) = channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut handles = Vec::with_capacity(threads);
        for number in 0..threads {
            let receiver = Arc::clone(&receiver);
            handles.push(std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&receiver))?);
        }
        Ok(Self { jobs: Mutex::new(Some(sender)), threads: Mutex::new(handles) })
    }

    /// Hands a job in; drops it when the workers were stopped.
    pub fn run(&self, job: Job) {
        if let Some(jobs) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = jobs.send(job);
        }
    }

    /// Does what waits, then stops.
    pub fn stop(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
