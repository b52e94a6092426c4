//! Whose grammars are compiled, and what that takes.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cpu_time::ThreadTime;

thread_local! {
    static CURRENT: RefCell<Option<GrammarAccount>> = const { RefCell::new(None) };
}

/// One who has grammars compiled, such as a session. They are compiled on threads of their own, where no clock of the
/// caller's sees it, and may go on there after the caller has given up: so what they take is counted here, and one who
/// has an account compiles one at a time. Clones are the same account.
#[derive(Debug, Clone, Default)]
pub struct GrammarAccount(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Processor time that nobody has taken yet, in nanoseconds.
    computed: AtomicU64,
    is_compiling: AtomicBool,
}

/// While it lives, a grammar of an account is being compiled.
pub(super) struct Compiling(GrammarAccount);

impl GrammarAccount {
    /// Runs work; the grammars that this thread has compiled meanwhile, however deep within, are this account's.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Restored(Option<GrammarAccount>);
        impl Drop for Restored {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restored = Restored(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// The processor time of what was compiled since the last call, so far as that has come to its end.
    pub fn take_computed(&self) -> Duration {
        Duration::from_nanos(self.0.computed.swap(0, Ordering::Relaxed))
    }

    /// The account of this thread.
    pub(super) fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Begins to compile; none where another grammar of the account is still being compiled.
    pub(super) fn begin(self) -> Option<Compiling> {
        let was_compiling = self.0.is_compiling.swap(true, Ordering::Acquire);
        (!was_compiling).then_some(Compiling(self))
    }
}

impl Compiling {
    /// Counts what work takes of this thread.
    pub(super) fn count<R>(&self, work: impl FnOnce() -> R) -> R {
        let start = ThreadTime::now();
        let result = work();
        let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.0.computed.fetch_add(nanoseconds, Ordering::Relaxed);
        result
    }
}

impl Drop for Compiling {
    fn drop(&mut self) {
        self.0.0.is_compiling.store(false, Ordering::Release);
    }
}
