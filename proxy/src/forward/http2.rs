//! Sends a request to a replica by HTTP/2, and brings back the head of its answer. What is safe to try again is what the
//! replica says it hasn't looked at, and what is idempotent, as long as its whole body is kept.

use crate::forward::feed::{Feed, Upload};
use crate::forward::{Begun, ENDED, Streamed, Tries, Trip};
use crate::permit::Permit;
use crate::refuse::{Ended, Refusal};
use crate::rounds::Alarm;
use crate::sabotage::{Rule, is_off};
use crate::upstream::http2::outflow::Outflow;
use crate::upstream::http2::request;
use crate::upstream::http2::response::{NoAnswer, Response};
use crate::upstream::http2::session::Fault;
use crate::upstream::port::IDLE;

/// A stream that was begun, and whether it is the first that its connection carries.
struct Stream {
    outflow: Outflow,
    response: Response,
    fresh: bool,
}

impl Trip<'_> {
    /// Sends the request once. `None`: it is to be tried again.
    pub(super) async fn over_http2<U: Upload>(
        &mut self,
        feed: &mut Feed<U>,
        permit: Permit,
        tries: &mut Tries,
    ) -> Result<Option<Begun>, Ended> {
        let elsewhere = tries.begun_for.is_some() && !feed.is_whole();
        if elsewhere || !feed.begin_stream() {
            // Its body is under way to another proxy, or isn't there any more from its beginning.
            return Err(Refusal::UpstreamUnreachable.into());
        }
        let stream = match self.begin_stream(feed, &permit).await? {
            Ok(stream) => stream,
            Err(Fault::Unreachable) => {
                self.routed.wait.unreachable = true;
                return Ok(None);
            }
            Err(Fault::Foreign(why)) => return Err(Refusal::UpstreamProtocol(why).into()),
            Err(Fault::Closed) => {
                permit.grant.slot.doubt(self.record.worker.now());
                return self.again(tries, permit, true, false).await;
            }
        };
        let Stream { mut outflow, response, fresh } = stream;
        let worker = self.record.worker.clone();
        let patience = self.routed.policy(|policy| policy.response_start_timeout);
        let deadline = self.deadline(&permit);
        let mut until = self.until(deadline, patience, 0);
        let progress = |moved, waits| until.note(moved, waits);
        let answer = response.read(&self.head.method);
        match self.watch.over(feed.beside(&mut outflow, progress, answer)).await {
            Ok(Ok(Ok((answer, inflow)))) => {
                feed.replay.stop();
                Ok(Some(Begun::Stream(Streamed { permit, outflow, inflow, answer, deadline })))
            }
            Ok(Ok(Err(NoAnswer::Unprocessed { refused })))
                if feed.replay.rewind() && !is_off(Rule::Unprocessed) =>
            {
                self.again(tries, permit, fresh || refused, false).await
            }
            Ok(Ok(Err(NoAnswer::Unprocessed { .. }))) => Err(Refusal::UpstreamProtocol(
                "the replica refused the request after more of it had gone than can be sent again",
            )
            .into()),
            Ok(Ok(Err(NoAnswer::Closed))) => {
                if fresh {
                    permit.grant.slot.doubt(worker.now());
                }
                if feed.is_repeatable() {
                    return self.again(tries, permit, fresh, true).await;
                }
                Err(Refusal::UpstreamProtocol(ENDED).into())
            }
            Ok(Ok(Err(NoAnswer::Broken(why)))) => Err(Refusal::UpstreamProtocol(why).into()),
            Ok(Err(broken)) => Err(broken.refusal().map_or(Ended::ClientGone, Ended::Refused)),
            Err(alarm) => Err(feed.ended_by(alarm, &outflow)),
        }
    }

    /// Begins a stream on a connection that has room for one. A replica has as long for that as for its answer.
    async fn begin_stream<U: Upload>(
        &mut self,
        feed: &mut Feed<U>,
        permit: &Permit,
    ) -> Result<Result<Stream, Fault>, Ended> {
        let worker = self.record.worker.clone();
        let patience = self.routed.policy(|policy| policy.response_start_timeout);
        self.watch.until(self.deadline(permit).min(worker.now() + patience));
        self.watch.mind_client(true);
        loop {
            let session = permit.port.pool.session(&worker, &permit.grant.slot, IDLE);
            let session = match self.watch.over(session).await {
                Ok(Ok(session)) => session,
                Ok(Err(fault)) => return Ok(Err(fault)),
                Err(Alarm::ClientGone) => return Err(Ended::ClientGone),
                Err(Alarm::Deadline) => return Err(Refusal::ResponseTimeout.into()),
            };
            if feed.upload.invite().await.is_err() {
                return Err(Ended::ClientGone);
            }
            let (block, written) = request::head(self.head, &self.hop(permit))?;
            if written.is_err() {
                worker.shared.clients.warn_of_dropped_scheme(self.client);
            }
            let fresh = session.is_fresh();
            let bodiless = self.head.method == http::Method::HEAD;
            let begun = session.begin(&worker, &block, feed.upload.is_empty(), bodiless);
            if let Some((outflow, response)) = begun {
                return Ok(Ok(Stream { outflow, response, fresh }));
            }
        }
    }

    /// Whether it may be tried again; after a pause if `slowly`.
    async fn again(
        &self,
        tries: &mut Tries,
        permit: Permit,
        slowly: bool,
        seen: bool,
    ) -> Result<Option<Begun>, Ended> {
        self.repeat(tries, seen)?;
        if slowly {
            drop(permit);
            self.pause(tries.pause()).await?;
        }
        Ok(None)
    }
}
