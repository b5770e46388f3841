//! A socket connects to the port that it is bound to.

use std::net::Shutdown;

use crate::{
    model::State,
    net::Tcp,
    scenario::{Context, PAYLOAD, Span, Step, StepError, labelled_socket::endpoints},
};

/// The port that the socket connects from and to.
pub(super) const PORT: u16 = 1314;

pub(super) fn run(context: &mut Context) -> Result<(), StepError> {
    use State::{Close, Closing, Established, FinWait1, SynRecv, SynSent};

    let namespace = context.namespace()?;
    let local = context.loopback(PORT);
    let socket = context.bound_socket(&namespace, local, |_| Ok(()))?;
    let index = context.register("bound", &socket, &namespace, endpoints(local, local))?;
    let deadline = context.deadline();
    let connected = context.connect(index, &socket, local);
    context.expect_result("bound: connects", Ok(()), &connected);
    connected.step(format!("connecting {local} to itself"))?;

    let sent = socket.write_all(PAYLOAD.as_bytes(), deadline);
    let received = sent.and_then(|()| socket.read_exact(PAYLOAD.len(), deadline));
    context.expect_data("bound: reads", PAYLOAD, &received);
    context.list_sockets(&namespace)?;
    close(socket, context)?;

    context.expect_path("bound: opens", &[index], Span::Opening, &[Close, SynSent, SynRecv, Established]);
    context.expect_path("bound: closes", &[index], Span::Closing, &[Established, FinWait1, Closing, Close]);
    Ok(())
}

/// Closes a self-connected socket. It receives its own FIN, so it enters TIME_WAIT at once.
pub(super) fn close(socket: Tcp, context: &Context) -> Result<(), StepError> {
    socket.shutdown(Shutdown::Write).step("closing a self-connected socket")?;
    socket.read_to_end(context.deadline()).step("reading up to the socket's own FIN")?;
    Ok(())
}
