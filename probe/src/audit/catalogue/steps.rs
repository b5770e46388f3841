//! Steps that entries of several files share.

use crate::{
    audit::harness::{Harness, SocketRef, TestSocket},
    model::State::{Close, CloseWait, FinWait2},
    scenario::StepError,
};

/// Closes a connection, the client first: it shuts down, the server closes when it has received the FIN, and the
/// client's side keeps a TIME_WAIT. The client's descriptor stays open: an orphan in FIN_WAIT2 would become a
/// mini-socket before the server's FIN arrives.
pub(super) fn close_client_first(
    harness: &mut Harness,
    client: &TestSocket,
    server: TestSocket,
) -> Result<SocketRef, StepError> {
    harness.shutdown_write(client)?;
    harness.wait_for_state(client, FinWait2)?;
    harness.wait_for_state(&server, CloseWait)?;
    let server = harness.close(server);
    harness.wait_for_state(client, Close)?;
    harness.wait_for_state(server, Close)?;
    Ok(server)
}
