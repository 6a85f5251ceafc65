//! Runs code one instruction at a time, with a signal handler in between (by the trap flag of
//! x86-64).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// What runs between two instructions, with the number of those before. When it returns false the
/// rest runs at full speed.
pub type Between<'a> = &'a mut dyn FnMut(usize) -> bool;

thread_local! {
    static BETWEEN: Cell<Option<*mut Between<'static>>> = const { Cell::new(None) };
    static STEPS: Cell<usize> = const { Cell::new(0) };
    static PANIC: RefCell<Option<Box<dyn Any + Send>>> = const { RefCell::new(None) };
}

const TRAP_FLAG: i64 = 0x100;

extern "C" fn on_trap(_: i32, _: *mut libc::siginfo_t, context: *mut c_void) {
    let go_on = BETWEEN.with(|cell| {
        let Some(between) = cell.get() else {
            return false;
        };
        let steps = STEPS.replace(STEPS.get() + 1);
        // SAFETY: `stepped` keeps the value alive while the trap flag is set, and the kernel clears
        // that flag in handlers.
        let answer = catch_unwind(AssertUnwindSafe(|| unsafe { (*between)(steps) }));
        // A panic must not leave the handler, so it goes on after `stepped`.
        answer.unwrap_or_else(|panic| {
            PANIC.set(Some(panic));
            false
        })
    });
    if !go_on {
        // SAFETY: the kernel hands a ucontext_t to a handler that was set with SA_SIGINFO.
        let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
        context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP_FLAG;
    }
}

/// The stack on which handlers run.
#[derive(Clone, Copy, PartialEq)]
pub enum Stack {
    /// Handlers run on the thread's own stack.
    Own,
    /// Handlers run on a stack that sigaltstack(2) sets.
    Alternate,
}

/// Runs `code` one instruction at a time. Returns the number of instructions.
pub fn stepped(stack: Stack, code: impl FnOnce(), between: Between<'_>) -> usize {
    let mut between = between;
    let mut memory = vec![0u8; 256 << 10];
    let alternate = libc::stack_t {
        ss_sp: memory.as_mut_ptr().cast(),
        ss_flags: if stack == Stack::Own {
            libc::SS_DISABLE
        } else {
            0
        },
        ss_size: memory.len(),
    };
    // SAFETY: the action is filled in, its handler is one for SA_SIGINFO, and the stack outlives
    // its use.
    unsafe {
        libc::sigaltstack(&alternate, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_trap as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut());
    }
    STEPS.set(0);
    // The lifetime ends with this call, because the cell is emptied below.
    BETWEEN.set(Some((&raw mut between).cast()));
    // SAFETY: this sets the trap flag; each of the next instructions ends in the handler above.
    unsafe { core::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    code();
    // SAFETY: this clears the trap flag.
    unsafe { core::arch::asm!("pushfq", "and qword ptr [rsp], -257", "popfq") };
    BETWEEN.set(None);
    let none = libc::stack_t {
        ss_sp: std::ptr::null_mut(),
        ss_flags: libc::SS_DISABLE,
        ss_size: 0,
    };
    // SAFETY: no handler runs on the stack any more.
    unsafe { libc::sigaltstack(&none, std::ptr::null_mut()) };
    if let Some(panic) = PANIC.take() {
        resume_unwind(panic);
    }
    STEPS.get()
}
