//! How file work gets from a call to the threads that do it, and its reply back.

use std::sync::Arc;

use casemate_protocol::{Failure, FailureExt as _};
use tonic::{Request, Response, Status};

use crate::files::{Cancel, Pool, Shared, SharedCall, Workspace};
use crate::pid1::idempotency::{Claim, IdempotencyCache};
use crate::pid1::lifecycle::Lifecycle;
use crate::pid1::min_free_space::MinFreeSpace;

/// What every call on files needs.
#[derive(Debug)]
pub struct FileCalls {
    /// The user's files.
    pub workspace: Arc<Workspace>,
    /// The data that the user may only read.
    pub shared: Arc<Shared>,
    /// The threads that short file work runs on.
    pub pool: Arc<Pool>,
    /// The sandbox is busy for as long as file work runs.
    pub lifecycle: Arc<Lifecycle>,
    /// The free space that writes leave.
    pub min_free: MinFreeSpace,
}

impl FileCalls {
    /// Answers a call that reads files.
    pub async fn read<R: Send + 'static, T: Send + 'static>(
        &self,
        request: Request<R>,
        call: impl FnOnce(&Workspace, &R, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let request = request.into_inner();
        let work = self.on(&self.pool, move |files, cancel| {
            call(files, &request, cancel)
        });
        answer(work.await)
    }

    /// As [`Self::read`], also beneath shared data: by an absolute path.
    pub async fn read_anywhere<R: SharedCall + Send + 'static>(
        &self,
        request: Request<R>,
        call: impl FnOnce(&Workspace, &R, &Cancel) -> Result<R::Reply, Failure> + Send + 'static,
    ) -> Result<Response<R::Reply>, Status> {
        if !request.get_ref().path().starts_with(b"/") {
            return self.read(request, call).await;
        }
        let (shared, request) = (self.shared.clone(), request.into_inner());
        let work = self.on(&self.pool, move |_, cancel| {
            shared.call(request, |files, request| call(files, request, cancel))
        });
        answer(work.await)
    }

    /// Answers a call that changes files and may need free space. It is done only once for each id.
    pub async fn write<R: Send + 'static, T: Clone + Send + Sync + 'static>(
        &self,
        replies: &IdempotencyCache<T>,
        id: &str,
        request: R,
        call: impl FnOnce(&Workspace, &R, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let min_free = self.min_free;
        let job = move |files: &Workspace, cancel: &Cancel| {
            min_free.check()?;
            call(files, &request, cancel)
        };
        answer(self.once(&self.pool, replies, id, job).await)
    }

    /// Runs file work on the threads of `pool`; it stops when the caller goes away.
    async fn on<T: Send + 'static>(
        &self,
        pool: &Pool,
        job: impl FnOnce(&Workspace, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let busy = self.lifecycle.enter()?;
        let workspace = self.workspace.clone();
        let work = pool.run(move |cancel| {
            // For as long as the work, which may outlive its caller for a moment.
            let _busy = busy;
            workspace.unlock();
            job(&workspace, cancel)
        });
        work.await.and_then(|done| done)
    }

    /// As [`Self::on`], and only once for each id.
    pub async fn once<T: Clone + Send + Sync + 'static>(
        &self,
        pool: &Pool,
        replies: &IdempotencyCache<T>,
        id: &str,
        job: impl FnOnce(&Workspace, &Cancel) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let ticket = match replies.turn(id).await? {
            Claim::First(ticket) => ticket,
            Claim::Again(reply) => return reply,
        };
        self.on(pool, move |files, cancel| {
            let reply = job(files, cancel);
            // Here, where it is known even if the caller went away.
            ticket.settle(&reply);
            reply
        })
        .await
    }
}

/// The reply, or the failure as a status.
pub fn answer<T>(done: Result<T, Failure>) -> Result<Response<T>, Status> {
    done.map(Response::new).map_err(Failure::into_status)
}
