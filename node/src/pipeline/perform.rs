//! What consensus asks for, done: into the batch, to the network, to the
//! application.

use std::collections::VecDeque;

use dctrl_consensus::{Certificate, Install, Output};

use super::{Application, Pipeline, PipelineError, states::Question};

impl<A: Application> Pipeline<A> {
    pub(super) fn perform(
        &mut self,
        output: Output,
        queue: &mut VecDeque<Output>,
    ) -> Result<(), PipelineError> {
        match output {
            Output::Persist(record) => {
                self.filling.any = true;
                self.filling.bytes += record.bytes.len();
                self.filling.through = self.filling.through.max(Some(record.number));
                self.batch.record(record.number, record.bytes);
            }
            Output::Send { to, message } => self.send(to, message),
            Output::Execute(block) => {
                self.pass_checkpoint(queue)?;
                // Peers need not wait for that.
                self.release();
                self.execute(&block, queue);
            }
            Output::Final(certificate) => self.keep_certificate(&certificate),
            Output::Epoch(epoch) => self.begin(epoch),
            Output::Prune { through } => {
                self.batch.prune(through);
                self.filling.any = true;
            }
            Output::ServeBlocks { to, index, offset } => {
                self.states.serve(to, Question::Blocks { index, offset });
            }
            Output::ServeState { to, question } => {
                self.states.serve(to, Question::State(question));
            }
            Output::Install(Install::Finish(finish)) => self.take_over(&finish, queue)?,
            Output::Install(step) => self.states.install(step),
            Output::WakeAt(at) => self.wake_at = Some(at),
            Output::Evidence(proof) => {
                tracing::error!(?proof, "a node signed two histories; the proof is kept");
            }
            Output::Entrusted { from, transaction } => {
                self.application.entrusted(from, &transaction);
            }
            Output::Refused { from, reason } => {
                tracing::debug!(?from, %reason, "refused by the consensus core");
            }
            Output::Amnesia { seq } => {
                tracing::error!(
                    seq,
                    "peers hold an event of this node that its disk does not: the disk is older \
                     than what was sent, so it is another one from now on, and the node only \
                     follows until the others have ordered that it speaks from this one"
                );
                self.views.set_back.notify_one();
            }
            Output::Diverged { index, .. } => return Err(PipelineError::Diverged { index }),
        }
        Ok(())
    }

    fn keep_certificate(&mut self, certificate: &Certificate) {
        let height = certificate.header.index;
        self.batch.certificate(height, &certificate.encode());
        self.filling.any = true;
        self.filling.certified = self.filling.certified.max(Some(height));
        if certificate.header.seals() {
            self.seal = Some(certificate.clone());
            self.sealed(&certificate.header);
        }
    }
}
