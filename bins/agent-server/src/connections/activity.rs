use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Waker},
};

/// The state that a connection's stream and the requests on it share.
#[derive(Default)]
pub(super) struct Activity {
    /// Requests that were begun and whose answers are not sent yet.
    calls: Cell<usize>,
    /// Requests that were begun since the connection was made.
    begun: Cell<u64>,
    /// Bytes in the body of the last of them; none when the length is unknown until its end.
    body_length: Cell<Option<u64>>,
    /// Whether a handler waits for more of its request's body.
    wants_body: Cell<bool>,
    /// Whether a request was answered before its whole body had come.
    body_left: Cell<bool>,
    /// Wakes the connection, which waits until it may read again.
    reader: RefCell<Option<Waker>>,
}

/// One request under way.
pub(super) struct Call(Rc<Activity>);

impl Activity {
    pub(super) fn begin(self: &Rc<Self>, body_length: Option<u64>) -> Call {
        self.calls.set(self.calls.get() + 1);
        self.begun.set(self.begun.get() + 1);
        self.body_length.set(body_length);
        self.body_left.set(false);
        Call(Rc::clone(self))
    }

    pub(super) fn begun(&self) -> u64 {
        self.begun.get()
    }

    pub(super) fn body_length(&self) -> Option<u64> {
        self.body_length.get()
    }

    /// Whether all requests that were read are answered.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.get() == 0
    }

    pub(super) fn want_body(&self) {
        self.wants_body.set(true);
        self.wake();
    }

    pub(super) fn take_wants_body(&self) -> bool {
        self.wants_body.take()
    }

    pub(super) fn leave_body(&self) {
        self.body_left.set(true);
    }

    pub(super) fn body_left(&self) -> bool {
        self.body_left.get()
    }

    /// Wakes the connection when it may read again.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        *self.reader.borrow_mut() = Some(cx.waker().clone());
    }

    fn wake(&self) {
        let reader = self.reader.borrow_mut().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let left = self.0.calls.get() - 1;
        self.0.calls.set(left);
        if left == 0 {
            self.0.wake();
        }
    }
}
